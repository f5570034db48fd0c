"""When an update may download and restart."""

from datetime import UTC, datetime, time

import pytest

from agent.ota import policy


def test_maintenance_window_may_span_midnight() -> None:
    night, over = policy.parse_maintenance_window("02:00-05:00"), policy.parse_maintenance_window("22:30-01:00")
    assert night is not None
    assert over is not None
    hours = {
        hour: (night.is_open(moment), over.is_open(moment))
        for hour in range(24)
        for moment in [datetime(2026, 1, 1, hour, 45, tzinfo=UTC)]
    }
    assert [hour for hour, found in hours.items() if found[0]] == [2, 3, 4]
    assert [hour for hour, found in hours.items() if found[1]] == [0, 22, 23]
    assert night.start == time(2, 0)
    assert policy.parse_maintenance_window("always") is None
    for wrong in ("2-5", "02:00-02:00", "24:00-01:00", ""):
        with pytest.raises(ValueError, match=wrong or "^$"):
            policy.parse_maintenance_window(wrong)


@pytest.mark.parametrize(
    ("local_hour", "metered", "held", "urgent", "rule", "downloads", "restarts"),
    [
        (3, False, False, False, "window", True, True),
        (12, False, False, False, "window", True, False),
        (12, False, False, True, "window", True, True),
        (12, False, True, True, "window", False, False),
        (None, False, False, False, "window", True, False),
        (12, True, False, False, "window", False, False),
        (3, True, False, False, "window", True, True),
        (3, True, False, False, "never", False, True),
        (12, True, False, True, "never", True, True),
        (12, True, False, False, "always", True, False),
    ],
)
def test_window_link_and_urgency_decide_on_download_and_restart(
    local_hour: int | None, metered: bool, held: bool, urgent: bool, rule: str, downloads: bool, restarts: bool
) -> None:
    local = None if local_hour is None else datetime(2026, 1, 1, local_hour, tzinfo=UTC)
    moment, window = (
        policy.UpdateConditions(local, metered, held, urgent),
        policy.parse_maintenance_window("02:00-05:00"),
    )
    assert (policy.reason_not_to_download(moment, window, rule) == "") is downloads
    assert (policy.reason_not_to_restart(moment, window) == "") is restarts
