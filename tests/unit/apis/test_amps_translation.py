"""Zones and actions in Amps' words, its events, and the twins."""

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.apis.amps import translation
from agent.apis.amps.capabilities import capability_map
from agent.apis.amps.events import webhook_event
from agent.apis.amps.twin import AMBIENT_C, START_C, Twin, TwinThermostats, advance
from agent.climate import effective_setpoint
from agent.climate.model import Mode, Setpoints, ZoneProgram
from agent.climate.requests import HoldRequest
from agent.errors import SettingInvalid, UnknownDevice
from agent.foundation.clock import Now
from agent.home.action_admission import ActionRefused, Refusal
from agent.home.action_service import TIME_PASSED
from agent.home.actions import ActionState, Command, HomeAction
from agent.home.changes import ChangeKind, HomeChange
from agent.home.temperatures import from_fahrenheit
from tests.unit.home.home_bench import NOON_MS, TIMEZONE, HomeBench

MAP = capability_map(can_heat=True, can_cool=True, takes_fahrenheit=False)
AT = Now("boot 1", 5, NOON_MS)


def action(state: ActionState = ActionState.COMPLETED, **fields: Any) -> HomeAction:  # noqa: ANN401 - as the struct
    made = HomeAction(action_id="action_1", zone_id="living", command=Command.HEAT, heat_setpoint_c=21, state=state)
    return msgspec.structs.replace(made, created_utc_ms=NOON_MS, updated_utc_ms=NOON_MS, **fields)


def wire(document: object) -> Any:  # noqa: ANN401 - JSON
    return json.loads(msgspec.json.encode(document))


@given(value=st.floats(4, 35).map(lambda value: round(value, 2)))
def test_a_setpoint_comes_back_as_it_was_asked(value: float) -> None:
    found = wire(translation.parameters_of(action(heat_setpoint_c=value)))
    assert found == {"target": {"value": value, "unit": "celsius"}}


@given(value=st.integers(40, 94), half=st.sampled_from([0, 0.5]))
def test_degrees_fahrenheit_come_back_as_they_were_asked(value: int, half: float) -> None:
    asked = action(heat_setpoint_c=from_fahrenheit(value + half), is_fahrenheit=True)
    assert wire(translation.parameters_of(asked)) == {"target": {"value": value + half, "unit": "fahrenheit"}}


def test_a_band_and_commands_without_parameters() -> None:
    band = action(command=Command.AUTO, cool_setpoint_c=24.5)
    assert set(translation.parameters_of(band) or {}) == {"heatSetpoint", "coolSetpoint"}
    assert translation.parameters_of(action(command=Command.IDLE, heat_setpoint_c=None)) is None


@pytest.mark.parametrize(
    ("problem", "code", "message"),
    [
        ("DEVICE_OFFLINE: The device is offline.", "DEVICE_OFFLINE", "The device is offline."),
        (TIME_PASSED, "TIMEOUT", TIME_PASSED),
        ("choose heat: the equipment cannot", "UNKNOWN_ERROR", "choose heat: the equipment cannot"),
    ],
)
def test_what_failed_says_why(problem: str, code: str, message: str) -> None:
    document = wire(translation.action_document(action(ActionState.FAILED, problem=problem, ended_utc_ms=NOON_MS)))
    assert (document["errorCode"], document["errorMessage"]) == (code, message)
    assert document["result"] == {"success": False, "error": message}
    assert document["completedAt"]


def test_results_are_null_until_the_end_and_after_a_cancellation() -> None:
    for state in (ActionState.SCHEDULED, ActionState.ACKNOWLEDGED, ActionState.CANCELLED):
        document = wire(translation.action_document(action(state, ended_utc_ms=NOON_MS)))
        assert (document["result"], document["errorCode"], document["completedAt"]) == (
            None,
            None,
            None if state is ActionState.CANCELLED else "2026-01-14T12:00:00.000Z",
        )
    noted = wire(translation.action_document(action(note="it begins to count when boost b ends")))
    assert noted["result"]["message"].startswith("it begins")


def test_the_answer_to_a_push_has_an_end_for_a_window_only() -> None:
    assert "end" not in wire(translation.push_answer(action()))
    window = wire(translation.push_answer(action(start_utc_ms=NOON_MS, end_utc_ms=NOON_MS + 1000)))
    assert (window["state"], window["end"]) == ("scheduled", "2026-01-14T12:00:01.000Z")


@pytest.mark.parametrize("refusal", [each for each in Refusal if each is not Refusal.NOT_CANCELLABLE])
def test_every_refusal_of_the_hub_has_a_code_and_the_capabilities(refusal: Refusal) -> None:
    error = translation.push_refused(ActionRefused("why not", refusal, reason="r"), Command.IDLE, MAP)
    assert error.status
    assert str(error) == "Why not."
    assert error.details["deviceCapabilities"]["supportedActions"]
    msgspec.json.encode(error.details)


def test_events() -> None:
    for state, name in ((ActionState.COMPLETED, "push.completed"), (ActionState.FAILED, "push.failed")):
        event = webhook_event(HomeChange(ChangeKind.ACTION_SETTLED, "living", None, action(state), "x", AT))
        assert event is not None
        assert (event.name, event.key, event.is_sandbox) == (name, "action_1_0", False)
        assert json.loads(event.body) == wire(translation.action_document(action(state)))
    cancelled = HomeChange(ChangeKind.ACTION_SETTLED, "living", None, action(ActionState.CANCELLED), "x", AT)
    assert webhook_event(cancelled) is None
    for old, new, name in (
        (True, False, "device.disconnected"),
        (False, True, "device.reconnected"),
        (None, True, "device.connected"),
    ):
        event = webhook_event(HomeChange(ChangeKind.ONLINE, "living", old, new, "hub", AT), is_sandbox=True)
        assert event is not None
        assert (event.name, event.is_sandbox) == (name, True)
        assert json.loads(event.body) == {
            "deviceId": "living",
            "deviceType": "hvac",
            "timestamp": "2026-01-14T12:00:00.000Z",
        }
    assert webhook_event(HomeChange(ChangeKind.ONLINE, "living", True, None, "hub", AT)) is None
    assert webhook_event(HomeChange(ChangeKind.MODE, "living", Mode.HEAT, Mode.OFF, "x", AT)) is None


def twins(bench: HomeBench) -> TwinThermostats:
    return TwinThermostats(
        lambda: {each.zone_id: each for each in bench.home.thermostats.all()},
        now=bench.climate.now,
        timezone=lambda: ZoneInfo(TIMEZONE),
        new_id=lambda: "h",
    )


def test_a_twin_can_do_what_its_zone_can_and_leaves_the_zone_alone(tmp_path: Path) -> None:
    bench = HomeBench(tmp_path)
    made, before = twins(bench), bench.home.thermostats.all()
    assert made.get("living").temperature_c == START_C
    made.apply("living", HoldRequest(mode=Mode.HEAT, heat_setpoint_c=25, id="action_1"), by="x", action_id="action_1")
    assert (made.get("living").heat_setpoint_c, made.get("living").action.value) == (25, "heat")
    assert (made.last_action("living"), made.last_action("bath")) == ("action_1", "")
    assert bench.home.thermostats.all() == before
    with pytest.raises(SettingInvalid):
        made.apply("bath", HoldRequest(mode=Mode.COOL, cool_setpoint_c=25), by="x")
    with pytest.raises(UnknownDevice):
        made.get("attic")


def test_a_twin_warms_up_and_stays_at_its_setpoint(tmp_path: Path) -> None:
    bench = HomeBench(tmp_path)
    made = twins(bench)
    made.apply("living", HoldRequest(mode=Mode.HEAT, heat_setpoint_c=21, id="a"), by="x", action_id="a")
    made.get("living")
    bench.clock.advance(20 * 60)
    assert made.get("living").temperature_c == pytest.approx(20.0)
    bench.clock.advance(3600)
    zone = made.get("living")
    assert (zone.temperature_c, zone.action.value) == (21, "off")
    made.apply("living", HoldRequest(mode=Mode.COOL, cool_setpoint_c=18, id="b"), by="x", action_id="b")
    bench.clock.advance(3600 * 2)
    assert made.get("living").temperature_c == 18
    made.apply("living", HoldRequest(mode=Mode.OFF, id="c"), by="x", action_id="c")
    bench.clock.advance(3600 * 24)
    assert made.get("living").temperature_c == AMBIENT_C


@given(
    start_c=st.floats(5, 40),
    heat_c=st.floats(5, 25),
    gap_k=st.floats(1, 8),
    mode=st.sampled_from(Mode),
    hours=st.lists(st.floats(0, 30), min_size=1, max_size=6),
)
def test_a_twin_never_overshoots(start_c: float, heat_c: float, gap_k: float, mode: Mode, hours: list[float]) -> None:
    program = ZoneProgram(mode=mode, setpoints=Setpoints(heat_c, heat_c + gap_k))
    effective = effective_setpoint.resolve(program, AT, None)
    twin, at_ms = Twin(program, start_c, 0), 0
    low, high = min(start_c, AMBIENT_C, heat_c), max(start_c, AMBIENT_C, heat_c)
    for each in hours:
        at_ms += round(each * 3_600_000)
        twin = advance(twin, effective, at_ms)
        assert low - 1e-9 <= twin.temperature_c <= max(high, heat_c + gap_k) + 1e-9
