"""Whether a release on trial has proved itself. Pure: it is told what was found, and when.

A release is proven once nothing was wrong for a time on end. It has failed when that has not happened by a deadline.
The cloud is not among what is looked at: losing it never rolls a hub back.
"""

from collections.abc import Mapping
from enum import Enum

import msgspec

LATE_S_MAX = 2.0
"""How late the loop may come to a look: later, something holds it up, and control would be held up with it."""


FRESH_SHARE_MIN = 0.8
"""Of the sensors that delivered before the restart: one in five may have a bad day of its own."""


class Verdict(Enum):
    """What is known now."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    FAILED = "failed"


class TrialProgress(msgspec.Struct, frozen=True):
    """A trial so far. Times in seconds of one clock.

    Attributes:
        began_s: When it began.
        healthy_since_s: Since when nothing was wrong; `None` while something is.
        problems: What was wrong last, by check; kept for the reason of a failure.
    """

    began_s: float
    healthy_since_s: float | None = None
    problems: Mapping[str, str] = msgspec.field(default_factory=dict)


def find_sensor_problem(fresh: int, fresh_before: int) -> str:
    """Return what is wrong with the sensors of a hub of which ``fresh_before`` delivered under the old release."""
    if fresh >= FRESH_SHARE_MIN * fresh_before:
        return ""
    return f"{fresh} deliver, {fresh_before} did before"


def apply_checks(trial: TrialProgress, problems: Mapping[str, str], now_s: float) -> TrialProgress:
    """Return the trial after a look.

    Args:
        trial: Before it.
        problems: What each check said; empty texts for what is well.
        now_s: When.
    """
    wrong = {name: text for name, text in problems.items() if text}
    if wrong:
        return msgspec.structs.replace(trial, healthy_since_s=None, problems=wrong)
    since_s = now_s if trial.healthy_since_s is None else trial.healthy_since_s
    return msgspec.structs.replace(trial, healthy_since_s=since_s)


def judge(trial: TrialProgress, now_s: float, *, healthy_s: float, deadline_s: float) -> tuple[Verdict, str]:
    """Return what is known of a trial, with the reason where it has failed.

    Args:
        trial: So far.
        now_s: Now.
        healthy_s: For how long on end nothing may be wrong.
        deadline_s: By when that must have happened, from the trial's beginning.
    """
    if trial.healthy_since_s is not None and now_s - trial.healthy_since_s >= healthy_s:
        return Verdict.CONFIRMED, ""
    if now_s - trial.began_s < deadline_s:
        return Verdict.OPEN, ""
    wrong = "; ".join(f"{name}: {text}" for name, text in sorted(trial.problems.items()))
    return Verdict.FAILED, f"not well for {healthy_s:.0f} s on end within {deadline_s:.0f} s ({wrong or 'unsteady'})"
