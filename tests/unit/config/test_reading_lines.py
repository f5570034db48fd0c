"""The line of each key of a TOML text."""

import tomllib
from collections.abc import Iterator
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from agent.config.reading import key_lines

DOCUMENT = """\
# comment with [brackets] = and "quotes"
top = 1
"quo.ted" = 2  # line 3
a.b.'c d' = "x # no comment"

[table]
text = \"\"\"
fake = 1
[fake]\"\"\"\"
literal = '''
fake = 2''\\\\'''
inline = { x = 1, y = { z = "}" }, "s.t".u = [1] }
list = [
  1, # one ]
  { deep = 1979-05-27 07:32:00, other = [
    [], [2] ] },
]
after = "\\"]"

[table.sub . "key"]
k = 1

[[items]]
n = 1
[items.detail]
n = 2
[[items]]
n = 3
[[items.parts]]
n = 4
[[items.parts]]
n = 5
[a.other]
z = 1
"""


def test_every_kind_of_key_has_its_line() -> None:
    tomllib.loads(DOCUMENT)
    expected = {
        ("top",): 2,
        ("quo.ted",): 3,
        ("a",): 4,
        ("a", "b"): 4,
        ("a", "b", "c d"): 4,
        ("table",): 6,
        ("table", "text"): 7,
        ("table", "literal"): 10,
        ("table", "inline"): 12,
        ("table", "inline", "x"): 12,
        ("table", "inline", "y"): 12,
        ("table", "inline", "y", "z"): 12,
        ("table", "inline", "s.t"): 12,
        ("table", "inline", "s.t", "u"): 12,
        ("table", "inline", "s.t", "u", 0): 12,
        ("table", "list"): 13,
        ("table", "list", 0): 14,
        ("table", "list", 1, "deep"): 15,
        ("table", "list", 1, "other"): 15,
        ("table", "list", 1, "other", 1, 0): 16,
        ("table", "after"): 18,
        ("table", "sub"): 20,
        ("table", "sub", "key"): 20,
        ("table", "sub", "key", "k"): 21,
        ("items",): 23,
        ("items", 0): 23,
        ("items", 0, "n"): 24,
        ("items", 0, "detail"): 25,
        ("items", 0, "detail", "n"): 26,
        ("items", 1): 27,
        ("items", 1, "n"): 28,
        ("items", 1, "parts"): 29,
        ("items", 1, "parts", 0): 29,
        ("items", 1, "parts", 0, "n"): 30,
        ("items", 1, "parts", 1): 31,
        ("items", 1, "parts", 1, "n"): 32,
        ("a", "other"): 33,
        ("a", "other", "z"): 34,
    }
    assert key_lines(DOCUMENT) == expected


def leaves(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, (*path, name))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from leaves(item, (*path, position))
    else:
        yield path


ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)
SCALARS = (
    st.integers(-(2**63), 2**63 - 1).map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.sampled_from(["true", "07:32:00", "1979-05-27 07:32:00Z", "'''\n#'''''", '"""\n\\""""""', "0x1F", "inf"])
    | ASCII.map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
    | ASCII.map(lambda text: "'" + text.replace("'", "") + "'")
)
BARE = st.text("abcdef-_1", min_size=1, max_size=3)
KEYS = BARE | ASCII.map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[ # ]\n" + ", # ,\n".join(items) + " ]")
        | st.dictionaries(BARE, inner, max_size=3).map(
            lambda table: "{ " + ", ".join(f"{key} = {value}" for key, value in table.items()) + " }"
        )
    ),
    max_leaves=6,
)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_every_leaf_of_any_document_has_the_line_of_its_key(table: dict[str, str]) -> None:
    text, expected = "", {}
    for key, value in table.items():
        name = next(iter(tomllib.loads(f"{key} = 0")))
        if name in expected:  # a bare key and a quoted one may be the same
            continue
        expected[name] = text.count("\n") + 1
        text += f"{key} = {value}\n"
    lines = key_lines(text)
    document = tomllib.loads(text)
    assert set(leaves(document)) <= set(lines)
    assert {name: lines[name,] for name in document} == expected


@given(st.text(st.sampled_from("a=[]{},\"'#\n\\.1 "), max_size=30))
def test_invalid_toml_never_hangs(text: str) -> None:
    with suppress(ValueError):
        key_lines(text)
