"""Detects faults of the equipment and stuck sensors. Pure.

* Heating without effect, and heating that does not end: reported only. They never stop control, because a false alarm
  must not leave anybody in the cold.
* Cooling without effect: where the rest of the home is cool the sensor is wrong, and `zone` stops cooling.
* A stuck sensor, whose value does not change while its room is heated: `zone` ignores it until it changes, because its
  room would be heated forever.

A room warms up by the heat beyond its usual duty. So the detector of stuck sensors counts only the heat above the usual
duty while the value stays the same. A house at its setpoint, or one that full heating just keeps from cooling on the
coldest day, gets no more than usual; a slow house gets more for an hour or two until a coarse sensor shows it. A false
alarm costs little: the room goes on with its usual duty, so it cools until its value changes, and the sensor counts
again at once.
"""

from collections.abc import Sequence
from math import inf

import msgspec

from agent.climate import heating_effect, stuck_relay
from agent.climate.heating_effect import HeatingEffect, in_bounds
from agent.climate.stuck_relay import NOTHING_KNOWN, RelayContext, RelayState

CHANGE_K = 0.3
"""A change beyond the noise of any sensor."""

NEAR_K = 1.0
"""A zone that is nearer to its setpoint than this has no fault, unless it is known to need less output than it gets."""

UNLEARNED_FACTOR = 6.0
LEARNED_FACTOR = 12.0
"""A zone fails after so many times `failure_s` without a rise, whatever is known of its load: one that has never got
warmer by its heating, and one that has. A house that is just kept from cooling, or a floor that fills, shows none for a
night; in a day and a night sun and people make one. Equipment that is known to be too small for the weather is not
judged so: in a storm its zone gets no warmer for days."""

REPAIRED_K = 1.0
"""A rise from the lowest temperature that shows that the equipment works again; sun and people make smaller ones."""

WATCHED_RESPONSES = 24.0
"""After so many response times of the emitter with heating (six hours of radiators, a day of a floor) it is known how
much excess heat a zone's sensors let pass without a change. Steps, noise and lag of the sensor, and the interval of
its reports, are all in it."""

ORDINARY_FACTOR = 2.0
ORDINARY_HALF_LIFE_S = 100 * 3600.0
"""So many times that excess without a change is a stuck sensor. Half of it is forgotten in so much heating. What was a
false alarm counts as seen, so the next one takes three times as much."""

TAKEN_HALF_LIFE_S = 3600.0
"""Half of the excess that has brought no rise is forgotten in this time: what counts is the present weather."""

SATISFIED_HALF_LIFE_S = 4 * 3600.0
"""Half of the excess is forgotten in this time while the room is at its setpoint: the weather takes it, for hours, and
a sensor of coarse steps shows one value all night."""

TRIAL_RESPONSES = 3.0
"""A sensor that is ignored is reported after so many response times of the emitter with the usual duty and without a
change. A room at its limit in a storm may stay at one value with all its heat; with less of it, it cools, and shows
within this time that its sensor works."""

WATCHED_S_MAX = 366 * 86_400.0
"""More heating than this has not been seen without a change: only a damaged file says so."""

EXCESS_S_MIN = 300.0
"""Five minutes of full heating above the usual duty, whatever is known: 0.2 to 0.8 K by radiators."""


class HeatingMonitor(msgspec.Struct, frozen=True):
    """Monitors the heating of a zone.

    Attributes:
        start_c: The temperature from which a rise is expected; `None` if none is.
        on_s: The time of heating since then.
        relay: What the time since the output went off has shown of its relay.
        is_failing: The zone is heated and does not get warmer.
        has_risen: The zone has got warmer by its heating in this run of the agent.
        is_scarce: Its equipment was known to be too small for the weather when it last got warmer.
        effect: What is known of the effect of its heating.
    """

    start_c: float | None = None
    on_s: float = 0.0
    relay: RelayState = stuck_relay.NOT_OFF
    is_failing: bool = False
    has_risen: bool = False
    is_scarce: bool = False
    effect: HeatingEffect = HeatingEffect()

    @property
    def is_stuck(self) -> bool:
        """Whether the zone is not heated and gets warmer."""
        return self.relay.is_stuck

    @property
    def problem(self) -> str:
        """The fault and its remedy, for people; empty without a fault."""
        if self.is_failing:
            return "check boiler or heat pump, pump and valve: the zone is heated and does not get warmer"
        if self.is_stuck:
            return "check the relay, it may be stuck: the zone gets warmer with the heating off"
        return ""


def monitor_heating(
    monitor: HeatingMonitor,
    *,
    value_c: float,
    setpoint_c: float,
    is_heated: bool,
    dt_s: float,
    failure_s: float,
    response_s: float = 900.0,
    context: RelayContext = NOTHING_KNOWN,
    sharing: Sequence[HeatingEffect] = (),
) -> HeatingMonitor:
    """Return the monitor after some time.

    Args:
        monitor: Before.
        value_c: The present temperature of the zone.
        setpoint_c: Its heating setpoint.
        is_heated: Whether its output was on.
        dt_s: The time.
        failure_s: See `UNLEARNED_FACTOR` and `LEARNED_FACTOR`.
        response_s: In this time the emitter shows whether it works.
        context: What else may warm the zone.
        sharing: What is known of the zones that share its heat source.
    """
    effect = heating_effect.advance(
        monitor.effect,
        value_c=value_c,
        setpoint_c=setpoint_c,
        is_heated=is_heated,
        dt_s=dt_s,
        response_s=response_s,
        pulse_rate_k_per_h=context.rate_k_per_h or 0.0,
        sharing=sharing,
    )
    if effect is not monitor.effect:
        monitor = msgspec.structs.replace(monitor, effect=effect, is_failing=monitor.is_failing or effect.is_failing)
    if is_heated:
        return _monitor_rise(monitor, value_c, setpoint_c, dt_s, failure_s)
    relay = stuck_relay.advance(monitor.relay, value_c=value_c, setpoint_c=setpoint_c, dt_s=dt_s, context=context)
    return msgspec.structs.replace(monitor, relay=relay)


def _monitor_rise(
    monitor: HeatingMonitor, value_c: float, setpoint_c: float, dt_s: float, failure_s: float
) -> HeatingMonitor:
    effect = monitor.effect
    if effect.is_failing:
        has_risen = value_c >= effect.lowest_c + REPAIRED_K
    else:
        has_risen = monitor.start_c is not None and value_c >= monitor.start_c + CHANGE_K
    if has_risen or value_c >= setpoint_c:
        return HeatingMonitor(
            start_c=value_c,
            has_risen=monitor.has_risen or has_risen,
            is_scarce=effect.is_scarce,
            effect=heating_effect.clear(effect) if effect.is_failing else effect,
        )
    is_near = setpoint_c - value_c < NEAR_K
    start_c = value_c if monitor.start_c is None else min(monitor.start_c, value_c)
    on_s = 0.0 if is_near else monitor.on_s + dt_s
    factor = LEARNED_FACTOR if monitor.has_risen else UNLEARNED_FACTOR
    return msgspec.structs.replace(
        monitor,
        start_c=start_c,
        on_s=on_s,
        relay=stuck_relay.NOT_OFF,
        is_failing=monitor.is_failing or (on_s >= factor * failure_s and not monitor.is_scarce),
    )


def restore(effect: HeatingEffect) -> HeatingMonitor:
    """Return the monitor after a restart: a fault that was found stays until the zone gets warmer."""
    return HeatingMonitor(
        relay=stuck_relay.NOT_SEEN, is_failing=effect.is_failing, effect=heating_effect.restore(effect)
    )


def pause(monitor: HeatingMonitor, *, is_window: bool = False) -> HeatingMonitor:
    """Return the monitor over a time that is not measured, or with a window open."""
    if not monitor.effect.marks:
        return monitor
    return msgspec.structs.replace(monitor, effect=heating_effect.pause(monitor.effect, is_window=is_window))


def expect_no_rise(monitor: HeatingMonitor) -> HeatingMonitor:
    """Return the monitor of a zone that is not to be heated, or whose temperature is unknown."""
    return msgspec.structs.replace(
        monitor, start_c=None, on_s=0.0, is_failing=False, effect=heating_effect.clear(monitor.effect)
    )


class CoolingMonitor(msgspec.Struct, frozen=True):
    """Monitors the cooling of a zone.

    Attributes:
        start_c: The temperature from which a fall is expected; `None` if none is.
        s: The time of cooling since then.
        is_ineffective: The zone is cooled and does not get cooler.
    """

    start_c: float | None = None
    s: float = 0.0
    is_ineffective: bool = False

    @property
    def problem(self) -> str:
        """The fault and its remedy, for people; empty without a fault."""
        if self.is_ineffective:
            return "check the sensor, then the equipment: the zone is cooled and does not get cooler"
        return ""


_NO_COOLING = CoolingMonitor()


def monitor_cooling(
    monitor: CoolingMonitor, *, value_c: float, setpoint_c: float, is_cooled: bool, dt_s: float, failure_s: float
) -> CoolingMonitor:
    """Return the monitor after some time.

    Args:
        monitor: Before.
        value_c: The present temperature of the zone.
        setpoint_c: Its cooling setpoint.
        is_cooled: Whether its output was on.
        dt_s: The time.
        failure_s: This much cooling without a fall is ineffective, until the value falls or is near its setpoint.
    """
    if value_c < setpoint_c + NEAR_K:
        return _NO_COOLING
    if monitor.start_c is None or value_c <= monitor.start_c - CHANGE_K:
        return CoolingMonitor(value_c)
    s = monitor.s + (dt_s if is_cooled else 0.0)
    return CoolingMonitor(monitor.start_c, s, monitor.is_ineffective or s >= failure_s)


class StuckSensorState(msgspec.Struct, frozen=True):
    """How long the values of a zone's sensors have been the same, and the heat since then. Kept in `climate.json`.

    Attributes:
        values_c: The values.
        heated_s: The time of heating since they changed.
        excess_s: The part of it, in seconds of full output, above the usual duty.
        usual_duty: The usual duty at the time of the change.
        is_stuck: The sensors are ignored until a value changes.
        ignored_s: The time for which they have been.
        is_reported: The usual duty has brought no change either: a problem of the zone.
        peak_s: The largest excess since the change.
        ordinary_s: The largest excess that these sensors let pass before a change, fading with the hours of heating.
        watched_s: The time of heating in which that was seen.
        coldest_c: The lowest mean of the values since the last rise by `CHANGE_K`; `None` before the first value.
        unanswered_s: The excess since then, over all changes, fading with time.
        taken_s: What it was at the last change.
    """

    values_c: tuple[float, ...] = ()
    heated_s: float = 0.0
    excess_s: float = 0.0
    usual_duty: float = 0.0
    is_stuck: bool = False
    ignored_s: float = 0.0
    is_reported: bool = False
    peak_s: float = 0.0
    ordinary_s: float = 0.0
    watched_s: float = 0.0
    coldest_c: float | None = None
    unanswered_s: float = 0.0
    taken_s: float = 0.0

    @property
    def text(self) -> str:
        """The suspicion, for people."""
        values = " and ".join(f"{value_c:.1f}" for value_c in self.values_c)
        return f"may be stuck at {values} °C"


def restore_stuck_sensor(saved: StuckSensorState) -> StuckSensorState:
    """Return what is known after a restart; the numbers of a damaged file are kept in bounds."""
    return StuckSensorState(
        saved.values_c,
        heated_s=in_bounds(saved.heated_s, WATCHED_S_MAX),
        excess_s=in_bounds(saved.excess_s, WATCHED_S_MAX),
        usual_duty=in_bounds(saved.usual_duty, 1.0),
        is_stuck=saved.is_stuck,
        ignored_s=in_bounds(saved.ignored_s, WATCHED_S_MAX),
        is_reported=saved.is_stuck and saved.is_reported,
        peak_s=in_bounds(saved.peak_s, WATCHED_S_MAX),
        ordinary_s=in_bounds(saved.ordinary_s, WATCHED_S_MAX),
        watched_s=in_bounds(saved.watched_s, WATCHED_S_MAX),
        coldest_c=saved.coldest_c,
        unanswered_s=in_bounds(saved.unanswered_s, WATCHED_S_MAX),
        taken_s=in_bounds(saved.taken_s, WATCHED_S_MAX),
    )


def detect_stuck_sensor(
    state: StuckSensorState,
    values_c: tuple[float, ...],
    *,
    is_heated: bool,
    usual_duty: float,
    dt_s: float,
    excess_s_max: float,
    response_s: float,
    is_reported: bool = True,
    is_satisfied: bool = False,
) -> StuckSensorState:
    """Return the state after some time.

    Args:
        state: Before.
        values_c: The values of the sensors that count; empty without any, which changes nothing.
        is_heated: Whether the zone's output was on.
        usual_duty: The recent duty of the zone.
        dt_s: The time.
        excess_s_max: This much full output above the usual duty changes the temperature of any room.
        response_s: The response time of the emitter.
        is_reported: Whether a sensor has reported in this time. A sensor that is only silent is not stuck.
        is_satisfied: Whether the temperature is at its setpoint or above: the weather may take more heat than usual
            then, and no sensor of coarse steps shows that. Only `excess_s_max` counts, of the last hours.
    """
    if not values_c:
        return state
    if values_c != state.values_c:
        return _watch_change(state, values_c, usual_duty)
    if state.is_stuck:
        ignored_s = min(WATCHED_S_MAX, state.ignored_s + dt_s)
        return msgspec.structs.replace(
            state, ignored_s=ignored_s, is_reported=ignored_s >= TRIAL_RESPONSES * response_s
        )
    heated_s = state.heated_s + (dt_s if is_heated else 0.0)
    more_s = ((1.0 if is_heated else 0.0) - state.usual_duty) * dt_s
    excess_s = max(0.0, state.excess_s * (0.5 ** (dt_s / SATISFIED_HALF_LIFE_S) if is_satisfied else 1.0) + more_s)
    is_unusual = is_reported and not is_satisfied and excess_s >= _excess_s_known(state, response_s)
    return msgspec.structs.replace(
        state,
        heated_s=heated_s,
        excess_s=excess_s,
        is_stuck=is_unusual or excess_s >= excess_s_max,
        peak_s=max(state.peak_s, excess_s),
        unanswered_s=max(0.0, state.unanswered_s * 0.5 ** (dt_s / TAKEN_HALF_LIFE_S) + more_s),
    )


def _watch_change(state: StuckSensorState, values_c: tuple[float, ...], usual_duty: float) -> StuckSensorState:
    """Return the state after a change of the values, with what it shows of these sensors."""
    mean_c = sum(values_c) / len(values_c)
    if len(values_c) != len(state.values_c):
        # Fewer sensors change less often: what was seen of the others does not count for them.
        return StuckSensorState(values_c, usual_duty=usual_duty, coldest_c=mean_c)
    coldest_c = mean_c if state.coldest_c is None else state.coldest_c
    # In a storm a room may take all that it gets, and get no warmer; its sensor shows that by falls.
    unanswered_s = state.unanswered_s if mean_c < coldest_c + CHANGE_K else 0.0
    faded_s = state.ordinary_s * 0.5 ** (state.heated_s / ORDINARY_HALF_LIFE_S)
    return StuckSensorState(
        values_c,
        usual_duty=usual_duty,
        ordinary_s=max(faded_s, state.peak_s),
        watched_s=state.watched_s + state.heated_s,
        coldest_c=min(coldest_c, mean_c) if mean_c < coldest_c + CHANGE_K else mean_c,
        unanswered_s=unanswered_s,
        taken_s=unanswered_s,
    )


def _excess_s_known(state: StuckSensorState, response_s: float) -> float:
    """Return after how much excess these sensors have always changed, with a margin; infinite while not known.

    It is at least what the room has just taken without getting warmer, while they changed.
    """
    if state.watched_s < WATCHED_RESPONSES * response_s:
        return inf
    return max(EXCESS_S_MIN, ORDINARY_FACTOR * state.ordinary_s, state.taken_s)
