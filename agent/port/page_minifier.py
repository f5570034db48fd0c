"""Takes out of the page's files what no browser needs: comments, indentation, line ends and space. Pure.

Keeps the sources readable without a build step. Must change no text and no markup. Scripts have no
comment with a quote behind code (`tests/unit/test_page.py`).
"""

import re
from collections.abc import Iterator, Mapping

import msgspec

_NOT_SENT = re.compile(rb"^[ \t]*//.*\n|^/\*.*\*/\n|^[ \t]*\n|^[ \t]+", re.MULTILINE)
"""Safe while no text of the page spans lines: markup joins white space, and the scripts have no other templates."""

_JS_LINE_END = re.compile(rb"(?<=[;{,]) // [^\"`\n]*\n|(?<=[;{,(\[>])\n|\n(?=[})\]<])")
"""Comments behind code, and line ends that neither a script nor markup needs."""

_JS_SPACE = re.compile(r" ?(=>|===|!==|&&|\|\||\?\?|[=?:,;{}()<>]) ?")
"""Around these a space means nothing."""

_JS_ARITHMETIC = re.compile(r"(?<=[\w)\]]) ([-+*%]) (?=[\w(])")
"""Between names, numbers and brackets only: `a + +b` is not `a++b`."""

_JS_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"|(?<=[(=,:?&|!])\s*/(?!\*)(?:[^/\\\[]|\\.|\[(?:[^\]\\]|\\.)*\])+/')
"""A text, or a regular expression: only what cannot be divided stands before one."""

_TEMPLATE_TEXT = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*(?:`|\$\{)", re.DOTALL)

_JS_ENDS = re.compile(r"[;,](?=\})|,(?=[\])])")
"""A semicolon or comma that a bracket makes needless. No statement of the page is empty, so none ends with one."""

_CLOSING_TAG = re.compile(r"</\$\{\w+\}>")
"""htm closes the innermost component with `<//>` too."""

_QUOTED = re.compile(r"(?<=\s)([\w-]+=)\"([\w-]+)\"(?=[\s/>])| (?=/>)")
"""Quotes around one word, and the space before the end of a tag: markup that htm reads the same without."""

_CSS_SPACE = re.compile(rb"[\s;]*(\})\s*|\s*([{;>])\s*|([:,])\s+")
"""Space, and a semicolon before a brace. No text of the style sheet has one of these."""


def as_sent(content: bytes, suffix: str, *, is_catalogue: bool = False) -> bytes:
    """Return a file of our own without comment lines, empty lines, indentation and other space that means nothing.

    Args:
        content: The file.
        suffix: Of its name.
        is_catalogue: It has texts by "group.name", which are sent by group.
    """
    if suffix == ".json":
        document = msgspec.json.decode(content)
        return msgspec.json.encode(grouped(document) if is_catalogue else document)
    content = _NOT_SENT.sub(b"", content)
    match suffix:
        case ".css":
            return _CSS_SPACE.sub(rb"\1\2\3", content)
        case ".js":
            source = _CLOSING_TAG.sub("<//>", _JS_LINE_END.sub(b"", content).decode())
            return "".join(_piece_as_sent(text, is_code=is_code) for is_code, text in _pieces(source)).encode()
        case _:
            return content


def _piece_as_sent(piece: str, *, is_code: bool) -> str:
    """Return a piece of a script; of the others, only templates have markup."""
    if is_code:
        return _JS_ENDS.sub("", _JS_SPACE.sub(r"\1", _JS_ARITHMETIC.sub(r"\1", piece)))
    return _QUOTED.sub(r"\1\2", piece) if piece[0] in "`}" else piece


def grouped(texts: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
    """Return a catalogue of texts by the group that each key begins with: {"act.save": "Save"} as {"act": {"save": …}}.

    Sent like this, no group is named more than once; `words.js` puts the keys together again.
    """
    groups: dict[str, dict[str, str]] = {}
    for key, text in texts.items():
        group, _, name = key.partition(".")
        groups.setdefault(group, {})[name] = text
    return groups


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
