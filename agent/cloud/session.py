"""The HTTP session below the transport: TLS and proxy of a request, redirects, bytes on the wire.

The address of a redirect is used byte for byte. The query of a signed URL (S3, R2, GCS, Azure) is part of what was
signed, so `%2F` for `/` or `+` for `%20` make another address. Only characters that no request line can carry are
quoted.
"""

import contextlib
import re
import socket
import ssl
import zlib
from typing import Literal, TypedDict
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from agent.config import CloudConfig
from agent.config.network import ProxyRules, client_context, verifying_context
from agent.errors import Cause, CloudUnavailable

KEEP_ALIVE_S = 70.0
"""Below the 75 s after which common servers close an idle connection."""

READ_ERRORS = (aiohttp.ClientError, OSError)
"""Raised while a response is read."""

FOREIGN_ERRORS = (
    *READ_ERRORS, ValueError, TypeError, LookupError, ArithmeticError, EOFError, AssertionError, zlib.error
)  # fmt: skip
"""Raised when a request is sent, beside these: a name that no resolver takes (UnicodeError of the codec `idna`), a
header that cannot be sent, a port out of range. Met or possible in aiohttp, yarl, socket and codecs."""


def new_session(connector: aiohttp.BaseConnector, *, user_agent: str) -> aiohttp.ClientSession:
    """Return a session for `CloudClient`: without cookies, and without headers beyond the contract's."""
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": user_agent},
        skip_auto_headers={"Accept", "Accept-Encoding"},
    )
    # aiohttp sends a GET once more by itself when a kept-alive connection breaks: the cloud would count two requests
    # where our account has one. There is no public switch; aiohttp's own test client sets the same attribute.
    session._retry_connection = False  # noqa: SLF001
    return session


def tcp_connector(ca_file: str | None) -> aiohttp.TCPConnector:
    """Return the connector of a real hub: TLS verified, against the system's authorities and those of ``ca_file``.

    Raises:
        ConfigInvalid: The file cannot be read, or holds no certificate.
    """
    return aiohttp.TCPConnector(
        ssl=verifying_context(ca_file), limit=4, keepalive_timeout=KEEP_ALIVE_S, socket_factory=_small_segment_socket
    )


SEGMENT_BYTES_MAX = 1220
"""What fits into the smallest packet that IPv6 allows (RFC 8200, section 5: 1280 bytes, less two headers).

Behind a tunnel or DSL line whose router drops larger packets without a word, larger segments would never arrive, in
either direction: the limit is announced to the server too. It costs 0.5 % more bytes on a line that takes 1500.
"""


def _small_segment_socket(found: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = found
    made = socket.socket(family, kind, protocol)
    with contextlib.suppress(OSError):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES_MAX)
    return made


class RequestOptions(TypedDict, total=False):
    """Keyword arguments of `aiohttp.ClientSession.request`: TLS and proxy."""

    ssl: ssl.SSLContext | bool
    proxy: str
    proxy_headers: dict[str, str]


class ClientTls(msgspec.Struct, frozen=True):
    """The context for requests to the cloud's own host: the hub shows its certificate there and to nobody else."""

    host: str
    context: ssl.SSLContext


def client_tls(cloud: CloudConfig) -> ClientTls | None:
    """Return the context with the hub's certificate; `None` where the configuration names none.

    Raises:
        ConfigInvalid: See `agent.config.network.client_context`.
    """
    if cloud.client_certificate_file is None or cloud.client_key_file is None:
        return None
    ca_file = str(cloud.ca_file) if cloud.ca_file else None
    context = client_context(ca_file, str(cloud.client_certificate_file), str(cloud.client_key_file))
    return ClientTls(URL(cloud.base_url).host or "", context)


class ConnectionOptions:
    """TLS and proxy of requests to the cloud and to storage. A change applies to new requests of a running hub."""

    def __init__(
        self, verified: ssl.SSLContext | Literal[True], proxies: ProxyRules, client: ClientTls | None = None
    ) -> None:
        self._verified = verified
        self._proxies = proxies
        self._client = client

    def set_tls_context(self, verified: ssl.SSLContext | Literal[True], client: ClientTls | None = None) -> None:
        """Verify servers with other contexts from now on; open connections stay."""
        self._verified = verified
        self._client = client

    def for_url(self, url: URL) -> RequestOptions:
        """Return TLS and proxy of a request to ``url``."""
        client = self._client
        options = RequestOptions(ssl=self._verified if client is None or url.host != client.host else client.context)
        if (proxy := self._proxies.proxy_for(url.scheme, url.host or "", url.port)) is not None:
            options["proxy"] = proxy.url
            if proxy.authorization:
                options["proxy_headers"] = {"Proxy-Authorization": proxy.authorization}
        return options


LOCATION_CHARS_MAX = 8192
"""Longer than the signed URLs of any object storage; servers limit a request line to about this."""

_UNSENDABLE = re.compile(r"[^\x21-\x7e]")


def redirect_target(url: URL, location: str) -> URL:
    """Return the address in a `Location` header.

    Args:
        url: Of the request.
        location: The header, as received.

    Raises:
        CloudUnavailable: The address is not followed: it cannot be read, has a user or password, or is not https
            (except for an unencrypted request to the same host).
    """
    text = location.strip()
    if not text or len(text) > LOCATION_CHARS_MAX:
        raise CloudUnavailable(
            "redirected without an address; check the proxies between hub and cloud", cause=Cause.WRONG_ADDRESS
        )
    # Bytes that are no UTF-8 are received as surrogates (PEP 383).
    try:
        sendable = _UNSENDABLE.sub(lambda match: quote(match[0].encode("utf-8", "surrogateescape"), safe=""), text)
        target = url.join(URL(sendable, encoded=True))
        # Read all parts here: the library parses some of them only on access.
        origin, user, host, port = target.origin(), target.user, target.host, target.port
    except (ValueError, TypeError) as error:
        raise CloudUnavailable(
            f"redirected to an address that cannot be read ({error})", cause=Cause.WRONG_ADDRESS
        ) from error
    if not host or not port:
        raise CloudUnavailable("redirected to an address without a host", cause=Cause.WRONG_ADDRESS)
    if user is not None or target.password is not None:
        raise CloudUnavailable(
            f"redirected to {origin} with a password in the address, which is not followed", cause=Cause.WRONG_ADDRESS
        )
    if target.scheme != "https" and not (target.scheme == url.scheme and host == url.host):
        raise CloudUnavailable(f"redirected to {origin}, which is not https", cause=Cause.WRONG_ADDRESS)
    return target.with_fragment(None) if target.raw_fragment else target


TRANSPORT_OVERHEAD_BYTES = 280
"""What TLS 1.3 and TCP add to one small exchange on an open connection: a record each way (22 bytes each), two segments
and their two acknowledgements (4 headers of 52 bytes, IPv4 with timestamps), rounded up for retransmissions."""

_REQUEST_LINES_BYTES = len("  HTTP/1.1\r\n\r\n")
_RESPONSE_LINES_BYTES = len("HTTP/1.1 200 \r\n\r\n")
_HEADER_BYTES = len(": \r\n")


class DataUsage(msgspec.Struct):
    """The bytes of the answered requests to one endpoint: HTTP lines, headers and bodies, for metered connections.

    Attributes:
        requests: How many.
        sent_bytes: Without TLS and TCP.
        received_bytes: Likewise.
    """

    requests: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0

    @property
    def bytes(self) -> int:
        """Both ways."""
        return self.sent_bytes + self.received_bytes

    def add(self, response: aiohttp.ClientResponse, sent_bytes: int, received_bytes: int) -> None:
        """Add one exchange."""
        request, reason = response.request_info, response.reason or ""
        self.requests += 1
        self.sent_bytes += len(request.method) + len(request.url.raw_path_qs) + _REQUEST_LINES_BYTES + sent_bytes
        self.sent_bytes += sum(len(name) + len(value) + _HEADER_BYTES for name, value in request.headers.items())
        self.received_bytes += len(reason) + _RESPONSE_LINES_BYTES + received_bytes
        self.received_bytes += sum(len(name) + len(value) + _HEADER_BYTES for name, value in response.raw_headers)
