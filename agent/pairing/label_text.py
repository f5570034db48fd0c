"""Finds address and install code in what is printed on a label: with words around them, on several lines, in any order.

Pure. Knows nothing of what makes an address or a code right, but that it is told what is a code.
"""

import re
from collections.abc import Callable, Sequence
from enum import Enum

import msgspec

ADDRESS_DIGITS = 16
MAC_DIGITS = 12
"""Of an EUI-48, of which an EUI-64 is made by FFFE in its middle (IEEE, "Guidelines for use of EUI")."""

SLIP_DIGITS_MIN = 12
"""A word of at least so many characters behind "code" is one with a slip, not the next word of the label."""


class Keyword(Enum):
    """What a word on a label announces."""

    ADDRESS = "address"
    CODE = "code"


_SUFFIX = r"(?:[ \-]?(?:ADDRESS|ADDR|ID))?"
_CODE_WORD = r"(?P<code>(?:INSTALL(?:ATION)?|INST)?[ \-.]*CODE)"
_SHORT_WORD = rf"(?:EUI[ \-]?(?:64|48)|EUI|ADDRESS|ADDR){_SUFFIX}|(?P<ic>IC)"

# Words that have a letter which is no hex digit at the right place may stand right beside digits.
_BESIDE_DIGITS = rf"(?<![G-Z])(?:(?:IEEE|MAC){_SUFFIX}|{_CODE_WORD})(?![G-Z])"
_WORDS = re.compile(rf"(?:{_BESIDE_DIGITS}|(?<![0-9A-Z])(?:{_SHORT_WORD})(?![0-9A-Z]))[ \t]*[:=#.]*")

_SEPARATORS = re.compile(r"[\s,;|=#()\[\]]+")
_INNER = re.compile(r"[:\-._]")
_HEX = re.compile(r"[0-9A-F]+")


class PrintedDigits(msgspec.Struct, frozen=True):
    """What stands on a label: hex digits without separators, as they are printed; empty for nothing."""

    address: str = ""
    code: str = ""


def find_digits(text: str, *, is_code: Callable[[str], bool]) -> PrintedDigits:
    """Return the digits of a label's address and code.

    What a word announces is taken for that, with its slips, so that they can be told. Without words the first is the
    address and all that follows is the code, unless the check digits say that it is the other way round.

    Args:
        text: In capitals.
        is_code: Tells whether digits are an install code whose check digits fit.
    """
    segments = _segments(text)
    if len(segments) == 1:
        return _without_words(_tokens(text), is_code)
    addresses: list[str] = []
    codes: list[str] = []
    rest: list[str] = []
    for word, tokens in segments:
        if word is None:
            rest += tokens
            continue
        digits, left = _take(tokens, _fills_address if word is Keyword.ADDRESS else is_code)
        if digits:
            (addresses if word is Keyword.ADDRESS else codes).append(digits)
        rest += left
    address = _best(addresses, _is_address) or _run(rest, _is_address)
    code = _best(codes, is_code)
    if not is_code(code):
        # Words mean many things ("IC" is a registration in Canada as well): check digits do not.
        code = _run([token for token in rest if token != address], is_code) or code
    return PrintedDigits(address, code if code != address else "")


def _segments(text: str) -> list[tuple[Keyword | None, list[str]]]:
    """Divide a text at the words that announce something."""
    segments: list[tuple[Keyword | None, list[str]]] = []
    word, begin = None, 0
    for match in _WORDS.finditer(text):
        segments.append((word, _tokens(text[begin : match.start()])))
        word, begin = Keyword.CODE if match["code"] or match["ic"] else Keyword.ADDRESS, match.end()
    segments.append((word, _tokens(text[begin:])))
    return segments


def _tokens(text: str) -> list[str]:
    tokens = (_INNER.sub("", token.removeprefix("0X")) for token in _SEPARATORS.split(text))
    return [token for token in tokens if token]


def _take(tokens: Sequence[str], is_enough: Callable[[str], bool]) -> tuple[str, list[str]]:
    """Return the hex digits that tokens begin with, until there are enough, and the other tokens."""
    digits = ""
    for count, token in enumerate(tokens):
        if not _HEX.fullmatch(token) or (digits and is_enough(digits)):
            if not digits and len(token) >= SLIP_DIGITS_MIN:
                return token, [*tokens[count + 1 :]]
            return digits, [*tokens[count:]]
        digits += token
    return digits, []


def _fills_address(digits: str) -> bool:
    return len(digits) >= ADDRESS_DIGITS


def _is_address(digits: str) -> bool:
    return len(digits) in {ADDRESS_DIGITS, MAC_DIGITS} and _HEX.fullmatch(digits) is not None


def _best(found: Sequence[str], is_right: Callable[[str], bool]) -> str:
    return next(filter(is_right, found), found[0] if found else "")


def _run(tokens: Sequence[str], is_right: Callable[[str], bool]) -> str:
    """Return the first tokens in a row that make up what is looked for; a whole one before pieces."""
    for token in tokens:
        if is_right(token):
            return token
    for begin in range(len(tokens)):
        digits = ""
        for token in tokens[begin:]:
            if not _HEX.fullmatch(token):
                break
            digits += token
            if is_right(digits):
                return digits
    return ""


def _without_words(tokens: Sequence[str], is_code: Callable[[str], bool]) -> PrintedDigits:
    if not tokens:
        return PrintedDigits()
    first, others = tokens[0], "".join(tokens[1:])
    if len(tokens) > 1 and not is_code(others) and is_code("".join(tokens[:-1])) and _is_address(tokens[-1]):
        return PrintedDigits(tokens[-1], "".join(tokens[:-1]))
    if _is_address(first):
        return PrintedDigits(first, others)
    pieces, left = _take(tokens, _fills_address)
    if len(pieces) == ADDRESS_DIGITS:
        return PrintedDigits(pieces, "".join(left))
    code = _run(tokens, is_code)
    if address := _run([token for token in tokens if token != code], _is_address):
        return PrintedDigits(address, code)
    # An address with a slip is told as such; a code alone is none.
    return PrintedDigits(first, others) if others and _HEX.fullmatch(first) else PrintedDigits()
