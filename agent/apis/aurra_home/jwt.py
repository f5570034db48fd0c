"""JSON Web Tokens with RS256 (RFC 7519, RFC 7515): signing and checking. Pure.

A token is accepted for its signature by a key of this hub and for nothing that it says about itself: `alg` must be
RS256, `kid` must name a known key, and a header that brings or names another key (`jwk`, `jku`, `x5u`, `x5c`) or
demands an extension (`crit`) is refused.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

ALGORITHM = "RS256"
CHARACTERS_MAX = 4096
"""A token of ours has 900; a longer one is not looked at."""

_FOREIGN = frozenset({"jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip"})
"""Header fields that could make a verifier use another key or another form of the content."""


class Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a token says.

    Attributes:
        iss: The hub.
        aud: The API of the hub.
        sub: The id of the client.
        jti: The token's own id.
        scope: Separated by spaces.
        boot: The boot of the machine in which it was made.
        boot_exp_ms: When it ends on that boot's clock.
        iat: When it was made, in UTC seconds; `None` where the time was not known.
        exp: When it ends; likewise.
    """

    iss: str
    aud: str
    sub: str
    jti: str
    scope: str
    boot: str
    boot_exp_ms: int
    iat: int | None = None
    exp: int | None = None


class TokenInvalid(ValueError):
    """A token that is not accepted; the message says why, without quoting it."""


def sign(claims: Claims, kid: str, key: "RSAPrivateKey") -> str:
    """Return a token. Takes 1 ms, on a small board 20 ms."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - seldom needed
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415

    header = {"alg": ALGORITHM, "typ": "JWT", "kid": kid}
    signed = f"{_encode(msgspec.json.encode(header))}.{_encode(msgspec.json.encode(claims))}"
    return f"{signed}.{_encode(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def verify(token: str, keys: "Mapping[str, RSAPublicKey]", *, audience: str) -> Claims:
    """Return what a token says, whose signature, form and audience are right. Its time is not looked at.

    Args:
        token: As it was sent.
        keys: Of this hub, by `kid`.
        audience: The API of this hub.

    Raises:
        TokenInvalid: Something is not right.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415

    if len(token) > CHARACTERS_MAX:
        raise TokenInvalid("it is too long")
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature (RFC 7515, section 7.1)
        raise TokenInvalid("it has not three parts")
    try:
        header = msgspec.json.decode(_decode(parts[0]), type=dict[str, Any])
        claims = msgspec.json.decode(_decode(parts[1]), type=Claims)
        signature = _decode(parts[2])
    except (msgspec.MsgspecError, UnicodeError, RecursionError, binascii.Error) as error:
        raise TokenInvalid("it is no JSON Web Token of this hub") from error
    if header.get("alg") != ALGORITHM or _FOREIGN & header.keys():
        raise TokenInvalid("its header is not accepted")
    kid = header.get("kid")
    key = keys.get(kid) if isinstance(kid, str) else None
    if key is None:
        raise TokenInvalid("its key is not one of this hub")
    try:
        key.verify(signature, f"{parts[0]}.{parts[1]}".encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise TokenInvalid("its signature is wrong") from error
    if claims.aud != audience:
        raise TokenInvalid("it is for another hub or API")
    return claims


def has_ended(claims: Claims, *, boot_id: str, now_ms: int, utc_ms: int | None) -> bool:
    """Tell whether a token has ended.

    In the boot that made it the clock of the boot counts, which nobody can set; after it the time of day, and while
    that is not known a token of another boot is not accepted.
    """
    if claims.boot == boot_id:
        return now_ms >= claims.boot_exp_ms
    return claims.exp is None or utc_ms is None or utc_ms >= claims.exp * 1000


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    """Return the bytes of base64url without padding.

    Raises:
        binascii.Error: It is none, or has characters that a lenient decoder would skip.
        UnicodeError: It is not ASCII.
    """
    data = text.encode("ascii")
    if b"=" in data or b"+" in data or b"/" in data:
        raise binascii.Error("not base64url")
    return base64.b64decode(data + b"=" * (-len(data) % 4), altchars=b"-_", validate=True)
