"""Sign-in codes: how a code is made, read as a person types it, hashed and compared. Pure.

A code has 80 bits from the system's random source, so no dictionary helps against it and a plain salted hash is enough
(UK PSTI, EN 18031: no default password; ETSI EN 303 645, 5.1). Must never return or show a code other than the new one.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence

import msgspec

from agent.local.routes import Role

RandomBytes = Callable[[int], bytes]
"""Returns so many bytes that nobody can predict: `os.urandom`."""

CODE_BYTES = 10
"""80 bits: 16 characters of 5 bits."""
_CODE_BITS = 8 * CODE_BYTES
_CHARACTER_BITS = 5
CODE_CHARACTERS = _CODE_BITS // _CHARACTER_BITS
_GROUP = 4

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base32: without I, L and O, which are read as digits, and without U (crockford.com/base32.html)."""

_AS_TYPED = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", " ": "", "\t": "", "\n": "", "\r": ""})

TYPED_CHARACTERS_MAX = 100
"""Longer text is no code, whatever it holds."""

_SALT_BYTES = 16

SIGN_IN_ROLES = (Role.OWNER, Role.SERVICE, Role.VIEWER)
"""The roles that may have a code, one each."""


class SecretHash(msgspec.Struct, frozen=True):
    """What is stored of a secret.

    Attributes:
        salt: Random, in hex.
        digest: HMAC-SHA-256 of the secret under the salt, in hex.
    """

    salt: str
    digest: str


class CodeRecord(msgspec.Struct, frozen=True):
    """The code of one role.

    Attributes:
        role: What the code admits to.
        secret: Its hash.
        made_utc_ms: When it was made; `None` where the time was not known.
    """

    role: Role
    secret: SecretHash
    made_utc_ms: int | None = None


_NO_SECRET = SecretHash("", "0" * 64)
"""Stands in where a role has no code, so that the comparison takes the same time."""


def base32(data: bytes) -> str:
    """Return bytes in Crockford's base32, for lengths that are a multiple of 5 bytes."""
    bits = 8 * len(data)
    number = int.from_bytes(data)
    shifts = range(bits - _CHARACTER_BITS, -1, -_CHARACTER_BITS)
    return "".join(_ALPHABET[number >> shift & 31] for shift in shifts)


def make_code(random_bytes: RandomBytes) -> str:
    """Return a new code as it is shown: XXXX-XXXX-XXXX-XXXX."""
    text = base32(random_bytes(CODE_BYTES))
    return "-".join(text[begin : begin + _GROUP] for begin in range(0, CODE_CHARACTERS, _GROUP))


def read_code(typed: str) -> str | None:
    """Return the 16 characters of a code as a person types it; `None` where it cannot be one.

    Case, spaces and dashes do not matter; O is read as 0, I and L as 1.
    """
    if len(typed) > TYPED_CHARACTERS_MAX:
        return None
    code = typed.upper().translate(_AS_TYPED)
    return code if len(code) == CODE_CHARACTERS and all(each in _ALPHABET for each in code) else None


def hash_secret(secret: str, random_bytes: RandomBytes) -> SecretHash:
    """Return the hash of a secret under a new salt."""
    salt = random_bytes(_SALT_BYTES).hex()
    return SecretHash(salt, _digest(salt, secret))


def is_secret_of(stored: SecretHash, secret: str) -> bool:
    """Tell whether a hash is that of a secret, in a time that does not depend on either."""
    return hmac.compare_digest(_digest(stored.salt, secret).encode(), stored.digest.encode())


def _digest(salt: str, secret: str) -> str:
    return hmac.digest(salt.encode(), secret.encode(errors="replace"), hashlib.sha256).hex()


def find_code(codes: Sequence[CodeRecord], code: str) -> CodeRecord | None:
    """Return the record of a code; `None` where it is the code of no role.

    Every role is compared, with and without a code, so that the time tells nothing.

    Args:
        codes: At most one of each role.
        code: As `read_code` returns it.
    """
    stored = {record.role: record for record in codes}
    compared = [stored.get(role, CodeRecord(role, _NO_SECRET)) for role in SIGN_IN_ROLES]
    found = [record for record in compared if is_secret_of(record.secret, code)]
    return found[0] if found else None


def role_of(codes: Sequence[CodeRecord], code: str) -> Role | None:
    """Return the role that a code admits to; `None` where it is the code of no role. As `find_code`."""
    found = find_code(codes, code)
    return found.role if found else None


def with_code(codes: Sequence[CodeRecord], made: CodeRecord) -> tuple[CodeRecord, ...]:
    """Return the codes with a new one in the place of its role's old one."""
    return (*(each for each in codes if each.role is not made.role), made)
