"""The types of configuration values: what each allows, in words, and the conversion from TOML.

Pure. A type is independent of key and file, and never repeats a value that may be a secret.
"""

import contextlib
import re
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from agent.config import network

FOUND_CHARS_MAX = 60
"""A quoted value is cut after this many characters: one line of a terminal, with room for the key."""

INTEGER_BITS = 64
"""TOML's own range of integers (toml.io, "Integer")."""

_SECRET = re.compile(r"cs_dev_|sk_sensor_", re.IGNORECASE)
"""How ClimaSense keys begin: a value that contains one is never repeated, wherever it was put by mistake."""

_WINDOW = re.compile(r"always|([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)

_CREDENTIAL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")
"""A file name below $CREDENTIALS_DIRECTORY (systemd.exec(5), LoadCredential)."""


_INTERFACE = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9._-]{1,15}", re.ASCII)
"""Names of interfaces as systemd and the kernel give them (IFNAMSIZ), but no mistyped address."""

_HOST = re.compile(
    r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*", re.IGNORECASE
)
"""Labels of at most 63 characters (RFC 1123, section 2.1), and the underscore that some devices have."""

LISTEN_MAX = 16
"""Of addresses and interfaces: more than a hub has."""


class NotAllowed(ValueError):
    """A value that its type refuses. The message, if any, adds to the type's `allowed`."""


class ValueType(msgspec.Struct, frozen=True):
    """What a key may hold.

    Attributes:
        allowed: In words that complete "allowed is ...".
        read: Converts a value from `tomllib` to that of the agent; raises `NotAllowed`. Paths stay as
            they are: only the reader of the file knows where relative ones start.
        unit: Of a number; the empty text where there is none.
    """

    allowed: str
    read: Callable[[object], object]
    unit: str = ""


def integer(minimum: int, maximum: int, unit: str = "") -> ValueType:
    """Return the type of whole numbers within bounds, both included."""

    def read(value: object) -> int:
        # A TOML boolean is a Python bool, and that is an int: it is refused first.
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise NotAllowed
        return value

    return ValueType(f"a whole number from {minimum} to {maximum} {unit}".rstrip(), read, unit)


def number(minimum: float, maximum: float, unit: str = "") -> ValueType:
    """Return the type of numbers within bounds, both included; NaN is within none."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not minimum <= value <= maximum:
            raise NotAllowed
        return float(value)

    return ValueType(f"a number from {minimum} to {maximum} {unit}".rstrip(), read, unit)


def boolean() -> ValueType:
    """Return the type of booleans."""

    def read(value: object) -> bool:
        if not isinstance(value, bool):
            raise NotAllowed
        return value

    return ValueType("true or false", read)


def choice(*options: str) -> ValueType:
    """Return the type of one of several words."""

    def read(value: object) -> str:
        if not isinstance(value, str):
            raise NotAllowed
        if value not in options:
            raise NotAllowed(nearest_hint(value, options))
        return value

    return ValueType("one of " + ", ".join(f'"{option}"' for option in options), read)


def daily_window() -> ValueType:
    """Return the type of a daily time window, which may span midnight, or "always"."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not _WINDOW.fullmatch(value) or value[:5] == value[6:]:
            raise NotAllowed
        return value

    return ValueType('hours such as "02:00-05:00", or "always"', read)


def text(what: str) -> ValueType:
    """Return the type of any text but an empty one."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            raise NotAllowed
        return value

    return ValueType(what, read)


def led_name() -> ValueType:
    """Return the type of the name of a LED: a directory of sysfs, and never a path out of it."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value != Path(value).name or value in {"", "..", "."} or "\0" in value:
            raise NotAllowed
        return value

    return ValueType('"none", or a name below /sys/class/leds, such as "ACT"', read)


def text_list(what: str) -> ValueType:
    """Return the type of arrays of texts, none of them empty."""

    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
            raise NotAllowed
        return tuple(value)

    return ValueType(f"an array of {what}", read)


def listen_list() -> ValueType:
    """Return the type of the addresses and network interfaces to listen on, each as a text."""

    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or len(value) > LISTEN_MAX:
            raise NotAllowed
        for item in value:
            if item == "localhost":
                raise NotAllowed('write "127.0.0.1"')
            if not isinstance(item, str) or not (is_address(item) or _INTERFACE.fullmatch(item)):
                hint = "; write a port as the value of the key for it" if isinstance(item, str) and ":" in item else ""
                raise NotAllowed(f"{describe(item)} is no address and no name of an interface{hint}")
        return tuple(dict.fromkeys(value))

    return ValueType(f'an array of at most {LISTEN_MAX} addresses and interface names, such as "usb0"', read)


def host_name_list() -> ValueType:
    """Return the type of arrays of host names, kept in small letters."""

    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) and _HOST.fullmatch(item) for item in value):
            raise NotAllowed
        return tuple(item.lower() for item in value)

    return ValueType('an array of host names without port, such as "hub.example"', read)


def credential_name() -> ValueType:
    """Return the type of the names of systemd credentials."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not _CREDENTIAL_NAME.fullmatch(value):
            raise NotAllowed
        return value

    return ValueType("the name of a systemd credential: letters, digits, '.', '_' and '-'", read)


def file_path() -> ValueType:
    """Return the type of paths."""

    def read(value: object) -> Path:
        if not isinstance(value, str) or not value or "\0" in value:
            raise NotAllowed
        if _SECRET.search(value):
            raise NotAllowed("put the key into a file and give the path of that file")
        return Path(value)

    return ValueType("a path", read)


def socket_name() -> ValueType:
    """Return the type of sockets: a name below `storage.run_dir`, or an absolute path."""

    def read(value: object) -> str:
        if not isinstance(value, str) or "\0" in value:
            raise NotAllowed
        # Path("..").name is "..", and that of "a/" is "a".
        if value.endswith("/") or not (value.startswith("/") or value == Path(value).name) or value in {"", "..", "."}:
            raise NotAllowed
        return value

    return ValueType("a file name below storage.run_dir, or an absolute path", read)


def serial_port() -> ValueType:
    """Return the type of serial ports: none, auto-detected, a path, or a network port."""

    def read(value: object) -> str:
        if not isinstance(value, str) or "\0" in value:
            raise NotAllowed
        if value not in {"none", "auto"} and not value.startswith(("/", "socket://")):
            raise NotAllowed
        return value

    return ValueType('"none", "auto", an absolute path, or socket://HOST:PORT', read)


def gateway_address() -> ValueType:
    """Return the type of boiler gateways: none, a serial port's path, or a network port."""

    def read(value: object) -> str:
        if not isinstance(value, str) or "\0" in value or not value.startswith(("none", "/", "socket://")):
            raise NotAllowed
        return value

    return ValueType('"none", an absolute path, or socket://HOST:PORT', read)


def ebusd_fields() -> ValueType:
    """Return the type of messages to ebusd, with the placeholders {flow_c} and {off}."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not value.isprintable() or "{flow_c}" not in value or "{off}" not in value:
            raise NotAllowed
        return value

    return ValueType("a line with {flow_c} and {off} in it", read)


def radio_channel() -> ValueType:
    """Return the type of Zigbee channels in the 2.4 GHz band (IEEE 802.15.4, page 0); 0 is automatic."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not (value == 0 or 11 <= value <= 26):  # noqa: PLR2004 - the standard's numbers
            raise NotAllowed
        return value

    return ValueType("a whole number from 11 to 26, or 0", read)


def cloud_url() -> ValueType:
    """Return the type of the API's root, without a trailing slash: https, or http on this machine only."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
            raise NotAllowed
        try:
            parts = urlsplit(value)
            _ = parts.port  # read for its ValueError: a port that is no number, or above 65535
            (parts.hostname or "").encode("idna")  # likewise: part of a name that is empty or longer than 63 characters
        except ValueError as error:
            raise NotAllowed("this cannot be parsed as a URL") from error
        if parts.username is not None or parts.query or parts.fragment:
            raise NotAllowed("user name, query and fragment have no place here; the key goes into a file of its own")
        if not parts.hostname or parts.scheme not in {"http", "https"}:
            raise NotAllowed
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise NotAllowed("plain http would send the key in the clear")
        return value.rstrip("/")

    return ValueType("an https URL, such as https://api.example.org; http only to 127.0.0.1, ::1 or localhost", read)


def endpoint_url() -> ValueType:
    """Return the type of the address of an API of others: "none", or as `cloud_url`."""
    url = cloud_url()

    def read(value: object) -> str:
        return "none" if value == "none" else str(url.read(value))

    return ValueType(f'"none", or {url.allowed}', read)


def proxy_url() -> ValueType:
    """Return the type of a proxy: "environment", "none", or its URL, which may hold credentials."""

    def read(value: object) -> str:
        if not isinstance(value, str):
            raise NotAllowed
        if value not in {network.ENVIRONMENT, network.NONE}:
            try:
                network.parse_proxy(value)
            except ValueError as error:
                raise NotAllowed(str(error)) from error
        return value

    return ValueType('"environment", "none", or a URL such as http://proxy.example:3128', read)


def describe(value: object) -> str:
    """Return a value for an error message: as TOML writes it, with its type, cut to a line, never a secret."""
    match value:
        case bool():
            shown = f"{str(value).lower()} (a boolean)"
        case int():
            shown = _integer(value)
        case float():
            shown = str(value)
        case str():
            shown = "text that may hold a secret (not shown)" if _is_secret(value) else f"{_cut(quoted(value))} (text)"
        case list():
            shown = f"an array of {len(value)}"
        case dict():
            shown = "a table"
        case _:
            shown = f"{value} (a date or time)"
    return shown


def quoted(text: str) -> str:
    """Return text as a TOML basic string; JSON's escapes are a subset of TOML's (toml.io, "String")."""
    # Bytes of the environment that are no UTF-8 become unpaired surrogates, which cannot be encoded.
    encodable = text.encode("utf-8", "backslashreplace").decode()
    return msgspec.json.encode(encodable).decode().replace("\x7f", "\\u007f")


def nearest_hint(word: str, options: Sequence[str]) -> str:
    """Return `did you mean "..."?` for a probable typo, else the empty text."""
    from difflib import get_close_matches  # noqa: PLC0415 - needed on errors only, and start-up time is counted

    near = get_close_matches(word.lower(), options, n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else ""


def _integer(value: int) -> str:
    # Python refuses to print more than 4300 decimal digits, and hexadecimal notation can write such a number.
    bits = value.bit_length()
    return str(value) if bits <= INTEGER_BITS else f"an integer of {bits} bits"


def _cut(text: str) -> str:
    return text if len(text) <= FOUND_CHARS_MAX else text[:FOUND_CHARS_MAX] + "..."


def _is_secret(text: str) -> bool:
    # "//user:password@host" carries one too.
    return bool(_SECRET.search(text)) or ("//" in text and "@" in text)


def is_address(text: str) -> bool:
    """Tell whether a text is an IPv4 or IPv6 address."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, text)
            return True
    return False


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address  # noqa: PLC0415 - needed for http only, and start-up time is counted

    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
