"""The verdict: all is well only where everything has been seen to work, and the right words where it has not."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from agent.local.climate import UNDECIDED, ClimateReport, ZoneReport
from agent.local.problem import Level
from agent.local.routes import ROUTES
from agent.local.status import ConfigTrialReport, FaultReport, HubStatus, LinkReport, RelayedReport
from agent.local.updates import UNSIGNED_WARNING, UpdateReport
from agent.local.verdict import (
    CONFIRM_CONFIG,
    PROBLEMS_SPOKEN_MAX,
    ROLL_BACK,
    ROLL_BACK_CONFIG,
    SENSORS_SPOKEN_MAX,
    Verdict,
    verdict,
)
from agent.local.zigbee import PairedSensor, RadioReport, ZigbeeReport

replace = msgspec.structs.replace

ZONE = ZoneReport(
    zone="bedroom", room_c=20.1, sensors_used=2, sensor_problem="", mode="heat", heat_setpoint_c=20.0,
    cool_setpoint_c=26.0, setpoint_reason="schedule", label="Day", until=None, setpoint_text="Day", is_eco=False,
    action="off", duty=0.0, reason="off: warm", problem="", schedule="week", schedules=[], holds=[], rate_k_per_h=1.0,
    loss_k_per_h=0.5, sensors=["bedroom sensor", "hall sensor"], sensors_in_use=["bedroom sensor", "hall sensor"],
    modes=["heat", "auto", "off"],
)  # fmt: skip
CLIMATE = ClimateReport([ZONE], None, [], "UTC")
ZIGBEE = ZigbeeReport(RadioReport("up"), [], [], "")
UPDATE = UpdateReport(
    version="1.0.0", slot="a", launcher=1, good="a", floor=0, state="idle", target="", percent=0, signed_by="",
    is_paused=False, waiting_for="", error="", warning="", trusted_keys=["k"], failed="", refused=[],
)  # fmt: skip
NOTHING = ClimateReport([], None, [], "")


def paired(**changes: object) -> PairedSensor:
    plain = PairedSensor(
        device="0x01", name="bedroom sensor", stage="relaying", problem="", sensor_id="id", about="", is_online=True,
        is_sleepy=True, last_seen_age_s=30, lqi_last_hop=200, readings=[],
    )  # fmt: skip
    return replace(plain, **changes)


def judge(
    status: HubStatus,
    climate: ClimateReport = CLIMATE,
    zigbee: ZigbeeReport = ZIGBEE,
    update: UpdateReport | None = UPDATE,
) -> Verdict:
    return verdict(status, climate, zigbee, update)


def test_all_is_well_where_everything_has_been_seen(status: HubStatus) -> None:
    found = judge(status)
    assert found.level is Level.OK
    assert found.sentences == [
        "All is well.",
        "No zone needs heating or cooling.",
        "Cloud fine, 12 readings waiting, newest 30 s old.",
    ]
    assert found.problems == found.actions == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"reason": "heating: 1.0 K below 20.0 at 100% (Day; late); minimum off time, 120 s to go", "duty": 1.0},
            "Bedroom waits to heat: minimum off time, 120 s to go.",
        ),
        (
            {"reason": "heating: 1.0 K below 20.0 at 100% (Day); boiler: minimum off time, 3 min to go", "duty": 1.0},
            "Bedroom waits to heat: boiler: minimum off time, 3 min to go.",
        ),
        (
            {"reason": "idle: 1.0 K below 20.0 at 30% (Day)", "duty": 0.3},
            "Bedroom waits to heat: 30 % of the time is enough.",
        ),
        ({"reason": "idle: 1.0 K below 20.0 at 0% (Day)"}, "Bedroom waits to heat: 1.0 K below 20.0 at 0% (Day)."),
        (
            {"mode": "auto", "room_c": 27.0, "modes": ["cool", "auto", "off"], "reason": "idle: cooled in vain"},
            "Bedroom waits to cool: cooled in vain.",
        ),
        ({"mode": "auto", "room_c": 27.0}, "No zone needs heating or cooling."),
        ({"mode": "off", "reason": "off"}, "No zone needs heating or cooling."),
        ({"room_c": 19.9}, "No zone needs heating or cooling."),
        ({"room_c": 19.9, "duty": 0.1}, "Cloud fine, 12 readings waiting, newest 30 s old."),
    ],
)
def test_a_zone_that_waits_says_what_it_waits_for(status: HubStatus, changes: dict[str, Any], said: str) -> None:
    waiting = replace(ZONE, **({"room_c": 19.0} | changes))
    assert judge(status, replace(CLIMATE, zones=[waiting])).sentences[1] == said


def test_silent_sensor_is_named_with_its_substitute(status: HubStatus) -> None:
    silent = "bedroom sensor has been silent for 180 min"
    zone = replace(ZONE, sensor_problem=silent, sensors_in_use=["hall sensor"], action="heat")
    told = replace(
        status,
        outbox=replace(status.outbox, pending=214),
        sensors=[replace(status.sensors[0], age_s=120.0, device="0x02")],
        relayed_sensors=[RelayedReport("0x01", "bedroom sensor", "id", "")],
        climate_problems=[f"bedroom: {silent}"],
    )
    zigbee = replace(ZIGBEE, sensors=[paired(is_online=False, last_seen_age_s=3 * 3600)])
    found = judge(told, replace(CLIMATE, zones=[zone]), zigbee)
    assert found.level is Level.ATTENTION
    assert found.sentences == [
        "Bedroom sensor silent for 3 h; bedroom is controlled by hall sensor.",
        "Heating bedroom.",
        "Cloud fine, 214 readings waiting, newest 2 min old.",
    ]
    assert [problem.what for problem in found.problems] == [
        f"climate: bedroom: {silent}",
        "sensor bedroom sensor: silent for 3 h",
    ]


def test_a_silent_sensor_that_nothing_else_complains_about_is_a_problem(status: HubStatus) -> None:
    silent = paired(is_online=False, last_seen_age_s=3 * 3600)
    never = paired(device="0x02", name="attic", is_online=False, last_seen_age_s=None)
    found = judge(status, zigbee=replace(ZIGBEE, sensors=[silent, never]))
    assert found.level is Level.ATTENTION
    assert [problem.what for problem in found.problems] == [
        "sensor bedroom sensor: silent for 3 h",
        "sensor attic: silent since the start",
    ]
    assert all("battery" in problem.advice for problem in found.problems)
    assert found.sentences[:2] == ["Bedroom sensor silent for 3 h.", "Attic silent since the start."]


def test_a_silence_that_is_reported_with_its_reason_is_said_once(status: HubStatus) -> None:
    told = replace(status, relayed_sensors=[RelayedReport("0x01", "bedroom sensor", "id", "press its button once")])
    found = judge(told, zigbee=replace(ZIGBEE, sensors=[paired(is_online=False, last_seen_age_s=9000)]))
    assert [problem.what for problem in found.problems] == ["sensor bedroom sensor: press its button once"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"room_c": 3.9}, "Climate: bedroom: frost is near, 3.9 °C."),
        ({"until": "2026-01-15T11:00:00Z"}, "Climate: bedroom: setpoints that have ended are in force."),
        ({"problem": "check the relay"}, "Climate: bedroom: check the relay."),
        ({"reason": "off: it may be stuck", "is_sensor_stuck": True}, "Climate: bedroom: off: it may be stuck."),
    ],
)
def test_what_shows_in_the_zones_alone_is_said(status: HubStatus, changes: dict[str, Any], said: str) -> None:
    found = judge(status, replace(CLIMATE, zones=[replace(ZONE, **changes)]))
    assert found.level is not Level.OK
    assert found.sentences[0] == said


def test_a_problem_of_a_zone_can_be_translated(status: HubStatus) -> None:
    zone = replace(ZONE, problem="check the relay", sensor_problem="sim/one disagrees")
    told = replace(
        status, climate_problems=["bedroom: check the relay", "bedroom: sim/one disagrees", "line 4 is lost"]
    )
    found = judge(told, replace(CLIMATE, zones=[zone]))
    assert {problem.what for problem in found.problems} == {f"climate: {text}" for text in told.climate_problems}
    assert found.phrases["bedroom: check the relay"].parameters == {"zone": "bedroom", "problem": "check the relay"}
    assert found.phrases["bedroom: sim/one disagrees"].key == "{zone}: {problem}"


def test_a_fault_of_a_zone_can_be_translated(status: HubStatus) -> None:
    told = replace(status, faults=[FaultReport("maintenance", f"{zone}: is mute", 1, 60) for zone in ("bedroom", "x")])
    found = judge(told)
    assert [problem.what for problem in found.problems] == [
        "maintenance: bedroom: is mute (last 1 min ago)",
        "maintenance: x: is mute (last 1 min ago)",
    ]
    assert found.phrases["bedroom: is mute"].parameters == {"zone": "bedroom", "problem": "is mute"}
    assert "x: is mute" not in found.phrases, "there is no such zone"


@pytest.mark.parametrize("until", [None, "2026-01-15T11:58:30Z", "an instant that is not from 1970 to 2200"])
def test_setpoints_that_may_be_in_force_are_no_problem(status: HubStatus, until: str | None) -> None:
    assert judge(status, replace(CLIMATE, zones=[replace(ZONE, until=until)])).level is Level.OK


def test_an_outbox_that_is_never_emptied_is_said(status: HubStatus) -> None:
    old = replace(status, outbox=replace(status.outbox, oldest_age_s=15 * 86_400))
    assert judge(old).sentences[0] == "Outbox: the oldest reading has been waiting for 15 d."


def test_a_release_that_is_not_the_confirmed_one_is_said(status: HubStatus) -> None:
    other = replace(UPDATE, slot="b")
    assert judge(status, update=other).sentences[0] == "Updates: slot b runs, and slot a is the confirmed one."
    assert judge(status, update=replace(other, state="trial")).level is Level.OK


@pytest.mark.parametrize(("percent", "level"), [(7.0, Level.ATTENTION), (8.0, Level.OK)])
def test_a_battery_that_is_nearly_empty_is_said_before_its_sensor_is_silent(
    status: HubStatus, percent: float, level: Level
) -> None:
    battery = replace(status.sensors[1], kind="battery_level", value=percent)
    told = replace(status, sensors=[status.sensors[0], battery])
    found = judge(told, zigbee=replace(ZIGBEE, sensors=[paired(name="kitchen 1")]))
    assert found.level is level
    assert [problem.what for problem in found.problems] == ["sensor kitchen 1: its battery is at 7 %"] * (percent < 8)


def test_a_zone_without_a_temperature_is_a_fault_and_says_what_it_does(status: HubStatus) -> None:
    reason = "fallback heating at 30%: no usable sensor"
    zone = replace(ZONE, room_c=None, sensor_problem="x is bad", sensors=["sim/temperature"], sensors_in_use=[])
    told = replace(
        status,
        sensors=[replace(status.sensors[0], quality="bad", reason="NaN")],
        climate_problems=["bedroom: x is bad"],
    )
    found = judge(told, replace(CLIMATE, zones=[replace(zone, reason=reason)]))
    assert found.level is Level.FAULT
    assert found.sentences[0] == f"Sim/temperature: bad: NaN; bedroom without a temperature: {reason}."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d | {"status": with_link(d["status"], "untried")}, "The cloud has not answered yet."),
        (lambda d: d | {"status": replace(d["status"], sensors=[])}, "No sensor has reported a good value yet."),
        (
            lambda d: d | {"climate": replace(CLIMATE, zones=[replace(ZONE, reason=UNDECIDED)])},
            "Nothing is decided yet for bedroom.",
        ),
        (
            lambda d: d | {"climate": replace(CLIMATE, zones=[replace(ZONE, room_c=None)])},
            "No temperature is known for bedroom.",
        ),
        (lambda d: d | {"zigbee": replace(ZIGBEE, radio=RadioReport("starting"))}, "The radio is starting."),
    ],
)
def test_unknown_state_is_not_well(
    status: HubStatus, change: Callable[[dict[str, Any]], dict[str, Any]], said: str
) -> None:
    found = judge(**change({"status": status}))
    assert found.level is Level.ATTENTION
    assert found.sentences[0] == said
    assert "All is well." not in found.sentences


def test_a_sensor_whose_pairing_does_not_proceed_is_named(status: HubStatus) -> None:
    told = replace(status, relayed_sensors=[RelayedReport("0x01", "attic", None, "waits for its key")])
    assert judge(told).sentences[0] == "Attic: waits for its key."


def test_sensors_that_have_reported_before_the_start_only_are_not_well(status: HubStatus) -> None:
    old = replace(status, running_s=600, sensors=[replace(status.sensors[0], age_s=None)])
    assert judge(old).sentences[0] == "No sensor has reported since the start."


def with_link(status: HubStatus, state: str) -> HubStatus:
    return replace(status, link=LinkReport(state, "no route", 720, 1, "proven", cause="no_connection"))


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("down", "Cloud cannot be reached for 12 min, 12 readings waiting, newest 30 s old."),
        (
            "unprovisioned",
            "Cloud not asked, as the hub has no key, for 12 min, 12 readings waiting, newest 30 s old.",
        ),
        ("degraded", "Cloud works in part, 12 readings waiting, newest 30 s old."),
    ],
)
def test_cloud_state_is_one_sentence(status: HubStatus, state: str, said: str) -> None:
    assert judge(with_link(status, state)).sentences.count(said) == 1


def test_lost_cloud_is_said_before_heating(status: HubStatus) -> None:
    assert [each[:5] for each in judge(with_link(status, "down")).sentences] == ["Cloud", "No zo"]
    assert [each[:5] for each in judge(with_link(status, "up")).sentences] == ["All i", "No zo", "Cloud"]


def test_zones_that_heat_and_cool_are_named(status: HubStatus) -> None:
    actions = {"living": "heat", "bath": "heat", "office": "cool", "attic": "off"}
    zones = [replace(ZONE, zone=zone, action=action) for zone, action in actions.items()]
    assert judge(status, replace(CLIMATE, zones=zones)).sentences[1:3] == [
        "Heating living and bath.",
        "Cooling office.",
    ]


def test_a_lost_radio_is_a_fault_where_sensors_are_paired(status: HubStatus) -> None:
    lost = replace(ZIGBEE, radio=RadioReport("lost", "plug in the stick"))
    assert judge(status, zigbee=lost).level is Level.ATTENTION
    found = judge(status, zigbee=replace(lost, sensors=[paired()]))
    assert found.level is Level.FAULT
    assert found.sentences[0] == "Radio: plug in the stick."
    assert judge(status, zigbee=replace(ZIGBEE, problem="the book is damaged")).level is Level.ATTENTION


@pytest.mark.parametrize(
    ("changes", "said", "path"),
    [
        ({"is_paused": True}, "Updates: paused by a technician.", "/v1/repairs/resume-updates"),
        (
            {"state": "failed", "target": "1.1", "error": "no space"},
            "Updates: 1.1 failed: no space.",
            "/v1/repairs/reset-update",
        ),
        (
            {"state": "trial", "target": "1.1", "trial_problems": {"control": "hangs"}},
            "Updates: 1.1 fails its trial: control: hangs.",
            "/v1/update/rollback",
        ),
        ({"warning": UNSIGNED_WARNING}, f"Updates: {UNSIGNED_WARNING}.", ""),
    ],
)
def test_updates_and_what_the_hub_can_do(status: HubStatus, changes: dict[str, Any], said: str, path: str) -> None:
    found = judge(status, update=replace(UPDATE, **changes))
    assert found.level is Level.ATTENTION
    assert found.sentences[0] == said
    assert [action.path for action in found.actions] == [path] * bool(path)


@pytest.mark.parametrize(
    ("change", "title", "path"),
    [
        (lambda d: d | {"status": with_link(d["status"], "down")}, "Try the cloud now", "/v1/repairs/retry-cloud"),
        (
            lambda d: d | {"status": replace(d["status"], clock=replace(d["status"].clock, synchronised=False))},
            "Fetch the time",
            "/v1/repairs/fetch-time",
        ),
        (
            lambda d: d | {"status": replace(d["status"], outbox=replace(d["status"].outbox, problem="full"))},
            "Make free space",
            "/v1/repairs/free-space",
        ),
        (
            lambda d: d | {"zigbee": replace(ZIGBEE, problem="relayed.json is damaged")},
            "Write the files anew",
            "/v1/repairs/rebuild-stores",
        ),
        (
            lambda d: d | {"zigbee": replace(ZIGBEE, radio=RadioReport("lost"), sensors=[paired(is_online=False)])},
            "Restart the radio",
            "/v1/repairs/restart-radio",
        ),
        (
            lambda d: d | {"zigbee": replace(ZIGBEE, sensors=[paired(is_online=False, device="0x01 &")])},
            "Set up its reporting again (bedroom sensor)",
            "/v1/repairs/set-up-reporting?target=0x01%20%26",
        ),
    ],
)
def test_what_the_hub_can_do_itself_is_offered(
    status: HubStatus, change: Callable[[dict[str, Any]], dict[str, Any]], title: str, path: str
) -> None:
    found = judge(**change({"status": status}))
    assert [(action.title, action.path, action.method) for action in found.actions] == [(title, path, "POST")]


def test_every_action_is_a_route() -> None:
    routes = {(route.method, route.path) for route in ROUTES}
    assert ("POST", "/v1/repairs/{repair}") in routes
    assert {(each.method, each.path) for each in (ROLL_BACK, CONFIRM_CONFIG, ROLL_BACK_CONFIG)} <= routes


@pytest.mark.parametrize("is_started", [False, True])
def test_a_change_on_trial_is_said_first_and_can_be_kept_once_it_is_in_force(
    status: HubStatus, is_started: bool
) -> None:
    trial = ConfigTrialReport(["cloud.proxy", "port.listen"], 240, is_started=is_started, caller="root")
    found = judge(replace(status, config_trial=trial))
    assert found.level is Level.ATTENTION
    text = "a change is on trial and undoes itself unless it is confirmed: cloud.proxy, port.listen"
    assert found.sentences[0] == f"Configuration: {text}."
    assert "climahub config confirm" in found.problems[0].advice
    assert found.actions == ([CONFIRM_CONFIG, ROLL_BACK_CONFIG] if is_started else [])


def test_a_hub_without_zones_radio_and_updates_can_be_well(status: HubStatus) -> None:
    found = judge(status, NOTHING, replace(ZIGBEE, radio=RadioReport("none", "this hub has no radio")), None)
    assert found.sentences == ["All is well.", "Cloud fine, 12 readings waiting, newest 30 s old."]


def test_faults_come_before_the_rest_and_many_problems_are_counted(status: HubStatus) -> None:
    many = replace(
        status,
        outbox=replace(status.outbox, problem="the disk is full"),
        settings=replace(status.settings, problems=[f"s{i}" for i in range(PROBLEMS_SPOKEN_MAX + 2)]),
        sensors=[
            replace(status.sensors[0], sensor=f"sensor {i}", problem="gone") for i in range(SENSORS_SPOKEN_MAX + 1)
        ],
    )
    found = judge(replace(many, climate_problems=["attic: cold"]), NOTHING)
    assert [problem.level for problem in found.problems[:2]] == [Level.FAULT, Level.FAULT]
    assert found.problems[2].level is Level.ATTENTION
    spoken = found.sentences[:-1]
    assert spoken[:3] == ["Climate: attic: cold.", "Outbox: the disk is full.", "Sensor 0: gone."]
    assert len(spoken) == SENSORS_SPOKEN_MAX + PROBLEMS_SPOKEN_MAX + 1
    assert spoken[-1] == "5 further problems."


def test_every_text_with_values_says_how_it_was_made(status: HubStatus) -> None:
    found = judge(with_link(status, "down"))
    phrases = found.phrases
    assert msgspec.json.decode(msgspec.json.encode(found), type=Verdict) == found
    cloud = next(text for text in found.sentences if text.startswith("Cloud"))
    assert phrases[cloud].key == "Cloud {state}, {readings} waiting, newest {age} old."
    assert phrases[cloud].parameters == {
        "state": "cannot be reached for 12 min",
        "readings": "12 readings",
        "age": "30 s",
    }
    assert phrases["cannot be reached for 12 min"].parameters == {"time": "12 min"}
    assert all(problem.what in phrases for problem in found.problems)
