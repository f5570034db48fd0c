"""Sign-in codes: how a code is made, read as a person types it, hashed and compared. Pure.

A code has 80 bits from the system's random source, so no dictionary helps against it and a plain salted hash is enough
(UK PSTI, EN 18031: no default password; ETSI EN 303 645, 5.1). Must never return or show a code other than the new one.
"""

from collections.abc import Sequence

import msgspec

from agent.foundation.secret_hash import (
    BASE32_ALPHABET,
    CHARACTER_BITS,
    NO_SECRET,
    RandomBytes,
    SecretHash,
    base32,
    is_secret_of,
)
from agent.local.routes import Role

CODE_BYTES = 10
"""80 bits: 16 characters of 5 bits."""
_CODE_BITS = 8 * CODE_BYTES
CODE_CHARACTERS = _CODE_BITS // CHARACTER_BITS
_GROUP = 4

_AS_TYPED = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", " ": "", "\t": "", "\n": "", "\r": ""})

TYPED_CHARACTERS_MAX = 100
"""Longer text is no code, whatever it holds."""

SIGN_IN_ROLES = (Role.OWNER, Role.SERVICE, Role.VIEWER)
"""The roles that may have a code, one each."""


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
    return code if len(code) == CODE_CHARACTERS and all(each in BASE32_ALPHABET for each in code) else None


def find_code(codes: Sequence[CodeRecord], code: str) -> CodeRecord | None:
    """Return the record of a code; `None` where it is the code of no role.

    Every role is compared, with and without a code, so that the time tells nothing.

    Args:
        codes: At most one of each role.
        code: As `read_code` returns it.
    """
    stored = {record.role: record for record in codes}
    compared = [stored.get(role, CodeRecord(role, NO_SECRET)) for role in SIGN_IN_ROLES]
    found = [record for record in compared if is_secret_of(record.secret, code)]
    return found[0] if found else None


def role_of(codes: Sequence[CodeRecord], code: str) -> Role | None:
    """Return the role that a code admits to; `None` where it is the code of no role. As `find_code`."""
    found = find_code(codes, code)
    return found.role if found else None


def with_code(codes: Sequence[CodeRecord], made: CodeRecord) -> tuple[CodeRecord, ...]:
    """Return the codes with a new one in the place of its role's old one."""
    return (*(each for each in codes if each.role is not made.role), made)
