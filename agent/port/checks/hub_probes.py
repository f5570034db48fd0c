"""The probes of a running hub: what its components know of themselves. Reads only."""

import os
from collections.abc import Callable, Mapping

from agent.foundation.clock import read_now
from agent.local.boots import build_boots
from agent.local.maintenance import build_maintenance
from agent.port.checks.facts import (
    Agent,
    ChannelEnergy,
    Documents,
    Heating,
    HeatSourceStarts,
    Missing,
    PortState,
    Radio,
    SensorHistory,
)
from agent.port.checks.machine_probes import file_age_s
from agent.port.checks.probes import Machine, machine_probes_of
from agent.port.checks.runner import CheckRunner, Probe, ThreadReads, immediate
from agent.port.history.channels import HUB_DEVICE, channel_of, sensor_values
from agent.port.history.recorder import ChartQuery, History
from agent.port.history.series import Series
from agent.port.hub_parts import HubParts
from hal.interface import SensorKind, parts_of
from hal.radio import RadioState, ScansEnergy

HOUR_MS = 3_600_000
HISTORY_MS = 24 * HOUR_MS
HISTORY_S_MAX = 5.0
"""A Pi reads a day of a few channels in some tenths of a second; another reader may be before this one."""
HISTORY_POINTS = 96
CHANNELS_MAX = 32
SCAN_S_MAX = 8.5
"""A scan of all channels takes 5 s (`hal.zigbee.radio.SCAN_S_MAX`)."""
SCAN_AGE_MS = HOUR_MS
"""The radio hears sensors late during a scan, so that of the last hour is taken."""
NETWORK_BACKUP_FILE = "zigbee-network.json"
"""As `hal.zigbee.options.NETWORK_FILE`: written with each backup of the network."""


def make_runner(hub: HubParts, history: History, port: Callable[[], PortState | Missing]) -> CheckRunner:
    """Return what runs the checks of a hub.

    Args:
        hub: What is looked at.
        history: The sensors' values of the last days.
        port: Returns the state of the technician's port.
    """
    energy = _EnergyScan(hub)
    reads = ThreadReads()
    machine = Machine(
        config=hub.config,
        config_file=hub.config_file,
        at_start=hub.file_at_start,
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
        reads.probe("radio", lambda: _radio(hub)),
        Probe("history", lambda: _sensor_history(hub, history), HISTORY_S_MAX),
        Probe("energy", energy.read, SCAN_S_MAX),
    )

    def probes() -> tuple[Probe, ...]:
        return (*machine_probes_of(machine, reads), *own)

    return CheckRunner(probes)


def _documents(hub: HubParts) -> Documents:
    reports = hub.reports
    maintenance = build_maintenance(hub.maintenance)
    return Documents(reports.status(), reports.climate(), reports.zigbee(), reports.update(), maintenance)


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
    if hub.config.zigbee.port == "none":
        return Missing("this hub's radio is simulated")
    path = hub.config.storage.state_dir / NETWORK_BACKUP_FILE
    if not os.access(path, os.F_OK):
        return Radio(firmware=hub.pairing.queries.radio.radio.firmware)
    age_s = file_age_s(path, hub.clock.utc_ms())
    if age_s is None:
        return Missing("the age of the backup is not known while the time is not known")
    return Radio(firmware=hub.pairing.queries.radio.radio.firmware, backup_age_s=age_s)


class _EnergyScan:
    """Measures how busy the channels are, at most once an hour."""

    def __init__(self, hub: HubParts) -> None:
        self._hub = hub
        self._last: tuple[int, Mapping[int, int]] | None = None

    async def read(self) -> ChannelEnergy | Missing:
        """Return the energy by channel.

        Raises:
            NetworkLost: There is no radio now.
        """
        radio = self._hub.pairing.queries.radio
        scanner = next((part for part in parts_of(self._hub.network) if isinstance(part, ScansEnergy)), None)
        if radio is None or scanner is None:
            return Missing("this hub's radio cannot measure it")
        if radio.radio.state is not RadioState.UP:
            return Missing("the radio is not up")
        now_ms = self._hub.clock.monotonic_ms()
        if self._last is None or now_ms - self._last[0] > SCAN_AGE_MS:
            self._last = now_ms, await scanner.energy_scan()
        return ChannelEnergy(radio.radio.channel, self._last[1])


async def _sensor_history(hub: HubParts, history: History) -> tuple[SensorHistory, ...] | Missing:
    """Return how each temperature sensor has behaved within the last day."""
    if not history.is_on:
        return Missing("the history is switched off")
    now = read_now(hub.clock)
    names = [name for name in sensor_values(hub.telemetry.intake.channels, now_ms=now.now_ms) if _is_temperature(name)]
    to_ms = now.now_ms if now.utc_ms is None else now.utc_ms
    asked = ChartQuery(tuple(names[:CHANNELS_MAX]), to_ms - HISTORY_MS, to_ms, HISTORY_POINTS)
    report = await history.report(asked)
    return tuple([_behaviour(series, report.interval_s) for series in report.series])


def _is_temperature(name: str) -> bool:
    return name.rpartition("/")[2] == SensorKind.TEMPERATURE


def _behaviour(series: Series, interval_s: int) -> SensorHistory:
    channel = channel_of(series.channel)
    known = [value for value in series.mean if value is not None]
    values = [value for value in (*series.mean, *series.low, *series.high) if value is not None]
    return SensorHistory(
        "" if channel.device == HUB_DEVICE else channel.device,
        channel.sensor,
        channel.quantity,
        hours=len(known) * interval_s / 3600,
        spread=max(values) - min(values) if values else 0.0,
        count=len(known),
    )
