"""The way to the cloud: which requests go through a proxy, and which certificate authorities verify servers.

The proxy is that of the configuration, else that of the environment, read as curl reads it. Credentials are part of a
URL of the configuration or the environment; what is shown or logged must never contain them.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from agent.errors import ConfigInvalid

if TYPE_CHECKING:
    import ssl

ENVIRONMENT = "environment"
NONE = "none"

_CREDENTIALS = re.compile(r"(?<=://)[^\s/]+(?=@)|^[^\s/]+(?=@)")

_PORTS = {"http": 80, "https": 443}


class Proxy(msgspec.Struct, frozen=True):
    """A proxy.

    Attributes:
        url: Its address, without credentials.
        authorization: The value of the header Proxy-Authorization; empty where none is needed. Must never be logged.
    """

    url: str
    authorization: str = ""

    def __repr__(self) -> str:
        """Return the address only."""
        return f"Proxy({self.url!r})"


def parse_proxy(text: str) -> Proxy:
    """Return what a URL names, such as `http://user:password@proxy.example:3128`; without a scheme it is http.

    Raises:
        ValueError: It is no supported proxy; the message repeats nothing of it.
    """
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port or _PORTS.get(parts.scheme)
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError:
        raise ValueError("its host or port is none") from None
    if parts.scheme not in _PORTS:
        raise ValueError(f"a proxy of the kind {parts.scheme[:10]} is not supported; allowed are http and https")
    if not host or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("its host or port is none")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("nothing may follow its port")
    return Proxy(f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}", _authorization(parts))


def without_credentials(text: str) -> str:
    """Return text with the credentials removed from every URL, for display."""
    return _CREDENTIALS.sub("[redacted]", text)


def _authorization(parts: SplitResult) -> str:
    if parts.username is None:
        return ""
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(credentials.encode()).decode()}"


class ProxyRules:
    """Which requests go through which proxy; those to this machine never do.

    Attributes:
        problem: What is wrong with the environment; empty where nothing is.
    """

    def __init__(self, configured: str, environ: Mapping[str, str]) -> None:
        """Read the rules.

        Args:
            configured: "environment", "none", or the URL of a proxy for everything.
            environ: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in either case; the lower one comes first.

        Raises:
            ValueError: The URL names no proxy.
        """
        self.problem = ""
        self._proxies: dict[str, Proxy] = {}
        self._exceptions = _variable(environ, "no_proxy").replace(",", " ").lower().split()
        if configured == NONE:
            return
        if configured != ENVIRONMENT:
            self._proxies = dict.fromkeys(_PORTS, parse_proxy(configured))
            return
        for scheme in _PORTS:
            for name in (f"{scheme}_proxy", "all_proxy"):
                if text := _variable(environ, name):
                    try:
                        self._proxies[scheme] = parse_proxy(text)
                    except ValueError as error:
                        self.problem = f"{name} of the environment: {error}; requests go without it"
                    break

    def proxy_for(self, scheme: str, host: str, port: int | None) -> Proxy | None:
        """Return the proxy for a request; `None` where it goes directly."""
        host = host.strip("[]").rstrip(".").lower()
        proxy = self._proxies.get(scheme)
        if proxy is None or is_loopback(host):
            return None
        return (
            None if any(_covers(exception, host, port or _PORTS[scheme]) for exception in self._exceptions) else proxy
        )


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine."""
    from ipaddress import ip_address  # noqa: PLC0415 - start-up time is counted

    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _covers(exception: str, host: str, port: int) -> bool:
    """Tell whether an entry of NO_PROXY covers a host: `*`, a name and all below it, an address, a network."""
    from ipaddress import ip_address, ip_network  # noqa: PLC0415 - as above

    if exception == "*":
        return True
    try:
        return ip_address(host) in ip_network(exception.strip("[]"), strict=False)
    except ValueError:
        pass
    name, _, number = (
        exception.rpartition(":") if exception.count(":") == 1 or "]:" in exception else (exception, "", "")
    )
    if number and number != str(port):
        return False
    name = name.strip("[]").removeprefix("*").lstrip(".").rstrip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _variable(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def verifying_context(ca_file: str | None) -> "ssl.SSLContext | Literal[True]":
    """Return the TLS context that verifies servers; `True` is aiohttp's own, which has read 150 authorities already.

    Raises:
        ConfigInvalid: The file cannot be read, or holds no certificate.
    """
    if ca_file is None:
        return True
    import ssl  # noqa: PLC0415 - 5 MiB that switching the outputs off does without

    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=ca_file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigInvalid(f"cloud.ca_file: {ca_file} contains no certificate in PEM form ({reason})") from error
    return context


def client_context(ca_file: str | None, certificate_file: str, key_file: str) -> "ssl.SSLContext":
    """Return the TLS context that verifies servers and shows them a certificate of the hub.

    Raises:
        ConfigInvalid: A file cannot be read, or they do not belong together. The message holds nothing of the key.
    """
    import ssl  # noqa: PLC0415 - as above

    context = verifying_context(ca_file)
    context = ssl.create_default_context() if context is True else context
    try:
        # Without a password OpenSSL would ask the terminal for that of an encrypted key.
        context.load_cert_chain(certificate_file, key_file, password=lambda: "")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
        raise ConfigInvalid(
            f"cloud.client_certificate_file: use a certificate and its own key, both as PEM and readable for the"
            f" service, the key not encrypted: {certificate_file}, {key_file} ({reason})"
        ) from error
    return context


_STRICT_CODES = range(80, 95)
"""X509_V_ERR_PATHLEN_INVALID_FOR_NON_CA to X509_V_ERR_EC_KEY_EXPLICIT_PARAMS (openssl/x509_vfy.h): what OpenSSL checks
under X509_V_FLAG_X509_STRICT only, which Python sets from 3.13 on."""


def is_strict_refusal(error: Exception) -> bool:
    """Tell whether a certificate was refused for its form only, which an older Python accepts."""
    cause = getattr(error, "certificate_error", error)
    return getattr(cause, "verify_code", 0) in _STRICT_CODES
