"""What stands in files that strangers, older releases or a dying card have written: strategies, as in `hostile`."""

import copy
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import strategies as st

from agent.climate.model import Block, Schedule
from tests.fuzz import hostile

WEEK = Schedule("week", (Block("Day", "06:00", "22:00", 21.0, 26.0), Block("Night", "22:00", "06:00", 17.0, 27.0)))


ORDERS = hostile.objects(
    {
        "do": st.sampled_from(
            ["set", "hold", "cancel", "resume", "eco", "put_schedule", "follow_schedule", "drop_schedule"]
        ),
        "mode": st.sampled_from(["heat", "cool", "off", "auto"]),
        "kind": st.sampled_from(["hold", "away", "boost"]),
        "heat_setpoint_c": hostile.NUMBERS,
        "cool_setpoint_c": hostile.NUMBERS,
        "start": hostile.INSTANTS | st.just("18:00"),
        "until": hostile.INSTANTS | st.just("next"),
        "for_s": hostile.NUMBERS,
        "id": hostile.TEXTS,
        "name": hostile.TEXTS,
        "is_enabled": st.booleans(),
        "schedule": st.just(msgspec.to_builtins(WEEK)) | hostile.JSON,
    }
)

TOML_LINES = st.one_of(
    st.sampled_from(
        [
            "[cloud]",
            "[board]",
            "[[climate.zones]]",
            "[storage]",
            "[sensors]",
            "[zigbee]",
            "[ota]",
            "[log]",
            "[x]",
            "name = 'sim'",
            "base_url = 'https://a..b'",
            "state_dir = '\\u0000'",
            "poll = 1e999",
            "a.b.c = 1",
            "x = {",
            "level = 5",
            "x = 0x" + "f" * 5000,
            "commands_poll_interval_s = inf",
            "t = 9999-12-31T23:59:59-05:00",
            "x = " + "[" * 900,
        ]
    ),
    st.tuples(hostile.TEXTS, hostile.JSON.map(hostile.encoded)).map(lambda pair: f"{pair[0]} = {pair[1].decode()}"),
    st.sampled_from(
        [
            "base_url",
            "api_key_file",
            "name",
            "state_dir",
            "run_dir",
            "seed",
            "level",
            "format",
            "keys_dir",
            "window",
            "disabled",
            "outbox_bytes_max",
            "commands_poll_interval_s",
            "metered",
            "gzip",
            "ca_file",
        ],
    ).flatmap(lambda name: hostile.JSON.map(lambda value: f"{name} = {hostile.encoded(value).decode()}")),
)

MAP = b"""[time]
column = "time"
[[sensors]]
name = "A"
[sensors.channels]
temperature = "a_c"
"""

CELLS = st.one_of(
    st.sampled_from(
        [
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:01+01:00",
            "1.5",
            "",
            "nan",
            "inf",
            "1e999",
            "time",
            "a_c",
            '"',
            "0001-01-01T00:00:00+14:00",
        ]
    ),
    hostile.INSTANTS,
    hostile.TEXTS,
)

JOURNAL_ROWS = st.tuples(
    st.uuids().map(str) | st.text(min_size=1, max_size=9),
    st.booleans(),
    st.one_of(
        st.binary(max_size=50),
        st.text(max_size=20),
        st.integers(-(2**63), 2**63 - 1),
        hostile.objects(
            {
                "command_id": hostile.TEXTS,
                "type": hostile.TEXTS,
                "received_boot": st.just("boot"),
                "received_ms": hostile.NUMBERS,
                "state": st.sampled_from(["received", "executing", "done", "dreaming"]),
                "payload": hostile.JSON,
                "expires_utc_ms": hostile.NUMBERS,
                "received_utc_ms": hostile.NUMBERS,
                "attempts": hostile.NUMBERS,
            }
        ),
    ),
)

HEADERS = st.dictionaries(hostile.HEADER_NAMES, hostile.HEADER_VALUES, max_size=4)
STATE = st.binary(max_size=100) | hostile.RAW | hostile.JSON.map(hostile.encoded)


@st.composite
def changed(draw: st.DrawFn, document: Any) -> bytes:  # noqa: ANN401
    """Return a document in JSON with up to three of its values changed into others."""
    copy = msgspec.json.decode(msgspec.json.encode(document))
    for _ in range(draw(st.integers(1, 3))):
        node = copy
        while True:
            keys: list[Any] = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(node[key], dict | list) and node[key] and draw(st.integers(0, 9)):
                node = node[key]
                continue
            node[key] = draw(hostile.NUMBERS | hostile.JSON)
            break
    return hostile.encoded(copy)


EXTREMES: tuple[Any, ...] = (None, "", True, [], 0, -1, 2**63 - 1, -(2**63), 1e308, -1e308)


def with_extremes(document: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield a document in JSON with each of its values in turn changed to each of a few extremes, and which it was."""
    for path in _paths(document):
        for value in EXTREMES:
            changed = node = copy.deepcopy(document)
            for key in path[:-1]:
                node = node[key]
            node[path[-1]] = value
            yield f"{'.'.join(map(str, path))} = {value!r}", changed


def _paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from _paths(value, (*path, key))
