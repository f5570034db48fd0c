"""The catalogue of what the hub itself says: every translation is of a text that the hub has, and none is missing."""

import ast
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.local.repair_table import REPAIRS
from agent.local.routes import ROUTES
from agent.maintenance import accelerometers, drift_finding, machine_assessment, machine_watch, pipe_assessment
from agent.maintenance.assessment import ADVICE
from agent.port.checks.table import CHECKS
from agent.port.page_files import read_page_file
from agent.port.page_minifier import ShortNames, by_number
from tests.unit.page_source import PAGE

AGENT = Path(__file__).parents[2] / "agent"
CATALOGUES = sorted((PAGE / "texts").glob("*-hub.json"))
RAW_BYTES_MAX = 50_000
GZIP_BYTES_MAX = 19_500
"""Of one catalogue. Only a page in another language than English loads one: it is not part of the page's own weight."""

VERDICT = ("problems", "document_problems", "machine_problems", "verdict")
"""Modules of `agent.local` whose texts are phrases, or are given to one."""

MAINTENANCE = [
    AGENT / "maintenance" / f"{name}.py"
    for name in ("assessment", "drift_finding", "machine_assessment", "machine_watch", "pipe_assessment")
]

ZONE_PROBLEMS = [
    AGENT / "climate" / f"{name}.py" for name in ("fault_detection", "power_draw", "supply_pipe", "zone_state")
]

HOLES = re.compile(r"\{(\w+)\}")


def constants(module: Path) -> Iterator[str]:
    """Every text of a module but its docstrings; one that is made of two by `_KEPT` as a whole."""
    tree = ast.parse(module.read_text())
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    silent |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    kept = next((node.value for node in assigned if ast.unparse(node.targets[0]) == "_KEPT"), None)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            yield node.value
        elif isinstance(node, ast.JoinedStr) and isinstance(kept, ast.Constant) and "_KEPT" in ast.unparse(node):
            texts = [part for part in node.values if isinstance(part, ast.Constant)]
            yield "".join(str(part.value) for part in texts) + str(kept.value)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "counted":
            one, *many = [str(each.value) for each in node.args[1:] if isinstance(each, ast.Constant)]
            yield f"1 {one}"
            yield f"{{count}} {many[0] if many else f'{one}s'}"


def needed() -> set[str]:
    """What every catalogue has: the texts of the verdict. Names of endpoints and nouns after a number are no texts."""
    texts = {text for name in VERDICT for text in constants(AGENT / "local" / f"{name}.py")}
    nouns = {text for text in texts if f"1 {text}" in texts}
    return {text for text in texts if " " in text and text == text.strip() and "/v1/" not in text} - nouns


def audited() -> set[str]:
    """The actions of the audit trail, as the page writes them."""
    return {route.handler.replace("_", " ") for route in ROUTES if route.method != "GET" and route.is_audited}


def known() -> set[str]:
    """What a catalogue may have: every text of the hub, and what its audit trail names."""
    sources = [
        *(AGENT / "local").glob("*.py"),
        *(AGENT / "port" / "checks").glob("*.py"),
        AGENT / "foundation" / "phrase.py",
        AGENT / "pairing" / "registration.py",
        AGENT / "climate" / "fusion.py",
        AGENT / "maintenance" / "accelerometers.py",
        *MAINTENANCE,
        *ZONE_PROBLEMS,
        *(AGENT / "port" / "hardware").glob("*.py"),
    ]
    return {text for source in sources for text in constants(source)} | audited()


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda path: path.stem)
def test_the_verdict_is_translated_whole_and_nothing_that_the_hub_does_not_say(catalogue: Path) -> None:
    texts = json.loads(catalogue.read_text())
    assert list(texts) == sorted(texts)
    assert needed() - set(texts) == set()
    assert set(texts) - known() == set()
    for key, text in texts.items():
        assert text.strip()
        assert set(HOLES.findall(text)) == set(HOLES.findall(key)), key


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda path: path.stem)
def test_checks_and_repairs_are_translated_with_what_they_mean(catalogue: Path) -> None:
    texts = json.loads(catalogue.read_text())
    said = {text for check in CHECKS for text in (check.title, check.meaning)}
    said |= {text for repair in REPAIRS.values() for text in (repair.title, repair.effect)}
    for module in (AGENT / "port" / "checks").glob("*_checks.py"):
        said |= {text for text in constants(module) if HOLES.search(text)}
    assert (said | audited()) - set(texts) == set()


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda path: path.stem)
def test_what_a_zone_says_of_its_equipment_is_translated(catalogue: Path) -> None:
    said = {text for module in ZONE_PROBLEMS for text in constants(module) if text.startswith("check ")}
    assert len(said) > len(ZONE_PROBLEMS)
    assert said - set(json.loads(catalogue.read_text())) == set()


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda path: path.stem)
def test_no_two_texts_have_the_same_number(catalogue: Path) -> None:
    texts = json.loads(catalogue.read_text())
    assert len(by_number(texts)) == len(texts)


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda path: path.stem)
def test_what_maintenance_finds_is_translated_with_its_numbers_and_advice(catalogue: Path) -> None:
    said = {text for advice in ADVICE.values() for text in (advice.name, advice.issue, advice.action)}
    said |= {text for module in MAINTENANCE for text in constants(module) if HOLES.search(text)}
    said |= {pipe_assessment._SWAPPED, pipe_assessment._NO_OUTDOOR, pipe_assessment._NOT_FRESH}
    said |= {drift_finding.NO_TIME, machine_assessment._NOT_FRESH, accelerometers.SILENT}
    said |= {machine_watch.PLUG_NAME, machine_watch.ACCELEROMETER_NAME}
    said |= {template for template, _ in machine_assessment._MEASURED.values()}
    assert len(said) > len(ADVICE)
    assert said - set(json.loads(catalogue.read_text())) == set()


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda path: path.stem)
def test_a_catalogue_stays_within_its_weight(catalogue: Path) -> None:
    packed = read_page_file(catalogue, ShortNames()).compressed
    assert len(gzip.decompress(packed)) <= RAW_BYTES_MAX
    assert len(packed) <= GZIP_BYTES_MAX
