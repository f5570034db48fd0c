"""A contract as lines that can be checked, and what came of each. Pure.

Each line names its place in the contract and where the fact comes from. A server that differs from what its maker
documents breaks the contract; one that differs from what was assumed for want of a document only differs.
"""

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from lab.conformance.server import Server


class Origin(StrEnum):
    """Where a fact comes from."""

    DOCUMENTED = "documented"
    """The maker's reference or other public page."""
    CLIENTS = "clients"
    """What published clients send or read."""
    ASSUMED = "assumed"
    """Nothing public says it; it follows from custom or from other facts."""


class Outcome(StrEnum):
    """What came of a line."""

    KEPT = "kept"
    BROKEN = "broken"
    DIFFERS = "differs"
    """An assumed line is not kept."""
    NOT_TRIED = "not tried"
    """It would change something, or needs what the server does not have."""


class Mismatch(Exception):
    """The server does not keep a line; the text says what was expected and what came."""


class NotTried(Exception):
    """The line cannot be checked here; the text says why."""


Check = Callable[["Server"], Awaitable[None]]


class Line(msgspec.Struct, frozen=True):
    """One line of a contract.

    Attributes:
        place: Of the contract, such as "2.3".
        text: What a server does that keeps it.
        check: Raises `Mismatch` or `NotTried`.
        origin: Where the fact comes from.
        is_change: The check changes something on the server.
    """

    place: str
    text: str
    check: Check
    origin: Origin = Origin.DOCUMENTED
    is_change: bool = False


class Result(msgspec.Struct, frozen=True):
    """What came of one line."""

    place: str
    text: str
    origin: Origin
    outcome: Outcome
    detail: str = ""


class Contract:
    """The lines of one API, in the order in which they are checked."""

    def __init__(self, name: str, title: str) -> None:
        """Begin without lines.

        Args:
            name: As in `[apis]` of the hub's configuration.
            title: For people.
        """
        self.name = name
        self.title = title
        self.lines: list[Line] = []

    def line(
        self, place: str, text: str, *, origin: Origin = Origin.DOCUMENTED, change: bool = False
    ) -> Callable[[Check], Check]:
        """Return a decorator that adds a line; see `Line`."""

        def add(check: Check) -> Check:
            self.lines.append(Line(place, text, check, origin, change))
            return check

        return add


def result_of(line: Line, raised: Exception | None) -> Result:
    """Return the result of a line whose check has ended, with what it raised."""
    match raised:
        case None:
            outcome = Outcome.KEPT
        case NotTried():
            outcome = Outcome.NOT_TRIED
        case _:
            outcome = Outcome.DIFFERS if line.origin is Origin.ASSUMED else Outcome.BROKEN
    return Result(line.place, line.text, line.origin, outcome, str(raised) if raised else "")


def count(results: Sequence[Result]) -> dict[Outcome, int]:
    """Return how many lines came out how."""
    return {outcome: sum(each.outcome is outcome for each in results) for outcome in Outcome}


def as_text(contract: Contract, results: Sequence[Result]) -> str:
    """Return a report for people: one line each, what was found below it, the sum last."""
    text = [f"{contract.title}: {len(results)} lines of the contract"]
    width = max(len(outcome) for outcome in Outcome)
    for each in results:
        origin = "" if each.origin is Origin.DOCUMENTED else f" ({each.origin})"
        text.append(f"  {each.outcome:<{width}}  {each.place:<5} {each.text}{origin}")
        if each.detail:
            text.append(f"  {'':<{width}}        {each.detail}")
    found = count(results)
    text.append(", ".join(f"{number} {outcome}" for outcome, number in found.items() if number))
    return "\n".join(text)
