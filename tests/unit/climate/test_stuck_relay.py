"""A stuck relay is found within three hours in winter, and in any night; sun and what else warms a room is none."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest

from agent.climate import fault_detection, stuck_relay
from agent.climate.heating_effect import HeatingEffect
from agent.climate.stuck_relay import NOT_OFF, RelayContext, RelayState
from agent.foundation.clock import Now
from hal.interface import HvacAction

MINUTES_TOLD = 180
SETPOINT_C = 21.0
SUMMER = RelayContext(need=0.0, rate_k_per_h=1.5)
WINTER = RelayContext(need=0.35, rate_k_per_h=1.5)


def is_dark(minute: int) -> bool:
    """Return whether it is dark at a minute of the day by the clock."""
    return stuck_relay.is_dark(Now("boot", 0, minute * 60_000), UTC)


def reported_after(
    celsius: Callable[[int], float],
    *,
    off_hour: float,
    context: RelayContext,
    state: RelayState = NOT_OFF,
    hours: int = 24,
) -> int | None:
    """Return after how many minutes a relay is reported whose output went off at an hour of the day.

    Args:
        celsius: The temperature at a minute since then.
        off_hour: The hour.
        context: Those of all the time, but for the dark.
        state: At the off.
        hours: How long to look.
    """
    for minute in range(hours * 60):
        here = msgspec.structs.replace(context, is_dark=is_dark(round(off_hour * 60) + minute))
        state = stuck_relay.advance(state, value_c=celsius(minute), setpoint_c=SETPOINT_C, dt_s=60.0, context=here)
        if state.is_stuck:
            return minute
    return None


def rising(
    k_per_h: float, *, after_h: float = 0.0, until_h: float = 99.0, start_c: float = 21.2
) -> Callable[[int], float]:
    """Return a temperature that rises between two hours since the off, and is steady before and after."""
    return lambda minute: start_c + k_per_h * (min(max(minute / 60, after_h), until_h) - after_h)


@pytest.mark.parametrize("off_hour", range(0, 24, 3))
@pytest.mark.parametrize("k_per_h", [0.9, 1.5, 4.0])
def test_a_stuck_relay_is_found_within_three_hours_in_winter(off_hour: int, k_per_h: float) -> None:
    minutes = reported_after(rising(k_per_h), off_hour=off_hour, context=WINTER)
    assert minutes is not None
    assert minutes <= (MINUTES_TOLD if k_per_h > 1.0 else 4 * 60)


def test_a_coarse_sensor_shows_it_too() -> None:
    steps = rising(1.5)
    assert reported_after(lambda minute: round(steps(minute) * 2) / 2, off_hour=11, context=WINTER) is not None


@pytest.mark.parametrize("k_per_h", [0.7, 1.5, 4.0])
@pytest.mark.parametrize("off_hour", range(0, 24, 3))
def test_sun_on_a_summer_day_is_no_stuck_relay(off_hour: int, k_per_h: float) -> None:
    """It rises with the sun at five and goes on until ten in the evening, whenever the output went off."""
    sunrise_hour = 5
    sunrise_h = (sunrise_hour - off_hour) % 24
    sun = rising(k_per_h, after_h=sunrise_h, until_h=sunrise_h + 17)
    assert reported_after(sun, off_hour=off_hour, context=SUMMER) is None
    if off_hour >= sunrise_hour:
        since_off = rising(k_per_h, until_h=max(0, 22 - off_hour))
        assert reported_after(since_off, off_hour=off_hour, context=SUMMER) is None


@pytest.mark.parametrize("after_h", [1, 2, 4])
@pytest.mark.parametrize("k_per_h", [1.1, 3.0])
def test_winter_sun_that_comes_after_the_off_is_no_stuck_relay(k_per_h: float, after_h: int) -> None:
    sun = rising(k_per_h, after_h=after_h, until_h=after_h + 6)
    assert reported_after(sun, off_hour=9, context=WINTER) is None


def test_what_a_radiator_still_gives_is_not_a_rise_that_goes_on() -> None:
    """Half a kelvin by warm radiators, an hour's rest, then sun."""
    assert (
        reported_after(
            lambda minute: min(21.2 + minute / 60, 21.8) + max(0.0, (minute - 120) / 40),
            off_hour=7,
            context=WINTER,
            hours=9,
        )
        is None
    )


def test_a_slow_rise_beside_fast_heating_is_no_stuck_relay() -> None:
    """Air heating that moves its room by 12 K an hour goes on doing so: 1.1 K in an hour are the sun's."""
    fast = msgspec.structs.replace(WINTER, rate_k_per_h=12.0)
    assert reported_after(rising(1.1), off_hour=9, context=fast, hours=12) is None
    assert reported_after(rising(1.3), off_hour=9, context=fast) is not None


@pytest.mark.parametrize("k_per_h", [0.8, 2.0])
@pytest.mark.parametrize("after_h", [0, 1, 2])
def test_a_rise_in_the_dark_is_a_stuck_relay_in_any_season(k_per_h: float, after_h: int) -> None:
    rise = rising(k_per_h, after_h=after_h, start_c=23.5)
    assert reported_after(rise, off_hour=22, context=SUMMER, hours=7) is not None


def test_a_rise_is_counted_from_nightfall_on() -> None:
    """What it rose by until then may be the sun's; what it rises by after that is not."""
    assert reported_after(rising(1.5, until_h=4.0), off_hour=18, context=SUMMER) is None
    assert reported_after(rising(1.5), off_hour=18, context=SUMMER) == 5 * 60


def test_a_period_that_began_by_day_does_not_end_as_one_of_the_night() -> None:
    rise = rising(1.5, until_h=2.5, start_c=19.6)
    assert reported_after(rise, off_hour=19.5, context=WINTER, hours=9) is None


def test_without_the_time_it_is_never_dark() -> None:
    assert not stuck_relay.is_dark(Now("boot", 0, None), UTC)
    at = {hour: int(datetime(2026, 6, 21, hour, 30, tzinfo=UTC).timestamp() * 1000) for hour in (4, 5, 21, 22)}
    dark = {hour: stuck_relay.is_dark(Now("boot", 0, utc_ms), UTC) for hour, utc_ms in at.items()}
    assert dark == {4: True, 5: False, 21: False, 22: True}


def test_where_the_duty_is_not_known_the_outdoor_temperature_shows_the_winter() -> None:
    for outdoor_c, is_found in ((5.0, True), (15.0, False), (None, False)):
        here = RelayContext(outdoor_c=outdoor_c)
        assert (reported_after(rising(1.5), off_hour=9, context=here, hours=12) is not None) is is_found


def test_warm_air_from_outdoors_is_no_stuck_relay() -> None:
    warm = RelayContext(need=0.0, outdoor_c=31.0)
    assert reported_after(rising(1.5, until_h=5), off_hour=22, context=warm) is None


def test_a_room_that_was_cooled_gets_warm_again_by_itself() -> None:
    """Found on a split unit: its air came back by 1 K an hour after each cycle, in the first hours of a hub."""
    cooled = stuck_relay.advance(
        NOT_OFF,
        value_c=24.0,
        setpoint_c=16.0,
        dt_s=60.0,
        context=RelayContext(action=HvacAction.COOL),
    )
    assert reported_after(rising(2.0, start_c=24.0), off_hour=22, context=WINTER, state=cooled) is None


def test_a_boiler_at_a_part_of_its_output_has_not_been_switched_off() -> None:
    heated = msgspec.structs.replace(WINTER, action=HvacAction.HEAT)
    assert reported_after(rising(2.0), off_hour=9, context=heated) is None
    off = stuck_relay.advance(NOT_OFF, value_c=22.0, setpoint_c=21.0, dt_s=60.0, context=WINTER)
    assert stuck_relay.advance(off, value_c=22.0, setpoint_c=21.0, dt_s=60.0, context=heated) == NOT_OFF


def test_after_a_restart_only_the_night_shows_it() -> None:
    restored = fault_detection.restore(HeatingEffect()).relay
    assert reported_after(rising(1.5, until_h=8), off_hour=9, context=WINTER, state=restored) is None
    assert reported_after(rising(1.5), off_hour=21, context=WINTER, state=restored) == 2 * 60


def test_a_later_rise_is_the_weather() -> None:
    late = rising(1.5, after_h=12)
    assert reported_after(late, off_hour=10, context=WINTER) is None
