"""Relays under a real systemd: who may reach the lines, and that they are off whatever ended the agent."""

import os
from collections.abc import Iterator

import pytest

from tests.systemd import lines
from tests.systemd.machine import Machine

pytestmark = pytest.mark.skipif(
    "CLIMAHUB_ROOTFS" not in os.environ, reason="needs root and a Debian root file system: make container"
)

UNIT = "climahub"


def pid(machine: Machine) -> str:
    return machine.show(UNIT, "MainPID")


def noted(machine: Machine) -> list[list[str]]:
    """Return who did what to the lines, in order."""
    return [[note.process, note.did] for note in lines.notes(machine)]


def heats(machine: Machine) -> str:
    """Wait until the agent heats; return its process."""
    machine.wait(lambda: [pid(machine), "on"] in noted(machine), "the relay's pulling in")
    return pid(machine)


@pytest.fixture
def heated(machine: Machine) -> Iterator[Machine]:
    before = lines.add_relay(machine)
    yield machine
    machine.run("systemctl", "stop", UNIT)
    machine.run("rm", "-rf", lines.DROP_IN, f"{lines.DROP_INS}/lines.conf", lines.LOG, lines.LIBRARY)
    machine.write(lines.CONFIG, before)
    machine.write(lines.THERMOMETER, "20562\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", UNIT)


def test_unit_opens_only_the_gpio_lines(heated: Machine) -> None:
    assert heated.show(UNIT, "ActiveState") == "active"
    assert heated.show(UNIT, "PrivateDevices") == "no"
    assert heated.show(UNIT, "DevicePolicy") == "closed"
    assert "char-gpiochip rw" in heated.show(UNIT, "DeviceAllow")
    assert heated.show(UNIT, "SupplementaryGroups") == "gpio"
    groups = heated.run("grep", "^Groups:", f"/proc/{pid(heated)}/status").split()[1:]
    assert heated.run("getent", "group", "gpio").split(":")[2] in groups
    assert heated.run("systemd-analyze", "verify", f"{UNIT}.service") == ""


@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_killed_or_hanging_agent_leaves_no_relay_on(heated: Machine, signal: str) -> None:
    dead = heats(heated)
    heated.run("systemctl", "kill", "-s", signal, "--kill-whom=main", UNIT)
    heated.wait(lambda: pid(heated) not in {dead, "0"}, "the restart")
    after = noted(heated)
    last = max(number for number, (process, _) in enumerate(after) if process == dead)
    assert after[last] == [dead, "on"]
    # Who comes next is neither the dead nor his successor.
    assert len(after) > last + 1, "nobody has switched off what the dead left on"
    sweeper = after[last + 1][0]
    assert sweeper not in {dead, pid(heated)}
    assert [did for process, did in after[last + 1 :] if process == sweeper][-2:] == ["off", "released"]
    heats(heated)


def test_stopped_agent_and_exec_stop_post_switch_relays_off(heated: Machine) -> None:
    stopped = heats(heated)
    heated.run("systemctl", "stop", UNIT)
    assert heated.show(UNIT, "Result") == "success"
    assert [did for process, did in noted(heated) if process == stopped][-2:] == ["off", "released"]
    assert noted(heated)[-1][0] != stopped
    assert noted(heated)[-1][1] == "released"
