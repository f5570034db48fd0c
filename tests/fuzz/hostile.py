"""What strangers send: strategies for bytes, texts, JSON and HTTP answers that are wrong in the ways that were met.

Each mixes what is right, what is nearly right and what is rubbish: rubbish alone never gets past the first check.
"""

import json
import os
from typing import Any

from hypothesis import strategies as st

TEXTS = st.one_of(
    st.text(max_size=30),
    st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Lu"]), max_size=20),
    st.sampled_from(
        [
            "\x1b]0;title\x07",
            "a\n2026-11-28 ERROR made up",
            "\u202egnp",
            "\ud83c",
            "\x00",
            "x" * 5000,
            "Mon, 20 Nov 9999999999 12:00:00 GMT",
            "Mon, 20 Nov 2026 12:00:00 +99999999",
            "Sun, 29 Mar 2026 12:00:00 GMT",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-05:00",
            "2026-03-30T12:00:00Z",
            "Europe/Brussels",
            "Europe",
            "../UTC",
            "tzdata.zi",
            "1e999",
            "nan",
            "-0",
            "²",
            "temperature",
            "cs_dev_" + "a" * 32,
        ]
    ),
)

FROM_BYTES = st.binary(max_size=30).map(lambda data: os.fsdecode(data.replace(b"\0", b"")))
"""What the environment and HTTP headers give for bytes that are no UTF-8 (PEP 383)."""

NUMBERS = st.one_of(
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**63 - 1, 2**63, -(2**63), 10**30, 1e308, 5e-324, 3.0, 60, 3600, 253402318799000]),
    st.floats(allow_nan=False, allow_infinity=False),
)

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)

RAW = st.sampled_from(
    [
        b'"Kueche \\ud83c"',
        b"1e999",
        b"-1e999",
        b"NaN",
        b"1" * 5000,
        b'"\xff\xfe"',
        b'"\\q"',
        b"01",
        b"nul",
        b"[" * 900 + b"]" * 900,
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b"[" * 50_000,
        b'{"a":1,"a":2}',
        b"",
        b'"\\u001b[2J"',
    ]
)
"""JSON that no Python value encodes to, and what is none."""


def encoded(value: object) -> bytes:
    """Return JSON, halves of surrogate pairs as escapes."""
    return json.dumps(value).encode()


def objects(members: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[bytes]:
    """Return JSON objects with some of the members, each right, of another kind, or unreadable, and with others."""
    wrong = JSON.map(encoded) | RAW
    each = [
        st.tuples(st.just(encoded(name)), (good.map(encoded) | wrong) if good is not wrong else wrong)
        for name, good in members.items()
    ]
    other = st.tuples(TEXTS.map(encoded), wrong)
    some = st.tuples(
        *(
            st.lists(member, max_size=1) if number else member.map(lambda one: [one])
            for number, member in enumerate(each)
        )
    )
    return st.tuples(some, st.lists(other, max_size=2)).map(_joined)


def arrays(element: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return JSON arrays of such elements, some among them unreadable."""
    return st.lists(element | JSON.map(encoded) | RAW, max_size=5).map(lambda parts: b"[" + b",".join(parts) + b"]")


def _joined(parts: tuple[tuple[list[tuple[bytes, bytes]], ...], list[tuple[bytes, bytes]]]) -> bytes:
    members = [member for some in parts[0] for member in some] + parts[1]
    return b"{" + b",".join(name + b":" + value for name, value in members) + b"}"


INSTANTS = TEXTS | st.datetimes().map(lambda moment: moment.isoformat() + "+01:00")

COMMANDS = objects(
    {
        "command_id": TEXTS | st.uuids().map(str),
        "type": st.sampled_from(["reboot", "config_update", "diagnostics", "factory_reset"]) | TEXTS,
        "payload": JSON
        | st.fixed_dictionaries({}, optional={"delay_seconds": NUMBERS, "confirm": JSON, "sections": JSON}),
        "expires_at": INSTANTS,
    }
)

SETTINGS = objects(
    {
        "reporting_interval_seconds": NUMBERS,
        "enabled_sensors": st.lists(TEXTS, max_size=3),
        "location": st.fixed_dictionaries({}, optional={"latitude": JSON, "longitude": NUMBERS, "name": TEXTS}),
        "timezone": TEXTS,
        "unknown": JSON,
    }
)

BODIES = st.one_of(
    st.binary(max_size=200),
    RAW,
    JSON.map(encoded),
    SETTINGS,
    objects({"commands": st.just([])}),
    arrays(COMMANDS).map(lambda commands: b'{"commands":' + commands + b"}"),
    objects({"accepted": NUMBERS}),
    objects({"error": TEXTS, "message": TEXTS}),
    objects(
        {
            "update_available": st.booleans(),
            "version": TEXTS,
            "checksum": TEXTS,
            "size_bytes": NUMBERS,
            "release_notes": TEXTS,
        }
    ),
    objects({"sensor_id": TEXTS, "registered": st.booleans(), "serial_number": TEXTS}),
    st.just(b""),
    st.just(b"\x1f\x8b\x08\x00garbage"),
)

STATUSES = st.sampled_from(
    [
        200,
        200,
        200,
        201,
        202,
        204,
        206,
        304,
        301,
        307,
        400,
        401,
        403,
        404,
        409,
        413,
        415,
        416,
        422,
        429,
        500,
        503,
        599,
        199,
        999,
        0,
    ]
)

HEADER_NAMES = st.sampled_from(
    [
        "Retry-After",
        "Date",
        "Content-Type",
        "Content-Encoding",
        "Location",
        "ETag",
        "Content-Range",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Set-Cookie",
        "Link",
        "X-\u00e9",
    ]
)

HEADER_VALUES = TEXTS | st.sampled_from(
    [
        "application/json; charset=\udcff",
        "text/html; charset=rot13",
        "multipart/form-data",
        "gzip",
        "deflate",
        "br",
        "zstd",
        "chunked",
        "gzip, chunked",
        "-1",
        "999999999999999999999",
        "5",
        "https://" + "a" * 70 + ".example/",
        "https://[::1/",
        "//",
        "https://h:99999/",
        "https://xn--\u00fc/",
        "/v1/telemetry",
        "bytes 0-0/0",
        "bytes 5-99999999999999999999/*",
        'W/"x"',
        '"\udcff"',
        "close",
        "a=b; expires=Mon, 20 Nov 99999 12:00:00 GMT; Domain=.",
    ]
)


def _answer(status: int, headers: list[tuple[str, str]], body: bytes, cut: int, has_length: bool) -> bytes:
    lines = [f"HTTP/1.1 {status} ?"]
    lines += [f"{name}: {value}" for name, value in headers]
    if has_length:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines).encode("utf-8", "surrogatepass")
    return (head + b"\r\n\r\n" + body)[: cut or None]


ANSWERS = st.one_of(
    st.builds(
        _answer,
        STATUSES,
        st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=3),
        BODIES,
        st.just(0) | st.just(0) | st.just(0) | st.integers(1, 200),
        st.booleans() | st.just(True),
    ),
    st.binary(max_size=100),
    st.builds(
        lambda chunk: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
        st.binary(max_size=60)
        | st.sampled_from([b"zz\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"-1\r\n", b"fffffffffffffffff\r\n"]),
    ),
)
"""What a server, a proxy or a portal may answer, byte for byte."""


def _fitting(bodies: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    fits = st.builds(
        _answer,
        st.just(200),
        st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=1),
        bodies,
        st.just(0),
        st.just(True),
    )
    return st.lists(fits | fits | ANSWERS, min_size=1, max_size=4)


OFFERS = objects(
    {
        "update_available": st.just(True) | st.booleans(),
        "version": st.sampled_from(["1.1.0", "v1.1.0", "1.1", "1.1.0-rc.1+x", "0.9.0"]) | TEXTS,
        "checksum": st.sampled_from(["a" * 64, "sha256:" + "A" * 64, "A" * 32]) | TEXTS,
        "size_bytes": st.integers(0, 300) | NUMBERS,
        "release_notes": TEXTS,
    }
)

CLOUDS = st.fixed_dictionaries(
    {
        b"/v1/telemetry": _fitting(objects({"accepted": NUMBERS})),
        b"/v1/settings": _fitting(SETTINGS),
        b"/v1/commands/pending": _fitting(arrays(COMMANDS).map(lambda commands: b'{"commands":' + commands + b"}")),
        b"/v1/commands/ack": _fitting(JSON.map(encoded)),
        b"/v1/ota/check": _fitting(OFFERS),
        b"/v1/ota/download": _fitting(st.binary(max_size=200) | BODIES),
        b"": _fitting(BODIES),
    }
)
"""A cloud: what it answers below each path, over and over; below all others, what is there for the empty one."""


def _request(method: str, path: bytes, headers: list[tuple[str, str]], body: bytes, has_length: bool) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers] + ([f"Content-Length: {len(body)}"] if has_length else [])
    head = method.encode() + b" " + path + b" HTTP/1.1\r\nHost: hub\r\n"
    return head + "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogatepass") + b"\r\n" + body


PATHS = st.sampled_from(
    [
        b"/v1/status",
        b"/v1/commands",
        b"/v1/climate",
        b"/v1/climate/z",
        b"/v1/climate/all",
        b"/v1/climate/%ff%00%0a",
        b"/v1/confirm/x",
    ]
) | st.binary(max_size=30).map(lambda data: b"/v1/confirm/" + data)

REQUESTS = st.one_of(
    st.binary(max_size=100),
    st.builds(
        _request,
        st.sampled_from(["GET", "POST", "PUT", "DELETE", "\u20ac", "X" * 100]),
        PATHS,
        st.lists(st.tuples(HEADER_NAMES | st.just("Expect"), HEADER_VALUES), max_size=2),
        st.binary(max_size=60) | JSON.map(encoded) | RAW,
        st.booleans(),
    ),
    st.just(b"GET /v1/status HTTP/1.1\r\nHost: hub\r\n\r\n"),
)
"""What a program on this machine may write to the local API's socket."""
