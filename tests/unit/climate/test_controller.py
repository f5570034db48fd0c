"""The controller over days, restarts and lost clocks, in a simulated home."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest

from agent.climate.controller import ClimateController
from agent.climate.fusion import SensorReading
from agent.climate.holds import with_hold
from agent.climate.model import Block, Eco, Hold, HoldKind, Mode, Schedule, Setpoints, Until, ZoneProgram
from agent.climate.settings import (
    ClimateSettings,
    Emitter,
    Equipment,
    HeatSourceKind,
    HeatSourceSettings,
    ZoneSettings,
    pi_settings_for,
)
from agent.climate.snapshot import ClimateSnapshot
from agent.foundation.clock import Now
from hal.interface import HvacAction, Quality
from hal.radio import BinaryKind, BinaryState
from hal.sim.faults import Fault, FaultKind
from lab.simulation.heating import HeatedHome, HeatedHomeOptions

ROOMS = ("living", "kitchen", "bedroom", "bathroom")
H_MS = 3_600_000
DAY_MS = 24 * H_MS
WINTER_MS = int(datetime(2026, 1, 13, tzinfo=UTC).timestamp() * 1000)
SUMMER_MS = int(datetime(2026, 7, 13, tzinfo=UTC).timestamp() * 1000)
WEEK = Schedule("week", (Block("Day", "06:00", "22:00", 21.0, 26.0), Block("Night", "22:00", "06:00", 17.0, 27.0)))
BERLIN = ZoneInfo("Europe/Berlin")


def climate(heat_source: HeatSourceKind = HeatSourceKind.HEAT_PUMP, *, sensors: int = 1) -> ClimateSettings:
    return ClimateSettings(
        zones=tuple(
            ZoneSettings(
                zone_id=room,
                sensors=tuple((room if number == 1 else f"{room} {number}", 1.0) for number in range(1, sensors + 1)),
                can_cool=room != "bathroom",
                law=pi_settings_for(
                    Emitter.RADIATOR,
                    is_shared=heat_source is not HeatSourceKind.NONE,
                    min_on_s=180.0,
                    equipment=Equipment.ELECTRIC,
                ),
            )
            for room in ROOMS
        ),
        heat_source=HeatSourceSettings(kind=heat_source),
    )


def home(
    program: ZoneProgram,
    *,
    start_ms: int = WINTER_MS,
    faults: tuple[Fault, ...] = (),
    sensors: int = 1,
    heat_source: HeatSourceKind = HeatSourceKind.HEAT_PUMP,
) -> HeatedHome:
    return HeatedHome(
        HeatedHomeOptions(
            settings=climate(heat_source, sensors=sensors),
            seed=1,
            start_utc_ms=start_ms,
            programs=dict.fromkeys(ROOMS, program),
            zone=BERLIN,
            faults=faults,
        )
    )


def value_c(made: HeatedHome, room: str = "living") -> float:
    assert made.control is not None
    found = made.control.zones[room].temperature.value_c
    assert found is not None
    return found


def test_winter_day_at_constant_setpoint_keeps_the_temperature() -> None:
    made = home(ZoneProgram(setpoints=Setpoints(20.0, 26.0)))
    made.run(12 * H_MS)
    coldest = []
    made.run(36 * H_MS, lambda home: coldest.append(min(home.truth_c(room) for room in ROOMS)))
    assert min(coldest) > 18.0
    assert made.oracle.broken == {}
    assert made.oracle.steps == 36 * 60


def test_a_summer_day_is_cooled() -> None:
    made = home(ZoneProgram(mode=Mode.COOL, setpoints=Setpoints(18.0, 23.0)), start_ms=SUMMER_MS)
    made.run(12 * H_MS)
    warmest = []
    made.run(36 * H_MS, lambda home: warmest.append(home.truth_c("bedroom")))
    assert max(warmest) < 24.5
    assert made.oracle.broken == {}


def test_a_night_setback_and_the_recovery_before_the_block() -> None:
    made = home(ZoneProgram(schedules={"week": WEEK}, schedule="week"))
    made.run(5 * DAY_MS)
    assert made.control is not None
    learned = made.control.zones["living"].learned
    assert learned.recoveries >= 3
    made.run(5 * DAY_MS + 5 * H_MS)  # 06:00 in Berlin
    assert value_c(made) == pytest.approx(21.0, abs=1.0)
    assert made.oracle.broken == {}


@pytest.mark.parametrize(("heat_source", "lowest_c"), [(HeatSourceKind.NONE, 19.9), (HeatSourceKind.BOILER, 19.5)])
def test_raised_setpoint_is_held_while_the_walls_are_cold(heat_source: HeatSourceKind, lowest_c: float) -> None:
    """It fell by 1.3 to 1.8 K once it had got there, and came back over three hours.

    With few starts of a shared boiler the first pause after the arrival is longer.
    """
    made = home(ZoneProgram(setpoints=Setpoints(17.0, 26.0)), heat_source=heat_source)
    made.run(44 * H_MS)  # 20:00: no sun any more
    for room in ROOMS:
        made.set_program(room, ZoneProgram(setpoints=Setpoints(21.0, 26.0)))
    lowest: dict[str, float] = {}

    def look(home: HeatedHome) -> None:
        for room in ROOMS:
            if room in lowest or home.truth_c(room) >= 20.75:
                lowest[room] = min(lowest.get(room, 99.0), home.truth_c(room))

    made.run(made.at_ms + 4 * H_MS, look)
    assert set(lowest) == set(ROOMS)
    assert min(lowest.values()) > lowest_c


def test_change_of_active_sensors_does_not_change_the_apparent_wall_temperature() -> None:
    """Found by review: a bedroom 3 K colder than the living room fell by 1.2 K at 22:00, and rose by 1.1 K at 06:00."""
    day = Block("Day", "06:00", "22:00", 21.0, 26.0, sensors=("a",))
    night = Block("Night", "22:00", "06:00", 18.0, 26.0, sensors=("b",))
    sensors = (("a", 1.0), ("b", 1.0))
    moment = Now("boot", 10_000_000, WINTER_MS + 19 * H_MS)  # 20:00 in Berlin
    control = ClimateController(
        ClimateSettings(zones=(ZoneSettings(zone_id="z", sensors=sensors),)), ClimateSnapshot(), moment
    )
    control.set_program("z", ZoneProgram(schedules={"w": Schedule("w", (day, night))}, schedule="w"))
    behind_k = []
    # The evening and the night; at the change of the blocks nothing is known for some minutes.
    for minute in range(12 * 60):
        moment = Now("boot", moment.now_ms + 60_000, (moment.utc_ms or 0) + 60_000)
        quality = Quality.SUSPECT if 115 <= minute < 125 else Quality.GOOD
        observed = {
            "a": SensorReading(21.0, moment.now_ms, quality),
            "b": SensorReading(18.0, moment.now_ms, quality),
        }
        made = control.step(moment, observed, BERLIN)
        thermal_mass_c = made.state.zones[0].thermal_mass_c
        assert thermal_mass_c is not None
        in_force = control.zones["z"].effective
        assert in_force is not None
        behind_k.append(in_force.setpoints.heat_setpoint_c - thermal_mass_c)
    assert control.zones["z"].temperature.value_c == 21.0
    assert max(abs(k) for k in behind_k[:115] + behind_k[125:]) == pytest.approx(0.0, abs=1e-6)
    # While the same ones count the walls lag as ever.
    moment = Now("boot", moment.now_ms + 60_000, (moment.utc_ms or 0) + 60_000)
    made = control.step(moment, {"a": SensorReading(22.0, moment.now_ms)}, BERLIN)
    assert made.state.zones[0].thermal_mass_c == pytest.approx(21.0, abs=0.01)


def test_state_survives_a_restart_and_outputs_count_as_just_stopped() -> None:
    program = with_hold(
        ZoneProgram(schedules={"week": WEEK}, schedule="week", eco=Eco(is_enabled=True)),
        Hold("h", heat_setpoint_c=22.0),
        Now("boot", 0, WINTER_MS),
    )
    made = home(program)
    made.run(DAY_MS)
    before = made.control
    assert before is not None
    made.crash()
    made.restart()
    after = made.control
    assert after is not None
    assert after.zones["living"].program == before.zones["living"].program
    assert after.zones["living"].learned == before.zones["living"].learned
    assert not after.state.heat_source.stage1.is_on
    assert after.state.heat_source.stage1.changed_ms == made.now().now_ms
    made.run(DAY_MS + H_MS)
    assert made.oracle.broken == {}


def test_after_a_reboot_without_the_time_the_last_block_stays_in_force() -> None:
    made = home(ZoneProgram(schedules={"week": WEEK}, schedule="week"))
    made.run(12 * H_MS)
    made.crash()
    made.reboot(is_clock_known=False)
    made.run(20 * H_MS)
    assert made.control is not None
    force = made.control.zones["living"].effective
    assert force is not None
    assert (force.reason, force.setpoints.heat_setpoint_c) == ("remembered", 21.0)
    made.is_clock_known = True
    made.run(23 * H_MS)
    force = made.control.zones["living"].effective
    assert force is not None
    assert (force.reason, force.label) == ("schedule", "Night")


def test_a_lost_sensor_leaves_the_home_neither_cold_nor_hot() -> None:
    faults = tuple(Fault(room, FaultKind.GONE, DAY_MS, 4 * DAY_MS) for room in ROOMS)
    made = home(ZoneProgram(setpoints=Setpoints(20.0, 26.0)), faults=faults)
    seen = []
    made.run(3 * DAY_MS, lambda home: seen.append(home.truth_c("bedroom")))
    assert made.control is not None
    assert "fallback heating" in made.control.last.reasons[0]  # type: ignore[union-attr] # there was one
    assert min(seen[2000:]) > 14.0
    assert max(seen[2000:]) < 26.0
    assert made.oracle.broken == {}


@pytest.mark.parametrize(
    ("kind", "magnitude", "hours"),
    [(FaultKind.LIE, 26.0, 24), (FaultKind.LIE, -15.0, 10), (FaultKind.DRIFT, 1.5, 24)],
)
@pytest.mark.parametrize("is_killed", [False, True])
def test_a_wrong_sensor_leaves_every_room_habitable(
    kind: FaultKind, magnitude: float, hours: int, *, is_killed: bool
) -> None:
    """Found by the soak, seeds 8 and 15: the room was cooled to 1 °C in winter, and no other was heated meanwhile."""
    fault = Fault("kitchen", kind, DAY_MS, DAY_MS + hours * H_MS, magnitude)
    made = home(ZoneProgram(mode=Mode.AUTO, schedules={"week": WEEK}, schedule="week"), faults=(fault,))
    made.run(DAY_MS + 2 * H_MS)
    if is_killed:
        made.crash()
        made.restart()
    liar, others = [], []

    def look(home: HeatedHome) -> None:
        liar.append(home.truth_c("kitchen"))
        others.append(min(home.truth_c(room) for room in ROOMS if room != "kitchen"))

    made.run(2 * DAY_MS, look)
    assert min(liar) > 8.0
    # It is believed after six hours, so its room is heated at full output until the fault ends.
    assert max(liar) < 28.0
    assert min(others) > 15.5
    assert made.oracle.broken == {}


def test_a_jump_is_reported_and_survives_a_restart() -> None:
    made = home(ZoneProgram(), faults=(Fault("kitchen", FaultKind.LIE, 2 * H_MS, 9 * H_MS, 26.0),))
    made.run(2 * H_MS + 10 * 60_000)
    for _ in range(2):
        assert made.control is not None
        temperature = made.control.zones["kitchen"].temperature
        assert temperature.value_c is None
        assert "kitchen jumped from" in temperature.problem
        made.crash()
        made.restart()
        made.run(made.at_ms + 60_000)


def test_second_sensor_of_the_zone_takes_over() -> None:
    faults = tuple(Fault(room, FaultKind.NAN, DAY_MS, 3 * DAY_MS) for room in ROOMS)
    made = home(ZoneProgram(setpoints=Setpoints(20.0, 26.0)), faults=faults, sensors=2)
    made.run(2 * DAY_MS)
    assert value_c(made, "bedroom") == pytest.approx(20.0, abs=0.7)
    assert made.control is not None
    assert made.control.zones["bedroom"].temperature.used == 1


@pytest.mark.parametrize("mode", [Mode.HEAT, Mode.AUTO, Mode.OFF])
def test_one_of_two_sensors_that_drifts_down_does_not_overheat_the_room(mode: Mode) -> None:
    settings = ClimateSettings(zones=(ZoneSettings(zone_id="z", sensors=(("s1", 1.0), ("s2", 1.0))),))
    control = ClimateController(settings, ClimateSnapshot(), Now("boot", 0, None))
    control.set_program("z", ZoneProgram(mode=mode))
    room_c, warmest_c, coldest_c = 20.0, 0.0, 99.0
    for minute in range(48 * 60):
        is_heated = control.state.zones[0].action is HvacAction.HEAT
        room_c += ((5.0 if is_heated else 0.0) - (room_c - 5.0) / 12.0) / 60.0
        seen = {"s1": room_c, "s2": max(5.0, 20.0 - minute * 0.018)}
        now_ms = minute * 60_000
        made = control.step(
            Now("boot", now_ms, None), {name: SensorReading(said, now_ms) for name, said in seen.items()}, UTC
        )
        warmest_c, coldest_c = max(warmest_c, room_c), min(coldest_c, room_c)
    assert warmest_c < 27.0
    assert coldest_c > 6.0
    assert "s1 and s2 disagree" in made.reasons[0]


@pytest.mark.parametrize(
    ("beside", "beside_c", "mean_duty", "action"),
    [
        (ZoneProgram(mode=Mode.OFF), 19.0, 0.5, HvacAction.COOL),
        (ZoneProgram(mode=Mode.AUTO, setpoints=Setpoints(18.0, 21.0)), 21.3, 0.0, HvacAction.COOL),
        (ZoneProgram(mode=Mode.AUTO), 19.8, 0.0, HvacAction.COOL),
        (ZoneProgram(mode=Mode.AUTO), 19.4, 0.0, HvacAction.OFF),
        (ZoneProgram(mode=Mode.HEAT), 20.5, 0.2, HvacAction.OFF),
        (ZoneProgram(mode=Mode.HEAT), 22.5, 0.2, HvacAction.COOL),
    ],
)
def test_only_a_room_that_needs_heat_prevents_cooling(
    beside: ZoneProgram, beside_c: float, mean_duty: float, action: HvacAction
) -> None:
    """Found by review: a cellar of 19 °C that was off kept an office at 31 °C all summer."""
    zones = tuple(ZoneSettings(zone_id=name, sensors=((name, 1.0),), can_cool=True) for name in ("a", "b"))
    control = ClimateController(ClimateSettings(zones=zones), ClimateSnapshot(), Now("boot", 0, None))
    control.set_program("a", ZoneProgram(mode=Mode.AUTO))
    control.set_program("b", beside)
    one, other = control.state.zones
    control.state = msgspec.structs.replace(
        control.state, zones=(one, msgspec.structs.replace(other, mean_duty=mean_duty))
    )
    seen = set()
    for minute in range(45):
        now_ms = minute * 60_000
        readings = {"a": SensorReading(31.0, now_ms), "b": SensorReading(beside_c, now_ms)}
        seen.add(control.step(Now("boot", now_ms, None), readings, UTC).demand.zones["a"])
    assert seen - {HvacAction.OFF} == ({action} - {HvacAction.OFF})


def lone(*sensors: str, program: ZoneProgram | None = None) -> ClimateController:
    """Return the controller of a home with one zone."""
    settings = ClimateSettings(zones=(ZoneSettings(zone_id="z", sensors=tuple((name, 1.0) for name in sensors)),))
    control = ClimateController(settings, ClimateSnapshot(), Now("boot", 0, None))
    control.set_program("z", program or ZoneProgram())
    return control


def test_a_sensor_that_jumped_into_the_frost_has_its_room_heated_a_little() -> None:
    """Found by review: it said 22, then truly 2, and an only zone that was off had no frost heat for 16 hours."""
    control = lone("s", program=ZoneProgram(mode=Mode.OFF))
    heated = 0
    for minute in range(14 * 60):
        now_ms = minute * 60_000
        made = control.step(Now("boot", now_ms, None), {"s": SensorReading(22.0 if minute < 120 else 2.0, now_ms)}, UTC)
        heated += minute >= 240 and made.demand.zones["z"] is HvacAction.HEAT
        if minute == 300:
            assert made.reasons[0].startswith("frost protection at 50%: 2.0 °C possibly here")
    assert heated == pytest.approx(5 * 60, abs=30)


def test_another_sensor_of_the_zone_confirms_a_suspect_one() -> None:
    control = lone("s1", "s2")
    for minute in range(30):
        now_ms = minute * 60_000
        seen = {"s1": SensorReading(30.0 if minute < 10 else 20.0, now_ms), "s2": SensorReading(20.0, now_ms)}
        control.step(Now("boot", now_ms, None), seen, UTC)
        if minute >= 10:
            assert (control.zones["z"].temperature.used, control.zones["z"].temperature.value_c) == (2, 20.0)


def test_a_relay_that_sticks_and_a_boiler_that_fails_are_noticed() -> None:
    made = home(ZoneProgram(setpoints=Setpoints(18.0, 26.0)))
    made.run(DAY_MS)
    made.broken_relays["bedroom"] = HvacAction.HEAT
    made.run(2 * DAY_MS)
    assert made.control is not None
    state = dict(zip(ROOMS, made.control.state.zones, strict=True))
    assert state["bedroom"].heating_monitor.is_stuck or value_c(made, "bedroom") > 25.0
    made.broken_relays.clear()
    made.has_source = False
    made.run(4 * DAY_MS)
    assert all(zone.heating_monitor.is_failing for zone in made.control.state.zones)


def test_active_sensors_of_a_block_count_alone() -> None:
    night = msgspec.structs.replace(WEEK.blocks[1], sensors=("b",))
    program = ZoneProgram(schedules={"w": Schedule("w", (WEEK.blocks[0], night))}, schedule="w")
    settings = ClimateSettings(zones=(ZoneSettings(zone_id="z", sensors=(("a", 1.0), ("b", 1.0))),))
    moment = Now("boot", 10_000_000, WINTER_MS)
    control = ClimateController(settings, ClimateSnapshot(), moment)
    control.set_program("z", program)
    both = {"a": SensorReading(20.0, moment.now_ms), "b": SensorReading(18.0, moment.now_ms)}
    control.step(moment, both, UTC)
    assert control.zones["z"].temperature.value_c == 18.0
    control.step(moment, {"a": both["a"]}, UTC)
    assert control.zones["z"].temperature.value_c == 20.0
    noon = Now("boot", 10_000_000, WINTER_MS + 12 * H_MS)
    control.step(noon, both, UTC)
    assert control.zones["z"].temperature.value_c == 19.0


def test_a_boost_ends_on_the_monotonic_clock_while_the_control_room_runs() -> None:
    settings = ClimateSettings(zones=(ZoneSettings(zone_id="z", sensors=(("a", 1.0),)),))
    moment = Now("boot", 10_000_000, None)
    control = ClimateController(settings, ClimateSnapshot(), moment)
    boost = Hold("b", HoldKind.BOOST, 24.0, until=Until.TIME, end_boot="boot", end_ms=10_060_000)
    control.set_program("z", with_hold(ZoneProgram(), boost, moment))
    control.step(moment, {}, UTC)
    assert control.zones["z"].heat_setpoint_c == 24.0
    control.step(Now("boot", 10_060_000, None), {}, UTC)
    assert control.zones["z"].heat_setpoint_c == 20.0
    assert control.zones["z"].program.holds == ()


def test_removed_and_added_zones_are_handled() -> None:
    made = home(ZoneProgram())
    made.run(H_MS)
    assert made.control is not None
    found = made.control.take_snapshot(made.now())
    assert msgspec.json.decode(msgspec.json.encode(found), type=ClimateSnapshot) == found
    other = ClimateSettings(zones=(ZoneSettings(zone_id="attic"), climate().zones[0]))
    control = ClimateController(other, found, made.now())
    assert list(control.zones) == ["attic", "living"]


def test_zone_whose_sensor_does_not_exist_names_it() -> None:
    control = ClimateController(climate(sensors=2), ClimateSnapshot(), Now("b", 0, None))
    made = control.step(Now("b", 10_000, None), {"kitchen 2": SensorReading(20.0, 9_000)})
    assert "no sensor has reported yet: living, living 2" in made.reasons[0]
    assert control.zones["kitchen"].temperature.problem == ""
    contact = {"living 2": (BinaryState("0x01", BinaryKind.CONTACT, is_active=False, since_ms=0, heard_ms=0),)}
    made = control.step(Now("b", 20_000, None), {}, binary_states=contact)
    assert control.zones["living"].temperature.problem == "no sensor has reported yet: living"
