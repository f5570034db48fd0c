"""Parses the label or QR code of a sensor: IEEE address, install code, ClimaSense key. Pure: no clock, no I/O.

No standard defines the text of a Zigbee QR code; `LABEL_FORMATS` lists the publicly documented formats of vendors. Must
never repeat a code or a key in an error.
"""

import re
import string
from collections.abc import Callable, Sequence
from enum import Enum

import msgspec

from agent.errors import LabelInvalid
from agent.foundation.text import quote

INSTALL_CODE_BYTES = (8, 10, 14, 18)
"""Lengths of an install code with its CRC: 6, 8, 12 or 16 bytes and two more (Zigbee Base Device Behaviour 10.1.1)."""

LINK_KEY_BYTES = 16

ADDRESS_DIGITS = 16
MAC_DIGITS = 12
"""Of an EUI-48; FFFE in its middle makes it an EUI-64 (IEEE, "Guidelines for use of EUI")."""

SLIP_DIGITS_MIN = 12
"""A word of at least this length after "code" is a mistyped code, not the next word of the label."""

_MARK = slice(6, 10)
_MAC_MARK = "FFFE"
"""The middle of an EUI-64 that was made from an EUI-48; reversed it is FEFF."""

_OUI_DIGITS = 6
_OUIS = frozenset(
    {
        "000B57", "000D6F", "00124B", "00137A", "00158D", "0015BC", "001788", "001FEE", "00212E", "04CF8C", "0C4314",
        "14B457", "3C6A2C", "4CC206", "50325F", "540F57", "54EF44", "588E81", "5C0272", "5CC7C1", "60A423", "680AE2",
        "70B3D5", "7CB03E", "804B50", "842E14", "8465F0", "847127", "84BA20", "84FD27", "8CF681", "90FD9F", "943469",
        "94DEB8", "A4C138", "AC1FB4", "B4E3F9", "BC33AC", "CCCCCC", "D0CF5E", "DC8E95", "E0798D", "EC1BBD", "F0D1B8",
    }
)  # fmt: skip
"""OUIs of Zigbee devices: prefixes that the IEEE has assigned to vendors of radios and sensors."""

TEXT_CHARACTERS_MAX = 500
"""The longest documented format has 120."""

_ADDRESS = r"(?P<address>[0-9A-F]{16})"
_CODE = r"(?P<code>[0-9A-F]{1,64})"

LABEL_FORMATS: Sequence[tuple[str, re.Pattern[str]]] = tuple(
    (makers, re.compile(pattern))
    for makers, pattern in (
        # "Z:ADDRESS$I:CODE", further fields behind "$" or "%" (zigbee-herdsman issue 1402; zigpy's tests).
        ("Ledvance, Danfoss, Inovelli, Ubisys, Enbrighten, Somfy", rf"^Z:{_ADDRESS}\$I:{_CODE}(?:[$%].*)?$"),
        # "G$M:...$A:ADDRESS$I:CODE" (zigbee-herdsman); "Z$A:ADDRESS$I:CODE" (zigbee2mqtt issue 24087).
        ("Aqara, Namron", rf"^.*\$A:{_ADDRESS}\$I:{_CODE}(?:[$%].*)?$"),
        # "ADDRESS|CODE" (zigpy issue 547, zigbee-herdsman pull request 1150).
        ("Innr, Müller-Licht, Schneider, Bosch", rf"^{_ADDRESS}\|{_CODE}$"),
        # "HUE:Z:CODE M:ADDRESS D:... A:..." (Home Assistant community, thread 705666).
        ("Philips Hue", rf"^HUE:Z:{_CODE} M:{_ADDRESS}(?: .*)?$"),
        # Six and 34 characters about the product, the address, "DLK", the code (zigbee2mqtt's page on BTH-RA).
        ("Bosch", rf"^[0-9A-Z]{{6}}[0-9A-Z]{{34}}{_ADDRESS}DLK{_CODE}$"),
    )
)
"""Vendors and their formats. IKEA and Sonoff document none: the text printed beside their QR code can be typed."""

_SENSOR_KEY = re.compile(r"(?:^|(?<=[\s,;|$]))(?:[Kk]:)?(?P<key>(?:sk_sensor_|cs_dev_)[A-Za-z0-9_.\-]+)")
_PRINTED_ADDRESS = re.compile(r"^(?:0X)?((?:[0-9A-F]{2}[:\-]?){7}[0-9A-F]{2})$")
_MATTER = re.compile(r"^MT:")


class Label(msgspec.Struct, frozen=True):
    """The content of a label.

    Attributes:
        ieee_address: As `0x` and 16 lower-case hex digits.
        code: The install code with its CRC, or a link key; empty for none. A secret.
        is_link_key: `code` is the link key itself, 16 bytes without a CRC (older Bosch labels, as in zigpy).
        sensor_key: The sensor's ClimaSense key, if it was added to the text; else empty. A secret.
        reversed_address: The address with its bytes reversed, if its order is not known: some vendors print the lowest
            byte first. Empty if the order is known.
    """

    ieee_address: str
    code: bytes = b""
    is_link_key: bool = False
    sensor_key: str = ""
    reversed_address: str = ""


def parse(text: str) -> Label:
    """Return the content of a label or QR code: one of the `LABEL_FORMATS`, or the printed address and install code.

    Args:
        text: As scanned or typed, in any case; a code may have dashes; a ClimaSense key may follow.

    Raises:
        LabelInvalid: The text has another format, or wrong check digits. The message does not repeat it.
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        raise LabelInvalid(f"the text is longer than any label: {len(text)} characters; scan one code only")
    text = text.strip()
    found = _SENSOR_KEY.search(text)
    sensor_key = found["key"] if found else ""
    rest = (text[: found.start()] + text[found.end() :] if found else text).strip(" \t\r\n,;|$").upper()
    if _MATTER.match(rest):
        raise LabelInvalid("this is a Matter code; Zigbee needs the address and the code printed beside it: type those")
    for makers, form in LABEL_FORMATS:
        if match := form.fullmatch(rest):
            return _label(match["address"], match["code"], sensor_key, may_be_link_key=makers == "Bosch")
    return _printed(rest, sensor_key)


def normalise_address(text: str) -> str:
    """Return an IEEE address as `0x` and 16 lower-case hex digits.

    Raises:
        LabelInvalid: It is no IEEE address.
    """
    match = _PRINTED_ADDRESS.fullmatch(text.strip().upper())
    if match is None:
        raise LabelInvalid("no IEEE address: allowed are 16 hex digits, with colons or dashes, with or without 0x")
    return _address(re.sub(r"[:\-]", "", match[1]))


def crc16_x25(data: bytes) -> int:
    """Return the CRC that ends an install code, low byte first (Base Device Behaviour 10.1.1.1; ITU-T X.25)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
    return crc ^ 0xFFFF


def _printed(text: str, sensor_key: str) -> Label:
    """Return the label of typed text: an address and a code, with or without words around them."""
    found = find_digits(text, is_code=_is_code)
    if not found.address:
        if found.code:
            raise LabelInvalid("the address is missing: 16 hex digits, printed beside the install code; type both")
        raise LabelInvalid(
            "type the address printed on the label (16 hex digits),"
            " then the install code if there is one: this text has no known format"
        )
    return _label(_whole(found.address), found.code, sensor_key, may_be_link_key=False)


def _whole(digits: str) -> str:
    """Return the 16 digits of an address that is printed as an EUI-64 or an EUI-48."""
    if len(digits) == MAC_DIGITS:
        half = MAC_DIGITS // 2
        digits = digits[:half] + _MAC_MARK + digits[half:]
    if len(digits) != ADDRESS_DIGITS:
        missing = ADDRESS_DIGITS - len(digits)
        what = f"{missing} are missing" if missing > 0 else f"{-missing} are too many"
        raise LabelInvalid(
            f"the address has {len(digits)} hex digits; {ADDRESS_DIGITS} are needed: {what}; compare with the label"
        )
    if wrong := sorted(set(digits) - set(string.hexdigits)):
        raise LabelInvalid(
            f"the address has {' and '.join(map(quote, wrong[:3]))}, but hex digits are 0 to 9 and A to F; compare"
            " with the label"
        )
    return digits


def _label(address_digits: str, code_digits: str, sensor_key: str, *, may_be_link_key: bool) -> Label:
    address, reversed_address = _in_order(address_digits)
    code = _code(code_digits, whose=f" of {address}", may_be_link_key=may_be_link_key) if code_digits else b""
    return Label(address, code, len(code) == LINK_KEY_BYTES, sensor_key, reversed_address)


def _in_order(digits: str) -> tuple[str, str]:
    """Return an address in the right byte order, and the reversed address if the order is not known."""
    turned = bytes.fromhex(digits)[::-1].hex().upper()
    address, backwards = _address(digits), _address(turned)
    for is_right in (lambda each: each[_MARK] == _MAC_MARK, lambda each: each[:_OUI_DIGITS] in _OUIS):
        if is_right(digits) != is_right(turned):
            return (address, "") if is_right(digits) else (backwards, "")
    return address, backwards


def _is_code(digits: str) -> bool:
    try:
        return bool(_code(digits, may_be_link_key=False))
    except LabelInvalid:
        return False


def _address(digits: str) -> str:
    if len(set(digits)) == 1 and digits[0] in "0F":
        raise LabelInvalid("check the address against the label: it is all zeros or all F, which no sensor has")
    return f"0x{digits.lower()}"


def _code(digits: str, *, may_be_link_key: bool, whose: str = "") -> bytes:
    try:
        code = bytes.fromhex(digits)
    except ValueError:
        raise LabelInvalid(
            f"the install code{whose} is not made of pairs of hex digits; check it against the label"
        ) from None
    if may_be_link_key and len(code) == LINK_KEY_BYTES:
        return code
    if len(code) not in INSTALL_CODE_BYTES:
        allowed = ", ".join(str(2 * each) for each in INSTALL_CODE_BYTES)
        raise LabelInvalid(
            f"the install code{whose} has {2 * len(code)} hex digits; allowed are {allowed}: type all of it"
        )
    if crc16_x25(code[:-2]) != int.from_bytes(code[-2:], "little"):
        raise LabelInvalid(
            f"the install code{whose} does not fit its check digits: a digit is wrong; compare with the label"
        )
    return code


# Finds the digits in printed text, with words around them, on several lines, in any order.


class Keyword(Enum):
    """What a keyword on a label introduces."""

    ADDRESS = "address"
    CODE = "code"


_SUFFIX = r"(?:[ \-]?(?:ADDRESS|ADDR|ID))?"
_CODE_WORD = r"(?P<code>(?:INSTALL(?:ATION)?|INST)?[ \-.]*CODE)"
_SHORT_WORD = rf"(?:EUI[ \-]?(?:64|48)|EUI|ADDRESS|ADDR){_SUFFIX}|(?P<ic>IC)"

# Keywords that begin and end with a letter that is no hex digit may touch digits.
_BESIDE_DIGITS = rf"(?<![G-Z])(?:(?:IEEE|MAC){_SUFFIX}|{_CODE_WORD})(?![G-Z])"
_WORDS = re.compile(rf"(?:{_BESIDE_DIGITS}|(?<![0-9A-Z])(?:{_SHORT_WORD})(?![0-9A-Z]))[ \t]*[:=#.]*")

_SEPARATORS = re.compile(r"[\s,;|=#()\[\]]+")
_INNER = re.compile(r"[:\-._]")
_HEX = re.compile(r"[0-9A-F]+")


class PrintedDigits(msgspec.Struct, frozen=True):
    """The hex digits on a label without separators; empty for none."""

    address: str = ""
    code: str = ""


def find_digits(text: str, *, is_code: Callable[[str], bool]) -> PrintedDigits:
    """Return the digits of a label's address and code.

    The digits after a keyword belong to it, including mistyped ones, so that these are reported. Without keywords the
    first token is the address and the rest is the code, unless the check digits fit the other order.

    Args:
        text: In upper case.
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
        # Keywords are ambiguous ("IC" is a Canadian registration as well), check digits are not.
        code = _run([token for token in rest if token != address], is_code) or code
    return PrintedDigits(address, code if code != address else "")


def _segments(text: str) -> list[tuple[Keyword | None, list[str]]]:
    """Split a text at its keywords."""
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
    """Return the leading hex digits of tokens, until there are enough, and the remaining tokens."""
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
    """Return the first run of tokens that fits; a single token is preferred."""
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
    # A mistyped address is reported as such; a code alone is not enough.
    return PrintedDigits(first, others) if others and _HEX.fullmatch(first) else PrintedDigits()
