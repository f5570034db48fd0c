"""Whether the equipment of a zone draws power while heat is called for, by the meter of its plug. Pure; only reports.

An electric panel without power, a split unit that has shut itself down or a circulation pump whose winding is open
draws nothing from the minute on, long before the room is cold. What it draws at rest and while it runs, and how long it
pauses by itself, is learned from the zone.

Equipment that draws power does not show that the room gets the heat (`heating_effect`), so that excludes no fault.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import exp
from types import MappingProxyType

import msgspec

from agent.climate.heating_effect import in_bounds
from hal.interface import HvacAction
from hal.radio import PowerState

Powers = Mapping[str, PowerState]
"""What plugs draw, by the names that the configuration gives them."""

NO_POWERS: Powers = MappingProxyType({})

AGE_S_MAX = 900.0
"""Older values do not count: a plug that is gone says nothing. A silent one is asked each two and a half minutes."""

WATTS_MAX = 25_000.0
"""More is no plug: 25 kW is a three-phase instantaneous heater."""

ZERO_W = 5.0
"""A meter may show so little, in either direction, of nothing. More than that backwards is no equipment that heats."""

DRAW_W_MIN = 2.0
DRAW_SHARE = 0.1
"""It draws power from this much above its rest on, and from this share of what it usually draws more than at rest: an
inverter goes down to a fifth, a pump that regulates itself to a sixth."""

CLEAR_W = 5.0
CLEAR_FACTOR = 2.0
"""Equipment that usually draws less than this more than at rest, or than this many times as much, tells nothing."""

REST_S = 600.0
"""Fans and pumps run on for some minutes: what is drawn so long after the output went off is drawn at rest."""

SETTLED_S = 300.0
"""So long after its output went on, equipment has had its inrush, and a compressor its ramp."""

USUAL_S = 6 * 3600.0
"""The time constant of the usual power, in time of drawing it."""

KNOWN_S = 2 * 3600.0
PATIENT_S = 12 * 3600.0
SILENT_S_FIRST = 3600.0
SILENT_S_MIN = 900.0
"""After `KNOWN_S` of drawing power, an hour of calls without any is a fault; after `PATIENT_S` a quarter of an hour. A
compressor rests for three to five minutes."""

SILENT_FACTOR = 1.5
SILENT_S_MAX = 3 * 3600.0
"""And so many times the longest such time that ended by itself. Equipment that is silent for longer tells nothing."""

PAUSE_S = 300.0
PAUSE_K = 1.0
"""Equipment that has paused for so long by itself may have a thermostat of its own. It is judged only in a room that is
so much colder than one in which it has drawn power: mechanical thermostats switch within a kelvin."""

DRAWN_FALL_K_PER_S = 0.2 / 86_400.0
"""So fast is the warmest such room forgotten while it draws power: a sensor in the sun must not count for ever."""

FORGETTING_S = 14 * 86_400.0
"""The time constant in which pauses, and the power at rest, are forgotten."""

REACHED_K = 0.3
DISBELIEVED_S = 12 * 3600.0
"""A room that is within this of its setpoint through so many calls without power is heated by something that is not on
this plug: all that was learned is forgotten."""


class PowerDraw(msgspec.Struct, frozen=True):
    """What the meter of a zone's equipment shows. Kept in `climate.json`.

    Attributes:
        idle_w: The most that it draws at rest.
        usual_w: What it draws while it is called for.
        learned_s: The time of drawing power that taught it, up to `PATIENT_S`.
        drawn_c: The warmest room in which it has drawn power; `None` for none.
        called_s: For how long it has been called for without a break.
        rested_s: For how long its output has been off.
        silent_s: The calls without power since it drew some.
        cold_s: Those of them in a room that is cold enough for a thermostat of its own.
        longest_s: The longest `silent_s` that ended by itself.
        longest_cold_s: The longest `cold_s` that did.
        is_failing: A fault was found, and it has drawn no power since.
        reached_s: The calls since then in which the room has had its setpoint.
    """

    idle_w: float = 0.0
    usual_w: float = 0.0
    learned_s: float = 0.0
    drawn_c: float | None = None
    called_s: float = 0.0
    rested_s: float = 0.0
    silent_s: float = 0.0
    cold_s: float = 0.0
    longest_s: float = 0.0
    longest_cold_s: float = 0.0
    is_failing: bool = False
    reached_s: float = 0.0

    @property
    def is_known(self) -> bool:
        """Whether it is known that it draws clearly more when it is called for."""
        is_clear = self.usual_w >= max(self.idle_w + CLEAR_W, CLEAR_FACTOR * self.idle_w)
        return self.learned_s >= KNOWN_S and is_clear

    @property
    def draws_from_w(self) -> float:
        """It draws power from here on."""
        return self.idle_w + max(DRAW_W_MIN, DRAW_SHARE * (self.usual_w - self.idle_w))

    @property
    def judged_up_to_c(self) -> float:
        """In a warmer room it need not draw power."""
        may_pause = self.learned_s < PATIENT_S or self.longest_s >= PAUSE_S
        return -273.15 if self.drawn_c is None else self.drawn_c - (PAUSE_K if may_pause else 0.0)

    @property
    def silent_s_max(self) -> float:
        """So many calls without power are a fault."""
        least_s = SILENT_S_MIN if self.learned_s >= PATIENT_S else SILENT_S_FIRST
        return max(least_s, SILENT_FACTOR * self.longest_cold_s)

    @property
    def problem(self) -> str:
        """The fault and its remedy, for people; empty without a fault."""
        if not self.is_failing:
            return ""
        return "check fuse, equipment and its own thermostat: the zone is heated and its plug shows no power"


def find_powers(
    names: Iterable[str], states: Sequence[PowerState], devices: Callable[[], Mapping[str, str]]
) -> Mapping[str, PowerState]:
    """Return what the plugs that the configuration names draw, by name.

    Args:
        names: In the configuration.
        states: Of all plugs.
        devices: Returns the devices of relayed sensors, by the names that people gave them.
    """
    if not states:
        return NO_POWERS
    by_device, by_name = {state.device: state for state in states}, devices()
    return {name: by_device[device] for name in names if (device := by_name.get(name, name)) in by_device}


def known_w(power: PowerState | None, *, now_ms: int) -> float | None:
    """Return what a plug draws; `None` without a plausible and recent value."""
    if power is None or now_ms - power.heard_ms > AGE_S_MAX * 1000:
        return None
    return max(0.0, power.watts) if -ZERO_W <= power.watts <= WATTS_MAX else None


def settled_w(draw: PowerDraw, power: PowerState | None, *, now_ms: int) -> float | None:
    """Return what equipment draws in the steady part of a call; `None` while it is not called for, or does not draw.

    Args:
        draw: What the meter has shown.
        power: What the plug has reported last; `None` for nothing.
        now_ms: Boot time.
    """
    watts = known_w(power, now_ms=now_ms)
    if power is None or watts is None or not draw.is_known or watts < draw.draws_from_w:
        return None
    return watts if draw.called_s - max(0.0, (now_ms - power.heard_ms) / 1000.0) >= SETTLED_S else None


def advance(
    draw: PowerDraw,
    *,
    power: PowerState | None,
    now_ms: int,
    room_c: float,
    setpoint_c: float,
    action: HvacAction,
    is_full: bool,
    dt_s: float,
) -> PowerDraw:
    """Return what is known after some time.

    Args:
        draw: Before.
        power: What the plug has reported last; `None` for nothing.
        now_ms: Boot time.
        room_c: The temperature of the room.
        setpoint_c: Its heating setpoint.
        action: What its output has done.
        is_full: It has heated with nearly all that it has.
        dt_s: The time.
    """
    draw = msgspec.structs.replace(
        draw,
        called_s=draw.called_s + dt_s if is_full else 0.0,
        rested_s=draw.rested_s + dt_s if action is HvacAction.OFF else 0.0,
    )
    watts, is_reached = known_w(power, now_ms=now_ms), room_c >= setpoint_c - REACHED_K
    if watts is None or power is None:
        paused = msgspec.structs.replace(draw, silent_s=0.0, cold_s=0.0)
        return _weigh_fault(paused, dt_s, is_reached=is_reached) if draw.is_failing and is_full else paused
    age_s = max(0.0, (now_ms - power.heard_ms) / 1000.0)
    kept = exp(-dt_s / FORGETTING_S)
    draw = msgspec.structs.replace(
        draw,
        idle_w=max(draw.idle_w * kept, watts if draw.rested_s - age_s >= REST_S else 0.0),
        longest_s=draw.longest_s * kept,
        longest_cold_s=draw.longest_cold_s * kept,
    )
    if not is_full or dt_s <= 0.0 or age_s > draw.called_s:
        # A value from before the call says nothing about it.
        return draw
    if watts >= draw.draws_from_w:
        return _learn(draw, watts, room_c, dt_s)
    if draw.is_failing:
        return _weigh_fault(draw, dt_s, is_reached=is_reached)
    cold_s = draw.cold_s + (dt_s if room_c <= draw.judged_up_to_c else 0.0)
    draw = msgspec.structs.replace(draw, silent_s=draw.silent_s + dt_s, cold_s=cold_s)
    is_failing = draw.is_known and draw.silent_s_max <= SILENT_S_MAX and cold_s >= draw.silent_s_max
    return msgspec.structs.replace(draw, is_failing=True, reached_s=0.0) if is_failing else draw


def _learn(draw: PowerDraw, watts: float, room_c: float, dt_s: float) -> PowerDraw:
    """Return what is known once it draws power."""
    # What was silent until a repair does not pause by itself.
    longest = (draw.longest_s, draw.longest_cold_s)
    if not draw.is_failing:
        longest = (max(longest[0], draw.silent_s), max(longest[1], draw.cold_s))
    learned_s = draw.learned_s + dt_s
    # The first hours are a mean, later ones fade.
    weight = min(1.0, dt_s / min(USUAL_S, learned_s))
    return msgspec.structs.replace(
        draw,
        usual_w=draw.usual_w + (watts - draw.usual_w) * weight,
        learned_s=min(PATIENT_S, learned_s),
        drawn_c=room_c if draw.drawn_c is None else max(draw.drawn_c - DRAWN_FALL_K_PER_S * dt_s, room_c),
        silent_s=0.0,
        cold_s=0.0,
        longest_s=longest[0],
        longest_cold_s=longest[1],
        is_failing=False,
    )


def _weigh_fault(draw: PowerDraw, dt_s: float, *, is_reached: bool) -> PowerDraw:
    """Return a fault after some time of calls: a room that keeps its setpoint speaks against it."""
    reached_s = draw.reached_s + dt_s if is_reached else 0.0
    return PowerDraw() if reached_s >= DISBELIEVED_S else msgspec.structs.replace(draw, reached_s=reached_s)


def pause(draw: PowerDraw) -> PowerDraw:
    """Return what stays known over a time without a temperature of the room: a fault stays one."""
    return msgspec.structs.replace(draw, called_s=0.0, rested_s=0.0, silent_s=0.0, cold_s=0.0)


def expect_no_call(draw: PowerDraw) -> PowerDraw:
    """Return what stays known of a zone that is not to be heated: nothing of a fault."""
    return msgspec.structs.replace(draw, silent_s=0.0, cold_s=0.0, is_failing=False)


def restore(saved: PowerDraw) -> PowerDraw:
    """Return what is known after a restart; the numbers of a damaged file are kept in bounds."""
    return PowerDraw(
        idle_w=in_bounds(saved.idle_w, WATTS_MAX),
        usual_w=in_bounds(saved.usual_w, WATTS_MAX),
        learned_s=in_bounds(saved.learned_s, PATIENT_S),
        drawn_c=None if saved.drawn_c is None else min(55.0, max(-15.0, saved.drawn_c)),
        longest_s=in_bounds(saved.longest_s, DISBELIEVED_S),
        longest_cold_s=in_bounds(saved.longest_cold_s, DISBELIEVED_S),
        is_failing=saved.is_failing,
    )
