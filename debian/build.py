"""Builds the Debian packages climahub, climahub-homekit and climahub-lab: `make deb`.

    python -m debian.build --arch amd64 --output build/deb

One package serves Debian 12 and 13: it holds the locked wheels for the Python of each, and makes its environment from
them when it is installed (make_environment.py). A staged tree and dpkg-deb; built twice from one commit, it is the same
file. Needs the package index, for wheels that are not in the cache yet. It prints the size of each package, and what
climahub takes on a hub.
"""

import argparse
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from email.parser import HeaderParser
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from packaging.requirements import Requirement

from agent import __version__
from debian import make_environment
from debian.manuals import command_manual, configuration_manual

PROJECT = Path(__file__).parents[1]
HERE = Path(__file__).parent
PYTHONS = ("3.11", "3.13")
"""Of Debian 12 and 13."""

MACHINES: Mapping[str, str] = MappingProxyType({"amd64": "x86_64", "arm64": "aarch64"})
"""Debian's names and those of wheels."""

GLIBCS = ("2014", "_2_17", "_2_28", "_2_34", "_2_36")
"""The manylinux profiles that Debian 12 (glibc 2.36) can load."""

SYSTEMD = PROJECT / "systemd"
LIB = "usr/lib/climahub"
UNITS = (
    "climahub.service",
    "climahub-card.service",
    "climahub-claim.service",
    "climahub-console@.service",
    "climahub-key.service",
    "climahub-key-request.path",
    "climahub-key-request.service",
)
JOURNAL_SIZE = "journald@climahub.conf"
DEPENDS = "python3 (>= 3.11), python3 (<< 3.14), systemd, init-system-helpers (>= 1.65)"
RECOMMENDS = "systemd-timesyncd | time-daemon, dbus, polkitd"
SUGGESTS = "libtss2-esys-3.0.2-0t64 | libtss2-esys-3.0.2-0, libtss2-rc0t64 | libtss2-rc0"
"""systemd-creds encrypts to a TPM with these: by their names in Debian 13, then in Debian 12."""

NOT_IMPORTED = frozenset(
    {"click-log", "coloredlogs", "humanfriendly", "markdown-it-py", "mdurl", "pycparser", "pygments"}
)
"""Projects that others declare as needed and no hub imports: left out of the packages."""


class Wheel(NamedTuple):
    """A wheel, from its file."""

    path: Path
    name: str
    version: str
    licence: str
    sha256: str
    requires: Sequence[str] = ()


def read_wheel(path: Path) -> Wheel:
    """Return what a wheel says of itself."""
    with zipfile.ZipFile(path) as archive:
        (member,) = (name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        headers = HeaderParser().parsestr(archive.read(member).decode())
    classifiers = [each for each in headers.get_all("Classifier", []) if each.startswith("License ::")]
    licence = headers["License-Expression"] or "; ".join(each.rpartition(" :: ")[2] for each in classifiers)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    licence = licence or headers["License"] or "see the wheel"
    return Wheel(path, headers["Name"], headers["Version"], licence, digest, headers.get_all("Requires-Dist", []))


def unmet(wheels: Iterable[Wheel], python: str) -> Sequence[str]:
    """Return what wheels require of each other and do not find: of a hub's machine, without extras."""
    versions = {canonical(wheel.name): wheel.version for wheel in wheels}
    system = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux", "extra": ""}
    problems = []
    for wheel in wheels:
        for each in map(Requirement, wheel.requires):
            name = canonical(each.name)
            if name in NOT_IMPORTED or (each.marker is not None and not each.marker.evaluate(system)):
                continue
            if name not in versions or not each.specifier.contains(versions[name], prereleases=True):
                problems.append(f"{wheel.name} requires {each}; there is {versions.get(name, 'none')}")
    return problems


def lock_lines(wheels: Iterable[Wheel]) -> str:
    """Return a list for `pip install --require-hashes`, of these very files."""
    ordered = sorted(wheels, key=lambda wheel: wheel.name.lower())
    return "".join(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in ordered)


def bill_of_materials(package: str, wheels: Iterable[Wheel]) -> dict[str, Any]:
    """Return the package's parts as CycloneDX 1.5 (https://cyclonedx.org/docs/1.5/json/).

    No serial number and no time: two builds are the same.
    """
    components = {
        (wheel.name.lower(), wheel.path.name): {
            "type": "library",
            "name": wheel.name,
            "version": wheel.version,
            "purl": f"pkg:pypi/{wheel.name.lower().replace('_', '-')}@{wheel.version}",
            "licenses": [{"license": {"name": wheel.licence.splitlines()[0][:200]}}],
            "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
            "properties": [{"name": "climahub:file", "value": wheel.path.name}],
        }
        for wheel in wheels
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": package, "version": __version__}},
        "components": [components[key] for key in sorted(components)],
    }


def pip(*arguments: str) -> None:
    """Run this environment's pip."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    subprocess.run(command, check=True, cwd=PROJECT)


def fetch(lock: Path, python: str, arch: str, cache: Path) -> list[Wheel]:
    """Return the locked wheels for a Python and a machine, from the cache or the index."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    directory = cache / f"{lock.stem}-{python}-{arch}-{digest}"
    if not directory.is_dir():
        platforms = [option for glibc in GLIBCS for option in ("--platform", f"manylinux{glibc}_{MACHINES[arch]}")]
        part = directory.with_name(f"{directory.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        pip(
            "download", "--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation", "cp",
            "--python-version", python, *platforms, "--dest", str(part), "--requirement", str(lock),
        )  # fmt: skip
        part.rename(directory)
    wheels = map(read_wheel, sorted(directory.glob("*.whl")))
    return [wheel for wheel in wheels if canonical(wheel.name) not in NOT_IMPORTED]


def build_wheel(project: Path, directory: Path) -> Wheel:
    """Build the wheel of a project of this tree."""
    pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(directory), str(project))
    (path,) = directory.glob("*.whl")
    return read_wheel(path)


def canonical(name: str) -> str:
    """Return a project's name as the index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Tree:
    """The staged files of a package."""

    def __init__(self, root: Path) -> None:
        """Begin an empty tree."""
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        self.root = root

    def put(self, target: str, content: str | bytes, mode: int = 0o644) -> None:
        """Add a file."""
        path = self.root / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)

    def put_compressed(self, target: str, content: str) -> None:
        """Add a file compressed, as Debian wants its manuals and changelogs."""
        self.put(f"{target}.gz", gzip.compress(content.encode(), 9, mtime=0))

    def put_wheels(self, package: str, wheels: Mapping[str, Sequence[Wheel]]) -> None:
        """Add the wheels for each Python, their lists, and the bill of materials."""
        for python, each in wheels.items():
            self.put(f"{LIB}/wheels/{package}-py{python}.lock", lock_lines(each))
            for wheel in each:
                self.put(f"{LIB}/wheels/{wheel.path.name}", wheel.path.read_bytes())
        parts = bill_of_materials(package, [wheel for each in wheels.values() for wheel in each])
        self.put(f"usr/share/doc/{package}/sbom.json", json.dumps(parts, indent=1) + "\n")

    def put_documents(self, package: str, epoch_s: int) -> None:
        """Add what Debian's policy asks of each package."""
        self.put(f"usr/share/doc/{package}/copyright", (HERE / "copyright").read_text())
        self.put_compressed(f"usr/share/doc/{package}/changelog", debian_changelog(package, epoch_s))

    def build(self, control: Mapping[str, str], scripts: Sequence[str], output: Path, epoch_s: int) -> Path:
        """Write the package and return its path."""
        package = control["Package"]
        files = sorted(path for path in self.root.rglob("*") if path.is_file())
        sums = "".join(
            f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(self.root)}\n"
            for path in files
        )
        size_kib = sum(-(-path.stat().st_size // 1024) for path in files)
        fields = {**control, "Installed-Size": str(size_kib)}
        description = fields.pop("Description")
        text = "".join(f"{name}: {value}\n" for name, value in fields.items()) + f"Description: {description}\n"
        self.put("DEBIAN/control", text)
        self.put("DEBIAN/md5sums", sums)
        for script in scripts:
            source = HERE / f"{package if package == 'climahub' else 'addition'}.{script}"
            self.put(f"DEBIAN/{script}", source.read_text(), 0o644 if script == "triggers" else 0o755)
        for directory in (self.root, *(path for path in self.root.rglob("*") if path.is_dir())):
            directory.chmod(0o755)
        path = output / f"{package}_{control['Version']}_{control['Architecture']}.deb"
        environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch_s)}
        command = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(self.root), str(path)]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        return path


def debian_changelog(package: str, epoch_s: int) -> str:
    """Return the one entry that names the version; the history is CHANGELOG.md."""
    date = subprocess.run(
        ["date", "--utc", f"--date=@{epoch_s}", "--rfc-email"], check=True, capture_output=True, text=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    ).stdout.strip()  # fmt: skip
    return (
        f"{package} ({__version__}) unstable; urgency=medium\n\n"
        f"  * Release {__version__}; its history: CHANGELOG.md of the project.\n\n -- {MAINTAINER}  {date}\n"
    )


MAINTAINER = "the climahub developers <maintainers@climahub.invalid>"


def control_fields(package: str, arch: str) -> dict[str, str]:
    """Return the fields that both packages have."""
    return {
        "Package": package,
        "Version": __version__,
        "Architecture": arch,
        "Maintainer": MAINTAINER,
        "Section": "misc",
        "Priority": "optional",
    }


def hub_fields(arch: str) -> dict[str, str]:
    """Return the fields of the package climahub."""
    relations = {"Depends": DEPENDS, "Recommends": RECOMMENDS, "Suggests": SUGGESTS}
    return {**control_fields("climahub", arch), **relations, "Description": SUMMARY}


def stage_climahub(tree: Tree, wheels: Mapping[str, Sequence[Wheel]], epoch_s: int) -> None:
    """Put the files of the package climahub in place."""
    tree.put_wheels("climahub", wheels)
    tree.put(f"{LIB}/make-environment", (HERE / "make_environment.py").read_text(), 0o755)
    tree.put(f"{LIB}/launcher.py", (PROJECT / "agent" / "ota" / "launcher.py").read_text())
    tree.put("usr/bin/climahub", (HERE / "climahub-command").read_text(), 0o755)
    for unit in UNITS:
        tree.put(f"usr/lib/systemd/system/{unit}", (SYSTEMD / unit).read_text())
    environment = "climahub-environment.service"
    tree.put(f"usr/lib/systemd/system/{environment}", (HERE / environment).read_text())
    tree.put("usr/lib/sysusers.d/climahub.conf", (SYSTEMD / "climahub.sysusers.conf").read_text())
    tree.put(f"usr/lib/systemd/{JOURNAL_SIZE}.d/climahub.conf", (SYSTEMD / JOURNAL_SIZE).read_text())
    tree.put("usr/share/polkit-1/rules.d/50-climahub.rules", (SYSTEMD / "50-climahub.rules").read_text())
    installed = {*UNITS, JOURNAL_SIZE, "climahub.sysusers.conf", "50-climahub.rules"}
    for example in sorted(SYSTEMD.iterdir()):
        if example.name not in installed:
            tree.put(f"usr/share/doc/climahub/examples/{example.name}", example.read_text())
    example_config = (PROJECT / "config.example.toml").read_text()
    tree.put("usr/share/doc/climahub/examples/config.example.toml", example_config)
    tree.put_compressed("usr/share/man/man1/climahub.1", command_manual())
    tree.put_compressed("usr/share/man/man5/climahub.toml.5", configuration_manual())
    for shell, target in (
        ("bash", "bash-completion/completions/climahub"),
        ("zsh", "zsh/vendor-completions/_climahub"),
        ("fish", "fish/vendor_completions.d/climahub.fish"),
    ):
        command = [sys.executable, "-m", "agent", "completion", shell]
        script = subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT).stdout
        tree.put(f"usr/share/{target}", script)
    tree.put_documents("climahub", epoch_s)
    (tree.root / "etc" / "climahub" / "update-keys").mkdir(parents=True)


def check_requirements(package: str, wheels: Mapping[str, Sequence[Wheel]]) -> None:
    """End the build where the wheels for a Python do not fit together: no hub looks at that again."""
    problems = [f"Python {python}: {problem}" for python, each in wheels.items() for problem in unmet(each, python)]
    if problems:
        raise SystemExit("\n".join([f"{package} was not built:", *problems]))


def room_bytes(*directories: Path) -> int:
    """Return what directories take on a disk, as du counts it: whole blocks, each file once."""
    files = (path.lstat() for directory in directories for path in (directory, *directory.rglob("*")))
    return sum({each.st_ino: each.st_blocks * 512 for each in files}.values())


def print_room(lib: Path, site: Path) -> None:
    """Print what the package climahub takes on a hub with the Python that builds it.

    Args:
        lib: The staged directory of wheels.
        site: Where the packages of an environment are put for it; an environment has nearly nothing beside them.
    """
    python = make_environment.minor_version()
    if python not in PYTHONS:
        print(f"installed size: not measured, as this Python is {python} (make deb with one of {', '.join(PYTHONS)})")
        return
    make_environment.fill(site, lib, sys.executable)
    wheels_mb, packages_mb = room_bytes(lib) / 1e6, room_bytes(site) / 1e6
    print(
        f"installed with Python {python}: {wheels_mb + packages_mb:.1f} MB "
        f"({wheels_mb:.1f} MB wheels, {packages_mb:.1f} MB environment)"
    )


def build(arch: str, output: Path, cache: Path, epoch_s: int) -> list[Path]:
    """Build the packages for a machine and return their paths."""
    os.environ["SOURCE_DATE_EPOCH"] = str(epoch_s)
    output.mkdir(parents=True, exist_ok=True)
    work = output / f"staging-{arch}"
    own = build_wheel(PROJECT, Tree(work / "wheel").root)
    hub = {python: [*fetch(PROJECT / "requirements-hardware.lock", python, arch, cache), own] for python in PYTHONS}
    tree = Tree(work / "climahub")
    stage_climahub(tree, hub, epoch_s)
    scripts = ("postinst", "prerm", "postrm", "triggers")
    check_requirements("climahub", hub)
    made = [tree.build(hub_fields(arch), scripts, output, epoch_s)]
    print_room(tree.root / LIB, work / "site-packages")
    for addition in ADDITIONS:
        own_wheels = [build_wheel(PROJECT / addition.project, Tree(work / "wheel").root)] if addition.project else []
        wheels: dict[str, Sequence[Wheel]] = {}
        for python, base in hub.items():
            known = {canonical(wheel.name) for wheel in base} | BUILD_TOOLS
            locked = fetch(PROJECT / addition.lock, python, arch, cache)
            wheels[python] = [*(each for each in locked if canonical(each.name) not in known), *own_wheels]
        check_requirements(addition.package, {python: [*hub[python], *each] for python, each in wheels.items()})
        tree = Tree(work / addition.package)
        tree.put_wheels(addition.package, wheels)
        tree.put_documents(addition.package, epoch_s)
        fields = control_fields(addition.package, arch if addition.is_compiled else "all")
        fields |= {"Depends": f"climahub (= {__version__})", "Description": addition.summary}
        made.append(tree.build(fields, ("postinst", "postrm"), output, epoch_s))
    shutil.rmtree(work)
    return made


class Addition(NamedTuple):
    """A package that adds wheels to climahub's environment.

    Attributes:
        package: Its name.
        lock: What it needs; it holds what climahub itself does not.
        summary: Of its control file.
        project: The directory of a wheel of this tree that it brings; empty for none.
        is_compiled: Some of its wheels are for one architecture.
    """

    package: str
    lock: str
    summary: str
    project: str = ""
    is_compiled: bool = False


BUILD_TOOLS = frozenset({"editables", "hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers"})
"""In requirements-demo.lock for a checkout, which is installed from its source."""

SUMMARY = """agent of a thermostat hub
 Reads sensors, keeps every reading until the cloud has it, controls heating
 and cooling locally, relays Zigbee sensors, installs signed updates, and
 serves a technician on a local port."""

ADDITIONS = (
    Addition(
        "climahub-homekit",
        "requirements-homekit.lock",
        """the zones of climahub in Apple's Home app
 What apis.homekit needs: HAP-python and its libraries.""",
        is_compiled=True,
    ),
    Addition(
        "climahub-lab",
        "requirements-demo.lock",
        """laboratory of climahub: simulations, reference cloud, demo
 The commands simulate, cloud, ncp, demo and api check, for developers,
 integrators and operators. A hub does not need it.""",
        project="lab",
    ),
)


def commit_time_s() -> int:
    """Return the time of the commit that is built, so that two builds of it are the same file."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    command = ["git", "log", "-1", "--format=%ct"]
    return int(subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT).stdout)


def main() -> None:
    """Build, and print the packages with size and digest."""
    parser = argparse.ArgumentParser(description="Build the Debian packages of climahub.")
    parser.add_argument("--arch", choices=sorted(MACHINES), action="append", help="default: all")
    parser.add_argument("--output", type=Path, default=PROJECT / "build" / "deb")
    parser.add_argument("--cache", type=Path, default=PROJECT / "build" / "wheels", help="downloaded wheels")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    for arch in options.arch or sorted(MACHINES):
        for path in build(arch, options.output, options.cache, commit_time_s()):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            print(f"{path} {path.stat().st_size / 1e6:.1f} MB sha256:{digest}")


if __name__ == "__main__":
    main()
