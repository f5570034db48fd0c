"""Finds the Zigbee stick among the serial ports. Pure, except for `find_port`.

USB identities: the vendors' product pages and the matcher lists published by Home Assistant and zigbee2mqtt. Many
sticks share the identity of their serial chip, so the product name decides.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from serial.tools import list_ports

from hal.errors import NetworkLost
from hal.zigbee.options import PORT_AUTO, Adapter


class SerialPort(msgspec.Struct, frozen=True):
    """A port of this machine.

    Attributes:
        path: Such as "/dev/ttyUSB0".
        stable_path: A path that is the same in every USB socket; empty without one.
        vendor: USB vendor id; 0 for other ports.
        product: USB product id.
        name: Manufacturer, product and description as reported by the stick.
    """

    path: str
    stable_path: str = ""
    vendor: int = 0
    product: int = 0
    name: str = ""


class _UsbIdentity(msgspec.Struct, frozen=True):
    vendor: int
    product: int
    words: tuple[str, ...]
    adapter: Adapter


_CP210X = (0x10C4, 0xEA60)
_CH9102 = (0x1A86, 0x55D4)
_CH340 = (0x1A86, 0x7523)
_FTDI = (0x0403, 0x6015)

_USB_IDENTITIES = (
    _UsbIdentity(*_CP210X, ("skyconnect",), "ezsp"),
    _UsbIdentity(*_CP210X, ("connect zbt-1",), "ezsp"),
    _UsbIdentity(0x303A, 0x831A, ("zbt-2",), "ezsp"),
    _UsbIdentity(*_CH9102, ("sonoff", "plus"), "ezsp"),
    _UsbIdentity(*_CP210X, ("sonoff", "max"), "ezsp"),
    _UsbIdentity(*_CP210X, ("sonoff", "lite"), "ezsp"),
    _UsbIdentity(*_CP210X, ("slzb-07",), "ezsp"),
    _UsbIdentity(*_CP210X, ("slzb-06",), "znp"),
    _UsbIdentity(*_CP210X, ("sonoff", "plus"), "znp"),
    _UsbIdentity(*_CP210X, ("2652",), "znp"),
    _UsbIdentity(*_CH340, ("zigstar",), "znp"),
    _UsbIdentity(*_CP210X, ("zigstar",), "znp"),
    _UsbIdentity(0x0451, 0x16A8, (), "znp"),
    _UsbIdentity(0x10C4, 0x8A2A, ("zigbee",), "ezsp"),
    _UsbIdentity(0x1CF1, 0x0030, (), "deconz"),
    _UsbIdentity(*_FTDI, ("conbee",), "deconz"),
)

DEFAULT_ADAPTER: Adapter = "ezsp"
"""For unknown ports: a pseudo terminal, or a stick behind a plain serial chip."""


class StickPort(msgspec.Struct, frozen=True):
    """The port of the stick.

    Attributes:
        path: Path to open.
        adapter: Firmware of the stick; never "auto".
        steps: How it was found, for people.
    """

    path: str
    adapter: Adapter
    steps: tuple[str, ...]


def identify(port: SerialPort) -> Adapter | None:
    """Return the firmware of a port's stick by its USB identity; `None` if the identity is unknown."""
    name = port.name.lower()
    for identity in _USB_IDENTITIES:
        if (port.vendor, port.product) == (identity.vendor, identity.product) and all(
            word in name for word in identity.words
        ):
            return identity.adapter
    return None


def resolve_port(path: str, real_path: str, adapter: Adapter, ports: Sequence[SerialPort]) -> StickPort:
    """Return the port named in the configuration.

    Args:
        path: As configured.
        real_path: The path with links resolved.
        adapter: As configured.
        ports: Ports of this machine.
    """
    if adapter != "auto":
        return StickPort(path, adapter, (f"{path}: as configured, {adapter}",))
    port = next((port for port in ports if real_path == port.path), None)
    by_identity = identify(port) if port else None
    if port is None or by_identity is None:
        return StickPort(path, DEFAULT_ADAPTER, (f"{path}: unknown USB identity, {DEFAULT_ADAPTER} is tried",))
    return StickPort(path, by_identity, (f"{path}: {port.name}, {by_identity}",))


def find_stick(adapter: Adapter, ports: Sequence[SerialPort]) -> tuple[StickPort | None, tuple[str, ...]]:
    """Find the stick by its USB identity.

    Returns:
        The port if exactly one matches, and a description of each port.
    """
    steps = []
    matching = []
    for port in sorted(ports, key=lambda port: port.path):
        by_identity = identify(port)
        shown = f"{port.stable_path or port.path}: {port.name or 'no name'}"
        if by_identity is None:
            steps.append(f"{shown}, no known Zigbee stick")
        elif adapter not in {"auto", by_identity}:
            steps.append(f"{shown}, {by_identity}, but zigbee.adapter is {adapter}")
        else:
            steps.append(f"{shown}, {by_identity}")
            matching.append((port.stable_path or port.path, by_identity))
    if not ports:
        steps.append("this machine has no serial port")
    if len(matching) != 1:
        return None, tuple(steps)
    return StickPort(*matching[0], tuple(steps)), tuple(steps)


def not_found_text(steps: Sequence[str]) -> str:
    """Return the problem if `find_stick` found no port or several."""
    sticks = sum(1 for step in steps if step.endswith((", ezsp", ", znp", ", deconz")))
    if sticks > 1:
        return f"name the right stick in zigbee.port: {sticks} Zigbee sticks are plugged in"
    return "plug the Zigbee stick in, or name its port in zigbee.port: no stick was found"


class StickNotFound(NetworkLost):
    """There is no stick to use.

    Attributes:
        steps: Descriptions of the ports that were examined.
    """

    def __init__(self, problem: str, steps: Sequence[str] = ()) -> None:
        super().__init__(problem)
        self.steps = steps


def find_port(configured: str, adapter: Adapter) -> StickPort:
    """Return the stick's port on this machine. Blocks.

    Raises:
        StickNotFound: The configured port does not exist, or no stick or several sticks were found.
    """
    ports = [_serial_port(port) for port in list_ports.comports()]
    if configured == PORT_AUTO:
        port, steps = find_stick(adapter, ports)
        if port is None:
            raise StickNotFound(not_found_text(steps), steps)
        return port
    if not Path(configured).exists() and ":" not in configured:
        raise StickNotFound(f"plug the stick in, or correct zigbee.port: {configured} does not exist")
    return resolve_port(configured, os.path.realpath(configured), adapter, ports)


def list_sticks() -> Sequence[str]:
    """Return the paths of the known Zigbee sticks that are plugged in. Blocks."""
    ports = sorted((_serial_port(port) for port in list_ports.comports()), key=lambda port: port.path)
    return [port.stable_path or port.path for port in ports if identify(port) is not None]


def _serial_port(port: Any) -> SerialPort:  # noqa: ANN401 - pyserial is untyped
    """Return a port as described by the system."""
    words = (port.manufacturer, port.product, port.description, port.serial_number)
    name = " ".join(dict.fromkeys(word for word in words if word and word != "n/a"))
    return SerialPort(port.device, _path_by_id(port.device), port.vid or 0, port.pid or 0, name)


def _path_by_id(path: str) -> str:
    """Return udev's path of a port that depends on the stick only; empty without one."""
    directory = Path("/dev/serial/by-id")
    if not directory.is_dir():
        return ""
    return next((str(link) for link in sorted(directory.iterdir()) if os.path.realpath(link) == path), "")
