"""Input lines are read and never driven; an open wire reads as if nothing were wrong."""

import asyncio
import os
import sys
import threading
from inspect import signature
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.config import resolve_text
from agent.environment import make_board
from agent.errors import ConfigInvalid
from agent.foundation.clock import SystemClock
from hal.channels import FindsChannels
from hal.errors import SensorUnavailable
from hal.interface import HasButton, SensorKind
from hal.linux.gpio_inputs import GpioButton, GpioInput
from tests.integration.conftest import WAIT_S
from tests.unit.hal.linux.conftest import Machine


class FakeGpiod:
    """The part of the package gpiod that is used: module `gpiod` and its module `line`."""

    def __init__(self) -> None:
        self.settings: list[dict[str, object]] = []
        self.value = "active"
        self.error: OSError | ValueError | None = None
        self.has_pulls = True
        self.changes = 0
        self.released = 0
        self.fd = 7
        self.numbers = {6}
        self.line = SimpleNamespace(
            Value=SimpleNamespace(ACTIVE="active", INACTIVE="inactive"),
            Direction=SimpleNamespace(INPUT="input"),
            Bias=SimpleNamespace(PULL_UP="up", PULL_DOWN="down", AS_IS="as is"),
            Edge=SimpleNamespace(BOTH="both"),
        )

    def LineSettings(self, **settings: object) -> dict[str, object]:  # noqa: N802 - as the package calls it
        return settings

    def request_lines(self, chip: str, *, consumer: str, config: dict[int, dict[str, object]]) -> "FakeGpiod":
        assert (chip, consumer) == ("/dev/gpiochip0", "climahub")
        ((_, settings),) = config.items()
        if self.error:
            raise self.error
        if not self.has_pulls and settings["bias"] != "as is":
            raise ValueError("invalid argument")
        self.settings.append(settings)
        return self

    def get_value(self, number: int) -> str:
        assert number in self.numbers
        if self.error:
            raise self.error
        return self.value

    def wait_edge_events(self, timeout: float) -> bool:
        assert timeout == 0
        return self.changes > 0

    def read_edge_events(self) -> None:
        self.changes = 0

    def release(self) -> None:
        self.released += 1


@pytest.fixture
def gpiod(monkeypatch: pytest.MonkeyPatch) -> FakeGpiod:
    fake = FakeGpiod()
    monkeypatch.setitem(sys.modules, "gpiod", fake)
    monkeypatch.setitem(sys.modules, "gpiod.line", fake.line)
    return fake


@pytest.mark.parametrize(
    ("is_active_low", "is_active_open", "bias"),
    [(False, True, "up"), (True, True, "down"), (True, False, "up"), (False, False, "down")],
)
def test_an_open_wire_is_pulled_to_where_nothing_is_wrong(
    gpiod: FakeGpiod, *, is_active_low: bool, is_active_open: bool, bias: str
) -> None:
    line = GpioInput("/dev/gpiochip0", 6, is_active_low=is_active_low, is_active_open=is_active_open)
    assert line.is_active()
    assert gpiod.settings == [{"direction": "input", "active_low": is_active_low, "bias": bias}]


def test_a_chip_without_pull_resistors_is_read_all_the_same(gpiod: FakeGpiod) -> None:
    gpiod.has_pulls = False
    line = GpioInput("/dev/gpiochip0", 6, is_active_low=False, is_active_open=False)
    gpiod.value = "inactive"
    assert not line.is_active()
    assert gpiod.settings[0]["bias"] == "as is"


def test_a_line_that_fails_is_requested_again(gpiod: FakeGpiod) -> None:
    line = GpioInput("/dev/gpiochip0", 6, is_active_low=False, is_active_open=False)
    assert line.is_active()
    gpiod.error = OSError(19, "No such device")
    with pytest.raises(SensorUnavailable, match=r"^check board.linux .*climahub-gpio.conf: line 6 of /dev/gpiochip0"):
        line.is_active()
    gpiod.error = None
    assert line.is_active()
    assert (len(gpiod.settings), gpiod.released) == (2, 1)


def test_changes_are_taken_without_waiting(gpiod: FakeGpiod) -> None:
    line = GpioInput("/dev/gpiochip0", 6, is_active_low=True, is_active_open=False, has_edges=True)
    line.drain()
    assert line.file_number() == 7
    assert gpiod.settings[0]["edge_detection"] == "both"
    gpiod.changes = 3
    line.drain()
    assert gpiod.changes == 0
    line.close()
    line.close()
    assert gpiod.released == 1


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    with pytest.raises(SensorUnavailable, match=r"climahub\[gpio\]"):
        GpioInput("/dev/gpiochip0", 6, is_active_low=False, is_active_open=False).is_active()


def test_fake_gpiod_has_the_calls_of_the_real_one() -> None:
    package, line = pytest.importorskip("gpiod"), pytest.importorskip("gpiod.line")
    settings = package.LineSettings(
        direction=line.Direction.INPUT, active_low=True, bias=line.Bias.PULL_UP, edge_detection=line.Edge.BOTH
    )
    signature(package.request_lines).bind("/dev/gpiochip0", consumer="climahub", config={6: settings})
    request = package.LineRequest
    signature(request.get_value).bind(None, 6)
    signature(request.wait_edge_events).bind(None, 0)
    signature(request.read_edge_events).bind(None)
    assert isinstance(request.fd, property)


async def test_a_button_wakes_who_waits_and_is_read_after_its_change(gpiod: FakeGpiod) -> None:
    reading, writing = os.pipe()
    try:
        gpiod.fd, gpiod.value = reading, "inactive"
        button = GpioButton("/dev/gpiochip0", 6, is_active_low=True)
        assert not await button.wait(0)
        assert gpiod.settings[0]["bias"] == "up"
        gpiod.value, gpiod.changes = "active", 1
        os.write(writing, b"edge")
        assert await button.wait(3600)
        assert gpiod.changes == 0
        gpiod.error = OSError(19, "No such device")
        with pytest.raises(SensorUnavailable):
            await button.wait(3600)
        await button.close()
        assert gpiod.released == 1
    finally:
        os.close(reading)
        os.close(writing)


class HangingChip:
    """A chip behind a bus: its level is read at the moment, or the bus hangs until `answers` is set."""

    def __init__(self, gpiod: FakeGpiod, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = threading.Event()
        self.answers.set()
        self.threads: set[str] = set()
        get_value, release = gpiod.get_value, gpiod.release

        def read(number: int) -> str:
            self.threads.add(threading.current_thread().name)
            assert self.answers.wait(WAIT_S)
            return get_value(number)

        def close() -> None:
            self.threads.add(threading.current_thread().name)
            release()

        monkeypatch.setattr(gpiod, "get_value", read)
        monkeypatch.setattr(gpiod, "release", close)


async def test_a_button_behind_a_bus_that_hangs_does_not_stop_the_event_loop(
    gpiod: FakeGpiod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hal.linux.bus_threads.BUS_S_MAX", 0.05)
    chip = HangingChip(gpiod, monkeypatch)
    reading, writing = os.pipe()
    gpiod.fd = reading
    button = GpioButton("/dev/gpiochip0", 6, is_active_low=True, bus="i2c-1")
    try:
        chip.answers.clear()
        with pytest.raises(SensorUnavailable, match=r"^/dev/gpiochip0: no response within"):
            await button.wait(0)
        with pytest.raises(SensorUnavailable, match="hangs in an earlier command; switch the board's supply off"):
            await button.wait(0)
        chip.answers.set()
        monkeypatch.setattr("hal.linux.bus_threads.BUS_S_MAX", WAIT_S)
        async with asyncio.timeout(WAIT_S):
            while not await pressed(button):  # noqa: ASYNC110 - the end of the earlier read has no event
                await asyncio.sleep(0.005)
    finally:
        chip.answers.set()
        await button.close()
        os.close(reading)
        os.close(writing)
    assert gpiod.released == 1
    assert all(name.startswith("hal-button") for name in chip.threads)


async def pressed(button: GpioButton) -> bool:
    try:
        return await button.wait(0)
    except SensorUnavailable:
        return False


async def test_the_end_of_the_agent_does_not_wait_for_a_button_whose_bus_hangs(
    gpiod: FakeGpiod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hal.linux.bus_threads.BUS_S_MAX", 0.05)
    chip = HangingChip(gpiod, monkeypatch)
    button = GpioButton("/dev/gpiochip0", 6, is_active_low=True, bus="i2c-1")
    try:
        chip.answers.clear()
        assert not await pressed(button)
        await button.close()
        assert gpiod.released == 0
    finally:
        chip.answers.set()


CONFIG = '[cloud]\nbase_url = "https://a.example"\n[board]\nname = "linux"\n[board.linux]\nsysfs_root = "sys"\n'


async def test_the_mains_line_is_a_channel_of_the_board(tmp_path: Path, gpiod: FakeGpiod) -> None:
    text = CONFIG + "mains_line = 6\nmains_active_low = true\nbutton_line = 7\n"
    config = resolve_text(text, file="test", directory=tmp_path, environ={}).config
    board = make_board(config.board, SystemClock(trust_wall_clock=True))
    assert isinstance(board, FindsChannels)
    assert isinstance(board, HasButton)
    assert board.button is not None
    await board.search()
    (mains,) = [sensor for sensor in board.sensors if sensor.kind is SensorKind.POWER_AVAILABILITY]
    assert mains.name == "gpio/6/mains"
    assert await mains.read() == 1.0
    gpiod.value = "inactive"
    assert await mains.read() == 0.0
    await board.close()


async def test_what_a_chip_behind_a_bus_reads_waits_on_threads_of_this_bus(
    machine: Machine, gpiod: FakeGpiod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the event loop nor the other parts of the machine wait for it."""
    expander = machine.i2c("0020", driver="pcf857x") / "gpiochip0"
    expander.mkdir()
    links = machine.sys / "bus" / "gpio" / "devices"
    links.mkdir(parents=True)
    (links / expander.name).symlink_to(expander)
    (machine.sys.parent / "gpiochip0").touch()
    text = CONFIG + 'gpio_chip = "gpiochip0"\nmains_line = 6\nbutton_line = 7\n'
    config = resolve_text(text, file="test", directory=machine.sys.parent, environ={}).config
    chip = HangingChip(gpiod, monkeypatch)
    monkeypatch.setattr(gpiod, "request_lines", lambda *_, **__: gpiod)
    monkeypatch.setattr(gpiod, "numbers", {6, 7})
    reading, writing = os.pipe()
    gpiod.fd = reading
    board = make_board(config.board, SystemClock(trust_wall_clock=True))
    assert isinstance(board, FindsChannels)
    assert isinstance(board, HasButton)
    assert board.button is not None
    try:
        await board.search()
        (mains,) = [sensor for sensor in board.sensors if sensor.kind is SensorKind.POWER_AVAILABILITY]
        gpiod.value = "active"
        assert await mains.read() == 1.0
        await board.button.wait(0)
    finally:
        await board.close()
        os.close(reading)
        os.close(writing)
    assert {name.rpartition("_")[0] for name in chip.threads} == {"bus-i2c-1", "hal-button"}
    await board.close()


@pytest.mark.parametrize(
    "lines",
    [
        'relays = [{ name = "living", heat_line = 6 }]',
        'relays = [{ name = "living", cool_line = 6 }]',
        'heat_source_lines = [{ part = "pump", line = 6 }]',
    ],
)
def test_an_input_is_no_relay(lines: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"mains_line.*choose another line: 6 is in use by board.linux"):
        resolve_text(f"{CONFIG}mains_line = 6\n{lines}\n", file="test", directory=Path("/"), environ={})
