"""A LED of this machine, through sysfs, by which a person finds this hub among others.

Facts: the kernel's Documentation/leds/leds-class.rst and Documentation/ABI/testing/sysfs-class-led: `trigger` lists the
triggers with the one in force in brackets, and a brightness from 0 to `max_brightness` shows while it is "none". Must
always give the LED back to the trigger that it had.
"""

import asyncio
import errno
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hal.errors import ActuatorFault, HalError
from hal.linux.sysfs import read_integer, read_text

NO_TRIGGER = "none"

LED_S_MAX = 2.0
"""How long the LED is waited for. Writing takes microseconds; an orderly stop must not wait for a driver that hangs."""

_IN_FORCE = re.compile(r"\[([^\]\s]+)\]")

_REMEDIES = {
    errno.EACCES: "let the agent write it (systemd/climahub-led.conf)",
    errno.EPERM: "let the agent write it (systemd/climahub-led.conf)",
    errno.EROFS: "let the agent write it (systemd/climahub-led.conf)",
    errno.ENOENT: "name one of those in /sys/class/leds in board.linux.led",
}


def trigger_in_force(text: str) -> str:
    """Return the trigger that is marked in the content of `trigger`; none of them where none is. Pure."""
    found = _IN_FORCE.search(text)
    return found[1] if found else NO_TRIGGER


class SysfsLed:
    """The LED, implementing `hal.interface.Led`."""

    def __init__(self, sysfs_root: Path, name: str, executor: ThreadPoolExecutor) -> None:
        """Touch nothing yet.

        Args:
            sysfs_root: Mount point of sysfs.
            name: Of the LED, as in `/sys/class/leds`.
            executor: Where reading and writing block.
        """
        self.name = name
        self._directory = sysfs_root / "class" / "leds" / name
        self._executor = executor
        self._before: tuple[str, int] | None = None

    async def light(self, *, is_on: bool) -> None:
        """See `hal.interface.Led`."""
        await self._run(lambda: self._light(is_on))

    async def release(self) -> None:
        """See `hal.interface.Led`."""
        await self._run(self._release)

    async def _run(self, work: Callable[[], None]) -> None:
        try:
            async with asyncio.timeout(LED_S_MAX):
                await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except TimeoutError as error:
            text = f"cut the power of the hub: {self._directory} has not been written within {LED_S_MAX:.0f} s"
            raise ActuatorFault(f"{text}: its driver, or a chip that is read on the same thread, hangs") from error

    def _light(self, is_on: bool) -> None:
        try:
            if self._before is None:
                before = trigger_in_force(read_text(self._directory / "trigger"))
                brightness = read_integer(self._directory / "brightness")
                self._write("trigger", NO_TRIGGER)
                self._before = before, brightness
            brightest = read_integer(self._directory / "max_brightness")
        except HalError as error:
            raise ActuatorFault(str(error)) from error
        self._write("brightness", str(brightest if is_on else 0))

    def _release(self) -> None:
        if self._before is None:
            return
        (trigger, brightness), self._before = self._before, None
        if trigger == NO_TRIGGER:
            self._write("brightness", str(brightness))
        else:
            self._write("trigger", trigger)

    def _write(self, attribute: str, text: str) -> None:
        path = self._directory / attribute
        try:
            path.write_text(text, "ascii")
        except OSError as error:
            remedy = _REMEDIES.get(error.errno or 0, "see the kernel's log (dmesg)")
            raise ActuatorFault(f"{remedy}: {path} ({error.strerror})") from error
