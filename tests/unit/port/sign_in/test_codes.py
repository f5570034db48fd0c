import itertools
import os

import pytest

from agent.foundation.secret_hash import base32, hash_secret, is_secret_of
from agent.local.routes import Role
from agent.port.sign_in.codes import (
    CODE_CHARACTERS,
    TYPED_CHARACTERS_MAX,
    CodeRecord,
    make_code,
    read_code,
    role_of,
    with_code,
)

CODE = "0123456789ABCDEF"


def counting(count: int) -> bytes:
    return bytes(range(count))


def record(role: Role, code: str = CODE) -> CodeRecord:
    return CodeRecord(role, hash_secret(code, os.urandom), 1)


def test_a_code_has_80_bits_in_four_groups_of_four() -> None:
    code = make_code(counting)
    assert code == "000G-40R4-0M30-E209"
    assert int(8 * 10 / 5) == CODE_CHARACTERS == len(code.replace("-", ""))
    assert make_code(lambda count: b"\xff" * count) == "ZZZZ-ZZZZ-ZZZZ-ZZZZ"


def test_every_bit_of_the_random_source_counts() -> None:
    one_bit = ((1 << bit).to_bytes(10) for bit in range(80))
    assert len({make_code(lambda _: next(one_bit)) for _ in range(80)}) == 80


def test_codes_of_the_system_s_random_source_differ_and_use_all_characters() -> None:
    codes = [make_code(os.urandom).replace("-", "") for _ in range(500)]
    assert len(set(codes)) == 500
    assert set("".join(codes)) == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def test_base32_is_that_of_crockford() -> None:
    assert base32(b"\x00\x00\x00\x00\x01") == "00000001"
    assert base32(b"\xf8\x00\x00\x00\x1f") == "Z000000Z"


@pytest.mark.parametrize(
    "typed",
    [
        CODE,
        "0123-4567-89AB-CDEF",
        "0123-4567-89ab-cdef",
        " 0123 4567 89ab cdef \r\n",
        "O123-4567-89AB-CDEF",
        "oI23-4567-89AB-CDEF",
        "OL23-4567-89AB-CDEF",
        "0l23456789abcdef",
        "0-1-2-3-4-5-6-7-8-9-A-B-C-D-E-F",
    ],
)
def test_a_code_is_read_as_people_type_it(typed: str) -> None:
    assert read_code(typed) == CODE


@pytest.mark.parametrize(
    "typed",
    ["", "0123", CODE + "0", CODE[:-1] + "U", CODE[:-1] + "\u00e9", CODE[:-1] + "\u0660", CODE[:-1] + "\x00",
     CODE + " " * TYPED_CHARACTERS_MAX, "\ud800" * 16],
)  # fmt: skip
def test_invalid_code_is_rejected(typed: str) -> None:
    assert read_code(typed) is None


def test_a_hash_has_a_salt_of_its_own_and_knows_its_secret_only() -> None:
    one, other = hash_secret(CODE, os.urandom), hash_secret(CODE, os.urandom)
    assert one != other
    assert CODE not in str(one)
    assert is_secret_of(one, CODE)
    assert is_secret_of(other, CODE)
    assert not is_secret_of(one, CODE[:-1] + "0")
    assert not is_secret_of(one, "\ud800")


def test_the_role_is_that_of_the_code() -> None:
    codes = (record(Role.OWNER), record(Role.SERVICE, CODE[::-1]))
    assert role_of(codes, CODE) is Role.OWNER
    assert role_of(codes, CODE[::-1]) is Role.SERVICE
    assert role_of(codes, "0" * 16) is None
    assert role_of((), CODE) is None
    assert role_of((), "") is None


def test_a_record_of_the_public_role_admits_nobody() -> None:
    """Such a record can only come from a file that somebody changed."""
    assert role_of((record(Role.PUBLIC),), CODE) is None


@pytest.mark.parametrize("stored", list(itertools.product([False, True], repeat=3)))
def test_every_role_is_compared_whatever_exists(stored: tuple[bool, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def compare(secret: object, code: str) -> bool:
        compared.append(code)
        return is_secret_of(secret, code)  # type: ignore[arg-type]

    monkeypatch.setattr("agent.port.sign_in.codes.is_secret_of", compare)
    roles = (Role.VIEWER, Role.SERVICE, Role.OWNER)
    role_of([record(role) for role, exists in zip(roles, stored, strict=True) if exists], CODE)
    assert len(compared) == 3


def test_a_new_code_takes_the_place_of_its_role_s_old_one() -> None:
    codes = with_code(with_code((), record(Role.OWNER)), record(Role.VIEWER, CODE[::-1]))
    codes = with_code(codes, record(Role.OWNER, "F" * 16))
    assert len(codes) == 2
    assert role_of(codes, CODE) is None
    assert role_of(codes, "F" * 16) is Role.OWNER
    assert role_of(codes, CODE[::-1]) is Role.VIEWER
