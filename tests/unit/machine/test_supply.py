"""The machine is powered off in this order: permission, outputs off, flush, a last look, the request."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence

import pytest

from agent.errors import RebootFailed
from agent.machine.battery import SupplyReading
from agent.machine.interruption import Interruptible
from agent.machine.supply import GOING_S, LOOK_ON_BATTERY_S, RETRY_S, Supply
from agent.machine.supply_reader import SupplyReader
from hal.channels import Channel, ChannelReader, Quantity
from hal.errors import SensorUnavailable
from hal.interface import HvacOutputs, Sensor, SensorNetwork
from lab.simulation.virtual_loop import VirtualLoop


class Reader:
    """A channel whose value a test sets; an exception is raised."""

    def __init__(self, name: str, quantity: Quantity, value: Callable[[], float], chip: str = "") -> None:
        self.channel = Channel(name, quantity, value, chip=chip)

    async def read(self) -> float:
        return self.channel.read()


class UpsBoard:
    """A board with a gauge and a signal of the mains."""

    name = "linux"
    sensors: Sequence[Sensor] = ()
    network: SensorNetwork | None = None
    outputs: HvacOutputs | None = None
    gone: Collection[str] = ()

    def __init__(self) -> None:
        self.percent = 20.0
        self.volts = 3.4
        self.mains = 0.0
        self.problem = ""
        self.channels: Sequence[ChannelReader] = [
            Reader("i2c-1-0036/max17048/battery", Quantity.BATTERY, self._charge),
            Reader("i2c-1-0036/max17048/voltage", Quantity.VOLTAGE, lambda: self.volts),
            Reader("power_supply/mains", Quantity.MAINS, lambda: self.mains),
        ]

    def _charge(self) -> float:
        if self.problem:
            raise SensorUnavailable(self.problem)
        return self.percent

    async def search(self) -> None:
        """Everything is found already."""

    async def channels_changed(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing to release."""


class Machine:
    """A service manager that powers off, or refuses, and everything that it was told."""

    watchdog_s: float | None = None

    def __init__(self, board: UpsBoard, refusal: str = "") -> None:
        self.notes: list[str] = []
        self.faults: list[str] = []
        self.reasons: list[str] = []
        self.refusal = refusal
        self.board = board
        self.on_flush: Callable[[], None] = lambda: None
        self.heating = Interruptible()
        self.loop = VirtualLoop()
        self.supply = Supply(
            SupplyReader(board, self),
            limit_percent=10,
            clock=self,
            host=self,
            flush=self.flush,
            heating=self.heating,
            add_fault=self.faults.append,
            explain_stop=self.reasons.append,
        )

    boot_id = "b"

    def monotonic_ms(self) -> int:
        return int(self.loop.time() * 1000)

    def utc_ms(self) -> int | None:
        return None

    def ready(self) -> None:
        raise AssertionError

    def alive(self, status: str) -> None:
        raise AssertionError(status)

    def stopping(self) -> None:
        raise AssertionError

    async def ensure_can_reboot(self) -> None:
        raise AssertionError

    async def reboot(self, reason: str) -> None:
        raise AssertionError(reason)

    async def ensure_can_power_off(self) -> None:
        if self.refusal:
            raise RebootFailed(self.refusal)

    async def power_off(self, reason: str) -> None:
        self.notes.append(f"power off: {reason}")

    async def flush(self) -> None:
        self.notes.append("flush")
        self.on_flush()

    async def control(self) -> None:
        self.notes.append("on")
        try:
            await asyncio.Event().wait()
        finally:
            self.notes.append("off")

    def run(self, seconds: float, step: Callable[[], None]) -> None:
        """Run for some time with ``step`` before each look."""

        async def go() -> None:
            loop = asyncio.get_running_loop()
            tasks = [loop.create_task(self.heating.run(self.control)), loop.create_task(self.supply.run())]
            for _ in range(int(seconds / LOOK_ON_BATTERY_S)):
                step()
                await asyncio.sleep(LOOK_ON_BATTERY_S)
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

        self.loop.run_until_complete(go())
        self.loop.close()


@pytest.fixture
def board() -> UpsBoard:
    return UpsBoard()


def fall(board: UpsBoard, by: float = 0.5) -> Callable[[], None]:
    def step() -> None:
        board.percent = max(0.0, board.percent - by)

    return step


def test_outputs_are_off_and_everything_is_written_before_the_machine_is_asked_to_go(board: UpsBoard) -> None:
    machine = Machine(board)
    machine.run(320, fall(board))
    assert machine.notes[:5] == ["on", "flush", "off", "flush", "power off: the mains is off and the battery is at 7 %"]
    assert any("runs on its battery" in text for text in machine.faults)
    assert any("is powered off" in text for text in machine.faults)
    assert machine.reasons[:1] == ["machine powered off: the mains is off and the battery is at 7 %"]


def test_a_machine_that_stays_on_is_heated_again_and_asked_again_later(board: UpsBoard) -> None:
    machine = Machine(board)
    machine.run(400 + GOING_S + RETRY_S + 60, fall(board, 0.3))
    order = [note.partition(":")[0] for note in machine.notes]
    attempt = ["on", "flush", "off", "flush", "power off"]
    assert order == [*attempt, *attempt, "on", "off"]
    assert any("still on; heating goes on" in text for text in machine.faults)
    assert [bool(reason) for reason in machine.reasons] == [True, False, True, False]


def test_a_machine_that_may_not_be_powered_off_heats_to_the_end_and_says_so_before(board: UpsBoard) -> None:
    machine = Machine(board, refusal="it needs a rule")
    board.mains = 1.0
    machine.run(30, lambda: None)
    assert machine.supply.problem == "it needs a rule"
    board.mains = 0.0
    machine = Machine(board, refusal="it needs a rule")
    machine.run(600, fall(board))
    assert {*machine.notes[1:-1]} == {"flush"}
    assert (machine.notes[0], machine.notes[-1]) == ("on", "off")


def test_mains_that_returns_in_the_last_second_keeps_the_machine_on(board: UpsBoard) -> None:
    machine = Machine(board)

    def mains_returns() -> None:
        board.mains = 1.0

    machine.on_flush = mains_returns
    machine.run(320, fall(board))
    assert machine.notes == ["on", "flush", "off", "flush", "on", "off"]


@pytest.mark.parametrize("what", ["mains", "unreadable", "no signal", "no battery"])
def test_without_certainty_nothing_is_done(board: UpsBoard, what: str) -> None:
    match what:
        case "mains":
            board.mains = 1.0
        case "unreadable":
            board.problem = "it hangs"
        case "no signal":
            board.channels = board.channels[:2]
        case _:
            board.channels = board.channels[1:]
    machine = Machine(board)
    machine.run(600, fall(board))
    assert machine.notes == ["on", "off"]
    assert (machine.supply.state.last is None) == (what == "no battery")


@pytest.mark.parametrize(
    ("volts", "shunt_v", "expected"),
    [
        (7.4, -0.005, SupplyReading(0, False, 40.0)),
        (8.4, 0.0, SupplyReading(0, True, 100.0)),
        (7.0, 0.02, SupplyReading(0, True, 11.0)),
        (5.0, -0.02, SupplyReading(0, False, 0.0)),
    ],
)
def test_a_meter_gives_charge_by_voltage_and_mains_by_current(
    board: UpsBoard, volts: float, shunt_v: float, expected: SupplyReading
) -> None:
    prefix = "i2c-1-0042/ina219"
    board.channels = [
        Reader(f"{prefix}/voltage", Quantity.VOLTAGE, lambda: volts, chip="ina219"),
        Reader(f"{prefix}/shunt_voltage", Quantity.SHUNT_VOLTAGE, lambda: shunt_v, chip="ina219"),
    ]
    machine = Machine(board)
    found = machine.loop.run_until_complete(SupplyReader(board, machine, meter_cells=2).read())
    assert found is not None
    assert (found.is_mains_on, found.percent) == (expected.is_mains_on, pytest.approx(expected.percent))
    assert machine.loop.run_until_complete(SupplyReader(board, machine).read()) is None
    machine.loop.close()


def test_minutes_are_known_on_battery(board: UpsBoard) -> None:
    board.percent = 80.0
    machine = Machine(board)
    machine.run(400, fall(board, 0.1))
    assert machine.supply.minutes_left == pytest.approx((76 - 10) / 0.6, abs=3)
