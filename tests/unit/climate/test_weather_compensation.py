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
    assert expected_above_k(after, 0) == pytest.approx(expected_above_k(history, 0), rel=0.02)
    for _ in range(round(36 * HOUR_S / STEP_S)):
        after = advance_history(after, None, dt_s=STEP_S, utc_ms=0)
    assert abs(after.above_k) < 0.02
    assert advance_history(OutdoorHistory(), None, dt_s=STEP_S, utc_ms=0) == OutdoorHistory()


def test_a_lost_sensor_forecasts_nothing_until_it_is_back() -> None:
    """Found by review: what the hours usually add moved the duty every day without any reading."""
    lost = history = history_after(6.0)
    for _ in range(round(36 * HOUR_S / STEP_S)):
        lost = advance_history(lost, None, dt_s=STEP_S, utc_ms=0)
    assert max(abs(expected_above_k(lost, hour * HOUR_MS)) for hour in range(DAY_HOURS)) < 0.05
    assert lost.usual_k == history.usual_k
    back = lost
    for _ in range(round(3 * HOUR_S / STEP_S)):
        back = advance_history(back, outdoors_c(0), dt_s=STEP_S, utc_ms=None)
    assert expected_above_k(back, 20 * HOUR_MS) - back.above_k < -2.0


def test_another_sensor_moves_the_mean_and_the_swing_fades() -> None:
    history = history_after(6.0)
    other_c = outdoors_c(0) + JUMP_K + 6.0
    after = advance_history(history, other_c, dt_s=STEP_S, utc_ms=0)
    assert (after.mean_c, after.s) == (other_c, 0.0)
    assert after.above_k == pytest.approx(history.above_k, rel=0.2)
    for _ in range(round(3 * HOUR_S / STEP_S)):
        after = advance_history(after, other_c, dt_s=STEP_S, utc_ms=None)
    assert abs(after.above_k) < 0.02
    assert after.usual_k[1:] == history.usual_k[1:]


def test_a_cold_front_is_no_other_sensor() -> None:
    """Found by review: the reading was compared with the smoothed swing, so a front moved the mean, and the duty by
    0.2 in one step."""
    history, outdoor_c = history_after(6.5), outdoors_c(12)
    for _ in range(8):
        outdoor_c -= 2.5
        after = advance_history(history, outdoor_c, dt_s=STEP_S, utc_ms=12 * HOUR_MS)
        assert after.s == MEAN_S
        assert abs(after.above_k - history.above_k) < JUMP_K / 2
        history = after
    assert history.above_k < -5.0


def test_a_sensor_that_comes_back_after_weeks_begins_a_new_mean() -> None:
    history = history_after(6.0)
    for _ in range(30 * DAY_HOURS):
        history = advance_history(history, None, dt_s=HOUR_S, utc_ms=0)
    after = advance_history(history, outdoors_c(0) + JUMP_K - 1.0, dt_s=STEP_S, utc_ms=0)
    assert abs(after.above_k) < 0.1


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
        OutdoorHistory(0.0, 1.0, known_share=nan),
        OutdoorHistory(0.0, 1.0, known_share=1.1),
        OutdoorHistory(0.0, 1.0, known_share=-0.1),
        OutdoorHistory(0.0, 1.0, last_c=nan),
        OutdoorHistory(0.0, 1.0, last_c=1e9),
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


def test_an_older_file_is_read() -> None:
    usual = ",".join(["0.5"] * DAY_HOURS)
    saved = f'{{"mean_c":-4.0,"s":7200.0,"above_k":-3.0,"usual_k":[{usual}]}}'
    older = weather_compensation.restore_history(msgspec.json.decode(saved, type=OutdoorHistory))
    assert older == OutdoorHistory(-4.0, 7200.0, -3.0, (0.5,) * DAY_HOURS)
    after = advance_history(older, -7.0, dt_s=STEP_S, utc_ms=None)
    assert after.s == older.s + STEP_S


def test_what_is_good_is_restored() -> None:
    history, known = history_after(3.0), response(0.012)
    assert weather_compensation.restore_history(history) == history
    assert ZoneCompensation(FLOOR, known).response == known


def outdoors_now(above_k: float, known_share: float = 1.0) -> OutdoorHistory:
    return OutdoorHistory(-4.0, 1.0, above_k, known_share=known_share)


def taught(
    settings: ZoneSettings, after: ZoneState, *, hours: int = 60, setpoints: int = 1, known_share: float = 1.0
) -> WeatherResponse:
    """Return what a zone learns in some clear hours whose duty follows the weather, three hours late."""
    zone = ZoneCompensation(settings, WeatherResponse())
    for step in range(round(hours * HOUR_S / STEP_S)):
        hour = step * STEP_S / HOUR_S
        above_k = outdoors_c(hour) + 4.0
        duty = 0.5 - 0.01 * (outdoors_c(hour + LAG_HOURS) + 4.0)
        wanted = ZoneRequest(HvacAction.HEAT, duty, 0.0, False, "")
        setpoint_c = 20.0 + step % setpoints
        history = outdoors_now(above_k, known_share)
        zone.learn(history, after, wanted, mode=Mode.HEAT, setpoint_c=setpoint_c, dt_s=STEP_S)
    return zone.response


def test_a_floor_learns_what_it_gave_before() -> None:
    assert 0.005 < taught(FLOOR, AFTER).duty_per_k <= 0.012


def hours_taught(*hours: tuple[float, float]) -> WeatherResponse:
    """Return what a zone learns from hours with such a duty and error, a kelvin warmer than usual."""
    zone = ZoneCompensation(FLOOR, WeatherResponse())
    steps = round(HOUR_S / STEP_S)
    for step in range(steps * len(hours) + 1):
        duty, short_k = hours[max(0, step - 1) // steps]
        wanted = ZoneRequest(HvacAction.HEAT, duty, short_k, False, "")
        zone.learn(outdoors_now(1.0), AFTER, wanted, mode=Mode.AUTO, setpoint_c=20.0, dt_s=STEP_S)
    return zone.response


def test_what_the_room_was_short_of_is_added() -> None:
    short_k = 0.2
    found = hours_taught(*[(0.4, short_k)] * (LAG_HOURS + 1))
    assert (found.hours, found.mean_duty) == (1, pytest.approx(0.4 + 0.35 * short_k))


@pytest.mark.parametrize("unregulated", [(0.0, 0.0), (1.0, 0.3), (0.35, 1.5), (0.35, -1.5)])
def test_an_hour_counts_if_the_law_regulated_in_it_and_three_hours_before(unregulated: tuple[float, float]) -> None:
    kept = (0.4, 0.0)
    assert hours_taught(kept, kept, kept, unregulated) == WeatherResponse()
    assert hours_taught(unregulated, kept, kept, kept) == WeatherResponse()
    assert hours_taught(unregulated, kept, kept, kept, kept).hours == 1


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
    assert taught(FLOOR, AFTER, known_share=0.5) == WeatherResponse()
    radiator = ZoneSettings(zone_id="a", emitter=Emitter.RADIATOR.value)
    assert taught(radiator, AFTER) == WeatherResponse()
    assert ZoneCompensation(radiator, response(0.012)).duty(OutdoorHistory(0.0, 1.0, -5.0), 0) == 0.0
    assert ZoneCompensation(FLOOR, response(0.012)).duty(OutdoorHistory(0.0, 1.0, -5.0), 0) > 0.02
    zone = ZoneCompensation(FLOOR, WeatherResponse())
    for _ in range(200):
        wanted = ZoneRequest(HvacAction.HEAT, 0.5, 0.0, False, "")
        zone.learn(OutdoorHistory(), AFTER, wanted, mode=Mode.HEAT, setpoint_c=20.0, dt_s=STEP_S)
    assert zone.response == WeatherResponse()


def saved_home(above_k: float) -> ClimateSnapshot:
    """Return a home whose floor has learned, at so many kelvins above the mean outdoors."""
    zone = ZoneSnapshot(
        ZoneProgram(mode=Mode.HEAT),
        learned=LearnedDynamics(weather=response(0.012)),
        integral=0.4,
        relay=ShortCycleState(False, 0),
    )
    return ClimateSnapshot(zones={"a": zone}, outdoor_history=OutdoorHistory(-4.0, MEAN_S, above_k))


def duty_in(saved: ClimateSnapshot, *, hours_without: float = 0.0, outdoor_sensor: str = "outside") -> float:
    """Return the duty of the home's floor at its setpoint, the outdoor temperature being known or not for hours."""
    settings = ClimateSettings(zones=(STATE_OF(FLOOR, sensors=(("a", 1.0),)),), outdoor_sensor=outdoor_sensor)
    control = ClimateController(settings, saved, Now("boot", 0, 0))
    outside_c = (saved.outdoor_history.mean_c or 0.0) + saved.outdoor_history.above_k
    duty = 0.0
    for minute in range(1, 2 + round(hours_without * 60)):
        now = Now("boot", minute * 60_000, minute * 60_000)
        readings = {"a": SensorReading(DEFAULT_SETPOINTS.heat_setpoint_c, now.now_ms)}
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


@pytest.mark.parametrize(
    "outdoor_sensor", ["outside", pytest.param("", marks=pytest.mark.no_cover)], ids=["lost", "removed"]
)
@pytest.mark.parametrize(
    "hours",
    [20.0, pytest.param(32.0, marks=pytest.mark.no_cover)],
    ids=["as the evening comes", "as the morning comes"],
)
def test_without_the_sensor_the_floor_is_as_without_compensation_after_a_day(hours: float, outdoor_sensor: str) -> None:
    lost = STATE_OF(saved_home(0.0), outdoor_history=history_after(6.0))
    never = duty_in(saved_home(0.0), hours_without=hours)
    assert 0.1 < never < 0.9
    assert duty_in(lost) > duty_in(saved_home(0.0)) + 0.02
    found = duty_in(lost, hours_without=hours, outdoor_sensor=outdoor_sensor)
    assert found == pytest.approx(never, abs=0.003)


def learned_in(mode: Mode, *, above_k: float = 0.0, fall_k_per_h: float = 0.0) -> WeatherResponse:
    """Return what a floor learns in two days of clear weather.

    Args:
        mode: Of the zone.
        above_k: How far its room is above the setpoint at first.
        fall_k_per_h: By how much it gets colder, for a day.
    """
    zone = ZoneSnapshot(ZoneProgram(mode=mode), integral=0.4, relay=ShortCycleState(False, 0))
    settings = ClimateSettings(zones=(STATE_OF(FLOOR, sensors=(("a", 1.0),)),), outdoor_sensor="outside")
    control = ClimateController(settings, ClimateSnapshot(zones={"a": zone}), Now("boot", 0, 0))
    for step in range(1, round(2 * 86_400 / STEP_S)):
        at_ms = round(step * STEP_S * 1000)
        hour = at_ms / HOUR_MS
        noise_k = 0.02 if step % 12 < 6 else -0.02
        room_c = DEFAULT_SETPOINTS.heat_setpoint_c + above_k - fall_k_per_h * min(hour, DAY_HOURS) + noise_k
        readings = {"a": SensorReading(room_c, at_ms), "outside": SensorReading(outdoors_c(hour) + 15.0, at_ms)}
        control.step(Now("boot", at_ms, at_ms), readings)
    return control.zones["a"].learned.weather


@pytest.mark.parametrize(
    ("mode", "above_k", "fall_k_per_h"),
    [(Mode.OFF, 0.0, 0.0), (Mode.HEAT, 6.0, 0.0), (Mode.HEAT, 0.0, 0.25)],
    ids=["off", "a room in summer", "a dead source"],
)
def test_days_in_which_the_law_does_not_regulate_teach_nothing(mode: Mode, above_k: float, fall_k_per_h: float) -> None:
    """Found by review: hours at no duty or at full duty taught that the weather needs none."""
    assert learned_in(mode, above_k=above_k, fall_k_per_h=fall_k_per_h) == WeatherResponse()


def test_days_in_which_the_law_regulates_teach() -> None:
    assert learned_in(Mode.HEAT).hours > HOURS_MIN
