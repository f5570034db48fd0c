"""Cuts the power before durable operation 1, 2, 3, ... of a scenario, once each, and checks that the hub recovers.

Every operation whose effect outlives the process can leave a step half done. So all of them are tried, not random
moments (the method of MCUboot's simulator).
"""

from collections.abc import Callable

import msgspec

from agent.foundation.text import plural
from lab.simulation.forks import fork_at_operations
from lab.simulation.options import MachineFault, MachineFaultKind, Options
from lab.simulation.reading_oracle import DELIVERY_S_MAX
from lab.simulation.run import simulate
from lab.simulation.verdict import Verdict

OUTAGE_HOUR = Options(
    days=1 / 24,
    sensors=16,
    faults="none",
    machine_faults=(MachineFault(MachineFaultKind.NETWORK_CUT, at_s=900.0, lasts_s=1200.0),),
    calm_s=DELIVERY_S_MAX + 300.0,
    config_text="[storage]\ncommit_interval_s = 5\n",
)
"""An hour with an outage of twenty minutes in the middle."""


PAIRING_HOUR = Options(
    days=1 / 24,
    sensors=43,
    boxed=10,
    report_interval_s=300.0,
    faults="none",
    machine_faults=(),
    calm_s=DELIVERY_S_MAX + 600.0,
    config_text="[storage]\ncommit_interval_s = 300\n",
)
"""An hour in which ten sensors are paired, and some of them leave, die, come back, are removed or replaced."""


class PointViolation(msgspec.Struct, frozen=True):
    """A promise violated after a power cut before one operation."""

    point: int
    promise: str
    detail: str


class SweepVerdict(msgspec.Struct, frozen=True):
    """What a sweep found.

    Attributes:
        points: The number of durable operations that were tried, with one simulation each.
        recovered: How many of them ended without a violation.
        violations: The violations of the others.
    """

    points: int
    recovered: int
    violations: list[PointViolation]


def sweep(
    options: Options = OUTAGE_HOUR, *, stride: int = 1, progress: Callable[[int, int], None] | None = None
) -> SweepVerdict:
    """Simulate the scenario once for each of its durable operations, with the power cut before it.

    Args:
        options: The scenario; give `OUTAGE_HOUR` another seed or board to vary it.
        stride: Try every so many points only.
        progress: Receives the number of points done and of all points.
    """
    points = simulate(options).durable_operations
    violations: list[PointViolation] = []
    recovered = tried = 0

    def judge(point: int, verdict: Verdict) -> None:
        nonlocal recovered, tried
        tried += 1
        recovered += not verdict.violations and verdict.crashes == 1
        violations.extend(PointViolation(point, found.promise, found.detail) for found in verdict.violations)
        if verdict.crashes != 1:
            violations.append(
                PointViolation(point, "the power is cut once", plural(verdict.crashes, "crash", "crashes"))
            )
        if progress:
            progress(point, points)

    fork_at_operations(lambda at: simulate(options, at_operation=at), stride=stride, on_result=judge)
    return SweepVerdict(tried, recovered, violations)
