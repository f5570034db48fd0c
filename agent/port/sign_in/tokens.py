"""API tokens for scripts: their form, their records, and which of them is valid when. Pure.

A token has a name, a role and an expiry in UTC. It is shown once; only its hash is stored. While the hub does not know
the time, no token is valid: whether one has expired cannot be told.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from agent.errors import SettingInvalid
from agent.foundation import rfc3339
from agent.foundation.secret_hash import RandomBytes, SecretHash, base32, hash_secret, is_secret_of
from agent.foundation.text import quote
from agent.local.routes import Role

TOKENS_MAX = 16
DAY_MS = 86_400_000
DAYS_MAX = 366
"""No token lasts longer than about a year."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")

PREFIX = "climahub_"
"""Lets a secret scanner recognise a token in a repository."""
_TOKEN_BYTES = 20
"""160 bits: 32 characters."""
TOKEN_CHARACTERS_MAX = 100
"""Longer text is no token."""


class TokenRecord(msgspec.Struct, frozen=True):
    """What is stored of a token.

    Attributes:
        name: Names it for people.
        role: What it may do.
        secret: Its hash.
        made_utc_ms: When it was made.
        expires_utc_ms: From when on it is not valid.
        used_utc_ms: When it was used last, to the day; `None` for never.
    """

    name: str
    role: Role
    secret: SecretHash
    made_utc_ms: int
    expires_utc_ms: int
    used_utc_ms: int | None = None


def new_token(
    name: str, role: Role, *, days: int, utc_ms: int | None, random_bytes: RandomBytes
) -> tuple[str, TokenRecord]:
    """Return a new token, which is shown once, and its record.

    Raises:
        SettingInvalid: The name or the days cannot be used, the role is none for a token, or the time is not known.
    """
    if not NAME.fullmatch(name):
        raise SettingInvalid(f"choose a name of 1 to 32 letters, digits, dots, dashes: {quote(name)} is none")
    if role is Role.PUBLIC:
        raise SettingInvalid("choose the role viewer, service or owner")
    if not 1 <= days <= DAYS_MAX:
        raise SettingInvalid(f"choose 1 to {DAYS_MAX} days: {days} is out of range")
    if utc_ms is None:
        raise SettingInvalid("wait until the hub knows the time (climahub status): a token expires by date")
    token = PREFIX + base32(random_bytes(_TOKEN_BYTES)).lower()
    expires_utc_ms = utc_ms + days * DAY_MS
    if not rfc3339.is_plausible(expires_utc_ms):
        raise SettingInvalid(f"check the clock: the token would expire at a time that is not {rfc3339.BOUNDS}")
    return token, TokenRecord(name, role, hash_secret(token, random_bytes), utc_ms, expires_utc_ms)


def with_token(tokens: Sequence[TokenRecord], made: TokenRecord) -> tuple[TokenRecord, ...]:
    """Return the tokens with a new one.

    Raises:
        SettingInvalid: There is one of that name, or there are as many as there may be.
    """
    if any(each.name == made.name for each in tokens):
        raise SettingInvalid(f"choose another name, or revoke the token {made.name} first: it exists")
    if len(tokens) >= TOKENS_MAX:
        raise SettingInvalid(f"revoke a token first: there are {TOKENS_MAX}, as many as there may be")
    return (*tokens, made)


def without_token(tokens: Sequence[TokenRecord], name: str) -> tuple[TokenRecord, ...]:
    """Return the tokens without one."""
    return tuple(each for each in tokens if each.name != name)


def find_token(tokens: Sequence[TokenRecord], token: str, utc_ms: int | None) -> TokenRecord | None:
    """Return the record of a valid token; `None` where it is unknown or expired, or the time is not known.

    Every record is compared, so that the time tells nothing.
    """
    if len(token) > TOKEN_CHARACTERS_MAX:
        return None
    found = [each for each in tokens if is_secret_of(each.secret, token)]
    if not found or utc_ms is None or utc_ms >= found[0].expires_utc_ms:
        return None
    return found[0]


def with_uses(tokens: Sequence[TokenRecord], uses: Mapping[str, int]) -> tuple[TokenRecord, ...]:
    """Return the tokens with the day of their last use: whole days, so that use does not wear the card.

    Args:
        tokens: The tokens.
        uses: When tokens were used, by name, in UTC.
    """
    return tuple(
        msgspec.structs.replace(each, used_utc_ms=used - used % DAY_MS)
        if (used := uses.get(each.name)) is not None
        else each
        for each in tokens
    )
