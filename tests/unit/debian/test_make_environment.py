"""What is decided before and after the environment of the Debian package is made; dpkg itself: tests/systemd."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from debian import make_environment
from debian.make_environment import (
    COMPILE,
    COMPLETE,
    ELF64,
    NOT_IMPORTED,
    OWN,
    EnvironmentFailed,
    make,
    minor_version,
    remove_unneeded,
    remove_unused,
    strip,
    wanted_name,
)

Run = Callable[..., None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "pip-1-py3-none-any.whl").touch()
    put_lock(tmp_path, "climahub", "one==1\n")
    return tmp_path


def put_lock(root: Path, package: str, text: str, python: str = "") -> None:
    (root / "wheels" / f"{package}-py{python or minor_version()}.lock").write_text(text)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand for the commands: the first makes the directory, and one whose purpose is in the list fails."""
    failing: list[str] = []

    def run(purpose: str, *command: str, pip: Path | None = None) -> None:
        if purpose in failing:
            raise EnvironmentFailed(purpose)
        if "venv" in command:
            Path(command[-1]).mkdir()

    monkeypatch.setattr(make_environment, "_run", run)
    monkeypatch.setattr("os.sync", lambda: None)
    return failing


def current(root: Path) -> Path:
    return (root / "current").resolve()


def test_name_follows_the_wheels_of_this_python_only(root: Path) -> None:
    name = wanted_name(root)
    put_lock(root, "climahub", "other==1\n", "3.99")
    assert wanted_name(root) == name
    put_lock(root, "climahub-lab", "lab==1\n")
    assert wanted_name(root) != name


def test_wheels_for_no_python_of_this_system_are_refused_with_those_there_are(root: Path) -> None:
    (root / "wheels" / f"climahub-py{minor_version()}.lock").rename(root / "wheels" / "climahub-py3.99.lock")
    with pytest.raises(EnvironmentFailed, match=r"this one holds 3\.99"):
        wanted_name(root)


def test_a_new_environment_becomes_current_once(root: Path, made: list[str]) -> None:
    assert make(root, root / "pip")
    first = current(root)
    assert (first / COMPLETE).exists()
    assert not make(root, root / "pip")
    put_lock(root, "climahub", "one==2\n")
    assert make(root, root / "pip")
    assert current(root) != first
    assert first.exists()
    remove_unused(root)
    assert not first.exists()
    assert current(root).exists()


@pytest.mark.parametrize(
    "purpose",
    [
        "make the environment",
        "install the wheels",
        "compile what a hub runs",
        "check that the packages fit together",
        "start climahub",
    ],
)
def test_whatever_fails_leaves_the_environment_in_use_and_the_next_attempt_begins_anew(
    root: Path, made: list[str], purpose: str
) -> None:
    make(root, root / "pip")
    first = current(root)
    put_lock(root, "climahub", "one==2\n")
    made.append(purpose)
    with pytest.raises(EnvironmentFailed):
        make(root, root / "pip")
    assert current(root) == first
    made.clear()
    assert make(root, root / "pip")
    assert current(root) != first


def test_without_pip_the_package_that_brings_it_is_named(root: Path) -> None:
    (root / "pip" / "pip-1-py3-none-any.whl").unlink()
    with pytest.raises(EnvironmentFailed, match="python3-pip-whl"):
        make(root, root / "pip")


def test_an_environment_from_which_something_runs_is_kept(root: Path, made: list[str]) -> None:
    make(root, root / "pip")
    old = current(root)
    library = old / "library.so"
    library.write_bytes(b"\0" * 4096)
    put_lock(root, "climahub", "one==2\n")
    make(root, root / "pip")
    hold = (
        "import mmap, sys; file = open(sys.argv[1], 'rb'); kept = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ); "
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(library)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        remove_unused(root)
        assert old.exists()
        holder.communicate()
    remove_unused(root)
    assert not old.exists()


def put(site: Path, *names: str) -> None:
    for name in names:
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("VALUE = 1\n")


def files(site: Path) -> set[str]:
    return {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}


def test_what_no_hub_runs_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = {
        "agent/pygments/code.py", "agent/apis/__init__.py", "lib/data.json", "lib/py.typed", "lib/linker.so",
        "tests/helper.py", "pygments-2.dist-info/METADATA", "lib/testing/code.py",
    }  # fmt: skip
    removed = {
        "pygments/lexers/c.py", "cffi/api.py", "lib/tests/test_it.py", "lib/part/tests/data.json", "lib/code.pyi",
        "lib/code.pyx", "lib/code.pxd", "lib/code.c", "lib/code.h",
    }  # fmt: skip
    put(tmp_path, *kept, *removed)
    remove_unneeded(tmp_path)
    assert files(tmp_path) == kept


def test_others_code_is_bytecode_alone_and_the_hubs_own_keeps_its_source(tmp_path: Path) -> None:
    put(tmp_path, "agent/apis/code.py", "lib/agent/code.py", "single.py")
    (tmp_path / "lib" / "template.py").write_text("print 'Python 2'\n")
    subprocess.run([sys.executable, "-c", COMPILE, str(tmp_path), *OWN], check=True)
    tag = sys.implementation.cache_tag
    assert files(tmp_path) == {
        "agent/apis/code.py", f"agent/apis/__pycache__/code.{tag}.pyc", "lib/agent/code.pyc", "lib/template.py",
        "single.pyc",
    }  # fmt: skip
    use = "import sys; sys.path.insert(0, sys.argv[1]); import single, lib.agent.code; print(single.VALUE)"
    done = subprocess.run([sys.executable, "-c", use, str(tmp_path)], check=True, capture_output=True, text=True)
    assert done.stdout == "1\n"


LOAD = """\
import importlib.util, sys
spec = importlib.util.spec_from_file_location("msgspec._core", sys.argv[1])
sys.modules.pop("msgspec._core", None)
print(importlib.util.module_from_spec(spec).__file__)
"""


def test_a_library_without_its_sections_is_smaller_and_loads(tmp_path: Path) -> None:
    library = tmp_path / Path(msgspec._core.__file__).name
    shutil.copy(msgspec._core.__file__, library)
    with library.open("ab") as file:
        file.write(b"symbols" * 1000)
    before = library.stat().st_size
    strip(library)
    after = library.stat().st_size
    assert after <= before - 7000
    assert int.from_bytes(library.read_bytes()[40:48], "little") == 0, "no table of sections is left to look for"
    done = subprocess.run([sys.executable, "-c", LOAD, str(library)], check=True, capture_output=True, text=True)
    assert done.stdout == f"{library}\n"
    strip(library)
    assert library.stat().st_size == after


@pytest.mark.parametrize(
    "content",
    [b"", b"GROUP ( libc.so.6 )", b"\x7fELF\x01\x01" + bytes(200), ELF64 + bytes(200)],
    ids=["empty", "linker script", "32 bits", "no segments"],
)
def test_what_is_no_library_for_these_machines_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "library.so"
    path.write_bytes(content)
    strip(path)
    assert path.read_bytes() == content


IMPORTS = """\
import contextlib, importlib, pkgutil, sys
import agent, hal
radios = ("bellows", "zigpy_znp", "zigpy_deconz")
names = [f"{each}.zigbee.application" for each in radios]
names += ["zigpy.application", "zigpy.appdb", "zigpy.ota", "rich.live"]
for package in (agent, hal):
    names += [each.name for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_a_hub_imports_nothing_that_is_removed() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True, text=True)
    imported = set(done.stdout.split())
    assert {"agent", "hal", "zigpy", "bellows", "rich"} <= imported
    assert imported & set(NOT_IMPORTED) == set()
