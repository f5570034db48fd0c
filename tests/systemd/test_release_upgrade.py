"""Debian 12 becomes Debian 13, and Python 3.11 3.13, under a hub that heats: real apt, real dpkg, real packages.

Twice: the whole release in a container of Debian 12 (`make release-upgrade`; minutes), and in every run of these tests
its Python alone in a container of Debian 13.
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from tests.systemd import lines
from tests.systemd.conftest import Cloud, configure, install_package
from tests.systemd.machine import Machine

pytestmark = pytest.mark.skipif(
    "CLIMAHUB_ROOTFS" not in os.environ, reason="needs root and a Debian root file system: make container"
)

UNIT = "climahub"
CURRENT = "usr/lib/climahub/current"
APT = "apt-get -q -y -o Dpkg::Options::=--force-confold"
SOURCES = "/etc/apt/sources.list"
DEBIAN_12, DEBIAN_13 = "bookworm", "trixie"
OLDER_PYTHON = " ".join(f"{package}/{DEBIAN_12}" for package in ("python3", "python3-minimal", "libpython3-stdlib"))
REPORT_MS = 60_000
"""Between two readings."""


def shell(machine: Machine, script: str) -> str:
    """Run a script on the machine, however long it takes; return what it printed."""
    with machine.open("sh", "-ec", f"export DEBIAN_FRONTEND=noninteractive; exec 2>&1; {script}") as process:
        printed = process.communicate()[0].decode(errors="replace")
    assert process.returncode == 0, printed
    return printed


def use_releases(machine: Machine, made_with: str, *releases: str) -> None:
    """Have apt take packages of these releases, from the mirror that the machine's tree was made with."""
    mirror = re.search(rf"^deb (\S+) ({DEBIAN_12}|{DEBIAN_13}) ", made_with, re.MULTILINE)
    assert mirror, made_with
    machine.write(SOURCES, "".join(f"deb {mirror[1]} {name} main\n" for name in releases))
    machine.run("apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud of its own, which is out of reach at times, and which no other hub sends to."""
    served = Cloud(tmp_path)
    yield served
    served.end()


@pytest.fixture(params=["python", "release"])
def debian_12(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """A machine with the Python of Debian 12, or all of it, that has downloaded the packages of Debian 13."""
    is_whole = request.param == "release"
    if is_whole and "CLIMAHUB_ROOTFS_DEBIAN_12" not in os.environ:
        pytest.skip("a whole release takes minutes: make release-upgrade")
    tree = os.environ["CLIMAHUB_ROOTFS_DEBIAN_12" if is_whole else "CLIMAHUB_ROOTFS"]
    root = tmp_path / f"debian-12-{request.param}"
    subprocess.run(["cp", "-a", tree, str(root)], check=True)
    made = Machine(root)
    try:
        made.power_on()
        made_with = (root / SOURCES.lstrip("/")).read_text()
        if not is_whole:
            use_releases(made, made_with, DEBIAN_12, DEBIAN_13)
            shell(made, f"{APT} install --allow-downgrades {OLDER_PYTHON}")
        use_releases(made, made_with, DEBIAN_13)
        shell(made, f"{APT} full-upgrade --download-only")
        assert "3.11" in made.run("python3", "--version")
        yield made
    finally:
        made.power_off()
        shutil.rmtree(root, ignore_errors=True)


def process_that_heats(machine: Machine) -> str:
    """Wait until the service heats; return its process."""

    def found() -> bool:
        process = machine.show(UNIT, "MainPID")
        return any((note.process, note.did) == (process, "on") for note in lines.notes(machine))

    machine.wait(found, "the relay's pulling in")
    return machine.show(UNIT, "MainPID")


def waiting(machine: Machine) -> int:
    """Return how many readings wait for the cloud, on the disk."""
    return int(json.loads(machine.run("/usr/bin/climahub", "status", "--json"))["outbox"]["pending"])


def test_a_new_release_of_debian_is_installed_under_a_hub_that_heats_and_loses_no_reading(
    debian_12: Machine, cloud: Cloud, packages: Mapping[str, Path]
) -> None:
    hub = debian_12
    install_package(hub, packages["climahub"])
    assert "py3.11" in str((hub.root / CURRENT).readlink())
    configure(hub, cloud)
    lines.add_relay(hub)
    process_that_heats(hub)
    hub.wait(cloud.readings, "a reading at the cloud")
    cloud.serve_devices("off")
    accepted = cloud.readings()
    # Each start takes a reading: this one waits on the disk while Python is exchanged.
    hub.run("systemctl", "restart", UNIT)
    hub.wait(lambda: waiting(hub), "a reading on the disk")
    before, waited = process_that_heats(hub), waiting(hub)
    waited_to_ms = time.time() * 1000

    began_s = time.monotonic()
    printed = shell(hub, f"{APT} full-upgrade")
    ended_s = time.monotonic()
    assert "Processing triggers for climahub" in printed
    assert "py3.13" in str((hub.root / CURRENT).readlink())
    after = process_that_heats(hub)
    noted = [note for note in lines.notes(hub) if note.at_s > began_s]
    # The old one may have had nothing more to do than to go on heating, where apt was quick.
    assert {note.process for note in noted if note.did == "on"} - {before} == {after}, "it was started more than once"
    off_s = next(note.at_s for note in noted if note.did == "off")
    on_s = next(note.at_s for note in noted if (note.process, note.did) == (after, "on"))
    print(f"apt took {ended_s - began_s:.0f} s; the relay was off for {on_s - off_s:.1f} s of them")  # noqa: T201 - what was asked

    hub.wait(lambda: waiting(hub) > waited, "a reading of the new process on the disk")
    cloud.serve_devices("on")
    hub.wait(lambda: waiting(hub) == 0, "what waited at the cloud")
    instants_ms = sorted(each["at_ms"] for each in cloud.list_readings())
    # What the old Python has left on the disk: the gaps alone would not show the loss of the last minute's.
    assert sum(each <= waited_to_ms for each in instants_ms) >= accepted + waited
    gaps_ms = [later - earlier for earlier, later in pairwise(instants_ms)]
    assert max(gaps_ms) < 1.5 * REPORT_MS, gaps_ms

    # The old Python goes, as apt suggests; at the next boot the hub needs none of it.
    shell(hub, f"{APT} autoremove --purge")
    assert not (hub.root / "usr/bin/python3.11").exists()
    hub.power_off()
    hub.power_on()
    process_that_heats(hub)
