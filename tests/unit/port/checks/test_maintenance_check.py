"""The check of predictive maintenance: the most likely fault first, unknown as such, and translatable."""

import msgspec

from agent.foundation.phrase import Template, parts
from agent.port.checks.facts import Facts
from agent.port.checks.model import Finding
from agent.port.checks.report import Outcome
from agent.port.checks.table import CHECKS

from .changes import LESS_HEAT, USUAL, Change, doc, maintenance

replace = msgspec.structs.replace
LEARNING = replace(
    USUAL, indicator="run_time", state="unknown", confidence=None, evidence="still learning: 3 of 14 days"
)
(CHECK,) = (each for each in CHECKS if each.name == "heating-maintenance")


def found(facts: Facts, change: Change) -> Finding:
    return CHECK.run(change(facts))


def test_faults_are_named_with_probability_beginning_numbers_and_what_to_do_the_most_likely_first(facts: Facts) -> None:
    short = replace(LESS_HEAT, indicator="run_time", issue="short runs", confidence=0.6, since=None, action="bleed it")
    at = found(facts, maintenance(short, LESS_HEAT, LEARNING))
    assert (at.outcome, at.remedy) == (Outcome.WARN, "bedroom: check the filter; bedroom: bleed it")
    assert at.fact == (
        "bedroom: less heat, with a probability of 87 %, since 2026-01-02: 31 % more run time; "
        "bedroom: short runs, with a probability of 60 %, since ?: 31 % more run time"
    )


def test_a_hub_that_still_learns_is_unknown_and_says_why(facts: Facts) -> None:
    at = found(facts, maintenance(LEARNING))
    assert (at.outcome, at.fact) == (Outcome.UNKNOWN, "bedroom: still learning: 3 of 14 days")
    assert found(facts, maintenance()).outcome is Outcome.UNKNOWN
    some = found(facts, maintenance(USUAL, LEARNING))
    assert (some.outcome, some.fact) == (Outcome.PASS, "1 finding as usual; not known yet: bedroom/run_time")


def test_a_hub_without_a_heated_zone_is_unknown_and_lost_learning_is_reported(facts: Facts) -> None:
    assert "only heating is watched" in found(facts, doc("maintenance", zones=[])).fact
    lost = found(facts, maintenance(USUAL, problem="maintenance.json is damaged"))
    assert (lost.outcome, lost.fact) == (Outcome.WARN, "maintenance.json is damaged")
    assert "damaged" not in found(facts, maintenance(LESS_HEAT, problem="maintenance.json is damaged")).fact


def test_the_evidence_keeps_its_template_for_translations(facts: Facts) -> None:
    template = Template("{percent} % more run time", {"percent": "31"})
    at = found(facts, maintenance(LESS_HEAT, phrases={LESS_HEAT.evidence: template}))
    assert parts([at.fact])[LESS_HEAT.evidence] == template
