"""AURRA Home's numbers and words against the thermostats of a home, both ways; and what becomes an event."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.apis.aurra_home.events import OFFLINE_S, AurraEvents
from agent.apis.aurra_home.translation import (
    blocks_of,
    eco_request,
    schedule_request,
    setpoint_f,
    setpoint_requests,
    status_of,
    zone_of,
)
from agent.apis.aurra_home.wire import BlockDocument, EcoBody, ScheduleBody, SetpointBody
from agent.apis.face import ApiRefused
from agent.apis.webhooks.endpoints import WebhookEvent
from agent.climate.model import HoldKind, Mode, Setpoints
from agent.climate.requests import HoldRequest, SetRequest
from agent.home.temperatures import to_fahrenheit
from agent.home.thermostat import DOUBT_S
from hal.interface import HvacAction
from tests.unit.home.home_bench import HomeBench


@pytest.fixture
def bench(tmp_path: Path) -> HomeBench:
    return HomeBench(tmp_path)


def set_point(bench: HomeBench, value: int, mode: str, zone: str = "living") -> None:
    thermostats = bench.home.thermostats
    body = msgspec.convert({"temperature": value, "mode": mode}, SetpointBody)
    for each in setpoint_requests(thermostats.get(zone), body):
        thermostats.apply(zone, each, by="api:aurra_home/test")


@pytest.mark.parametrize(
    ("device_id", "expected"),
    [("bath", "bath"), ("aurra_001", "living"), ("aurra_002", "bath"), ("aurra_003", None), ("AURRA_001", None)],
)
def test_a_device_is_a_zone_by_its_id_or_its_place(device_id: str, expected: str | None) -> None:
    assert zone_of(device_id, ("living", "bath")) == expected


def test_a_zone_that_is_named_like_a_place_is_itself() -> None:
    assert zone_of("aurra_001", ("living", "aurra_001")) == "aurra_001"


def test_status_words(bench: HomeBench) -> None:
    thermostat = bench.home.thermostats.get("living")
    for action, word in ((HvacAction.HEAT, "active"), (HvacAction.COOL, "active"), (HvacAction.OFF, "idle")):
        assert status_of(msgspec.structs.replace(thermostat, action=action)).status == word
    away = msgspec.structs.replace(thermostat, is_online=False, temperature_c=None, humidity_percent=104.2)
    found = status_of(away)
    assert (found.status, found.temperature, found.humidity) == ("offline", None, 100)


@given(value=st.integers(40, 90), mode=st.sampled_from(("heat", "cool", "auto")))
def test_every_setpoint_comes_back_exactly(tmp_path_factory: pytest.TempPathFactory, value: int, mode: str) -> None:
    bench = HomeBench(tmp_path_factory.mktemp("home"))
    set_point(bench, value, mode)
    found = bench.home.thermostats.get("living")
    shown = setpoint_f(found.mode, Setpoints(found.heat_setpoint_c, found.cool_setpoint_c))
    # At 40 and 41 F the lower end of the band of "auto" is the lowest setpoint.
    assert shown == value or (mode == "auto" and value <= 41)
    assert found.mode.value == mode
    assert found.cool_setpoint_c - found.heat_setpoint_c >= 1.0 - 1e-9


def test_writing_back_what_was_shown_changes_nothing(bench: HomeBench) -> None:
    thermostats = bench.home.thermostats
    thermostats.apply("living", SetRequest(Mode.HEAT, 21.0), by="page")
    set_point(bench, to_fahrenheit(21.0), "heat")
    assert thermostats.get("living").heat_setpoint_c == 21.0


def test_off_is_off_under_a_hold_and_on_again_is_what_was_asked(bench: HomeBench) -> None:
    thermostats = bench.home.thermostats
    thermostats.apply("living", HoldRequest(heat_setpoint_c=22.0, mode=Mode.HEAT), by="page")
    set_point(bench, 70, "off")
    assert thermostats.get("living").mode is Mode.OFF
    set_point(bench, 66, "heat")
    found = thermostats.get("living")
    assert (found.mode, to_fahrenheit(found.heat_setpoint_c), found.holds) == (Mode.HEAT, 66, ())


def test_a_planned_hold_stays(bench: HomeBench) -> None:
    thermostats = bench.home.thermostats
    planned = HoldRequest(HoldKind.AWAY, start="2026-01-20T08:00", until="2026-01-25T08:00", id="holiday")
    thermostats.apply("living", planned, by="page")
    set_point(bench, 70, "heat")
    assert [hold.id for hold in thermostats.get("living").holds] == ["holiday"]


def test_a_mode_that_the_equipment_cannot_do_is_refused(bench: HomeBench) -> None:
    with pytest.raises(ApiRefused):
        set_point(bench, 70, "cool", zone="bath")


def test_a_schedule_is_the_same_there_and_back() -> None:
    block = BlockDocument("Night", "22:00", "04:00", 61, 83, ["sun", "mon"])
    request = schedule_request(ScheduleBody("W", [block]))
    # Days are a set: the hub keeps them in the order of the week.
    assert blocks_of(request.schedule) == [msgspec.structs.replace(block, days=["mon", "sun"])]


@pytest.mark.parametrize(("heat", "cool"), [(62, 62), (70, 60), (39, 80), (60, 91)])
def test_eco_limits_that_cannot_be_are_refused(bench: HomeBench, heat: int, cool: int) -> None:
    with pytest.raises(ApiRefused):
        eco_request(bench.home.thermostats.get("living"), EcoBody(True, heat, cool))


@pytest.fixture
def told(bench: HomeBench) -> list[WebhookEvent]:
    found: list[WebhookEvent] = []
    AurraEvents(bench.home.thermostats, found.extend, bench.clock)
    return found


def test_a_change_is_told_once_in_the_form_of_the_handout(bench: HomeBench, told: list[WebhookEvent]) -> None:
    set_point(bench, 72, "heat")
    set_point(bench, 72, "heat")
    bench.step()
    (event,) = told
    assert json.loads(event.body) == {
        "event": "thermostat.temperature_change",
        "timestamp": "2026-01-14T12:00:00Z",
        "data": {"device_id": "living", "old_temp": 68, "new_temp": 72, "mode": "heat"},
    }


def test_a_zone_is_offline_after_five_minutes_and_told_once(bench: HomeBench) -> None:
    told: list[WebhookEvent] = []
    events = AurraEvents(bench.home.thermostats, told.extend, bench.clock)
    del bench.values_c["living"]
    bench.advance(3600 - DOUBT_S - 1)
    bench.advance(DOUBT_S + 1)
    assert not bench.home.thermostats.get("living").is_online
    events.look()
    bench.clock.advance(OFFLINE_S)
    events.look()
    assert told == []
    bench.clock.advance(1)
    events.look()
    events.look()
    (event,) = told
    data = json.loads(event.body)["data"]
    assert (event.name, data["device_id"], data["last_seen"]) == ("device.offline", "living", "2026-01-14T13:00:00Z")
    assert data["reason"]
    bench.values_c["living"] = 20.0
    bench.advance(60)
    events.look()
    del bench.values_c["living"]
    bench.advance(3600 - DOUBT_S - 1)
    bench.advance(DOUBT_S + 1)
    events.look()
    bench.clock.advance(OFFLINE_S + 1)
    events.look()
    assert len([each for each in told if each.name == "device.offline"]) == 2
