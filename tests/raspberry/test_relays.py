"""Relays on real GPIO lines: the kernel's own driver moves them, and the controller's registers say what they do."""

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.raspberry.conftest import HWMON, KEEPS, LETS_GO
from tests.raspberry.machine import Machine
from tests.raspberry.registers import Controller, Driven

pytestmark = pytest.mark.skipif(
    "CLIMAHUB_RASPBERRY" not in os.environ, reason="needs QEMU and a system for it: make raspberry"
)
on_raspberry_pi_os = pytest.mark.parametrize("machine", [KEEPS], indirect=True)

UNIT = "climahub"
REFUSED = 78
CONFIG = "/etc/climahub/config.toml"
PYTHON = "/opt/climahub/bin/python"
UNDRIVEN = """\
import gpiod
from gpiod.line import Direction
gpiod.request_lines("/dev/gpiochip0", config={%r: gpiod.LineSettings(direction=Direction.INPUT)}).release()
"""
LIVING, BATH, PUMP = 17, 27, 22
LINES = (LIVING, BATH, PUMP)
COLD_C, WARM_C = 19.2, 20.9
"""On both sides of the setpoint, so near that a change from one to the other is no jump of the sensor."""
TEXT = """\
[cloud]
base_url = "https://cloud.invalid"
[board]
name = "linux"
[board.linux]
sysfs_root = "/opt/sensors"
relays = [{{ name = "living", heat_line = {LIVING} }}, {{ name = "bath", heat_line = {BATH} }}]
heat_source_lines = [{{ part = "pump", line = {PUMP} }}]
relays_active_low = {is_active_low}
[clock]
trust = "system"
[climate]
heat_source = "boiler"
heat_source_min_on_s = 0
heat_source_min_off_s = 0
pump_overrun_s = 0
relay_min_on_s = 0
relay_min_off_s = 0
relay_starts_per_hour_max = 60
zones = [{{ id = "living", sensors = ["hwmon/w1_slave_temp/temp1"] }}]
"""


def text(*, is_active_low: bool = False, **numbers: int) -> str:
    """Return a configuration."""
    lines = {"LIVING": LIVING, "BATH": BATH, "PUMP": PUMP} | numbers
    return TEXT.format(is_active_low=str(is_active_low).lower(), **lines)


class Wired:
    """A machine whose relays pull in at one level or the other."""

    def __init__(self, machine: Machine, *, is_active_low: bool) -> None:
        """Write the configuration, make the home cold, and let nobody drive a line: an earlier test may have."""
        self.machine = machine
        self.on, self.off = (Driven.LOW, Driven.HIGH) if is_active_low else (Driven.HIGH, Driven.LOW)
        machine.write(CONFIG, text(is_active_low=is_active_low))
        machine.run(PYTHON, "-c", UNDRIVEN % (LINES,))
        self.temperature(COLD_C)

    def temperature(self, celsius: float) -> None:
        """Let the home have a temperature."""
        self.machine.write(f"/{HWMON}/temp1_input", f"{celsius * 1000:.0f}\n")

    def wait(self, line: int, driven: Driven) -> None:
        """Wait until a line is driven so."""
        self.machine.wait(lambda: self.machine.controller().line(line) is driven, 90, f"line {line} {driven}")

    def active(self, controller: Controller) -> set[int]:
        """Return the lines whose relays are pulled in."""
        return {line for line in LINES if controller.line(line) is self.on}


def changes(states: Sequence[Controller], line: int) -> list[Driven]:
    """Return what was done to a line, without repetitions."""
    driven = [state.line(line) for state in states]
    return [each for before, each in zip([None, *driven], driven, strict=False) if each is not before]


@contextmanager
def running(wired: Wired) -> Iterator[None]:
    """Start the service; it is gone in the end, however."""
    machine = wired.machine
    try:
        machine.run("systemctl", "start", UNIT)
        yield
    finally:
        machine.attempt("systemctl", "stop", UNIT)
        machine.attempt("systemctl", "reset-failed", UNIT)


@on_raspberry_pi_os
def test_relays_follow_the_demand(machine: Machine) -> None:
    wired = Wired(machine, is_active_low=False)
    with machine.recorded() as states, running(wired):
        wired.wait(LIVING, wired.on)
        wired.wait(PUMP, wired.on)
        # Off first, and never on between being taken and the first decision; nobody asks for heat in the bath.
        assert changes(states(), LIVING) == [Driven.NOT, wired.off, wired.on]
        assert changes(states(), PUMP) == [Driven.NOT, wired.off, wired.on]
        assert changes(states(), BATH) == [Driven.NOT, wired.off]
        wired.temperature(WARM_C)
        wired.wait(LIVING, wired.off)
        wired.wait(PUMP, wired.off)
        machine.run("systemctl", "stop", UNIT)
        assert wired.active(machine.controller()) == set()
        assert changes(states(), LIVING) == [Driven.NOT, wired.off, wired.on, wired.off]
        assert changes(states(), BATH) == [Driven.NOT, wired.off]


@pytest.mark.parametrize(("machine", "is_active_low"), [(KEEPS, True), (LETS_GO, False)], indirect=["machine"])
def test_killed_agent_leaves_no_relay_on(
    request: pytest.FixtureRequest, machine: Machine, *, is_active_low: bool
) -> None:
    kernel = request.node.callspec.params["machine"]
    wired = Wired(machine, is_active_low=is_active_low)
    with machine.recorded() as states, running(wired):
        wired.wait(LIVING, wired.on)
        wired.wait(PUMP, wired.on)
        machine.run("systemctl", "kill", "-s", "KILL", "--kill-whom=main", UNIT)
        machine.wait(lambda: machine.show(UNIT, "SubState") == "auto-restart", 90, "the end of ExecStopPost=")
        assert wired.active(machine.controller()) == set()
        found = states()
    heated, not_heated = [Driven.NOT, wired.off, wired.on], [Driven.NOT, wired.off]
    if kernel == KEEPS:
        # Nobody holds it and the relay stays pulled in, until ExecStopPost= has switched it off.
        assert changes(found, LIVING) == changes(found, PUMP) == [*heated, wired.off]
        assert changes(found, BATH) == not_heated
    else:
        # An input with its pull resistor, then off, then an input again.
        let_go = [Driven.NOT, wired.off, Driven.NOT]
        assert changes(found, LIVING) == changes(found, PUMP) == [*heated, *let_go]
        assert changes(found, BATH) == [*not_heated, *let_go]
    for line in LINES:
        since_taken = itertools.dropwhile(lambda state: state.line(line) is Driven.NOT, found)  # noqa: B023 - used at once
        assert {dict(state.pulls).get(line) for state in since_taken} == {wired.off is Driven.HIGH}


HOLDER = """\
import pathlib, time, gpiod
from gpiod.line import Direction, Value
settings = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.INACTIVE)
held = gpiod.request_lines("/dev/gpiochip0", consumer="fan-control", config={(%d,): settings})
pathlib.Path("/run/held").touch()
time.sleep(600)
"""
LEFT_ON = """\
import os, gpiod
from gpiod.line import Direction, Value
settings = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.ACTIVE)
held = gpiod.request_lines("/dev/gpiochip0", config={%r: settings})
os.kill(os.getpid(), 9)
"""


def outputs_off(machine: Machine, config: str, groups: tuple[str, ...] = ("gpio",)) -> tuple[int, str]:
    """Switch off as the unit does after the agent; return the exit code and what was said."""
    machine.write(CONFIG, config)
    command = ("/opt/climahub/bin/climahub", "run", "--config", CONFIG, "--outputs-off")
    code, _, said = machine.attempt(*command, user="climahub", groups=groups)
    return code, said


@on_raspberry_pi_os
def test_busy_line_is_reported_and_the_others_go_off(machine: Machine) -> None:
    machine.attempt(PYTHON, "-c", LEFT_ON % ((LIVING, PUMP),))
    assert [machine.controller().line(line) for line in (LIVING, PUMP)] == [Driven.HIGH, Driven.HIGH]
    start = 'nohup "$@" >/dev/null 2>&1 & echo $! >/run/holder; while ! [ -e /run/held ]; do sleep 0.1; done'
    machine.run("sh", "-c", start, "sh", PYTHON, "-c", HOLDER % BATH)
    try:
        code, said = outputs_off(machine, text())
    finally:
        machine.run("sh", "-c", "kill $(cat /run/holder); rm /run/held")
    assert code == REFUSED
    assert said.startswith(f"climahub: /dev/gpiochip0: line {BATH} is in use by fan-control; stop that program")
    assert [machine.controller().line(line) for line in (LIVING, PUMP)] == [Driven.LOW, Driven.LOW]

    machine.attempt(PYTHON, "-c", LEFT_ON % ((LIVING, PUMP),))
    code, said = outputs_off(machine, text(BATH=99))
    assert code == REFUSED
    assert said == "climahub: /dev/gpiochip0 has no line 99, only 0 to 53; check the lines in board.linux\n"
    assert [machine.controller().line(line) for line in (LIVING, PUMP)] == [Driven.LOW, Driven.LOW]


@on_raspberry_pi_os
def test_missing_or_forbidden_chip_is_reported(machine: Machine) -> None:
    another = text().replace("[board.linux]\n", '[board.linux]\ngpio_chip = "/dev/gpiochip7"\n')
    code, said = outputs_off(machine, another)
    assert code == REFUSED
    assert said.startswith("climahub: /dev/gpiochip7 does not exist; check board.linux.gpio_chip")
    code, said = outputs_off(machine, text(), groups=())
    assert code == REFUSED
    assert said.startswith(
        "climahub: /dev/gpiochip0: this user has no permission to open it (Permission denied); add the user"
    )
