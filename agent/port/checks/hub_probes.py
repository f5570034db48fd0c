"""The probes of a running hub: what its components know of themselves. Reads only."""

import os
from collections.abc import Callable

from agent.local.boots import build_boots
from agent.port.checks.facts import Agent, Documents, Heating, HeatSourceStarts, Missing, PortState, Radio
from agent.port.checks.machine_probes import file_age_s
from agent.port.checks.probes import Machine, machine_probes_of
from agent.port.checks.runner import CheckRunner, Probe, ThreadReads, immediate
from agent.port.hub_parts import HubParts

HOUR_MS = 3_600_000
NETWORK_BACKUP_FILE = "zigbee-network.json"
"""As `hal.zigbee.options.NETWORK_FILE`: written with each backup of the network."""


def make_runner(hub: HubParts, port: Callable[[], PortState | Missing]) -> CheckRunner:
    """Return what runs the checks of a hub.

    Args:
        hub: What is looked at.
        port: Returns the state of the technician's port.
    """
    reads = ThreadReads()
    machine = Machine(
        config=hub.config,
        config_file=hub.config_file,
        is_running=True,
        environ=hub.environ,
        utc_ms=hub.clock.utc_ms,
        home_zone=lambda: hub.settings.current.timezone,
    )
    own = (
        immediate("documents", lambda: _documents(hub)),
        immediate("clock", lambda: hub.reports.status().clock),
        immediate("boots", lambda: tuple(build_boots(hub.starts.boots if hub.starts else ()).boots)),
        immediate("agent", lambda: Agent("", hub.host.watchdog_s)),
        immediate("heating", lambda: _heating(hub)),
        immediate("port", port),
        immediate("history", lambda: Missing("the history of the values is not looked at here")),
        reads.probe("radio", lambda: _radio(hub)),
    )

    def probes() -> tuple[Probe, ...]:
        return (*machine_probes_of(machine, reads), *own)

    return CheckRunner(probes)


def _documents(hub: HubParts) -> Documents:
    reports = hub.reports
    return Documents(reports.status(), reports.climate(), reports.zigbee(), reports.update())


def _heating(hub: HubParts) -> Heating | Missing:
    climate = hub.climate
    if climate is None:
        return Missing("this hub drives no heating or cooling")
    since_ms = hub.clock.monotonic_ms() - HOUR_MS
    settings, state = climate.control.settings, climate.control.state
    equipment = [
        (zone.zone_id, zone_state.relay.starts_ms, zone.limits.starts_per_hour_max)
        for zone, zone_state in zip(settings.zones, state.zones, strict=True)
    ]
    limits = settings.heat_source.limits
    equipment.append(("heat source", state.heat_source.stage1.starts_ms, limits.starts_per_hour_max))
    return Heating(
        is_hung=climate.is_hung,
        output_problem=climate.output_problem,
        file_problem=climate.file_problem,
        sensor_problem=climate.sensor_problem,
        equipment=tuple(
            HeatSourceStarts(name, sum(at_ms > since_ms for at_ms in starts_ms), starts_max)
            for name, starts_ms, starts_max in equipment
        ),
    )


def _radio(hub: HubParts) -> Radio | Missing:
    if hub.pairing.queries.radio is None:
        return Missing("this hub has no Zigbee radio")
    path = hub.config.storage.state_dir / NETWORK_BACKUP_FILE
    if not os.access(path, os.F_OK):
        return Radio(firmware=hub.pairing.queries.radio.radio.firmware)
    age_s = file_age_s(path, hub.clock.utc_ms())
    if age_s is None:
        return Missing("the age of the backup is not known while the time is not known")
    return Radio(firmware=hub.pairing.queries.radio.radio.firmware, backup_age_s=age_s)
