"""What is read strictly: unknown keys by name, and bodies of any other form."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.apis.amps import assumptions
from agent.apis.amps.refusals import AmpsRefused
from agent.apis.amps.wire import PushBody, decode_push, time_text

PUBLISHED = b"""{ "action": { "command": "heat", "parameters": { "target": { "value": 21, "unit": "celsius" } },
              "start": "2026-06-10T22:00:00", "end": "2026-06-11T05:00:00" },
  "onConflict": "cancel_and_replace", "sandbox": { } }"""


def refusal(body: bytes) -> AmpsRefused:
    with pytest.raises(AmpsRefused) as caught:
        decode_push(body)
    assert caught.value.code == assumptions.VALIDATION_ERROR
    assert caught.value.status == 400
    return caught.value


def test_the_published_body() -> None:
    body = decode_push(PUBLISHED)
    assert body.action.command == "heat"
    assert body.on_conflict == "cancel_and_replace"
    assert body.sandbox is not None


@pytest.mark.parametrize("sandbox", [b'{"delayMs": 5, "forceState": "exploded"}', b"7", b"null", b"[]"])
def test_what_a_sandbox_object_holds_is_ignored_where_there_is_no_sandbox(sandbox: bytes) -> None:
    body = decode_push(b'{"action": {"command": "heat"}, "sandbox": %s}' % sandbox, has_sandbox=False)
    assert (body.action.command, body.sandbox) == ("heat", None)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"action": {"command": "idle"}, "onconflict": "queue_after"}, "onconflict"),
        ({"action": {"command": "idle", "when": "now"}}, "action.when"),
        ({"action": {"command": "idle"}, "sandbox": {"state": 1}}, "sandbox.state"),
        (
            {"action": {"command": "heat", "parameters": {"target": {"value": 1, "unit": "celsius", "scale": 1}}}},
            "action.parameters.target.scale",
        ),
    ],
)
def test_an_unknown_key_is_named(body: dict[str, Any], place: str) -> None:
    error = refusal(msgspec.json.encode(body))
    assert error.details["reason"] == assumptions.UNKNOWN_FIELD
    assert error.details["parameter"] == place
    assert error.details["unknownFields"] == [place]
    assert place in str(error)


def test_every_unknown_key_is_named_at_once() -> None:
    error = refusal(b'{"action": {"command": "heat", "a": 1, "b": 2}, "c": 3}')
    assert error.details["unknownFields"] == ["c", "action.a", "action.b"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b'{"action": null}',
        b'{"action": {}}',
        b'{"action": "set_permanent_hold", "mode": "heat"}',
        b'{"action": {"command": 1}}',
        b'{"action": {"command": "heat", "parameters": []}}',
        b'{"action": {"command": "heat", "parameters": {"target": 21}}}',
        b'{"action": {"command": "heat", "parameters": {"target": {"value": true, "unit": "celsius"}}}}',
        b'{"action": {"command": "heat", "parameters": {"target": {"value": "21", "unit": "celsius"}}}}',
        b'{"action": {"command": "heat"}, "onConflict": "fight"}',
        b'{"action": {"command": "heat"}, "sandbox": {"forceState": "exploded"}}',
        b'{"action": {"command": "heat", "start": 5}}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"action":' * 5000,
    ],
)
def test_what_is_no_push(body: bytes) -> None:
    refusal(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["action", "command", "parameters", "target", "value", "unit", "start", "end", "sandbox"]
                )
                | st.text(max_size=4),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_any_json_is_a_push_or_refused(document: object) -> None:
    try:
        assert isinstance(decode_push(msgspec.json.encode(document)), PushBody)
    except AmpsRefused as error:
        msgspec.json.encode(error.details)


def test_times_have_milliseconds_and_z() -> None:
    assert time_text(1_781_085_600_000) == "2026-06-10T10:00:00.000Z"
    assert time_text(1_781_085_600_007) == "2026-06-10T10:00:00.007Z"
