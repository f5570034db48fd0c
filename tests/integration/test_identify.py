"""A hub is found by its LED: over the API and by the command line, on a real hub with a LED of sysfs."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cli import exit_codes, root
from agent.config.hardware_tables import BoardConfig
from agent.foundation.clock import Clock
from agent.local.routes import Role
from agent.port.hardware import identify
from hal.interface import Board
from hal.linux.board import LinuxBoard
from hal.linux.led import SysfsLed
from tests.integration.conftest import until
from tests.integration.port_rig import PortRig, open_port

ROUTE = "/v1/tests/identify"


def with_led(tmp_path: Path) -> tuple[Path, Callable[[BoardConfig, Clock], Board]]:
    """Return the directory of a LED, and what makes the board that has it."""
    directory = tmp_path / "sys" / "class" / "leds" / "ACT"
    directory.mkdir(parents=True)
    for name, text in (("max_brightness", "1"), ("brightness", "0"), ("trigger", "none [heartbeat]")):
        (directory / name).write_text(text)

    def make_board(config: BoardConfig, clock: Clock) -> Board:
        del config, clock
        return LinuxBoard(sysfs_root=tmp_path / "sys", proc_root=tmp_path / "proc", led="ACT")

    return directory, make_board


async def ask(rig: PortRig, role: Role, body: object) -> tuple[int, str]:
    async with rig.session(role) as client, client.post(ROUTE, json=body) as response:
        return response.status, await response.text()


async def test_the_led_blinks_and_shows_again_what_it_showed_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identify, "PERIOD_S", 0.05)
    shown: list[bool] = []
    light = SysfsLed.light

    async def noted(led: SysfsLed, *, is_on: bool) -> None:
        await light(led, is_on=is_on)
        assert (directory / "brightness").read_text() == str(int(is_on))
        shown.append(is_on)

    monkeypatch.setattr(SysfsLed, "light", noted)
    directory, make_board = with_led(tmp_path)
    async with open_port(tmp_path, config_text="", make_board=make_board) as rig:
        async with rig.session(Role.VIEWER) as client, client.get("/v1/tests") as response:
            assert (await response.json())["can_identify"] is True
        assert (await ask(rig, Role.VIEWER, {}))[0] == 403
        assert (await ask(rig, Role.SERVICE, {"duration_s": 121}))[0] == 400
        assert (directory / "trigger").read_text() == "none [heartbeat]"
        status, text = await ask(rig, Role.SERVICE, {"duration_s": 1})
        assert (status, text) == (200, '{"led":"ACT","duration_s":1.0}')
        assert (directory / "trigger").read_text() == "none"
        await until(lambda: (directory / "trigger").read_text() == "heartbeat")
    # Ten times in the second, and once at the request, where one that cannot work is refused.
    assert shown == [True] + [True, False] * 10


async def test_a_hub_that_ends_gives_the_led_back(tmp_path: Path) -> None:
    directory, make_board = with_led(tmp_path)
    async with open_port(tmp_path, config_text="", make_board=make_board) as rig:
        assert (await ask(rig, Role.SERVICE, {"duration_s": 120}))[0] == 200
    assert (directory / "trigger").read_text() == "heartbeat"


async def test_a_led_that_does_not_follow_is_named(tmp_path: Path) -> None:
    directory, make_board = with_led(tmp_path)
    (directory / "trigger").unlink()
    async with open_port(tmp_path, config_text="", make_board=make_board) as rig:
        status, text = await ask(rig, Role.SERVICE, {})
        assert status >= 400
        assert "class/leds/ACT/trigger" in text


async def test_by_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_port(tmp_path) as rig:
        words = ["identify", "--for", "2", "--socket", str(rig.socket)]
        assert await asyncio.to_thread(root.run, words) == exit_codes.OK
        assert capsys.readouterr().out == "the LED sim blinks for 2 s\n"


async def test_a_hub_without_a_led_says_what_to_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def make_board(config: BoardConfig, clock: Clock) -> Board:
        del config, clock
        return LinuxBoard(sysfs_root=tmp_path, proc_root=tmp_path)

    async with open_port(tmp_path, config_text="", make_board=make_board) as rig:
        assert await asyncio.to_thread(root.run, ["identify", "--socket", str(rig.socket)]) == exit_codes.FAILED
        assert "set board.linux.led" in capsys.readouterr().err
