"""Sets up a checkout as a newcomer does, with the versions of pip that people have and an index that has moved on.

python tests/install/run.py [PIP_VERSION ...]

For each version of pip: an environment with that pip, filled by the Makefile's rules for `make demo` and `make test`,
while a second index offers a newer release of every package in the lock files. Fails when a rule fails, when a release
of the second index is installed, or when `climahub` or a command of the laboratory does not start. The packages come
from the index that pip is configured for.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEWER = "9999.0"
PIPS = ("23.0.1", "23.2.1", "newest")
"""Debian 12's pip, Python 3.11.7's own, and whatever is current."""
PYTHON_TOO_NEW_FOR = {"23.0.1": (3, 12)}
"""pip 23.0 needs `pkgutil.ImpImporter`, which Python 3.12 removed."""


def locked_names() -> set[str]:
    """Return every package that a lock file names."""
    texts = (lock.read_text() for lock in ROOT.glob("requirements*.lock"))
    return {name for text in texts for name in re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE)}


def offer_newer_releases(index: Path, names: set[str]) -> None:
    """Make a package index in a directory: one release of each package, newer than any real one, empty."""
    for name in sorted(names):
        stem = re.sub(r"[-_.]+", "_", name)
        directory = index / name
        directory.mkdir(parents=True)
        wheel = directory / f"{stem}-{NEWER}-py3-none-any.whl"
        info = f"{stem}-{NEWER}.dist-info"
        with zipfile.ZipFile(wheel, "w") as packed:
            packed.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {NEWER}\n")
            packed.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            packed.writestr(f"{info}/RECORD", "")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        (directory / "index.html").write_text(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>\n')


def set_up(scratch: Path, pip: str, index: Path) -> None:
    """Make an environment with this pip and let the Makefile fill it.

    Raises:
        subprocess.CalledProcessError: A step failed; its output has been printed.
        SystemExit: A release was installed that no lock names.
    """
    venv = scratch / f"pip-{pip}"
    python = str(venv / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    wanted = ["--upgrade", "pip"] if pip == "newest" else [f"pip=={pip}"]
    install = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run([*install, *wanted], check=True)
    others = os.environ.get("PIP_EXTRA_INDEX_URL", "")
    environment = os.environ | {"PIP_EXTRA_INDEX_URL": f"{others} {index.as_uri()}".strip(), "PIP_NO_COMPILE": "1"}
    for stamp in (".runtime-is-installed", ".dev-is-installed"):
        subprocess.run(["make", f"VENV={venv}", f"{venv}/{stamp}"], cwd=ROOT, env=environment, check=True)
    listed = subprocess.run([*install[:-1], "list"], check=True, capture_output=True, text=True).stdout
    if NEWER in listed:
        sys.exit(f"pip {pip} installed a release that no lock file names:\n{listed}")
    subprocess.run([venv / "bin" / "climahub", "version"], check=True)
    subprocess.run([venv / "bin" / "climahub", "simulate", "--help"], check=True, stdout=subprocess.DEVNULL)


def main(pips: list[str]) -> None:
    """Try each version of pip that runs on this Python."""
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        index = scratch / "index"
        offer_newer_releases(index, locked_names())
        for pip in pips:
            if pip in PYTHON_TOO_NEW_FOR and sys.version_info[:2] >= PYTHON_TOO_NEW_FOR[pip]:
                print(f"pip {pip}: left out, it does not run on Python {sys.version.split()[0]}")
                continue
            print(f"== pip {pip}", flush=True)
            begin_s = time.monotonic()
            set_up(scratch, pip, index)
            print(f"pip {pip}: set up in {time.monotonic() - begin_s:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(PIPS))
