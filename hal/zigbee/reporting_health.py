"""Whether a sensor keeps its promises, each kind by itself: one may fall silent while the others go on. Pure.

A promise is the longest interval of a reporting rule that the sensor has taken. Rules get lost without a word (in a
brown-out, say), so a kind that is overdue while its sensor is heard is a reason to read the rules back.
"""

from collections.abc import Mapping, Sequence

from hal.interface import SensorKind
from hal.zigbee.availability import FACTOR, SLACK_S

SLOWER_FACTOR = 4.0
"""A kind with so much longer a promise is reported seldom: between two reports of it there are some of this one."""

SLOWER_REPORTS_MAX = 2

RELAXED_S_MAX = 6 * 3600.0
"""The slowest rhythm of its own that a sensor is granted: what a zone can be without a value is up to the zone."""

LOOK_MS = 3_600_000
"""How often a sensor's rules are read back at most, as long as nothing comes of it."""


def allowed_ms(promised_s: float) -> int:
    """Return how long a kind may be silent: three reports may be missing."""
    return int((FACTOR * promised_s + SLACK_S) * 1000)


def overdue(
    promises: Mapping[SensorKind, float],
    *,
    reported_ms: Mapping[SensorKind, int],
    slower_reports: Mapping[SensorKind, int],
    since_ms: int,
    now_ms: int,
) -> Sequence[SensorKind]:
    """Return the kinds that ought to have been reported.

    Args:
        promises: The longest interval of each kind, in seconds; 0 for none.
        reported_ms: When each was reported last.
        slower_reports: How many reports of kinds that are reported much more seldom have come since then.
        since_ms: Since when the radio listens and the sensor has its rules: nothing before counts against it.
        now_ms: On the clock of all these.
    """
    return [
        kind
        for kind, promised_s in promises.items()
        if promised_s
        and (
            now_ms - max(since_ms, reported_ms.get(kind, since_ms)) > allowed_ms(promised_s)
            or slower_reports.get(kind, 0) >= SLOWER_REPORTS_MAX
        )
    ]


def is_slower(kind: SensorKind, than: SensorKind, promises: Mapping[SensorKind, float]) -> bool:
    """Tell whether a kind is promised much more seldom than another."""
    return bool(promises.get(than)) and promises.get(kind, 0.0) >= SLOWER_FACTOR * promises[than]


def lost_rules(kinds: Sequence[SensorKind]) -> str:
    """Return what people are told of a sensor that has lost rules."""
    return (
        f"reports no {_listed(kinds)} any more: it had lost its reporting rules, and was given them again; if this"
        " lasts, change its battery and press its button in an open window"
    )


def keeps_rules(kinds: Sequence[SensorKind]) -> str:
    """Return what people are told of a sensor that has its rules and does not follow them."""
    return (
        f"reports no {_listed(kinds)}, though it has its reporting rules; take its battery out and put it in again, or"
        " replace it"
    )


def unanswered(kinds: Sequence[SensorKind]) -> str:
    """Return what people are told of a sensor that could not be asked for its rules."""
    return f"reports no {_listed(kinds)} any more and does not answer; press its button once"


def _listed(kinds: Sequence[SensorKind]) -> str:
    return " and no ".join(kinds)
