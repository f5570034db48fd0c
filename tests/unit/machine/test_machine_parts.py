"""The machine is wired to the parts of a hub: what the button asks for, what the LED shows, who is interrupted."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.config import resolve_text
from agent.errors import ConfigInvalid
from agent.foundation.disk import Disk
from agent.foundation.supervisor import Faults
from agent.foundation.system_info import Power
from agent.foundation.worker import InlineWorker
from agent.local.problem import Level
from agent.machine.light import PAIRING, RESET, flashes
from agent.machine.panel import BUTTON_ID
from agent.machine.service import MachineService
from agent.machine.storage_writes import no_counter
from agent.machine_parts import build_machine
from tests.unit.machine.test_supply import UpsBoard

CONFIG = '[cloud]\nbase_url = "https://a.example"\n[board.linux]\nled = "ACT"\nstatus_led = true\n'


class Lamp:
    name = "ACT"

    async def light(self, *, is_on: bool) -> None:
        """Nothing shines."""

    async def release(self) -> None:
        """Nothing shone."""


class PanelBoard(UpsBoard):
    def __init__(self) -> None:
        super().__init__()
        self.led = Lamp()
        self.button: Any = object()


class Hub:
    """The parts of a hub that the machine is wired to."""

    def __init__(self, directory: Path, text: str = "") -> None:
        self.notes: list[object] = []
        self.now_ms = 1_000
        self.level = Level.OK
        self.until_ms: int | None = None
        clock = SimpleNamespace(monotonic_ms=lambda: self.now_ms, utc_ms=lambda: None, boot_id="b")
        self.config = resolve_text(CONFIG + text, file="t", directory=directory, environ={}).config
        self.environment = SimpleNamespace(
            board=PanelBoard(),
            clock=clock,
            disk=Disk(),
            worker=InlineWorker(),
            host=object(),
            read_power=Power,
            read_writes=no_counter,
            starts=None,
            card=None,
        )
        self.faults = Faults(clock.monotonic_ms)
        self.health = SimpleNamespace(flush=self._note("flush"))
        self.commands = SimpleNamespace(reset=self._note("reset"))
        self.reports = SimpleNamespace(verdict=lambda: SimpleNamespace(level=self.level))
        radio = SimpleNamespace(radio=SimpleNamespace(join_window_until_ms=None))
        self.radio = radio.radio
        self.pairing = SimpleNamespace(
            queries=SimpleNamespace(radio=radio), actions=SimpleNamespace(open_join_window=self._opened)
        )
        self.machine: MachineService = build_machine(cast("Any", self))

    async def _opened(self, request: object) -> None:
        self.notes.append(request)

    def _note(self, what: str) -> Any:  # noqa: ANN401 - any coroutine function
        async def note() -> None:
            self.notes.append(what)

        return note

    def shown(self) -> Sequence[tuple[bool, int]]:
        self.now_ms += 60_000
        return self.machine.panel._pattern()


@pytest.mark.parametrize(("level", "count"), [(Level.OK, 1), (Level.ATTENTION, 2), (Level.FAULT, 3)])
def test_the_led_shows_the_verdict(tmp_path: Path, level: Level, count: int) -> None:
    hub = Hub(tmp_path)
    hub.level = level
    assert hub.shown() == flashes(count)


def test_the_led_shows_a_join_window_and_a_battery(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    hub.radio.join_window_until_ms = 99_000
    assert hub.shown() == PAIRING
    hub.radio.join_window_until_ms = None

    async def look() -> None:
        hub.machine.supply.state = await hub.machine.supply._advanced()

    asyncio.run(look())
    assert hub.shown() == flashes(4)


async def test_the_button_is_wired_to_pairing_and_to_the_reset(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    panel, confirmed = hub.machine.panel, []

    async def confirm(command_id: str) -> None:
        confirmed.append(command_id)

    either = hub.machine.confirming(confirm)
    await either("command 7")
    assert confirmed == ["command 7"]
    with pytest.raises(KeyError):
        await either(BUTTON_ID)
    panel._reset_until_ms = hub.now_ms + 200_000
    assert hub.shown() == RESET
    await either(BUTTON_ID)
    assert panel.reset_left_s is None
    await panel._pair()
    await panel._reset()
    await hub.machine.reset()
    assert [getattr(each, "is_many", each) for each in hub.notes] == [True, "reset", "reset"]


def test_the_control_runs_as_ever_where_nobody_has_chosen_a_power_off(tmp_path: Path) -> None:
    async def control() -> None:
        """Heat."""

    assert Hub(tmp_path).machine.heating(control) is control
    assert Hub(tmp_path, "[ups]\npower_off_percent = 10\n").machine.heating(control) is not control


def test_a_status_led_needs_a_name(tmp_path: Path) -> None:
    text = CONFIG.replace('led = "ACT"\n', "")
    with pytest.raises(ConfigInvalid, match=r"board\.linux\.led: name the LED"):
        resolve_text(text, file="t", directory=tmp_path, environ={})
