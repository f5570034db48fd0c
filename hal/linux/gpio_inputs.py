"""Input lines of a GPIO chip, through the kernel's character device (libgpiod): the mains signal of a UPS, a button.

Facts: the kernel's Documentation/userspace-api/gpio/chardev.rst; libgpiod 2's Python package. A line is requested as an
input only, so that no mistake of the configuration drives it.
"""

import asyncio
import contextlib
import importlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hal.channels import Channel, Quantity
from hal.errors import SensorUnavailable
from hal.linux.bus_threads import MACHINE, DeviceThread
from hal.linux.gpio import CONSUMER
from hal.linux.output_lines import load_driver

_T = TypeVar("_T")


class GpioInput:
    """One input line; requested when it is first read, and again after an error.

    Blocks for microseconds, and on a chip behind a bus for as long as the bus does (`device_address.gpio_chip_bus`).
    """

    def __init__(
        self, chip: str, number: int, *, is_active_low: bool, is_active_open: bool, has_edges: bool = False
    ) -> None:
        """Request nothing yet.

        Args:
            chip: The chip's device, such as "/dev/gpiochip0".
            number: Of the line.
            is_active_low: Whether it is active while it is low.
            is_active_open: What an open wire is pulled to: to where nothing is wrong.
            has_edges: Have the kernel report changes, for `file_number`.
        """
        self.chip = chip
        self.number = number
        self._is_active_low = is_active_low
        self._is_pulled_up = is_active_open is not is_active_low
        self._has_edges = has_edges
        self._request: Any = None
        self._active: object = None

    def is_active(self) -> bool:
        """Return whether the line is active now.

        Raises:
            SensorUnavailable: It cannot be requested or read; the message names the remedy.
        """
        try:
            self._open()
            return bool(self._request.get_value(self.number) == self._active)
        except (OSError, ValueError) as error:
            self.close()
            advice = "check board.linux (gpioinfo lists the lines); the service needs systemd/climahub-gpio.conf"
            raise SensorUnavailable(f"{advice}: line {self.number} of {self.chip} ({error})") from error

    def file_number(self) -> int:
        """Return the file descriptor that becomes readable when the line changes.

        Raises:
            SensorUnavailable: As for `is_active`.
        """
        self.is_active()
        return int(self._request.fd)

    def drain(self) -> None:
        """Take the changes that the kernel has reported, without waiting."""
        if self._request is not None and self._request.wait_edge_events(0):
            self._request.read_edge_events()

    def close(self) -> None:
        """Release the line."""
        request, self._request = self._request, None
        if request is not None:
            request.release()

    def _open(self) -> None:
        if self._request is not None:
            return
        try:
            gpiod, line = importlib.import_module("gpiod"), importlib.import_module("gpiod.line")
        except ImportError as error:
            raise SensorUnavailable("pip install 'climahub[gpio]': input lines need the package gpiod") from error
        edges = {"edge_detection": line.Edge.BOTH} if self._has_edges else {}

        def request(bias: object) -> Any:  # noqa: ANN401 - a class of an optional package
            settings = gpiod.LineSettings(
                direction=line.Direction.INPUT, active_low=self._is_active_low, bias=bias, **edges
            )
            return gpiod.request_lines(self.chip, consumer=CONSUMER, config={self.number: settings})

        self._active = line.Value.ACTIVE
        try:
            self._request = request(line.Bias.PULL_UP if self._is_pulled_up else line.Bias.PULL_DOWN)
        except (OSError, ValueError):
            # Some chips refuse the setting.
            self._request = request(line.Bias.AS_IS)


class MainsLine:
    """The line by which a UPS shows whether the mains is on, implementing `hal.channels.ChannelSource`."""

    def __init__(self, chip: str, number: int, *, is_active_low: bool, bus: str = MACHINE) -> None:
        """Request nothing yet.

        Args:
            chip: The chip's device.
            number: Of the line.
            is_active_low: Whether it is low while the mains is on.
            bus: The one that the chip is behind.
        """
        self._bus = bus
        self._line = GpioInput(chip, number, is_active_low=is_active_low, is_active_open=True)

    def buses(self) -> Sequence[str]:
        """See `ChannelSource`."""
        return (self._bus,)

    def find(self, bus: str) -> Sequence[Channel]:
        """See `ChannelSource`: the line is there whether it can be read or not, and says why not when it is read."""
        name = f"gpio/{self._line.number}/{Quantity.MAINS}"
        return [
            Channel(
                name,
                Quantity.MAINS,
                lambda: float(self._line.is_active()),
                bus=bus,
                address=str(self._line.number),
                chip="ups",
                driver="gpiod",
            )
        ]

    def release(self, bus: str) -> None:
        """See `ChannelSource`; it is always the same bus."""


class GpioButton:
    """A button on a line, implementing `hal.interface.Button`. Costs nothing while nobody presses it."""

    def __init__(self, chip: str, number: int, *, is_active_low: bool, bus: str = MACHINE) -> None:
        """Request nothing yet.

        Args:
            chip: The chip's device.
            number: Of the line.
            is_active_low: Whether the line is low while the button is pressed: it connects it to ground.
            bus: The one that the chip is behind: it can hang, so the line is read on a thread of its own.
        """
        self._thread = None if bus == MACHINE else DeviceThread(chip, "hal-button", SensorUnavailable)
        self._is_closed = self._is_loaded = False
        self._line = GpioInput(chip, number, is_active_low=is_active_low, is_active_open=False, has_edges=True)

    async def wait(self, timeout_s: float) -> bool:
        """See `Button`."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        if not self._is_loaded:
            await load_driver(self._line.chip)
            self._is_loaded = True
        number = await self._run(self._line.file_number)
        loop.add_reader(number, changed.set)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await changed.wait()
        finally:
            loop.remove_reader(number)
        return await self._run(self._is_pressed)

    async def close(self) -> None:
        """Release the line, unless its bus hangs: the end of the process releases it then. May be called again."""
        if self._is_closed:
            return
        self._is_closed = True
        with contextlib.suppress(SensorUnavailable):
            await self._run(self._line.close)
        if self._thread is not None:
            self._thread.close()

    def _is_pressed(self) -> bool:
        self._line.drain()
        return self._line.is_active()

    async def _run(self, call: Callable[[], _T]) -> _T:
        return call() if self._thread is None else await self._thread.run(call)
