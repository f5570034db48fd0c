"""The document of the checks: an interface, so fields may be added and never renamed.

Must stay light: a hub imports it before anybody asks for checks.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from agent.foundation.phrase import Template


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
        name: The name of the repair (`agent.port.checks.repairs`).
        target: What it is done to, such as a sensor's device; empty where it needs none.
    """

    name: str
    target: str = ""


class CheckResult(msgspec.Struct, frozen=True):
    """One check with its finding: a row of the document.

    Attributes:
        phrases: How the texts of the finding were made, where they have values in them, for translations.
    """

    name: str
    group: str
    title: str
    meaning: str
    outcome: Outcome
    fact: str
    remedy: str = ""
    repairs: tuple[RepairOffer, ...] = ()
    phrases: Mapping[str, Template] = {}


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
