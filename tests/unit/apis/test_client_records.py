import os

import msgspec
import pytest

from agent.apis.client_records import (
    CLIENTS_MAX,
    DAY_MS,
    DAYS_MAX,
    SECRET_CHARACTERS_MAX,
    ZONES_MAX,
    ClientRecord,
    NewClient,
    find_by_id,
    find_by_secret,
    new_client,
    with_client,
    without_client,
)
from agent.apis.clients import ClientSet
from agent.errors import SettingInvalid
from agent.foundation.lenient_json import decode_leniently

NOW_MS = 1_790_000_000_000
ZONES = ("living", "bath")


def make(api: str = "aurra_home", name: str = "one", **changes: object) -> tuple[str, ClientRecord]:
    wanted = msgspec.structs.replace(NewClient(api, name), **changes)
    return new_client(wanted, zones=ZONES, utc_ms=NOW_MS, random_bytes=os.urandom)


def test_a_client_has_everything_of_its_api_unless_it_is_narrowed() -> None:
    secret, made = make()
    assert secret.startswith("sk_live_")
    assert made.client.scopes == ("diagnostics:read", "alerts:write", "energy:read", "comfort:write")
    assert made.client.tier == "standard"
    assert made.client.may_see("living")
    _, narrow = make(scopes=("comfort:write",), tier="enterprise", zones=("bath",))
    assert narrow.client.scopes == ("comfort:write",)
    assert narrow.client.tier == "enterprise"
    assert narrow.client.may_see("bath")
    assert not narrow.client.may_see("living")


def test_a_secret_is_found_only_at_its_own_api_and_is_not_stored() -> None:
    secret, made = make()
    _, other = make("amps")
    records = (made, other)
    assert find_by_secret(records, "aurra_home", secret, NOW_MS) == made
    assert find_by_secret(records, "amps", secret, NOW_MS) is None
    assert find_by_secret(records, "aurra_home", secret + "x", NOW_MS) is None
    assert find_by_secret(records, "aurra_home", "", NOW_MS) is None
    assert secret.encode() not in msgspec.json.encode(ClientSet(records))


def test_an_id_needs_its_own_secret() -> None:
    secret, made = make()
    other_secret, other = make(name="two")
    records = (made, other)
    assert find_by_id(records, "aurra_home", made.client.client_id, secret, NOW_MS) == made
    assert find_by_id(records, "aurra_home", made.client.client_id, other_secret, NOW_MS) is None
    assert find_by_id(records, "amps", made.client.client_id, secret, NOW_MS) is None
    assert find_by_id(records, "aurra_home", "acc_unknown", "", NOW_MS) is None


def test_a_test_client_is_recognised_by_its_secret() -> None:
    secret, made = make("amps", is_test=True)
    assert secret.startswith("amps_sk_test_")
    assert made.client.is_test
    assert make("amps")[0].startswith("amps_sk_live_")


def test_a_client_that_expires_needs_the_time() -> None:
    secret, made = make(days=1)
    ends_ms = NOW_MS + DAY_MS
    assert find_by_secret((made,), "aurra_home", secret, ends_ms - 1)
    assert find_by_secret((made,), "aurra_home", secret, ends_ms) is None
    assert find_by_secret((made,), "aurra_home", secret, None) is None
    with pytest.raises(SettingInvalid, match="leave out the days"):
        new_client(NewClient("amps", "x", days=1), zones=ZONES, utc_ms=None, random_bytes=os.urandom)
    secret, made = new_client(NewClient("amps", "x"), zones=ZONES, utc_ms=None, random_bytes=os.urandom)
    assert find_by_secret((made,), "amps", secret, None) == made


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"api": "nest"}, "choose one of aurra_home"),
        ({"name": ""}, "choose a name"),
        ({"name": "a b"}, "choose a name"),
        ({"scopes": ("root",)}, "choose scopes"),
        ({"tier": "gold"}, "choose a tier"),
        ({"zones": ("attic",)}, "choose zones of this hub \\(living, bath\\)"),
        ({"zones": ("bath",) * (ZONES_MAX + 1)}, "at most 16 zones"),
        ({"is_test": True}, "leave out test"),
        ({"days": 0}, "choose 1 to"),
        ({"days": DAYS_MAX + 1}, "choose 1 to"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(changes: dict[str, object], message: str) -> None:
    wanted = msgspec.structs.replace(NewClient("aurra_home", "one"), **changes)
    with pytest.raises(SettingInvalid, match=message):
        new_client(wanted, zones=ZONES, utc_ms=NOW_MS, random_bytes=os.urandom)


def test_names_are_unique_within_an_api_and_clients_are_limited() -> None:
    records: tuple[ClientRecord, ...] = (make()[1],)
    with pytest.raises(SettingInvalid, match="choose another name"):
        with_client(records, make()[1])
    records = with_client(records, make("amps")[1])
    while len(records) < CLIENTS_MAX:
        records = with_client(records, make(name=f"n{len(records)}")[1])
    with pytest.raises(SettingInvalid, match="revoke a client first"):
        with_client(records, make(name="last")[1])
    assert len(without_client(records, records[3].client.client_id)) == CLIENTS_MAX - 1


def test_a_long_text_is_no_secret() -> None:
    _, made = make()
    assert find_by_secret((made,), "aurra_home", "x" * (SECRET_CHARACTERS_MAX + 1), NOW_MS) is None


def test_the_file_is_read_as_it_was_written() -> None:
    stored = ClientSet((make(zones=("bath",))[1], make("amps", is_test=True, days=3)[1]))
    assert decode_leniently(msgspec.json.encode(stored), ClientSet) == (stored, [])
