"""Reads the page's scripts for its tests: the static markup of `html` templates, string literals, keys of texts."""

import re
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).parents[2] / "agent" / "port" / "page"
HOLE = "\x00"
"""Stands in a template where an expression was."""


def scripts() -> list[Path]:
    """The page's own scripts."""
    return sorted(PAGE.glob("*.js"))


def html_templates(source: str) -> Iterator[str]:
    """The static part of each `html` template, with `HOLE` for each expression; a template in one comes by itself."""
    for kind, text in _pieces(source):
        if kind == "html":
            yield text


def strings(source: str) -> Iterator[str]:
    """Each string and plain template of the code, with `HOLE` for each expression."""
    for kind, text in _pieces(source):
        if kind == "string":
            yield text


def keys(source: str) -> Iterator[tuple[str, bool]]:
    """Each key of a text that the source names, and whether it is only the beginning of one."""
    for match in re.finditer(r'\b(tn?)\(\s*(?:"([^"]+)"|`([^`]*)`)', source):
        if match[2]:
            yield from (
                ((match[2], False),) if match[1] == "t" else ((f"{match[2]}.one", False), (f"{match[2]}.other", False))
            )
        else:
            yield match[3].partition("${")[0], True
    for match in re.finditer(r'\bword\(\s*"([^"]+)"', source):
        yield f"{match[1]}.", True


def _pieces(source: str) -> Iterator[tuple[str, str]]:
    """Yield ("html" or "string", text). Knows no regular expressions: the page has none with quotes."""
    at = 0
    while at < len(source):
        if source.startswith("//", at) and source[max(0, at - 1)] != ":":
            at = source.find("\n", at) % (len(source) + 1)
        elif source[at] == '"':
            end = at + 1
            while source[end] != '"':
                end += 2 if source[end] == "\\" else 1
            yield "string", source[at + 1 : end]
            at = end + 1
        elif source[at] == "`":
            kind = "html" if source[:at].endswith("html") else "string"
            end, text, expressions = _template(source, at + 1)
            yield kind, text
            for expression in expressions:
                yield from _pieces(expression)
            at = end
        else:
            at += 1


def _template(source: str, at: int) -> tuple[int, str, list[str]]:
    """Return the position behind a template, its static text, and its expressions."""
    text, expressions = "", []
    while source[at] != "`":
        if source.startswith("${", at):
            end = _end_of_expression(source, at + 2)
            expressions.append(source[at + 2 : end])
            text += HOLE
            at = end + 1
        else:
            text += source[at]
            at += 1
    return at + 1, text, expressions


def _end_of_expression(source: str, at: int) -> int:
    depth = 0
    while depth or source[at] != "}":
        if source[at] == "`":
            at = _template(source, at + 1)[0]
            continue
        depth += {"{": 1, "}": -1}.get(source[at], 0)
        at += 1
    return at
