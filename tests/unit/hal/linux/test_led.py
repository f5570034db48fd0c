"""The LED of sysfs: it shows again what it showed before, whatever that was."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hal.errors import ActuatorFault
from hal.linux.board import LinuxBoard
from hal.linux.led import SysfsLed, trigger_in_force


@pytest.mark.parametrize(
    ("content", "trigger"),
    [
        ("none rc-feedback [mmc0] timer heartbeat", "mmc0"),
        ("[none] mmc0 timer", "none"),
        ("none mmc0", "none"),
        ("", "none"),
    ],
)
def test_the_trigger_in_force_is_the_one_in_brackets(content: str, trigger: str) -> None:
    assert trigger_in_force(content) == trigger


class Leds:
    """A tree of sysfs with one LED, and the process that writes it."""

    def __init__(self, root: Path, executor: ThreadPoolExecutor) -> None:
        self.directory = root / "class" / "leds" / "ACT"
        self.directory.mkdir(parents=True)
        self.led = SysfsLed(root, "ACT", executor)
        self.write("max_brightness", "255\n")
        self.write("brightness", "0\n")
        self.write("trigger", "none timer [mmc0]\n")

    def write(self, attribute: str, text: str) -> None:
        (self.directory / attribute).write_text(text)

    def read(self, attribute: str) -> str:
        return (self.directory / attribute).read_text().strip()


@pytest.fixture
def leds(tmp_path: Path) -> Iterator[Leds]:
    with ThreadPoolExecutor(1) as executor:
        yield Leds(tmp_path, executor)


async def test_it_lights_and_gives_the_trigger_back(leds: Leds) -> None:
    await leds.led.light(is_on=True)
    assert (leds.read("trigger"), leds.read("brightness")) == ("none", "255")
    await leds.led.light(is_on=False)
    assert (leds.read("trigger"), leds.read("brightness")) == ("none", "0")
    await leds.led.release()
    assert leds.read("trigger") == "mmc0"
    # Nothing is owed twice.
    leds.write("trigger", "none [timer]")
    await leds.led.release()
    assert leds.read("trigger") == "none [timer]"


async def test_a_led_without_a_trigger_gets_its_brightness_back(leds: Leds) -> None:
    leds.write("trigger", "[none] mmc0")
    leds.write("brightness", "17")
    await leds.led.light(is_on=True)
    await leds.led.release()
    assert leds.read("brightness") == "17"


async def test_a_led_that_is_not_there_names_the_remedy(leds: Leds) -> None:
    (leds.directory / "trigger").unlink()
    with pytest.raises(ActuatorFault):
        await leds.led.light(is_on=True)
    await leds.led.release()
    assert not (leds.directory / "trigger").exists()


async def test_a_led_that_may_not_be_written_names_the_remedy(leds: Leds) -> None:
    (leds.directory / "brightness").unlink()
    (leds.directory / "brightness").mkdir()
    with pytest.raises(ActuatorFault):
        await leds.led.light(is_on=True)


async def test_the_board_has_the_led_that_is_configured(leds: Leds) -> None:
    root = leds.directory.parents[2]
    board = LinuxBoard(sysfs_root=root, proc_root=root, led="ACT")
    assert board.led is not None
    await board.led.light(is_on=True)
    assert leds.read("brightness") == "255"
    await board.close()
    assert LinuxBoard(sysfs_root=root, proc_root=root).led is None


async def test_a_led_that_hangs_holds_nobody_up(leds: Leds, monkeypatch: pytest.MonkeyPatch) -> None:
    """The orderly stop waits for the release: outputs go off and readings are written after it."""
    await leds.led.light(is_on=True)
    monkeypatch.setattr("hal.linux.led.LED_S_MAX", 0.05)
    trigger = leds.directory / "trigger"
    trigger.unlink()
    # Opening a pipe for writing waits for a reader.
    os.mkfifo(trigger)
    try:
        for act in (leds.led.release(), leds.led.light(is_on=True)):
            with pytest.raises(ActuatorFault, match=r"ACT has not been written within 0 s: .* hangs"):
                await act
    finally:
        os.close(os.open(trigger, os.O_RDWR | os.O_NONBLOCK))
