"""Weather compensation of heated floors: the swing outdoors, what it takes of a zone, and what a bad sensor does."""

from math import cos, inf, nan, pi

import msgspec
import pytest

from agent.climate import weather_compensation
from agent.climate.controller import ClimateController
from agent.climate.coordinator import initial_state
from agent.climate.fusion import SensorReading
from agent.climate.model import DEFAULT_SETPOINTS, Mode, ZoneProgram
from agent.climate.optimum_start import LearnedDynamics
from agent.climate.settings import ClimateSettings, Emitter, ZoneSettings
from agent.climate.short_cycle_protection import ShortCycleState
from agent.climate.snapshot import ClimateSnapshot, ZoneSnapshot
from agent.climate.weather_compensation import (
    DAY_HOURS,
    DUTY_MAX,
    DUTY_PER_K_MAX,
    HOUR_S,
    HOURS_MIN,
    JUMP_K,
    LAG_HOURS,
    MEAN_S,
    OutdoorHistory,
    WeatherResponse,
    advance_history,
    compensation_duty,
    expected_above_k,
    learn_hour,
)
from agent.climate.zone_compensation import ZoneCompensation
from agent.climate.zone_state import ZoneRequest, ZoneState
from agent.foundation.clock import Now
from hal.interface import HvacAction

STEP_S = 300.0
HOUR_MS = 3_600_000
FLOOR = ZoneSettings(zone_id="a", emitter=Emitter.FLOOR.value)
AFTER = initial_state(ClimateSettings(zones=(FLOOR,)), 0).zones[0]
STATE_OF = msgspec.structs.replace


def outdoors_c(hour: float) -> float:
    """Return a clear winter day: coldest at 3, warmest at 15."""
    return -4.0 + 5.0 * cos(2 * pi * (hour - 15.0) / 24.0)


def history_after(days: float) -> OutdoorHistory:
    """Return the history after some clear days from midnight on."""
    history = OutdoorHistory()
    for step in range(round(days * 86_400 / STEP_S)):
        at_s = step * STEP_S
        history = advance_history(history, outdoors_c(at_s / HOUR_S), dt_s=STEP_S, utc_ms=round(at_s * 1000))
    return history


def response(slope: float) -> WeatherResponse:
    """Return what two days with such a slope teach, at 5 K of swing."""
    found = WeatherResponse()
    for hour in range(2 * DAY_HOURS):
        above_k = outdoors_c(hour) + 4.0
        found = learn_hour(found, needed_duty=0.5 - slope * above_k, above_k=above_k)
    return found


def test_the_present_swing_is_that_from_the_mean_of_two_days() -> None:
    at_noon, at_night = history_after(6.5), history_after(6.0)
    assert at_noon.mean_c == pytest.approx(-4.0, abs=1.5)
    assert at_noon.above_k > 2.0
    assert at_night.above_k < -2.0


def test_the_hours_to_come_add_what_they_usually_add() -> None:
    history = history_after(6.0)
    assert history.above_k > outdoors_c(1) + 4.0
    night = expected_above_k(history, 0)
    assert night == pytest.approx(outdoors_c(LAG_HOURS) - (history.mean_c or 0.0), abs=1.2)
    assert expected_above_k(history, None) == history.above_k


def test_a_lost_sensor_is_forgotten_without_a_step() -> None:
    history = history_after(6.0)
    after = advance_history(history, None, dt_s=STEP_S, utc_ms=0)
    assert after.above_k == pytest.approx(history.above_k, rel=0.02)
    for _ in range(round(36 * HOUR_S / STEP_S)):
        after = advance_history(after, None, dt_s=STEP_S, utc_ms=0)
    assert abs(after.above_k) < 0.02
    assert advance_history(OutdoorHistory(), None, dt_s=STEP_S, utc_ms=0) == OutdoorHistory()


def test_another_sensor_moves_the_mean_not_the_swing() -> None:
    history = history_after(6.0)
    after = advance_history(history, outdoors_c(0) + JUMP_K + 6.0, dt_s=STEP_S, utc_ms=0)
    assert (after.above_k, after.usual_k) == (0.0, history.usual_k)


def test_a_stuck_sensor_shows_no_swing_after_days() -> None:
    history = history_after(6.0)
    for _ in range(round(5 * 86_400 / STEP_S)):
        history = advance_history(history, -9.0, dt_s=STEP_S, utc_ms=None)
    assert abs(history.above_k) < 0.5


def test_the_slope_is_learned_and_shrunk() -> None:
    assert 0.005 < response(0.012).duty_per_k < 0.012
    assert response(0.2).duty_per_k == DUTY_PER_K_MAX
    assert response(-0.01).duty_per_k == 0.0
    few = STATE_OF(response(0.012), hours=HOURS_MIN - 1)
    assert few.duty_per_k == 0.0


def test_a_swing_of_tenths_teaches_next_to_nothing() -> None:
    found = WeatherResponse()
    for hour in range(2 * DAY_HOURS):
        sign = 1.0 if hour % 2 else -1.0
        found = learn_hour(found, needed_duty=0.5 - 0.1 * sign, above_k=0.3 * sign)
    assert 0.0 < found.duty_per_k < 0.006


def test_cold_adds_duty_within_its_bound() -> None:
    cold, warm = OutdoorHistory(0.0, 1.0, -5.0), OutdoorHistory(0.0, 1.0, 5.0)
    assert compensation_duty(response(0.012), cold, 0) > 0.02
    assert compensation_duty(response(0.012), warm, 0) < -0.02
    assert compensation_duty(WeatherResponse(), cold, 0) == 0.0
    bitter = OutdoorHistory(0.0, 1.0, -40.0)
    assert compensation_duty(response(0.2), bitter, 0) == DUTY_MAX
    assert compensation_duty(response(0.2), STATE_OF(bitter, above_k=40.0), 0) == -DUTY_MAX


@pytest.mark.parametrize(
    "damaged",
    [
        OutdoorHistory(nan, 1.0),
        OutdoorHistory(0.0, inf),
        OutdoorHistory(0.0, -1.0),
        OutdoorHistory(0.0, 1.0, nan),
        OutdoorHistory(0.0, 1.0, 0.0, (0.0,) * 3),
        OutdoorHistory(0.0, 1.0, 0.0, (1e9,) * DAY_HOURS),
    ],
)
def test_a_damaged_history_is_none(damaged: OutdoorHistory) -> None:
    assert weather_compensation.restore_history(damaged) == OutdoorHistory()


@pytest.mark.parametrize(
    "damaged",
    [
        WeatherResponse(-1),
        WeatherResponse(10**9),
        WeatherResponse(30, nan),
        WeatherResponse(30, 0.5, -301.0),
        WeatherResponse(30, 0.5, inf),
        WeatherResponse(30, 0.5, 1.0, nan),
    ],
)
def test_a_damaged_response_is_none(damaged: WeatherResponse) -> None:
    assert ZoneCompensation(FLOOR, damaged).response == WeatherResponse()


def test_what_is_good_is_restored() -> None:
    history, known = history_after(3.0), response(0.012)
    assert weather_compensation.restore_history(history) == history
    assert ZoneCompensation(FLOOR, known).response == known


def taught(settings: ZoneSettings, after: ZoneState, hours: int = 60, *, setpoints: int = 1) -> WeatherResponse:
    """Return what a zone learns in some clear hours whose duty follows the weather, three hours late."""
    zone = ZoneCompensation(settings, WeatherResponse())
    for step in range(round(hours * HOUR_S / STEP_S)):
        hour = step * STEP_S / HOUR_S
        above_k = outdoors_c(hour) + 4.0
        duty = 0.5 - 0.01 * (outdoors_c(hour + LAG_HOURS) + 4.0)
        wanted = ZoneRequest(HvacAction.HEAT, duty, 0.0, False, "")
        setpoint_c = 20.0 + step % setpoints
        zone.learn(OutdoorHistory(-4.0, 1.0, above_k), after, wanted, setpoint_c=setpoint_c, dt_s=STEP_S)
    return zone.response


def test_a_floor_learns_what_it_gave_before() -> None:
    assert 0.005 < taught(FLOOR, AFTER).duty_per_k <= 0.012


def test_what_the_room_was_short_of_is_added() -> None:
    zone, short_k = ZoneCompensation(FLOOR, WeatherResponse()), 0.2
    wanted = ZoneRequest(HvacAction.HEAT, 0.4, short_k, False, "")
    for _ in range(round((LAG_HOURS + 1) * HOUR_S / STEP_S) + 1):
        zone.learn(OutdoorHistory(0.0, 1.0, 1.0), AFTER, wanted, setpoint_c=20.0, dt_s=STEP_S)
    assert zone.response.mean_duty == pytest.approx(0.4 + 0.35 * short_k)


@pytest.mark.parametrize(
    "after",
    [
        STATE_OF(AFTER, is_ramp=True),
        STATE_OF(AFTER, is_frost=True),
        STATE_OF(AFTER, is_floor_hot=True),
        STATE_OF(AFTER, lost_since_ms=5),
        STATE_OF(AFTER, direction=HvacAction.COOL),
        STATE_OF(AFTER, window=STATE_OF(AFTER.window, open_since_ms=5)),
    ],
)
def test_hours_that_the_law_does_not_keep_teach_nothing(after: ZoneState) -> None:
    assert taught(FLOOR, after) == WeatherResponse()


def test_neither_a_new_setpoint_nor_other_emitters_nor_no_sensor_teach() -> None:
    assert taught(FLOOR, AFTER, setpoints=2) == WeatherResponse()
    radiator = ZoneSettings(zone_id="a", emitter=Emitter.RADIATOR.value)
    assert taught(radiator, AFTER) == WeatherResponse()
    assert ZoneCompensation(radiator, response(0.012)).duty(OutdoorHistory(0.0, 1.0, -5.0), 0) == 0.0
    assert ZoneCompensation(FLOOR, response(0.012)).duty(OutdoorHistory(0.0, 1.0, -5.0), 0) > 0.02
    zone = ZoneCompensation(FLOOR, WeatherResponse())
    for _ in range(200):
        wanted = ZoneRequest(HvacAction.HEAT, 0.5, 0.0, False, "")
        zone.learn(OutdoorHistory(), AFTER, wanted, setpoint_c=20.0, dt_s=STEP_S)
    assert zone.response == WeatherResponse()


def saved_home(above_k: float) -> ClimateSnapshot:
    """Return a home whose floor has learned, at so many kelvins above the mean outdoors."""
    zone = ZoneSnapshot(
        ZoneProgram(mode=Mode.HEAT), learned=LearnedDynamics(weather=response(0.012)), relay=ShortCycleState(False, 0)
    )
    return ClimateSnapshot(zones={"a": zone}, outdoor_history=OutdoorHistory(-4.0, MEAN_S, above_k))


def duty_in(saved: ClimateSnapshot, *, hours_without: float = 0.0) -> float:
    """Return the duty of the home's floor a little below its setpoint, the outdoor temperature being known or not."""
    settings = ClimateSettings(zones=(STATE_OF(FLOOR, sensors=(("a", 1.0),)),), outdoor_sensor="outside")
    control = ClimateController(settings, saved, Now("boot", 0, 0))
    outside_c = -4.0 + saved.outdoor_history.above_k
    duty = 0.0
    for minute in range(1, 2 + round(hours_without * 60)):
        now = Now("boot", minute * 60_000, minute * 60_000)
        readings = {"a": SensorReading(DEFAULT_SETPOINTS.heat_setpoint_c - 0.5, now.now_ms)}
        if hours_without == 0.0:
            readings["outside"] = SensorReading(outside_c, now.now_ms)
        duty = control.step(now, readings).requests[0].duty
    return duty


def test_a_floor_gets_more_in_the_cold_and_nothing_is_lost_over_a_restart() -> None:
    cold, usual, warm = (duty_in(saved_home(above_k)) for above_k in (-5.0, 0.0, 5.0))
    assert cold > usual + 0.02
    assert warm < usual - 0.02
    settings = ClimateSettings(zones=(FLOOR,), outdoor_sensor="outside")
    control = ClimateController(settings, saved_home(-5.0), Now("boot", 0, 0))
    saved = control.take_snapshot(Now("boot", 1000, 1000))
    assert saved.outdoor_history == saved_home(-5.0).outdoor_history
    assert saved.zones["a"].learned.weather == response(0.012)
    control.zones["a"].compensation.response = response(0.02)
    assert control.take_snapshot(Now("boot", 2000, 2000)).zones["a"].learned.weather == response(0.02)
    control.restore_zone("a", ZoneProgram(), LearnedDynamics())
    assert control.zones["a"].learned.weather == WeatherResponse()


def test_without_the_sensor_the_floor_is_as_without_compensation_after_a_day() -> None:
    forgotten, never = (duty_in(saved_home(above_k), hours_without=24.0) for above_k in (-5.0, 0.0))
    assert forgotten == pytest.approx(never, abs=0.01)
