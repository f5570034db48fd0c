"""The trial of a release: health checks at an interval until the release is confirmed or has failed.

A release is confirmed once nothing was wrong for a continuous period. It has failed where that has not happened by a
deadline. The cloud is not among the checks: its loss must never roll a hub back. The functions are pure and get the
time as an argument; the class runs them.
"""

import asyncio
from collections.abc import Callable, Mapping
from enum import Enum

import msgspec

from agent.ota.context import Check

CHECK_INTERVAL_S = 5.0
CHECK_TIMEOUT_S = 30.0
"""A check that hangs must not keep a trial open for ever."""
LATE_S_MAX = 2.0
"""How late the event loop may be: what blocks it for longer blocks the heating control as well."""
FRESH_SHARE_MIN = 0.8
"""Of the sensors that delivered before the restart: one in five may fail by itself on that day."""


class Verdict(Enum):
    """The result of a trial so far."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    FAILED = "failed"


class TrialProgress(msgspec.Struct, frozen=True):
    """A trial so far. Times in seconds of one clock.

    Attributes:
        began_s: When it began.
        healthy_since_s: Since when nothing was wrong; `None` while something is.
        problems: What was wrong at the last check that failed, by name; the reason where the trial fails.
    """

    began_s: float
    healthy_since_s: float | None = None
    problems: Mapping[str, str] = msgspec.field(default_factory=dict)


def find_sensor_problem(fresh: int, fresh_before: int) -> str:
    """Return what is wrong where ``fresh`` sensors deliver and ``fresh_before`` did under the previous release."""
    if fresh >= FRESH_SHARE_MIN * fresh_before:
        return ""
    return f"{fresh} deliver, {fresh_before} did before"


def apply_checks(progress: TrialProgress, problems: Mapping[str, str], now_s: float) -> TrialProgress:
    """Return the trial after a round of checks.

    Args:
        progress: Before it.
        problems: The result of each check; empty texts for what is healthy.
        now_s: When.
    """
    wrong = {name: text for name, text in problems.items() if text}
    if wrong:
        return msgspec.structs.replace(progress, healthy_since_s=None, problems=wrong)
    since_s = now_s if progress.healthy_since_s is None else progress.healthy_since_s
    return msgspec.structs.replace(progress, healthy_since_s=since_s)


def judge(progress: TrialProgress, now_s: float, *, healthy_s: float, deadline_s: float) -> tuple[Verdict, str]:
    """Return the verdict, with the reason where the trial has failed.

    Args:
        progress: So far.
        now_s: Now.
        healthy_s: How long nothing may be wrong, without interruption.
        deadline_s: Time for that, from the beginning of the trial.
    """
    if progress.healthy_since_s is not None and now_s - progress.healthy_since_s >= healthy_s:
        return Verdict.CONFIRMED, ""
    if now_s - progress.began_s < deadline_s:
        return Verdict.OPEN, ""
    wrong = "; ".join(f"{name}: {text}" for name, text in sorted(progress.problems.items()))
    reason = f"not healthy for {healthy_s:.0f} s without interruption within {deadline_s:.0f} s ({wrong or 'unsteady'})"
    return Verdict.FAILED, reason


class Trial:
    """Runs the checks of the release on trial.

    Attributes:
        is_healthy: The last round of checks found nothing wrong; there was one.
        progress: So far; `None` before the trial and after it.
        abort_reason: Why a person ends the trial; empty where nobody does.
    """

    def __init__(
        self, checks: Mapping[str, Check], fresh_sensors: Callable[[], int], *, healthy_s: float, deadline_s: float
    ) -> None:
        """Prepare.

        Args:
            checks: By name; the cloud is not among them.
            fresh_sensors: Returns how many sensors deliver.
            healthy_s: How long nothing may be wrong, without interruption.
            deadline_s: Time for that.
        """
        self._checks = checks
        self._fresh_sensors = fresh_sensors
        self._healthy_s = healthy_s
        self._deadline_s = deadline_s
        self.is_healthy = False
        self.abort_reason = ""
        self.progress: TrialProgress | None = None

    def remaining_s(self) -> tuple[float, float]:
        """Return the shortest time until the release is confirmed, and the time until it is given up."""
        now_s = asyncio.get_running_loop().time()
        progress = self.progress or TrialProgress(now_s)
        healthy_s = 0.0 if progress.healthy_since_s is None else now_s - progress.healthy_since_s
        return max(0.0, self._healthy_s - healthy_s), max(0.0, self._deadline_s - (now_s - progress.began_s))

    async def run(self, fresh_before: int) -> tuple[Verdict, str]:
        """Run the checks until there is a verdict; return it with the reason of a failure.

        Args:
            fresh_before: How many sensors delivered under the previous release.
        """
        now_s = asyncio.get_running_loop().time
        self.progress = progress = TrialProgress(now_s())
        verdict, reason = Verdict.OPEN, ""
        while verdict is Verdict.OPEN:
            due_s = now_s() + CHECK_INTERVAL_S
            await asyncio.sleep(CHECK_INTERVAL_S)
            late_s = now_s() - due_s
            problems = {name: await _run_check(check) for name, check in self._checks.items()}
            problems["loop"] = f"{late_s:.1f} s late" if late_s > LATE_S_MAX else ""
            problems["sensors"] = find_sensor_problem(self._fresh_sensors(), fresh_before)
            self.progress = progress = apply_checks(progress, problems, now_s())
            self.is_healthy = progress.healthy_since_s is not None
            verdict, reason = judge(progress, now_s(), healthy_s=self._healthy_s, deadline_s=self._deadline_s)
            if self.abort_reason:
                verdict, reason = Verdict.FAILED, self.abort_reason
        self.progress = None
        return verdict, reason


async def _run_check(check: Check) -> str:
    """Run a check; one without an answer in time has failed."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT_S:.0f} s"
