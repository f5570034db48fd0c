"""Words for a connection that did not come about: what happened, to what, and what to look at. Pure."""

import os

import aiohttp

from agent.config.network import is_strict_refusal
from agent.foundation.text import sanitize


def connection_failure_text(error: aiohttp.ClientConnectorError) -> str:
    """Say it in the words of the system ("Connection refused") instead of the library's."""
    number = error.os_error.errno or 0
    reason = os.strerror(number) if number > 0 else error.os_error.strerror
    is_proxy = isinstance(error, aiohttp.ClientProxyConnectionError)
    whose, advice = ("the proxy ", "; check cloud.proxy and HTTPS_PROXY") if is_proxy else ("", "")
    return sanitize(f"no connection to {whose}{error.host}:{error.port} ({reason or type(error).__name__}){advice}")


def proxy_refusal_text(error: aiohttp.ClientHttpProxyError) -> str:
    """Say what a proxy answered instead of making the connection."""
    place = f"{error.request_info.url.host}:{error.request_info.url.port}"
    what = "wants other credentials" if error.status == 407 else "makes no connection"  # noqa: PLR2004
    said = f"{error.status} {error.message}".strip()
    return sanitize(f"the proxy on the way to {place} {what} ({said}); check cloud.proxy and HTTPS_PROXY")


def certificate_failure_text(error: Exception, *, is_time_known: bool) -> str:
    """Say why a server's certificate is not accepted, and what to look at."""
    advice = "check cloud.ca_file"
    if is_strict_refusal(error):
        advice = "this Python verifies strictly: the server's certificate or its authority has to be made anew"
        advice += " (docs/configuration.md, Certificates)"
    elif not is_time_known:
        advice = "this hub does not know the time yet, which may be why"
    return f"the server's certificate is not accepted ({sanitize(str(error))}); {advice}"
