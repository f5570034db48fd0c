"""Where the port listens: addresses, interfaces, and whether TLS protects them. Pure.

Plain http is for loopback and for a USB cable only. A listener on an interface is bound to the device as well: the
kernel accepts packets for any of its addresses on any interface. One on an interface covers its IPv4 address and all of
its IPv6 addresses, which change (RFC 8981) and may be valid on that link only.
"""

from collections.abc import Callable, Sequence
from ipaddress import IPv6Network, ip_address

import msgspec

from agent.config.types import is_address

CABLES = frozenset({"usb0"})
"""Interfaces that are one cable to one laptop (rpi-usb-gadget): whoever is at the other end stands beside the hub."""

_ALL_IPV6 = "::"
_ALL_ADDRESSES = frozenset({"0.0.0.0", _ALL_IPV6})  # noqa: S104 - compared, not bound

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
    listen: Sequence[str], addresses_of: Callable[[str], Sequence[str]]
) -> tuple[Sequence[Endpoint], Sequence[str]]:
    """Return the endpoints that can be opened now, and the interfaces that are not here.

    Args:
        listen: `port.listen`.
        addresses_of: Returns the addresses of an interface, IPv6 addresses of one link with it (`fe80::1%usb0`); none
            where it does not exist.
    """
    found, missing = [], []
    for item in listen:
        try:
            is_loopback = ip_address(item).is_loopback
        except ValueError:
            addresses = dict.fromkeys(_ALL_IPV6 if ":" in each else each for each in addresses_of(item))
            if not addresses:
                missing.append(item)
            found += [Endpoint(each, item, is_tls=item not in CABLES) for each in addresses]
        else:
            found.append(Endpoint(item, is_tls=not is_loopback))
    # Those without TLS first: they do not wait for a certificate.
    return sorted(found, key=lambda each: each.is_tls), missing


def reachable_addresses(
    listen: Sequence[str], addresses_of: Callable[[str], Sequence[str]], interfaces: Callable[[], Sequence[str]]
) -> Sequence[str]:
    """Return the addresses by which people reach the listeners, each once, without those that depend on the link.

    Args:
        listen: `port.listen`.
        addresses_of: See `endpoints_of`.
        interfaces: Returns the names of all interfaces; called where a listener is on all addresses.
    """
    found: list[str] = []
    for item in listen:
        if is_address(item) and item not in _ALL_ADDRESSES:
            found.append(item)
            continue
        names = interfaces() if item in _ALL_ADDRESSES else [item]
        found += [each for name in names for each in addresses_of(name) if _is_meant(item, each) and "%" not in each]
    return list(dict.fromkeys(found))


def _is_meant(item: str, address: str) -> bool:
    """Tell whether a listener covers an address: one on all addresses has a family, one on an interface has both."""
    return item not in _ALL_ADDRESSES or (":" in item) == (":" in address)


def typed_addresses(
    listeners: Sequence[tuple[Endpoint, int]],
    addresses_of: Callable[[str], Sequence[str]],
    interfaces: Callable[[], Sequence[str]],
) -> Sequence[str]:
    """Return what a person types into a browser, each once.

    Where an interface has nothing better, also an address that depends on the link: curl takes it, browsers do not.

    Args:
        listeners: What is open, each with its port.
        addresses_of: See `endpoints_of`.
        interfaces: See `reachable_addresses`.
    """
    typed = []
    for endpoint, port in listeners:
        addresses: Sequence[str] = [endpoint.address]
        if endpoint.address in _ALL_ADDRESSES:
            names = [endpoint.device] if endpoint.device else interfaces()
            here = [each for name in names for each in addresses_of(name) if _is_meant(endpoint.address, each)]
            plain = [each for each in here if "%" not in each]
            has_ipv4 = any(other.device == endpoint.device and ":" not in other.address for other, _ in listeners)
            addresses = plain if plain or has_ipv4 else here
        typed += [url(each, port, is_tls=endpoint.is_tls) for each in addresses]
    return list(dict.fromkeys(typed))


def url(address: str, port: int, *, is_tls: bool) -> str:
    """Return the URL of an address; that of one link as curl takes it (RFC 6874)."""
    host = f"[{address.replace('%', '%25')}]" if ":" in address else address
    return f"{'https' if is_tls else 'http'}://{host}:{port}"


def source_of(address: str) -> str:
    """Return what limits count as one source: an IPv4 address, or the network of an IPv6 address (RFC 4291, 2.5.4)."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if parsed.version == IPV4:
        return address
    return str(IPv6Network((int(parsed) >> HOST_BITS << HOST_BITS, HOST_BITS)))
