"""A supply pipe that stays cold while its zone is heated is a fault; what keeps it cold for a while is none."""

import msgspec
import pytest

from agent.climate import supply_pipe
from agent.climate.controller import ClimateController
from agent.climate.fusion import SensorReading
from agent.climate.model import Mode, Setpoints, ZoneProgram
from agent.climate.settings import PI_SETTINGS, ClimateSettings, Emitter, ZoneSettings
from agent.climate.snapshot import ClimateSnapshot
from agent.climate.supply_pipe import (
    COLD_FACTOR,
    COLD_S_FIRST,
    COLD_S_MIN,
    DISBELIEVED_S,
    FORGETTING_S,
    KNOWN_S,
    PATIENT_S,
    USUAL_K_MIN,
    SupplyPipe,
)
from agent.foundation.clock import Now
from hal.interface import HvacAction, Quality

SETPOINT_C = 21.0
MINUTE_S = 60.0
DAY_MINUTES = 1440
STEP_MINUTES = 3


def run(
    pipe: SupplyPipe,
    minutes: float,
    supply_c: float | None,
    *,
    is_heated: bool = True,
    room_c: float = 20.5,
    is_slow: bool = True,
) -> SupplyPipe:
    """Return what is known after some minutes with one temperature of the pipe."""
    for _ in range(round(minutes)):
        pipe = supply_pipe.advance(
            pipe,
            supply_c=supply_c,
            room_c=room_c,
            setpoint_c=SETPOINT_C,
            is_heated=is_heated,
            is_slow=is_slow,
            dt_s=MINUTE_S,
        )
    return pipe


def learned(supply_c: float = 35.0, minutes: float = PATIENT_S / MINUTE_S) -> SupplyPipe:
    """Return what is known after so much heating with a warm pipe."""
    return run(SupplyPipe(), minutes, supply_c)


def test_a_pipe_that_stays_cold_through_half_an_hour_of_heating_is_a_fault_until_it_is_warm() -> None:
    pipe = run(learned(), COLD_S_MIN / MINUTE_S - 1, 21.0)
    assert not pipe.is_failing
    assert not pipe.problem
    pipe = run(pipe, 1, 21.0)
    assert pipe.is_failing
    assert "check" in pipe.problem
    assert run(pipe, 60, 24.0).is_failing
    pipe = run(pipe, 1, 34.0)
    assert not pipe.is_failing
    assert pipe.cold_s == 0.0
    assert pipe.longest_s == pytest.approx(0.0), "what was cold until a repair is not usual"


def test_a_floor_that_is_less_warm_on_a_mild_morning_is_no_fault_but_one_of_which_only_the_room_is_left_is() -> None:
    """Pulses of seven minutes: healthy ones reach 0.45 of the usual excess (measured in a house of two floors)."""
    pipe = learned(supply_c=34.1)
    mild = cold = pipe
    for _ in range(12):
        mild = run(run(mild, 40, 22.0, is_heated=False), 7, 20.5 + 0.45 * pipe.usual_k)
        cold = run(run(cold, 40, 22.0, is_heated=False), 7, 20.5 + 0.25 * pipe.usual_k)
    assert not mild.is_failing
    assert cold.is_failing


def test_only_heating_counts() -> None:
    assert not run(learned(), DAY_MINUTES, 20.0, is_heated=False).is_failing


def test_in_the_first_day_hot_water_may_have_its_turn_for_most_of_an_hour() -> None:
    pipe = learned(minutes=KNOWN_S / MINUTE_S + 1)
    assert not run(pipe, COLD_S_FIRST / MINUTE_S - 1, 21.0).is_failing
    assert run(pipe, COLD_S_FIRST / MINUTE_S, 21.0).is_failing


def test_how_long_hot_water_keeps_the_pipe_cold_is_learned_and_forgotten() -> None:
    first = learned(minutes=KNOWN_S / MINUTE_S + 1)
    pipe = run(run(first, 50, 21.0), PATIENT_S / MINUTE_S, 35.0)
    assert pipe.cold_s_max == pytest.approx(COLD_FACTOR * 50 * MINUTE_S, rel=0.1)
    assert not run(pipe, 60, 21.0).is_failing
    assert run(pipe, 80, 21.0).is_failing
    assert run(pipe, 2 * FORGETTING_S / MINUTE_S, 35.0).cold_s_max == COLD_S_MIN


def test_a_flow_that_falls_with_milder_weather_or_was_set_lower_is_no_fault() -> None:
    pipe = learned(supply_c=60.5)
    for minute in range(360):  # 40 K to 25 K within six hours of heating without a pause
        pipe = run(pipe, 1, 60.5 - 15.0 * minute / 360)
        assert not pipe.is_failing
    pipe = run(learned(supply_c=60.5), 60, 22.0, is_heated=False)
    for _ in range(60):
        pipe = run(run(pipe, 20, 43.0), 30, 22.0, is_heated=False)
        assert not pipe.is_failing


def test_short_pulses_of_radiators_on_a_mild_day_are_no_fault() -> None:
    """Each makes a quarter of the usual excess. Of a floor that much may come from its own warmth."""
    for is_slow in (False, True):
        pipe = learned(supply_c=60.5)
        for _ in range(8):
            pipe = run(run(pipe, 45, 24.0, is_heated=False, is_slow=is_slow), 6, 30.0, is_slow=is_slow)
        assert pipe.is_failing is is_slow


def test_a_pipe_that_is_never_clearly_warmer_than_the_room_tells_nothing() -> None:
    pipe = run(learned(supply_c=20.5 + USUAL_K_MIN - 0.1), DAY_MINUTES, 20.5)
    assert not pipe.is_failing
    assert not run(learned(minutes=KNOWN_S / MINUTE_S - 1), 60, 20.5).is_failing


def test_a_room_that_stays_at_its_setpoint_says_that_the_thermometer_has_come_off() -> None:
    pipe = run(learned(), COLD_S_MIN / MINUTE_S, 21.0)
    assert pipe.is_failing
    again = run(pipe, DISBELIEVED_S / MINUTE_S - 1, 21.0, room_c=20.9)
    assert again.is_failing
    assert run(run(again, 1, 21.0, room_c=20.0), 60, 21.0, room_c=20.9).is_failing, "a room that cools starts it anew"
    again = run(again, 1, 21.0, room_c=20.9)
    assert again == SupplyPipe()
    assert not run(again, 3 * DAY_MINUTES, 21.0, room_c=20.9).is_failing


def test_a_silent_thermometer_proves_nothing_and_a_fault_stays_one() -> None:
    pipe = run(learned(), COLD_S_MIN / MINUTE_S - 1, 21.0)
    silent = supply_pipe.advance(
        pipe, supply_c=None, room_c=20.0, setpoint_c=SETPOINT_C, is_heated=True, is_slow=True, dt_s=MINUTE_S
    )
    assert not run(silent, 5, 21.0).is_failing
    failing = supply_pipe.pause(run(pipe, 1, 21.0))
    assert failing.is_failing
    assert not supply_pipe.expect_no_heat(failing).is_failing
    assert supply_pipe.pause(SupplyPipe()) == SupplyPipe()
    assert run(failing, 2 * DAY_MINUTES, None, room_c=20.0).is_failing
    assert run(failing, 2 * DAY_MINUTES, None, is_heated=False, room_c=20.9).is_failing
    assert run(failing, DISBELIEVED_S / MINUTE_S, None, room_c=20.9) == SupplyPipe(), (
        "the room is warm: it was repaired"
    )


def test_numbers_of_a_damaged_file_are_kept_in_bounds() -> None:
    saved = SupplyPipe(usual_k=1e9, learned_s=-5.0, longest_s=1e9, is_failing=True, lowest_c=3.0, cold_s=1e9)
    assert supply_pipe.restore(saved) == SupplyPipe(usual_k=90.0, learned_s=0.0, longest_s=7200.0, is_failing=True)


@pytest.mark.parametrize(
    ("reading", "known_c"),
    [
        (None, None),
        (SensorReading(35.0, 0), 35.0),
        (SensorReading(35.0, 0, Quality.BAD), None),
        (SensorReading(-40.0, 0), None),
        (SensorReading(127.9, 0), None),
        (SensorReading(35.0, -7_200_001), None),
        (SensorReading(35.0, -7_200_001, Quality.GOOD, 9000.0), 35.0),
    ],
)
def test_a_reading_counts_while_it_is_good_plausible_and_recent(
    reading: SensorReading | None, known_c: float | None
) -> None:
    assert supply_pipe.known_pipe_c(reading, now_ms=0, stale_s=7200.0) == known_c


def test_a_floor_whose_pipe_stays_cold_is_reported_while_its_room_is_still_warm_and_after_a_restart() -> None:
    """The room stays at 20.8 °C all the time: only the pipe shows the fault."""
    zone = ZoneSettings(
        zone_id="a", sensors=(("t", 1.0),), law=PI_SETTINGS[Emitter.FLOOR], supply_sensor="p", emitter="floor"
    )
    control = ClimateController(ClimateSettings(zones=(zone,)), ClimateSnapshot(), Now("b", 0, None))
    control.set_program("a", ZoneProgram(mode=Mode.HEAT, setpoints=Setpoints(SETPOINT_C, 28.0)))

    def hours(begin_h: int, end_h: int, warm_c: float) -> int | None:
        """Return the minutes until a report; the pipe is warm while the output is on, and cold between."""
        for minute in range(begin_h * 60, end_h * 60, STEP_MINUTES):
            now_ms = minute * 60_000
            is_on = control.state.zones[0].action is HvacAction.HEAT
            # The room moves by a hundredth, as a sensor that works does.
            readings = {
                "t": SensorReading(20.8 + 0.01 * (minute // STEP_MINUTES % 2), now_ms),
                "p": SensorReading(warm_c if is_on else 21.0, now_ms),
            }
            control.step(Now("b", now_ms, None), readings)
            if control.state.zones[0].problem:
                return minute - begin_h * 60
        return None

    assert hours(0, 72, 33.0) is None
    after_min = hours(72, 78, 21.5)
    assert after_min is not None
    assert after_min < 180
    (state,) = control.state.zones
    assert state.is_unheated
    assert not state.heating_monitor.is_failing
    assert state.problem == state.supply_pipe.problem
    saved = msgspec.json.decode(
        msgspec.json.encode(control.take_snapshot(Now("b", 78 * 3_600_000, None))), type=ClimateSnapshot
    )
    again = ClimateController(ClimateSettings(zones=(zone,)), saved, Now("c", 1000, None))
    assert again.state.zones[0].problem == state.problem
    bare = ClimateController(
        ClimateSettings(zones=(msgspec.structs.replace(zone, supply_sensor=""),)), saved, Now("c", 1000, None)
    )
    bare.step(Now("c", 2000, None), {"t": SensorReading(20.8, 2000)})
    assert not bare.state.zones[0].problem, "the configuration names no thermometer any more"
    again.set_program("a", ZoneProgram(mode=Mode.OFF, setpoints=Setpoints(SETPOINT_C, 28.0)))
    again.step(Now("c", 2000, None), {"t": SensorReading(20.8, 2000), "p": SensorReading(21.0, 2000)})
    assert not again.state.zones[0].problem
