"""The aiohttp session in which `CloudClient` speaks, and the connector of a real hub. Knows nothing of the API."""

import ssl
import zlib

import aiohttp

from agent.errors import ConfigInvalid

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
    """Return the connector of a real hub: TLS verified, against the system's authorities or ``ca_file`` alone.

    Raises:
        ConfigInvalid: The file cannot be read, or holds no certificate.
    """
    try:
        # `True` is the verifying context that aiohttp has made already: 150 authorities need not be read twice.
        verified = ssl.create_default_context(cafile=ca_file) if ca_file else True
    except OSError as error:
        said = error.strerror or str(error)
        raise ConfigInvalid(f"cloud.ca_file: {ca_file} gives no certificate in PEM form ({said})") from error
    return aiohttp.TCPConnector(
        ssl=verified,
        limit=4,
        keepalive_timeout=KEEP_ALIVE_S,
    )
