"""Where the port listens: addresses, interfaces, and whether TLS protects them. Pure.

Plain http is for loopback and for a USB cable only. A listener on an interface is bound to the device as well: the
kernel accepts packets for any of its addresses on any interface.
"""

from collections.abc import Callable, Sequence
from ipaddress import IPv6Network, ip_address

import msgspec

CABLES = frozenset({"usb0"})
"""Interfaces that are one cable to one laptop (rpi-usb-gadget): whoever is at the other end stands beside the hub."""

_ALL_ADDRESSES = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound

HOST_BITS = 64
"""Of an IPv6 address: one machine has as many addresses as it likes in its network."""

IPV4 = 4


class Endpoint(msgspec.Struct, frozen=True):
    """One address to listen on.

    Attributes:
        address: IPv4 or IPv6.
        device: The interface that the listener is bound to; empty for none.
        is_tls: Whether it speaks TLS.
    """

    address: str
    device: str = ""
    is_tls: bool = True


def endpoints_of(
    listen: Sequence[str], address_of: Callable[[str], str | None]
) -> tuple[Sequence[Endpoint], Sequence[str]]:
    """Return the endpoints that can be opened now, and the interfaces that are not here.

    Args:
        listen: `port.listen`.
        address_of: Returns the IPv4 address of an interface; `None` where it does not exist or has none.
    """
    found, missing = [], []
    for item in listen:
        try:
            is_loopback = ip_address(item).is_loopback
        except ValueError:
            address = address_of(item)
            if address is None:
                missing.append(item)
            else:
                found.append(Endpoint(address, item, is_tls=item not in CABLES))
        else:
            found.append(Endpoint(item, is_tls=not is_loopback))
    # Those without TLS first: they do not wait for a certificate.
    return sorted(found, key=lambda each: each.is_tls), missing


def reachable_addresses(
    listen: Sequence[str], address_of: Callable[[str], str | None], interfaces: Callable[[], Sequence[str]]
) -> Sequence[str]:
    """Return the addresses by which people reach the listeners, each once.

    Args:
        listen: `port.listen`.
        address_of: See `endpoints_of`.
        interfaces: Returns the names of all interfaces; called where a listener is on all addresses.
    """
    found: list[str] = []
    for item in listen:
        names = [item]
        if item in _ALL_ADDRESSES:
            names = list(interfaces())
        for name in names:
            try:
                ip_address(name)
            except ValueError:
                found += filter(None, [address_of(name)])
            else:
                found.append(name)
    return list(dict.fromkeys(found))


def source_of(address: str) -> str:
    """Return what limits count as one source: an IPv4 address, or the network of an IPv6 address (RFC 4291, 2.5.4)."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if parsed.version == IPV4:
        return address
    return str(IPv6Network((int(parsed) >> HOST_BITS << HOST_BITS, HOST_BITS)))
