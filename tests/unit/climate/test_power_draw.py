"""Equipment that is called for and draws no power is a fault; its own pauses, and a plug that is silent, are none."""

from collections.abc import Callable

import msgspec
import pytest

from agent.climate import power_draw
from agent.climate.controller import ClimateController
from agent.climate.fusion import SensorReading
from agent.climate.model import Mode, Setpoints, ZoneProgram
from agent.climate.power_draw import (
    AGE_S_MAX,
    DISBELIEVED_S,
    FORGETTING_S,
    KNOWN_S,
    PATIENT_S,
    PAUSE_K,
    REST_S,
    SETTLED_S,
    SILENT_S_FIRST,
    SILENT_S_MIN,
    WATTS_MAX,
    PowerDraw,
)
from agent.climate.settings import ClimateSettings, ZoneSettings
from agent.climate.snapshot import ClimateSnapshot
from agent.foundation.clock import Now
from hal.interface import HvacAction
from hal.radio import PowerState

SETPOINT_C, ROOM_C = 21.0, 20.6
MINUTE_S = 60.0
DAY_MINUTES = 1440
PANEL_W, STANDBY_W = 1000.0, 1.5
PATIENT_MIN = round(PATIENT_S / MINUTE_S)


class Zone:
    """A zone with a plug that reports each minute."""

    def __init__(self, draw: PowerDraw | None = None) -> None:
        self.draw = draw or PowerDraw()
        self.now_ms = 0

    def run(
        self,
        minutes: float,
        watts: float | None,
        *,
        action: HvacAction = HvacAction.HEAT,
        room_c: float = ROOM_C,
        age_s: float = 0.0,
        step_min: int = 1,
    ) -> bool:
        """Let some minutes pass; return whether a fault is reported at their end."""
        for _ in range(round(minutes / step_min)):
            self.now_ms += step_min * 60_000
            power = None if watts is None else PowerState("plug", watts, self.now_ms - round(age_s * 1000))
            self.draw = power_draw.advance(
                self.draw,
                power=power,
                now_ms=self.now_ms,
                room_c=room_c,
                setpoint_c=SETPOINT_C,
                action=action,
                is_full=action is HvacAction.HEAT,
                dt_s=step_min * MINUTE_S,
            )
        return self.draw.is_failing

    def rest(self, minutes: float, watts: float = STANDBY_W) -> bool:
        """Let some minutes pass with the output off."""
        return self.run(minutes, watts, action=HvacAction.OFF)


def learned(watts: float = PANEL_W, *, idle_w: float = STANDBY_W, minutes: int = PATIENT_MIN) -> Zone:
    """Return a zone whose equipment has drawn power for some time, and has rested."""
    zone = Zone()
    zone.rest(60, idle_w)
    zone.run(minutes, watts)
    return zone


def test_equipment_that_is_called_for_and_draws_nothing_is_a_fault_until_it_draws_power() -> None:
    zone = learned()
    assert not zone.run(SILENT_S_MIN / MINUTE_S - 1, STANDBY_W)
    assert not zone.draw.problem
    assert zone.run(1, STANDBY_W)
    assert "shows no power" in zone.draw.problem
    zone.rest(60)
    assert zone.run(60, 0.0)
    assert not zone.run(1, PANEL_W)
    assert zone.draw.longest_s == pytest.approx(0.0), "what was silent until a repair does not pause by itself"


def test_the_silence_of_short_pulses_adds_up_and_rests_do_not_count() -> None:
    zone = learned()
    for pulse in range(1, 4):
        assert not zone.rest(DAY_MINUTES)
        assert zone.run(5, STANDBY_W) is (pulse == 3)


def test_before_half_a_day_of_drawing_power_it_takes_an_hour_and_a_colder_room() -> None:
    zone = learned(minutes=round(KNOWN_S / MINUTE_S) + 1)
    first = zone.draw
    assert not zone.run(3 * SILENT_S_FIRST / MINUTE_S, 0.0), "a thermostat of its own may have switched it off"
    zone = Zone(first)
    assert not zone.run(SILENT_S_FIRST / MINUTE_S - 1, 0.0, room_c=ROOM_C - PAUSE_K)
    assert zone.run(1, 0.0, room_c=ROOM_C - PAUSE_K)
    assert not learned(minutes=round(KNOWN_S / MINUTE_S) - 1).run(DAY_MINUTES, 0.0, room_c=15.0)


@pytest.mark.parametrize("knob_c", [20.4, 21.5])
def test_a_thermostat_inside_a_panel_is_no_fault_from_the_first_day_on(knob_c: float) -> None:
    """It switches 0.5 K about its knob; the sun holds the room there for an afternoon, each day a little longer."""
    zone, room_c, is_closed, drawn = Zone(), 18.0, True, 0
    for minute in range(10 * DAY_MINUTES):
        of_day, day = minute % DAY_MINUTES, minute // DAY_MINUTES
        is_closed = room_c < knob_c + (0.5 if is_closed else -0.5)
        is_called = room_c < SETPOINT_C
        is_sunny = 600 <= of_day < 700 + 40 * day
        draws = is_called and is_closed
        drawn += draws
        room_c += 0.01 if draws else -0.004
        if is_sunny:
            room_c = max(room_c, min(room_c + 0.008, knob_c))
        watts = PANEL_W if draws else STANDBY_W
        action = HvacAction.HEAT if is_called else HvacAction.OFF
        assert not zone.run(1, watts, action=action, room_c=room_c), minute
    assert drawn > DAY_MINUTES
    assert zone.draw.is_known
    assert zone.run(4 * 60, 0.0, room_c=room_c - 1.5), "a dead panel in a cold room is one"


def test_pauses_of_its_own_in_a_cold_room_are_learned_and_forgotten() -> None:
    zone = learned(minutes=round(KNOWN_S / MINUTE_S) + 1)
    zone.run(50, STANDBY_W, room_c=18.0)
    zone.run(PATIENT_MIN, PANEL_W)
    assert not zone.run(70, STANDBY_W, room_c=18.0)
    assert zone.run(10, STANDBY_W, room_c=18.0)
    zone.run(6 * FORGETTING_S / MINUTE_S, PANEL_W, step_min=30)
    assert zone.draw.silent_s_max == SILENT_S_MIN


def test_equipment_that_was_once_silent_for_hours_tells_nothing() -> None:
    zone = learned(minutes=round(KNOWN_S / MINUTE_S) - 30)
    zone.run(150, STANDBY_W, room_c=18.0)
    zone.run(PATIENT_MIN, PANEL_W)
    assert not zone.run(DAY_MINUTES, STANDBY_W, room_c=15.0)


@pytest.mark.parametrize(
    ("usual_w", "idle_w", "low_w"),
    [(1200.0, 30.0, 200.0), (24.0, 1.0, 5.0), (2000.0, 0.0, 500.0)],
    ids=["inverter", "pump that regulates itself", "panel in steps"],
)
def test_equipment_that_modulates_draws_power_at_its_lowest_too(usual_w: float, idle_w: float, low_w: float) -> None:
    zone = learned(usual_w, idle_w=idle_w)
    assert not zone.run(DAY_MINUTES, low_w)
    zone = learned(usual_w, idle_w=idle_w)
    assert zone.run(60, idle_w)


def test_what_is_drawn_soon_after_a_call_is_not_drawn_at_rest() -> None:
    zone = learned()
    zone.rest(REST_S / MINUTE_S - 1, PANEL_W)
    zone.rest(60)
    assert zone.run(SILENT_S_MIN / MINUTE_S, STANDBY_W)


@pytest.mark.parametrize(
    ("usual_w", "idle_w"), [(60.0, 40.0), (5.0, 0.5), (0.0, 0.0)], ids=["a lamp beside it", "too little", "nothing"]
)
def test_a_plug_on_which_a_call_does_not_clearly_show_tells_nothing(usual_w: float, idle_w: float) -> None:
    zone = learned(usual_w, idle_w=idle_w)
    assert not zone.run(DAY_MINUTES, 0.0, room_c=15.0)


def test_a_plug_that_reports_changes_only_is_believed_within_a_call_and_not_beyond() -> None:
    """Its last value of a rest says nothing about the call that follows, and none says anything for ever."""
    zone = learned()
    zone.rest(30)
    for minute in range(1, round(AGE_S_MAX / MINUTE_S)):
        zone.run(1, STANDBY_W, age_s=minute * MINUTE_S + 1.0)
        assert zone.draw.silent_s == 0.0
    zone = learned()
    zone.run(1, STANDBY_W)
    for minute in range(1, 60):
        zone.run(1, STANDBY_W, age_s=minute * MINUTE_S)
    assert zone.draw.silent_s == 0.0, "a plug that is gone says nothing"


def test_a_plug_that_is_gone_proves_nothing_and_a_fault_stays_one() -> None:
    zone = learned()
    zone.run(SILENT_S_MIN / MINUTE_S - 1, 0.0)
    zone.run(1, None)
    assert not zone.run(SILENT_S_MIN / MINUTE_S - 1, 0.0)
    assert zone.run(1, 0.0)
    assert zone.run(2 * DAY_MINUTES, None, room_c=20.0)
    paused = power_draw.pause(zone.draw)
    assert paused.is_failing
    assert not power_draw.expect_no_call(paused).is_failing
    assert not zone.run(DISBELIEVED_S / MINUTE_S, None, room_c=20.9), "the room is warm: it was repaired"
    assert zone.draw == PowerDraw()


def test_a_room_that_stays_at_its_setpoint_says_that_the_equipment_hangs_on_another_plug() -> None:
    zone = learned()
    zone.run(SILENT_S_MIN / MINUTE_S, 0.0, room_c=20.5)
    assert zone.run(DISBELIEVED_S / MINUTE_S - 1, 0.0, room_c=20.9)
    assert zone.run(1, 0.0, room_c=20.0)
    assert zone.run(60, 0.0, room_c=20.9), "a room that cools starts it anew"
    assert not zone.run(DISBELIEVED_S / MINUTE_S, 0.0, room_c=20.9)
    assert not zone.run(3 * DAY_MINUTES, 0.0, room_c=20.9)


def test_cooling_is_neither_a_call_nor_a_rest() -> None:
    zone = learned()
    assert not zone.run(DAY_MINUTES, 900.0, action=HvacAction.COOL)
    assert zone.draw.idle_w == pytest.approx(STANDBY_W, rel=0.2)
    assert zone.run(SILENT_S_MIN / MINUTE_S, STANDBY_W)


def test_numbers_of_a_damaged_file_are_kept_in_bounds() -> None:
    saved = PowerDraw(-1.0, 1e9, 1e9, 1e9, 5.0, 5.0, 5.0, 5.0, 1e9, -1.0, is_failing=True, reached_s=1e9)
    assert power_draw.restore(saved) == PowerDraw(
        usual_w=WATTS_MAX, learned_s=PATIENT_S, drawn_c=55.0, longest_s=DISBELIEVED_S, is_failing=True
    )


def test_a_meter_that_shows_a_little_less_than_nothing_shows_a_fault() -> None:
    assert learned().run(SILENT_S_MIN / MINUTE_S, -0.4)


@pytest.mark.parametrize(
    ("power", "watts"),
    [
        (None, None),
        (PowerState("p", 60.0, 0), 60.0),
        (PowerState("p", -0.4, 0), 0.0),
        (PowerState("p", -60.0, 0), None),
        (PowerState("p", WATTS_MAX + 1.0, 0), None),
        (PowerState("p", float("nan"), 0), None),
        (PowerState("p", 60.0, -round(AGE_S_MAX * 1000) - 1), None),
    ],
)
def test_a_value_counts_while_it_is_plausible_and_recent(power: PowerState | None, watts: float | None) -> None:
    assert power_draw.known_w(power, now_ms=0) == watts


def test_plugs_are_found_by_the_name_that_people_gave_them_or_by_address() -> None:
    state, other = PowerState("0x1", 5.0, 0), PowerState("0x2", 6.0, 0)
    found = power_draw.find_powers(["panel", "0x2", "gone"], [state, other], lambda: {"panel": "0x1"})
    assert found == {"panel": state, "0x2": other}

    def never() -> dict[str, str]:
        raise AssertionError("a hub without plugs needs no names")

    assert not power_draw.find_powers(["panel"], [], never)


def drive(
    control: ClimateController, hours: range, watts_of: Callable[[bool], float], *, boot: str = "b"
) -> int | None:
    """Return the minutes until a report, with a room that stays at 20.6 °C."""
    for minute in range(hours.start * 60, hours.stop * 60):
        now_ms = minute * 60_000
        is_on = control.state.zones[0].action is HvacAction.HEAT
        readings = {"t": SensorReading(20.6 + 0.01 * (minute % 2), now_ms)}
        control.step(Now(boot, now_ms, None), readings, powers={"plug": PowerState("0x1", watts_of(is_on), now_ms)})
        if control.state.zones[0].problem:
            return minute - hours.start * 60
    return None


def test_a_panel_without_power_is_reported_while_its_room_is_still_warm_and_after_a_restart() -> None:
    zone = ZoneSettings(zone_id="a", sensors=(("t", 1.0),), power_meter="plug")
    settings = ClimateSettings(zones=(zone,))
    control = ClimateController(settings, ClimateSnapshot(), Now("b", 0, None))
    control.set_program("a", ZoneProgram(mode=Mode.HEAT, setpoints=Setpoints(SETPOINT_C, 28.0)))
    assert drive(control, range(72), lambda is_on: PANEL_W if is_on else STANDBY_W) is None
    after_min = drive(control, range(72, 78), lambda _: STANDBY_W)
    assert after_min is not None
    assert after_min < 60
    (state,) = control.state.zones
    assert state.is_unheated
    assert not state.heating_monitor.is_failing
    assert state.problem == state.equipment_problem == state.power_draw.problem
    saved = msgspec.json.decode(
        msgspec.json.encode(control.take_snapshot(Now("b", 78 * 3_600_000, None))), type=ClimateSnapshot
    )
    again = ClimateController(settings, saved, Now("c", 1000, None))
    assert again.state.zones[0].problem == state.problem
    bare = ClimateController(
        ClimateSettings(zones=(msgspec.structs.replace(zone, power_meter=""),)), saved, Now("c", 1000, None)
    )
    bare.step(Now("c", 2000, None), {"t": SensorReading(20.6, 2000)})
    assert not bare.state.zones[0].problem, "the configuration names no plug any more"
    again.step(Now("c", 2000, None), {})
    assert again.state.zones[0].power_draw.is_failing, "a room that is not known changes nothing"
    again.set_program("a", ZoneProgram(mode=Mode.OFF, setpoints=Setpoints(SETPOINT_C, 28.0)))
    again.step(Now("c", 3000, None), {"t": SensorReading(20.6, 3000)})
    assert not again.state.zones[0].problem


def test_what_is_drawn_in_the_steady_part_of_a_call_is_known_and_no_inrush_no_rest_and_no_older_value_counts() -> None:
    def settled(zone: Zone, watts: float, age_s: float = 0.0) -> float | None:
        power = PowerState("plug", watts, zone.now_ms - round(age_s * 1000))
        return power_draw.settled_w(zone.draw, power, now_ms=zone.now_ms)

    zone = learned()
    zone.rest(30)
    assert settled(zone, PANEL_W) is None, "it is not called for"
    zone.run(SETTLED_S / MINUTE_S - 1, PANEL_W)
    assert settled(zone, PANEL_W) is None
    zone.run(1, PANEL_W)
    assert settled(zone, 1.2 * PANEL_W) == 1.2 * PANEL_W
    assert settled(zone, 1.2 * PANEL_W, age_s=1.0) is None, "it was measured before that"
    assert settled(zone, STANDBY_W) is None, "it pauses by itself"
    zone.run(60, PANEL_W)
    assert settled(zone, PANEL_W, age_s=AGE_S_MAX + 1) is None
    assert power_draw.settled_w(zone.draw, None, now_ms=zone.now_ms) is None
    fresh = Zone()
    fresh.run(KNOWN_S / MINUTE_S - 1, PANEL_W)
    assert settled(fresh, PANEL_W) is None, "what it draws at rest and in a call is not known yet"
