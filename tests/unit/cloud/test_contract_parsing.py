"""Answers of the cloud, read member by member: what is wrong is named, and costs nothing else."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cloud import contract
from agent.foundation.lenient_json import Undecodable


@pytest.mark.parametrize(
    ("body", "accepted"),
    [(b"", None), (b'{"accepted":3}', 3), (b'{"accepted":3.0}', 3), (b'{"accepted":0,"x":1e999}', 0)],
)
def test_accepted_count_is_parsed(body: bytes, accepted: int | None) -> None:
    assert contract.parse_accepted_count(body) == accepted


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("3.5", "3.5"),
        ('"3"', '"3"'),
        ("true", "true"),
        ("-1", "-1"),
        ("null", "null"),
        ("1e999", "unreadable (Number out of range)"),
    ],
)
def test_invalid_accepted_count_is_reported(said: str, shown: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        contract.parse_accepted_count(f'{{"accepted":{said}}}'.encode())
    assert str(caught.value) == f"accepted is {shown}; a whole number is needed"


def test_each_command_is_parsed_alone() -> None:
    assert contract.parse_pending_commands(b"") == []
    assert contract.parse_pending_commands(b'{"more":1,"commands":[]}') == []
    assert contract.parse_pending_commands(b'{"commands":[{"x":"\\ud83c"}, 1e999,{"y":1}]}') == [
        b'{"x":"\\ud83c"}',
        b"1e999",
        b'{"y":1}',
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"commands":null}',
        b'{"commands":{}}',
        b'{"commands":[1,]}',
        b"[]",
        b"null",
        b"<html>",
        b'{"commands":[{}',
    ],
)
def test_invalid_listing_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        contract.parse_pending_commands(body)


def test_each_setting_is_parsed_alone() -> None:
    assert contract.parse_settings(b"") == {}
    assert contract.parse_settings(b'{"a":1,"b":"\\ud83c","c":[true]}') == {
        "a": 1,
        "b": Undecodable("Input data was truncated"),
        "c": [True],
    }


def test_update_offer_is_parsed() -> None:
    assert contract.parse_update_check(b"") == contract.UpdateCheckResponse(update_available=False)
    assert contract.parse_update_check(b'{"update_available":false,"version":7}') == contract.UpdateCheckResponse(
        update_available=False
    )
    assert contract.parse_update_check(
        b'{"update_available":true,"version":"1.2.0","checksum":null,"size_bytes":5.0,"release_notes":7}'
    ) == contract.UpdateCheckResponse(update_available=True, version="1.2.0", size_bytes=5)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('"version":7', "version is 7; a printable text is needed"),
        ('"version":"1.0\\n"', r"version is .*; a printable text is needed"),
        ('"checksum":[]', r"checksum is \[\]; a printable text is needed"),
        ('"size_bytes":"5"', 'size_bytes is "5"; a whole number is needed'),
        ('"size_bytes":5.5', "size_bytes is 5.5; a whole number is needed"),
        ('"update_available":"yes"', 'update_available is "yes"; true or false is needed'),
    ],
)
def test_invalid_offer_is_refused_with_the_field(more: str, words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        contract.parse_update_check(f'{{"update_available":true,{more}}}'.encode())


def test_registration_is_parsed() -> None:
    assert contract.parse_registration(b'{"sensor_id":"s-1","serial_number":12345}') == contract.RegisterResponse("s-1")
    assert contract.parse_registration(
        b'{"sensor_id":"s-1","serial_number":"a\\u001b","registered":false}'
    ) == contract.RegisterResponse("s-1", registered=False, serial_number="a\\u001b")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"sensor_id":""}',
        b'{"sensor_id":7}',
        b'{"sensor_id":"a\\nb"}',
        b'{"sensor_id":"' + b"x" * 300 + b'"}',
    ],
)
def test_registration_without_identity_is_refused_with_the_field(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError, match="sensor_id is"):
        contract.parse_registration(body)


@pytest.mark.parametrize(
    "read",
    [
        contract.parse_accepted_count,
        contract.parse_settings,
        contract.parse_pending_commands,
        contract.parse_acknowledgement,
        contract.parse_update_check,
        contract.parse_registration,
        contract.parse_error,
    ],
)
@given(
    data=st.binary()
    | st.text(alphabet='[]{}",:\\ 1aeu').map(str.encode)
    | st.dictionaries(st.text(), st.text() | st.floats() | st.none()).map(msgspec.json.encode)
)
def test_no_bytes_raise_anything_but_decode_error(read: Callable[[bytes], Any], data: bytes) -> None:
    try:
        read(data)
    except msgspec.DecodeError:
        return
