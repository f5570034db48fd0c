"""One bad element of a file costs only itself; a file of another kind is not read at all."""

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.foundation.lenient_json import decode_leniently


class Leaf(msgspec.Struct, frozen=True):
    name: str
    size: int = 0


class Branch(msgspec.Struct, frozen=True):
    leaves: tuple[Leaf, ...] = ()
    best: Leaf | None = None
    note: str = ""


class Tree(msgspec.Struct, frozen=True):
    version: int = 1
    branches: Mapping[str, Branch] = {}


def test_valid_document_is_read_unchanged() -> None:
    tree = Tree(2, {"a": Branch((Leaf("x"),), Leaf("y", 5), "n")})
    assert decode_leniently(msgspec.json.encode(tree), Tree) == (tree, [])


def test_bad_parts_are_dropped_and_named() -> None:
    data = b"""{"version":1,"branches":{
        "a":{"leaves":[{"name":"x"},{"name":5},{"size":1},{"name":"w","size":"z"}],"best":{"name":"y","size":"z"},"note":7},
        "b\\u001b":5,
        "c":{"note":"good"}}}"""
    tree, lost = decode_leniently(data, Tree)
    assert tree == Tree(1, {"a": Branch((Leaf("x"),), Leaf("y")), "c": Branch(note="good")})
    assert lost == [
        "branches.a.leaves[1] (Expected `str`, got `int`)",
        "branches.a.leaves[2] (Object missing required field `name`)",
        "branches.a.leaves[3] (Expected `int`, got `str`)",
        "branches.a.best.size (Expected `int`, got `str`)",
        "branches.a.note (Expected `str`, got `int`)",
        "branches.b\\u001b (an object is needed)",
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b'{"version":"1"}',
        b'{"branches":5}',
        b'{"branches":{"a":5}}',
        b'{"branches":{"a":{}}',
        b"\xff",
    ],
)
def test_document_of_another_type_is_refused(data: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        decode_leniently(data, Tree)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["branches", "a", "leaves", "best", "name"]), inner)
    ),
)


@given(JSON.map(msgspec.json.encode) | st.binary())
def test_result_is_always_valid(data: bytes) -> None:
    try:
        tree, _ = decode_leniently(data, Tree)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    assert msgspec.json.decode(msgspec.json.encode(tree), type=Tree) == tree
