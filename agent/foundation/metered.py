"""Which way the packets go, as far as it costs money: over a modem or not. Reads the kernel's table, changes nothing.

Facts: the kernel's net/ipv4/fib_trie.c writes /proc/net/route: interface, destination, gateway, flags, ..., metric,
mask, in tabs; addresses in hexadecimal. The default route has destination and mask 0; of
several the lowest metric wins.
"""

from pathlib import Path

MODEM_PREFIXES = ("ppp", "ww", "rmnet", "usb")
"""How the kernel and systemd name modems: dial-up, WWAN (systemd.net-naming-scheme(7): `ww`), tethered telephones."""

_DESTINATION, _METRIC, _MASK = 1, 6, 7
_FIELDS_MIN = 8


def default_interface(table: str) -> str | None:
    """Return the interface of the default route; `None` where there is none.

    Args:
        table: Content of /proc/net/route.
    """
    routes = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        is_default = len(fields) >= _FIELDS_MIN and not int(fields[_DESTINATION], 16) and not int(fields[_MASK], 16)
        if is_default:
            routes.append((int(fields[_METRIC]), fields[0]))
    return min(routes)[1] if routes else None


def is_metered(path: Path = Path("/proc/net/route")) -> bool:
    """Tell whether the default route goes over a modem; where nobody knows, it does not."""
    try:
        interface = default_interface(path.read_text())
    except (OSError, ValueError):
        return False
    return interface is not None and interface.startswith(MODEM_PREFIXES)
