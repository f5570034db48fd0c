"""One bad element costs only itself, and no bytes make the splitting raise anything but `DecodeError`."""

import json
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.foundation.lenient_json import (
    NESTING_MAX,
    Undecodable,
    decode_object,
    decode_value,
    nesting_depth,
    split_array,
    split_object,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)

BAD = [
    b'"Kueche \\ud83c"',
    b"1e999",
    b"-1e999",
    b"1" * 5000,
    b"99999999999999999999999",
    b'"\xff\xfe"',
    b'"\\q"',
    b'"a\nb"',
    b"NaN",
    b"01",
    b"nul",
    b"[" * 900 + b"]" * 900,
    b'{"a":' * 3000 + b"1" + b"}" * 3000,
]


@pytest.mark.parametrize("bad", BAD)
def test_bad_array_element_is_dropped_alone(bad: bytes) -> None:
    first, second, third = split_array(b'[ {"id":"a"} , ' + bad + b',{"id":"b"}]')
    assert (decode_value(first), decode_value(third)) == ({"id": "a"}, {"id": "b"})
    assert isinstance(decode_value(second), Undecodable)


@pytest.mark.parametrize("bad", BAD)
def test_bad_object_member_is_dropped_alone(bad: bytes) -> None:
    found = decode_object(b'{"a": 1, "b" : ' + bad + b' , "c": "\\u00e9"}')
    assert (found["a"], found["c"]) == (1, "é")
    assert isinstance(found["b"], Undecodable)
    assert found["b"].reason


def test_a_name_that_cannot_be_read_is_left_out() -> None:
    assert decode_object(b'{"\\ud83c":1,"b":2}') == {"b": 2}


def test_last_of_duplicate_members_counts() -> None:
    assert decode_object(b'{"a":1,"a":2}') == {"a": 2}


def test_nesting_up_to_the_limit_is_read() -> None:
    assert decode_value(b"[" * NESTING_MAX + b"]" * NESTING_MAX) != []
    assert isinstance(decode_value(b"[" * (NESTING_MAX + 1) + b"]" * (NESTING_MAX + 1)), Undecodable)
    assert decode_value(b'"' + b"[" * 100 + b'"') == "[" * 100


@pytest.mark.parametrize(
    "cut",
    [b"", b"[", b"[1", b'["', b'["]', b"[1}", b"[[1]", b"[1] 2", b"[1,]", b"[,1]", b"{}", b"1", b"null", b"]", b"[{]}"],
)
def test_document_that_is_no_array_is_refused(cut: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        split_array(cut)


@pytest.mark.parametrize(
    "cut", [b"", b"{", b'{"a"', b'{"a"}', b'{"a":1,}', b"{1:2}", b"{a:1}", b"[]", b'"a"', b'{"a":1}}']
)
def test_document_that_is_no_object_is_refused(cut: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        split_object(cut)


@given(st.lists(JSON, max_size=6), st.sampled_from([None, 1]))
def test_array_equals_the_result_of_a_strict_decoder(document: list[object], indent: int | None) -> None:
    data = json.dumps(document, ensure_ascii=False, indent=indent).encode("utf-8", "surrogatepass")
    assert [decode_value(element) for element in split_array(data)] == document


@given(st.dictionaries(st.text(), JSON, max_size=6))
def test_object_equals_the_result_of_a_strict_decoder(document: dict[str, object]) -> None:
    assert decode_object(json.dumps(document).encode()) == document


@given(st.binary() | st.text(alphabet='[]{}",:\\ 1a\n').map(str.encode))
def test_any_bytes_raise_decode_errors_only(data: bytes) -> None:
    for split in (split_array, decode_object):
        try:
            split(data)
        except msgspec.DecodeError:
            continue


def test_text_full_of_escapes_takes_little_memory() -> None:
    document = b'{"a": "' + rb"\n" * 100_000 + b'", "b": "\xff"} '
    tracemalloc.start()
    try:
        assert nesting_depth(document) == 1
        assert tracemalloc.get_traced_memory()[1] < 3 * len(document)
    finally:
        tracemalloc.stop()
