"""What spares an SD card, under a real systemd: a journal of a known size, mount options, a root that is only read."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.conftest import PROJECT, Cloud
from tests.systemd.machine import Machine

pytestmark = pytest.mark.skipif(
    "CLIMAHUB_ROOTFS" not in os.environ, reason="needs root and a Debian root file system: make container"
)

DROP_IN = "/etc/systemd/system/climahub.service.d/own-journal.conf"
STATE = "/var/lib/climahub"


@pytest.fixture
def read_only(machine: Machine, tmp_path: Path) -> Iterator[Machine]:
    """The machine, with a root that is only read and its state on a partition of its own (ext4)."""
    machine.power_off()
    image, partition = tmp_path / "card.img", tmp_path / "card"
    with image.open("wb") as file:
        file.truncate(256 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    partition.mkdir()
    subprocess.run(["mount", "-o", "loop,relatime", str(image), str(partition)], check=True)
    made = Machine(machine.root, "--volatile=state", f"--bind={partition}:{STATE}")
    try:
        state = machine.root / STATE.lstrip("/")
        subprocess.run(["cp", "-a", f"{state}/.", str(partition)], check=True)
        shutil.copystat(state, partition)
        os.chown(partition, state.stat().st_uid, state.stat().st_gid)
        made.power_on()
        yield made
    finally:
        made.power_off()
        subprocess.run(["umount", str(partition)], check=True)
        machine.power_on()


def is_up(machine: Machine) -> bool:
    return machine.show("climahub", "ActiveState") == "active"


def mounted_with(machine: Machine) -> set[str]:
    found = machine.run("findmnt", "--noheadings", "--output", "OPTIONS", "--target", STATE)
    return set(found.strip().split(","))


def test_a_root_that_is_only_read_is_enough_and_the_card_can_be_spared(read_only: Machine, cloud: Cloud) -> None:
    assert "ro" in read_only.run("findmnt", "--noheadings", "--output", "OPTIONS", "/").strip().split(",")
    read_only.wait(lambda: is_up(read_only), "the service on a root that is only read")
    before = cloud.readings()
    read_only.wait(lambda: cloud.readings() > before, "readings from it")
    assert "relatime" in mounted_with(read_only)
    read_only.run("systemctl", "start", "climahub-card")
    assert {"noatime", "commit=120"} <= mounted_with(read_only)
    read_only.run("systemctl", "stop", "climahub-card")
    options = mounted_with(read_only)
    assert "relatime" in options
    assert "commit=120" not in options
    assert is_up(read_only)


def test_the_log_goes_to_a_journal_of_a_known_size(machine: Machine) -> None:
    machine.write(DROP_IN, (PROJECT / "systemd" / "climahub-own-journal.conf").read_text())
    machine.run("systemctl", "daemon-reload")
    try:
        machine.run("systemctl", "restart", "climahub")
        own = ("journalctl", "--namespace=climahub", "-u", "climahub", "--no-pager", "-o", "cat")
        machine.wait(lambda: machine.run(*own).strip(), "the journal of its own")
        machine.wait(lambda: list(machine.root.glob("var/log/journal/*.climahub/*.journal")), "it on the card")
        said = machine.run("journalctl", "--namespace=climahub", "--unit", "systemd-journald@climahub", "--no-pager")
        assert "max 32.0M" in said or "max 32M" in said
        # Of a hub that is down, the command reads both journals; its end is in its own alone.
        since = machine.run("date", "--utc", "+%FT%TZ").strip()
        machine.run("systemctl", "stop", "climahub")
        entries = [json.loads(line) for line in machine.run("/usr/bin/climahub", "logs", "--json").splitlines()]
        assert [each for each in entries if each["utc"] >= since and each["component"] != "systemd"]
    finally:
        machine.run("rm", DROP_IN)
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "climahub")
