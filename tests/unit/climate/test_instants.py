"""Instants as people write them, in the time of the house."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from agent.climate.instants import instant_ms
from agent.errors import SettingInvalid
from agent.foundation.clock import Now

BERLIN = ZoneInfo("Europe/Berlin")
NOON_MS = int(datetime(2026, 1, 14, 11, tzinfo=UTC).timestamp() * 1000)
"""Noon in Berlin, a Wednesday."""
NOW = Now("boot", 0, NOON_MS)


def shown(text: str) -> str:
    at_ms = instant_ms(text, NOW, BERLIN)
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(BERLIN).strftime("%a %d %H:%M")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("18:00", "Wed 14 18:00"),
        ("11:00", "Thu 15 11:00"),
        ("sun 18:00", "Sun 18 18:00"),
        ("Sunday 18:00", "Sun 18 18:00"),
        ("wed 18:00", "Wed 14 18:00"),
        ("WED 11:00", "Wed 21 11:00"),
        ("2026-01-31T18:00", "Sat 31 18:00"),
        ("2026-01-31T18:00:00Z", "Sat 31 19:00"),
    ],
)
def test_a_time_is_that_of_the_house_and_the_first_of_its_kind(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    "text", ["", "25:00", "su 18:00", "someday 18:00", "sun", "18", "sun 18:99", "2026-13-01T00:00"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(SettingInvalid):
        instant_ms(text, NOW, BERLIN)


def test_without_the_time_of_day_no_time_of_day_is_meant() -> None:
    with pytest.raises(SettingInvalid, match="give a duration"):
        instant_ms("18:00", Now("boot", 0, None), BERLIN)
