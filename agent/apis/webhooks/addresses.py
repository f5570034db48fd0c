"""Which addresses a delivery may go to: no webhook turns the hub into a way into its own network. Pure.

An endpoint is an address that a person has typed, and the hub stands inside a home network. So a delivery goes over
https to public addresses; to private ones, and without TLS, only where the owner has said so for this endpoint. What a
name resolves to is checked at every connection (`sender.py`), since a name may resolve to another address tomorrow.
Never allowed: link-local addresses (of a cloud's metadata service), multicast, unspecified and reserved ones.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from yarl import URL

from agent.errors import SettingInvalid
from agent.foundation.text import quote

URL_CHARACTERS_MAX = 512

_NUMBER = re.compile("[0-9]+|0[xX][0-9a-fA-F]*")
"""The last label of a host that is an address in another form (WHATWG URL, 3.5): 127.1, 2130706433, 0x7f.1."""


def is_allowed(address: str, *, is_private_allowed: bool, is_plain: bool = False) -> bool:
    """Return whether a delivery may go to an IP address.

    Args:
        address: In text.
        is_private_allowed: The owner has allowed loopback and private addresses.
        is_plain: The delivery goes without TLS: then it stays in the private network.

    Raises:
        ValueError: It is no IP address.
    """
    ip = _embedded(ip_address(address.partition("%")[0]))
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        return False
    if ip.is_loopback or ip.is_private:
        return is_private_allowed
    return ip.is_global and not ip.is_reserved and not is_plain


def _embedded(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address inside an IPv6 address that only carries one."""
    if isinstance(ip, IPv6Address):
        return ip.ipv4_mapped or ip.sixtofour or ip
    return ip


def check_url(text: str, *, is_private_allowed: bool) -> str:
    """Return the URL of a new endpoint in its normal form.

    Args:
        text: As typed.
        is_private_allowed: The owner has allowed loopback and private addresses, and http to them.

    Raises:
        SettingInvalid: It cannot be used.
    """
    if len(text) > URL_CHARACTERS_MAX:
        raise SettingInvalid(f"give a shorter URL: it has at most {URL_CHARACTERS_MAX} characters")
    try:
        url = URL(text)
        host, port, has_user = url.host, url.port, url.user is not None or url.password is not None
    except (ValueError, TypeError) as error:
        raise SettingInvalid(f"give a URL such as https://example.com/hooks: {quote(text)} is none") from error
    if url.scheme not in {"https", "http"} or not host or not port or not text.isprintable() or " " in text:
        raise SettingInvalid(f"give a URL such as https://example.com/hooks: {quote(text)} is none")
    if has_user:
        raise SettingInvalid("leave user name and password out of the URL: a delivery is signed instead")
    if url.fragment:
        raise SettingInvalid("leave the part after # out of the URL: it is never sent")
    if url.scheme == "http" and not is_private_allowed:
        raise SettingInvalid("use https, or allow private addresses for this endpoint (--allow-private)")
    is_plain = url.scheme == "http"
    try:
        is_usable = is_allowed(host, is_private_allowed=is_private_allowed, is_plain=is_plain)
    except ValueError:
        if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            text = f"write the address in full, as 192.0.2.1: {quote(host)} is a number, which resolves to an address"
            raise SettingInvalid(text) from None
        return str(url)
    if not is_usable:
        raise SettingInvalid(refusal_text(host, is_private_allowed=is_private_allowed, is_plain=is_plain))
    return str(url)


def refusal_text(host: str, *, is_private_allowed: bool, is_plain: bool) -> str:
    """Return why no delivery goes to an address."""
    if not is_private_allowed:
        return f"allow private addresses for this endpoint (--allow-private): {quote(host)} is not a public one"
    if is_plain:
        return f"use https, or a private address: {quote(host)} is not one that a delivery may go to without TLS"
    return f"give another address: {quote(host)} is link-local, multicast or reserved"
