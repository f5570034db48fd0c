"""Texts for people that can be translated: English text that remembers its template and its values. Pure.

A phrase is a `str`, so that everything which shows English goes on as before. Whoever sends a document adds `parts` of
its texts; whoever shows it in another language looks up the template there. msgspec encodes no `str` of a class of its
own: `plain` makes one of `str`.
"""

from collections.abc import Iterable, Mapping

import msgspec


class Template(msgspec.Struct, frozen=True):
    """How a text was made.

    Attributes:
        key: The English template with its {names}: the key of translations.
        parameters: The value of each name; a value may be a text with parts of its own.
    """

    key: str
    parameters: Mapping[str, str]


class Phrase(str):
    """A text with its template and values."""

    __slots__ = ("key", "values")

    key: str
    values: Mapping[str, str]


def phrase(template: str, /, **values: str | int) -> Phrase:
    """Return the text of a template."""
    named = {name: value if isinstance(value, str) else f"{value:,}" for name, value in values.items()}
    return respelt(template.format_map(named), template, named)


def respelt(text: str, key: str, values: Mapping[str, str]) -> Phrase:
    """Return a text that differs from its template only in what every language adds by itself, as a capital."""
    made = Phrase(text)
    made.key, made.values = key, values
    return made


def sentence(text: str) -> str:
    """Return a text as a sentence, with a capital and a full stop; a phrase stays one.

    The name of a configuration key, such as `ota.window:`, keeps its spelling at the beginning.
    """
    spelt = text.strip()
    if "_" not in (first := spelt.split(" ", 1)[0]) and "." not in first[:-1]:
        spelt = spelt[:1].upper() + spelt[1:]
    spelt = spelt if spelt.endswith((".", "!", "?")) else f"{spelt}."
    return respelt(spelt, text.key, text.values) if isinstance(text, Phrase) else spelt


def counted(number: int, one: str, many: str = "") -> Phrase:
    """Return a number with its noun, as a phrase for one and a phrase for more."""
    return phrase(f"1 {one}") if number == 1 else phrase(f"{{count}} {many or f'{one}s'}", count=number)


def listed(names: Iterable[str]) -> str:
    """Return names as a list in words: "a, b and c"."""
    *before, last = names
    return phrase("{names} and {last}", names=", ".join(before), last=last) if before else last


def plain(text: str) -> str:
    """Return a text as a `str` of no other class."""
    return str(text)


def parts(texts: Iterable[str]) -> dict[str, Template]:
    """Return the template of every phrase among the texts and their values, by its text."""
    found: dict[str, Template] = {}
    for text in texts:
        if isinstance(text, Phrase) and text not in found:
            found[plain(text)] = Template(text.key, {name: plain(value) for name, value in text.values.items()})
            found |= parts(text.values.values())
    return found
