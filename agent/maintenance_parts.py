"""Builds predictive maintenance from the parts of a hub: what it watches is what the control has published."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from agent.config import Config
from agent.environment import Environment
from agent.foundation.supervisor import Faults
from agent.pairing.service import PairingService
from agent.settings.sync import SettingsSync
from hal.channels import FindsChannels
from hal.interface import HvacAction

if TYPE_CHECKING:
    from agent.climate.controller import ZoneController
    from agent.climate.service import ClimateService
    from agent.climate.zone_state import ZoneState
    from agent.maintenance.accelerometers import Accelerometers
    from agent.maintenance.machine_readings import ZoneState as MachineZoneState
    from agent.maintenance.machine_watch import MachineWatch
    from agent.maintenance.pipe_readings import PipePair
    from agent.maintenance.service import MaintenanceService, PlugEvidence, ZoneEvidence
    from agent.maintenance.sudden import Response
    from agent.settings.model import Location


class HubParts(Protocol):
    """What of a hub is needed."""

    config: Config
    environment: Environment
    faults: Faults
    pairing: PairingService
    settings: SettingsSync
    climate: "ClimateService | None"


def build_maintenance(hub: HubParts) -> "MaintenanceService | None":
    """Return what watches the heating of a hub; `None` where it drives nothing."""
    climate, environment = hub.climate, hub.environment
    if climate is None:
        return None
    # Imported late, as the control: a hub that controls nothing does without.
    from agent.maintenance.alert_service import MaintenanceAlerts  # noqa: PLC0415
    from agent.maintenance.calibration import MODELS  # noqa: PLC0415
    from agent.maintenance.machine_calibration import MACHINE_MODELS  # noqa: PLC0415
    from agent.maintenance.machine_watch import MachineWatch  # noqa: PLC0415
    from agent.maintenance.pipe_calibration import PIPE_MODELS  # noqa: PLC0415
    from agent.maintenance.service import MaintenanceService  # noqa: PLC0415

    directory, faults = hub.config.storage.state_dir, hub.faults
    factor, threshold = hub.config.maintenance.base_rate_factor, hub.config.maintenance.alert_threshold
    alerts = MaintenanceAlerts(
        directory,
        clock=environment.clock,
        disk=environment.disk,
        worker=environment.worker,
        new_id=lambda: f"{environment.rng.getrandbits(40):010x}",
        add_fault=lambda text: faults.add("maintenance", text),
        remove_fault=lambda text: faults.remove("maintenance", text),
        threshold=threshold,
    )
    machines = MachineWatch(
        directory,
        states=lambda: machine_states(climate),
        models=MACHINE_MODELS,
        clock=environment.clock,
        disk=environment.disk,
        worker=environment.worker,
        threshold=threshold,
    )
    return MaintenanceService(
        directory,
        evidence=lambda: zone_evidence(climate, hub.pairing.queries.devices_by_name()),
        models={indicator: model.with_base_rate(factor) for indicator, model in MODELS.items()},
        alerts=alerts,
        clock=environment.clock,
        disk=environment.disk,
        worker=environment.worker,
        machines=machines,
        accelerometers=_accelerometers(hub, climate, machines),
        pipe_models=PIPE_MODELS,
        is_southern=lambda: is_southern(hub.settings.current.location),
    )


def _accelerometers(hub: HubParts, climate: "ClimateService", machines: "MachineWatch") -> "Accelerometers | None":
    """Return what reads the accelerometers that the configuration names; `None` without any."""
    zones = {zone.id: zone.accelerometer for zone in hub.config.climate.zones if zone.accelerometer}
    if not zones:
        return None
    from agent.maintenance.accelerometers import Accelerometers  # noqa: PLC0415 - see above

    board, faults = hub.environment.board, hub.faults
    return Accelerometers(
        zones,
        channels=lambda: board.channels if isinstance(board, FindsChannels) else (),
        states=lambda: machine_states(climate),
        machines=machines,
        clock=hub.environment.clock,
        rng=hub.environment.rng,
        add_fault=lambda text: faults.add("maintenance", text),
        remove_fault=lambda text: faults.remove("maintenance", text),
    )


def machine_states(climate: "ClimateService") -> "Mapping[str, MachineZoneState]":
    """Return what the control does in each zone now, by id: the operating state of the zone's machines."""
    from agent.maintenance.machine_readings import ZoneState as MachineZoneState  # noqa: PLC0415 - see above

    control = climate.control
    modes = {HvacAction.HEAT: 1, HvacAction.COOL: 2}
    return {
        zone.settings.zone_id: MachineZoneState(modes.get(state.action, 0), control.outdoor_c)
        for zone, state in zip(control.zones.values(), control.state.zones, strict=True)
    }


def is_southern(location: "Location | None") -> bool:
    """Return whether a place is in the southern hemisphere; one that is not known is not."""
    return location is not None and location.latitude is not None and location.latitude < 0.0


def zone_evidence(climate: "ClimateService", devices: Mapping[str, str]) -> "Sequence[ZoneEvidence]":
    """Return what the control has published about each zone that can be heated.

    Args:
        climate: The control.
        devices: The devices of relayed sensors, by the names that people gave them.
    """
    control = climate.control
    plugs = Counter(zone.power.device for zone in control.zones.values() if zone.power)
    # What several zones share draws for the others as well.
    shared = {device for device, zones in plugs.items() if zones > 1}
    return [
        _seen(zone, state, control.outdoor_c, devices, _plug(zone, state, control.state.at_ms, shared))
        for zone, state in zip(control.zones.values(), control.state.zones, strict=True)
        if zone.settings.can_heat
    ]


def _seen(
    zone: "ZoneController",
    state: "ZoneState",
    outdoor_c: float | None,
    devices: Mapping[str, str],
    plug: "PlugEvidence | None",
) -> "ZoneEvidence":
    from agent.maintenance.service import ZoneEvidence  # noqa: PLC0415 - see above

    # Cooling, an open window or a floor at its limit: the temperature is not the doing of this much heating.
    is_heating_only = state.action is not HvacAction.COOL and not state.window.is_open and not state.is_floor_hot
    return ZoneEvidence(
        zone_id=zone.settings.zone_id,
        sensors={name: devices.get(name, "") for name, _ in zone.settings.sensors},
        room_c=zone.temperature.value_c if is_heating_only else None,
        outdoor_c=outdoor_c,
        output=state.level if state.action is HvacAction.HEAT else 0.0,
        response=_response(zone, state),
        starts=state.starts,
        pair=_pair(zone),
        plug=plug,
    )


def _pair(zone: "ZoneController") -> "PipePair | None":
    """Return the thermometers on supply and return of a zone; `None` without both."""
    from agent.maintenance.pipe_readings import PipePair  # noqa: PLC0415 - see above

    names = (zone.settings.supply_sensor, zone.settings.return_sensor)
    if not all(names):
        return None
    return PipePair(zone.probes.supply_c, zone.probes.return_c, names)


def _plug(zone: "ZoneController", state: "ZoneState", now_ms: int, shared: Collection[str]) -> "PlugEvidence | None":
    from agent.climate.power_draw import settled_w  # noqa: PLC0415 - see above
    from agent.maintenance.service import PlugEvidence  # noqa: PLC0415

    power = zone.power
    watts = settled_w(state.power_draw, power, now_ms=now_ms)
    if watts is None or power is None or power.device in shared:
        return None
    return PlugEvidence(power.device, watts, power.heard_ms)


def _response(zone: "ZoneController", state: "ZoneState") -> "Response":
    from agent.climate.model import HEATING_MODES  # noqa: PLC0415 - see above
    from agent.maintenance.sudden import Response  # noqa: PLC0415 - see above

    is_wanted = zone.effective is not None and zone.effective.mode in HEATING_MODES
    # Where control blames the sensor, the temperature tells nothing about the equipment.
    is_equipment = state.problem == state.equipment_problem
    is_sensor = state.stuck_sensor.is_stuck or (state.is_unheated and not is_equipment)
    return Response(
        room_c=None if is_sensor else zone.temperature.value_c,
        setpoint_c=zone.heat_setpoint_c if is_wanted else None,
        is_failing=state.is_unheated,
    )
