"""A body that does not fit is answered with the field and what to send there, and never with what was sent."""

import msgspec
import pytest

from agent.apis.aurra_home import wire
from agent.apis.aurra_home.body_problems import explain

BLOCK = b'{"label": "x", "start": "20:00", "end": "01:00", "heat": 60, "cool": 70, "days": ["mon"]}'


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        (wire.SetpointBody, b'{"mode": "heat"}', "send temperature as a whole number from 40 to 90: it is missing"),
        (
            wire.SetpointBody,
            b'{"temperature": "68", "mode": "heat"}',
            "send temperature as a whole number from 40 to 90: it is something else",
        ),
        (
            wire.SetpointBody,
            b'{"temperature": 68, "mode": "warm"}',
            "send mode as one of auto, cool, heat, off: it is something else",
        ),
        (wire.SetpointBody, b"[]", "send one JSON object"),
        (wire.EcoBody, b'{"heat_limit": 60}', "send enabled as true or false: it is missing"),
        (
            wire.EcoBody,
            b'{"enabled": true, "heat_limit": "a"}',
            "send heat_limit as a whole number from 40 to 90: it is something else",
        ),
        (
            wire.ScheduleBody,
            b'{"name": "a", "blocks": []}',
            "send blocks as a list of 1 to 70 items: it is something else",
        ),
        (
            wire.ScheduleBody,
            b'{"name": "a", "blocks": [' + BLOCK + b", " + BLOCK.replace(b"20:00", b"25:00") + b"]}",
            "send blocks[1].start as a time of day, HH:MM: it is something else",
        ),
        (
            wire.ScheduleBody,
            b'{"name": "a", "blocks": [' + BLOCK.replace(b'"label": "x", ', b"") + b"]}",
            "send blocks[0].label as a text of at most 64 characters: it is missing",
        ),
        (
            wire.ScheduleBody,
            b'{"name": "a", "blocks": [' + BLOCK.replace(b"mon", b"someday") + b"]}",
            "send blocks[0].days[0] as one of fri, mon, sat, sun, thu, tue, wed: it is something else",
        ),
        (
            wire.ScheduleBody,
            b'{"name": "", "blocks": [' + BLOCK + b"]}",
            "send name as a text of 1 to 64 characters: it is something else",
        ),
        (
            wire.AlertBody,
            b'{"device_id": "a", "issue": "x", "confidence": 1.1, "action": "y"}',
            "send confidence as a number from 0 to 1: it is something else",
        ),
        (
            wire.VoiceBody,
            b'{"device_id": "a", "platform": "HomeKit", "user_token": {"secret": 1}}',
            "send user_token as a text of 1 to 4096 characters: it is something else",
        ),
    ],
)
def test_a_body_that_does_not_fit_is_explained(kind: type, body: bytes, text: str) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.json.decode(body, type=kind)
    assert explain(raised.value, kind) == text


@pytest.mark.parametrize(
    "kind",
    [
        wire.SetpointBody,
        wire.ScheduleBody,
        wire.EcoBody,
        wire.VibrationBody,
        wire.EnergyBody,
        wire.AlertBody,
        wire.OptimizeBody,
        wire.VoiceBody,
    ],
)
def test_every_field_of_every_body_has_words(kind: type) -> None:
    for field in msgspec.structs.fields(kind):
        text = explain(msgspec.ValidationError(f"Expected `x`, got `y` - at `$.{field.encode_name}`"), kind)
        assert text.startswith(f"send {field.encode_name} as ")
        assert "the contract says" not in text
