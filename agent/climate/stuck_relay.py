"""Whether a relay is stuck in its on position: a zone gets warmer with its output off. Pure; reported only.

Sun, people and a warm night warm a room too. A relay sticks when it is switched off, and what it feeds goes on giving
all that it has:

* At night there is no sun. A rise within the dark hours is a stuck relay in any season, if it is not warmer outdoors.
* By day the rise has to begin with the off itself and to go on, hour after hour, at a pace that full output has in this
  zone; and the zone must be one that needs heat, as it does in winter. Sun comes with the day, hours before or after an
  off; in summer nothing has been heated. What is left is sun that comes out as strong as the heating within the hour
  of an off, on a winter's day, and stays.

Cooling ends all of it: after it a room gets warm again by itself, and the heating's relay was switched off long before.
"""

from datetime import datetime, tzinfo

import msgspec

from agent.foundation.clock import Now
from hal.interface import HvacAction

AFTER_S = 3600.0
"""The time after which radiators have given their remaining heat to the room."""

UNTIL_S = 12 * 3600.0
"""A room that warms up much later does so because of the weather."""

ABOVE_K = 2.0
RISES = ((3600.0, 1.0), (3 * 3600.0, 2.0))
"""A rise (kelvin) within a period (seconds) of a stuck relay: radiators are fast, floors and large rooms are slow."""

FALL_K = 1.0
"""A fall that shows that the heat has ended."""

HOUR_S = 3600.0
HOUR_RISE_K = 0.5
HOUR_RISE_SHARE = 0.1
"""By day the zone has to rise by so much in each hour since the off, and in the first one by this share of the rate of
full output. That rate is one of minutes; in an hour walls take half of it, and the load up to three quarters of what is
left."""

NEED_MIN = 0.12
OUTDOOR_C_MAX = 10.0
"""The duty of a day and a night from which on it is winter: sunny days of spring need less. Equipment of several times
the usual size needs less in winter too: there only the outdoor temperature shows it."""

DARK_FROM_HOUR, DARK_UNTIL_HOUR = 22, 5
"""Between these hours of the house's clock the sun is below 5° all year wherever people heat, up to 60° of latitude and
an hour of difference between clock and sun."""


class RelayContext(msgspec.Struct, frozen=True):
    """What else may warm a zone, as far as it is known.

    Attributes:
        is_dark: The sun is down; `False` also while the time is not known.
        outdoor_c: The outdoor temperature; `None` if it is not known.
        need: The zone's mean heating duty of a day and a night; `None` before it was learned.
        rate_k_per_h: The rate of its full output in pulses; `None` before it was learned.
        action: What its output does.
    """

    is_dark: bool = False
    outdoor_c: float | None = None
    need: float | None = None
    rate_k_per_h: float | None = None
    action: HvacAction = HvacAction.OFF


NOTHING_KNOWN = RelayContext()


class ObservationPeriod(msgspec.Struct, frozen=True):
    """A period with the output off: its length so far, and the temperature at its start; `None` before that."""

    start_c: float | None = None
    s: float = 0.0


_NO_PERIODS = tuple(ObservationPeriod() for _ in RISES)


class RelayState(msgspec.Struct, frozen=True):
    """What the time since the output went off has shown.

    Attributes:
        off_s: That time.
        periods: One for each of `RISES`.
        hour: The present hour since the off.
        has_paused: It has not risen in some hour since the off, or the off was not seen.
        dark_s: How long it has been dark by now.
        peak_c: The highest temperature since the relay is stuck.
        is_stuck: The zone is not heated and gets warmer.
    """

    off_s: float = 0.0
    periods: tuple[ObservationPeriod, ...] = _NO_PERIODS
    hour: ObservationPeriod = ObservationPeriod()
    has_paused: bool = False
    dark_s: float = 0.0
    peak_c: float = 0.0
    is_stuck: bool = False


NOT_OFF = RelayState()
NOT_SEEN = RelayState(has_paused=True)
"""After a restart: the relay may have been switched off just before, and the sun may have been there since."""


def is_dark(now: Now, timezone: tzinfo) -> bool:
    """Return whether the sun is down for sure."""
    if now.utc_ms is None:
        return False
    hour = datetime.fromtimestamp(now.utc_ms / 1000, timezone).hour
    return hour >= DARK_FROM_HOUR or hour < DARK_UNTIL_HOUR


def advance(state: RelayState, *, value_c: float, setpoint_c: float, dt_s: float, context: RelayContext) -> RelayState:
    """Return the state after some time without full heating.

    Args:
        state: Before; `NOT_OFF` after full heating.
        value_c: The present temperature of the zone.
        setpoint_c: Its heating setpoint.
        dt_s: The time.
        context: What else may warm it.
    """
    if context.action is not HvacAction.OFF:
        return NOT_OFF if context.action is HvacAction.HEAT else RelayState(off_s=UNTIL_S)
    off_s = state.off_s + dt_s
    hour, has_paused = _advance_hour(state, value_c, dt_s, context)
    if state.is_stuck:
        # A constant temperature proves nothing, it may be the highest that is reached. Only a fall ends the fault.
        peak_c = max(state.peak_c, value_c)
        is_stuck = value_c > peak_c - FALL_K
        return msgspec.structs.replace(
            state, off_s=off_s, hour=hour, has_paused=has_paused, peak_c=peak_c, is_stuck=is_stuck
        )
    if off_s < AFTER_S:
        return msgspec.structs.replace(state, off_s=off_s, hour=hour, has_paused=has_paused)
    dark_s = state.dark_s + dt_s if context.is_dark else 0.0
    is_by_day = not has_paused and _is_winter(context)
    # At nightfall a rise that may be the sun's ends.
    before = _NO_PERIODS if context.is_dark and not state.dark_s and not is_by_day else state.periods
    has_risen = False
    periods = []
    for period, (length_s, rise_k) in zip(before, RISES, strict=True):
        if period.start_c is None or value_c < period.start_c:
            periods.append(ObservationPeriod(value_c))
        elif period.s + dt_s >= length_s:
            is_telling = is_by_day or dark_s >= length_s
            has_risen = has_risen or (is_telling and value_c - period.start_c >= rise_k)
            periods.append(ObservationPeriod(value_c))
        else:
            periods.append(ObservationPeriod(period.start_c, period.s + dt_s))
    is_stuck = (
        has_risen
        and value_c >= setpoint_c + ABOVE_K
        and off_s < UNTIL_S
        and (context.outdoor_c is None or context.outdoor_c < value_c)
    )
    return RelayState(
        off_s=off_s,
        periods=tuple(periods),
        hour=hour,
        has_paused=has_paused,
        dark_s=dark_s,
        peak_c=value_c,
        is_stuck=is_stuck,
    )


def _advance_hour(
    state: RelayState, value_c: float, dt_s: float, context: RelayContext
) -> tuple[ObservationPeriod, bool]:
    """Return the present hour since the off, and whether the zone has not risen in one of them."""
    start_c, s = state.hour.start_c, state.hour.s + dt_s
    if start_c is None:
        return ObservationPeriod(value_c, dt_s), state.has_paused
    if s < HOUR_S:
        return ObservationPeriod(start_c, s), state.has_paused
    is_first = state.off_s < HOUR_S
    rate_k_per_h = (context.rate_k_per_h or 0.0) if is_first else 0.0
    has_risen = value_c - start_c >= max(HOUR_RISE_K, HOUR_RISE_SHARE * rate_k_per_h)
    return ObservationPeriod(value_c), state.has_paused or not has_risen


def _is_winter(context: RelayContext) -> bool:
    is_cold = context.outdoor_c is not None and context.outdoor_c <= OUTDOOR_C_MAX
    return is_cold or (context.need is not None and context.need >= NEED_MIN)
