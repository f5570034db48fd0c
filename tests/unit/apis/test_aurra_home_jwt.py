"""Token confusion: whatever a token says about itself, only a signature by a key of this hub counts."""

import base64
import hashlib
import hmac
import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from agent.apis.aurra_home.jwt import CHARACTERS_MAX, Claims, TokenInvalid, has_ended, sign, verify
from agent.apis.aurra_home.signing_keys import SigningKey, describe, is_due, load_key, make_key

AUDIENCE = "urn:climahub:a:aurra_home"
CLAIMS = Claims("urn:climahub:a", AUDIENCE, "acc_1", "j", "comfort:write", "boot", 5000, 100, 3700)


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return load_key(make_key(None))


@pytest.fixture(scope="module")
def other() -> RSAPrivateKey:
    return load_key(make_key(None))


def encode(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def check(token: str, key: RSAPrivateKey) -> Claims:
    return verify(token, {"k1": key.public_key()}, audience=AUDIENCE)


def parts(token: str) -> tuple[str, str, str]:
    head, claims, signature = token.split(".")
    return head, claims, signature


def resigned(header: dict[str, Any], key: RSAPrivateKey) -> str:
    """Return a token with a right signature under any header."""
    signed = f"{encode(header)}.{encode(msgspec.json.encode(CLAIMS))}"
    return f"{signed}.{encode(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def test_a_token_of_the_hub_is_accepted_and_has_the_form_of_others(key: RSAPrivateKey) -> None:
    token = sign(CLAIMS, "k1", key)
    assert check(token, key) == CLAIMS
    head, claims, _ = parts(token)
    assert json.loads(base64.urlsafe_b64decode(head + "==")) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["sub"] == "acc_1"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "kid": "k1"},
        {"alg": "None", "kid": "k1"},
        {"alg": "HS256", "kid": "k1"},
        {"alg": "RS512", "kid": "k1"},
        {"alg": "rs256", "kid": "k1"},
        {"alg": ["RS256"], "kid": "k1"},
        {"kid": "k1"},
        {"alg": "RS256"},
        {"alg": "RS256", "kid": "../../dev/null"},
        {"alg": "RS256", "kid": "k1' OR '1'='1"},
        {"alg": "RS256", "kid": None},
        {"alg": "RS256", "kid": ["k1"]},
        {"alg": "RS256", "kid": {"k1": 1}},
        {"alg": "RS256", "kid": "k1", "crit": ["exp"], "exp": 1},
        {"alg": "RS256", "kid": "k1", "jku": "https://evil.example/jwks.json"},
        {"alg": "RS256", "kid": "k1", "x5u": "https://evil.example/cert.pem"},
        {"alg": "RS256", "kid": "k1", "jwk": {"kty": "RSA"}},
        {"alg": "RS256", "kid": "k1", "x5c": ["MII"]},
        {"alg": "RS256", "kid": "k1", "b64": False},
    ],
)
def test_a_header_that_says_something_else_is_refused_under_a_right_signature(
    key: RSAPrivateKey, header: dict[str, Any]
) -> None:
    with pytest.raises(TokenInvalid):
        check(resigned(header, key), key)


def test_a_token_without_a_signature_is_refused(key: RSAPrivateKey) -> None:
    claims = encode(msgspec.json.encode(CLAIMS))
    head = parts(sign(CLAIMS, "k1", key))[0]
    for token in (
        f"{encode({'alg': 'none', 'kid': 'k1'})}.{claims}.",
        f"{head}.{claims}.",
        f"{head}.{claims}",
        f"{head}.{claims}.{encode(bytes(256))}",
    ):
        with pytest.raises(TokenInvalid):
            check(token, key)


def test_the_public_key_is_no_shared_secret(key: RSAPrivateKey) -> None:
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    signed = f"{encode({'alg': 'HS256', 'kid': 'k1'})}.{encode(msgspec.json.encode(CLAIMS))}"
    token = f"{signed}.{encode(hmac.digest(public, signed.encode(), hashlib.sha256))}"
    with pytest.raises(TokenInvalid):
        check(token, key)


def test_another_hubs_key_and_another_audience_are_refused(key: RSAPrivateKey, other: RSAPrivateKey) -> None:
    with pytest.raises(TokenInvalid, match="signature"):
        check(sign(CLAIMS, "k1", other), key)
    with pytest.raises(TokenInvalid, match="key is not one"):
        check(sign(CLAIMS, "k2", key), key)
    with pytest.raises(TokenInvalid, match="another hub or API"):
        check(sign(msgspec.structs.replace(CLAIMS, aud="urn:climahub:b:aurra_home"), "k1", key), key)


def test_a_changed_part_is_refused(key: RSAPrivateKey) -> None:
    head, claims, signature = parts(sign(CLAIMS, "k1", key))
    more = encode(msgspec.json.encode(msgspec.structs.replace(CLAIMS, scope="comfort:write alerts:write")))
    for token in (f"{head}.{more}.{signature}", f"{head}.{claims}.{signature[:-4]}AAAA"):
        with pytest.raises(TokenInvalid):
            check(token, key)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "e30.e30.e30",
        "é.é.é",
        "[].[].[]",
        "bnVsbA.bnVsbA.bnVsbA",
        "x" * (CHARACTERS_MAX + 1),
    ],
)
def test_what_is_no_token_is_refused(key: RSAPrivateKey, token: str) -> None:
    with pytest.raises(TokenInvalid):
        check(token, key)


def test_characters_that_a_lenient_decoder_skips_are_refused(key: RSAPrivateKey) -> None:
    head, claims, signature = parts(sign(CLAIMS, "k1", key))
    for token in (
        f"{head}.{claims}.{signature}=",
        f"{head}.{claims}.{signature}\n",
        f"{head}.{claims}.!!!!{signature}",
    ):
        with pytest.raises(TokenInvalid):
            check(token, key)


def test_a_deeply_nested_header_is_refused(key: RSAPrivateKey) -> None:
    deep = b'{"a":' + b"[" * 1400 + b"]" * 1400 + b"}"
    with pytest.raises(TokenInvalid):
        check(f"{encode(deep)}.e30.e30", key)


@pytest.mark.parametrize(
    ("boot", "now_ms", "utc_ms", "expected"),
    [
        ("boot", 4999, None, False),
        ("boot", 5000, None, True),
        # In its own boot a clock that was set does not count.
        ("boot", 4999, 10**13, False),
        ("other", 0, 3_699_999, False),
        ("other", 0, 3_700_000, True),
        ("other", 0, None, True),
    ],
)
def test_the_end_of_a_token(boot: str, now_ms: int, utc_ms: int | None, expected: bool) -> None:
    assert has_ended(CLAIMS, boot_id=boot, now_ms=now_ms, utc_ms=utc_ms) is expected


def test_a_token_of_a_boot_without_the_time_ends_with_the_boot() -> None:
    claims = msgspec.structs.replace(CLAIMS, iat=None, exp=None)
    assert has_ended(claims, boot_id="other", now_ms=0, utc_ms=10**12)
    assert not has_ended(claims, boot_id="boot", now_ms=0, utc_ms=None)


def test_a_key_is_offered_without_its_private_part(key: RSAPrivateKey) -> None:
    offered = describe("k1", key.public_key())
    assert (offered["kty"], offered["e"], set(offered)) == ("RSA", "AQAB", {"kty", "use", "alg", "kid", "n", "e"})
    assert repr(SigningKey("k", "-----BEGIN PRIVATE KEY-----")) == "SigningKey('k')"


DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("made_ms", "utc_ms", "expected"),
    [
        (0, 89 * DAY_MS, False),
        (0, 90 * DAY_MS, True),
        (0, None, False),
        (None, None, False),
        (None, DAY_MS, True),
        # Made in the future: the clock was wrong then.
        (2 * DAY_MS, DAY_MS, True),
    ],
)
def test_when_a_key_is_rotated(made_ms: int | None, utc_ms: int | None, expected: bool) -> None:
    assert is_due([SigningKey("k", "", made_ms)], utc_ms) is expected
    assert is_due([], utc_ms)
