"""Which serial port is the Zigbee stick. Pure: whoever calls it lists the ports.

USB identities: the makers' product pages and the matcher lists that Home Assistant and zigbee2mqtt publish. Many sticks
share the identity of their serial chip, so the product's name decides.
"""

from collections.abc import Sequence

import msgspec

from hal.zigbee.options import Adapter


class SerialPort(msgspec.Struct, frozen=True):
    """A port of this machine.

    Attributes:
        path: Such as "/dev/ttyUSB0".
        stable_path: A name that stays when the stick moves to another socket, or empty.
        vendor: USB vendor id; 0 where it is no USB port.
        product: USB product id.
        name: What the stick calls itself: maker, product, description.
    """

    path: str
    stable_path: str = ""
    vendor: int = 0
    product: int = 0
    name: str = ""


class _Known(msgspec.Struct, frozen=True):
    vendor: int
    product: int
    words: tuple[str, ...]
    adapter: Adapter


_CP210X = (0x10C4, 0xEA60)
_CH9102 = (0x1A86, 0x55D4)
_CH340 = (0x1A86, 0x7523)
_FTDI = (0x0403, 0x6015)

_KNOWN = (
    _Known(*_CP210X, ("skyconnect",), "ezsp"),
    _Known(*_CP210X, ("connect zbt-1",), "ezsp"),
    _Known(0x303A, 0x831A, ("zbt-2",), "ezsp"),
    _Known(*_CH9102, ("sonoff", "plus"), "ezsp"),
    _Known(*_CP210X, ("sonoff", "max"), "ezsp"),
    _Known(*_CP210X, ("sonoff", "lite"), "ezsp"),
    _Known(*_CP210X, ("slzb-07",), "ezsp"),
    _Known(*_CP210X, ("slzb-06",), "znp"),
    _Known(*_CP210X, ("sonoff", "plus"), "znp"),
    _Known(*_CP210X, ("2652",), "znp"),
    _Known(*_CH340, ("zigstar",), "znp"),
    _Known(*_CP210X, ("zigstar",), "znp"),
    _Known(0x0451, 0x16A8, (), "znp"),
    _Known(0x10C4, 0x8A2A, ("zigbee",), "ezsp"),
    _Known(0x1CF1, 0x0030, (), "deconz"),
    _Known(*_FTDI, ("conbee",), "deconz"),
)

DEFAULT_ADAPTER: Adapter = "ezsp"
"""Of a port that nobody knows: a pseudo terminal, a stick behind a plain serial chip."""


class StickPort(msgspec.Struct, frozen=True):
    """The port to use.

    Attributes:
        path: Where to open it.
        adapter: Which firmware speaks there; never "auto".
        steps: How it was found, for people.
    """

    path: str
    adapter: Adapter
    steps: tuple[str, ...]


def identify(port: SerialPort) -> Adapter | None:
    """Return which firmware a port's stick runs, going by its USB identity; `None` where that is not known."""
    name = port.name.lower()
    for known in _KNOWN:
        if (port.vendor, port.product) == (known.vendor, known.product) and all(word in name for word in known.words):
            return known.adapter
    return None


def named(path: str, real_path: str, adapter: Adapter, ports: Sequence[SerialPort]) -> StickPort:
    """Return how to use a port that the configuration names.

    Args:
        path: As configured.
        real_path: Where its links lead.
        adapter: As configured.
        ports: Those of this machine.
    """
    if adapter != "auto":
        return StickPort(path, adapter, (f"{path}: as configured, {adapter}",))
    port = next((port for port in ports if real_path == port.path), None)
    by_identity = identify(port) if port else None
    if port is None or by_identity is None:
        return StickPort(path, DEFAULT_ADAPTER, (f"{path}: no known USB identity, {DEFAULT_ADAPTER} is tried",))
    return StickPort(path, by_identity, (f"{path}: {port.name}, {by_identity}",))


def search(adapter: Adapter, ports: Sequence[SerialPort]) -> tuple[StickPort | None, tuple[str, ...]]:
    """Look for the stick by its USB identity.

    Returns:
        The port, where exactly one fits, and what was seen at each port.
    """
    steps = []
    fitting = []
    for port in sorted(ports, key=lambda port: port.path):
        by_identity = identify(port)
        shown = f"{port.stable_path or port.path}: {port.name or 'no name'}"
        if by_identity is None:
            steps.append(f"{shown}, no Zigbee stick that is known")
        elif adapter not in {"auto", by_identity}:
            steps.append(f"{shown}, {by_identity}, but zigbee.adapter asks for {adapter}")
        else:
            steps.append(f"{shown}, {by_identity}")
            fitting.append((port.stable_path or port.path, by_identity))
    if not ports:
        steps.append("this machine has no serial port")
    if len(fitting) != 1:
        return None, tuple(steps)
    return StickPort(*fitting[0], tuple(steps)), tuple(steps)


def not_found_message(steps: Sequence[str]) -> str:
    """Return what to tell where `search` found no port, or too many."""
    sticks = sum(1 for step in steps if step.endswith((", ezsp", ", znp", ", deconz")))
    if sticks > 1:
        return f"{sticks} Zigbee sticks are plugged in; name the right one in zigbee.port"
    return "no Zigbee stick was found; plug it in, or name its port in zigbee.port"
