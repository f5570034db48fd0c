"""Relays follow the demand line by line, are read back, and are off before and after anybody holds them."""

import importlib
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from agent import outputs
from agent.config import resolve_text
from agent.errors import ConfigInvalid
from hal.errors import ActuatorFault
from hal.interface import HeatSourceDemand, HvacAction, HvacDemand
from hal.linux.board import LinuxBoard
from hal.linux.device_address import gpio_chip_bus
from hal.linux.gpio import GpiodLines
from hal.linux.gpio_inputs import GpioButton
from hal.linux.output_lines import RelayWiring, ZoneRelays
from hal.linux.relays import RelayOutputs, line_values
from tests.unit.hal.linux.conftest import Machine

HEAT, COOL = HvacAction.HEAT, HvacAction.COOL
WIRING = RelayWiring(
    device="/dev/gpiochip0",
    zones=(ZoneRelays("living", 17, 17), ZoneRelays("bath", 27), ZoneRelays("attic", None, 22)),
    heat_source=dict(zip(("heat", "cool", "stage2", "aux", "pump", "fan", "valve"), range(30, 37), strict=True)),
)


class Lines:
    def __init__(self) -> None:
        self.values: dict[int, bool] = {}
        self.stuck: dict[int, bool] = {}
        self.error: OSError | None = None
        self.is_closed = False

    def set(self, values: Mapping[int, bool]) -> None:
        if self.error is not None:
            raise self.error
        self.values |= values

    def get(self) -> Mapping[int, bool]:
        return self.values | self.stuck

    def close(self) -> None:
        self.is_closed = True

    def advice(self, error: OSError) -> str:
        return f"advice {error.errno}"

    @property
    def on(self) -> frozenset[int]:
        return frozenset(line for line, is_on in self.values.items() if is_on)


class Bench:
    def __init__(self, taken: int | None = None) -> None:
        self.opened: list[Lines] = []
        self.taken = taken
        self.outputs = RelayOutputs(WIRING, self._open)

    def _open(self, wiring: RelayWiring) -> Lines:
        if self.taken in wiring.lines:
            raise ActuatorFault(f"line {self.taken} is held by another")
        self.opened.append(Lines())
        return self.opened[-1]


def on(demand: HvacDemand) -> set[int]:
    return {line for line, is_on in line_values(WIRING, demand).items() if is_on}


def test_each_output_has_its_line() -> None:
    assert on(HvacDemand()) == set()
    assert on(HvacDemand({"living": HEAT, "bath": HEAT, "attic": HEAT})) == {17, 27}
    assert on(HvacDemand({"living": COOL, "bath": COOL, "attic": COOL})) == {17, 22}
    assert on(HvacDemand({}, HeatSourceDemand(HEAT, 1, is_pump_on=True))) == {30, 34}
    everything = HeatSourceDemand(COOL, 2, is_aux_on=True, is_pump_on=True, is_fan_on=True, is_valve_on=True)
    assert on(HvacDemand({}, everything)) == {31, 32, 33, 34, 35, 36}
    assert set(line_values(WIRING, HvacDemand())) == set(WIRING.lines)


def test_zones_state_whether_they_heat_or_cool() -> None:
    zones = [(zone.name, zone.can_heat, zone.can_cool) for zone in Bench().outputs.zones]
    assert zones == [("living", True, True), ("bath", True, False), ("attic", False, True)]


async def test_line_that_does_not_follow_is_named() -> None:
    bench = Bench()
    await bench.outputs.apply(HvacDemand({"bath": HEAT}))
    bench.opened[0].stuck[27] = True
    with pytest.raises(ActuatorFault, match="line 27 did not follow"):
        await bench.outputs.apply(HvacDemand())


async def test_lost_lines_are_requested_again() -> None:
    bench = Bench()
    await bench.outputs.apply(HvacDemand({"bath": HEAT}))
    bench.opened[0].error = OSError(5, "Input/output error")
    with pytest.raises(ActuatorFault, match="Input/output error"):
        await bench.outputs.apply(HvacDemand({"bath": HEAT}))
    assert bench.opened[0].is_closed
    await bench.outputs.apply(HvacDemand({"bath": HEAT}))
    assert bench.opened[1].on == {27}


async def test_close_switches_outputs_off_first() -> None:
    bench = Bench()
    await bench.outputs.apply(HvacDemand({"bath": HEAT}))
    bench.outputs.close()
    assert (bench.opened[0].on, bench.opened[0].is_closed) == (set(), True)
    bench.outputs.close()
    await bench.outputs.apply(HvacDemand({"bath": HEAT}))
    bench.opened[1].error = OSError(5, "Input/output error")
    bench.outputs.close()
    assert bench.opened[1].is_closed


def test_unavailable_line_leaves_no_other_on() -> None:
    bench = Bench(taken=27)
    with pytest.raises(ActuatorFault, match=r"^line 27 is held by another$"):
        bench.outputs.off()
    assert [set(lines.values) for lines in bench.opened] == [{line} for line in WIRING.lines if line != 27]
    assert all(lines.is_closed and not lines.on for lines in bench.opened)


def test_failing_line_leaves_no_other_on() -> None:
    bench = Bench()
    bench.outputs.off()
    bench.opened[0].error = OSError(5, "Input/output error")
    bench.outputs.off()
    assert bench.opened[0].is_closed
    assert {line for lines in bench.opened[1:] for line in lines.values} == set(WIRING.lines)


class FakeGpiod:
    """The part of the package gpiod that is used: module `gpiod` and its module `line`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.values: dict[int, str] = {}
        self.settings: dict[str, object] = {}
        self.released = False
        self.error: OSError | ValueError | None = None
        self.line = SimpleNamespace(
            Value=SimpleNamespace(ACTIVE="active", INACTIVE="inactive"),
            Direction=SimpleNamespace(OUTPUT="output"),
            Bias=SimpleNamespace(PULL_UP="up", PULL_DOWN="down", AS_IS="as is"),
        )
        self.has_pulls = True
        self.consumers: dict[int, str] = {}

    def LineSettings(self, **settings: object) -> object:  # noqa: N802 - as the package calls it
        self.settings = settings
        return settings

    def request_lines(self, chip: str, *, consumer: str, config: dict[tuple[int, ...], object]) -> "FakeGpiod":
        if self.error is not None:
            raise self.error
        if not self.has_pulls and self.settings["bias"] != "as is":
            raise ValueError("invalid argument")
        self.calls.append((chip, consumer))
        (lines,) = config
        self.values = dict.fromkeys(lines, "inactive")
        return self

    @contextmanager
    def Chip(self, path: str) -> "Iterator[FakeGpiod]":  # noqa: N802 - as the package calls it
        yield self

    def get_info(self) -> SimpleNamespace:
        return SimpleNamespace(num_lines=54)

    def get_line_info(self, number: int) -> SimpleNamespace:
        return SimpleNamespace(used=number in self.consumers, consumer=self.consumers.get(number, ""))

    def set_values(self, values: dict[int, str]) -> None:
        self.values |= values

    def get_values(self, lines: list[int]) -> list[str]:
        return [self.values[line] for line in lines]

    def release(self) -> None:
        self.released = True


@pytest.fixture
def gpiod(monkeypatch: pytest.MonkeyPatch) -> FakeGpiod:
    fake = FakeGpiod()
    monkeypatch.setitem(sys.modules, "gpiod", fake)  # it stands for a module
    monkeypatch.setitem(sys.modules, "gpiod.line", fake.line)
    return fake


async def test_gpiod_is_loaded_beside_the_event_loop_and_once(
    gpiod: FakeGpiod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes 30 ms and more from a card, and control is late by as much."""
    loads: list[tuple[str, bool]] = []
    load = importlib.import_module

    def loading(name: str) -> object:
        loads.append((name, threading.current_thread() is threading.main_thread()))
        return load(name)

    monkeypatch.setattr("importlib.import_module", loading)
    outputs = RelayOutputs(WIRING)
    await outputs.apply(HvacDemand())
    await outputs.apply(HvacDemand())
    assert loads == [("gpiod.line", False), ("gpiod", True), ("gpiod.line", True)]
    button = GpioButton("/dev/gpiochip0", 6, is_active_low=True)
    loads.clear()
    with pytest.raises(AttributeError):
        # The fake has no input lines: what counts is the order.
        await button.wait(0.0)
    assert loads[0] == ("gpiod.line", False)
    assert ("gpiod.line", True) in loads
    assert gpiod.calls


async def test_lines_are_requested_from_gpiod_switched_off(gpiod: FakeGpiod) -> None:
    outputs = RelayOutputs(WIRING)
    await outputs.apply(HvacDemand({"bath": HEAT}))
    assert gpiod.calls == [("/dev/gpiochip0", "climahub")]
    assert gpiod.settings == {"direction": "output", "active_low": False, "output_value": "inactive", "bias": "down"}
    assert {line for line, value in gpiod.values.items() if value == "active"} == {27}
    outputs.close()
    assert gpiod.released
    assert "active" not in gpiod.values.values()


async def test_bias_of_a_line_keeps_its_relay_off(gpiod: FakeGpiod) -> None:
    await RelayOutputs(msgspec.structs.replace(WIRING, is_active_low=True)).apply(HvacDemand())
    assert (gpiod.settings["active_low"], gpiod.settings["bias"]) == (True, "up")


async def test_chip_without_bias_support_still_switches(gpiod: FakeGpiod) -> None:
    gpiod.has_pulls = False
    await RelayOutputs(WIRING).apply(HvacDemand({"bath": HEAT}))
    assert (gpiod.settings["bias"], gpiod.values[27]) == ("as is", "active")


@pytest.mark.parametrize(
    ("error", "consumers", "line", "words"),
    [
        (
            OSError(16, "Device or resource busy"),
            {27: "fan"},
            36,
            r"/dev/gpiochip0: line 27 is in use by fan; stop that",
        ),
        (
            OSError(16, "Device or resource busy"),
            {},
            36,
            r"the lines 17, 27, .* cannot be requested \(.*busy.*gpioinfo",
        ),
        (ValueError("offset out of range"), {}, 54, r"/dev/gpiochip0 has no line 54, only 0 to 53; check the lines in"),
        (
            FileNotFoundError(2, "none"),
            {},
            36,
            r"/dev/gpiochip0 does not exist; check board.linux.gpio_chip .*; the service sees",
        ),
        (
            PermissionError(13, "Permission denied"),
            {},
            36,
            r"has no permission to open it \(Permission denied\); add the user to the group",
        ),
    ],
)
async def test_unavailable_lines_are_explained(
    gpiod: FakeGpiod, error: OSError, consumers: dict[int, str], line: int, words: str
) -> None:
    gpiod.error, gpiod.consumers = error, consumers
    wiring = msgspec.structs.replace(WIRING, heat_source={**WIRING.heat_source, "valve": line})
    with pytest.raises(ActuatorFault, match=words):
        await RelayOutputs(wiring).apply(HvacDemand())


def test_fake_gpiod_has_the_calls_of_the_real_one() -> None:
    package, line = pytest.importorskip("gpiod"), pytest.importorskip("gpiod.line")
    settings = package.LineSettings(
        direction=line.Direction.OUTPUT, active_low=True, output_value=line.Value.INACTIVE, bias=line.Bias.PULL_UP
    )
    assert (settings.active_low, line.Value.ACTIVE.value) == (True, 1)
    assert {"PULL_UP", "PULL_DOWN", "AS_IS"} <= set(line.Bias.__members__)
    signature(package.request_lines).bind("/dev/gpiochip0", consumer="climahub", config={(17, 27): settings})
    request = package.LineRequest
    signature(request.set_values).bind(None, {17: line.Value.ACTIVE})
    signature(request.get_values).bind(None, [17, 27])
    signature(request.release).bind(None)
    signature(package.Chip).bind("/dev/gpiochip0")
    signature(package.Chip.get_line_info).bind(None, 17)
    assert {"used", "consumer"} <= set(package.LineInfo.__annotations__)
    assert "num_lines" in package.ChipInfo.__annotations__


@pytest.mark.parametrize(
    ("chip", "words"),
    [
        ("/dev/null", "cannot be used as a GPIO chip"),
        ("/dev/gpiochip-of-another-machine", "does not exist"),
        ("/etc/hostname", "cannot be used as a GPIO chip"),
    ],
)
async def test_file_that_is_no_gpio_chip_is_reported(chip: str, words: str) -> None:
    pytest.importorskip("gpiod")
    outputs = RelayOutputs(msgspec.structs.replace(WIRING, device=chip))
    with pytest.raises(ActuatorFault, match=f"{chip} {words}"):
        await outputs.apply(HvacDemand({"bath": HEAT}))
    outputs.close()


async def test_missing_gpiod_message_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    with pytest.raises(ActuatorFault, match=r"pip install 'climahub\[gpio\]'"):
        GpiodLines(WIRING)


LINUX = """[cloud]
base_url = "https://a.example"
[board]
name = "linux"
[board.linux]
relays_active_low = true
relays = [{ name = "living", heat_line = 17 }]
heat_source_lines = [{ part = "pump", line = 27 }]
"""


async def test_the_configuration_wires_the_board(tmp_path: Path, gpiod: FakeGpiod) -> None:
    config = resolve_text(LINUX, file="test", directory=tmp_path, environ={}).config
    (wiring,) = outputs.wirings_of(config.board.linux)
    assert wiring == RelayWiring("/dev/gpiochip0", (ZoneRelays("living", 17),), {"pump": 27}, True)
    board = LinuxBoard(sysfs_root=tmp_path, proc_root=tmp_path, wirings=[wiring])
    assert board.outputs is not None
    await board.outputs.apply(HvacDemand({"living": HEAT}))
    await board.close()
    assert gpiod.released


def gpio_chip(machine: Machine, device: Path, number: int) -> str:
    """Return the character device of a GPIO chip that the kernel has below a device."""
    chip = device / f"gpiochip{number}"
    chip.mkdir()
    links = machine.sys / "bus" / "gpio" / "devices"
    links.mkdir(parents=True, exist_ok=True)
    (links / chip.name).symlink_to(chip)
    path = machine.sys.parent / chip.name
    path.touch()
    return str(path)


async def test_an_expander_that_the_kernel_drives_hangs_on_its_own_thread(
    machine: Machine, gpiod: FakeGpiod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hal.linux.bus_threads.BUS_S_MAX", 0.05)
    answers = threading.Event()
    monkeypatch.setattr(gpiod, "set_values", lambda _: answers.wait(30.0))
    link = machine.sys.parent / "expander"
    link.symlink_to(gpio_chip(machine, machine.i2c("0020", driver="pcf857x"), 2))
    wiring = msgspec.structs.replace(WIRING, device=str(link))
    board = LinuxBoard(sysfs_root=machine.sys, proc_root=machine.proc, wirings=[wiring])
    assert board.outputs is not None
    try:
        with pytest.raises(ActuatorFault, match="expander: no response within"):
            await board.outputs.apply(HvacDemand({"bath": HEAT}))
    finally:
        answers.set()
        await board.close()


async def test_the_lines_of_the_processor_need_no_thread(
    machine: Machine, gpiod: FakeGpiod, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = gpio_chip(machine, machine.device("platform/soc/fe200000.gpio", subsystem="bus/platform"), 0)
    threads, set_values = set(), gpiod.set_values

    def record(values: dict[int, str]) -> None:
        threads.add(threading.current_thread().name)
        set_values(values)

    monkeypatch.setattr(gpiod, "set_values", record)
    wiring = msgspec.structs.replace(WIRING, device=chip)
    board = LinuxBoard(sysfs_root=machine.sys, proc_root=machine.proc, wirings=[wiring])
    assert board.outputs is not None
    await board.outputs.apply(HvacDemand({"bath": HEAT}))
    await board.close()
    assert threads == {threading.current_thread().name}


def test_a_gpio_chip_that_is_not_there_yet_may_be_on_a_bus(machine: Machine) -> None:
    assert gpio_chip_bus(str(machine.sys.parent / "gpiochip7"), machine.sys) == "gpiochip7"


def test_outputs_off_command_switches_all_lines_off(tmp_path: Path, gpiod: FakeGpiod) -> None:
    path = tmp_path / "config.toml"
    path.write_text(LINUX)
    assert outputs.main(path) == 0
    assert gpiod.released
    assert set(gpiod.values.values()) == {"inactive"}
    gpiod.error = OSError(16, "Device or resource busy")
    assert outputs.main(path) == outputs.EXIT_CONFIG
    path.write_text('[cloud]\nbase_url = "https://a.example"\n')
    assert outputs.main(path) == 0


@pytest.mark.parametrize(
    ("wrong", "code", "is_off"),
    [
        ("[climate]\nof_a_newer_release = 1\n", 0, True),
        ("[of_a_newer_release]\n", 0, True),
        ("[board.linux.wrong]\n", outputs.EXIT_CONFIG, False),
        ("[climate\n", outputs.EXIT_CONFIG, False),
    ],
)
def test_outputs_off_works_with_an_otherwise_invalid_configuration(
    tmp_path: Path, gpiod: FakeGpiod, wrong: str, code: int, *, is_off: bool
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(LINUX + wrong)
    assert outputs.main(path) == code
    assert gpiod.released is is_off


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('relays = [{ name = "a" }]', "needs heat_line or cool_line"),
        ("relays = [{ heat_line = 1 }]", "needs a name"),
        ('relays = [{ name = "a", heat_line = -1 }]', "whole number"),
        ('relays = [{ name = "a", heat_line = 1 }, { name = "a", heat_line = 2 }]', "same name"),
        ('relays = [{ name = "a", heat_line = 1 }, { name = "b", heat_line = 1 }]', "share a line"),
        ('relays = [{ name = "a", heat_line = 1, colour = 2 }]', "unknown key"),
        ("relays = [1]", "not a table"),
        ('heat_source_lines = [{ part = "stove", line = 1 }]', "needs a part and a line"),
        ('heat_source_lines = [{ part = "pump", line = 1 }, { part = "fan", line = 1 }]', "named twice"),
    ],
)
def test_invalid_wiring_is_refused_with_its_reason(text: str, words: str) -> None:
    whole = f'[cloud]\nbase_url = "https://a.example"\n[board.linux]\n{text}\n'
    with pytest.raises(ConfigInvalid, match=words):
        resolve_text(whole, file="test", directory=Path("/"), environ={})
