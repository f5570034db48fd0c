"""Whether a thermometer on the supply pipe of a zone gets warm while the zone is heated. Pure; it only reports.

A floor shows nothing in its room for hours, and neither does a large house on small equipment. The pipe that brings
the heat does within minutes, near the room and behind its valve: with the burner locked out, the pump dead or the valve
stuck it stays as cold as it is, or falls to the temperature of the water that comes back. How warm it usually is above
the room, and how long hot water or defrosting keeps it cold, is learned from the zone.

A pipe that is warm does not show that the room gets the heat (`heating_effect`), so it excludes no fault.
"""

from math import exp

import msgspec

from agent.climate import fusion
from agent.climate.fusion import SensorReading

SUPPLY_C_MIN, SUPPLY_C_MAX = -15.0, 110.0
"""The range of a pipe: a probe that is cut or shorted lies outside."""

WARM_SHARE = 0.4
"""From this share of its usual excess over the room on the pipe gets heat. Zones that share a small boiler get half of
it when all are cold."""

SLOW_WARM_SHARE = 0.3
"""That of a floor, whose pipe is above the room by the warmth of the screed and by what heats it: on a mild morning a
healthy one has 0.45 of what a cold day has. So the pipe of a floor shows a stuck valve and a dead pump, but not a pump
that goes on without a burner: the screed returns some 0.6 then (25 W/(m2 K) from water to surface, 10.8 from there)."""

RISE_K = 3.0
SLOW_RISE_SHARE = 0.5
"""A rise from its lowest temperature shows heat as well: short pulses of a mild day and a flow that was set lower make
one. Water that returns from a floor that is still warm makes up to half of the usual excess, other emitters cool about
as fast as the pipe does."""

USUAL_K_MIN = 4.0
"""A pipe that is usually less above the room than this tells nothing: a floor on a mild day is at 27 °C."""

USUAL_S = 3 * 3600.0
"""The time constant of the usual excess, in heating: a weather-compensated flow falls by some 2 K an hour at most."""

KNOWN_S = 2 * 3600.0
"""It is known after so much heating."""

COLD_S_MIN = 1800.0
"""So much heating without heat in the pipe is a fault. Ignition, a slow valve and defrosting take ten minutes each."""

PATIENT_S = 24 * 3600.0
COLD_S_FIRST = 3600.0
"""In the first day of heating it takes this: hot water for the taps may have its turn for most of an hour."""

COLD_FACTOR = 1.5
COLD_S_MAX = 2 * 3600.0
"""And so many times the longest such time from which the pipe became warm again, at most this."""

FORGETTING_S = 14 * 86_400.0
"""The time constant in which that is forgotten."""

REACHED_K = 0.3
DISBELIEVED_S = 12 * 3600.0
"""A room that is within this of its setpoint through so much heating, with its pipe reported as cold, gets its heat:
the thermometer has come off the pipe, and all that was learned from it is forgotten. A floor without heat stays so for
six hours at most."""

EXCESS_K_MAX = 90.0


class SupplyPipe(msgspec.Struct, frozen=True):
    """What the supply pipe of a zone shows. Kept in `climate.json`.

    Attributes:
        usual_k: How warm it is above the room while the zone is heated.
        learned_s: The heating that taught it, up to `PATIENT_S`.
        lowest_c: Its lowest temperature since it was warm last; `None` for not known.
        cold_s: The heating since then.
        longest_s: The longest such time that ended with a warm pipe.
        is_failing: A fault was found, and the pipe has not been warm since.
        reached_s: The heating since then in which the room has had its setpoint.
    """

    usual_k: float = 0.0
    learned_s: float = 0.0
    lowest_c: float | None = None
    cold_s: float = 0.0
    longest_s: float = 0.0
    is_failing: bool = False
    reached_s: float = 0.0

    @property
    def is_known(self) -> bool:
        """Whether it is known how warm the pipe gets."""
        return self.learned_s >= KNOWN_S and self.usual_k >= USUAL_K_MIN

    @property
    def cold_s_max(self) -> float:
        """So much heating without heat in the pipe is a fault."""
        least_s = COLD_S_MIN if self.learned_s >= PATIENT_S else COLD_S_FIRST
        return max(least_s, min(COLD_S_MAX, COLD_FACTOR * self.longest_s))

    @property
    def problem(self) -> str:
        """The fault and its remedy, for people; empty without a fault."""
        if not self.is_failing:
            return ""
        return (
            "check boiler or heat pump, pump and valve, and whether the thermometer is still on the pipe: the zone is"
            " heated and its supply pipe does not get warmer"
        )


def known_pipe_c(reading: SensorReading | None, *, now_ms: int, stale_s: float) -> float | None:
    """Return the temperature of a supply or return pipe; `None` without a good, plausible and recent reading.

    Args:
        reading: The latest of its thermometer; `None` for none.
        now_ms: Boot time.
        stale_s: Older readings do not count, unless the thermometer may be silent for longer.
    """
    return fusion.known_c(reading, now_ms=now_ms, age_s_max=stale_s, lowest_c=SUPPLY_C_MIN, highest_c=SUPPLY_C_MAX)


def advance(
    pipe: SupplyPipe,
    *,
    supply_c: float | None,
    room_c: float,
    setpoint_c: float,
    is_heated: bool,
    is_slow: bool,
    dt_s: float,
) -> SupplyPipe:
    """Return what is known after some time.

    Args:
        pipe: Before.
        supply_c: The temperature of the pipe; `None` if it is not known.
        room_c: That of the room.
        setpoint_c: Its heating setpoint.
        is_heated: Whether its output was on.
        is_slow: Whether it has a heated floor.
        dt_s: The time.
    """
    is_reached = room_c >= setpoint_c - REACHED_K
    if supply_c is None:
        paused = pause(pipe)
        return _weigh_fault(paused, dt_s, is_reached=is_reached) if pipe.is_failing and is_heated else paused
    excess_k = min(EXCESS_K_MAX, max(0.0, supply_c - room_c))
    lowest_c = supply_c if pipe.lowest_c is None else min(pipe.lowest_c, supply_c)
    pipe = msgspec.structs.replace(pipe, lowest_c=lowest_c, longest_s=pipe.longest_s * exp(-dt_s / FORGETTING_S))
    if not is_heated or dt_s <= 0.0:
        return pipe
    warm_k = (SLOW_WARM_SHARE if is_slow else WARM_SHARE) * pipe.usual_k
    rise_k = SLOW_RISE_SHARE * pipe.usual_k if is_slow else RISE_K
    if pipe.is_known and (excess_k >= warm_k or supply_c >= lowest_c + rise_k):
        # What was cold until a repair is not usual.
        longest_s = pipe.longest_s if pipe.is_failing else max(pipe.longest_s, pipe.cold_s)
        pipe = msgspec.structs.replace(pipe, lowest_c=supply_c, cold_s=0.0, longest_s=longest_s, is_failing=False)
    elif pipe.is_failing:
        return _weigh_fault(pipe, dt_s, is_reached=is_reached)
    elif pipe.is_known:
        pipe = msgspec.structs.replace(pipe, cold_s=pipe.cold_s + dt_s)
        if pipe.cold_s >= pipe.cold_s_max:
            return msgspec.structs.replace(pipe, is_failing=True, reached_s=0.0)
    learned_s = min(PATIENT_S, pipe.learned_s + dt_s)
    # The first hours are a mean, later ones fade.
    weight = min(1.0, dt_s / min(USUAL_S, learned_s))
    usual_k = pipe.usual_k + (excess_k - pipe.usual_k) * weight
    return msgspec.structs.replace(pipe, usual_k=usual_k, learned_s=learned_s)


def _weigh_fault(pipe: SupplyPipe, dt_s: float, *, is_reached: bool) -> SupplyPipe:
    """Return a fault after some time of heating: a room that keeps its setpoint speaks against it."""
    reached_s = pipe.reached_s + dt_s if is_reached else 0.0
    return SupplyPipe() if reached_s >= DISBELIEVED_S else msgspec.structs.replace(pipe, reached_s=reached_s)


def pause(pipe: SupplyPipe) -> SupplyPipe:
    """Return what stays known over a time without a temperature of the pipe: a fault stays one."""
    if pipe.lowest_c is None and not pipe.cold_s:
        return pipe
    return msgspec.structs.replace(pipe, lowest_c=None, cold_s=0.0)


def expect_no_heat(pipe: SupplyPipe) -> SupplyPipe:
    """Return what stays known of a zone that is not to be heated: nothing of a fault."""
    return msgspec.structs.replace(pause(pipe), is_failing=False) if pipe.is_failing else pause(pipe)


def restore(saved: SupplyPipe) -> SupplyPipe:
    """Return what is known after a restart; the numbers of a damaged file are kept in bounds."""
    return SupplyPipe(
        usual_k=min(EXCESS_K_MAX, max(0.0, saved.usual_k)),
        learned_s=min(PATIENT_S, max(0.0, saved.learned_s)),
        longest_s=min(COLD_S_MAX, max(0.0, saved.longest_s)),
        is_failing=saved.is_failing,
    )
