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


def test_published_sample_is_decoded() -> None:
    assert read() == IncomingCommand("cmd-001", "reboot", {"delay_seconds": 5}, NOON_MS, "")


def test_optional_fields_may_be_missing() -> None:
    arrivals, _ = read_all({"command_id": "a", "type": "diagnostics", "x_added_later": 1})
    assert arrivals == [IncomingCommand("a", "diagnostics", None, None, "")]


@pytest.mark.parametrize("text", ["2026-03-30T12:00:00.250+00:00", "2026-03-30T14:00:00.250+02:00"])
def test_fractions_and_zones_are_understood(text: str) -> None:
    assert read(expires_at=text).expires_utc_ms == NOON_MS + 250


@pytest.mark.parametrize(
    "value",
    ["tomorrow", "2026-03-30T12:00:00", 17, "", [], "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-05:00"],
)
def test_invalid_expiry_is_reported(value: object) -> None:
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
def test_unreadable_payload_fails_its_command_only(payload: bytes, words: str) -> None:
    bad = b'{"command_id":"bad","type":"config_update","payload":' + payload + b"}"
    (first, found, last), unreadable = decode_commands([msgspec.json.encode(SAMPLE), bad, msgspec.json.encode(SAMPLE)])
    assert first == last == read()
    assert (found.command_id, found.type, found.payload, unreadable) == ("bad", "config_update", None, 0)
    assert found.problem.startswith(words)


def test_type_is_sanitised() -> None:
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
def test_invalid_command_is_reported_with_its_reason(changes: dict[str, Any], words: str) -> None:
    found = read(**changes)
    assert found.problem.startswith(words)
    assert found.payload is None or found.type == ""


@pytest.mark.parametrize(
    "command", [None, [], "cmd", {}, {"command_id": ""}, {"command_id": 5}, {"command_id": "x" * 257}]
)
def test_commands_without_id_are_counted(command: object) -> None:
    assert read_all(command, SAMPLE) == ([read()], 1)


def test_longest_id_is_accepted() -> None:
    assert read(command_id="x" * COMMAND_ID_CHARS_MAX).problem == ""


@given(st.lists(st.dictionaries(st.sampled_from(["command_id", "type", "payload", "expires_at", "y"]), JSON) | JSON))
def test_any_json_is_decoded_or_reported(commands: list[Any]) -> None:
    arrivals, unreadable = read_all(*commands)
    assert len(arrivals) + unreadable == len(commands)


@pytest.mark.parametrize(("payload", "delay_s"), [({}, 0), ({"delay_seconds": 0}, 0), ({"delay_seconds": 3600}, 3600)])
def test_valid_reboot_delays(payload: dict[str, Any], delay_s: int) -> None:
    assert reboot_delay_s(payload) == delay_s


@pytest.mark.parametrize("value", [-1, 3601, 5.0, "5", True, None, [5]])
def test_invalid_reboot_delays_are_refused(value: object) -> None:
    with pytest.raises(CommandInvalid, match="allowed are whole seconds, 0 to 3600"):
        reboot_delay_s({"delay_seconds": value})


def test_unknown_payload_fields_are_refused() -> None:
    with pytest.raises(CommandInvalid, match='unexpected "force"; allowed is delay_seconds'):
        reboot_delay_s({"delay_seconds": 5, "force": True})
    with pytest.raises(CommandInvalid, match='unexpected "when"; allowed is confirm'):
        check_factory_reset({"confirm": True, "when": "now"})
    with pytest.raises(CommandInvalid, match='unexpected "depth"; allowed is sections'):
        requested_sections({"depth": 3}, ["memory"])


@pytest.mark.parametrize("payload", [{}, {"confirm": False}, {"confirm": "true"}, {"confirm": 1}])
def test_factory_reset_needs_its_confirmation_field(payload: dict[str, Any]) -> None:
    with pytest.raises(CommandInvalid, match="confirmation required"):
        check_factory_reset(payload)
    check_factory_reset({"confirm": True})


def test_requested_sections_are_known_and_unique() -> None:
    known = ["memory", "disk", "link"]
    assert requested_sections({}, known) == ("memory", "disk", "link")
    assert requested_sections({"sections": ["link", "disk", "link"]}, known) == ("link", "disk")
    with pytest.raises(CommandInvalid, match='sections names "fuel", 7; there are memory, disk, link'):
        requested_sections({"sections": ["fuel", "disk", 7]}, known)
    wrong: object
    for wrong in ([], "disk", {}):
        with pytest.raises(CommandInvalid, match="a list of names is needed"):
            requested_sections({"sections": wrong}, known)


def test_quoted_values_are_cut() -> None:
    with pytest.raises(CommandInvalid, match=r"delay_seconds is \"x{56}\.\.\.; allowed"):
        reboot_delay_s({"delay_seconds": "x" * 1000})


KEY = "cs_dev_" + "a1" * 16


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@given(st.text(max_size=3000))
def test_error_message_fits_and_is_cut_at_whole_characters(text: str) -> None:
    found = limit_message(text)
    assert len(found.encode()) <= ERROR_MESSAGE_BYTES_MAX


def test_long_error_message_keeps_its_beginning_and_shows_the_cut() -> None:
    found = limit_message("ü" * 1024)
    assert found == "ü" * 510 + "..."
    assert limit_message("short") == "short"


def test_secrets_are_redacted_before_the_cut() -> None:
    assert KEY not in limit_message("x" * 1000 + KEY)
    assert limit_message(f"key {KEY} refused") == "key cs_dev_[redacted] refused"


def test_secrets_are_redacted_in_all_nested_values() -> None:
    value = {KEY: [f"Bearer {KEY}", {"deep": (KEY, 1, None, True, 2.5)}]}
    told = json.dumps(redact_json(value))
    assert KEY not in told
    assert "2.5" in told


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=2000), max_size=8), st.integers(64, 4000))
def test_result_fits_and_names_the_dropped_sections(sections: dict[str, str], bytes_max: int) -> None:
    found = limit_result(sections, bytes_max=bytes_max)
    text = json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert len(text) <= bytes_max
    for name, section in found.items():
        if name != "omitted":
            assert redact_json(sections)[name] == section


def test_largest_sections_are_dropped_first() -> None:
    sections: dict[str, Any] = {"a": "x" * 100, "sensors": ["y" * 100] * 1000, "b": 1, "log": "z" * 60_000}
    assert limit_result(sections) == {"a": "x" * 100, "b": 1, "log": "z" * 60_000, "omitted": ["sensors"]}
    assert len(json.dumps(limit_result(sections))) < RESULT_BYTES_MAX


def test_dropped_sections_are_counted_where_their_names_do_not_fit() -> None:
    assert limit_result({"n" * 100: 1, "m" * 100: 2}, bytes_max=60) == {"omitted": 2}


def test_result_that_fits_is_unchanged() -> None:
    assert limit_result({"memory": {"total_bytes": 1}}) == {"memory": {"total_bytes": 1}}


@pytest.mark.parametrize("value", [nested(900), object(), [10**5000], {1: {2j: 3}}])
def test_section_that_json_cannot_encode_is_replaced_by_its_problem(value: object) -> None:
    found = limit_result({"good": 1, "bad": value})
    assert found["good"] == 1
    assert found["bad"]["problem"].startswith("this cannot be shown: ")
    json.dumps(found)


def test_lone_surrogate_is_escaped() -> None:
    assert limit_result({"a\ud83c": ["b\ud83c\n"]}) == {"a\\ud83c": ["b\\ud83c\\u000a"]}
    assert limit_message("a\nb\x1b\ud83c") == "a b\\u001b\\ud83c"
