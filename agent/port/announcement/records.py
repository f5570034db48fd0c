"""What is announced: which services, on which interface, with which details. Pure.

Must never announce a listener that only this machine reaches, nor anything that is secret: everybody in the network
reads it without signing in.
"""

from collections.abc import Callable, Sequence
from ipaddress import ip_address

import msgspec

from agent.port.http.endpoints import Endpoint

HUB_TYPE = "_climahub._tcp"
"""For programs that look for hubs."""
WEB_TYPES = {True: "_https._tcp", False: "_http._tcp"}
"""For browsers, by whether there is TLS."""

NAME_BYTES_MAX = 63
"""Of an instance name (RFC 6763, 4.1.1)."""

FINGERPRINT_BYTES = 8
"""As many as a person compares; the whole of it is on the hub (`climahub port`)."""


class ServiceRecord(msgspec.Struct, frozen=True, order=True):
    """One service.

    Attributes:
        type: Its type (RFC 6763, 7).
        port: Where it listens.
        device: The only interface on which it is announced; empty for all.
        txt: Its details, as KEY=VALUE (RFC 6763, 6).
    """

    type: str
    port: int
    device: str
    txt: tuple[str, ...]


def instance_name(host: str) -> str:
    """Return the name by which people choose this hub."""
    return f"climahub {host}".encode()[:NAME_BYTES_MAX].decode(errors="ignore").rstrip()


def services_of(
    listeners: Sequence[tuple[Endpoint, int]],
    *,
    version: str,
    fingerprint: str,
    device_of: Callable[[str], str],
) -> Sequence[ServiceRecord]:
    """Return what is announced, in a fixed order.

    Args:
        listeners: The endpoints that are open, each with its port.
        version: Of the agent.
        fingerprint: Of the certificate, as `AB:CD:...`.
        device_of: Returns the interface that has an address; empty where none or all have it.
    """
    # By type and interface: one name stands for one port there, and a listener may have another one for IPv6.
    found: dict[tuple[str, str], ServiceRecord] = {}
    for endpoint, port in listeners:
        if ip_address(endpoint.address).is_loopback:
            continue
        txt = [f"version={version}", "path=/"]
        if endpoint.is_tls:
            txt.append(f"fingerprint={fingerprint[: FINGERPRINT_BYTES * 3 - 1]}")
        device = endpoint.device or device_of(endpoint.address)
        for type_ in (HUB_TYPE, WEB_TYPES[endpoint.is_tls]):
            found.setdefault((type_, device), ServiceRecord(type_, port, device, tuple(txt)))
    everywhere = {type_ for type_, device in found if not device}
    return sorted(each for each in found.values() if not each.device or each.type not in everywhere)
