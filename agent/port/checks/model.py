"""What a check is and what it says. Pure: no clock, no I/O, no asyncio."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from agent.foundation.phrase import parts, plain
from agent.local.problem import Level, Problem
from agent.port.checks.facts import Facts, Missing
from agent.port.checks.report import CheckResult, Group, Outcome, RepairOffer

T = TypeVar("T")


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


def judged(problem: Problem, *repairs: RepairOffer) -> Finding:
    """Return a problem of the verdict as a finding: levels are defined in one place."""
    outcome = Outcome.FAIL if problem.level is Level.FAULT else Outcome.WARN
    return Finding(outcome, problem.what, problem.advice, repairs)


def result_of(check: "Check[T]", finding: Finding) -> CheckResult:
    """Return a check and its finding as a row."""
    return CheckResult(
        check.name,
        check.group.value,
        check.title,
        check.meaning,
        finding.outcome,
        plain(finding.fact),
        plain(finding.remedy),
        finding.repairs,
        parts([finding.fact, finding.remedy]),
    )
