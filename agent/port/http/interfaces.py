"""The network interfaces of this machine and their addresses. Reads only, and blocks for no time: the kernel's tables.

Not by netlink, which the unit does not allow.
"""

import fcntl
import os
import socket
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address
from pathlib import Path

INTERFACES = "/sys/class/net"

IPV6_TABLE = Path("/proc/net/if_inet6")
"""Of each address in hexadecimal: itself, the interface's number, prefix length, scope, flags, and the interface."""

_SIOCGIFADDR = 0x8915
_IFREQ_BYTES = 40
_IFREQ_IPV4 = slice(20, 24)
"""Where `struct ifreq` holds an IPv4 address: after the name of 16 bytes, the family and the port (netdevice(7))."""

_GLOBAL, _LINK = 0x00, 0x20
"""Scopes (include/net/ipv6.h); that of loopback is another."""
_NOT_USABLE = 0x01 | 0x08 | 0x20 | 0x40
"""Flags (include/uapi/linux/if_addr.h): changed every day, a duplicate, deprecated, not tried yet."""


def interface_addresses(name: str) -> Sequence[str]:
    """Return the addresses of an interface: IPv4, IPv6, and IPv6 on its link only (`fe80::1%usb0`).

    None where it does not exist. Of IPv4, the first.
    """
    address = interface_address(name)
    try:
        table = IPV6_TABLE.read_text("ascii")
    except OSError:
        table = ""
    return [*([address] if address else ()), *ipv6_addresses(table, name)]


def ipv6_addresses(table: str, name: str) -> Iterator[str]:
    """Yield the lasting IPv6 addresses of an interface, those of the link last. Pure.

    Args:
        table: The content of `IPV6_TABLE`.
        name: The interface.
    """
    rows = [row for line in table.splitlines() if len(row := line.split()) == 6 and row[5] == name]  # noqa: PLR2004
    for scope in (_GLOBAL, _LINK):
        for digits, _, _, found, flags, _ in rows:
            if int(found, 16) == scope and not int(flags, 16) & _NOT_USABLE:
                address = str(IPv6Address(bytes.fromhex(digits)))
                yield address if scope == _GLOBAL else f"{address}%{name}"


def interface_address(name: str) -> str | None:
    """Return the IPv4 address of an interface; `None` where it does not exist or has none."""
    request = name.encode().ljust(_IFREQ_BYTES, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking, _SIOCGIFADDR, request)
        except OSError:
            return None
    return socket.inet_ntoa(answer[_IFREQ_IPV4])


def interfaces() -> Sequence[str]:
    """Return the names of all interfaces."""
    # Not socket.if_nameindex(), which uses netlink.
    try:
        return sorted(os.listdir(INTERFACES))  # noqa: PTH208 - names only
    except OSError:
        return []


def device_of(address: str) -> str:
    """Return the interface that has an address; empty where none has it."""
    return next((name for name in interfaces() if address in interface_addresses(name)), "")
