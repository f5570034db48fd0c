"""Messages of the Aqara Open API: exactly four keys, a whitelist, and batches that answer what failed."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.apis.aqara import wire
from agent.apis.aqara.wire import (
    ITEMS_MAX,
    MSG_ID_CHARACTERS_MAX,
    NESTING_MAX,
    REQUEST_TYPES,
    UNKNOWN_MSG_ID,
    Code,
    CommandItem,
    FailedItem,
    Message,
    MessageRefused,
)


def body(**changes: object) -> bytes:
    return msgspec.json.encode({"type": "GetSpacesRequest", "version": "v1", "msgId": "m", "data": None} | changes)


@pytest.mark.parametrize("kind", REQUEST_TYPES)
def test_every_listed_type_is_read(kind: str) -> None:
    assert wire.decode(body(type=kind)).type == kind


def test_data_may_be_left_out() -> None:
    message = wire.decode(b'{"type": "GetSpacesRequest", "version": "v1", "msgId": "m"}')
    assert bytes(message.data) == b"null"


@pytest.mark.parametrize(
    ("changes", "msg_id"),
    [
        ({"more": 1}, "m"),
        ({"type": 7}, "m"),
        ({"type": "GetThingsRequest"}, "m"),
        ({"version": "v2"}, "m"),
        ({"msgId": 7}, UNKNOWN_MSG_ID),
        ({"more": 1, "msgId": ""}, UNKNOWN_MSG_ID),
    ],
)
def test_refusal_names_the_message_where_that_can_be_read(changes: dict[str, object], msg_id: str) -> None:
    with pytest.raises(MessageRefused) as refused:
        wire.decode(body(**changes))
    assert refused.value.msg_id == msg_id


def test_msg_id_has_a_limit() -> None:
    assert wire.decode(body(msgId="x" * MSG_ID_CHARACTERS_MAX)).msg_id
    with pytest.raises(MessageRefused) as refused:
        wire.decode(body(msgId="x" * (MSG_ID_CHARACTERS_MAX + 1)))
    assert refused.value.msg_id == UNKNOWN_MSG_ID


def test_nesting_has_a_limit() -> None:
    deep = "[" * (NESTING_MAX - 1) + "]" * (NESTING_MAX - 1)
    assert bytes(wire.decode(body(data=msgspec.Raw(deep.encode()))).data) == deep.encode()
    with pytest.raises(MessageRefused, match="levels"):
        wire.decode(body(data=msgspec.Raw(f"[{deep}]".encode())))


@given(st.binary())
@example(b'{"type": "GetSpacesRequest", "version": "v1", "msgId": "\\ud800"}')
@example(b'{"type": "GetSpacesRequest", "version": "v1", "msgId": ""}')
@example(b'{"type": "GetSpacesRequest", "version": 1, "msgId": ""}')
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    code = Code.SUCCESS
    try:
        wire.decode(data)
    except MessageRefused as refused:
        code = refused.code
    assert code is Code.UNPARSABLE


ITEM = {"deviceId": "d", "endpointId": 2, "functionCode": "F", "traitCode": "T", "value": 1}


def test_items_are_read_each_alone() -> None:
    data = msgspec.json.encode([ITEM, {**ITEM, "endpointId": "2"}, 7, {**ITEM, "more": 1}])
    good, text_id, number, more = wire.read_items(data)
    assert good == CommandItem("d", 2, "F", "T", 1)
    assert isinstance(text_id, FailedItem)
    assert (text_id.device_id, text_id.endpoint_id, text_id.trait_code, text_id.code) == ("d", None, "T", 400)
    assert isinstance(number, FailedItem)
    assert number.device_id == ""
    assert isinstance(more, FailedItem)
    assert more.endpoint_id == 2


@pytest.mark.parametrize("data", [b"null", b"{}", b"[]", msgspec.json.encode([ITEM] * (ITEMS_MAX + 1))])
def test_batch_is_an_array_of_so_many(data: bytes) -> None:
    with pytest.raises(ValueError, match="send"):
        wire.read_items(data)
    assert len(wire.read_items(msgspec.json.encode([ITEM] * ITEMS_MAX))) == ITEMS_MAX


def failure(code: int) -> FailedItem:
    return FailedItem("d", code, "reason")


@pytest.mark.parametrize(
    ("items", "codes", "code"),
    [(1, [], 0), (2, [2030], 0), (1, [2030], 2030), (2, [2030, 2030], 2030), (2, [2030, 404], 400)],
)
def test_batch_fails_where_nothing_worked(items: int, codes: list[int], code: int) -> None:
    message = Message("ExecuteTraitRequest", "v1", "m")
    answer = wire.settled(message, items, tuple(map(failure, codes)), 400)
    assert answer.code == code
    assert answer.type == "ExecuteTraitResponse"
    assert len(answer.data) == len(codes)
    assert (answer.message is None) == (code == 0)
