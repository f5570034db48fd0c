"""Where a redirect leads. Pure.

The address is taken byte for byte: the query of a signed URL (S3, R2, GCS, Azure) is part of what was signed, so that
`%2F` for `/` or `+` for `%20` there is another address. Only what no request line can carry is quoted.
"""

import re
from urllib.parse import quote

from yarl import URL

from agent.errors import Cause, CloudUnavailable

LOCATION_CHARS_MAX = 8192
"""Longer than the signed URLs of any object storage; a server's request line ends about there."""

_UNSENDABLE = re.compile(r"[^\x21-\x7e]")


def redirect_target(url: URL, location: str) -> URL:
    """Return the address that a `Location` header names.

    Args:
        url: What was asked.
        location: The header, as it came.

    Raises:
        CloudUnavailable: It names none that is followed: it cannot be read, it is not https where the request was not
            in clear to the same host already, or it carries a user and a password.
    """
    text = location.strip()
    if not text or len(text) > LOCATION_CHARS_MAX:
        raise CloudUnavailable(
            "redirected without an address; check what is on the way to the cloud", cause=Cause.WRONG_ADDRESS
        )
    # Bytes that are no UTF-8 come as surrogates (PEP 383).
    try:
        sendable = _UNSENDABLE.sub(lambda match: quote(match[0].encode("utf-8", "surrogateescape"), safe=""), text)
        target = url.join(URL(sendable, encoded=True))
        # All parts are looked at here, since the library takes some of them apart only when they are asked for.
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
