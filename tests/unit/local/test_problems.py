"""Problems and remedies from the status: each is said once, with its level."""

from collections.abc import Callable

import msgspec
import pytest

from agent.errors import Cause
from agent.local.problem import Level
from agent.local.problems import REMEDIES, exactness, problems, starts_problem
from agent.local.status import ClockStatus, EndpointReport, FaultReport, HubStatus, StartReport
from hal.radio import NOT_REPORTED_YET

replace = msgspec.structs.replace


def with_outbox(status: HubStatus, **changes: object) -> HubStatus:
    return replace(status, outbox=replace(status.outbox, **changes))


def with_link(status: HubStatus, **changes: object) -> HubStatus:
    return replace(status, link=replace(status.link, **changes))


def with_failing_telemetry(status: HubStatus, **changes: object) -> HubStatus:
    failing = EndpointReport("failing", "POST /v1/telemetry was answered 500", "server_error", 300, 9, is_failing=True)
    endpoints = {"POST /v1/telemetry": replace(failing, **changes), "GET /v1/settings": WORKING}
    return with_link(status, state="degraded", reason=failing.reason, cause=failing.cause, endpoints=endpoints)


WORKING = EndpointReport("working", "", "", 300, 0, is_failing=False)


def with_sensor(status: HubStatus, **changes: object) -> HubStatus:
    return replace(status, sensors=[replace(status.sensors[0], **changes), *status.sensors[1:]])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: with_outbox(s, problem="the disk is full"), "outbox: the disk is full"),
        (lambda s: with_outbox(s, downsampled=5), "outbox: it was full: 0 dropped, 5 downsampled"),
        (lambda s: with_outbox(s, dropped=5), "outbox: it was full: 5 dropped, 0 downsampled"),
        (
            lambda s: with_outbox(s, dead_letters=1, last_refusal="value: too high"),
            "cloud: 1 reading refused for good: value: too high",
        ),
        (lambda s: with_outbox(s, dead_letters=2), "cloud: 2 readings refused for good"),
        (lambda s: with_outbox(s, unconfirmed=3), "cloud: it acknowledged 3 readings fewer than were sent"),
        (
            lambda s: replace(s, link=replace(s.link, state="key_refused", reason="401")),
            "cloud: refuses the hub's key for 10 min: 401",
        ),
        (
            lambda s: replace(s, clock=replace(s.clock, synchronised=False, utc=None)),
            "clock: not set by NTP since the start 3 h 12 min ago",
        ),
        (
            lambda s: with_outbox(s, unanchored=7),
            "clock: 7 readings of an earlier boot without a time, kept apart",
        ),
        (
            lambda s: replace(s, relayed_sensors=[replace(s.relayed_sensors[0], problem="waits for its key")]),
            "sensor kitchen 1: waits for its key",
        ),
        (
            lambda s: replace(s, settings=replace(s.settings, problems=["timezone: unknown"])),
            "settings: timezone: unknown",
        ),
        (
            lambda s: replace(
                s, clock=replace(s.clock, source="ntp", error_s=86.5, known_for_s=900_000, confirmed_s_ago=172_800)
            ),
            "clock: NTP silent for 2 d, right within 1 min 27 s",
        ),
        (
            lambda s: replace(s, faults=[FaultReport("uplink", "KeyError: x", 3, 60)]),
            "uplink: KeyError: x (last 1 min ago, 3 times)",
        ),
        (lambda s: replace(s, faults=[FaultReport("uplink", "once", 1, 5)]), "uplink: once (last 5 s ago)"),
        (
            with_failing_telemetry,
            "cloud: reports an error of its own for readings (5 min, 9 tries): POST /v1/telemetry was answered 500",
        ),
        (
            lambda s: with_outbox(s, sendable=42, stalled_s=181, last_refusal="POST /v1/telemetry was answered 403"),
            "cloud: 42 readings due, none accepted for 3 min 1 s: POST /v1/telemetry was answered 403",
        ),
        (
            lambda s: with_outbox(
                with_link(s, endpoints={"POST /v1/telemetry": replace(WORKING, state="throttled", reason="429")}),
                sendable=1,
                stalled_s=600,
            ),
            "cloud: 1 reading due, none accepted for 10 min: 429",
        ),
        (
            lambda s: replace(s, unmatched_keys=["attic"]),
            "relayed_sensors.sensor_keys_file: the key for attic fits no sensor",
        ),
        (lambda s: replace(s, commands_problem="disk full"), "commands: disk full"),
        (lambda s: replace(s, climate_problems=["hall: no sensor"]), "climate: hall: no sensor"),
        (
            lambda s: replace(with_sensor(replace(s, sensors=s.sensors[:1]), good=0, age_s=None), running_s=181),
            "sensors: none gave a value since the start 3 min 1 s ago",
        ),
        (
            lambda s: replace(s, sensors=[], running_s=181),
            "sensors: none gave a value since the start 3 min 1 s ago",
        ),
        (lambda s: with_sensor(s, problem="no such file"), "sensor sim/temperature: no such file"),
        (lambda s: with_sensor(s, quality="bad", reason="NaN"), "sensor sim/temperature: bad: NaN"),
        (lambda s: with_sensor(s, quality="suspect"), "sensor sim/temperature: suspect"),
        (lambda s: with_sensor(s, age_s=181.0), "sensor sim/temperature: silent for 3 min 1 s"),
    ],
)
def test_each_problem_is_listed_once(status: HubStatus, change: Callable[[HubStatus], HubStatus], told: str) -> None:
    assert [problem.what for problem in problems(change(status))] == [told]


def test_a_sensor_that_was_just_paired_is_no_problem(status: HubStatus) -> None:
    paired = with_sensor(status, quality="suspect", reason=NOT_REPORTED_YET)
    assert problems(paired) == []


def test_silence_needs_a_known_interval_and_a_sensor_of_the_hub(status: HubStatus) -> None:
    old = with_sensor(status, age_s=10_000.0)
    unknown = replace(old, settings=replace(old.settings, in_force={}))
    assert problems(unknown) == []
    assert problems(replace(with_sensor(old, device="0x01"))) == []


def test_the_most_pressing_comes_first(status: HubStatus) -> None:
    worst = with_outbox(
        with_sensor(replace(status, link=replace(status.link, state="down", reason="x")), problem="gone"),
        problem="full",
    )
    assert [problem.what.split(":")[0] for problem in problems(worst)] == ["outbox", "cloud", "sensor sim/temperature"]


@pytest.mark.parametrize(
    ("cause", "said", "advice"),
    [
        ("no_connection", "cannot be reached", "check the cable or Wi-Fi, then the router"),
        ("no_answer", "does not answer", "check the line and the router"),
        ("certificate", "is not trusted", "check cloud.ca_file"),
        ("server_error", "reports an error of its own", "ask the cloud's operator"),
        ("wrong_address", "is not at this address", "check cloud.base_url"),
        ("unusable_answer", "gives unusable answers", "check proxies and portals on the way"),
    ],
)
def test_advice_follows_the_cause(status: HubStatus, cause: str, said: str, advice: str) -> None:
    (whole,) = problems(with_link(status, state="down", cause=cause, reason="x"))
    (part,) = problems(with_failing_telemetry(status, cause=cause, reason="x"))
    for problem in (whole, part):
        assert problem.what.startswith(f"cloud: {said} for ")
        assert problem.advice.startswith(advice)


def test_a_hub_without_a_key_names_the_pages_dialog_and_the_command(status: HubStatus) -> None:
    (found,) = problems(with_link(status, state="unprovisioned", reason="the hub has no key"))
    assert found.what.startswith("cloud: not asked for ")
    assert found.advice == (
        "give the hub its key: on the page under Cloud link, or sudo climahub setup --key-file FILE; readings are kept"
        " until then"
    )


def test_every_cause_has_a_text() -> None:
    assert set(REMEDIES) == set(Cause)


def test_cause_of_waiting_readings_replaces_their_problem(status: HubStatus) -> None:
    waiting = with_outbox(with_failing_telemetry(status), sendable=42, stalled_s=600)
    assert len(problems(waiting)) == 1


def test_readings_that_wait_for_a_moment_are_no_problem(status: HubStatus) -> None:
    assert problems(with_outbox(status, sendable=42, stalled_s=180)) == []
    assert problems(with_outbox(status, sendable=0, stalled_s=10_000)) == []


def test_past_failure_is_no_problem(status: HubStatus) -> None:
    over = with_failing_telemetry(status, is_failing=False)
    assert problems(with_link(over, state="up")) == []


RUNNING = StartReport("2026-11-28T09:00:00Z", "1.0.0", "b", "power_on", "running")


def before(end: str, *, detail: str = "", count: int = 1) -> StartReport:
    return StartReport(None, "1.0.0", "b", "unknown", end, detail, count)


def test_a_crash_is_a_problem_for_a_day() -> None:
    starts = [RUNNING, before("crashed", detail="signal SEGV", count=50), before("stopped"), before("watchdog")]
    said = "crashed (signal SEGV), 50 times in a row 12 min ago; 1 such end before"
    assert starts_problem(starts, 720) == said
    assert starts_problem(starts, 86_400) == ""


def test_an_orderly_end_and_a_loss_of_power_are_none() -> None:
    assert starts_problem([], 10) == starts_problem([RUNNING], None) == ""
    assert starts_problem([RUNNING, before("stopped"), before("crashed")], 5) == ""
    assert starts_problem([RUNNING, before("power_lost")], 5) == ""


def test_a_crash_is_said_with_where_to_look(status: HubStatus) -> None:
    (found,) = problems(replace(status, starts=[RUNNING, before("crashed")], running_s=60))
    assert found.what == "hub: it crashed 1 min ago"
    assert found.advice == "journalctl -u climahub shows why"


def test_a_time_without_a_bound_is_right() -> None:
    assert exactness(ClockStatus(synchronised=True, utc=None, boot_id="b", uptime_s=1)) == "right"


@pytest.mark.parametrize(
    ("change", "level"),
    [
        (lambda s: with_outbox(s, problem="the disk is full"), Level.FAULT),
        (lambda s: with_outbox(s, unconfirmed=3), Level.ATTENTION),
        (lambda s: with_link(s, state="down", cause="no_connection"), Level.ATTENTION),
        (lambda s: with_link(s, state="down", cause="certificate"), Level.FAULT),
        (lambda s: with_link(s, state="unprovisioned"), Level.FAULT),
        (lambda s: replace(s, sensors=[], running_s=181), Level.FAULT),
        (lambda s: replace(s, climate_problems=["hall: no sensor"]), Level.FAULT),
    ],
)
def test_problem_that_needs_a_person_or_loses_data_is_a_fault(
    status: HubStatus, change: Callable[[HubStatus], HubStatus], level: Level
) -> None:
    assert [problem.level for problem in problems(change(status))] == [level]


def test_a_problem_of_a_room_that_is_under_control_is_no_fault(status: HubStatus) -> None:
    told = replace(status, climate_problems=["hall: one sensor is silent", "attic: no sensor"])
    found = problems(told, mild={"hall: one sensor is silent"})
    assert [problem.level for problem in found] == [Level.ATTENTION, Level.FAULT]


def test_a_network_that_brings_no_reports_is_told_also_before_any_sensor_is_known(status: HubStatus) -> None:
    none_known = replace(status, relayed_sensors=[], relay_problem="chmod o-rwx token")
    assert [problem.what for problem in problems(none_known)] == ["relayed sensors: chmod o-rwx token"]
