"""How the environment of the Debian package is made; dpkg itself: tests/systemd."""

import errno
import hashlib
import io
import itertools
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from debian import build, make_environment
from debian.make_environment import (
    COMPILE,
    COMPLETE,
    ELF64,
    NOT_IMPORTED,
    OWN,
    EnvironmentFailed,
    fill,
    main,
    make,
    minor_version,
    remove_unused,
    strip,
    unpack,
    wanted_name,
)

Run = Callable[..., None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "wheels").mkdir()
    put_wheel(tmp_path, "one==1", {"one/code.py": "VALUE = 1\n"})
    return tmp_path


def wheel(content: dict[str, str]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return held.getvalue()


def put_wheel(root: Path, requirement: str, content: dict[str, str]) -> Path:
    """Write a wheel, and a list that has it alone."""
    path = root / "wheels" / f"{requirement.replace('==', '-')}-py3-none-any.whl"
    path.write_bytes(wheel(content))
    put_lock(root, "climahub", f"{requirement} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n")
    return path


def put_lock(root: Path, package: str, text: str, python: str = "") -> None:
    (root / "wheels" / f"{package}-py{python or minor_version()}.lock").write_text(text)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand for the commands: the first makes the directory, and one whose purpose is in the list fails."""
    failing: list[str] = []

    def run(purpose: str, *command: str) -> None:
        if purpose in failing:
            raise EnvironmentFailed(purpose)
        if "venv" in command:
            (Path(command[-1]) / "bin").mkdir(parents=True)

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
    assert make(root)
    first = current(root)
    assert (first / COMPLETE).exists()
    assert not make(root)
    put_wheel(root, "one==2", {})
    assert make(root)
    assert current(root) != first
    assert first.exists()
    remove_unused(root)
    assert not first.exists()
    assert current(root).exists()


@pytest.mark.parametrize(
    "purpose",
    ["make the environment", "compile what a hub runs", "start climahub"],
)
def test_whatever_fails_leaves_the_environment_in_use_and_the_next_attempt_begins_anew(
    root: Path, made: list[str], purpose: str
) -> None:
    make(root)
    first = current(root)
    put_wheel(root, "one==2", {})
    made.append(purpose)
    with pytest.raises(EnvironmentFailed):
        make(root)
    assert current(root) == first
    assert list((root / "environments").iterdir()) == [first], "a card may be full: what was made goes at once"
    made.clear()
    assert make(root)
    assert current(root) != first


@pytest.mark.parametrize("harm", ["missing", "damaged", "of no digest"])
def test_wheel_that_is_not_the_one_in_the_list_is_named_and_nothing_of_it_is_used(
    root: Path, made: list[str], harm: str
) -> None:
    make(root)
    first = current(root)
    path = put_wheel(root, "two==2", {"two/code.py": "VALUE = 2\n"})
    if harm == "missing":
        path.unlink()
    elif harm == "damaged":
        path.write_bytes(wheel({"two/code.py": "VALUE = 3\n"}))
    else:
        put_lock(root, "climahub", "two==2\n")
    with pytest.raises(EnvironmentFailed, match=r"reinstall the package: .*two==2"):
        make(root)
    assert current(root) == first
    assert list((root / "environments").glob(f"*/{COMPLETE}")) == [first / COMPLETE]


def test_a_full_card_keeps_its_environment_and_is_named(
    root: Path, made: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["make-environment", "--root", str(root)])
    assert main() == 0
    put_wheel(root, "one==2", {"one/code.py": "VALUE = 2\n"})

    def write_bytes(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    assert main() == 1
    assert f"free some room on the disk of {root}: " in capsys.readouterr().err
    assert list((root / "environments").iterdir()) == [current(root)]


@pytest.mark.parametrize(
    "content",
    [
        wheel({"../../outside.py": ""}),
        wheel({"/outside.py": ""}),
        wheel({"a.data/purelib/../../../outside.py": ""}),
        b"no archive",
        wheel({"one/code.py": "VALUE = 1\n" * 100})[:-80],
        wheel({"one/code.py": "VALUE = 1\n"}).replace(b"VALUE = 1", b"VALUE = 2"),
    ],
    ids=["above", "absolute", "above by its data", "no archive", "cut off", "changed"],
)
def test_a_wheel_that_cannot_be_unpacked_is_an_error_with_a_remedy(root: Path, made: list[str], content: bytes) -> None:
    path = put_wheel(root, "one==1", {})
    path.write_bytes(content)
    put_lock(root, "climahub", f"one==1 --hash=sha256:{hashlib.sha256(content).hexdigest()}\n")
    with pytest.raises(EnvironmentFailed, match="install another release"):
        make(root)
    assert not [*root.rglob("outside.py")]


def test_a_wheel_of_which_any_byte_is_another_is_unpacked_or_an_error_with_a_remedy(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_environment, "_run", lambda *_: None)
    content = wheel({"one/code.py": "VALUE = 1\n" * 20})
    path = put_wheel(root, "one==1", {})
    refused: set[str] = set()
    # Among them the numbers of the ways to compress: 8, 12 and 14.
    for number, value in itertools.product(range(len(content)), (0, 8, 12, 14, 255)):
        harmed = content[:number] + bytes([value]) + content[number + 1 :]
        path.write_bytes(harmed)
        put_lock(root, "climahub", f"one==1 --hash=sha256:{hashlib.sha256(harmed).hexdigest()}\n")
        try:
            fill(tmp_path / "sites" / f"{number}-{value}", root, sys.executable)
        except EnvironmentFailed as error:
            refused.add(str(error).partition(": a wheel")[0])
    assert refused == {"report it and install another release"}


def test_directories_of_an_archive_are_no_files(tmp_path: Path) -> None:
    unpack(wheel({"a.data/": "", "a.data/purelib/": "", "a.data/purelib/b.py": ""}), tmp_path)
    assert files(tmp_path) == {"b.py"}


def test_own_code_that_cannot_be_compiled_ends_it(tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "code.py").write_text("VALUE = 1\n")
    (tmp_path / "agent" / "__pycache__").write_text("no directory")
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, str(tmp_path), *OWN], check=False, capture_output=True, text=True
    )
    assert (done.returncode, "free some room" in done.stderr) == (1, True)


def test_an_environment_from_which_something_runs_is_kept(root: Path, made: list[str]) -> None:
    make(root)
    old = current(root)
    library = old / "library.so"
    library.write_bytes(b"\0" * 4096)
    put_wheel(root, "one==2", {})
    make(root)
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


def unpacked(tmp_path: Path, *wheels: dict[str, str]) -> Path:
    site = tmp_path / "site"
    for content in wheels:
        unpack(wheel(content), site)
    return site


def test_what_no_hub_runs_or_reads_stays_in_the_wheel_and_nothing_else(tmp_path: Path) -> None:
    kept = {
        "agent/cffi/code.py", "agent/apis/__init__.py", "lib/data.json", "lib/py.typed", "lib/linker.so",
        "tests/helper.py", "lib-2.dist-info/METADATA", "lib-2.dist-info/licenses/LICENSE", "lib/testing/code.py",
        "lib-2.dist-info/entry_points.txt", "lib/RECORD",
    }  # fmt: skip
    left = {
        "cffi/api.py", "lib/tests/test_it.py", "lib/part/tests/data.json", "lib/code.pyi", "lib/code.pyx",
        "lib/code.pxd", "lib/code.c", "lib/code.h", "lib-2.dist-info/RECORD", "lib-2.dist-info/WHEEL",
        "lib-2.data/data/share/man/man1/lib.1", "lib-2.data/scripts/lib",
    }  # fmt: skip
    site = unpacked(tmp_path, dict.fromkeys(kept | left, "VALUE = 1\n"), {"other-1.data/purelib/other.py": "VALUE = 2"})
    assert files(site) == kept | {"other.py"}


def test_a_second_file_of_the_same_content_takes_no_room(tmp_path: Path) -> None:
    site = unpacked(tmp_path, {"Berlin": "one", "Busingen": "one", "a/__init__.py": "", "b/__init__.py": ""})
    assert (site / "Busingen").samefile(site / "Berlin")
    assert not (site / "a/__init__.py").samefile(site / "b/__init__.py")
    # A later wheel may bring a file again, and what was there is no longer what it was.
    unpack(wheel({"Berlin": "two", "Vaduz": "one"}), site)
    assert [(site / name).read_text() for name in ("Berlin", "Busingen", "Vaduz")] == ["two", "one", "one"]


def test_packages_are_put_in_place_and_compiled(root: Path, tmp_path: Path) -> None:
    # Of another Python, or of a package that is being unpacked.
    (root / "wheels" / "other-1-py3-none-any.whl").write_bytes(wheel({"other.py": "VALUE = 2\n"}))
    fill(tmp_path / "site", root, sys.executable)
    assert files(tmp_path / "site") == {"one/code.pyc"}


def put_code(site: Path) -> None:
    put(site, "agent/apis/code.py", "lib/agent/code.py", "single.py")
    (site / "lib" / "template.py").write_text("print 'Python 2'\n")


def test_others_code_is_bytecode_alone_and_the_hubs_own_keeps_its_source(tmp_path: Path) -> None:
    put_code(tmp_path)
    subprocess.run([sys.executable, "-c", COMPILE, str(tmp_path), *OWN], check=True)
    assert_others_are_compiled(tmp_path)


WITHOUT_SHARED_MEMORY = """\
import _multiprocessing, multiprocessing.synchronize
def missing(*arguments): raise FileNotFoundError("/dev/shm")
_multiprocessing.SemLock = missing
"""


def test_an_image_is_built_where_processes_can_share_no_memory(tmp_path: Path) -> None:
    put_code(tmp_path)
    subprocess.run([sys.executable, "-c", WITHOUT_SHARED_MEMORY + COMPILE, str(tmp_path), *OWN], check=True)
    assert_others_are_compiled(tmp_path)


def assert_others_are_compiled(tmp_path: Path) -> None:
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
    whole = Path(msgspec._core.__file__).read_bytes() + b"symbols" * 1000
    kept = strip(whole)
    assert len(kept) <= len(whole) - 7000
    assert int.from_bytes(kept[40:48], "little") == 0, "no table of sections is left to look for"
    library = tmp_path / Path(msgspec._core.__file__).name
    library.write_bytes(kept)
    done = subprocess.run([sys.executable, "-c", LOAD, str(library)], check=True, capture_output=True, text=True)
    assert done.stdout == f"{library}\n"
    assert strip(kept) == kept


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GROUP ( libc.so.6 )",
        b"\x7fELF\x01\x01" + bytes(200),
        ELF64 + bytes(200),
        ELF64 + bytes(20),
        ELF64 + b"\xff" * 200,
    ],
    ids=["empty", "linker script", "32 bits", "no segments", "cut off", "table outside of it"],
)
def test_what_is_no_library_for_these_machines_is_left_as_it_is(content: bytes) -> None:
    assert strip(content) == content


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
    assert (
        imported & {*NOT_IMPORTED, *(name.replace("-", "_").removesuffix("_py") for name in build.NOT_IMPORTED)}
        == set()
    )
