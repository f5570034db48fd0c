"""Reads a request for a token: JSON as the published pages send it, a form or HTTP Basic as OAuth clients do. Pure."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import msgspec

from agent.apis.aurra_home.assumptions import SCOPE_PARAMETER
from agent.apis.aurra_home.errors import invalid
from agent.foundation.lenient_json import DECODE_ERRORS

GRANT_TYPE = "client_credentials"
FORM = "application/x-www-form-urlencoded"
FIELDS_MAX = 20
"""Of a form."""


class TokenRequest(msgspec.Struct, frozen=True):
    """Who asks for a token of which scopes.

    Attributes:
        client_id: As it was sent.
        client_secret: A secret.
        scopes: `None` for all of the client.
    """

    client_id: str
    client_secret: str
    scopes: tuple[str, ...] | None

    def __repr__(self) -> str:
        """Return everything but the secret."""
        return f"TokenRequest({self.client_id!r})"


def read_token_request(headers: Mapping[str, str], body: bytes) -> TokenRequest:
    """Return the request in a body and, where the body has no credentials, in `Authorization: Basic`.

    Raises:
        ApiRefused: It is none: INVALID_REQUEST.
    """
    fields = _form(body) if _is_form(headers.get("Content-Type", ""), body) else _json(body)
    basic = _basic(headers.get("Authorization", ""))
    client_id = fields.get("client_id") or basic[0]
    client_secret = fields.get("client_secret") or (basic[1] if client_id == basic[0] else "")
    for name, value in (("client_id", client_id), ("client_secret", client_secret)):
        if not value:
            raise invalid(f"send {name}: it is missing")
    if fields.get("grant_type") != GRANT_TYPE:
        raise invalid(f"send grant_type {GRANT_TYPE}: this API knows no other")
    scope = fields.get(SCOPE_PARAMETER)
    return TokenRequest(
        client_id, client_secret, None if scope is None else tuple(dict.fromkeys(scope.split())) or None
    )


def _is_form(content_type: str, body: bytes) -> bool:
    """Tell whether a body is a form: by its type, and where that says neither, by its first character."""
    media = content_type.partition(";")[0].strip().lower()
    if media == FORM:
        # curl sends this type for -d with JSON, where nobody sets another.
        return not body.lstrip().startswith(b"{")
    return not media.endswith("json") and not body.lstrip().startswith(b"{")


def _json(body: bytes) -> Mapping[str, str]:
    try:
        found = msgspec.json.decode(body, type=dict[str, Any])
    except DECODE_ERRORS:
        # The cause is dropped: it may quote a secret.
        raise invalid("send a JSON object with client_id, client_secret and grant_type") from None
    wrong = [
        name
        for name in ("client_id", "client_secret", "grant_type", SCOPE_PARAMETER)
        if not isinstance(found.get(name, ""), str)
    ]
    if wrong:
        raise invalid(f"send {wrong[0]} as text")
    return found


def _form(body: bytes) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except (ValueError, UnicodeError):
        raise invalid("send a form with client_id, client_secret and grant_type") from None
    # A parameter must not come twice (RFC 6749, section 3.2).
    if len({name for name, _ in pairs}) != len(pairs):
        raise invalid("send each parameter once")
    return dict(pairs)


def _basic(header: str) -> tuple[str, str]:
    """Return user and password of HTTP Basic, which OAuth encodes as in a form (RFC 6749, section 2.3.1)."""
    kind, _, value = header.partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeError):
        return "", ""
    return unquote_plus(user), unquote_plus(password)
