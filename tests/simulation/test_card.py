"""A card goes from board to board: nothing of another board is sent unasked, none is lost, answers do as they say."""

import sqlite3
from collections.abc import Collection

import msgspec
import pytest

from agent.machine import moved_card
from agent.port.checks.repairs import Repairs
from agent.telemetry.outbox import held, lookup_tables, tables
from lab.simulation.card_oracle import ANSWERED, DISCARDED, WAITS, WITHHELD
from lab.simulation.crash_points import fork_at_operations
from lab.simulation.options import CARDS, FaultProfile, Options
from lab.simulation.reading_oracle import DELIVERY_S_MAX
from lab.simulation.run import simulate
from lab.simulation.verdict import Verdict, as_text

QUARTER = msgspec.structs.replace(CARDS, days=0.25, faults="none", card_moves_per_day=100.0)
ANSWERS = ("confirm-moved-card", "send-held", "discard-held")
SHORT = msgspec.structs.replace(
    CARDS,
    days=0.12,
    sensors=7,
    faults="none",
    calm_s=2 * DELIVERY_S_MAX,
    card_moves_per_day=1000.0,
    config_text="[storage]\ncommit_interval_s = 300\n",
)
"""Three moves at least, each half an hour after the start before it."""


def passed(verdict: Verdict) -> Verdict:
    assert not verdict.violations, as_text(verdict, f"seed {verdict.seed} of CARDS, faults {verdict.faults_profile}")
    return verdict


def test_records_of_another_board_wait_for_an_answer_and_each_does_what_it_says() -> None:
    counts = passed(simulate(QUARTER)).faults
    assert counts["moves of the card"] >= 5
    assert all(counts[answer] for answer in ANSWERS), counts


@pytest.mark.slow
@pytest.mark.parametrize(("faults", "seed"), [("none", 2), ("default", 1), ("harsh", 1), ("harsh", 2)])
def test_with_faults_and_with_answers_that_a_power_cut_breaks_off(faults: FaultProfile, seed: int) -> None:
    verdict = passed(simulate(msgspec.structs.replace(CARDS, faults=faults, seed=seed)))
    assert verdict.faults["answers broken off"]
    assert verdict.faults["reset-copied-card"]
    assert verdict.readings.accepted > 5000


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 3])
def test_after_a_power_cut_at_any_operation_the_answers_hold(seed: int) -> None:
    options = msgspec.structs.replace(SHORT, seed=seed)
    points: list[int] = []

    def judge(point: int, verdict: Verdict) -> None:
        assert not verdict.violations, as_text(verdict, f"operation {point} of seed {seed}")
        points.append(point)

    fork_at_operations(lambda at: simulate(options, at_operation=at), stride=2, on_result=judge)
    assert len(points) > 50


def is_broken(promise: str, options: Options = QUARTER) -> bool:
    return promise in {each.promise for each in simulate(options, until_broken=(promise,)).violations}


def test_sending_what_another_board_recorded_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "boots", lambda *_: frozenset())
    assert is_broken(WAITS)


def test_forgetting_the_board_of_a_boot_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_tables, "machines", lambda _: {})
    assert is_broken(WAITS)


def test_using_the_key_of_another_board_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moved_card, "is_moved", lambda *_: False)
    assert is_broken(WITHHELD)


def test_an_answer_without_an_effect_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def release_nothing(self: Repairs) -> None: ...

    monkeypatch.setattr(Repairs, "_release_held", release_nothing)
    assert is_broken(ANSWERED)


def test_sending_what_was_discarded_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "discard", held.release)
    assert is_broken(DISCARDED)


def test_discarding_what_this_board_recorded_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def discard(connection: sqlite3.Connection, boots: Collection[int], is_elsewhere: held.IsElsewhere) -> None:
        held.release(connection, boots, is_elsewhere)
        connection.execute("DELETE FROM blobs")

    monkeypatch.setattr(held, "discard", discard)
    assert is_broken("nothing lost")


def test_discarding_what_was_to_be_sent_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables.OutboxTables, "release_held", tables.OutboxTables.discard_held)
    assert is_broken("nothing lost")
