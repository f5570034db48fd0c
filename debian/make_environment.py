#!/usr/bin/python3
"""Makes climahub's Python environment from the wheels that its Debian packages hold, without a network.

Installed as /usr/lib/climahub/make-environment. The packages' scripts run it, dpkg when Python itself is replaced
(trigger), and climahub-environment.service at each boot. Standard library only: nothing else is there yet.

Must never change the environment in use: a new one is built beside it and checked, and then the link `current` is
replaced in one step. Whatever fails or loses power before that leaves the old one, with which the hub heats on.
"""

import argparse
import contextlib
import errno
import fcntl
import hashlib
import io
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

ROOT = Path("/usr/lib/climahub")

CURRENT = "current"
COMPLETE = "complete"
"""Written last: an environment without it was interrupted."""

LISTED = re.compile(r"(?P<requirement>[^\s=]+==\S+) --hash=sha256:(?P<digest>[0-9a-f]{64})")
"""A line of a list of wheels."""

OWN = ("agent", "hal", "lab")
"""Keep their source: a traceback shows its lines."""

NOT_IMPORTED = ("cffi",)
"""Packages of which a hub imports nothing but a library beside them."""

NOT_RUN = (".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h")
"""Suffixes of what only type checkers and compilers read."""

NOT_READ = ("RECORD", "INSTALLER", "WHEEL", "REQUESTED", "top_level.txt")
"""Metadata for pip, which never changes this environment. Versions, entry points and licences stay."""

COMPILE = """
import compileall, multiprocessing, pathlib, re, sys
site, own = pathlib.Path(sys.argv[1]), sys.argv[2:]
try:
    multiprocessing.Lock()
    workers = 0
except OSError:
    workers = 1
others = re.compile(f"^{re.escape(str(site))}/(?:{'|'.join(own)})/")
compileall.compile_dir(site, quiet=2, rx=others, legacy=True, workers=workers)
for source in site.rglob("*.py"):
    if source.with_suffix(".pyc").exists():
        source.unlink()
if not all([compileall.compile_dir(site / name, quiet=2, workers=workers) for name in own]):
    sys.exit("free some room on the disk: the hub's own code could not be compiled")
"""
"""Of what is not the hub's own, bytecode alone is left ("source-less", PEP 3147). What does not compile, such as a
template of a test, is left as it is, as pip does. On all processors, as this is
most of the work, but where an image is built in a directory without /dev/shm."""

COMMAND = """#!{python}
import sys
from agent.__main__ import main
if __name__ == "__main__":
    sys.exit(main())
"""
"""The entry point of agent's wheel; what others bring for a terminal is not installed."""

ELF64 = b"\x7fELF\x02\x01"
"""How a 64-bit, little-endian library begins (elf(5)), which those of amd64 and arm64 are."""

ELF64_HEADER_BYTES = 64
PROGRAM_HEADER_BYTES = 56
"""Of such a library, and of each of its segments."""


class EnvironmentFailed(Exception):
    """The environment could not be made; the message says what to do."""


def minor_version() -> str:
    """Return the Python that runs this, as "3.11"."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def locks(root: Path) -> list[Path]:
    """Return the lists of what to install for this Python: one of each installed package."""
    return sorted(root.glob(f"wheels/*-py{minor_version()}.lock"))


def wanted_name(root: Path) -> str:
    """Return the name of the environment for these wheels and this Python.

    Raises:
        EnvironmentFailed: The packages hold no wheels for this Python.
    """
    found = locks(root)
    if not found:
        held = sorted({path.stem.rpartition("-py")[2] for path in root.glob("wheels/*.lock")})
        raise EnvironmentFailed(
            f"install a release of climahub for Python {minor_version()}: this one holds {', '.join(held) or 'nothing'}"
        )
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in found)).hexdigest()
    return f"py{minor_version()}-{digest[:16]}"


def make(root: Path) -> bool:
    """Make the environment unless it is there, and let `current` point to it; return whether `current` has changed.

    Raises:
        EnvironmentFailed: It could not be made; `current` is what it was.
    """
    environments = root / "environments"
    target = environments / wanted_name(root)
    if not (target / COMPLETE).exists():
        environments.mkdir(exist_ok=True)
        for rest in environments.iterdir():
            # Of earlier, interrupted attempts; room on the card is needed now.
            if not (rest / COMPLETE).exists():
                shutil.rmtree(rest)
        try:
            _build(root, target)
        except BaseException:
            # What is left of it would keep the hub's readings from a full card.
            shutil.rmtree(target, ignore_errors=True)
            raise
    return _switch(root, target)


def _build(root: Path, target: Path) -> None:
    # By its minor version, so that the environment keeps its Python when /usr/bin/python3 becomes another.
    python = Path(sys.base_prefix, "bin", f"python{minor_version()}")
    _run("make the environment", str(python), "-m", "venv", "--without-pip", str(target))
    inside = str(target / "bin" / "python")
    fill(target / "lib" / f"python{minor_version()}" / "site-packages", root, inside)
    command = target / "bin" / "climahub"
    command.write_text(COMMAND.format(python=inside))
    command.chmod(0o755)
    _run("start climahub", inside, "-m", "agent", "version")
    # All files before the mark, and the mark before the link.
    os.sync()
    (target / COMPLETE).touch()
    os.sync()


DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, LookupError, RuntimeError, ValueError)
"""What reading a wheel raises that is none."""


def fill(site: Path, root: Path, python: str) -> None:
    """Put what a hub needs of the wheels for this Python into a directory of packages, and compile it.

    Args:
        site: The directory.
        root: Where the wheels are.
        python: What compiles: of the same minor version as this one.

    Raises:
        EnvironmentFailed: A wheel is missing or damaged, or the compiler failed.
    """
    for wheel in _wheels(root):
        try:
            unpack(wheel, site)
        except (*DAMAGED, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # The disk's. Without a number, bz2 says that its data are none.
            raise EnvironmentFailed(
                f"report it and install another release: a wheel cannot be unpacked: {error}"
            ) from error
    _run("compile what a hub runs", python, "-c", COMPILE, str(site), *OWN)


def wanted_wheels(root: Path) -> Mapping[str, str]:
    """Return the wheels for this Python by their digests: as "package==version".

    Raises:
        EnvironmentFailed: A list has a line that is none.
    """
    wanted = {}
    for path in locks(root):
        for line in path.read_text().splitlines():
            if line and not line.startswith("#"):
                found = LISTED.fullmatch(line)
                if found is None:
                    raise EnvironmentFailed(f"reinstall the package: {path} has a line that names no wheel: {line}")
                wanted[found["digest"]] = found["requirement"]
    return wanted


def _wheels(root: Path) -> Iterator[bytes]:
    """Yield the content of each wheel for this Python, once its digest is the one in the list."""
    wanted = dict(wanted_wheels(root))
    for path in sorted(root.glob("wheels/*.whl")):
        content = path.read_bytes()
        if wanted.pop(hashlib.sha256(content).hexdigest(), None) is not None:
            yield content
    if wanted:
        missing = ", ".join(sorted(wanted.values()))
        raise EnvironmentFailed(f"reinstall the package: a wheel is missing or damaged: {missing}")


def unpack(wheel: bytes, site: Path) -> None:
    """Put what a hub needs of a wheel into a directory of packages.

    A second file of the same content becomes a hard link: a time zone has many names.

    Args:
        wheel: Its content (https://packaging.python.org/specifications/binary-distribution-format/).
        site: The directory.

    Raises:
        zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, LookupError, RuntimeError, OSError: It is none, or
            packed as no wheel is.
        ValueError: A file of it belongs elsewhere than in the directory.
    """
    written: dict[bytes, Path] = {}
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        for member in archive.infolist():
            if member.is_dir() or (place := place_of(member.filename)) is None:
                continue
            content = archive.read(member)
            if place.suffix == ".so" or ".so." in place.name:
                content = strip(content)
            path = site / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            same = written.setdefault(hashlib.sha256(content).digest(), path)
            if content and same != path:
                path.hardlink_to(same)
            else:
                path.write_bytes(content)


def place_of(member: str) -> PurePosixPath | None:
    """Return where a file of a wheel belongs in the directory of packages; None where no hub runs or reads it.

    Raises:
        ValueError: It belongs elsewhere than in the directory.
    """
    path = PurePosixPath(member)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{member!r} is outside of it")
    top, *below = path.parts
    if top.endswith(".data") and below:
        # Manuals and commands of others, but for code that is installed by this way.
        return place_of("/".join(below[1:])) if below[0] in {"purelib", "platlib"} else None
    is_left_out = (
        top in NOT_IMPORTED
        or "tests" in below[:-1]
        or path.suffix in NOT_RUN
        or (top.endswith(".dist-info") and path.name in NOT_READ)
    )
    return None if is_left_out else path


def strip(library: bytes) -> bytes:
    """Cut off what follows the last segment of a shared library: symbols and sections, for linkers and debuggers.

    The dynamic loader maps segments and reads no section (elf(5)), so what is left loads as before. A file of another
    kind is returned as it is.
    """
    if not library.startswith(ELF64) or len(library) < ELF64_HEADER_BYTES:
        return library
    table, size, count = *struct.unpack_from("<Q", library, 32), *struct.unpack_from("<HH", library, 54)
    if size < PROGRAM_HEADER_BYTES or table + size * count > len(library):
        return library
    segments = [struct.unpack_from("<Q16xQ", library, table + 8 + each * size)[:2] for each in range(count)]
    end = max([table + size * count, *(offset + length for offset, length in segments)])
    if not segments or end >= len(library):
        return library
    kept = bytearray(library[:end])
    # No table of sections: its place, its number of entries, and the index of its names.
    struct.pack_into("<Q", kept, 40, 0)
    struct.pack_into("<HH", kept, 60, 0, 0)
    return bytes(kept)


def _run(purpose: str, *command: str) -> None:
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"}
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise EnvironmentFailed(f"could not {purpose}: {error}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise EnvironmentFailed(f"could not {purpose}: {' '.join(command[:4])} … ended with {done.returncode}\n{said}")


def _switch(root: Path, target: Path) -> bool:
    link = root / CURRENT
    relative = os.path.relpath(target, root)
    if link.is_symlink() and link.readlink() == Path(relative):
        return False
    new = root / f"{CURRENT}.new"
    new.unlink(missing_ok=True)
    new.symlink_to(relative)
    os.replace(new, link)
    os.sync()
    return True


def remove_unused(root: Path) -> None:
    """Remove all environments but the current one and those from which something still runs, such as a console."""
    current = (root / CURRENT).resolve()
    mapped = _mapped_files()
    for environment in (root / "environments").glob("*"):
        if environment != current and f"{environment}/" not in mapped:
            shutil.rmtree(environment)


def _mapped_files() -> str:
    """Return the memory maps of all processes: the compiled libraries of whatever runs are among them (proc(5))."""
    maps = []
    for path in Path("/proc").glob("[0-9]*/maps"):
        # A process that ends meanwhile uses nothing.
        with contextlib.suppress(OSError):
            maps.append(path.read_text(errors="replace"))
    return "\n".join(maps)


def main() -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="make-environment", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="where climahub is installed")
    parser.add_argument("--restart", action="store_true", help="restart the service where the environment has changed")
    parser.add_argument("--remove-unused", action="store_true", help="only remove environments that are not current")
    options = parser.parse_args()
    root: Path = options.root
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if options.remove_unused:
            remove_unused(root)
            return 0
        try:
            has_changed = make(root)
        except (EnvironmentFailed, OSError) as error:
            is_full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
            kept = "the hub goes on with the environment it has" if (root / CURRENT).exists() else "there is none yet"
            first = f"free some room on the disk of {root}: " if is_full else ""
            print(f"climahub: {first}{error}\n{kept}; then: dpkg --configure climahub", file=sys.stderr)
            return 1
    if has_changed:
        print(f"climahub: its environment is {(root / CURRENT).readlink()}")
        if options.restart:
            subprocess.run(["systemctl", "--no-block", "try-restart", "climahub.service"], check=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
