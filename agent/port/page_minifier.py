"""Takes out of the page's files what no browser needs: comments, indentation, line ends and space. Pure.

Keeps the sources readable without a build step. Must change no text and no markup. Scripts have no
comment with a quote behind code (`tests/unit/test_page.py`).
"""

import re
from collections.abc import Iterator

import msgspec

_NOT_SENT = re.compile(rb"^[ \t]*//.*\n|^/\*.*\*/\n|^[ \t]*\n|^[ \t]+", re.MULTILINE)
"""Safe while no text of the page spans lines: markup joins white space, and the scripts have no other templates."""

_JS_LINE_END = re.compile(rb"(?<=[;{,]) // [^\"`\n]*\n|(?<=[;{,(\[>])\n|\n(?=[})\]<])")
"""Comments behind code, and line ends that neither a script nor markup needs."""

_JS_SPACE = re.compile(r" ?(=>|===|!==|&&|\|\||\?\?|[=?:,;{}()<>]) ?")
"""Around these a space means nothing. Those around `+` and `-` stay: `a + +b` is not `a++b`."""

_JS_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"|(?<=[(=,:?&|!])\s*/(?!\*)(?:[^/\\\[]|\\.|\[(?:[^\]\\]|\\.)*\])+/')
"""A text, or a regular expression: only what cannot be divided stands before one."""

_TEMPLATE_TEXT = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*(?:`|\$\{)", re.DOTALL)

_CSS_SPACE = re.compile(rb"[\s;]*(\})\s*|\s*([{;>])\s*|([:,])\s+")
"""Space, and a semicolon before a brace. No text of the style sheet has one of these."""


def as_sent(content: bytes, suffix: str) -> bytes:
    """Return a file of our own without comment lines, empty lines, indentation and other space that means nothing."""
    if suffix == ".json":
        return msgspec.json.encode(msgspec.json.decode(content))
    content = _NOT_SENT.sub(b"", content)
    match suffix:
        case ".css":
            return _CSS_SPACE.sub(rb"\1\2\3", content)
        case ".js":
            source = _JS_LINE_END.sub(b"", content).decode()
            pieces = (_JS_SPACE.sub(r"\1", text) if is_code else text for is_code, text in _pieces(source))
            return "".join(pieces).encode()
        case _:
            return content


def _pieces(source: str) -> Iterator[tuple[bool, str]]:
    """Yield a script piece by piece, and whether each is code; the others are texts and the texts of templates."""
    begin = at = depth = 0
    holes: list[int] = []
    """The depths at which the holes of the templates around this place were opened."""
    while at < len(source):
        character = source[at]
        if character == "`" or (character == "}" and holes[-1:] == [depth]):
            text = _TEMPLATE_TEXT.match(source, at + 1)
        else:
            text = _JS_TEXT.match(source, at)
        if text is None:
            depth += {"{": 1, "}": -1}.get(character, 0)
            at += 1
            continue
        if character == "}":
            holes.pop()
        if character in "`}" and text[0].endswith("${"):
            holes.append(depth)
        yield True, source[begin:at]
        yield False, source[at : text.end()]
        begin = at = text.end()
    yield True, source[begin:]
