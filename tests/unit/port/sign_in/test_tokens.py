import os
import re

import pytest

from agent.errors import SettingInvalid
from agent.local.routes import Role
from agent.port.sign_in.tokens import (
    DAY_MS,
    DAYS_MAX,
    TOKEN_CHARACTERS_MAX,
    TOKENS_MAX,
    TokenRecord,
    find_token,
    new_token,
    with_token,
    with_uses,
    without_token,
)

NOW_MS = 1_795_000_000_000


def make(name: str = "metrics", role: Role = Role.VIEWER, days: int = 30) -> tuple[str, TokenRecord]:
    return new_token(name, role, days=days, utc_ms=NOW_MS, random_bytes=os.urandom)


def test_a_token_has_160_bits_and_its_record_only_its_hash() -> None:
    token, record = make()
    assert re.fullmatch(r"climahub_[0-9a-hjkmnp-tv-z]{32}", token)
    assert token.removeprefix("climahub_") not in str(record)
    assert record.expires_utc_ms == NOW_MS + 30 * DAY_MS


def test_a_valid_token_is_found() -> None:
    (one, first), (other, second) = make("a"), make("b", Role.OWNER)
    tokens = (first, second)
    assert find_token(tokens, one, NOW_MS) == first
    assert find_token(tokens, other, NOW_MS) == second
    for wrong in ("", one[:-1], one + "0", one.upper(), one + " " * TOKEN_CHARACTERS_MAX, "\ud800"):
        assert find_token(tokens, wrong, NOW_MS) is None
    assert find_token((), one, NOW_MS) is None


def test_a_token_is_valid_until_its_expiry() -> None:
    token, record = make(days=1)
    assert find_token((record,), token, NOW_MS + DAY_MS - 1) == record
    assert find_token((record,), token, NOW_MS + DAY_MS) is None


def test_no_token_is_valid_while_the_time_is_not_known() -> None:
    token, record = make()
    assert find_token((record,), token, None) is None


def test_every_record_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[object] = []

    def compare(secret: object, token: str) -> bool:
        compared.append(secret)
        return False

    monkeypatch.setattr("agent.port.sign_in.tokens.is_secret_of", compare)
    find_token(tuple(make(str(number))[1] for number in range(5)), "x", NOW_MS)
    assert len(compared) == 5


@pytest.mark.parametrize(
    ("name", "role", "days", "utc_ms", "remedy"),
    [
        ("", Role.VIEWER, 1, NOW_MS, "choose a name"),
        ("a b", Role.VIEWER, 1, NOW_MS, "choose a name"),
        ("a/b", Role.VIEWER, 1, NOW_MS, "choose a name"),
        ("-a", Role.VIEWER, 1, NOW_MS, "choose a name"),
        ("a" * 33, Role.VIEWER, 1, NOW_MS, "choose a name"),
        ("a\n", Role.VIEWER, 1, NOW_MS, "choose a name"),
        ("a", Role.PUBLIC, 1, NOW_MS, "choose the role"),
        ("a", Role.VIEWER, 0, NOW_MS, "choose 1 to 366 days"),
        ("a", Role.VIEWER, DAYS_MAX + 1, NOW_MS, "choose 1 to 366 days"),
        ("a", Role.VIEWER, 1, None, "wait until the hub knows the time"),
        ("a", Role.VIEWER, 366, 7_258_118_000_000, "check the clock"),
    ],
)
def test_what_cannot_be_a_token_is_refused(name: str, role: Role, days: int, utc_ms: int | None, remedy: str) -> None:
    with pytest.raises(SettingInvalid, match=remedy):
        new_token(name, role, days=days, utc_ms=utc_ms, random_bytes=os.urandom)


def test_names_are_unique_and_the_number_is_bounded() -> None:
    tokens: tuple[TokenRecord, ...] = ()
    for number in range(TOKENS_MAX):
        tokens = with_token(tokens, make(str(number))[1])
    with pytest.raises(SettingInvalid, match="choose another name"):
        with_token(tokens, make("3")[1])
    with pytest.raises(SettingInvalid, match="revoke a token first"):
        with_token(tokens, make("new")[1])
    tokens = without_token(tokens, "3")
    assert len(with_token(tokens, make("new")[1])) == TOKENS_MAX


def test_the_last_use_is_stored_to_the_day() -> None:
    tokens = (make("a")[1], make("b")[1])
    used = with_uses(tokens, {"b": NOW_MS, "gone": NOW_MS})
    assert used[0] == tokens[0]
    assert used[1].used_utc_ms == NOW_MS - NOW_MS % DAY_MS
    assert with_uses(used, {"b": NOW_MS + 1}) == used
