"""Takes out of the page's files what no browser needs: comments, indentation, line ends and space. Pure.

Keeps the sources readable without a build step. Must change no text and no markup. Scripts have no
comment with a quote behind code (`tests/unit/test_page.py`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from string import ascii_letters

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

_JS_ARROW = re.compile(r"(?<![\w)\]])\((\w+)\)=>")
"""One parameter needs no brackets. `async (x) =>` keeps them."""

_JS_KEYWORD = re.compile(r"\b(from|return|import) (?=[\"`{\[]|$)")
"""What follows is no name, or begins with a quote."""

_PRIVATE = re.compile(r"^(?:const|(?:async )?function) (\w{3,})", re.MULTILINE)
"""A name that a script gives and no other script knows: it is not exported."""

_TEMPLATE_TEXT = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*(?:`|\$\{)", re.DOTALL)

_JS_ENDS = re.compile(r"[;,](?=\})|,(?=[\])])")
"""A semicolon or comma that a bracket makes needless. No statement of the page is empty, so none ends with one."""

_CLOSING_TAG = re.compile(r"</(?:\w+|\$\{\w+\})>")
"""htm reads no name in it: `</>` closes the innermost element or component too."""

_CONST = re.compile(r"\bconst (?=[\w{\[$])")
"""Sent as `let`, which is shorter: the two differ only where a script assigns again, and none does."""

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
            source = _CLOSING_TAG.sub("</>", _JS_LINE_END.sub(b"", content).decode())
            pieces = _with_short_names(list(_pieces(source)), _PRIVATE.findall(content.decode()))
            return "".join(_piece_as_sent(text, is_code=is_code) for is_code, text in pieces).encode()
        case _:
            return content


def _with_short_names(pieces: list[tuple[bool, str]], names: Sequence[str]) -> list[tuple[bool, str]]:
    """Return the pieces of a script with short names in its code. One that may be a property keeps its name.

    Args:
        pieces: See `_pieces`.
        names: Those that the script keeps to itself.
    """
    code = "\0".join(text for is_code, text in pieces if is_code)
    kept = {name for name in names if re.search(rf"(?<!\.\.)\.{name}\b|\b{name}\s*:|[{{,]\s*{name}\s*[,}}=]", code)}
    often = sorted(set(names) - kept, key=lambda name: (-len(re.findall(rf"\b{name}\b", code)), name))
    short = {name: f"${letter}" for name, letter in zip(often, ascii_letters, strict=False)}
    if not short:
        return pieces
    known = re.compile(rf"\b({'|'.join(short)})\b")
    return [(is_code, known.sub(lambda found: short[found[0]], text) if is_code else text) for is_code, text in pieces]


def _piece_as_sent(piece: str, *, is_code: bool) -> str:
    """Return a piece of a script; of the others, only templates have markup."""
    if is_code:
        piece = _CONST.sub("let ", piece)
        piece = _JS_ENDS.sub("", _JS_SPACE.sub(r"\1", _JS_ARITHMETIC.sub(r"\1", piece)))
        return _JS_KEYWORD.sub(r"\1", _JS_ARROW.sub(r"\1=>", piece))
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
