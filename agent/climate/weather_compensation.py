"""Weather compensation: how the duty of a slow emitter follows the outdoor temperature. Pure.

A heated floor answers hours after its duty: what the cold of the evening takes shows in the room by midnight, and the
floor makes up for it by morning. An outdoor sensor shows it at once. It is the swing around the mean of some days that
counts, so a sensor that is too warm by a constant does no harm: what keeps the room on average the control law knows.

By how much the duty follows is learned from each hour in which the law kept one setpoint: what it gave, and what the
room was short of once that had arrived (iterative learning control), regressed on how far it was colder than usual. The
slope is shrunk towards none, so a sensor that is stuck, in the sun, or in another room compensates little or nothing.
The forecast is the present temperature and what the hours to come usually add to it.

`zone_compensation` follows a zone with it.
"""

from math import exp, isfinite

import msgspec

HOUR_S = 3600.0
DAY_HOURS = 24

MEAN_S = 2 * 86_400.0
"""The mean outdoor temperature goes over this time: the control law has followed what is older."""

SMOOTHING_S = HOUR_S / 2
FORGETTING_S = 6 * HOUR_S
"""The swing of a sensor that is lost is forgotten over this time, so that the room gets no step. The forecast fades
with it."""

USUAL_S = 2.5 * HOUR_S
"""Each day counts for a third of what an hour of the day usually adds."""

JUMP_K = 8.0
"""Weather does not move so far between two readings: another sensor, or this one in another place. Over an
hour a cold front does."""

LAG_HOURS = 3
"""The duty of a heated floor shows in its room after these hours."""

DUTY_PER_K_OF_ERROR = 0.35
"""By so much more duty a kelvin would have been there: the gain of the law of a floor."""

MEMORY_HOURS = 120.0
"""The slope is that of these hours."""

RIDGE_K2 = 300.0
"""The slope is shrunk by as much as a standard deviation of 1.6 K over that time would tell."""

HOURS_MIN = 20
"""Fewer hours of learning change nothing."""

DUTY_PER_K_MAX = 0.03
"""Full output keeps a house at least 33 K warmer than outdoors."""

DUTY_MAX = 0.2
"""The temperature of the room has priority."""


K_MAX = 100.0
HOURS_MAX = round(MEAN_S / HOUR_S)
"""More has no weather, and no mean goes over more: only a damaged file says so."""


class OutdoorHistory(msgspec.Struct, frozen=True):
    """The outdoor temperature of some days. Kept in `climate.json`.

    Attributes:
        mean_c: The mean; `None` before the first known temperature.
        s: The time that it stands for, at most `MEAN_S`; it shrinks while the temperature is unknown.
        above_k: How far the present one is above it, smoothed.
        usual_k: The same as it usually is, for each hour of the day in UTC.
        known_share: How much the forecast counts: 1 while the temperature is known, it fades to 0 while it is not.
            A file of an older release has none.
        last_c: The last known temperature; `None` before the first and in a file of an older release.
    """

    mean_c: float | None = None
    s: float = 0.0
    above_k: float = 0.0
    usual_k: tuple[float, ...] = (0.0,) * DAY_HOURS
    known_share: float = 0.0
    last_c: float | None = None


def advance_history(
    history: OutdoorHistory, outdoor_c: float | None, *, dt_s: float, utc_ms: int | None
) -> OutdoorHistory:
    """Return the history after some time.

    Args:
        history: Before.
        outdoor_c: The present temperature; `None` if it is not known.
        dt_s: The time.
        utc_ms: The time of day; `None` if it is not known.
    """
    mean_c = history.mean_c
    if outdoor_c is None:
        if mean_c is None:
            return history
        kept = exp(-dt_s / FORGETTING_S)
        return msgspec.structs.replace(
            history,
            s=history.s * exp(-dt_s / MEAN_S),
            above_k=history.above_k * kept,
            known_share=history.known_share * kept,
        )
    is_jump = history.last_c is not None and abs(outdoor_c - history.last_c) > JUMP_K
    if mean_c is None or is_jump:
        # The swing is smoothed on from its last value: a new mean gives the room no step.
        return msgspec.structs.replace(history, mean_c=outdoor_c, s=0.0, last_c=outdoor_c)
    s = min(MEAN_S, history.s + dt_s)
    mean_c += (outdoor_c - mean_c) * dt_s / s if dt_s > 0.0 else 0.0
    kept = exp(-dt_s / SMOOTHING_S)
    above_k = outdoor_c - mean_c + (history.above_k - (outdoor_c - mean_c)) * kept
    usual_k = history.usual_k
    if utc_ms is not None:
        hour = _hour(utc_ms)
        moved_k = usual_k[hour] + (above_k - usual_k[hour]) * (1.0 - exp(-dt_s / USUAL_S))
        usual_k = (*usual_k[:hour], moved_k, *usual_k[hour + 1 :])
    known_share = 1.0 - (1.0 - history.known_share) * kept
    return OutdoorHistory(mean_c, s, above_k, usual_k, known_share, outdoor_c)


def restore_history(saved: OutdoorHistory) -> OutdoorHistory:
    """Return what is known after a restart; nothing of a damaged file."""
    kelvins = (saved.above_k, saved.mean_c or 0.0, saved.last_c or 0.0, *saved.usual_k)
    is_possible = len(saved.usual_k) == DAY_HOURS and all(abs(each) <= K_MAX for each in kelvins)
    is_possible = is_possible and 0.0 <= saved.s <= MEAN_S and 0.0 <= saved.known_share <= 1.0
    return saved if is_possible else OutdoorHistory()


def expected_above_k(history: OutdoorHistory, utc_ms: int | None) -> float:
    """Return how far above its mean the outdoor temperature is when a duty of now shows in the room.

    Without a known outdoor temperature both parts fade: the present swing, and what the hours to come usually add.
    """
    if utc_ms is None:
        return history.above_k
    hour = _hour(utc_ms)
    added_k = history.usual_k[(hour + LAG_HOURS) % DAY_HOURS] - history.usual_k[hour]
    return history.above_k + history.known_share * added_k


def _hour(utc_ms: int) -> int:
    return utc_ms // 3_600_000 % DAY_HOURS


class WeatherResponse(msgspec.Struct, frozen=True):
    """How the duty that a zone needs follows the outdoor temperature. Kept in `climate.json`.

    Attributes:
        hours: How many hours have taught it.
        mean_duty: The mean of the needed duty.
        squares_k2: The sum of the squared swings outdoors.
        products_k: The sum of the products of swing and needed duty, negative where cold needs more.
    """

    hours: int = 0
    mean_duty: float = 0.0
    squares_k2: float = 0.0
    products_k: float = 0.0

    @property
    def duty_per_k(self) -> float:
        """The duty for each kelvin that it is colder."""
        if self.hours < HOURS_MIN:
            return 0.0
        return min(DUTY_PER_K_MAX, max(0.0, -self.products_k / (self.squares_k2 + RIDGE_K2)))


def restore_response(saved: WeatherResponse) -> WeatherResponse:
    """Return what is known after a restart; nothing of a damaged file."""
    is_possible = isfinite(saved.squares_k2) and isfinite(saved.products_k) and abs(saved.mean_duty) <= K_MAX
    return saved if is_possible and 0 <= saved.hours <= HOURS_MAX and saved.squares_k2 >= 0.0 else WeatherResponse()


def learn_hour(response: WeatherResponse, *, needed_duty: float, above_k: float) -> WeatherResponse:
    """Return what one more hour has taught.

    Args:
        response: Before.
        needed_duty: The duty that would have kept the room.
        above_k: How far the outdoor temperature was above its mean when that duty counted.
    """
    hours = min(response.hours + 1, HOURS_MAX)
    mean_duty = response.mean_duty + (needed_duty - response.mean_duty) / hours
    kept = exp(-1.0 / MEMORY_HOURS)
    return WeatherResponse(
        hours,
        mean_duty,
        response.squares_k2 * kept + above_k * above_k,
        response.products_k * kept + above_k * (needed_duty - mean_duty),
    )


def compensation_duty(response: WeatherResponse, history: OutdoorHistory, utc_ms: int | None) -> float:
    """Return the duty that the weather adds now; negative if it is warmer than usual."""
    slope = response.duty_per_k
    if slope == 0.0:
        return 0.0
    return min(DUTY_MAX, max(-DUTY_MAX, -slope * expected_above_k(history, utc_ms)))
