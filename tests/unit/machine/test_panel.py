"""The panel: a press is carried out once, a reset waits for a person, and the LED is shared and given back."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

import pytest

from agent.errors import PairingRefused, StorageFull
from agent.machine.button import PAIR_MS, RESET_MS, STUCK_MS
from agent.machine.light import CYCLE_MS, Condition
from agent.machine.panel import CONFIRM_S_MAX, RETRY_S, Panel
from hal.errors import ActuatorFault, SensorUnavailable
from lab.simulation.virtual_loop import VirtualLoop


class Line:
    """A button's line: its changes at given milliseconds, pressed and released in turn."""

    def __init__(self, loop: VirtualLoop, changes_ms: Iterable[int]) -> None:
        self.loop = loop
        self.changes_ms = list(changes_ms)
        self.problem = ""

    def _now_ms(self) -> int:
        return int(self.loop.time() * 1000)

    async def wait(self, timeout_s: float) -> bool:
        if self.problem:
            raise SensorUnavailable(self.problem)
        ahead = [each for each in self.changes_ms if each > self._now_ms()]
        wait_s = (ahead[0] - self._now_ms()) / 1000 if ahead else timeout_s
        await asyncio.sleep(min(timeout_s, wait_s))
        return sum(each <= self._now_ms() for each in self.changes_ms) % 2 == 1


class Lamp:
    """A LED that notes what it showed, and when."""

    name = "ACT"

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.shown: list[tuple[int, bool | None]] = []
        self.problem = ""

    async def light(self, *, is_on: bool) -> None:
        if self.problem:
            raise ActuatorFault(self.problem)
        self.shown.append((int(self.loop.time() * 1000), is_on))

    async def release(self) -> None:
        self.shown.append((int(self.loop.time() * 1000), None))

    def flashes(self, begin_ms: int, end_ms: int) -> int:
        return sum(is_on is True and begin_ms <= at_ms < end_ms for at_ms, is_on in self.shown)


class Bench:
    def __init__(self, *changes_ms: int, shows_status: bool = True) -> None:
        self.loop = VirtualLoop()
        self.line = Line(self.loop, changes_ms)
        self.lamp = Lamp(self.loop)
        self.notes: list[str] = []
        self.refusal: Exception | None = None
        self.condition = Condition.WELL
        self.is_pairing = False
        self.panel = Panel(
            self.lamp,
            self.line,
            shows_status=shows_status,
            condition=lambda: self.condition,
            is_pairing=lambda: self.is_pairing,
            pair=self.pair,
            reset=self.reset,
            now_ms=lambda: int(self.loop.time() * 1000),
            add_fault=self.notes.append,
        )

    async def pair(self) -> None:
        if self.refusal:
            raise self.refusal
        self.is_pairing = True

    async def reset(self) -> None:
        if self.refusal:
            raise self.refusal
        self.notes.append("RESET")

    def run(self, *steps: tuple[float, Callable[[], object]]) -> None:
        """Run until each step's second, then do it; the last step ends the run."""

        async def go() -> None:
            loop = asyncio.get_running_loop()
            tasks = [loop.create_task(self._run(work)) for work in self.panel.loops().values()]
            for at_s, step in steps:
                await asyncio.sleep(at_s - loop.time())
                step()
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

        self.loop.run_until_complete(go())
        self.loop.close()

    async def _run(self, work: Callable[[], object]) -> None:
        await work()  # type: ignore[misc] # every loop is a coroutine function


def nothing() -> None:
    """End the run."""


def test_three_seconds_let_sensors_join_and_the_led_shows_it() -> None:
    bench = Bench(10_000, 10_000 + PAIR_MS + 200)
    bench.run((20.0, nothing))
    assert bench.notes == ["the button has opened a join window"]
    assert bench.lamp.flashes(14_000, 19_000) == 5
    assert bench.panel.reset_left_s is None


def test_a_refused_join_window_is_said() -> None:
    bench = Bench(10_000, 10_000 + PAIR_MS + 200)
    bench.refusal = PairingRefused("this hub has no radio")
    bench.run((20.0, nothing))
    assert bench.notes == ["the button opens no join window: this hub has no radio"]


def test_ten_seconds_ask_for_a_reset_that_waits_for_a_person() -> None:
    bench = Bench(10_000, 10_000 + RESET_MS + 200)
    bench.run((30.0, lambda: bench.notes.append(f"left {bench.panel.reset_left_s}")), (31.0, nothing))
    assert [note.partition(":")[0] for note in bench.notes] == ["the button asks for a factory reset", "left 591"]


def test_a_confirmed_reset_is_carried_out_once() -> None:
    bench = Bench(10_000, 10_000 + RESET_MS + 200)

    def confirm_again() -> None:
        with pytest.raises(KeyError):
            bench.panel.confirm()

    bench.run((30.0, bench.panel.confirm), (40.0, confirm_again), (50.0, nothing))
    assert bench.notes.count("RESET") == 1


def test_a_reset_that_nobody_confirms_is_over() -> None:
    bench = Bench(10_000, 10_000 + RESET_MS + 200)

    def too_late() -> None:
        with pytest.raises(KeyError):
            bench.panel.confirm()

    bench.run((25.0 + CONFIRM_S_MAX, too_late), (30.0 + CONFIRM_S_MAX, nothing))
    assert "RESET" not in bench.notes


def test_a_reset_that_the_disk_refuses_is_said() -> None:
    bench = Bench(10_000, 10_000 + RESET_MS + 200)
    bench.refusal = StorageFull("no room")
    bench.run((30.0, bench.panel.confirm), (31.0, nothing))
    assert bench.notes[-1] == "the hub was not reset: no room"


def test_a_stuck_button_is_reported_until_it_is_released() -> None:
    bench = Bench(10_000, 10_000 + 4 * STUCK_MS)
    seen: list[str] = []

    def look() -> None:
        seen.append(bench.panel.problem)

    bench.run((50.0, look), (120.0, look), (140.0, look))
    assert ["release or replace" in each for each in seen] == [True, True, False]
    assert bench.notes == []


def test_a_button_that_cannot_be_read_is_tried_again() -> None:
    bench = Bench(100_000, 100_000 + PAIR_MS + 200)
    bench.line.problem = "check board.linux"
    seen: list[str] = []

    def repair() -> None:
        seen.append(bench.panel.problem)
        bench.line.problem = ""

    bench.run((1.0, repair), (RETRY_S + 60, lambda: seen.append(bench.panel.problem)))
    assert seen == ["check board.linux", ""]
    assert bench.notes == ["the button has opened a join window"]


@pytest.mark.parametrize("condition", Condition)
def test_the_led_flashes_as_the_hub_is_and_is_given_back(condition: Condition) -> None:
    bench = Bench()
    bench.condition = condition
    bench.run((2 * CYCLE_MS / 1000 - 0.1, nothing))
    assert bench.lamp.flashes(0, CYCLE_MS) == condition.value
    assert bench.lamp.shown[-1][1] is None


def test_whoever_borrows_the_led_has_it_alone() -> None:
    bench = Bench()
    led = bench.panel.led

    async def borrow() -> None:
        assert led is not None
        loop = asyncio.get_running_loop()
        task = loop.create_task(self_run(bench))
        await asyncio.sleep(1)
        await led.light(is_on=True)
        await asyncio.sleep(20)
        await led.release()
        await asyncio.sleep(1)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    bench.loop.run_until_complete(borrow())
    bench.loop.close()
    assert bench.lamp.flashes(1_000, 20_999) == 1
    assert bench.lamp.flashes(20_999, 22_000) == 1


async def self_run(bench: Bench) -> None:
    await bench.panel.loops()["status light"]()


def test_a_led_that_fails_is_tried_again() -> None:
    bench = Bench()
    bench.lamp.problem = "no permission"

    def repair() -> None:
        bench.lamp.problem = ""

    bench.run((1.0, repair), (RETRY_S + 4, nothing))
    assert bench.lamp.flashes(0, 70_000) == 1


def test_without_a_wish_the_led_is_left_alone() -> None:
    bench = Bench(shows_status=False)
    assert bench.panel.led is bench.lamp
    bench.run((30.0, nothing))
    assert bench.lamp.shown == []
