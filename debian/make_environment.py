#!/usr/bin/python3
"""Makes climahub's Python environment from the wheels that its Debian packages hold, without a network.

Installed as /usr/lib/climahub/make-environment. The packages' scripts run it, dpkg when Python itself is replaced
(trigger), and climahub-environment.service at each boot. Standard library only: nothing else is there yet.

Must never change the environment in use: a new one is built beside it and checked, and then the link `current` is
replaced in one step. Whatever fails or loses power before that leaves the old one, with which the hub heats on.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

ROOT = Path("/usr/lib/climahub")
PIP_WHEELS = Path("/usr/share/python-wheels")
"""Where Debian's package python3-pip-whl keeps pip."""

CURRENT = "current"
COMPLETE = "complete"
"""Written last: an environment without it was interrupted."""

NOT_IMPORTED = ("pygments", "markdown_it", "mdurl", "humanfriendly", "coloredlogs", "pycparser", "cffi", "click_log")
"""Packages that others declare as needed and a hub never imports. Their code is removed; their metadata stays for
`pip check`."""

OWN = ("agent", "hal", "lab")
"""Keep their source: a traceback shows its lines."""

NOT_RUN = (".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h")
"""Suffixes of what only type checkers and compilers read."""

COMPILE = """
import compileall, pathlib, re, sys
site, own = pathlib.Path(sys.argv[1]), sys.argv[2:]
for name in own:
    compileall.compile_dir(site / name, quiet=2)
others = re.compile(f"^{re.escape(str(site))}/(?:{'|'.join(own)})/")
compileall.compile_dir(site, quiet=2, rx=others, legacy=True)
for source in site.rglob("*.py"):
    if source.with_suffix(".pyc").exists():
        source.unlink()
"""
"""Of what is not the hub's own, bytecode alone is left ("source-less", PEP 3147). What does not compile, such as a
template of a test, is left as it is, as pip does."""

ELF64 = b"\x7fELF\x02\x01"
"""How a 64-bit, little-endian library begins (elf(5)), which those of amd64 and arm64 are."""


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


def make(root: Path, pip_wheels: Path) -> bool:
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
        _build(root, target, pip_wheels)
    return _switch(root, target)


def _build(root: Path, target: Path, pip_wheels: Path) -> None:
    try:
        (pip,) = pip_wheels.glob("pip-*.whl")
    except ValueError as error:
        raise EnvironmentFailed(f"apt-get install --reinstall python3-pip-whl: {pip_wheels} has no pip") from error
    # By its minor version, so that the environment keeps its Python when /usr/bin/python3 becomes another.
    python = Path(sys.base_prefix, "bin", f"python{minor_version()}")
    _run("make the environment", str(python), "-m", "venv", "--without-pip", str(target))
    inside = str(target / "bin" / "python")
    requirements = [argument for lock in locks(root) for argument in ("--requirement", str(lock))]
    _run(
        "install the wheels", inside, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--require-hashes",
        "--no-cache-dir", "--no-compile", "--find-links", str(root / "wheels"), *requirements, pip=pip,
    )  # fmt: skip
    site = target / "lib" / f"python{minor_version()}" / "site-packages"
    remove_unneeded(site)
    _run("compile what a hub runs", inside, "-c", COMPILE, str(site), *OWN)
    _run("check that the packages fit together", inside, "-m", "pip", "check", pip=pip)
    _run("start climahub", inside, "-m", "agent", "version")
    # All files before the mark, and the mark before the link.
    os.sync()
    (target / COMPLETE).touch()
    os.sync()


def remove_unneeded(site: Path) -> None:
    """Remove from an environment what no hub runs: once pip has checked and installed it.

    Args:
        site: Its directory of packages.
    """
    for package in NOT_IMPORTED:
        shutil.rmtree(site / package, ignore_errors=True)
    for tests in [path for path in site.rglob("tests") if path.is_dir() and path.parent != site]:
        shutil.rmtree(tests)
    for path in site.rglob("*"):
        if path.suffix in NOT_RUN and path.is_file():
            path.unlink()
        elif path.suffix == ".so" or ".so." in path.name:
            strip(path)


def strip(library: Path) -> None:
    """Cut off what follows the last segment of a shared library: symbols and sections, for linkers and debuggers.

    The dynamic loader maps segments and reads no section (elf(5)), so what is left loads as before. A file of another
    kind is left as it is.
    """
    content = library.read_bytes()
    if not content.startswith(ELF64):
        return
    table, size, count = *struct.unpack_from("<Q", content, 32), *struct.unpack_from("<HH", content, 54)
    segments = [struct.unpack_from("<Q16xQ", content, table + 8 + each * size)[:2] for each in range(count)]
    end = max([table + size * count, *(offset + length for offset, length in segments)])
    if not segments or end >= len(content):
        return
    kept = bytearray(content[:end])
    # No table of sections: its place, its number of entries, and the index of its names.
    struct.pack_into("<Q", kept, 40, 0)
    struct.pack_into("<HH", kept, 60, 0, 0)
    library.write_bytes(kept)


def _run(purpose: str, *command: str, pip: Path | None = None) -> None:
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PIP_CONFIG_FILE": "/dev/null", "HOME": "/nonexistent"}
    environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    if pip is not None:
        environment["PYTHONPATH"] = str(pip)
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
    parser.add_argument("--pip-wheels", type=Path, default=PIP_WHEELS, help="where the wheel of pip is")
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
            has_changed = make(root, options.pip_wheels)
        except (EnvironmentFailed, OSError) as error:
            kept = "the hub goes on with the environment it has" if (root / CURRENT).exists() else "there is none yet"
            print(f"climahub: {error}\n{kept}; then: dpkg --configure climahub", file=sys.stderr)
            return 1
    if has_changed:
        print(f"climahub: its environment is {(root / CURRENT).readlink()}")
        if options.restart:
            subprocess.run(["systemctl", "--no-block", "try-restart", "climahub.service"], check=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
