"""Secrets that the hub makes: random text, and the hash that is stored in its place. Pure.

For secrets of at least 80 bits from the system's random source, against which no dictionary helps: a plain salted hash
is enough. Must never store or return a secret.
"""

import hashlib
import hmac
from collections.abc import Callable

import msgspec

RandomBytes = Callable[[int], bytes]
"""Returns so many bytes that nobody can predict: `os.urandom`."""

BASE32_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base32: without I, L and O, which are read as digits, and without U (crockford.com/base32.html)."""

CHARACTER_BITS = 5
"""What one character of base32 holds."""

_SALT_BYTES = 16


class SecretHash(msgspec.Struct, frozen=True):
    """What is stored of a secret.

    Attributes:
        salt: Random, in hex.
        digest: HMAC-SHA-256 of the secret under the salt, in hex.
    """

    salt: str
    digest: str


NO_SECRET = SecretHash("", "0" * 64)
"""Stands in where there is none, so that the comparison takes the same time."""


def base32(data: bytes) -> str:
    """Return bytes in Crockford's base32, for lengths that are a multiple of 5 bytes."""
    bits = 8 * len(data)
    number = int.from_bytes(data)
    shifts = range(bits - CHARACTER_BITS, -1, -CHARACTER_BITS)
    return "".join(BASE32_ALPHABET[number >> shift & 31] for shift in shifts)


def hash_secret(secret: str, random_bytes: RandomBytes) -> SecretHash:
    """Return the hash of a secret under a new salt."""
    salt = random_bytes(_SALT_BYTES).hex()
    return SecretHash(salt, _digest(salt, secret))


def is_secret_of(stored: SecretHash, secret: str) -> bool:
    """Tell whether a hash is that of a secret, in a time that does not depend on either."""
    return hmac.compare_digest(_digest(stored.salt, secret).encode(), stored.digest.encode())


def _digest(salt: str, secret: str) -> str:
    return hmac.digest(salt.encode(), secret.encode(errors="replace"), hashlib.sha256).hex()
