"""Lines on a terminal: nothing wider than it, and what a person copies stays whole."""

import io

import click
import pytest

from agent.cli import lines

LISTED = (
    "Amps HVAC (amps) answers under /amps\n"
    "acc_5k2q8xw0v3t1n9rd: aurra_home, installer, standard, diagnostics:read alerts:write energy:read comfort:write,"
    " zones living, bedroom, until 2026-12-24T18:00:00Z\n"
    "\n"
    "  2026-04-22T14:33:10Z  push.failed for 5f3a19c2, 12 attempts: the other end answered 500 Internal Server Error"
)


def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost() -> None:
    folded = lines.fold(LISTED, 80)
    assert max(map(len, folded.splitlines())) <= 80
    assert folded.split() == LISTED.split()
    assert folded.splitlines()[0] == "Amps HVAC (amps) answers under /amps"
    assert "" in folded.splitlines()
    assert folded.splitlines()[2].startswith("    ")


def test_a_word_that_is_longer_stays_whole() -> None:
    url = "https://example.com/" + "x" * 100
    assert url in lines.fold(f"5f3a19c2: amps to {url}, all events", 80).split("\n")[1]


def test_elsewhere_than_on_a_terminal_a_line_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines.echo(LISTED)
    assert capsys.readouterr().out == LISTED + "\n"


def test_a_question_that_nobody_answers_says_how_to_answer_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a script `climahub relay test` ended with the word "stopped"."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(click.UsageError, match="add --yes"):
        lines.is_agreed("Does somebody watch?")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\nn\n"))
    assert lines.is_agreed("Does somebody watch?")
    assert not lines.is_agreed("Does somebody watch?")
