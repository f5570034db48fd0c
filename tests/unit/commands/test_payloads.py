"""Commands and payloads as they are received; results and messages as they are sent."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.commands.payloads import (
    COMMAND_ID_CHARS_MAX,
    ERROR_MESSAGE_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    RESULT_BYTES_MAX,
    IncomingCommand,
    check_factory_reset,
    decode_commands,
    limit_message,
    limit_result,
    reboot_delay_s,
    redact_json,
    requested_sections,
)
from agent.errors import CommandInvalid

SAMPLE = {
    "command_id": "cmd-001",
    "type": "reboot",
    "payload": {"delay_seconds": 5},
    "expires_at": "2026-03-30T12:00:00Z",
}
NOON_MS = 1_774_872_000_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


def read_all(*commands: object) -> tuple[list[IncomingCommand], int]:
    return decode_commands([msgspec.json.encode(command) for command in commands])


def read(**changes: object) -> IncomingCommand:
    arrivals, unreadable = read_all(SAMPLE | changes)
    assert unreadable == 0
    return arrivals[0]


def test_the_published_sample() -> None:
    assert read() == IncomingCommand("cmd-001", "reboot", {"delay_seconds": 5}, NOON_MS, "")


def test_what_may_be_missing() -> None:
    arrivals, _ = read_all({"command_id": "a", "type": "diagnostics", "x_added_later": 1})
    assert arrivals == [IncomingCommand("a", "diagnostics", None, None, "")]


@pytest.mark.parametrize("text", ["2026-03-30T12:00:00.250+00:00", "2026-03-30T14:00:00.250+02:00"])
def test_fractions_and_zones_are_understood(text: str) -> None:
    assert read(expires_at=text).expires_utc_ms == NOON_MS + 250


@pytest.mark.parametrize(
    "value",
    ["tomorrow", "2026-03-30T12:00:00", 17, "", [], "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-05:00"],
)
def test_an_expiry_that_is_none_is_told(value: object) -> None:
    found = read(expires_at=value)
    assert found.expires_utc_ms is None
    assert found.problem == (
        f"expires_at is {msgspec.json.encode(value).decode()};"
        " a date and time with its zone, between 1970 and 2200, is needed"
    )


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (
            b'{"location":{"name":"Kueche \\ud83c"}}',
            "payload is unreadable (Input data was truncated); an object is needed",
        ),
        (b'{"x":1e999}', "payload is unreadable (Number out of range); an object is needed"),
        (b'{"x":"\xff"}', "payload is unreadable ('utf-8' codec can't decode byte 0xff"),
        (
            b'{"x":' * 900 + b"1" + b"}" * 900,
            "payload is unreadable (nested deeper than 32 levels); an object is needed",
        ),
        (b'{"x":18446744073709551616}', "payload is unreadable (a whole number is outside"),
    ],
)
def test_a_payload_that_cannot_be_read_costs_its_own_command_only(payload: bytes, words: str) -> None:
    bad = b'{"command_id":"bad","type":"config_update","payload":' + payload + b"}"
    (first, found, last), unreadable = decode_commands([msgspec.json.encode(SAMPLE), bad, msgspec.json.encode(SAMPLE)])
    assert first == last == read()
    assert (found.command_id, found.type, found.payload, unreadable) == ("bad", "config_update", None, 0)
    assert found.problem.startswith(words)


def test_a_type_is_made_harmless() -> None:
    assert read(type="re\x1b[2Jboot\n").type == "re\\u001b[2Jboot "


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"type": 7}, "type is 7; the name of a command is needed"),
        ({"type": "x" * 201}, "type is"),
        ({"payload": [1]}, "payload is [1]; an object is needed"),
        ({"payload": {"x": "y" * PAYLOAD_BYTES_MAX}}, "payload is larger than 16384 bytes"),
    ],
)
def test_what_is_wrong_is_told_in_words(changes: dict[str, Any], words: str) -> None:
    found = read(**changes)
    assert found.problem.startswith(words)
    assert found.payload is None or found.type == ""


@pytest.mark.parametrize(
    "command", [None, [], "cmd", {}, {"command_id": ""}, {"command_id": 5}, {"command_id": "x" * 257}]
)
def test_what_has_no_id_is_counted(command: object) -> None:
    assert read_all(command, SAMPLE) == ([read()], 1)


def test_the_longest_id() -> None:
    assert read(command_id="x" * COMMAND_ID_CHARS_MAX).problem == ""


@given(st.lists(st.dictionaries(st.sampled_from(["command_id", "type", "payload", "expires_at", "y"]), JSON) | JSON))
def test_nothing_that_json_can_say_breaks_it(commands: list[Any]) -> None:
    arrivals, unreadable = read_all(*commands)
    assert len(arrivals) + unreadable == len(commands)


@pytest.mark.parametrize(("payload", "delay_s"), [({}, 0), ({"delay_seconds": 0}, 0), ({"delay_seconds": 3600}, 3600)])
def test_delays(payload: dict[str, Any], delay_s: int) -> None:
    assert reboot_delay_s(payload) == delay_s


@pytest.mark.parametrize("value", [-1, 3601, 5.0, "5", True, None, [5]])
def test_delays_that_are_none(value: object) -> None:
    with pytest.raises(CommandInvalid, match="allowed are whole seconds, 0 to 3600"):
        reboot_delay_s({"delay_seconds": value})


def test_extra_fields_are_never_passed_over() -> None:
    with pytest.raises(CommandInvalid, match='unexpected "force"; allowed is delay_seconds'):
        reboot_delay_s({"delay_seconds": 5, "force": True})
    with pytest.raises(CommandInvalid, match='unexpected "when"; allowed is confirm'):
        check_factory_reset({"confirm": True, "when": "now"})
    with pytest.raises(CommandInvalid, match='unexpected "depth"; allowed is sections'):
        requested_sections({"depth": 3}, ["memory"])


@pytest.mark.parametrize("payload", [{}, {"confirm": False}, {"confirm": "true"}, {"confirm": 1}])
def test_a_reset_wants_to_be_confirmed_in_so_many_words(payload: dict[str, Any]) -> None:
    with pytest.raises(CommandInvalid, match="confirmation required"):
        check_factory_reset(payload)
    check_factory_reset({"confirm": True})


def test_sections() -> None:
    known = ["memory", "disk", "link"]
    assert requested_sections({}, known) == ("memory", "disk", "link")
    assert requested_sections({"sections": ["link", "disk", "link"]}, known) == ("link", "disk")
    with pytest.raises(CommandInvalid, match='sections names "fuel", 7; there are memory, disk, link'):
        requested_sections({"sections": ["fuel", "disk", 7]}, known)
    wrong: object
    for wrong in ([], "disk", {}):
        with pytest.raises(CommandInvalid, match="a list of names is needed"):
            requested_sections({"sections": wrong}, known)


def test_what_is_quoted_is_cut() -> None:
    with pytest.raises(CommandInvalid, match=r"delay_seconds is \"x{56}\.\.\.; allowed"):
        reboot_delay_s({"delay_seconds": "x" * 1000})


KEY = "cs_dev_" + "a1" * 16


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@given(st.text(max_size=3000))
def test_a_message_fits_and_is_whole_characters(text: str) -> None:
    found = limit_message(text)
    assert len(found.encode()) <= ERROR_MESSAGE_BYTES_MAX


def test_a_long_message_keeps_its_beginning_and_says_that_it_was_cut() -> None:
    found = limit_message("ü" * 1024)
    assert found == "ü" * 510 + "..."
    assert limit_message("short") == "short"


def test_secrets_go_before_the_cut() -> None:
    assert KEY not in limit_message("x" * 1000 + KEY)
    assert limit_message(f"key {KEY} refused") == "key cs_dev_[redacted] refused"


def test_secrets_go_from_everywhere() -> None:
    value = {KEY: [f"Bearer {KEY}", {"deep": (KEY, 1, None, True, 2.5)}]}
    told = json.dumps(redact_json(value))
    assert KEY not in told
    assert "2.5" in told


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=2000), max_size=8), st.integers(64, 4000))
def test_a_result_fits_and_parses_and_names_what_is_missing(sections: dict[str, str], bytes_max: int) -> None:
    found = limit_result(sections, bytes_max=bytes_max)
    text = json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert len(text) <= bytes_max
    for name, section in found.items():
        if name != "omitted":
            assert redact_json(sections)[name] == section


def test_the_largest_sections_go_first() -> None:
    sections: dict[str, Any] = {"a": "x" * 100, "sensors": ["y" * 100] * 1000, "b": 1, "log": "z" * 60_000}
    assert limit_result(sections) == {"a": "x" * 100, "b": 1, "log": "z" * 60_000, "omitted": ["sensors"]}
    assert len(json.dumps(limit_result(sections))) < RESULT_BYTES_MAX


def test_where_not_even_the_names_fit_they_are_counted() -> None:
    assert limit_result({"n" * 100: 1, "m" * 100: 2}, bytes_max=60) == {"omitted": 2}


def test_what_fits_stays_as_it_is() -> None:
    assert limit_result({"memory": {"total_bytes": 1}}) == {"memory": {"total_bytes": 1}}


@pytest.mark.parametrize("value", [nested(900), object(), [10**5000], {1: {2j: 3}}])
def test_a_section_that_json_cannot_hold_says_so_in_its_place(value: object) -> None:
    found = limit_result({"good": 1, "bad": value})
    assert found["good"] == 1
    assert found["bad"]["problem"].startswith("this cannot be shown: ")
    json.dumps(found)


def test_half_a_surrogate_pair_is_spelt() -> None:
    assert limit_result({"a\ud83c": ["b\ud83c\n"]}) == {"a\\ud83c": ["b\\ud83c\\u000a"]}
    assert limit_message("a\nb\x1b\ud83c") == "a b\\u001b\\ud83c"
