"""How earlier processes of the agent ended, in words for the status. Pure."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from agent.cli.format import DAY_S, counted, duration
from agent.foundation.starts import End
from agent.local.status import StartReport

_SAID: Mapping[str, str] = MappingProxyType(
    {
        End.STOPPED: "stopped in good order",
        End.CRASHED: "crashed",
        End.WATCHDOG: "hung and was ended by its watchdog",
        End.OUT_OF_MEMORY: "was ended for want of memory",
        End.KILLED: "was killed, or crashed",
        End.POWER_LOST: "lost its power, or the machine restarted without warning",
        End.MACHINE_WATCHDOG: "hung with the whole machine, whose watchdog restarted it",
    }
)
_DEFECTS = frozenset({End.CRASHED, End.WATCHDOG, End.OUT_OF_MEMORY, End.KILLED, End.MACHINE_WATCHDOG})
ADVICE = "journalctl -u climahub shows why"


def starts_line(starts: Sequence[StartReport]) -> str:
    """Return how the process before the present one ended; empty where there was none."""
    return f"before, the agent {_said(starts[1])}" if len(starts) > 1 else ""


def starts_problem(starts: Sequence[StartReport], running_s: int | None) -> str:
    """Return what is wrong with the last end for a day after it; empty where nothing is.

    Args:
        starts: The newest first; the first one is the present process.
        running_s: How long the present process runs.
    """
    if len(starts) < 2 or starts[1].end not in _DEFECTS or (running_s or 0) >= DAY_S:  # noqa: PLR2004 - one before
        return ""
    more = sum(start.count for start in starts[2:] if start.end in _DEFECTS)
    before = f"; {counted(more, 'such end')} before" if more else ""
    return f"{_said(starts[1])} {duration(running_s or 0)} ago{before}"


def _said(start: StartReport) -> str:
    detail = f" ({start.detail})" if start.detail else ""
    times = f", {start.count:,} times in a row" if start.count > 1 else ""
    return f"{_SAID.get(start.end, start.end)}{detail}{times}"
