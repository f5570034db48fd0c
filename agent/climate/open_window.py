"""Open windows: whether the heating of a zone pauses for one, and why. Pure.

A window contact tells at once. Without one a window shows as a fall of the temperature that the zone itself never
makes: how far it usually falls within some minutes, while its equipment runs or has just stopped and while it rests, is
learned from the zone. Only the fall below the setpoint counts: that after a setback, after cooking or when the sun goes
lies above it. It teaches all the same, within bounds, what may happen below the setpoint on another day.

A wrong pause is far worse than a missed window. So a zone that has not settled is judged by falls only that none makes
of itself: for an hour after its setpoint rose, after it was cold, after other sensors took over, after a pause and
after a long run of its equipment what it does is usual and teaches. A room at the limit of its equipment is cold for
days, and loses the more by a window.

A pause overrides no protection: against frost the zone is heated all the same. By the temperature alone it ends when
the temperature has turned or stays, when the zone is cold and has not fallen faster than any zone does, and at the
latest after a time. Cooling pauses for a contact only: warm air from outside and a stove look alike.
"""

from itertools import pairwise
from math import exp, inf

import msgspec

from agent.climate.fusion import ZoneTemperature

Falls = tuple[tuple[float, float], ...]
"""Falls of the temperature within each of `HORIZONS_S`: after heat, and at rest."""

HORIZONS_S = (300.0, 900.0)
"""The fall within these times is judged: the first for sensors that report each minute, the second for rare reports."""

FALL_K_MIN = (0.4, 0.75)
"""A smaller fall within `HORIZONS_S` is none: half of what a tilted window makes in a large home at 0 °C outside (some
250 m3 of air an hour, EN 16798-7). A squall of ten minutes that doubles the wind makes as much in a leaky home."""

WINDOW_K_MIN = 1.2
"""A pause in which the temperature has fallen by less was none for a window: its fall is a usual one from then on."""

STEPS_MIN = 3.0
"""A fall has at least so many steps of the sensor: two may be noise at the edge of a step."""

STEP_K_MAX = 0.5
"""No sensor has larger steps than this: a larger change is one of the room."""

USUAL_FACTOR = 1.4
"""A fall counts from so many times the largest one on that the zone has shown in weeks."""

FIRST_USUAL_K = ((1.0, 1.4), (0.5, 0.95))
"""Before anything is learned, the usual falls after heat (a furnace stops) and at rest (a stove in a small room); in a
zone that has not settled, those after heat."""

FIRST_FACTOR = 1.7
"""A fall counts from so many times these on: another home's may be larger."""

STOVE_K = FIRST_USUAL_K[1]
"""A fall above the setpoint teaches this at most. A stove that is turned off while the room is warm makes the same fall
on another day below the setpoint; a room that was aired while it was warm must not hide every window for two weeks."""

DOUBT_S = 1.5 * 86_400.0
"""The time constant in which what a zone has shown takes the place of `FIRST_USUAL_K`: it knows its days by then."""

DOUBT_MAX = 0.85
"""With more doubt nothing is a window: in its first six hours a zone is warmed up, and nothing it does is usual."""

USUAL_K_MAX = 3.0
NO_FALL = (0.0, 0.0)
NO_FALLS = (NO_FALL, NO_FALL)
FORGETTING_S = 14 * 86_400.0
"""The time constant in which a large usual fall is forgotten: two weeks have two weekends."""

AFTER_HEAT_S = 1800.0
"""For so long after the last heat a fall may be that of the equipment."""

ABOVE_K = 0.3
"""The part of a fall that lies further above the setpoint than this does not count."""

OUTDOOR_GAP_K_MIN = 4.0
"""With this little difference to outdoors no open window makes such a fall."""

TURN_K_MIN = 0.3
TURN_SHARE = 0.15
"""The temperature has turned when it is above its lowest value by this much and by this share of the whole fall. Gusts
make less; the walls of a room whose window is closed make more within minutes."""

TEACHING_DELAY_S = 1200.0
"""A fall is a usual one if no window was found within this time after it."""

GAP_S_MAX = 1800.0
"""After a longer silence of the sensors nothing is known about the time between."""

OFTEN_S = 150.0
"""Readings that come within this time are frequent: two of them confirm each other."""

JUMP_SHARE = 0.8
"""The largest part of a fall that lies between two frequent readings."""

SETTLED_S = 3600.0
"""What a zone has shown counts after it has been at its setpoint for so long: emitter and air have settled by then."""

RISE_K = 0.1
"""A setpoint that rises by more begins a recovery."""

COLD_K_MAX = 1.0
"""A zone that has been further below its setpoint for the last quarter of an hour is recovering."""

LONG_RUN_S = 1800.0
"""After a longer run the emitter is hotter than the usual cycles make it, and cools further."""

PAUSE_COLD_K_MAX = 1.5
"""A pause by the temperature alone lets the zone get no colder than this below its setpoint, unless it is sure."""

SURE_K_PER_S = 1.0 / 300.0
"""A fall from the setpoint to `PAUSE_COLD_K_MAX` below it that is faster than this is surely one of a window: the
largest of `FIRST_USUAL_K` within five minutes, and for longer than any of them."""

STILL_S = 600.0
"""A temperature that has made no new low for so long has stopped falling."""

SPACING_MS = 20_000
"""Readings that come more often are thinned to this."""


class OpenWindowState(msgspec.Struct, frozen=True):
    """What is known about the windows of a zone.

    Attributes:
        recent: Time in milliseconds and temperature of the last quarter of an hour.
        names: The sensors that gave them.
        step_k: The smallest change of the temperature; 0 while it is unknown.
        usual_k: The largest usual fall that the zone has shown within each of `HORIZONS_S`, after heat and at rest.
        doubt: How little that is yet: 1 for nothing, towards 0 with the days.
        pending_k: The falls of the last minutes, likewise; they are not known to be usual yet.
        pending_since_ms: When the last of them grew.
        open_since_ms: Since when a window counts as open; `None` for closed.
        contact: The contact that says so; empty where the temperature does.
        start_c: The temperature before the fall.
        lowest_c: The lowest one since then.
        lowest_at_ms: When it was measured.
        is_sure: It has fallen faster than any zone does.
        setpoint_c: The last heating setpoint; `None` for none.
        settled_s: For how long the zone has been at it without a disturbance.
        run_s: For how long its equipment has been on; 0 while it is off.
        seen_ms: The last step.
    """

    recent: tuple[tuple[int, float], ...] = ()
    names: tuple[str, ...] = ()
    step_k: float = 0.0
    usual_k: Falls = NO_FALLS
    doubt: float = 1.0
    pending_k: Falls = NO_FALLS
    pending_since_ms: int = 0
    open_since_ms: int | None = None
    contact: str = ""
    start_c: float = 0.0
    lowest_c: float = inf
    lowest_at_ms: int = 0
    is_sure: bool = False
    setpoint_c: float | None = None
    settled_s: float = 0.0
    run_s: float = 0.0
    seen_ms: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether heating and cooling pause."""
        return self.open_since_ms is not None


class WindowInputs(msgspec.Struct, frozen=True):
    """The inputs of one step.

    Attributes:
        temperature: Of the zone.
        setpoint_c: The heating setpoint; `None` where the zone does not heat.
        contact: The first window contact that is open; empty for none.
        is_on: The zone is heated.
        on_ago_s: The time since it was; `None` for never.
        outdoor_c: The outdoor temperature; `None` if it is not known.
        pause_s_max: The longest pause by the temperature alone; 0 for contacts only.
    """

    temperature: ZoneTemperature
    setpoint_c: float | None
    contact: str
    is_on: bool
    on_ago_s: float | None
    outdoor_c: float | None
    pause_s_max: float


def restore(usual_k: Falls, doubt: float) -> OpenWindowState:
    """Return the state after a restart: windows count as closed until they show anew."""
    if len(usual_k) != len(NO_FALLS):
        return OpenWindowState()
    # The file may be damaged.
    return OpenWindowState(usual_k=_higher(NO_FALLS, usual_k), doubt=min(1.0, max(0.0, doubt)))


def advance(state: OpenWindowState, inputs: WindowInputs, *, now_ms: int) -> OpenWindowState:
    """Return what is known after one more step.

    Args:
        state: Before.
        inputs: Of this step.
        now_ms: Boot time.
    """
    if inputs.contact:
        since_ms = state.open_since_ms if state.contact and state.open_since_ms is not None else now_ms
        return _forget(state, open_since_ms=since_ms, contact=inputs.contact)
    if state.contact:
        return _forget(state, open_since_ms=None, contact="")
    value_c = inputs.temperature.value_c
    if value_c is None or not inputs.pause_s_max:
        return _forget(state, open_since_ms=None, contact="") if state.recent or state.is_open else state
    at_ms = now_ms - round(inputs.temperature.age_s * 1000)
    if state.open_since_ms is not None:
        return _advance_open(state, inputs, value_c, at_ms=at_ms, now_ms=now_ms)
    state = _settle(state, inputs, now_ms)
    if state.recent and at_ms <= state.recent[-1][0] and inputs.temperature.names == state.names:
        return state
    return _look(_add(state, inputs.temperature.names, at_ms, value_c), inputs, value_c, now_ms=now_ms)


def reason(state: OpenWindowState, pause_s_max: float, *, now_ms: int) -> str:
    """Return why the zone pauses, for people; empty without a pause."""
    if state.open_since_ms is None:
        return ""
    if state.contact:
        return f"paused: {state.contact} is open"
    left_min = -(-(state.open_since_ms + round(pause_s_max * 1000) - now_ms) // 60_000)
    return f"paused: a window seems open ({state.start_c - state.lowest_c:.1f} K colder), for {left_min} min at most"


def _forget(state: OpenWindowState, *, open_since_ms: int | None, contact: str) -> OpenWindowState:
    """Return a state without recent temperatures: those of an open window teach nothing about the zone."""
    if not state.recent and state.open_since_ms == open_since_ms and state.contact == contact:
        return state
    return OpenWindowState(
        step_k=state.step_k, usual_k=state.usual_k, doubt=state.doubt, open_since_ms=open_since_ms, contact=contact
    )


def _settle(state: OpenWindowState, inputs: WindowInputs, now_ms: int) -> OpenWindowState:
    """Return a state that knows for how long the zone has been left to itself."""
    past_s = 0.0 if state.seen_ms is None else (now_ms - state.seen_ms) / 1000.0
    setpoint_c = inputs.setpoint_c
    run_s = state.run_s + past_s if inputs.is_on else 0.0
    is_disturbed = (
        setpoint_c is None
        or (state.setpoint_c is not None and setpoint_c > state.setpoint_c + RISE_K)
        or (bool(state.names) and inputs.temperature.names != state.names)
        or (bool(state.recent) and not _has_reached(state.recent, setpoint_c - COLD_K_MAX))
        or (not inputs.is_on and state.run_s >= LONG_RUN_S)
    )
    known_c = setpoint_c
    if not is_disturbed and setpoint_c is not None and state.setpoint_c is not None:
        known_c = min(setpoint_c, state.setpoint_c)  # one that creeps upwards rises as well
    settled_s = 0.0 if is_disturbed else min(SETTLED_S, state.settled_s + past_s)
    return msgspec.structs.replace(state, setpoint_c=known_c, settled_s=settled_s, run_s=run_s, seen_ms=now_ms)


def _advance_open(
    state: OpenWindowState, inputs: WindowInputs, value_c: float, *, at_ms: int, now_ms: int
) -> OpenWindowState:
    """Return a pause by the temperature; its end where that has turned, stays or is too low, or the time is over."""
    open_s = 0.0 if state.open_since_ms is None else (now_ms - state.open_since_ms) / 1000.0
    lowest_c = min(state.lowest_c, value_c)
    lowest_at_ms = at_ms if value_c < state.lowest_c else state.lowest_at_ms
    fall_k = state.start_c - lowest_c
    turn_k = max(TURN_K_MIN, STEPS_MIN * state.step_k, TURN_SHARE * fall_k)
    is_cold = inputs.setpoint_c is not None and value_c < inputs.setpoint_c - PAUSE_COLD_K_MAX
    # The fall began up to one horizon before it was found.
    is_sure = state.is_sure or (is_cold and fall_k >= SURE_K_PER_S * (open_s + HORIZONS_S[0]))
    is_still = at_ms - lowest_at_ms >= STILL_S * 1000
    is_over = open_s >= inputs.pause_s_max or value_c >= lowest_c + turn_k
    if is_over or ((is_cold or is_still) and not is_sure):
        if fall_k < WINDOW_K_MIN or (is_cold and not is_sure):
            state = msgspec.structs.replace(state, usual_k=_higher(state.usual_k, state.pending_k))
        return _forget(state, open_since_ms=None, contact="")
    return msgspec.structs.replace(state, lowest_c=lowest_c, lowest_at_ms=lowest_at_ms, is_sure=is_sure)


def _add(state: OpenWindowState, names: tuple[str, ...], at_ms: int, value_c: float) -> OpenWindowState:
    """Return a state with one more temperature; the first one of other sensors, and after a long silence."""
    recent = state.recent
    if names != state.names or (recent and at_ms - recent[-1][0] > GAP_S_MAX * 1000):
        return msgspec.structs.replace(state, recent=((at_ms, value_c),), names=names)
    step_k = state.step_k
    if recent and (change_k := abs(value_c - recent[-1][1])) > 0.005:  # noqa: PLR2004 - half of a ZCL hundredth
        step_k = min(step_k or STEP_K_MAX, change_k)
    if len(recent) > 1 and at_ms - recent[-2][0] < SPACING_MS:
        recent = recent[:-1]
    # One temperature from before the horizon is kept: between it and the next one a line is drawn.
    first_ms = at_ms - round(HORIZONS_S[-1] * 1000)
    begin = next((i for i, (then_ms, _) in enumerate(recent) if then_ms > first_ms), len(recent))
    return msgspec.structs.replace(state, recent=(*recent[max(0, begin - 1) :], (at_ms, value_c)), step_k=step_k)


def _look(state: OpenWindowState, inputs: WindowInputs, value_c: float, *, now_ms: int) -> OpenWindowState:
    """Return a pause if the fall is no usual one; else what it teaches."""
    if inputs.setpoint_c is None or (inputs.outdoor_c is not None and value_c - inputs.outdoor_c < OUTDOOR_GAP_K_MIN):
        return state
    at_ms = state.recent[-1][0]
    top_c, end_c = inputs.setpoint_c + ABOVE_K, _end_c(state.recent)
    highest_c = [_highest_c(state.recent, at_ms - round(span_s * 1000)) for span_s in HORIZONS_S]
    starts_c = [min(top_c, each_c) for each_c in highest_c]
    falls_k = [start_c - end_c for start_c in starts_c]
    is_after_heat = inputs.is_on or (inputs.on_ago_s is not None and inputs.on_ago_s < AFTER_HEAT_S)
    group = 0 if is_after_heat else 1
    is_known = state.doubt <= DOUBT_MAX
    has_settled = state.settled_s >= SETTLED_S
    doubt, first_k = (state.doubt, FIRST_USUAL_K[group]) if has_settled else (1.0, FIRST_USUAL_K[0])
    limits_k = [
        max(least_k, USUAL_FACTOR * usual_k, FIRST_FACTOR * doubt * each_k)
        for least_k, usual_k, each_k in zip(FALL_K_MIN, state.usual_k[group], first_k, strict=True)
    ]
    for fall_k, own_k, start_c in zip(falls_k, limits_k, starts_c, strict=True):
        # A step more: the true fall is up to a step smaller than the one that is seen.
        limit_k = max(STEPS_MIN * state.step_k, state.step_k + own_k)
        if fall_k >= limit_k and is_known and not _is_jump(state.recent, fall_k):
            found = (falls_k[0], falls_k[1])
            return OpenWindowState(
                step_k=state.step_k,
                usual_k=state.usual_k,
                doubt=state.doubt,
                pending_k=(found, NO_FALL) if group == 0 else (NO_FALL, found),
                open_since_ms=now_ms,
                start_c=start_c,
                lowest_c=value_c,
                lowest_at_ms=at_ms,
            )
    whole_k = [min(stove_k, each_c - end_c) for stove_k, each_c in zip(STOVE_K, highest_c, strict=True)]
    return _teach(state, group, [max(pair) for pair in zip(falls_k, whole_k, strict=True)])


def _is_jump(recent: tuple[tuple[int, float], ...], fall_k: float) -> bool:
    """Return whether a fall is that of one reading, while others come often: air never does that, a sensor may."""
    if len(recent) < 2 or recent[-1][0] - recent[-2][0] >= OFTEN_S * 1000:  # noqa: PLR2004 - a pair
        return False
    return max(before_c - after_c for (_, before_c), (_, after_c) in pairwise(recent)) > JUMP_SHARE * fall_k


def _highest_c(recent: tuple[tuple[int, float], ...], from_ms: int) -> float:
    """Return the highest temperature since an instant, on straight lines between the readings."""
    highest_c = recent[-1][1]
    later_ms, later_c = recent[-1]
    for then_ms, then_c in reversed(recent[:-1]):
        if then_ms < from_ms:
            share = (later_ms - from_ms) / (later_ms - then_ms)
            return max(highest_c, later_c + (then_c - later_c) * share)
        if then_c > highest_c:  # noqa: PLR1730 - a third of the time of max(), and this runs for each zone and step
            highest_c = then_c
        later_ms, later_c = then_ms, then_c
    return highest_c


def _has_reached(recent: tuple[tuple[int, float], ...], value_c: float) -> bool:
    """Return whether any of the temperatures is at least a value; the last one is the likeliest."""
    return recent[-1][1] >= value_c or any(each_c >= value_c for _, each_c in recent)


def _end_c(recent: tuple[tuple[int, float], ...]) -> float:
    """Return the present end of a fall: the higher one of the last two temperatures, if they lie close together.

    One wrong value among frequent ones is no fall. Of rare ones the last one counts.
    """
    at_ms, value_c = recent[-1]
    if len(recent) > 1 and at_ms - recent[-2][0] < OFTEN_S * 1000:
        return max(value_c, recent[-2][1])
    return value_c


def _teach(state: OpenWindowState, group: int, falls_k: list[float]) -> OpenWindowState:
    """Return what the present fall teaches, once it is known to be none of a window."""
    pending_k, since_ms, usual_k = state.pending_k, state.pending_since_ms, state.usual_k
    at_ms = state.recent[-1][0]
    known_k = pending_k[group]
    if any(fall_k > each_k for fall_k, each_k in zip(falls_k, known_k, strict=True)):
        grown = (max(falls_k[0], known_k[0]), max(falls_k[1], known_k[1]))
        pending_k = (grown, pending_k[1]) if group == 0 else (pending_k[0], grown)
        since_ms = at_ms
    if at_ms - since_ms >= TEACHING_DELAY_S * 1000:
        usual_k = _higher(usual_k, pending_k)
        pending_k = NO_FALLS
        since_ms = at_ms
    past_s = (at_ms - state.recent[-2][0]) / 1000.0 if len(state.recent) > 1 else 0.0
    kept = exp(-past_s / FORGETTING_S)
    usual_k = tuple([(after * kept, later * kept) for after, later in usual_k])
    doubt = state.doubt * exp(-past_s / DOUBT_S)
    return msgspec.structs.replace(state, pending_k=pending_k, pending_since_ms=since_ms, usual_k=usual_k, doubt=doubt)


def _higher(usual_k: Falls, more_k: Falls) -> Falls:
    """Return the higher fall of each group and horizon, within `USUAL_K_MAX`."""
    return tuple(
        [
            (min(USUAL_K_MAX, max(old[0], new[0])), min(USUAL_K_MAX, max(old[1], new[1])))
            for old, new in zip(usual_k, more_k, strict=True)
        ]
    )
