"""The transition table of pairing."""

from pathlib import Path

import pytest

from agent.pairing.lifecycle import (
    EDGES,
    PairingEvent,
    PairingRecord,
    PairingStage,
    to_mermaid,
    transition,
)


def test_every_stage_can_be_reached_and_left() -> None:
    reached = {PairingStage.JOINED} | set(EDGES.values())
    assert reached == set(PairingStage) == {stage for stage, _ in EDGES}
    assert {event for _, event in EDGES} == set(PairingEvent)


def test_transition_outside_the_table_raises() -> None:
    with pytest.raises(ValueError, match="it cannot release"):
        transition(PairingRecord("T1"), PairingEvent.RELEASE)


def test_documented_diagram_matches_the_table() -> None:
    document = Path(__file__).parents[3] / "docs" / "pairing.md"
    assert f"```mermaid\n{to_mermaid()}\n```" in document.read_text()
    assert len(to_mermaid().splitlines()) == len(EDGES) + 2
