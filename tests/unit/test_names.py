"""Names use the terms of docs/glossary.md, not the private words that they replaced; and no file grows too long."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "hal", "lab")
GLOSSARY = ROOT / "docs" / "glossary.md"

BANNED = {
    "rehearsal": "simulation",
    "rehearse": "simulate",
    "mishap": "fault",
    "mishaps": "faults",
    "hindrance": "problem",
    "bury": "dead letter",
    "buried": "dead letter",
    "book": "store or journal",
    "kept": "store or snapshot",
    "stored": "store",
    "door": "local API, port",
    "said": "problem, reason",
    "told": "reported",
    "heard": "received",
    "why": "reason",
    "belief": "sensor validation",
    "blind": "sensor loss",
    "walls": "thermal mass",
    "wish": "request",
    "orders": "requests",
    "mind": "controller",
    "dose": "pulse",
    "trying": "trial",
    "imaging": "image installer",
    "surroundings": "context, environment",
    "ears": "attribute decoder",
    "outlet": "radio events",
    "crossing": "thread mailbox",
    "keeping": "radio state",
    "ladder": "backoff",
    "makers": "vendor quirks",
    "sparing": "lazy imports",
    "finishing": "shielding",
    "vitals": "system info",
    "disguise": "response faults",
    "lives": "restarts",
    "world": "environment",
    "town": "environment",
    "asking": "hub client",
    "looking": "show",
    "words": "format",
    "moment": "now",
}
"""Words of a file or class name that stand nowhere, with their replacement."""

BANNED_IN = {
    "agent/climate": {"house": "coordinator", "watch": "fault detection", "guard": "short-cycle protection"},
    "agent/ota": {"intake": "staging"},
    "agent/foundation": {
        "decoding": "lenient JSON",
        "trees": "staging files",
        "route": "metered",
        "instants": "RFC 3339",
    },
    "hal/zigbee": {"choice": "network ownership", "setting": "device setup"},
    "lab/refcloud": {"gate": "middleware", "instants": "RFC 3339"},
    "lab/ncp": {"air": "radio medium"},
}
"""Words that are right elsewhere: `hal.sim.house` is a house."""

BANNED_FILES = {"room.py": "service.py"}

BANNED_CLASSES = {
    "Record", "State", "Event", "Status", "Device", "Moment", "Book", "Journal", "Kept", "Stored", "Give", "Running",
    "InForce", "Room",
}  # fmt: skip
"""Too general alone: they are prefixed by what they are of."""


def words_of(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)}


def names() -> Iterator[tuple[str, str]]:
    """Yield every file (its stem) and every class with the file in which it stands."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            file = str(path.relative_to(ROOT))
            yield file, path.parent.name if path.name == "__init__.py" else path.stem
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    yield file, node.name


def problems(found: Iterator[tuple[str, str]]) -> list[str]:
    wrong = []
    for file, name in found:
        banned = BANNED | next((words for place, words in BANNED_IN.items() if file.startswith(place)), {})
        wrong += [f"{file}: {name}: {word} -> {banned[word]}" for word in sorted(words_of(name) & banned.keys())]
        if name in BANNED_CLASSES:
            wrong.append(f"{file}: {name}: prefix it by what it is of")
        if Path(file).name in BANNED_FILES:
            wrong.append(f"{file}: -> {BANNED_FILES[Path(file).name]}")
    return wrong


def test_files_and_classes_use_the_terms_of_the_field() -> None:
    assert problems(names()) == []


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("agent/pairing/book.py", "book"),
        ("agent/climate/house.py", "house"),
        ("agent/climate/zone.py", "ZoneWish"),
        ("agent/ota/room.py", "Updates"),
        ("agent/commands/lifecycle.py", "Record"),
        ("hal/zigbee/state.py", "KeptNetwork"),
    ],
)
def test_an_old_name_is_found(file: str, name: str) -> None:
    assert problems(iter([(file, name)]))


def test_old_name_is_allowed_where_it_is_the_standard_term() -> None:
    assert problems(iter([("hal/sim/house.py", "House"), ("agent/telemetry/intake.py", "Intake")])) == []


@pytest.mark.parametrize(("directory", "lines_max"), [("agent", 450), ("hal", 450), ("lab", 450), ("tests/unit", 500)])
def test_no_file_is_longer_than_its_limit(directory: str, lines_max: int) -> None:
    files = {path: len(path.read_text().splitlines()) for path in (ROOT / directory).rglob("*.py")}
    assert [str(path.relative_to(ROOT)) for path, lines in files.items() if lines > lines_max] == []


def test_the_glossary_has_each_term_once_in_alphabetical_order() -> None:
    terms = re.findall(r"^\| \*\*(.+?)\*\* \|", GLOSSARY.read_text(), re.MULTILINE)
    assert len(terms) > 50
    assert terms == sorted(set(terms), key=str.lower)
