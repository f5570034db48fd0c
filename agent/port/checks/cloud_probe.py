"""Finds out how far a request to the cloud gets: name, connection, TLS, HTTP; IPv6 and captive portals beside it.

Sends no key and uses no quota: a HEAD request for the address of the API. Every layer has its own time limit. Must
never follow a redirect, and must never show the credentials of a proxy.
"""

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from agent.config import CloudConfig
from agent.config.network import Proxy, ProxyRules, client_context, verifying_context
from agent.errors import ConfigInvalid
from agent.foundation.text import sanitize
from agent.foundation.time_estimate import http_date_ms
from agent.port.checks.facts import CloudPath, Layer, Missing
from agent.port.checks.runner import ThreadReads

LAYER_S_MAX = 2.2
"""Four layers one after the other stay below the 10 s that all checks may take."""
HEAD_BYTES_MAX = 16 * 1024
ADDRESSES_MAX = 3
SERVER_ERROR = 500
NETWORK_AUTHENTICATION_REQUIRED = 511
"""RFC 6585: the answer of a captive portal."""
_PORTS = {"http": 80, "https": 443}
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EHOSTUNREACH})

_BELOW = Layer(is_working=None, text="not tried, because a layer below failed")
_FAILURES = (OSError, ssl.SSLError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)


class CloudTarget(msgspec.Struct, frozen=True):
    """Where the cloud is, as the configuration says."""

    base_url: str
    proxies: ProxyRules
    reads: ThreadReads
    ca_file: str | None = None
    client_certificate: tuple[str, str] | None = None
    portal_port: int = 80

    @property
    def parts(self) -> SplitResult:
        """The parts of the address."""
        return urlsplit(self.base_url)


def client_files(cloud: CloudConfig) -> tuple[str, str] | None:
    """Return certificate and key that the hub shows to the cloud; `None` where it shows none."""
    if cloud.client_certificate_file is None or cloud.client_key_file is None:
        return None
    return str(cloud.client_certificate_file), str(cloud.client_key_file)


class _Timed:
    """Measures one layer on the loop's clock."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()

    def works(self, text: str) -> Layer:
        return Layer(is_working=True, text=text, took_s=self._loop.time() - self._began_s)

    def fails(self, text: str) -> Layer:
        return Layer(is_working=False, text=sanitize(text), took_s=self._loop.time() - self._began_s)


async def probe_cloud(target: CloudTarget, utc_ms: Callable[[], int | None]) -> CloudPath:
    """Return how far a request gets.

    Args:
        target: Where the cloud is.
        utc_ms: This hub's time; `None` while it is not known.
    """
    parts = target.parts
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    proxy = target.proxies.proxy_for(parts.scheme, host, port)
    ipv6, (path, is_verified) = await asyncio.gather(
        _ipv6(target.reads, host, port) if proxy is None else _not_used(), _layers(target, proxy, host, port, utc_ms)
    )
    portal = await _portal(target.reads, host, target.portal_port) if path.tcp.is_working and not is_verified else None
    if is_verified:
        portal = Layer(is_working=True, text="the cloud itself was reached: nothing answers in its place")
    return msgspec.structs.replace(path, ipv6=ipv6, portal=portal or _BELOW)


async def _not_used() -> Layer:
    return Layer(is_working=None, text="not used: requests go through a proxy")


async def _layers(
    target: CloudTarget, proxy: Proxy | None, host: str, port: int, utc_ms: Callable[[], int | None]
) -> tuple[CloudPath, bool]:
    """Return the layers from name to HTTP, and whether TLS has verified the cloud."""
    via = urlsplit(proxy.url) if proxy else None
    name, number = (via.hostname or "", via.port or 0) if via else (host, port)
    path = CloudPath(
        host,
        dns=_BELOW,
        tcp=_BELOW,
        tls=_BELOW,
        http=_BELOW,
        ipv6=_BELOW,
        portal=_BELOW,
        proxy=proxy.url if proxy else "",
        proxy_problem=target.proxies.problem,
    )
    timed = _Timed()
    try:
        addresses = await _addresses(target.reads, name, number)
    except _FAILURES as error:
        return msgspec.structs.replace(path, dns=timed.fails(f"{name}: {_reason(error)}")), False
    path = msgspec.structs.replace(path, dns=timed.works(f"{name} is {addresses[0][1]}"))
    timed = _Timed()
    async with contextlib.AsyncExitStack() as stack:
        try:
            reader, writer = await stack.enter_async_context(_connection(addresses, number))
        except _FAILURES as error:
            return msgspec.structs.replace(path, tcp=timed.fails(f"{name}:{number}: {_reason(error)}")), False
        path = msgspec.structs.replace(path, tcp=timed.works(f"{name}:{number} accepts connections"))
        return await _above_tcp(target, path, reader, writer, proxy, utc_ms)


async def _above_tcp(
    target: CloudTarget,
    path: CloudPath,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    proxy: Proxy | None,
    utc_ms: Callable[[], int | None],
) -> tuple[CloudPath, bool]:
    parts, timed = target.parts, _Timed()
    is_encrypted = parts.scheme == "https"
    if is_encrypted:
        try:
            async with asyncio.timeout(LAYER_S_MAX):
                if proxy is not None:
                    await _connect_through(reader, writer, proxy, path.host, parts.port or _PORTS[parts.scheme])
                left_s = await _start_tls(writer, target, path.host, utc_ms)
        except (*_FAILURES, ConfigInvalid) as error:
            return msgspec.structs.replace(path, tls=timed.fails(f"{path.host}: {_reason(error)}")), False
        tls = timed.works(f"{path.host} has proved who it is")
        path = msgspec.structs.replace(path, tls=tls, certificate_s_left=left_s)
    else:
        tls = Layer(is_working=True, text="not used: the cloud is on this machine")
        path = msgspec.structs.replace(path, tls=tls)
    timed = _Timed()
    try:
        status, headers = await _head(reader, writer, parts.netloc, parts.path or "/")
    except _FAILURES as error:
        return msgspec.structs.replace(
            path, http=timed.fails(f"no answer to a request: {_reason(error)}")
        ), is_encrypted
    answer = f"{path.host} answers a request (status {status})"
    http = timed.fails(answer) if status >= SERVER_ERROR else timed.works(answer)
    server_ms, now_ms = http_date_ms(headers.get("date", "")), utc_ms()
    difference_s = None if server_ms is None or now_ms is None else (server_ms - now_ms) / 1000
    return msgspec.structs.replace(path, http=http, clock_difference_s=difference_s), is_encrypted


async def _addresses(
    reads: ThreadReads, name: str, port: int, family: int = socket.AF_UNSPEC
) -> Sequence[tuple[int, str]]:
    """Return families and addresses of a name.

    Raises:
        OSError: It has none, or no name server answers.
    """

    def look_up() -> list[Any]:
        return socket.getaddrinfo(name, port, family=family, type=socket.SOCK_STREAM)

    async with asyncio.timeout(LAYER_S_MAX):
        found = await reads.read(f"address {name} {family}", look_up)
    if isinstance(found, Missing):
        raise OSError(found.reason)
    # IPv4 first: the check of IPv6 stands by itself.
    ordered = sorted(found, key=lambda each: each[0] != socket.AF_INET)
    return [(each[0], str(each[4][0])) for each in ordered][:ADDRESSES_MAX]


@contextlib.asynccontextmanager
async def _connection(
    addresses: Sequence[tuple[int, str]], port: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection to the first address that answers.

    Raises:
        OSError: None does.
    """
    async with asyncio.timeout(LAYER_S_MAX):
        for number, (_, address) in enumerate(addresses, 1):
            try:
                reader, writer = await asyncio.open_connection(address, port, limit=HEAD_BYTES_MAX)
                break
            except OSError:
                if number == len(addresses):
                    raise
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _connect_through(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, proxy: Proxy, host: str, port: int
) -> None:
    """Ask a proxy for a connection to the cloud (RFC 9110, 9.3.6).

    Raises:
        OSError: It refuses.
    """
    if proxy.url.startswith("https:"):
        raise OSError("a proxy that is reached over TLS cannot be tried from here")
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    allowed = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    writer.write(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{allowed}\r\n".encode())
    status, _ = _parse(await reader.readuntil(b"\r\n\r\n"))
    if not 200 <= status < 300:  # noqa: PLR2004
        raise OSError(f"the proxy answers {status}")


async def _start_tls(
    writer: asyncio.StreamWriter, target: CloudTarget, host: str, utc_ms: Callable[[], int | None]
) -> float | None:
    """Encrypt the connection, and return how long the server's certificate is still valid."""
    # On a thread: reading the authorities takes a Pi a tenth of a second.
    context = await asyncio.to_thread(_context, target)
    await writer.start_tls(context, server_hostname=host)
    certificate = writer.get_extra_info("peercert") or {}
    ends = certificate.get("notAfter")
    now_ms = utc_ms()
    return None if ends is None or now_ms is None else ssl.cert_time_to_seconds(str(ends)) - now_ms / 1000


def _context(target: CloudTarget) -> ssl.SSLContext:
    if target.client_certificate is not None:
        return client_context(target.ca_file, *target.client_certificate)
    context = verifying_context(target.ca_file)
    return ssl.create_default_context() if context is True else context


async def _head(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, path: str
) -> tuple[int, dict[str, str]]:
    async with asyncio.timeout(LAYER_S_MAX):
        writer.write(
            f"HEAD {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: climahub\r\nConnection: close\r\n\r\n".encode()
        )
        return _parse(await reader.readuntil(b"\r\n\r\n"))


def _parse(head: bytes) -> tuple[int, dict[str, str]]:
    """Return status and headers of an HTTP answer.

    Raises:
        ValueError: It is none.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split()
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():  # noqa: PLR2004
        raise ValueError("the answer is no HTTP")
    fields = (line.partition(":") for line in lines if ":" in line)
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in fields}


async def _ipv6(reads: ThreadReads, host: str, port: int) -> Layer:
    """Connect over IPv6 alone."""
    timed = _Timed()
    if _is_ipv4(host):
        return Layer(is_working=None, text="not used: the cloud is given by an IPv4 address")
    try:
        addresses = await _addresses(reads, host, port, socket.AF_INET6)
    except socket.gaierror:
        return timed.works("not needed: the cloud has no IPv6 address")
    except _FAILURES as error:
        return Layer(is_working=None, text=f"not known: {_reason(error)}")
    try:
        async with _connection(addresses, port):
            return timed.works(f"{host} accepts connections over IPv6")
    except OSError as error:
        if error.errno in _NO_ROUTE:
            return timed.works("not used: this network has no IPv6, and IPv4 is taken at once")
        return timed.fails(f"{host} has an IPv6 address, and no connection to it: {_reason(error)}")


async def _portal(reads: ThreadReads, host: str, port: int) -> Layer:
    """Ask without encryption, as a portal expects it."""
    timed = _Timed()
    try:
        async with _connection(await _addresses(reads, host, port), port) as (reader, writer):
            status, headers = await _head(reader, writer, host, "/")
            goal = urlsplit(headers.get("location", "")).hostname
    except _FAILURES:
        return Layer(is_working=None, text="not known: the cloud's port 80 gives no usable answer")
    if status == NETWORK_AUTHENTICATION_REQUIRED or (goal is not None and goal != host):
        return timed.fails(f"something answers in the cloud's place and sends to {goal or 'a page of its own'}")
    return Layer(is_working=None, text="not known: an unencrypted answer could be anybody's")


def _is_ipv4(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 4  # noqa: PLR2004
    except ValueError:
        return False


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, TimeoutError):
        return f"no answer within {LAYER_S_MAX:g} s"
    if isinstance(error, socket.gaierror):
        return "the name has no address, or no name server answers"
    if isinstance(error, asyncio.IncompleteReadError):
        return "the connection was closed"
    if isinstance(error, OSError) and error.errno:
        # The loop's own text quotes the call, not the reason.
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__
