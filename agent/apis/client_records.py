"""Credentials of API clients: how one is made, checked and found. Pure.

A secret has 160 bits, is shown once, and only its hash is stored. While the hub does not know the time, a credential
that expires is not valid: whether it has cannot be told.
"""

import re
from collections.abc import Sequence

import msgspec

from agent.apis.catalog import APIS, ApiSpec
from agent.apis.face import ApiClient
from agent.errors import SettingInvalid
from agent.foundation import rfc3339
from agent.foundation.secret_hash import NO_SECRET, RandomBytes, SecretHash, base32, hash_secret, is_secret_of
from agent.foundation.text import quote

CLIENTS_MAX = 32
ZONES_MAX = 16
"""Zones in one credential; as many as a hub may have, and more."""
DAY_MS = 86_400_000
DAYS_MAX = 3660
"""Ten years; a credential may also have no end."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")

SECRET_CHARACTERS_MAX = 100
"""Longer text is no secret of ours."""

ID_PREFIX = "acc_"
_ID_BYTES = 10
"""80 bits: an id is never given twice, so the token of a revoked client names nobody."""
_SECRET_BYTES = 20


class ClientRecord(msgspec.Struct, frozen=True):
    """What is stored of a client.

    Attributes:
        client: Who it is and what it may do.
        secret: The hash of its secret.
        made_utc_ms: When it was made; `None` where the time was not known.
        expires_utc_ms: From when on it is not valid; `None` for never.
    """

    client: ApiClient
    secret: SecretHash
    made_utc_ms: int | None = None
    expires_utc_ms: int | None = None

    def is_valid_at(self, utc_ms: int | None) -> bool:
        """Tell whether the client may ask now."""
        return self.expires_utc_ms is None or (utc_ms is not None and utc_ms < self.expires_utc_ms)


class NewClient(msgspec.Struct, frozen=True):
    """What is asked of a new client; see `ClientRequest` of `agent.local.api_clients`."""

    api: str
    name: str
    scopes: tuple[str, ...] = ()
    tier: str = ""
    zones: tuple[str, ...] = ()
    days: int | None = None
    is_test: bool = False


def new_client(
    wanted: NewClient, *, zones: Sequence[str], utc_ms: int | None, random_bytes: RandomBytes
) -> tuple[str, ClientRecord]:
    """Return the secret of a new client, which is shown once, and its record.

    Args:
        wanted: What it is to be. Without scopes it gets all of the API, without a tier the first.
        zones: The ids of the hub's zones.
        utc_ms: The time; `None` while it is unknown.
        random_bytes: Makes secret and id.

    Raises:
        SettingInvalid: Something of it cannot be.
    """
    spec = _spec_of(wanted)
    if wanted.days is not None and utc_ms is None:
        raise SettingInvalid("leave out the days, or wait until the hub knows the time: a credential expires by date")
    expires_utc_ms = None if wanted.days is None or utc_ms is None else utc_ms + wanted.days * DAY_MS
    if expires_utc_ms is not None and not rfc3339.is_plausible(expires_utc_ms):
        raise SettingInvalid(f"check the clock: the credential would expire at a time that is not {rfc3339.BOUNDS}")
    if unknown := [zone for zone in wanted.zones if zone not in zones]:
        raise SettingInvalid(f"choose zones of this hub ({', '.join(zones) or 'it has none'}): not {quote(unknown[0])}")
    client = ApiClient(
        ID_PREFIX + base32(random_bytes(_ID_BYTES)).lower(),
        wanted.name,
        wanted.api,
        tuple(dict.fromkeys(wanted.scopes)) or spec.scopes,
        wanted.tier or next(iter(spec.tiers), ""),
        tuple(dict.fromkeys(wanted.zones)),
        wanted.is_test,
    )
    prefix = spec.test_secret_prefix if wanted.is_test else spec.secret_prefix
    secret = prefix + base32(random_bytes(_SECRET_BYTES)).lower()
    return secret, ClientRecord(client, hash_secret(secret, random_bytes), utc_ms, expires_utc_ms)


def _spec_of(wanted: NewClient) -> ApiSpec:
    """Return the API of a new client.

    Raises:
        SettingInvalid: There is none of that name, or it does not know what is wanted.
    """
    spec = APIS.get(wanted.api)
    if spec is None:
        raise SettingInvalid(f"choose one of {', '.join(APIS)}: {quote(wanted.api)} is no API of this hub")
    if not NAME.fullmatch(wanted.name):
        raise SettingInvalid(f"choose a name of 1 to 32 letters, digits, dots, dashes: {quote(wanted.name)} is none")
    if unknown := [scope for scope in wanted.scopes if scope not in spec.scopes]:
        known = ", ".join(spec.scopes) or f"{spec.title} has none"
        raise SettingInvalid(f"choose scopes of this API ({known}): not {quote(unknown[0])}")
    if wanted.tier and wanted.tier not in spec.tiers:
        known = ", ".join(spec.tiers) or f"{spec.title} has none"
        raise SettingInvalid(f"choose a tier of this API ({known}): not {quote(wanted.tier)}")
    if wanted.is_test and not spec.test_secret_prefix:
        raise SettingInvalid(f"leave out test: {spec.title} has no test credentials")
    if wanted.days is not None and not 1 <= wanted.days <= DAYS_MAX:
        raise SettingInvalid(f"choose 1 to {DAYS_MAX} days: {wanted.days} is out of range")
    if len(wanted.zones) > ZONES_MAX:
        raise SettingInvalid(f"choose at most {ZONES_MAX} zones")
    return spec


def with_client(records: Sequence[ClientRecord], made: ClientRecord) -> tuple[ClientRecord, ...]:
    """Return the records with a new one.

    Raises:
        SettingInvalid: The API has one of that name, or there are as many as there may be.
    """
    client = made.client
    if any((each.client.api, each.client.name) == (client.api, client.name) for each in records):
        raise SettingInvalid(f"choose another name, or revoke {client.name} first: it exists")
    if len(records) >= CLIENTS_MAX:
        raise SettingInvalid(f"revoke a client first: there are {CLIENTS_MAX}, as many as there may be")
    return (*records, made)


def without_client(records: Sequence[ClientRecord], client_id: str) -> tuple[ClientRecord, ...]:
    """Return the records without one."""
    return tuple(each for each in records if each.client.client_id != client_id)


def find_by_secret(records: Sequence[ClientRecord], api: str, secret: str, utc_ms: int | None) -> ClientRecord | None:
    """Return the valid record of a secret; `None` where it is unknown, expired or another API's.

    Every record of the API is compared, so that the time tells nothing.
    """
    if len(secret) > SECRET_CHARACTERS_MAX:
        return None
    found = [each for each in records if each.client.api == api and is_secret_of(each.secret, secret)]
    return found[0] if found and found[0].is_valid_at(utc_ms) else None


def find_by_id(
    records: Sequence[ClientRecord], api: str, client_id: str, secret: str, utc_ms: int | None
) -> ClientRecord | None:
    """Return the valid record of an id whose secret is right; `None` otherwise.

    A secret is compared for an unknown id too, so that the time does not tell which ids exist.
    """
    found = next((each for each in records if (each.client.api, each.client.client_id) == (api, client_id)), None)
    is_right = is_secret_of(found.secret if found else NO_SECRET, secret[:SECRET_CHARACTERS_MAX])
    return found if found and is_right and len(secret) <= SECRET_CHARACTERS_MAX and found.is_valid_at(utc_ms) else None
