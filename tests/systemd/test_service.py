"""The unit under a real systemd: what it promises a fleet's operator."""

import json
import os
from typing import Any

import pytest

from tests.systemd.conftest import Cloud
from tests.systemd.machine import Machine

pytestmark = pytest.mark.skipif(
    "CLIMAHUB_ROOTFS" not in os.environ, reason="needs root and a Debian root file system: make container"
)

UNIT = "climahub"
ASK_PORT = """
import socket
with socket.socket(socket.AF_UNIX) as hub:
    hub.connect("/run/climahub/status.sock")
    hub.sendall(b"GET /v1/port HTTP/1.0\\r\\nHost: hub\\r\\n\\r\\n")
    print(hub.makefile("rb").read().partition(b"\\r\\n\\r\\n")[2].decode())
"""
SECURITY_TENTHS_MAX = 15


def pid(machine: Machine) -> str:
    return machine.show(UNIT, "MainPID")


def is_up(machine: Machine) -> bool:
    return machine.show(UNIT, "ActiveState") == "active" and pid(machine) != "0"


def is_another(machine: Machine, before: str) -> bool:
    """Tell whether the service is up as another process; asked at once, for between two questions it may die."""
    lines = machine.run("systemctl", "show", UNIT, "--property", "ActiveState,MainPID").split()
    found = dict(line.split("=") for line in lines)
    return found["ActiveState"] == "active" and found["MainPID"] not in {before, "0"}


def test_service_runs_as_its_own_user_and_readings_arrive(machine: Machine, cloud: Cloud) -> None:
    assert is_up(machine)
    assert machine.run("stat", "-c", "%U", f"/proc/{pid(machine)}").strip() == "climahub"
    machine.wait(cloud.readings, "a reading at the cloud")
    machine.wait(lambda: "cloud up" in machine.show(UNIT, "StatusText"), "the service's own word for it")
    assert "up" in machine.run("/usr/bin/climahub", "status")
    assert cloud.key_file.read_text().strip() not in machine.run("journalctl", "-u", UNIT, "--no-pager")


def test_the_port_listens_within_the_units_confinement(machine: Machine) -> None:
    """Among it: a certificate is made and loaded, and a listener is bound to an interface."""
    ask = ["python3", "-c", ASK_PORT]

    def listening() -> dict[str, Any]:
        report: dict[str, Any] = json.loads(machine.run(*ask))
        return report if len(report["addresses"]) == 2 else {}

    machine.wait(listening, "both listeners")
    report = listening()
    assert report["problems"] == []
    assert [address.partition(":")[0] for address in report["addresses"]] == ["http", "https"]
    assert len(report["fingerprint"]) == len("AB:") * 32 - 1
    assert machine.run("stat", "-c", "%a %U", "/var/lib/climahub/certificate.json").strip() == "600 climahub"


def test_root_makes_codes_and_others_in_the_group_do_not(machine: Machine) -> None:
    """The user namespace of the unit must not hide who asks."""
    command = "/usr/bin/climahub"
    assert machine.run(command, "port", "code", "--new").startswith("owner: ")
    assert machine.run("runuser", "-u", UNIT, "--", command, "port", "code", "--new").startswith("owner: ")
    machine.run("useradd", "--groups", UNIT, "helper")
    refused = f"runuser -u helper -- {command} port code --new 2>&1; echo exit $?"
    said = machine.run("sh", "-c", refused)
    assert "use sudo, or sign in as owner" in said
    assert "exit 1" in said
    assert "codes      owner" in machine.run("runuser", "-u", "helper", "--", command, "port")
    assert "root (owner) from socket: make_code" in machine.run(command, "port", "audit")
    assert machine.run("stat", "-c", "%a %U", "/var/lib/climahub/credentials.json").strip() == "600 climahub"


def test_the_checks_see_through_the_units_confinement(machine: Machine) -> None:
    """The service's own run, and that of root beside it, which sees what the service may not."""
    ask = "/usr/bin/climahub doctor --json --all; true"
    found = {each["name"]: each for each in json.loads(machine.run("sh", "-c", ask))["checks"]}
    passing = [
        "hub-agent", "hub-configuration", "hub-configuration-in-force", "hub-secrets", "hub-state-directory",
        "hub-unit", "hub-stores", "hub-outbox", "machine-disk", "machine-read-only", "machine-memory", "machine-clock",
        "machine-watchdog-service", "network-dns", "network-tcp", "network-http", "network-key",
    ]  # fmt: skip
    assert {name: found[name] for name in passing if found[name]["outcome"] != "pass"} == {}
    assert "without a sign of life" in found["machine-watchdog-service"]["fact"]
    assert "defect" not in " ".join(each["fact"] for each in found.values())
    assert "/etc/climahub/api-key" not in found["hub-secrets"]["remedy"]


def test_killed_service_restarts(machine: Machine) -> None:
    before = pid(machine)
    machine.run("systemctl", "kill", "-s", "KILL", UNIT)
    machine.wait(lambda: is_another(machine, before), "the restart")


def test_hanging_service_is_killed_and_restarts(machine: Machine) -> None:
    before = pid(machine)
    machine.run("systemctl", "kill", "-s", "STOP", UNIT)
    machine.wait(lambda: is_another(machine, before), "the watchdog's restart")
    assert "Watchdog timeout" in machine.run("journalctl", "-u", UNIT, "--no-pager")


def test_stopping_is_quick_and_in_order(machine: Machine) -> None:
    machine.run("systemctl", "stop", UNIT)
    assert machine.show(UNIT, "Result") == "success"
    machine.run("systemctl", "start", UNIT)
    assert is_up(machine)


def test_the_command_reboot_restarts_the_machine_once(machine: Machine, cloud: Cloud) -> None:
    boot = machine.run("cat", "/proc/sys/kernel/random/boot_id")
    command = cloud.command("reboot")
    machine.wait_for_restart()
    assert machine.run("cat", "/proc/sys/kernel/random/boot_id") != boot
    machine.wait(lambda: is_up(machine), "the service after the boot")
    assert cloud.state_of(command) == "acked"
    listed = machine.run("/usr/bin/climahub", "commands")
    machine.wait(lambda: "acked" in machine.run("/usr/bin/climahub", "commands"), f"a tombstone {listed}")
    again = machine.run("cat", "/proc/sys/kernel/random/boot_id")
    before = cloud.readings()
    machine.wait(lambda: cloud.readings() > before, "readings after the boot")
    assert machine.run("cat", "/proc/sys/kernel/random/boot_id") == again


def test_a_power_cut_is_survived(machine: Machine, cloud: Cloud) -> None:
    machine.power_off()
    machine.power_on()
    machine.wait(lambda: is_up(machine), "the service after the power cut")
    before = cloud.readings()
    machine.wait(lambda: cloud.readings() > before, "readings after the power cut")


def test_refused_configuration_is_reported_and_read_again_until_valid(machine: Machine) -> None:
    good = (machine.root / "etc/climahub/config.toml").read_text()
    machine.write("/etc/climahub/config.toml", good.replace("batch_linger_s", "batch_linger"))
    machine.run("sh", "-c", "systemctl restart climahub || true")
    machine.wait(lambda: machine.show(UNIT, "ExecMainStatus") == "78", "the refusal")
    assert "batch_linger_s" in machine.journal()
    machine.write("/etc/climahub/config.toml", good)
    machine.wait(lambda: is_up(machine), "the start with a good configuration")


def test_service_is_sandboxed(machine: Machine) -> None:
    machine.run(
        "systemd-analyze", "security", "--offline=true", f"--threshold={SECURITY_TENTHS_MAX}", f"{UNIT}.service"
    )
    assert machine.run("systemd-analyze", "verify", f"{UNIT}.service") == ""
