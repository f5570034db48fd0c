"""What a check is and what it says. Pure: no clock, no I/O, no asyncio."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

from agent.port.checks.facts import Facts, Missing

T = TypeVar("T")


class Outcome(StrEnum):
    """What a check found, from the best to the worst."""

    PASS = "pass"  # noqa: S105 - a word, no password
    UNKNOWN = "unknown"
    """It cannot be known here, or not now. Never said where something was seen to be wrong."""
    WARN = "warn"
    """It works, but somebody should look."""
    FAIL = "fail"


class Group(StrEnum):
    """The groups of checks, in the order in which a technician goes through them."""

    POWER = "power"
    MACHINE = "machine"
    NETWORK = "network"
    HUB = "hub"
    SENSORS = "sensors"
    ZIGBEE = "zigbee"
    HEATING = "heating"


class RepairOffer(msgspec.Struct, frozen=True):
    """A repair that would help.

    Attributes:
        name: The name of the repair (`agent.port.repairs`).
        target: What it is done to, such as a sensor's device; empty where it needs none.
    """

    name: str
    target: str = ""


class Finding(msgspec.Struct, frozen=True):
    """What a check found.

    Attributes:
        outcome: How good or bad it is.
        fact: What was seen, or why it cannot be known.
        remedy: What a person does next; empty where there is nothing to do.
        repairs: What the hub can do itself.
    """

    outcome: Outcome
    fact: str
    remedy: str = ""
    repairs: tuple[RepairOffer, ...] = ()


class Check(msgspec.Struct, Generic[T], frozen=True):
    """One check.

    Attributes:
        name: Its name: the group and what it looks at, in lower case with dashes.
        group: Its group.
        title: Its name for people.
        meaning: What it looks at, and why that matters.
        fact: Takes what the check needs from the facts.
        judge: Judges it.
    """

    name: str
    group: Group
    title: str
    meaning: str
    fact: Callable[[Facts], T | Missing]
    judge: Callable[[T], Finding]

    def run(self, facts: Facts) -> Finding:
        """Return what the check finds in these facts."""
        known = self.fact(facts)
        return unknown(known.reason) if isinstance(known, Missing) else self.judge(known)


def check(
    group: Group,
    name: str,
    title: str,
    meaning: str,
    fact: Callable[[Facts], T | Missing],
    judge: Callable[[T], Finding],
) -> Check[T]:
    """Return a check whose name begins with that of its group."""
    return Check(f"{group.value}-{name}", group, title, meaning, fact, judge)


class CheckResult(msgspec.Struct, frozen=True):
    """One check with its finding: a row of the document."""

    name: str
    group: str
    title: str
    meaning: str
    outcome: Outcome
    fact: str
    remedy: str = ""
    repairs: tuple[RepairOffer, ...] = ()


class ChecksReport(msgspec.Struct, frozen=True):
    """The document of all checks.

    Attributes:
        outcome: The worst outcome that asks for something; `PASS` where none does.
        counts: How many checks have each outcome.
        took_s: How long they took.
        checks: All checks, by group.
    """

    outcome: Outcome
    counts: dict[str, int]
    took_s: float
    checks: list[CheckResult]


def passed(fact: str) -> Finding:
    """Return that something was seen to work."""
    return Finding(Outcome.PASS, fact)


def unknown(fact: str, remedy: str = "") -> Finding:
    """Return that something cannot be known, and why."""
    return Finding(Outcome.UNKNOWN, fact, remedy)


def warned(fact: str, remedy: str, *repairs: RepairOffer) -> Finding:
    """Return that somebody should look."""
    return Finding(Outcome.WARN, fact, remedy, repairs)


def failed(fact: str, remedy: str, *repairs: RepairOffer) -> Finding:
    """Return that something does not work."""
    return Finding(Outcome.FAIL, fact, remedy, repairs)


def result_of(check: "Check[T]", finding: Finding) -> CheckResult:
    """Return a check and its finding as a row."""
    return CheckResult(
        check.name,
        check.group.value,
        check.title,
        check.meaning,
        finding.outcome,
        finding.fact,
        finding.remedy,
        finding.repairs,
    )


def report_of(results: Sequence[CheckResult], took_s: float) -> ChecksReport:
    """Return the document of these results."""
    counts = {outcome.value: sum(each.outcome is outcome for each in results) for outcome in Outcome}
    worst = next((each for each in (Outcome.FAIL, Outcome.WARN) if counts[each.value]), Outcome.PASS)
    return ChecksReport(worst, counts, round(took_s, 2), list(results))


def merge(hub: ChecksReport, local: ChecksReport) -> ChecksReport:
    """Return the hub's report, with what the hub could not know taken from a run outside its confinement."""
    known = {each.name: each for each in local.checks if each.outcome is not Outcome.UNKNOWN}
    merged = [known.get(each.name, each) if each.outcome is Outcome.UNKNOWN else each for each in hub.checks]
    return report_of(merged, max(hub.took_s, local.took_s))
