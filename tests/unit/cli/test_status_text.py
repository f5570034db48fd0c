import msgspec
import pytest

from agent.cli.status import as_text, sensor_table, starts_line
from agent.local.problems import problems
from agent.local.status import HubStatus, StartReport
from hal.radio import NOT_REPORTED_YET

replace = msgspec.structs.replace


def with_outbox(status: HubStatus, **changes: object) -> HubStatus:
    return replace(status, outbox=replace(status.outbox, **changes))


def with_link(status: HubStatus, **changes: object) -> HubStatus:
    return replace(status, link=replace(status.link, **changes))


def test_a_healthy_hub_fits_a_screen(status: HubStatus) -> None:
    text = as_text(status)
    assert problems(status) == []
    assert "NO PROBLEMS" in text
    assert "cloud     up for 10 min, 2 outages so far" in text
    assert "outbox    12 readings waiting, the oldest 20 s old; 14 KiB" in text
    assert "13,220 taken, 13,205 accepted, 3 still in memory" in text
    assert "clock     right; up 3 h 12 min" in text
    assert "quotas    telemetry 3/60 in 1 min" in text
    assert "settings  a report every 60 s" in text
    lines = text.splitlines()
    assert len(lines) <= 24
    assert all(len(line) <= 80 for line in lines)


def test_status_of_an_idle_hub(status: HubStatus) -> None:
    idle = replace(
        with_outbox(status, pending=0, oldest_age_s=None),
        quotas={},
        sensors=[],
        clock=replace(status.clock, utc=None),
        settings=replace(status.settings, pending={"timezone": "UTC"}),
    )
    text = as_text(idle)
    assert "0 readings waiting; " in text
    assert "none used" in text
    assert "no sensor has reported yet" in text
    assert "time unknown" in text
    assert "a report every 60 s, 1 on their way to the cloud" in text


def test_sensors_are_named_for_people(status: HubStatus) -> None:
    assert sensor_table(status)[1:] == [
        "sim/temperature     temperature  20.5 °C  30 s  good",
        "kitchen 1 humidity  humidity      45.0 %     -  good",
    ]


def test_problems_come_first_with_their_remedies(status: HubStatus) -> None:
    down = with_link(status, state="down", cause="no_connection", reason="no route", since_s=720)
    lines = as_text(down).splitlines()
    assert lines[2:5] == [
        "1 PROBLEM",
        "  ! cloud: cannot be reached for 12 min: no route",
        "    -> check the cable or Wi-Fi, then the router; readings are kept until it is back",
    ]


def test_sensors_that_cannot_be_read_are_named(status: HubStatus) -> None:
    text = as_text(replace(status, unread_sensors=["bme280 (iio:device0) is not read"]))
    assert text.splitlines()[-1] == "unread    bme280 (iio:device0) is not read"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "clock     right; up 3 h 12 min"),
        ({"synchronised": False, "utc": None}, "clock     unknown; up 3 h 12 min"),
        ({"source": "system", "known_for_s": 11_520}, "clock     right by configuration; up 3 h 12 min"),
        (
            {"source": "ntp", "error_s": 0.21, "known_for_s": 10_800},
            "clock     right within 0.3 s by NTP, known for 3 h; up 3 h 12 min",
        ),
        (
            {"source": "cloud", "error_s": 1.5, "known_for_s": 60},
            "clock     right within 1.5 s by the cloud, known for 1 min; up 3 h 12 min",
        ),
        (
            {"source": "rtc", "error_s": 300.2, "known_for_s": 60},
            "clock     right within 5 min 1 s by the clock battery, known for 1 min; up 3 h 12 min",
        ),
    ],
)
def test_time_source_and_accuracy_are_shown(status: HubStatus, changes: dict[str, object], line: str) -> None:
    assert line in as_text(replace(status, clock=replace(status.clock, **changes))).splitlines()


def test_time_of_the_last_acceptance_is_shown(status: HubStatus) -> None:
    text = as_text(with_outbox(status, accepted_age_s=45))
    assert "cloud     up for 10 min, 2 outages so far; a reading accepted 45 s ago" in text


RUNNING = StartReport("2026-11-28T09:00:00Z", "1.0.0", "b", "power_on", "running")


def before(end: str, *, detail: str = "", count: int = 1) -> StartReport:
    return StartReport(None, "1.0.0", "b", "unknown", end, detail, count)


def test_first_start_has_no_previous_end() -> None:
    assert starts_line([]) == starts_line([RUNNING]) == ""


def test_end_of_the_last_process_is_shown() -> None:
    crashed = before("crashed", detail="signal SEGV", count=50)
    assert starts_line([RUNNING, crashed]) == "before, the agent crashed (signal SEGV), 50 times in a row"
    assert "lost its power" in starts_line([RUNNING, before("power_lost")])


def test_unknown_end_of_a_newer_release_is_shown_unchanged() -> None:
    assert starts_line([RUNNING, before("exploded")]) == "before, the agent exploded"


def test_the_state_of_a_sensor_that_was_just_paired_is_shown(status: HubStatus) -> None:
    paired = replace(status.sensors[0], quality="suspect", reason=NOT_REPORTED_YET)
    assert "suspect" in as_text(replace(status, sensors=[paired]))
