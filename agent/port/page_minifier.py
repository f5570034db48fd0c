"""Takes out of the page's files what no browser needs: comments, indentation, line ends and space. Pure.

Keeps the sources readable without a build step. Must change no text and no markup. Scripts have no
comment with a quote behind code (`tests/unit/test_page.py`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import product
from string import ascii_letters

import msgspec

_NOT_SENT = re.compile(rb"^[ \t]*//.*\n|^/\*.*\*/\n|^[ \t]*\n|^[ \t]+", re.MULTILINE)
"""Safe while no text of the page spans lines: markup joins white space, and the scripts have no other templates."""

_JS_LINE_END = re.compile(r"(?<=[;{,]) // [^\"`\n]*\n|(?<=[;{,(\[>])\n|\n(?=[})\]<])")
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

_EXPORTED = re.compile(r"^export (?:const|(?:async )?function) (\w{3,})", re.MULTILINE)
"""A name that a script gives to others. Those that it passes on (`export { … }`) are names of libraries."""

_NAME_LIST = re.compile(r"\b(?:import|export) \{[^}]*\}")
"""Names between scripts, which are no properties."""

_KEY_BEGINNING = re.compile(r"`([\w.]+)\$\{|\bword\(\"(\w+)\"")
"""The beginning of a text's key that a script puts together."""

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


class ShortNames(msgspec.Struct, frozen=True):
    """What is sent in the place of names that several files of the page use.

    Attributes:
        exported: By what scripts import from each other.
        texts: The number of a text by its key.
    """

    exported: Mapping[str, str] = {}
    texts: Mapping[str, str] = {}


_NONE = ShortNames()


def short_names(scripts: Sequence[bytes], keys: Iterable[str]) -> ShortNames:
    """Return the short names of a page.

    Args:
        scripts: All of its own: a name that is a property in one of them is kept in all.
        keys: Those of its texts: one that a script may put together is kept.
    """
    sources = [_NOT_SENT.sub(b"", content).decode() for content in scripts]
    names = [name for source in sources for name in _EXPORTED.findall(source)]
    code = "\0".join(_NAME_LIST.sub("", _code_of(_script_pieces(source))) for source in sources)
    beginnings = {beginning or f"{group}." for source in sources for beginning, group in _KEY_BEGINNING.findall(source)}
    whole = [
        key
        for key in sorted(keys)
        if not key.startswith(tuple(beginnings)) and any(f'"{key}"' in source for source in sources)
    ]
    return ShortNames(_short(names, code, "_"), {key: str(number) for number, key in enumerate(whole)})


def as_sent(
    content: bytes, suffix: str, *, names: ShortNames = _NONE, is_catalogue: bool = False, is_of_hub: bool = False
) -> bytes:
    """Return a file of our own without comment lines, empty lines, indentation and other space that means nothing.

    Args:
        content: The file.
        suffix: Of its name.
        names: Those of the page.
        is_catalogue: It has texts by "group.name", which are sent as lines.
        is_of_hub: It has translations of what the hub says, which are sent by numbers.
    """
    if suffix == ".json":
        document = msgspec.json.decode(content)
        if is_catalogue:
            return catalogue_lines(document, names.texts).encode()
        return msgspec.json.encode(by_number(document) if is_of_hub else document)
    content = _NOT_SENT.sub(b"", content)
    match suffix:
        case ".css":
            return _CSS_SPACE.sub(rb"\1\2\3", content)
        case ".js":
            source = content.decode()
            pieces = [
                (is_code, text if is_code else _with_number(text, names.texts))
                for is_code, text in _renamed(_script_pieces(source), names.exported)
            ]
            pieces = _renamed(pieces, _short(_PRIVATE.findall(source), _code_of(pieces), "$"))
            return "".join(_piece_as_sent(text, is_code=is_code) for is_code, text in pieces).encode()
        case _:
            return content


def _script_pieces(source: str) -> list[tuple[bool, str]]:
    """Return the pieces of a script whose comment lines are gone: see `_pieces`."""
    return list(_pieces(_CLOSING_TAG.sub("</>", _JS_LINE_END.sub("", source))))


def _with_number(text: str, numbers: Mapping[str, str]) -> str:
    """Return a text of a script, with the number of the page's text where it is the key of one."""
    number = numbers.get(text[1:-1]) if text[0] == '"' else None
    return text if number is None else f'"{number}"'


def _code_of(pieces: Sequence[tuple[bool, str]]) -> str:
    return "\0".join(text for is_code, text in pieces if is_code)


def _short(names: Sequence[str], code: str, sign: str) -> Mapping[str, str]:
    """Return a short name for each one that cannot be a property, which keeps its name; the most used are the shortest.

    Args:
        names: Those that may be short.
        code: All in which they are used.
        sign: What each short name begins with.
    """
    kept = {name for name in names if re.search(rf"(?<!\.\.)\.{name}\b|\b{name}\s*:|[{{,]\s*{name}\s*[,}}=]", code)}
    often = sorted(set(names) - kept, key=lambda name: (-len(re.findall(rf"\b{name}\b", code)), name))
    endings = (*ascii_letters, *("".join(pair) for pair in product(ascii_letters, repeat=2)))
    return {name: f"{sign}{ending}" for name, ending in zip(often, endings, strict=False)}


def _renamed(pieces: list[tuple[bool, str]], short: Mapping[str, str]) -> list[tuple[bool, str]]:
    """Return the pieces of a script with short names in its code."""
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


def catalogue_lines(texts: Mapping[str, str], numbers: Mapping[str, str]) -> str:
    """Return a catalogue as it is sent; `words.js` puts the keys together again.

    First the texts that have a number, a line each. Then the others by the group that their keys begin with, in lines
    of "name=text" after a line with the group. Empty lines part the groups.
    """
    groups: dict[str, list[str]] = {}
    for key, text in texts.items():
        group, _, name = key.partition(".")
        if key not in numbers:
            groups.setdefault(group, [group]).append(f"{name}={text}")
    numbered = [texts[key] for key in numbers]
    return "\n\n".join("\n".join(lines) for lines in (numbered, *groups.values()))


def by_number(texts: Mapping[str, str]) -> Mapping[str, str]:
    """Return translations of what the hub says by the numbers of its English texts, as they are sent."""
    return {str(text_number(text)): translation for text, translation in texts.items()}


def text_number(text: str) -> int:
    """Return the number by which the page finds the translation of a text: that of `textNumber` in `words.js`."""
    return reduce(lambda number, character: (31 * number + ord(character)) & 0xFFFF_FFFF, text, 0)


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
