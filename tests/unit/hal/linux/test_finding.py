"""A board whose sensors come and go: found while it runs, gone but known, and one bus that hangs."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from hal.channels import Channel, FindsChannels, Quantity
from hal.errors import SensorUnavailable
from hal.linux import board as board_module
from hal.linux.board import LinuxBoard
from hal.linux.bus_threads import BUS_THREADS_MAX
from hal.linux.inventory import CHANNELS_MAX, ChannelInventory
from hal.linux.kernel_channels import FULL_SEARCH_EVERY, KernelChannels
from tests.unit.hal.linux.conftest import Machine, sources, until


def channel(name: str, value: float = 20.0, *, quantity: Quantity = Quantity.TEMPERATURE, driver: str = "") -> Channel:
    return Channel(name, quantity, lambda: value, bus=name.partition("/")[0], driver=driver)


class Source:
    """A source of buses that a test fills."""

    def __init__(self, **found: list[Channel]) -> None:
        self.found: dict[str, list[Channel]] = found
        self.released: list[str] = []
        self.before: Callable[[str], None] = lambda _: None

    def buses(self) -> Sequence[str]:
        return list(self.found)

    def find(self, bus: str) -> Sequence[Channel]:
        self.before(bus)
        return list(self.found[bus])

    def release(self, bus: str) -> None:
        self.released.append(bus)


def board_with(machine: Machine, *some: Source) -> LinuxBoard:
    return LinuxBoard(sysfs_root=machine.sys, proc_root=machine.proc, sources=some)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What a bus hangs on; no thread does after the test."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def gates() -> Iterator[list[threading.Event]]:
    """What the first searches of a bus wait for, one each; no thread does after the test."""
    events = [threading.Event() for _ in range(6)]
    yield events
    for event in events:
        event.set()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "RESCAN_S", 0.0)


async def test_what_a_source_finds_is_a_sensor_of_the_board_and_stays_the_same_object(machine: Machine) -> None:
    source = Source(i2c=[channel("i2c/a/temperature"), channel("i2c/a/co2", 800.0, quantity=Quantity.CO2)])
    board = board_with(machine, source)
    assert isinstance(board, FindsChannels)
    assert sources(board) == []
    await board.channels_changed()
    [sensor] = board.sensors
    assert [reader.channel.name for reader in board.channels] == ["i2c/a/temperature", "i2c/a/co2"]
    assert await board.channels[1].read() == 800.0
    source.found["usb"] = [channel("usb/b/temperature", 21.0)]
    await board.channels_changed()
    assert sources(board) == ["i2c/a/temperature", "usb/b/temperature"]
    assert board.sensors[0] is sensor
    await board.close()


async def test_a_bus_that_hangs_keeps_neither_other_buses_nor_their_sensors_waiting(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, release: threading.Event
) -> None:
    monkeypatch.setattr(board_module, "FIND_S_MAX", 0.05)
    source = Source(stuck=[channel("stuck/a/temperature")], fine=[channel("fine/b/temperature")])
    source.before = lambda bus: release.wait() if bus == "stuck" else None  # type: ignore[assignment]
    board = board_with(machine, source)
    await board.channels_changed()
    assert sources(board) == ["fine/b/temperature"]
    assert await board.sensors[0].read() == 20.0
    changed = asyncio.ensure_future(board.channels_changed())
    await asyncio.sleep(0)
    release.set()
    await changed
    assert sources(board) == ["fine/b/temperature", "stuck/a/temperature"]
    await board.close()


async def test_a_search_that_hangs_is_named_and_waited_for_once(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, release: threading.Event
) -> None:
    source = Source(stuck=[channel("stuck/a/temperature")], fine=[channel("fine/b/temperature")])
    board = board_with(machine, source)
    await board.search()
    source.before = lambda bus: release.wait() if bus == "stuck" else None  # type: ignore[assignment]
    monkeypatch.setattr(board_module, "FIND_S_MAX", 0.05)
    await board.search()
    monkeypatch.setattr(board_module, "FIND_S_MAX", 3600.0)
    source.found["new"] = [channel("new/c/temperature")]
    async with asyncio.timeout(30.0):
        await board.search()
        assert sources(board) == ["stuck/a/temperature", "fine/b/temperature", "new/c/temperature"]
        with pytest.raises(SensorUnavailable, match="the bus stuck hangs, a search for sensors has not returned"):
            await board.sensors[0].read()
        release.set()
        while True:
            with contextlib.suppress(SensorUnavailable):
                assert await board.sensors[0].read() == 20.0
                break
            await asyncio.sleep(0)
    assert len([each for each in caplog.messages if "check the wiring of stuck: it hangs" in each]) == 1
    await board.close()


async def test_a_bus_whose_search_ended_late_is_slow_and_hangs_only_until_then(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, gates: list[threading.Event]
) -> None:
    monkeypatch.setattr(board_module, "FIND_S_MAX", 0.05)
    source = Source(slow=[channel("slow/a/temperature")])
    waiting = iter(gates)
    source.before = lambda _: next(waiting).wait()  # type: ignore[assignment]
    board = board_with(machine, source)

    async def end(gate: threading.Event) -> None:
        gate.set()
        await until(lambda: all(search.done() for search in board._searches.values()))

    await board.search()
    assert board._threads.hanging("slow")
    await end(gates[0])
    await board.search()
    for gate in gates[1:3]:
        await board.search()
        assert not board._threads.hanging("slow"), "it is slow, and its search has until the next one"
        await end(gate)
        await board.search()
    assert len([each for each in caplog.messages if "check the wiring of slow" in each]) == 1
    await board.search()
    await board.search()
    assert board._threads.hanging("slow"), "its search was not ended by the next one"
    assert len([each for each in caplog.messages if "check the wiring of slow" in each]) == 2
    for gate in gates:
        gate.set()
    await board.close()


async def test_no_search_begins_on_a_bus_that_hangs_in_a_read(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, release: threading.Event
) -> None:
    monkeypatch.setattr(board_module, "FIND_S_MAX", 3600.0)
    searched: list[str] = []
    source = Source(i2c=[Channel("i2c/a/temperature", Quantity.TEMPERATURE, lambda: float(release.wait()), bus="i2c")])
    source.before = searched.append
    board = board_with(machine, source)
    await board.search()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(board.sensors[0].read(), 0.05)
    async with asyncio.timeout(30.0):
        await board.search()
    assert searched == ["i2c"]
    release.set()
    await board.close()


async def test_adapters_that_come_and_go_have_a_thread_each(machine: Machine) -> None:
    """A USB adapter gets another number each time where the old one is still in use."""
    threads: dict[str, str] = {}
    source = Source()
    source.before = lambda bus: threads.__setitem__(bus, threading.current_thread().name)
    board = board_with(machine, source)
    for number in range(BUS_THREADS_MAX + 3):
        source.found = {f"i2c-{number}": [channel(f"i2c-{number}/a/temperature")]}
        await board.search()
        await board.sensors[-1].read()
        assert threads[f"i2c-{number}"].startswith(f"bus-i2c-{number}_")
    assert len(board.gone) == BUS_THREADS_MAX + 2
    await until(lambda: len(source.released) == BUS_THREADS_MAX + 2)
    assert set(source.released) == {f"i2c-{number}" for number in range(BUS_THREADS_MAX + 2)}
    await board.close()


async def test_an_error_of_a_search_keeps_what_was_found_earlier(machine: Machine) -> None:
    source = Source(i2c=[channel("i2c/a/temperature")])
    board = board_with(machine, source)
    await board.search()

    def fail(bus: str) -> None:
        raise SensorUnavailable(f"{bus} is stuck")

    source.before = fail
    await board.search()
    assert sources(board) == ["i2c/a/temperature"]
    await board.close()


def test_a_channel_that_is_gone_stays_known_and_makes_room_when_there_are_too_many() -> None:
    inventory = ChannelInventory()
    assert inventory.merge((0, ""), [channel("a"), channel("b")])
    assert inventory.merge((0, ""), [channel("b")])
    assert (list(inventory.channels), list(inventory.gone)) == (["a", "b"], ["a"])
    assert not inventory.merge((0, ""), [channel("b")])
    inventory.merge((0, ""), [channel("b"), *(channel(f"n{number}") for number in range(CHANNELS_MAX))])
    assert len(inventory.channels) == CHANNELS_MAX
    assert "a" not in inventory.channels
    assert f"n{CHANNELS_MAX - 1}" not in inventory.channels
    assert inventory.left_out == {f"n{CHANNELS_MAX - 1}"}


async def test_channels_for_which_there_is_no_room_are_reported_once(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source(i2c=[channel(f"i2c/{number}/temperature") for number in range(CHANNELS_MAX + 1)])
    board = board_with(machine, source)
    await board.search()
    await board.search()
    reported = f"disconnect sensors: not read are i2c/{CHANNELS_MAX}/temperature, as {CHANNELS_MAX} channels are"
    assert caplog.messages.count(reported) == 1
    source.found["i2c"].pop(0)
    await board.search()
    assert len(board.sensors) == CHANNELS_MAX
    assert board.sensors[-1].name == f"i2c/{CHANNELS_MAX}/temperature"
    await board.close()


def test_the_source_that_comes_first_is_right_and_the_next_one_takes_over() -> None:
    inventory = ChannelInventory()
    inventory.merge((1, "i2c"), [channel("a", driver="climahub")])
    inventory.merge((0, ""), [channel("a", driver="bmp280")])
    assert inventory.channels["a"].driver == "bmp280"
    inventory.merge((0, ""), [])
    assert inventory.channels["a"].driver == "climahub"
    assert inventory.forget_buses({0: [""], 1: []})
    assert list(inventory.gone) == ["a"]


def test_devices_are_looked_at_again_only_where_the_kernel_lists_others_or_after_an_hour(machine: Machine) -> None:
    directory = machine.iio(0, machine.i2c("0076"), name="bme280", in_temp_input="20940")
    kernel = KernelChannels(machine.sys, machine.proc)
    first = kernel.find("")
    machine.write(directory, in_pressure_input="100.2")
    assert kernel.find("") is first
    machine.iio(1, machine.i2c("0077"), name="bme280", in_temp_input="20940")
    assert [each.address for each in kernel.find("")] == ["0076", "0076", "0077"]
    machine.write(directory, in_humidityrelative_input="42402")
    found = [kernel.find("") for _ in range(FULL_SEARCH_EVERY)]
    assert len(found[0]) == 3
    assert len(found[-1]) == 4
