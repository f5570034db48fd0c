"""Evidence comes from what the control has published: only of heating, and only while the temperature is its doing."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.climate.fault_detection import HeatingMonitor, StuckSensorState
from agent.climate.heating_effect import HeatingEffect
from agent.climate.model import Mode
from agent.climate.power_draw import KNOWN_S, SETTLED_S, PowerDraw
from agent.climate.service import ClimateService
from agent.climate.short_cycle_protection import assume_stopped
from agent.climate.supply_pipe import SupplyPipe
from agent.climate.zone_limits import ProbeTemperatures
from agent.climate.zone_state import ZoneState
from agent.config.zones import ZoneConfig
from agent.maintenance.assessment import FindingState, find_sudden
from agent.maintenance.calibration import MODELS
from agent.maintenance.indicators import Indicator
from agent.maintenance.pipe_readings import PipePair
from agent.maintenance.service import PlugEvidence
from agent.maintenance.sudden import NoWarming, Response, follow
from agent.maintenance_parts import HubParts, build_maintenance, is_southern, zone_evidence
from agent.settings.model import Location
from hal.interface import HvacAction
from hal.radio import PowerState

AT_MS = 3_600_000


def climate(
    *,
    action: HvacAction = HvacAction.HEAT,
    can_heat: bool = True,
    power: PowerState | None = None,
    zones: int = 1,
    **state: object,
) -> "ClimateService":
    settings = SimpleNamespace(
        zone_id="living",
        sensors=(("hall", 1.0), ("own", 1.0)),
        can_heat=can_heat,
        supply_sensor=state.pop("supply_sensor", ""),
        return_sensor=state.pop("return_sensor", ""),
    )
    effective = SimpleNamespace(mode=state.pop("mode", Mode.HEAT))
    temperature = SimpleNamespace(value_c=20.5)
    zone = SimpleNamespace(settings=settings, temperature=temperature, effective=effective, heat_setpoint_c=21.0)
    zone.power = power
    zone.probes = ProbeTemperatures(supply_c=50.0, return_c=41.0)
    window = SimpleNamespace(is_open=state.pop("is_open", False))
    monitor = HeatingMonitor(is_failing=bool(state.pop("is_failing", False)))
    stuck = StuckSensorState(is_stuck=bool(state.pop("is_stuck", False)))
    now = SimpleNamespace(
        action=action,
        level=0.6,
        starts=7,
        window=window,
        is_floor_hot=False,
        heating_monitor=monitor,
        stuck_sensor=stuck,
        power_draw=PowerDraw(1.0, 1000.0, KNOWN_S, called_s=SETTLED_S + 60.0),
        supply_pipe=(pipe := cast("SupplyPipe", state.pop("supply_pipe", SupplyPipe()))),
        is_unheated=monitor.is_failing or pipe.is_failing,
        equipment_problem=(problem := pipe.problem or monitor.problem),
        problem=state.pop("problem", problem),
    )
    vars(now).update(state)
    names = ("living", "attic")[:zones]
    known = SimpleNamespace(zones=(now,) * zones, at_ms=AT_MS)
    control = SimpleNamespace(zones=dict.fromkeys(names, zone), state=known, outdoor_c=4.0)
    return cast("ClimateService", SimpleNamespace(control=control))


def test_a_heated_zone_is_seen_with_its_output_and_the_devices_of_its_sensors() -> None:
    (seen,) = zone_evidence(climate(), {"hall": "0x1"})
    assert (seen.zone_id, seen.sensors) == ("living", {"hall": "0x1", "own": ""})
    assert (seen.room_c, seen.outdoor_c, seen.output, seen.starts) == (20.5, 4.0, 0.6, 7)
    (idle,) = zone_evidence(climate(action=HvacAction.OFF), {})
    assert (idle.room_c, idle.output) == (20.5, 0.0)


@pytest.mark.parametrize(
    "state", [{"action": HvacAction.COOL}, {"is_open": True}, {"is_floor_hot": True}], ids=["cooled", "window", "floor"]
)
def test_a_temperature_that_is_not_the_heatings_doing_is_no_evidence(state: dict[str, Any]) -> None:
    (seen,) = zone_evidence(climate(**state), {})
    assert (seen.room_c, seen.output) == (None, 0.6 if "action" not in state else 0.0)


def test_what_control_says_about_the_response_blames_the_equipment_only_where_it_does() -> None:
    def response(**state: object) -> Response:
        (seen,) = zone_evidence(climate(**state), {})  # type: ignore[arg-type]
        return seen.response

    assert response() == Response(20.5, 21.0, is_failing=False)
    assert response(is_failing=True) == Response(20.5, 21.0, is_failing=True)
    assert response(mode=Mode.COOL, is_failing=True).setpoint_c is None
    assert response(is_stuck=True, is_failing=True, problem="restart or replace the sensor").room_c is None
    assert response(is_failing=True, problem="restart or replace the sensor").room_c is None
    by_pipe = SupplyPipe(is_failing=True)
    assert response(supply_pipe=by_pipe) == Response(20.5, 21.0, is_failing=True)
    assert response(supply_pipe=by_pipe, is_failing=True) == Response(20.5, 21.0, is_failing=True)


def test_a_boiler_that_fails_near_the_setpoint_is_a_finding_of_the_equipment_and_not_of_the_sensor() -> None:
    """The zone's problem, which doctor and the page show, and the finding of maintenance agree."""
    failing = HeatingMonitor(is_failing=True, effect=HeatingEffect(is_failing=True))
    zone = ZoneState(assume_stopped(0), heating_monitor=failing, stuck_sensor=StuckSensorState((20.5,)))
    state = {"heating_monitor": failing, "stuck_sensor": zone.stuck_sensor, "is_unheated": zone.is_unheated}
    state["equipment_problem"] = zone.equipment_problem
    (seen,) = zone_evidence(climate(**state, problem=zone.problem), {})  # type: ignore[arg-type]
    finding = find_sudden(follow(NoWarming(), seen.response, 60.0, 1_000), seen.response)
    assert zone.problem.startswith("check boiler or heat pump, pump and valve")
    assert finding is not None
    assert finding.state is FindingState.UNKNOWN


def test_supply_and_return_are_seen_where_the_zone_has_both_thermometers() -> None:
    (seen,) = zone_evidence(climate(supply_sensor="s", return_sensor="r"), {})
    assert seen.pair == PipePair(50.0, 41.0, ("s", "r"))
    (alone,) = zone_evidence(climate(supply_sensor="s"), {})
    assert alone.pair is None


def test_the_plug_of_a_zones_own_equipment_is_seen_in_the_steady_part_of_a_call() -> None:
    power = PowerState("0x1", 950.0, AT_MS - 60_000)
    (seen,) = zone_evidence(climate(power=power), {})
    assert seen.plug == PlugEvidence("0x1", 950.0, AT_MS - 60_000)
    (before,) = zone_evidence(climate(power=PowerState("0x1", 950.0, AT_MS - 61_000)), {})
    assert before.plug is None
    shared = zone_evidence(climate(power=power, zones=2), {})
    assert [each.plug for each in shared] == [None, None], "it draws for the other zone as well"


def test_a_zone_that_is_only_cooled_is_not_watched() -> None:
    assert zone_evidence(climate(can_heat=False), {}) == []


def test_a_house_is_in_the_southern_hemisphere_only_where_its_latitude_says_so() -> None:
    places = (None, Location(), Location(latitude=48.1), Location(latitude=-33.9))
    assert [is_southern(place) for place in places] == [False, False, False, True]


def test_the_configured_base_rate_and_threshold_are_those_of_every_model(tmp_path: Path) -> None:
    config = SimpleNamespace(
        storage=SimpleNamespace(state_dir=tmp_path),
        maintenance=SimpleNamespace(base_rate_factor=0.5, alert_threshold=0.9),
        climate=SimpleNamespace(zones=()),
    )
    environment = SimpleNamespace(clock=None, disk=None, worker=None, rng=None)
    hub = SimpleNamespace(config=config, environment=environment, climate=climate(), faults=None)
    maintenance = build_maintenance(cast("HubParts", hub))
    assert maintenance is not None
    assert maintenance.machines is not None
    assert (maintenance.alerts.threshold, maintenance.machines._threshold) == (0.9, 0.9)
    assert {kind: model.base_rate for kind, model in maintenance._models.items()} == {
        kind: 0.5 * MODELS[kind].base_rate for kind in Indicator
    }
    assert set(maintenance.loops()) == {"maintenance"}


def test_a_zone_that_names_an_accelerometer_has_it_read(tmp_path: Path) -> None:
    zones = (ZoneConfig("living", ("own",), (1.0,), accelerometer="i2c-1-0053/adxl345"), ZoneConfig("attic", (), ()))
    config = SimpleNamespace(
        storage=SimpleNamespace(state_dir=tmp_path),
        maintenance=SimpleNamespace(base_rate_factor=1.0, alert_threshold=0.72),
        climate=SimpleNamespace(zones=zones),
    )
    clock = SimpleNamespace(monotonic_ms=lambda: 0)
    environment = SimpleNamespace(clock=clock, disk=None, worker=None, rng=None, board=None)
    hub = SimpleNamespace(config=config, environment=environment, climate=climate(), faults=None)
    maintenance = build_maintenance(cast("HubParts", hub))
    assert maintenance is not None
    assert maintenance._accelerometers is not None
    assert maintenance._accelerometers._zones == {"living": "i2c-1-0053/adxl345"}
    assert set(maintenance.loops()) == {"maintenance", "accelerometers"}
