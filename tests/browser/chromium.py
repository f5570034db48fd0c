"""Chromium and axe-core for the tests of the port's page: found, installed where possible, or said to be missing."""

import contextlib
import fcntl
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
"""It runs as root in CI, and must ask nobody but the hub."""

INSTALL_S_MAX = 600.0
NPM_S_MAX = 120.0
NODE_MODULES = Path(__file__).parent / "node_modules"


@contextlib.contextmanager
def _alone(what: str) -> Iterator[None]:
    """Let one process at a time install something: tests run in several."""
    with (Path(tempfile.gettempdir()) / f"climahub-installs-{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@functools.cache
def find_chromium() -> str:
    """Return the browser's path; skips the test where there is none and none can be installed."""
    if found := _found():
        return found
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        pytest.skip("install Chromium (on Debian: sudo apt-get install chromium): no browser was found")
    with _alone("chromium"):
        return _found() or _install()


def _install() -> str:
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "chromium"]):
        done = subprocess.run(
            ["apt-get", *command],
            capture_output=True,
            check=False,
            timeout=INSTALL_S_MAX,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    if not (found := _found()):
        pytest.skip(f"install Chromium: apt-get could not ({done.stderr.decode(errors='replace').strip()[-200:]})")
    return found


def _found() -> str:
    return next((path for path in map(shutil.which, NAMES) if path), "")


@functools.cache
def axe_script() -> str:
    """Return axe-core's script; skips the test where npm cannot get it."""
    script = NODE_MODULES / "axe-core" / "axe.min.js"
    with _alone("axe"):
        if not script.exists():
            _fetch_axe(script)
    return script.read_text()


def _fetch_axe(script: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("install npm: axe-core comes from there (tests/browser/package-lock.json)")
    done = subprocess.run(
        ["npm", "ci", "--prefix", str(NODE_MODULES.parent), "--no-audit", "--no-fund", "--ignore-scripts"],
        capture_output=True,
        check=False,
        timeout=NPM_S_MAX,
    )
    if done.returncode or not script.exists():
        reason = done.stderr.decode(errors="replace").strip()[-200:]
        pytest.skip(f"let npm reach its registry: axe-core could not be had ({reason})")
