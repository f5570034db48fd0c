import pytest
from msgspec.structs import replace

from agent.cli.config_changes import as_text, parse_value
from agent.local.config import ConfigReport
from agent.local.status import ConfigTrialReport


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("7.5", 7.5),
        ("true", True),
        ('"none"', "none"),
        ("none", "none"),
        ("7 days", "7 days"),
        ("02:00-05:00", "02:00-05:00"),
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ('["127.0.0.1", "usb0"]', ["127.0.0.1", "usb0"]),
        ('[{ id = "living", sensors = ["a"] }]', [{"id": "living", "sensors": ["a"]}]),
        ("", ""),
        ("7\nother = 1", 7),
        ("[" * 10_000, "[" * 10_000),
    ],
)
def test_a_value_is_toml_or_else_a_text(text: str, value: object) -> None:
    assert parse_value(text) == value


def test_change_on_trial_is_shown_with_the_next_step() -> None:
    trial = ConfigTrialReport(["cloud.proxy"], 300, is_started=False, caller="root")
    text = as_text(ConfigReport("f", [], [], trial, "", ""))
    assert text.startswith("cloud.proxy: on trial")
    assert "Within 5 min" in text
    assert "restarts in a moment" in text
    started = as_text(ConfigReport("f", [], [], replace(trial, is_started=True), "", ""))
    assert started.startswith("cloud.proxy: on trial.\nWithin 5 min")
    assert "climahub config confirm" in text
    assert as_text(ConfigReport("f", [], [], None, "", "")) == "in force now"
