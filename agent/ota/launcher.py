"""The launcher: starts the good release or the one on trial, and counts the starts of the latter.

The package installs it as one file outside all slots, and no update changes it. So it must stay small, import the
standard library only, and start *some* release in each case. The agent reads and writes the same state file
(`LauncherState`). Tests run it without any package around it.

    launcher.py --state-dir DIR --base COMMAND [--python PYTHON] -- ARGUMENT...

A slot is a directory with `__main__.py` and all that it imports. The base is the release that the package installed: it
runs before the first update, where no slot can be started, and where it is newer than the slot, since a person has
upgraded the package.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

VERSION = 1
STATE_FILE = "launcher.json"
COPY_FILE = STATE_FILE + ".copy"
STATE_BYTES_MAX = 64 * 1024
REASON_CHARACTERS_MAX = 1000
"""Up to twelve bytes each in JSON: the file must stay below `STATE_BYTES_MAX`."""
SLOTS_DIR = "slots"
BASE = "base"
SLOTS = ("a", "b")
SLOT_VARIABLE = "CLIMAHUB_SLOT"
VERSION_VARIABLE = "CLIMAHUB_LAUNCHER"
REASON_VARIABLE = "CLIMAHUB_SLOT_REASON"
"""Why the package's release runs although a slot is confirmed; empty where it is not so."""
_FORMAT = 1
_HEAD = b'{"sha256":"'
_HEX = 64
_DIST_INFO = re.compile(r"climahub-([^-]{1,64})\.dist-info")
_VERSION = re.compile(
    r"(\d{1,9}(?:\.\d{1,9}){0,5})(?:(a|b|rc)(\d{1,9}))?(?:\.post(\d{1,9}))?(?:\.dev(\d{1,9}))?(?:\+.*)?"
)
_EXTENSION = re.compile(r"\.(cpython-\d+t?)-[^.]*\.so")
"""The end of the name of a compiled module that one minor version of Python alone can load (PEP 3149)."""
_FINAL = "z"
"""Behind the letters of pre-releases."""

Announce = Callable[[str, str], None]
"""Called before each durable step, with its kind and its file. For tests that cut the power there."""


@dataclasses.dataclass(frozen=True)
class FailedRelease:
    """The release that failed its trial most recently.

    Attributes:
        version: Of the release.
        sequence: Of the release.
        reason: Why.
        is_damaged: The content of its slot had changed: not the fault of the release.
    """

    version: str = ""
    sequence: int = 0
    reason: str = ""
    is_damaged: bool = False


@dataclasses.dataclass(frozen=True)
class LauncherState:
    """The state of the slots, in one small file that is replaced as a whole.

    Attributes:
        good: The slot with the confirmed release; `BASE` before the first commit.
        trial: The slot with the release on trial; empty for none.
        trial_version: Of the release in it.
        trial_sequence: Of the release in it.
        tries_left: Starts that it has left before the trial fails.
        digest_a: `digest` of slot a; empty where nothing is installed.
        digest_b: The same of slot b.
        failed: The release that failed its trial most recently.
        floor: Sequence number of the newest confirmed release: no release up to it is installed.
    """

    good: str = BASE
    trial: str = ""
    trial_version: str = ""
    trial_sequence: int = 0
    tries_left: int = 0
    digest_a: str = ""
    digest_b: str = ""
    failed: FailedRelease = FailedRelease()
    floor: int = 0

    def digest_of(self, slot: str) -> str:
        """Return the digest that ``slot`` must have."""
        return {"a": self.digest_a, "b": self.digest_b}.get(slot, "")

    def with_digest(self, slot: str, digest: str) -> "LauncherState":
        """Return the state with the digest that ``slot`` must have."""
        if slot == "a":
            return dataclasses.replace(self, digest_a=digest)
        return dataclasses.replace(self, digest_b=digest)

    def with_failed_trial(self, reason: str, *, is_damaged: bool = False) -> "LauncherState":
        """Return the state after the trial has failed."""
        failed = FailedRelease(self.trial_version, self.trial_sequence, reason[:REASON_CHARACTERS_MAX], is_damaged)
        return dataclasses.replace(self, trial="", trial_version="", trial_sequence=0, tries_left=0, failed=failed)


def decode(data: bytes) -> LauncherState:
    """Return the state in the bytes of a file; fields that a newer release has added are left out.

    This launcher is older than most releases: an unknown field must not cost the hub its slots.

    Raises:
        ValueError: It cannot be read.
    """
    try:
        values = json.loads(_verified(data))
        if values.pop("format") != _FORMAT:
            raise ValueError("it has another format")
        failed = FailedRelease(**_known(values.pop("failed"), FailedRelease))
        state = LauncherState(**_known(values, LauncherState), failed=failed)
    except (TypeError, KeyError, AttributeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
    plain = LauncherState()
    for holder, model in ((state, plain), (failed, FailedRelease())):
        for field in dataclasses.fields(holder):
            if type(getattr(holder, field.name)) is not type(getattr(model, field.name)):
                raise ValueError(f"{field.name} is of another type")
    if state.good not in {BASE, *SLOTS} or state.trial not in {"", *SLOTS} or state.trial == state.good:
        raise ValueError("it names an impossible slot")
    return state


def _known(values: dict[str, Any], kind: type[LauncherState | FailedRelease]) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def encode(state: LauncherState) -> bytes:
    """Return the bytes of the file: the state with its SHA-256 in front, which older launchers ignore."""
    data = json.dumps({"format": _FORMAT, **dataclasses.asdict(state)}, indent=1).encode()
    return _HEAD + hashlib.sha256(data).hexdigest().encode() + b'",' + data[1:]


def _verified(data: bytes) -> bytes:
    if not data.startswith(_HEAD):
        return data  # of an older launcher
    digest, rest = data[len(_HEAD) :][:_HEX], b"{" + data[len(_HEAD) + _HEX + 2 :]
    if hashlib.sha256(rest).hexdigest().encode() != digest:
        raise ValueError("its checksum is not that of its content")
    return rest


def digest(tree: Path) -> str:
    """Return the SHA-256 over all paths and contents below ``tree``.

    Raises:
        OSError: Something cannot be read.
        ValueError: It has something else than files and directories.
    """
    total = hashlib.sha256()
    for directory, names, files in os.walk(tree, onerror=_raise):
        names.sort()
        for name in sorted(files):
            path = os.path.join(directory, name)  # noqa: PTH118 - thousands of files at each start
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise ValueError(f"{path} is no plain file")
            with open(path, "rb") as file:  # noqa: PTH123 - see above
                content = hashlib.file_digest(file, "sha256").hexdigest()
            total.update(f"{os.path.relpath(path, tree)}\0{content}\n".encode())
        for name in names:
            if os.path.islink(os.path.join(directory, name)):  # noqa: PTH114, PTH118 - see above
                raise ValueError(f"{name} is no plain directory")
    return total.hexdigest()


def find_slot_problem(slot: str, state: LauncherState, directory: Path) -> str:
    """Return why a slot cannot be started; empty where it can."""
    wanted = state.digest_of(slot)
    tree = directory / SLOTS_DIR / slot
    if not wanted or not (tree / "__main__.py").is_file():
        return f"slot {slot} holds no release"
    try:
        if digest(tree) != wanted:
            return f"slot {slot} was changed or damaged since it was installed"
    except (OSError, ValueError) as error:
        return f"slot {slot} cannot be read: {error}"
    here, made_for = sys.implementation.cache_tag, pythons_of(tree)
    if made_for and here not in made_for:
        return f"slot {slot} holds a release for {', '.join(sorted(made_for))}, and this is {here}"
    return ""


def pythons_of(tree: Path) -> set[str]:
    """Return the tags of the Pythons that a release's compiled modules are for; empty where it has none.

    An upgrade of Debian changes the Python under a slot. A release that cannot be imported would be started for ever.
    """
    names = (name for _, _, files in os.walk(tree) for name in files)
    return {match[1] for name in names if (match := _EXTENSION.search(name))}


def version_in(tree: Path) -> str:
    """Return the version of the climahub that is installed in a directory; empty where that is not known."""
    with contextlib.suppress(OSError):
        found = [match[1] for name in os.listdir(tree) if (match := _DIST_INFO.fullmatch(name))]  # noqa: PTH208
        if len(found) == 1:
            return str(found[0])
    return ""


def base_version(command: str) -> str:
    """Return the version of the package's release, by the environment around its command; empty if not known."""
    environment = Path(command).parent.parent
    for packages in environment.glob("lib/python3*/site-packages"):
        if version := version_in(packages):
            return version
    return ""


def is_newer(version: str, other: str) -> bool:
    """Tell whether a version is later than another by PEP 440; `False` where one of them cannot be read."""
    key, other_key = _version_key(version), _version_key(other)
    return key is not None and other_key is not None and key > other_key


def _version_key(version: str) -> tuple[Any, ...] | None:
    match = _VERSION.fullmatch(version)
    if match is None:
        return None
    numbers, letter, number, post, dev = match.groups()
    release = [int(each) for each in numbers.split(".")]
    while release and release[-1] == 0:
        release.pop()
    # A development version precedes all others of its release (PEP 440, "Summary of permitted suffixes").
    stage = "" if dev is not None and letter is None and post is None else letter or _FINAL
    return release, stage, int(number or 0), int(post or -1), float("inf") if dev is None else int(dev)


def load(directory: Path) -> LauncherState:
    """Return the state; a new one where there is no file.

    Raises:
        ValueError: It cannot be read.
        OSError: The disk fails.
    """
    return load_with_problem(directory)[0]


def load_with_problem(directory: Path) -> tuple[LauncherState, str]:
    """Return the state, and what was wrong with the file where its copy is used instead.

    Raises:
        ValueError: It cannot be read, nor can the copy.
        OSError: The disk fails, and no copy can be read.
    """
    problem: OSError | ValueError | None = None
    try:
        state = _read_state(directory / STATE_FILE)
    except (OSError, ValueError) as error:
        state, problem = None, error
    if state is not None:
        return state, ""
    try:
        state = _read_state(directory / COPY_FILE)
    except (OSError, ValueError) as error:
        raise (problem or error) from None
    if state is not None:
        return state, f"{STATE_FILE} {f'cannot be read ({problem})' if problem else 'is missing'}; its copy is used"
    if problem is not None:
        raise problem
    return LauncherState(), ""


def _read_state(path: Path) -> LauncherState | None:
    """Return the state in a file; `None` where there is none. Does not block on a pipe or a device."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"{path.name} is no regular file")
        return decode(file.read(STATE_BYTES_MAX + 1))


def store(directory: Path, state: LauncherState, announce: Announce) -> None:
    """Write the state, durably; the old file stays until the new one is complete.

    Raises:
        OSError: It could not be written; the old file stays.
    """
    data = encode(state)
    _replace(directory, STATE_FILE, data, announce)
    with contextlib.suppress(OSError):
        _replace(directory, COPY_FILE, data, announce)


def _replace(directory: Path, name: str, data: bytes, announce: Announce) -> None:
    temporary = directory / (name + ".new")
    announce("write", name)
    # Must not block on a pipe with this name.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(temporary, flags, 0o666), "wb") as file:
        file.write(data)
        file.flush()
        announce("fsync", name)
        os.fsync(file.fileno())
    announce("rename", name)
    os.replace(temporary, directory / name)
    announce("fsync_directory", name)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def choose_slot(
    directory: Path,
    log: Callable[[str], None],
    announce: Announce = lambda _kind, _file: None,
    *,
    package_version: str = "",
) -> str:
    """Return the slot to start now, or `BASE`. A start of a trial is counted on the disk before it happens.

    Never raises because of the disk: where something cannot be read or written, another release is chosen. A slot that
    is older than ``package_version`` is not started: otherwise an upgrade of the package would have no effect.
    """
    try:
        state, problem = load_with_problem(directory)
    except (OSError, ValueError) as error:
        log(f"{STATE_FILE} cannot be read ({error}); starting the package's release")
        return BASE
    if problem:
        log(problem)
    if state.trial:
        slot = _try_trial(directory, state, log, announce, package_version)
        if slot:
            return slot
    if state.good == BASE:
        return BASE
    slot_version = version_in(directory / SLOTS_DIR / state.good)
    if is_newer(package_version, slot_version):
        problem = f"the package's release {package_version} is newer than {slot_version} in slot {state.good}"
    else:
        problem = find_slot_problem(state.good, state, directory)
    if not problem:
        return state.good
    log(f"{problem}; starting the package's release")
    return BASE


def _try_trial(
    directory: Path, state: LauncherState, log: Callable[[str], None], announce: Announce, package_version: str
) -> str:
    """Return the slot on trial if it has a start left; else record why not, and return an empty text."""
    problem = find_slot_problem(state.trial, state, directory)
    is_damaged = bool(problem)
    if not problem and is_newer(package_version, state.trial_version):
        problem = f"the package's release {package_version} is newer"
    if not problem and state.tries_left <= 0:
        problem = "it was started as often as it may be, and was not confirmed"
    try:
        if problem:
            log(f"release {state.trial_version} failed its trial: {problem}")
            store(directory, state.with_failed_trial(problem, is_damaged=is_damaged), announce)
            return ""
        store(directory, dataclasses.replace(state, tries_left=state.tries_left - 1), announce)
    except OSError as error:
        # A start that cannot be counted would be repeated for ever.
        log(f"{STATE_FILE} cannot be written ({error}); starting the good release")
        return ""
    return state.trial


def main(arguments: Sequence[str]) -> None:
    """Replace this process by a release, so that the service manager sees one process."""
    options, rest = _options(arguments)
    directory = Path(options["--state-dir"])
    slot = BASE
    reasons: list[str] = []
    try:
        package_version = base_version(options["--base"])
        slot = choose_slot(directory, lambda text: _log(text, reasons), package_version=package_version)
    except Exception as error:  # noqa: BLE001 - a defect here must not keep a home cold
        _log(f"the launcher failed ({type(error).__name__}: {error}); starting the package's release", reasons)
    os.environ[SLOT_VARIABLE] = slot
    os.environ[REASON_VARIABLE] = "" if slot != BASE else "; ".join(reasons)[:REASON_CHARACTERS_MAX]
    os.environ[VERSION_VARIABLE] = str(VERSION)
    if slot != BASE:
        python = options.get("--python", sys.executable)
        # Isolated from the package: no variables, no site-packages, no byte code; no columns in tracebacks.
        command = [python, "-I", "-S", "-B", "-X", "no_debug_ranges", str(directory / SLOTS_DIR / slot), *rest]
        with contextlib.suppress(OSError):
            os.execv(command[0], command)
        _log(f"{python} cannot be started; starting the package's release", reasons)
        os.environ[SLOT_VARIABLE], os.environ[REASON_VARIABLE] = BASE, reasons[-1]
    os.execv(options["--base"], [options["--base"], *rest])


def _options(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    words = list(arguments)
    end = words.index("--") if "--" in words else len(words)
    options = dict(zip(words[:end:2], words[1:end:2], strict=False))
    if end % 2 or not {"--state-dir", "--base"} <= set(options) <= {"--state-dir", "--base", "--python"}:
        sys.stderr.write("usage: launcher.py --state-dir DIR --base COMMAND [--python PYTHON] -- ARGUMENT...\n")
        raise SystemExit(2)
    return options, words[end + 1 :]


def _log(text: str, reasons: list[str]) -> None:
    reasons.append(text)
    sys.stderr.write(f"climahub launcher: {text}\n")


def _raise(error: OSError) -> None:
    raise error


if __name__ == "__main__":
    main(sys.argv[1:])
