"""Fetches the page's libraries from npm again and compares them: `make vendor`, or `python tests/browser/revendor.py`.

`agent/port/page/vendor/versions.json` names each package, its version, the hash of its tarball as npm publishes it, and
the SHA-256 of each file that is shipped. A new version: change the version and the integrity there (`npm view NAME
dist.integrity`), run with `--write`, and look at the difference. Needs npm. Must never accept a tarball whose hash is
not the one of `versions.json`.
"""

import argparse
import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

VENDOR = Path(__file__).parents[2] / "agent" / "port" / "page" / "vendor"
VERSIONS = VENDOR / "versions.json"


def main(arguments: list[str] | None = None) -> int:
    """Compare, or write with `--write`. Returns 1 where a shipped file differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the files and their hashes")
    is_writing = parser.parse_args(arguments).write
    versions = json.loads(VERSIONS.read_text())
    different = []
    with tempfile.TemporaryDirectory() as directory:
        for name, package in versions.items():
            tarball = fetch(f"{name}@{package['version']}", package["integrity"], Path(directory))
            for target, content in shipped_files(tarball, package).items():
                if is_writing:
                    (VENDOR / target).write_bytes(content)
                    package["files"][target]["sha256"] = hashlib.sha256(content).hexdigest()
                elif not (VENDOR / target).exists() or (VENDOR / target).read_bytes() != content:
                    different.append(target)
    if is_writing:
        VERSIONS.write_text(json.dumps(versions, indent=2) + "\n")
    for target in different:
        sys.stdout.write(f"restore it with --write: vendor/{target} is not what npm publishes\n")
    return 1 if different else 0


def fetch(package: str, integrity: str, directory: Path) -> Path:
    """Download one package with npm.

    Args:
        package: Name and version.
        integrity: `sha512-` and the hash in base 64, as npm publishes it.
        directory: For the tarball.

    Raises:
        ValueError: The tarball has another hash.
        subprocess.CalledProcessError: npm failed.
    """
    packed = subprocess.run(
        ["npm", "pack", "--silent", "--ignore-scripts", package],
        cwd=directory,
        check=True,
        capture_output=True,
        text=True,
    )
    tarball = directory / packed.stdout.split()[-1]
    digest = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != integrity:
        raise ValueError(f"do not use {package}: its tarball has the hash sha512-{digest}, expected {integrity}")
    return tarball


def shipped_files(tarball: Path, package: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files that are shipped of a package, by name, each with its change."""
    files = {}
    with tarfile.open(tarball) as archive:
        for target, shipped in package["files"].items():
            member = archive.extractfile(f"package/{shipped['from']}")
            if member is None:
                raise ValueError(f"correct versions.json: {shipped['from']} is no file of the package")
            files[target] = CHANGES[shipped.get("change", "none")](member.read())
    return files


def _import_by_path(content: bytes) -> bytes:
    """Import Preact by its path: browsers resolve bare names only by an inline import map, which the CSP forbids."""
    changed, count = re.subn(rb'from"preact"', b'from"./preact.mjs"', content)
    if count != 1:
        raise ValueError(f'look at the new version: "preact" is imported {count} times')
    return changed


def _unwrap_worker(content: bytes) -> bytes:
    """Take the worker's program out of the template literal that makes a blob of it: the CSP forbids blob: scripts."""
    found = re.fullmatch(rb"export const createWorker=.*?new Blob\(\[`(.*)`\]\),.*", content, re.DOTALL)
    if not found or re.search(rb"(?<!\\)\$\{", found[1]):
        raise ValueError("look at the new version: the worker is wrapped in another way")
    return re.sub(rb"\\([`$\\])", rb"\1", found[1])


CHANGES: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType(
    {
        "none": bytes,
        "import by path": _import_by_path,
        "worker unwrapped": _unwrap_worker,
    }
)
"""What is changed in a shipped file, by the name that `versions.json` gives it."""


if __name__ == "__main__":
    sys.exit(main())
