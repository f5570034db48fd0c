"""Looks at the release on trial until it has proved itself or failed. `health` decides; this keeps its time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from agent.ota import health
from agent.ota.health import TrialProgress, Verdict

CHECK_INTERVAL_S = 5.0
"""How often a release on trial is looked at."""

CHECK_TIMEOUT_S = 30.0
"""How long one part may take to answer: one that hangs must not keep a trial open for ever."""

Check = Callable[[], Awaitable[str]]
"""Says what is wrong with one part of the hub; the empty text where nothing is."""


class Trial:
    """The trial of the release that runs.

    Attributes:
        is_well: Nothing was wrong at the last look; there was one.
        trial: How far it is; `None` before it begins and once it is over.
        wish_to_leave: Why a person wants it to be over; empty where nobody does.
    """

    def __init__(
        self, checks: Mapping[str, Check], fresh_sensors: Callable[[], int], *, healthy_s: float, deadline_s: float
    ) -> None:
        """Prepare.

        Args:
            checks: What it has to show, by name; the cloud is not among it.
            fresh_sensors: How many sensors deliver.
            healthy_s: For how long on end nothing may be wrong.
            deadline_s: By when that must have happened.
        """
        self._checks = checks
        self._fresh_sensors = fresh_sensors
        self._healthy_s = healthy_s
        self._deadline_s = deadline_s
        self.is_healthy = False
        self.abort_reason = ""
        self.progress: TrialProgress | None = None

    def remaining_s(self) -> tuple[float, float]:
        """Return how long it takes at the least until the release has proved itself, and until it is given up."""
        now_s = asyncio.get_running_loop().time()
        progress = self.progress or TrialProgress(now_s)
        well_s = 0.0 if progress.healthy_since_s is None else now_s - progress.healthy_since_s
        return max(0.0, self._healthy_s - well_s), max(0.0, self._deadline_s - (now_s - progress.began_s))

    async def run(self, fresh_before: int) -> tuple[Verdict, str]:
        """Return the verdict, once there is one, with the reason of a failure.

        Args:
            fresh_before: How many sensors delivered under the old release.
        """
        now_s = asyncio.get_running_loop().time
        self.progress = progress = TrialProgress(now_s())
        verdict, reason = Verdict.OPEN, ""
        while verdict is Verdict.OPEN:
            due_s = now_s() + CHECK_INTERVAL_S
            await asyncio.sleep(CHECK_INTERVAL_S)
            late_s = now_s() - due_s
            problems = {name: await _asked(check) for name, check in self._checks.items()}
            problems["loop"] = f"{late_s:.1f} s late" if late_s > health.LATE_S_MAX else ""
            problems["sensors"] = health.find_sensor_problem(self._fresh_sensors(), fresh_before)
            self.progress = progress = health.apply_checks(progress, problems, now_s())
            self.is_healthy = progress.healthy_since_s is not None
            verdict, reason = health.judge(progress, now_s(), healthy_s=self._healthy_s, deadline_s=self._deadline_s)
            if self.abort_reason:
                verdict, reason = Verdict.FAILED, self.abort_reason
        self.progress = None
        return verdict, reason


async def _asked(check: Check) -> str:
    """Ask a part of the hub; one that does not answer is not well."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT_S:.0f} s"
