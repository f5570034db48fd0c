"""Finds out whether a silent sensor is dead: changes the duty a little, and watches for its report. Pure.

A sensor that reports on change is silent in a steady room, and silent when it is dead. What tells them apart is heat: a
room that gets more than what keeps its temperature gets warmer, one that gets less gets cooler, and a sensor that works
must report that. So after an unusual silence the duty moves away, slowly, from what keeps the temperature: up, or down
where the last report was above the setpoint. Either the sensor reports (the room is then warmer or cooler by its
threshold, and the control law goes on from there), or the room has had more heat, or missed more, than ever brought a
report before: then the sensor is dead. How much that is is learned in each zone: it contains the size of the emitter,
the mass of the house, the lag of the sensor and its threshold, none of which is known.

A room that cools because its sensor is dead is the worst that can happen. So the duty moves up wherever the room may
need heat: at its setpoint, below it, and above it as soon as it may have cooled to it since the last report.

Two values are taken for the duty that keeps the temperature, the mean of the last day and the integral of the control
law, and always the one that gives less evidence: the law heats more on a cold night, and less in the sun, while the
temperature stays where it is.
"""

import msgspec

from agent.climate.fusion import ZoneTemperature

CHANGE_PER_H = 1.5
CHANGE_MAX = 0.7
"""The duty changes at this rate to this value: a fast room answers within minutes, long before it is too warm; a slow
one needs the most that can be added within the hour."""

ABOVE_K = 0.3
"""A report this far above the setpoint: less heat is the right answer, and tells as much."""

NEEDED_FACTOR = 2.0
"""A sensor that reported after some heat may need this many times as much in worse weather."""

SLOW_S = 1800.0
"""A room that needs more than this is slow: weather moves it as much as the probe, and it may need three times as much.
The two hours in which a dead sensor must be found are too short there anyway."""

NEEDED_RESPONSES_MIN = 2.0
"""No sensor is dead before full output for this many times that in which the emitter shows whether it works."""

QUICK_FACTOR = 4.0
"""A quick room, air heating for one, would get too warm by then: there four times what it needed is enough."""

HALF_LIFE_S = 7 * 24 * 3600.0
"""What probes of the last weeks needed counts; what one strange day needed is forgotten."""

WARM_UP_S = 12 * 3600.0
"""Before this the duty that keeps the temperature is not known, and walls take heat that moves no air. What reports
need is learned from then on, and counts after as long again."""

UNKNOWN_S = 4 * 3600.0
UNKNOWN_RESPONSES = 8.0
"""Until then: four hours of full output move every room, twice as much the slowest floor."""

OBSERVED_S_MIN = 48 * 3600.0
NEW_FACTOR = 8.0
"""Until two days were observed the room has not shown much of what it may need."""


class SensorProbe(msgspec.Struct, frozen=True):
    """The probe of a zone's sensors. Kept in `climate.json`.

    Attributes:
        excess_s: The heat beyond what keeps the temperature since the last report, in seconds of full output; negative
            for missing heat.
        is_dead: The sensors did not report in spite of it. Only a report ends that.
        needed_s: The heat, or missing heat, after which they reported before.
        observed_s: For how long that was observed, up to `OBSERVED_S_MIN`.
        age_s: The age of the last report.
        duties: The least and the most that kept the temperature at the last report, by all that was known.
    """

    excess_s: float = 0.0
    is_dead: bool = False
    needed_s: float = 0.0
    observed_s: float = 0.0
    age_s: float = 0.0
    duties: tuple[float, float] = (0.0, 0.0)

    def excess(self, *, is_on: bool, is_upward: bool) -> float:
        """Return the present duty beyond what keeps the temperature, by the one that gives less evidence."""
        return (1.0 if is_on else 0.0) - self.duties[is_upward]


def is_upward(*, quiet_for_s: float, error_k: float, law_duty: float, cools_k_per_h: float) -> bool:
    """Return whether the duty moves up.

    Args:
        quiet_for_s: For how long the silence has been unusual.
        error_k: The distance from the setpoint at the last report, positive if heat is needed.
        law_duty: The duty of the control law.
        cools_k_per_h: A home cools no faster.
    """
    if error_k > -ABOVE_K:
        return True
    # Without heat there is none to take away.
    return law_duty <= 0.0 and error_k + quiet_for_s / 3600.0 * cools_k_per_h > 0.0


def duty_change(quiet_for_s: float) -> float:
    """Return how far the duty moves after a time of unusual silence, 0 to `CHANGE_MAX`."""
    return min(CHANGE_MAX, CHANGE_PER_H * max(0.0, quiet_for_s) / 3600.0)


def advance(
    probe: SensorProbe,
    *,
    age_s: float,
    is_quiet: bool,
    excess: float,
    duties: tuple[float, float],
    dt_s: float,
    response_s: float,
) -> SensorProbe:
    """Return the probe after some time.

    Args:
        probe: Before.
        age_s: The age of the last report.
        is_quiet: The silence is unusual.
        excess: The duty in that time beyond what keeps the temperature; negative below it.
        duties: The duties that keep the temperature by what is known now. They count from a report on: a law that sees
            no change follows its own heat.
        dt_s: The time.
        response_s: The time in which the emitter shows whether it works.
    """
    observed_s = min(OBSERVED_S_MIN, probe.observed_s + dt_s)
    if age_s < probe.age_s + dt_s / 2.0:
        needed_s = max(abs(probe.excess_s), probe.needed_s) if observed_s >= WARM_UP_S else 0.0
        return SensorProbe(0.0, False, needed_s, observed_s, age_s, (min(duties), max(duties)))
    if probe.is_dead:
        return msgspec.structs.replace(probe, age_s=age_s)
    excess_s = probe.excess_s + excess * dt_s
    needed_s = probe.needed_s * (1.0 - min(1.0, dt_s / HALF_LIFE_S))
    is_dead = is_quiet and abs(excess_s) >= _limit_s(needed_s, observed_s, response_s)
    return SensorProbe(excess_s, is_dead, needed_s, observed_s, age_s, probe.duties)


def _limit_s(needed_s: float, observed_s: float, response_s: float) -> float:
    """Return the heat, or missing heat, after which a sensor that has not reported is dead."""
    unknown_s = max(UNKNOWN_S, UNKNOWN_RESPONSES * response_s)
    if observed_s < 2.0 * WARM_UP_S:
        return unknown_s
    first_s = min(NEEDED_RESPONSES_MIN * response_s, max(response_s, QUICK_FACTOR * needed_s))
    limit_s = max(first_s, NEEDED_FACTOR * needed_s + max(0.0, needed_s - SLOW_S))
    return (
        limit_s
        if observed_s >= OBSERVED_S_MIN
        else max(limit_s, min(unknown_s, NEW_FACTOR * max(needed_s, response_s / 2.0)))
    )


def exclude_dead(probe: SensorProbe, temperature: ZoneTemperature) -> ZoneTemperature:
    """Return the temperature of a zone; unknown if its sensors are dead and have not reported since."""
    if not probe.is_dead or not temperature.quiet_for_s or temperature.age_s < probe.age_s:
        return temperature
    problem = (
        f"{temperature.names[0]} has been silent for {temperature.age_s / 60:.0f} min, although the heat was changed to"
        " make it report"
    )
    return forget(temperature, problem)


def forget(temperature: ZoneTemperature, problem: str) -> ZoneTemperature:
    """Return an unknown temperature in place of that of silent sensors."""
    return ZoneTemperature(None, 0.0, 0, None, problem, temperature.warmest_c, silent_s=temperature.age_s)
