from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import SettingInvalid
from agent.foundation.lenient_json import Undecodable
from agent.settings.model import UNKNOWN_MAX, DeviceSettings, Location, check_changes, merge
from hal.interface import SensorKind

GOOD: list[tuple[str, Any, Any]] = [
    ("reporting_interval_seconds", 60, 60),
    ("reporting_interval_seconds", 3600, 3600),
    ("enabled_sensors", ["temperature", "iaq", "temperature"], ("temperature", "iaq")),
    ("enabled_sensors", [], ()),
    ("location", {}, Location()),
    ("location", {"latitude": -90, "longitude": 180.0, "name": "attic", "more": 1}, Location(-90.0, 180.0, "attic")),
    ("location", {"name": "x" * 200}, Location(name="x" * 200)),
    ("timezone", "Europe/Brussels", "Europe/Brussels"),
    ("timezone", "UTC", "UTC"),
]

BAD: list[tuple[str, Any]] = [
    ("reporting_interval_seconds", 59),
    ("reporting_interval_seconds", 3601),
    ("reporting_interval_seconds", 60.0),
    ("reporting_interval_seconds", True),
    ("reporting_interval_seconds", "60"),
    ("reporting_interval_seconds", 10**400),
    ("enabled_sensors", "temperature"),
    ("enabled_sensors", 5),
    ("enabled_sensors", {"temperature": 1}),
    ("enabled_sensors", ["temperature", "smell"]),
    ("enabled_sensors", [["temperature"]]),
    ("enabled_sensors", [None]),
    ("location", "attic"),
    ("location", []),
    ("location", {"latitude": "50"}),
    ("location", {"latitude": 90.1}),
    ("location", {"longitude": -180.5}),
    ("location", {"name": "x" * 201}),
    ("location", {"name": 5}),
    ("timezone", "Europe/Brussel"),
    ("timezone", ""),
    ("timezone", "Europe"),
    ("timezone", "."),
    ("timezone", "/etc/passwd"),
    ("timezone", "../UTC"),
    ("timezone", "UTC\0"),
    ("timezone", "x" * 5000),
    ("timezone", "\ud800"),
    ("timezone", 5),
]


@pytest.mark.parametrize(("key", "value", "expected"), GOOD)
def test_valid_values_are_accepted(key: str, value: object, expected: object) -> None:
    settings, problems = merge(DeviceSettings(), {key: value})
    assert problems == []
    assert getattr(settings, key) == expected


@pytest.mark.parametrize(("key", "value"), BAD)
def test_invalid_value_changes_nothing_and_is_named(key: str, value: object) -> None:
    settings, problems = merge(DeviceSettings(), {key: value})
    assert settings == DeviceSettings()
    (problem,) = problems
    assert key in problem
    assert len(problem) < 400
    with pytest.raises(SettingInvalid, match=key):
        check_changes({key: value})


def test_invalid_value_does_not_affect_the_others() -> None:
    settings, problems = merge(DeviceSettings(), {"timezone": "Mars", "reporting_interval_seconds": 300})
    assert settings.reporting_interval_seconds == 300
    assert len(problems) == 1


def test_null_and_absence_leave_what_is_in_force() -> None:
    current = DeviceSettings(reporting_interval_seconds=120, location=Location(name="attic"), timezone="Europe/Oslo")
    assert merge(current, {}) == (current, [])
    nothing = dict.fromkeys(["reporting_interval_seconds", "enabled_sensors", "location", "timezone"])
    assert merge(current, nothing) == (current, [])


def test_unknown_keys_are_kept() -> None:
    settings, problems = merge(DeviceSettings(), {"display_brightness": {"day": 5}, "x": None})
    assert problems == []
    assert settings.unknown == {"display_brightness": {"day": 5}, "x": None}
    again, _ = merge(settings, {"display_brightness": 7})
    assert again.unknown == {"display_brightness": 7, "x": None}
    assert settings.unknown["display_brightness"] == {"day": 5}


def test_enabled_kinds_follow_the_settings() -> None:
    assert DeviceSettings().kinds is None
    settings, _ = merge(DeviceSettings(), {"enabled_sensors": ["iaq", "temperature"]})
    assert settings.kinds == frozenset({SensorKind.IAQ, SensorKind.TEMPERATURE})


def test_a_local_change_becomes_a_body() -> None:
    body = check_changes({"enabled_sensors": ["iaq"], "location": {"latitude": 50.5}, "reporting_interval_seconds": 90})
    assert body == {"enabled_sensors": ("iaq",), "location": {"latitude": 50.5}, "reporting_interval_seconds": 90}


def test_all_mistakes_of_a_local_change_are_named() -> None:
    with pytest.raises(SettingInvalid) as caught:
        check_changes({"tz": "UTC", "timezone": None, "reporting_interval_seconds": 5})
    for part in ("tz is not a setting", "timezone must have a value", "60 to 3600"):
        assert part in str(caught.value)
    with pytest.raises(SettingInvalid, match="nothing to change"):
        check_changes({})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["reporting_interval_seconds", "enabled_sensors", "location", "timezone", "new"]), json_values
    )
)
def test_no_cloud_answer_brings_settings_out_of_bounds(changes: dict[str, Any]) -> None:
    settings, _ = merge(DeviceSettings(), changes)
    assert 60 <= settings.reporting_interval_seconds <= 3600
    assert settings.kinds is None or settings.kinds <= set(SensorKind)
    assert merge(settings, changes)[0] == settings


def test_unreadable_setting_does_not_affect_the_others() -> None:
    answer = {"timezone": Undecodable("Number out of range"), "reporting_interval_seconds": 120, "x": Undecodable("no")}
    settings, problems = merge(DeviceSettings(), answer)
    assert settings == DeviceSettings(reporting_interval_seconds=120)
    assert problems == ["timezone cannot be read (Number out of range)", "x cannot be read (no)"]


def test_texts_of_settings_are_sanitised() -> None:
    answer = {"location": {"name": "attic\x1b[2J\n"}, "later\u202e": {"a\r": ["b\x07"]}}
    settings, problems = merge(DeviceSettings(), answer)
    assert problems == []
    assert settings.location == Location(name="attic\\u001b[2J ")
    assert settings.unknown == {"later\\u202e": {"a ": ["b\\u0007"]}}


def test_unknown_settings_are_bounded() -> None:
    settings, problems = merge(DeviceSettings(), {f"x{i}": i for i in range(UNKNOWN_MAX + 1)} | {"y" * 101: 1})
    assert len(settings.unknown) == UNKNOWN_MAX
    assert problems[0].startswith(f"x{UNKNOWN_MAX} is not kept")
    assert problems[1].endswith("its name is longer than 100 characters")
    again, problems = merge(settings, {"x0": 5})
    assert (again.unknown["x0"], problems) == (5, [])


@pytest.mark.parametrize("name", ["tzdata.zi", "zone1970.tab", "leapseconds", "posixrules", "+VERSION"])
def test_any_file_of_the_time_zone_directory_is_handled(name: str) -> None:
    merge(DeviceSettings(), {"timezone": name})
