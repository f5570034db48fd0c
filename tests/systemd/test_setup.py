"""`climahub setup` from the built package to the first accepted reading, under a real dpkg and systemd."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.local.repair_table import REPAIRS
from tests.systemd.conftest import Cloud, install_package
from tests.systemd.machine import Machine

pytestmark = pytest.mark.skipif(
    "CLIMAHUB_ROOTFS" not in os.environ, reason="needs root and a Debian root file system: make container"
)

ACCEPTED_S = 60
"""From the first command to the reading that the cloud has accepted."""

ANSWERS = """\
[setup]
key = "{key}"
time_zone = "Europe/Berlin"
[cloud]
base_url = "{url}"
[board.linux]
sysfs_root = "/opt/sensors"
[port]
port = 0
# A container's clock is the host's, which may be set by nobody here.
[clock]
trust = "system"
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud of its own: a test here has it issue a new key, which ends the old one."""
    served = Cloud(tmp_path_factory.mktemp("cloud-of-setup"))
    yield served
    served.end()


@pytest.fixture(scope="module")
def fresh(packages: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine of its own, with nothing of climahub on it but a thermometer."""
    directory = tmp_path_factory.mktemp("fresh")
    subprocess.run(["cp", "-a", os.environ["CLIMAHUB_ROOTFS"], str(directory / "root")], check=True)
    made = Machine(directory / "root")
    made.write("/opt/sensors/class/hwmon/hwmon0/name", "w1_slave_temp\n")
    made.write("/opt/sensors/class/hwmon/hwmon0/temp1_input", "20562\n")
    try:
        made.power_on()
        yield made
    finally:
        made.power_off()
        shutil.rmtree(directory / "root", ignore_errors=True)


def test_two_commands_from_the_package_to_the_first_accepted_reading(
    fresh: Machine, cloud: Cloud, packages: Mapping[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    key = cloud.key_file.read_text().strip()
    fresh.write("/root/answers.toml", ANSWERS.format(key=key, url=cloud.url), 0o600)
    began_s = time.monotonic()
    assert "climahub setup" in install_package(fresh, packages["climahub"])
    installed_s = time.monotonic() - began_s
    said = fresh.run("climahub", "setup", "--answers", "/root/answers.toml", "--sheet", "/root/sheet.txt")
    accepted_s = time.monotonic() - began_s
    with capsys.disabled():
        # Not asserted: a busy machine takes as long as it takes.
        verdict = "within" if accepted_s <= ACCEPTED_S else "not within"
        print(f"\ninstalled after {installed_s:.1f} s, accepted after {accepted_s:.1f} s: {verdict} {ACCEPTED_S} s")  # noqa: T201 - what an operator waits for
    print(said)  # noqa: T201 - what takes the time
    assert f"accepted by {cloud.url}" in said
    assert "time zone of the home: Europe/Berlin" in said
    assert cloud.readings() > 0
    assert fresh.show("climahub", "ActiveState") == "active"
    assert fresh.run("systemctl", "is-enabled", "climahub").strip() == "enabled"
    kept = fresh.run("sh", "-c", "grep -rl cs_dev_ /etc /var/lib/climahub || true").split()
    assert kept == [] if "encrypted by systemd" in said else ["/etc/climahub/api-key"]
    sheet = (fresh.root / "root/sheet.txt").read_text()
    (code,) = re.findall(r"^Owner's code +([0-9A-Z-]{19})$", sheet, re.MULTILINE)
    assert code not in said
    assert "Page          http://127.0.0.1:" in sheet
    assert key not in said + sheet + fresh.journal()


ASK = """\
import http.client, socket, sys
connection = http.client.HTTPConnection("hub")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect("/run/climahub/status.sock")
connection.request("POST", "/v1/cloud-key", sys.stdin.read(), {"Content-Type": "application/json"})
answer = connection.getresponse()
print(answer.status, answer.read().decode())
"""


def give_key(machine: Machine, key: str) -> tuple[int, dict[str, Any]]:
    """Give the hub a key over its local API; return the answer."""
    machine.write("/root/key.json", json.dumps({"key": key}), 0o600)
    said = machine.run("sh", "-c", f"python3 -c '{ASK}' </root/key.json; rm /root/key.json")
    assert key not in said
    status, _, text = said.partition(" ")
    return int(status), json.loads(text)


def test_key_from_the_page_is_stored_by_root_and_used(fresh: Machine, cloud: Cloud) -> None:
    """From within the agent's confinement: it asks, a unit of root's stores, and the hub restarts with the new key."""
    units = ("climahub-key-request.path", "climahub-key-request.service")
    assert fresh.run("systemd-analyze", "verify", *units) == ""
    assert fresh.show(units[0], "ActiveState") == "active"
    fresh.wait(lambda: fresh.show("climahub", "ActiveState") == "active", "the hub")
    # As after `climahub config example` and a start: nothing has been set up that the taker could lean on.
    fresh.run("rm", "-f", "/etc/systemd/system/climahub.service.d/setup.conf")
    key, process = cloud.new_key(), fresh.show("climahub", "MainPID")
    status, told = give_key(fresh, "cs_dev_" + "Z9y8" * 8)
    assert (status, told["error"]) == (422, "key_refused")
    assert fresh.show("climahub", "MainPID") == process
    before = cloud.readings()
    status, told = give_key(fresh, key)
    print(told)  # noqa: T201 - where the key is on this machine
    assert (status, told["is_checked"], told["problem"]) == (200, True, "")
    fresh.wait(lambda: fresh.show("climahub", "MainPID") not in {process, "0"}, "the restart")
    fresh.wait(lambda: cloud.readings() > before, "a reading under the new key")
    kept = fresh.run("sh", "-c", "grep -rl cs_dev_ /etc /var/lib/climahub /run/climahub || true").split()
    assert kept == ([] if "encrypted by systemd" in told["stored"] else ["/etc/climahub/api-key"])
    assert fresh.run("sh", "-c", "ls /run/climahub | grep key-request || true") == ""
    assert key not in fresh.run("journalctl", "--merge", "--no-pager", "-o", "cat") + fresh.journal()
    assert fresh.show(units[0], "ActiveState") == "active"


def test_request_of_a_hub_that_was_taken_over_harms_nothing(fresh: Machine) -> None:
    shadow = (fresh.root / "etc/shadow").read_bytes()
    stored = fresh.run("sh", "-c", "cat /etc/climahub/api-key* | sha256sum")
    fresh.run("runuser", "-u", "climahub", "--", "ln", "-s", "/etc/shadow", "/run/climahub/key-request")
    fresh.wait(lambda: fresh.run("sh", "-c", "ls /run/climahub | grep key-request || true") == "", "the removal")
    fresh.wait(lambda: fresh.show("climahub-key-request.service", "ActiveState") == "failed", "the refusal")
    assert "is no request" in fresh.run("journalctl", "-u", "climahub-key-request", "-o", "cat", "--no-pager")
    assert (fresh.root / "etc/shadow").read_bytes() == shadow
    assert fresh.run("sh", "-c", "cat /etc/climahub/api-key* | sha256sum") == stored
    assert fresh.show("climahub-key-request.path", "ActiveState") == "active"
    fresh.run("systemctl", "reset-failed", "climahub-key-request.service")


def test_claim_on_the_boot_partition_is_taken_once(fresh: Machine, cloud: Cloud) -> None:
    """The same machine as after a factory reset, with a new key: from the power on to the accepted reading."""
    fresh.run("systemctl", "stop", "climahub")
    fresh.run(
        "sh", "-c", "rm -rf /etc/climahub/* /var/lib/climahub/* /etc/systemd/system/climahub.service.d/setup.conf"
    )
    key = cloud.new_key()
    fresh.write("/boot/firmware/climahub-claim.toml", ANSWERS.format(key=key, url=cloud.url))
    before = cloud.readings()
    fresh.run("systemctl", "start", "climahub-claim")
    assert cloud.readings() > before
    assert not (fresh.root / "boot/firmware/climahub-claim.toml").exists()
    assert fresh.show("climahub", "ActiveState") == "active"
    said = fresh.run("journalctl", "-u", "climahub-claim", "-o", "cat", "--no-pager")
    assert "climahub-claim.toml is overwritten and removed" in said
    assert "have the cloud issue a new key" in said
    assert key not in said


def test_hub_heats_without_a_key_that_cannot_be_decrypted(fresh: Machine) -> None:
    """As on another machine, or with the host's key lost: the service starts, and says what is missing."""
    if not (fresh.root / "etc/climahub/api-key.cred").exists():
        pytest.skip("systemd does not encrypt here")
    fresh.write("/etc/climahub/api-key.cred", "damaged", 0o600)
    fresh.run("systemctl", "restart", "climahub")
    assert fresh.show("climahub", "ActiveState") == "active"
    assert '"unprovisioned"' in fresh.run("climahub", "status", "--json")


def test_copied_card_is_noticed_and_decided_at_the_command_line(fresh: Machine, cloud: Cloud) -> None:
    """In a container the machine-id decides, as on every machine whose board shows no serial number.

    The key lies in plain text, so that nothing else keeps the hub from using it.
    """
    key = cloud.new_key()

    def start_as(machine_id: str) -> None:
        fresh.power_off()
        fresh.write("/etc/machine-id", f"{machine_id}\n")
        fresh.power_on()

    def is_moved() -> bool:
        return json.loads(fresh.run("climahub", "status", "--json"))["machine"]["is_card_moved"] is True

    fresh.write("/etc/climahub/api-key", f"{key}\n", 0o600)
    start_as("0123456789abcdef" * 2)
    before = cloud.readings()
    fresh.wait(lambda: cloud.readings() > before, "a reading")
    assert not is_moved()
    start_as("fedcba9876543210" * 2)
    fresh.wait(is_moved, "the notice")
    doctor = fresh.run("sh", "-c", "climahub doctor network || true")
    assert "copied or moved to another board" in doctor
    # Each repair is offered with a question: no to all, to learn their order, then yes to the one.
    offered = fresh.run("sh", "-c", "yes n | climahub doctor network --fix || true")
    names = [name for name in re.findall(r"^([a-z-]+): ", offered, re.MULTILINE) if name in REPAIRS]
    assert {"confirm-moved-card", "reset-copied-card"} <= set(names)
    answers = "".join("y\\n" if name == "confirm-moved-card" else "n\\n" for name in names)
    before = cloud.readings()
    fixed = fresh.run("sh", "-c", f"printf '{answers}' | climahub doctor network --fix || true")
    print(doctor, fixed, sep="\n")  # noqa: T201 - what an operator reads
    assert "done: the hub's key is used on this board from now on" in fixed
    fresh.wait(lambda: cloud.readings() > before, "a reading of the moved card")
    assert not is_moved()
