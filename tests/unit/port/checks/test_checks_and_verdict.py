"""The verdict never says less than a check about what heats the house: both judge by the same levels."""

import msgspec
import pytest

from agent.local.problem import Level
from agent.local.status import MachineReport
from agent.local.verdict import Verdict, verdict
from agent.port.checks.facts import Facts, Heating, Missing
from agent.port.checks.report import Outcome
from agent.port.checks.table import CHECKS, judge

from .changes import Change, docs_of, link
from .test_table import CASES

LEVELS = {Outcome.PASS: Level.OK, Outcome.UNKNOWN: Level.OK, Outcome.WARN: Level.ATTENTION, Outcome.FAIL: Level.FAULT}
SAME_LEVEL = {"power-under-voltage", "power-mains", "machine-disk", "machine-clock"}
HEATING = {check.name for check in CHECKS if check.group == "heating"} | {"machine-watchdog-control"}


def as_reported(facts: Facts) -> Verdict:
    """Return the verdict of a hub whose documents report these facts, as a running hub's do."""
    documents = docs_of(facts)
    assert not isinstance(facts.throttling, Missing)
    assert not isinstance(facts.supplies, Missing)
    assert not isinstance(facts.disk, Missing)
    assert not isinstance(facts.clock, Missing)
    machine = MachineReport(
        facts.throttling.now,
        facts.throttling.since_boot,
        any(each.kind == "Mains" and each.is_online is False for each in facts.supplies),
        facts.disk.free_bytes,
        facts.disk.free_bytes_min,
    )
    heating = Heating(is_hung=False) if isinstance(facts.heating, Missing) else facts.heating
    problems = ["the control loop has not decided for a minute" if heating.is_hung else "", heating.output_problem]
    problems += [heating.file_problem, heating.sensor_problem]
    status = msgspec.structs.replace(
        documents.status,
        machine=machine,
        climate_problems=[*documents.status.climate_problems, *filter(None, problems)],
    )
    # The clock of the machine is a fact of its own, and that of the document another one.
    if status.clock.synchronised:
        status = msgspec.structs.replace(status, clock=facts.clock)
    return verdict(status, documents.climate, documents.zigbee, documents.update)


@pytest.mark.parametrize(
    ("name", "outcome", "change"),
    [
        pytest.param(name, outcome, change, id=f"{name} {outcome} {text}")
        for name, outcome, text, change in CASES
        if name in SAME_LEVEL or (name in HEATING and outcome is Outcome.FAIL)
    ],
)
def test_the_verdict_is_no_milder_than_a_check(facts: Facts, name: str, outcome: Outcome, change: Change) -> None:
    order = list(Level)
    found = as_reported(change(facts))
    if name in SAME_LEVEL:
        assert found.level is LEVELS[outcome], found.problems
    else:
        assert order.index(found.level) >= order.index(LEVELS[outcome]), found.problems


def test_all_is_well_with_the_facts_of_a_good_hub(facts: Facts) -> None:
    assert as_reported(facts).level is Level.OK


def test_the_verdict_and_the_check_of_a_hub_without_a_key_give_the_same_remedy(facts: Facts) -> None:
    without = link(state="unprovisioned")(facts)
    (found,) = (each for each in judge(without) if each.name == "network-key")
    (problem,) = (each for each in as_reported(without).problems if each.what.startswith("cloud"))
    assert found.remedy == problem.advice
