"""Notices a sensor whose value does not move while its room is heated: it would have the room heated for ever. Pure.

What moves a room is what it gets beyond what it needs: so the heat is counted that exceeds the usual duty, while the
value stays exactly the same. A house that is held at its setpoint, or that full heating just keeps from cooling on the
coldest day, gets no more than usual; a slow house gets more for an hour or two before a coarse sensor shows it.

Doubt is mild: the room goes on with its usual duty. If the sensor is alive after all, the room cools by that until its
value moves, and it is believed again at once.
"""

import msgspec


class StuckSensorState(msgspec.Struct, frozen=True):
    """How long a zone's sensors have said exactly the same, and what the zone was given meanwhile.

    Attributes:
        values_c: What they say.
        heated_s: How long it was heated since they moved.
        excess_s: By how many seconds of full output that was more than usual.
        usual_duty: What was usual when they moved last.
        is_stuck: They are not believed, until they move.
    """

    values_c: tuple[float, ...] = ()
    heated_s: float = 0.0
    excess_s: float = 0.0
    usual_duty: float = 0.0
    is_stuck: bool = False

    @property
    def text(self) -> str:
        """What the matter may be, in words."""
        said = " and ".join(f"{value_c:.1f}" for value_c in self.values_c)
        return f"may be stuck at {said} °C"


def step(
    seen: StuckSensorState,
    values_c: tuple[float, ...],
    *,
    is_heated: bool,
    usual_duty: float,
    dt_s: float,
    excess_s_max: float,
) -> StuckSensorState:
    """Return what is known after another stretch of time.

    Args:
        seen: Before.
        values_c: What the sensors that count say, as they say it; empty where none does, which changes nothing.
        is_heated: Whether the zone's output was on.
        usual_duty: What the zone needed of late.
        dt_s: How long.
        excess_s_max: So many seconds of full output beyond the usual move any room.
    """
    if not values_c:
        return seen
    if values_c != seen.values_c:
        return StuckSensorState(values_c, usual_duty=usual_duty)
    if seen.is_stuck:
        return seen
    heated_s = seen.heated_s + (dt_s if is_heated else 0.0)
    excess_s = max(0.0, seen.excess_s + ((1.0 if is_heated else 0.0) - seen.usual_duty) * dt_s)
    return StuckSensorState(values_c, heated_s, excess_s, seen.usual_duty, excess_s >= excess_s_max)
