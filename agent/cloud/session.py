"""The aiohttp session in which `CloudClient` speaks, and the connector of a real hub. Knows nothing of the API."""

import ssl
import zlib
from typing import Literal, TypedDict

import aiohttp
from yarl import URL

from agent.config.network import ProxyRules, verifying_context

KEEP_ALIVE_S = 70.0
"""Below the 75 s after which common servers close an idle connection."""

READ_ERRORS = (aiohttp.ClientError, OSError)
"""What reading an answer raises."""

FOREIGN_ERRORS = (
    *READ_ERRORS, ValueError, TypeError, LookupError, ArithmeticError, EOFError, AssertionError, zlib.error
)  # fmt: skip
"""What making a request raises beside that: a name that no resolver takes (UnicodeError of the codec `idna`), a header
that cannot be sent, a port beyond its range. Met or in reach in aiohttp, yarl, socket and codecs."""


def new_session(connector: aiohttp.BaseConnector, *, user_agent: str) -> aiohttp.ClientSession:
    """Return a session for `CloudClient`: no cookies, and no header that the contract does not ask for."""
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
    return aiohttp.TCPConnector(ssl=verifying_context(ca_file), limit=4, keepalive_timeout=KEEP_ALIVE_S)


class RequestOptions(TypedDict, total=False):
    """What `aiohttp.ClientSession.request` is told about the way of a request."""

    ssl: ssl.SSLContext | bool
    proxy: str
    proxy_headers: dict[str, str]


class ConnectionOptions:
    """How requests get to the cloud and to storage. It can change while a hub runs: new requests go the new way."""

    def __init__(self, verified: ssl.SSLContext | Literal[True], proxies: ProxyRules) -> None:
        self._verified = verified
        self._proxies = proxies

    def set_tls_context(self, verified: ssl.SSLContext | Literal[True]) -> None:
        """Verify servers by another context from now on; a connection that stands goes on."""
        self._verified = verified

    def for_url(self, url: URL) -> RequestOptions:
        """Return how a request to ``url`` goes."""
        options = RequestOptions(ssl=self._verified)
        if (proxy := self._proxies.proxy_for(url.scheme, url.host or "", url.port)) is not None:
            options["proxy"] = proxy.url
            if proxy.authorization:
                options["proxy_headers"] = {"Proxy-Authorization": proxy.authorization}
        return options
