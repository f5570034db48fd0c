"""The documents and the tree tell the same story."""

import re
import shlex
from collections.abc import Iterator
from os.path import normpath
from pathlib import Path

import click
import pytest

from agent.cli import exit_codes
from agent.cli.root import COMMANDS, cli

ROOT = Path(__file__).parents[3]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = {path: path.read_text() for path in DOCUMENTS}
SHORT_CELLS = {"performance.md": 180, "commands.md": 120, "local-api.md": 120, "dependencies.md": 120}
"""By document: the longest cell of its tables, without the targets of links. What is longer stands below the table."""
README = TEXT[ROOT / "README.md"]


def mapped() -> set[str]:
    """Return the paths that README's map names."""
    block = README.partition("## The map")[2].split("```")[1]
    paths, package = set(), ""
    for line in block.strip().splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            package = name
        paths.add(name if name == package else package + name)
    return paths


def test_the_map_matches_the_tree() -> None:
    packages = {
        f"{top}/{path.name}/"
        for top in ("agent", "hal", "lab")
        for path in (ROOT / top).iterdir()
        if (path / "__init__.py").is_file()
    }
    found = mapped()
    assert {path for path in found if not (ROOT / path).exists()} == set()
    assert packages <= found
    layers = TEXT[ROOT / "docs" / "architecture.md"].partition("## The map")[2].split("```")[1]
    assert {path for path in packages if path.strip("/").replace("/", ".") not in layers} == set()
    tests = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert {name for name in tests if name not in README.partition("\ntests/")[2].partition("\n")[0]} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_have_a_target(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)\)", TEXT[document])
    broken = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert broken == []


def anchors(text: str) -> set[str]:
    """Return the names to which a link into a document can point, as GitHub derives them from headings."""
    prose = "".join(text.split("```")[::2])
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings} | set(
        re.findall(r'<a id="([^"]+)">', prose)
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_into_a_document_have_their_heading(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", TEXT[document])
    targets = {link: Path(normpath(document.parent / link)) if link else document for link, _ in links}
    broken = [f"{link}#{name}" for link, name in links if name not in anchors(TEXT.get(targets[link], ""))]
    assert broken == []


def test_each_page_of_experiments_is_listed_and_begins_with_its_conclusion() -> None:
    folder = ROOT / "docs" / "experiments"
    pages = {path.name: TEXT[path] for path in folder.glob("*.md") if path.name != "README.md"}
    assert set(re.findall(r"^\| \[[a-z ]+\]\(([a-z-]+\.md)\) \|", TEXT[folder / "README.md"], re.MULTILINE)) == set(
        pages
    )
    assert {name for name, text in pages.items() if not re.match(r"# .+\n\n[A-Z0-9]", text)} == set()


@pytest.mark.parametrize(("name", "chars_max"), SHORT_CELLS.items())
def test_no_cell_of_a_table_is_a_paragraph(name: str, chars_max: int) -> None:
    rows = re.findall(r"^\| (.+) \|$", TEXT[ROOT / "docs" / name], re.MULTILINE)
    cells = [cell for row in rows for cell in re.sub(r"\]\([^)]*\)", "]", row).split(" | ")]
    assert [cell for cell in cells if len(cell) > chars_max] == []


def test_results_have_their_command() -> None:
    rows = re.findall(r"^\| (?!(?:What|Scenario) \||---)(.+) \|$", TEXT[ROOT / "docs" / "performance.md"], re.MULTILINE)
    commands = [row.split(" | ")[-1] for row in rows]
    assert [each for each in commands if "`" not in each and not each.startswith(("same", "see"))] == []


def command_lines() -> list[str]:
    found = []
    for text in TEXT.values():
        for block in text.split("```")[1::2]:
            found += re.findall(r"^ *(?:sudo |\.venv/bin/)?(climahub [^\n|>&#;]*)", block, re.MULTILINE)
    return found


@pytest.mark.parametrize("line", sorted(set(command_lines())))
def test_commands_in_the_documents_exist(line: str) -> None:
    """Each word that is an option is one of the command, and each command is there."""
    command: click.Command = cli
    words = shlex.split(line)[1:]
    context = click.Context(cli)
    while words and isinstance(command, click.Group):
        inner = command.get_command(context, words[0])
        if inner is None:
            break
        command = inner
        words = words[1:]
    if command.name == "cloud" and isinstance(command, click.Group):
        default = command.get_command(context, "serve")
        assert default is not None
        command = default
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    assert command is not cli or line == "climahub COMMAND --help"


def test_every_command_is_documented() -> None:
    for name in COMMANDS:
        assert f"climahub {name}" in TEXT[ROOT / "docs" / "commands.md"]


def test_exit_codes_are_documented() -> None:
    for code, meaning in exit_codes.MEANINGS.items():
        assert f"| {code} | {meaning} |" in TEXT[ROOT / "docs" / "commands.md"]


def make_targets(text: str) -> Iterator[str]:
    """Return the targets of the commands `make …` in a document: in backticks, or at the start of a line of a block."""
    yield from re.findall(r"`make ([a-z-]+)", text)
    for block in re.findall(r"^```[a-z]*$(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield from re.findall(r"^make ([a-z-]+)", block, re.MULTILINE)


def test_a_target_of_make_is_part_of_a_command() -> None:
    blocks = "```\nmake bench  # make it\nls\n```\nThey\nmake up\n```sh\nmake test\n```\n"
    assert [*make_targets(f"Use `make demo` to\nmake the hub's page.\n{blocks}")] == ["demo", "bench", "test"]


def test_make_targets_in_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {name for text in TEXT.values() for name in make_targets(text)} <= targets
    assert {"demo", "test", "check", "bench", "soak"} <= targets


def pins(lock: str) -> dict[str, str]:
    """Return what a lock file names: package and version."""
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+) \\$", (ROOT / lock).read_text(), re.MULTILINE))


LOCKS = [
    "requirements.lock",
    "requirements-hardware.lock",
    "requirements-demo.lock",
    "requirements-worker.lock",
    "requirements-dev.lock",
    "requirements-homekit.lock",
]


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_files_name_no_place_of_a_machine(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert not re.search(r"file:/|https?:|--(extra-)?index|--find-links", text)
    assert {"aiohttp", "click", "msgspec", "rich", "tzdata"} <= set(pins(lock))
    assert len(pins(lock)) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_all_lock_files_name_the_same_versions(lock: str) -> None:
    assert pins(lock).items() <= pins("requirements-dev.lock").items()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-hardware.lock"])
def test_runtime_lock_has_no_build_or_test_packages(lock: str) -> None:
    tools = {"hatchling", "trove-classifiers", "editables", "pluggy", "pathspec", "tomlkit", "packaging"}
    assert not set(pins(lock)) & (tools | {"async-solipsism", "pytest", "hypothesis", "pip"})


INSTRUCTIONS = [ROOT / "Makefile", ROOT / ".ci" / "run", ROOT / "tests" / "systemd" / "conftest.py"]


@pytest.mark.parametrize("path", [*DOCUMENTS, *INSTRUCTIONS], ids=str)
def test_lock_files_are_installed_without_dependency_resolution(path: Path) -> None:
    # pip 23.0 and 23.2 refuse a lock once the index offers newer releases, unless they are told not to look.
    for line in path.read_text().splitlines():
        if "--require-hashes" in line:
            assert re.search(r"--no-deps[\", ]+--require-hashes", line), line
