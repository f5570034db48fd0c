"""The launcher as it is on a hub: one file, started by a bare interpreter, with nothing of the agent around it."""

import ast
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.ota import launcher
from agent.ota.launcher import BASE, FailedRelease, LauncherState

SOURCE = Path(launcher.__file__)


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """Return a state directory with slots that say who they are, and the launcher beside it."""
    for slot in ("a", "b"):
        tree = tmp_path / "state" / "slots" / slot
        (tree / "lib").mkdir(parents=True)
        (tree / "lib" / "x.py").write_text("x = 1\n")
        (tree / "__main__.py").write_text(
            f"import os, sys\nprint('slot {slot}', sys.argv[1:], os.environ['CLIMAHUB_SLOT'], flush=True)\n"
        )
    base = tmp_path / "base"
    base.write_text('#!/bin/sh\necho "base $* $CLIMAHUB_SLOT"\n')
    base.chmod(0o755)
    shutil.copy(SOURCE, tmp_path / "launcher.py")
    return tmp_path / "state"


def account(hub: Path, **changes: object) -> LauncherState:
    digests = {f"digest_{slot}": launcher.digest(hub / "slots" / slot) for slot in ("a", "b")}
    state = LauncherState(**digests, **changes)  # type: ignore[arg-type]
    launcher.store(hub, state, lambda _kind, _name: None)
    return state


def start(hub: Path) -> str:
    """Start the hub as systemd would; return what it says."""
    command = [
        sys.executable,
        "-I",
        "-S",
        str(hub.parent / "launcher.py"),
        "--state-dir",
        str(hub),
        "--base",
        str(hub.parent / "base"),
    ]
    ran = subprocess.run([*command, "--", "run", "--config", "c"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


A = "slot a ['run', '--config', 'c'] a"
B = "slot b ['run', '--config', 'c'] b"
PACKAGE = "base run --config c base"


def test_launcher_imports_the_standard_library_only() -> None:
    names = set()
    for node in ast.walk(ast.parse(SOURCE.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    assert names <= sys.stdlib_module_names


def test_installed_package_runs_without_any_update(hub: Path) -> None:
    assert start(hub) == PACKAGE


def test_confirmed_slot_runs(hub: Path) -> None:
    account(hub, good="b")
    assert start(hub) == B


def test_trial_is_started_up_to_its_limit_then_given_up(hub: Path) -> None:
    account(hub, good="a", trial="b", trial_version="2.0.0", trial_sequence=7, tries_left=2, floor=5)
    assert [start(hub) for _ in range(4)] == [B, B, A, A]
    state = launcher.load(hub)
    assert (state.trial, state.good, state.floor) == ("", "a", 5)
    assert (state.failed.version, state.failed.sequence) == ("2.0.0", 7)


@pytest.mark.parametrize(
    "harm",
    [
        lambda tree: (tree / "lib" / "x.py").write_text("x = 2\n"),
        lambda tree: (tree / "lib" / "more.py").write_text(""),
        lambda tree: (tree / "__main__.py").unlink(),
        lambda tree: (tree / "lib" / "link").symlink_to("/etc/passwd"),
        lambda tree: (tree / "dir").symlink_to("/etc"),
        lambda tree: os.mkfifo(tree / "fifo"),
        shutil.rmtree,
    ],
    ids=["changed", "added", "removed", "link", "linked directory", "fifo", "gone"],
)
def test_modified_slot_is_not_started(hub: Path, harm: Callable[[Path], object]) -> None:
    account(hub, good="a", trial="b", trial_version="2.0.0", trial_sequence=7, tries_left=2)
    harm(hub / "slots" / "b")
    assert start(hub) == A
    assert launcher.load(hub).failed.version == "2.0.0"
    harm(hub / "slots" / "a")
    assert start(hub) == PACKAGE


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 100, b"{", b"[]", b'{"format": 2}', b'{"format": 1, "failed": {}, "good": "c"}', b"9" * 100_000,
     b'{"format": 1, "failed": {}, "good": "a", "tries_left": "9"}',
     b'{"format": 1, "failed": {}, "good": "a", "trial": "a"}', b"[" * 60_000, b"\xff"],
    ids=lambda data: data[:30].decode("latin1"),
)  # fmt: skip
def test_unreadable_state_starts_the_installed_package(hub: Path, data: bytes) -> None:
    (hub / "launcher.json").write_bytes(data)
    assert start(hub) == PACKAGE


@pytest.mark.parametrize("damage", ["missing", "empty", "digit", "directory", "pipe", "ring", "huge"])
def test_damaged_state_is_replaced_by_its_copy(hub: Path, damage: str) -> None:
    written = account(hub, good="a", floor=7)
    path = hub / "launcher.json"
    content = path.read_bytes()
    path.unlink()
    match damage:
        case "empty":
            path.touch()
        case "digit":
            path.write_bytes(content.replace(b'"floor": 7', b'"floor": 1'))
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "ring":
            path.symlink_to(path)
        case "huge":
            path.write_bytes(b"{")
            os.truncate(path, 2**40)
    assert start(hub) == A
    found, problem = launcher.load_with_problem(hub)
    assert found == written
    assert "its copy is used" in problem


def test_state_of_an_older_launcher_needs_no_checksum(hub: Path) -> None:
    written = account(hub, good="a", floor=7)
    values = json.loads((hub / "launcher.json").read_text())
    del values["sha256"]
    (hub / "launcher.json").write_text(json.dumps(values))
    assert launcher.load_with_problem(hub) == (written, "")


def test_unreadable_state_and_copy_are_reported(hub: Path) -> None:
    account(hub, good="a")
    (hub / "launcher.json").write_bytes(b"{")
    (hub / "launcher.json.copy").write_bytes(b"")
    said: list[str] = []
    assert launcher.choose_slot(hub, said.append) == BASE
    assert "cannot be read" in said[0]


def test_pipe_at_the_temporary_name_does_not_block(hub: Path) -> None:
    os.mkfifo(hub / "launcher.json.new")
    with pytest.raises(OSError, match="No such device"):
        account(hub, good="a")


def test_trial_start_that_cannot_be_counted_is_not_made(hub: Path) -> None:
    account(hub, good="a", trial="b", trial_version="2.0.0", trial_sequence=7, tries_left=2)

    def full(kind: str, _name: str) -> None:
        if kind == "fsync":
            raise OSError(28, "No space left on device")

    said: list[str] = []
    assert launcher.choose_slot(hub, said.append, full) == "a"
    assert launcher.load(hub).tries_left == 2
    assert "cannot be written" in said[0]


def test_trial_start_is_counted_on_the_disk_first(hub: Path) -> None:
    account(hub, good="a", trial="b", trial_version="2.0.0", trial_sequence=7, tries_left=2)
    steps: list[str] = []
    assert launcher.choose_slot(hub, steps.append, lambda kind, _name: steps.append(kind)) == "b"
    # Then that of the copy.
    assert steps == 2 * ["write", "fsync", "rename", "fsync_directory"]
    assert launcher.load(hub).tries_left == 1


def test_state_round_trips() -> None:
    state = LauncherState(
        good="a", trial="b", trial_version="2", digest_a="x", failed=FailedRelease("1", 2, "why"), floor=3
    )
    assert launcher.decode(launcher.encode(state)) == state
    assert launcher.decode(launcher.encode(state.with_failed_trial("late"))).failed == FailedRelease("2", 0, "late")
    assert dataclasses.replace(LauncherState(), good=BASE) == LauncherState()


def test_defect_of_the_launcher_starts_the_installed_package(hub: Path) -> None:
    copy = hub.parent / "launcher.py"
    copy.write_text(
        copy.read_text().replace(
            "    try:\n        state, problem = load", "    1 / 0\n    try:\n        state, problem = load"
        )
    )
    assert "1 / 0" in copy.read_text()
    assert start(hub) == PACKAGE


def test_wrong_command_line_is_reported() -> None:
    ran = subprocess.run([sys.executable, SOURCE, "--base"], capture_output=True, text=True, check=False)
    assert (ran.returncode, "usage" in ran.stderr) == (2, True)


def install(hub: Path, *, package: str = "", **slots: str) -> None:
    """Let the package and slots have versions, as pip leaves them."""
    for slot, version in slots.items():
        (hub / "slots" / slot / f"climahub-{version}.dist-info").mkdir()
    if package:
        environment = hub.parent / "environments" / package
        (environment / "lib" / "python3.13" / "site-packages" / f"climahub-{package}.dist-info").mkdir(parents=True)
        (environment / "bin").mkdir()
        shutil.copy(hub.parent / "base", environment / "bin" / "climahub")
        (hub.parent / "current").unlink(missing_ok=True)
        (hub.parent / "current").symlink_to(environment)


def start_package(hub: Path) -> tuple[str, str]:
    """Start the hub with the installed package as its base; return what it says, and the reason that it is given."""
    base = hub.parent / "current" / "bin" / "climahub"
    base.write_text('#!/bin/sh\necho "base" >&1\necho "reason: $CLIMAHUB_SLOT_REASON"\n')
    command = [
        sys.executable,
        "-I",
        "-S",
        str(hub.parent / "launcher.py"),
        "--state-dir",
        str(hub),
        "--base",
        str(base),
    ]
    ran = subprocess.run([*command, "--", "run"], capture_output=True, text=True, check=True)
    first, _, rest = ran.stdout.strip().partition("\n")
    return first, rest.removeprefix("reason: ")


def test_a_package_that_is_newer_than_the_slot_runs_and_says_so(hub: Path) -> None:
    install(hub, package="1.3.0", a="1.2.9")
    account(hub, good="a", floor=4)
    reason = "the package's release 1.3.0 is newer than 1.2.9 in slot a; starting the package's release"
    assert start_package(hub) == ("base", reason)
    # The slot stays: a package that is downgraded leaves it to run again.
    install(hub, package="1.2.8")
    assert start_package(hub)[0].startswith("slot a")


@pytest.mark.parametrize("package", ["1.2.9", "1.2.9+local", "1.2.8", "1.2.9rc1", "1.2.9.dev4", "not a version"])
def test_a_package_that_is_not_newer_leaves_the_slot(hub: Path, package: str) -> None:
    install(hub, package=package, a="1.2.9")
    account(hub, good="a")
    assert start_package(hub)[0].startswith("slot a")


def test_a_slot_of_unknown_version_runs(hub: Path) -> None:
    install(hub, package="9.0")
    account(hub, good="a")
    assert start_package(hub)[0].startswith("slot a")


def test_a_trial_that_is_older_than_the_package_has_failed(hub: Path) -> None:
    install(hub, package="1.3.0", a="1.2.0", b="1.2.5")
    account(hub, good="a", trial="b", trial_version="1.2.5", trial_sequence=9, tries_left=3)
    assert start_package(hub)[0] == "base"
    found = launcher.load(hub)
    assert (found.trial, found.failed.version, found.failed.reason) == (
        "",
        "1.2.5",
        "the package's release 1.3.0 is newer",
    )
    account(hub, good="a", trial="b", trial_version="1.4.0", trial_sequence=9, tries_left=3)
    assert start_package(hub)[0].startswith("slot b")


def test_the_agent_is_told_why_a_slot_did_not_start(hub: Path) -> None:
    install(hub, package="1.0", a="1.2.0")
    account(hub, good="a")
    (hub / "slots" / "a" / "lib" / "x.py").write_text("x = 2\n")
    assert "changed or damaged" in start_package(hub)[1]


def add_compiled_module(hub: Path, slot: str, *tags: str) -> None:
    for tag in tags:
        (hub / "slots" / slot / "lib" / f"_json.{tag}.so").write_bytes(b"\x7fELF")


def test_a_slot_for_another_python_leaves_the_hub_to_the_package(hub: Path) -> None:
    """As after an upgrade of Debian: its compiled modules cannot be imported, and no start would ever succeed."""
    install(hub, package="1.0", a="1.2.0")
    add_compiled_module(hub, "a", "cpython-39-x86_64-linux-gnu")
    account(hub, good="a", floor=4)
    here = sys.implementation.cache_tag
    reason = f"slot a holds a release for cpython-39, and this is {here}; starting the package's release"
    assert start_package(hub) == ("base", reason)
    assert launcher.load(hub).good == "a"


def test_a_trial_for_another_python_has_failed_and_its_predecessor_runs(hub: Path) -> None:
    add_compiled_module(hub, "b", "cpython-39-x86_64-linux-gnu")
    account(hub, good="a", trial="b", trial_version="2.0.0", trial_sequence=7, tries_left=2)
    assert start(hub) == A
    assert "for cpython-39" in launcher.load(hub).failed.reason


@pytest.mark.parametrize(
    "tags", [[f"{sys.implementation.cache_tag}-x86_64-linux-gnu", "cpython-39-x86_64-linux-gnu"], ["abi3"]]
)
def test_a_slot_whose_compiled_modules_this_python_loads_runs(hub: Path, tags: list[str]) -> None:
    add_compiled_module(hub, "a", *tags)
    account(hub, good="a")
    assert start(hub) == A


IN_ORDER = ["1.0.dev1", "1.0a1", "1.0a2", "1.0b1", "1.0rc1", "1.0", "1.0.post1", "1.0.1", "1.1", "1.10", "2"]


def test_versions_are_ordered_as_by_pep_440() -> None:
    for place, version in enumerate(IN_ORDER):
        for other_place, other in enumerate(IN_ORDER):
            assert launcher.is_newer(version, other) is (place > other_place)
    assert not launcher.is_newer("1.0.0", "1.0")
    assert not launcher.is_newer("1.0", "")
    assert not launcher.is_newer("", "1.0")
