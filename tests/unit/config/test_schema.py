"""A key is declared once, on the field that holds its value; the list of keys and the struct follow from that."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import msgspec
import pytest

from agent.config.schema import Key, build, key, keys_of, table, tables_of
from agent.config.types import NotAllowed, file_path, integer, text


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    place: Annotated[Path, key("where it is", file_path())] = Path("/there")
    word: Annotated[Literal["a", "b"], key("which", is_chosen=True)] = "a"
    is_on: Annotated[bool, key("whether")] = False
    names: Annotated[tuple[str, ...], key("who", text("a name"))] = ()


class Root(msgspec.Struct, frozen=True, kw_only=True):
    count: Annotated[int, key("how many", integer(1, 9, "things"), example=3)]
    rest: Annotated[str | None, key("what else", text("a word"), example="x")] = None
    inner: Annotated[Inner, table("What is inside.")]
    entries: Annotated[Mapping[str, str], table("By name.", {"one": key("the first", text("a word"), example="y")})]


def test_keys_and_tables_come_in_the_order_of_the_fields() -> None:
    assert [each.path for each in keys_of(Root)] == [
        "count", "rest", "inner.place", "inner.word", "inner.is_on", "inner.names", "entries.one",
    ]  # fmt: skip
    assert dict(tables_of(Root)) == {"inner": "What is inside.", "entries": "By name."}


def test_the_default_of_the_field_is_that_of_the_key_as_toml_writes_it() -> None:
    keys: dict[str, Key] = {each.path: each for each in keys_of(Root)}
    assert {path: each.default for path, each in keys.items()} == {
        "count": None, "rest": None, "inner.place": "/there", "inner.word": "a", "inner.is_on": False,
        "inner.names": [], "entries.one": None,
    }  # fmt: skip
    assert [path for path, each in keys.items() if each.is_required] == ["count"]
    assert [path for path, each in keys.items() if each.is_chosen] == ["inner.word"]
    assert (keys["count"].type.unit, keys["count"].example) == ("things", 3)
    assert (keys["inner.word"].section, keys["inner.word"].name) == ("inner", "word")


def test_the_type_of_a_choice_or_boolean_follows_from_the_field() -> None:
    keys = {each.path: each.type for each in keys_of(Root)}
    assert keys["inner.word"].read("b") == "b"
    assert keys["inner.is_on"].read(True) is True
    for path in ("inner.word", "inner.is_on"):
        with pytest.raises(NotAllowed):
            keys[path].read("c")


def test_key_without_a_type_raises() -> None:
    class Wrong(msgspec.Struct):
        count: Annotated[int, key("how many")] = 1

    with pytest.raises(TypeError, match="type of values"):
        list(keys_of(Wrong))


def test_the_struct_is_made_of_values_by_path() -> None:
    values = {"count": 2, "rest": None, "inner.place": Path("/x"), "inner.word": "b", "inner.is_on": True}
    root = build(Root, {**values, "inner.names": ("n",), "entries.one": None})
    assert root == Root(
        count=2, inner=Inner(place=Path("/x"), word="b", is_on=True, names=("n",)), entries=MappingProxyType({})
    )
    assert build(Root, {**values, "inner.names": (), "entries.one": "1"}).entries == {"one": "1"}
