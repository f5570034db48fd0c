"""Output lines of any kind of board, for relays: the interface, and which board a device name stands for.

Imports a board's module only when it is opened: what switches the outputs off must start quickly.
"""

import contextlib
import importlib
from collections.abc import Mapping
from typing import Protocol

import msgspec


class ZoneRelays(msgspec.Struct, frozen=True):
    """The relays of one zone, by line number. A valve that serves heating and cooling is listed for both."""

    name: str
    heat_line: int | None = None
    cool_line: int | None = None


class RelayWiring(msgspec.Struct, frozen=True):
    """Assignment of the lines of one device to relays.

    Attributes:
        device: A GPIO chip's character device ("/dev/gpiochip0"), or a board as in `hal.line_names`.
        zones: The relays of the zones.
        heat_source: Lines of the shared heat source, by part: heat, cool, stage2, aux, pump, fan or valve.
        is_active_low: Whether a low line closes the relay.
        rests_s: The minimum off time of what a line drives, by line; not needed to switch everything off.
    """

    device: str
    zones: tuple[ZoneRelays, ...]
    heat_source: Mapping[str, int] = {}
    is_active_low: bool = False
    rests_s: Mapping[int, float] = {}

    @property
    def lines(self) -> tuple[int, ...]:
        """Numbers of all lines, without duplicates."""
        numbers = [line for relay in self.zones for line in (relay.heat_line, relay.cool_line) if line is not None]
        return tuple(dict.fromkeys([*numbers, *self.heat_source.values()]))

    @property
    def is_on_gpio(self) -> bool:
        """Whether the kernel drives the lines; see `hal.linux.device_address.gpio_chip_bus` for how fast."""
        return self.device.startswith("/")


class OutputLines(Protocol):
    """Lines requested as outputs.

    Those of a GPIO chip were switched off when they were requested. A board that is opened again after an error of its
    bus keeps its lines until the first `set`, which names all of them: one that is on and stays wanted is not
    interrupted.
    """

    def set(self, values: Mapping[int, bool]) -> None:
        """Switch lines; may raise `OSError`."""
        ...

    def get(self) -> Mapping[int, bool]:
        """Read all lines back; may raise `OSError`."""
        ...

    def close(self) -> None:
        """Release the lines."""
        ...

    def advice(self, error: OSError) -> str:
        """Return the remedy for an error of `set` or `get`."""
        ...


async def load_driver(device: str) -> None:
    """Import the package that drives the lines of a GPIO chip, which takes 30 ms and more, beside the event loop.

    Where it is not installed, `open_lines` and whoever opens an input say so.
    """
    if device.startswith("/"):
        import asyncio  # noqa: PLC0415 - what switches the outputs off has no event loop

        with contextlib.suppress(ImportError):
            await asyncio.to_thread(importlib.import_module, "gpiod.line")


def open_lines(wiring: RelayWiring) -> OutputLines:
    """Request the lines of a device.

    Raises:
        ActuatorFault: They cannot be requested; the message names the remedy.
    """
    if wiring.is_on_gpio:
        from hal.linux.gpio import GpiodLines  # noqa: PLC0415 - see above

        return GpiodLines(wiring)
    if wiring.device.startswith("usb-"):
        from hal.linux.usb_relays import open_usb_relays  # noqa: PLC0415

        return open_usb_relays(wiring)
    from hal.linux.expanders import open_expander  # noqa: PLC0415

    return open_expander(wiring)
