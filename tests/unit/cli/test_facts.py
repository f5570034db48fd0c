from collections.abc import Mapping
from urllib.parse import parse_qsl

from rich.console import Console

from agent.cli.facts import as_line, pages
from agent.cli.facts_table import render
from agent.local.facts import FactReport, FactsReport


def fact(number: int, *, valid_to: str | None = None) -> FactReport:
    return FactReport(
        f"id{number}", "living/mode", "living", "mode", "the mode is\x1b off.", "anna", "2026-11-01T10:00:00Z",
        valid_to, "", "2026-11-01T10:00:00Z",
    )  # fmt: skip


def test_a_fact_is_one_line_with_its_end_and_its_author() -> None:
    assert as_line(fact(1)).startswith("2026-11-01T10:00:00Z  holds                 living/mode  the mode is")
    assert as_line(fact(1, valid_to="2026-11-02T10:00:00Z")).startswith("2026-11-01T10:00:00Z  2026-11-02T10:00:00Z  ")
    assert as_line(fact(1)).endswith(" (anna)")


def test_a_terminal_shows_columns_without_control_characters() -> None:
    console = Console(width=100, force_terminal=True, color_system=None)
    with console.capture() as shown:
        console.print(render([fact(1), fact(2, valid_to="2026-11-02T10:00:00Z")]))
    head, first, second = shown.get().splitlines()
    assert head.split() == ["from", "to", "subject", "fact", "by"]
    assert first.split()[:3] == ["2026-11-01T10:00:00Z", "holds", "living/mode"]
    assert second.split()[1] == "2026-11-02T10:00:00Z"
    assert "\x1b off" not in shown.get()


def test_all_pages_are_read() -> None:
    asked: list[Mapping[str, str]] = []

    def fetch(query: str) -> FactsReport:
        asked.append(dict(parse_qsl(query)))
        return FactsReport([fact(len(asked))], "id1" if len(asked) == 1 else None)

    assert [each.id for each in pages(fetch, "living")] == ["id1", "id2"]
    assert [each.get("before") for each in asked] == [None, "id1"]
    assert asked[0]["subject"] == "living"
