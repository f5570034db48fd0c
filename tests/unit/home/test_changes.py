"""Each change is told once, with who made it: people, programs, and time itself."""

import asyncio
from pathlib import Path

import pytest

from agent.climate.model import Block, Eco, Hold, Mode, Schedule, Setpoints
from agent.climate.requests import (
    CancelHoldRequest,
    ClimateRequest,
    DropScheduleRequest,
    EcoRequest,
    FollowScheduleRequest,
    HoldRequest,
    PutScheduleRequest,
    ResumeRequest,
    SetRequest,
)
from agent.errors import SettingInvalid
from agent.home.changes import HUB, HomeChange
from agent.home.thermostat import DOUBT_S
from hal.interface import HvacAction
from tests.unit.home.home_bench import HomeBench

DAY = Setpoints(21.0, 26.0)
NIGHT = Setpoints(17.0, 27.0)
WEEK = Schedule("week", (Block("Day", "06:00", "22:00", 21.0, 26.0), Block("Night", "22:00", "06:00", 17.0, 27.0)))


@pytest.fixture
def bench(tmp_path: Path) -> HomeBench:
    made = HomeBench(tmp_path)
    made.listen()
    return made


def apply(bench: HomeBench, request: ClimateRequest, zone_id: str = "living") -> None:
    bench.home.thermostats.apply(zone_id, request, by="anna")


def kinds(bench: HomeBench) -> list[tuple[str, str]]:
    return [(kind, by) for kind, _, _, _, by in bench.take_heard()]


def test_setpoint_and_mode(bench: HomeBench) -> None:
    apply(bench, SetRequest(Mode.AUTO, 20.5))
    assert bench.take_heard() == [
        ("mode", "living", Mode.HEAT, Mode.AUTO, "anna"),
        ("setpoints", "living", Setpoints(20.0, 26.0), Setpoints(20.5, 26.0), "anna"),
    ]


def test_the_same_again_is_no_change(bench: HomeBench) -> None:
    apply(bench, SetRequest(Mode.AUTO, 20.5))
    bench.take_heard()
    apply(bench, SetRequest(Mode.AUTO, 20.5))
    bench.step()
    assert kinds(bench) == []


def test_a_request_for_all_zones_is_told_of_each(bench: HomeBench) -> None:
    apply(bench, SetRequest(heat_setpoint_c=18.0), "all")
    assert [device for _, device, _, _, _ in bench.take_heard()] == ["living", "bath"]


def test_a_refused_request_changes_nothing(bench: HomeBench) -> None:
    with pytest.raises(SettingInvalid):
        apply(bench, SetRequest(heat_setpoint_c=99.0))
    assert kinds(bench) == []


def test_a_hold_that_ends_by_itself(bench: HomeBench) -> None:
    apply(bench, HoldRequest(heat_setpoint_c=22.0, for_s=3600.0, id="warm"))
    told = bench.take_heard()
    assert [(kind, by) for kind, _, _, _, by in told] == [("hold_begun", "anna"), ("setpoints", "anna")]
    hold = told[0][3]
    assert isinstance(hold, Hold)
    assert hold.id == "warm"
    bench.advance(3599)
    bench.take_heard()
    bench.advance(2)
    assert [each[:3:2] + each[4:] for each in bench.take_heard() if each[0] != "action"] == [
        ("hold_ended", hold, HUB),
        ("setpoints", Setpoints(22.0, 26.0), HUB),
    ]


@pytest.mark.parametrize("request_", [CancelHoldRequest("warm"), ResumeRequest()])
def test_a_hold_that_somebody_cancels(bench: HomeBench, request_: ClimateRequest) -> None:
    apply(bench, HoldRequest(heat_setpoint_c=22.0, id="warm"))
    bench.take_heard()
    apply(bench, request_)
    assert kinds(bench) == [("hold_cancelled", "anna"), ("setpoints", "anna")]


def test_a_hold_in_place_of_another(bench: HomeBench) -> None:
    apply(bench, HoldRequest(heat_setpoint_c=22.0, id="one"))
    bench.take_heard()
    apply(bench, HoldRequest(heat_setpoint_c=23.0, id="two"))
    assert kinds(bench) == [("hold_cancelled", "anna"), ("hold_begun", "anna"), ("setpoints", "anna")]
    apply(bench, HoldRequest(heat_setpoint_c=24.0, id="two"))
    assert kinds(bench) == [("hold_begun", "anna"), ("setpoints", "anna")]


def test_a_planned_hold_begins_by_itself(bench: HomeBench) -> None:
    apply(bench, HoldRequest(heat_setpoint_c=22.0, start="14:00", until="15:00", id="later"))
    assert kinds(bench) == [("hold_planned", "anna")]
    bench.advance(3600)
    assert [each for each in kinds(bench) if each[0] != "action"] == [("hold_begun", HUB), ("setpoints", HUB)]
    bench.advance(3600)
    assert [each for each in kinds(bench) if each[0] != "action"] == [("hold_ended", HUB), ("setpoints", HUB)]


def test_what_time_did_before_a_request_is_not_the_callers(bench: HomeBench) -> None:
    apply(bench, HoldRequest(heat_setpoint_c=22.0, for_s=3600.0, id="warm"))
    bench.take_heard()
    bench.clock.advance(3601)
    apply(bench, EcoRequest(is_enabled=True))
    told = kinds(bench)
    assert ("hold_ended", HUB) in told
    assert told[-2:] == [("eco", "anna"), ("setpoints", "anna")]


def test_blocks_change_by_themselves(bench: HomeBench) -> None:
    apply(bench, PutScheduleRequest(WEEK))
    assert bench.take_heard() == [
        ("schedule_stored", "living", None, WEEK, "anna"),
        ("schedule", "living", "", "week", "anna"),
        ("setpoints", "living", Setpoints(20.0, 26.0), DAY, "anna"),
    ]
    bench.advance(9 * 3600)
    assert ("setpoints", "living", DAY, NIGHT, HUB) in bench.take_heard()


def test_schedules(bench: HomeBench) -> None:
    apply(bench, PutScheduleRequest(WEEK, is_followed=False))
    assert kinds(bench) == [("schedule_stored", "anna")]
    apply(bench, FollowScheduleRequest("week"))
    assert kinds(bench) == [("schedule", "anna"), ("setpoints", "anna")]
    apply(bench, DropScheduleRequest("week"))
    assert kinds(bench) == [("schedule_dropped", "anna"), ("schedule", "anna"), ("setpoints", "anna")]


def test_eco(bench: HomeBench) -> None:
    apply(bench, EcoRequest(is_enabled=True, heat_limit_c=18.0))
    told = bench.take_heard()
    assert told[0] == ("eco", "living", Eco(), Eco(is_enabled=True, heat_limit_c=18.0), "anna")


def test_the_output_and_the_sensor(bench: HomeBench) -> None:
    bench.values_c["living"] = 12.0
    for _ in range(3):
        bench.advance(60)
    assert ("action", "living", HvacAction.OFF, HvacAction.HEAT, HUB) in bench.take_heard()
    bench.take_heard()
    del bench.values_c["living"]
    bench.advance(3600)
    bench.advance(DOUBT_S + 1)
    assert ("online", "living", True, False, HUB) in bench.take_heard()


def test_a_listener_that_fails_costs_the_others_nothing(tmp_path: Path) -> None:
    bench = HomeBench(tmp_path)

    def fail(_: HomeChange) -> None:
        raise ZeroDivisionError

    bench.home.changes.on_change(fail)
    bench.listen()
    apply(bench, SetRequest(heat_setpoint_c=18.0))
    assert kinds(bench) == [("setpoints", "anna")]


def test_a_start_before_any_report_is_silent(tmp_path: Path) -> None:
    bench = HomeBench(tmp_path)
    values_c, bench.values_c = bench.values_c, {}
    bench.start()
    bench.listen()
    bench.advance(60)
    bench.values_c = values_c
    bench.advance(900)
    assert [each for each in bench.take_heard() if each[0] == "online"] == []


def test_a_listener_that_changes_the_zone_itself(bench: HomeBench) -> None:
    """Its change and the caller's are both in force."""

    def answer(change: HomeChange) -> None:
        if change.kind == "hold_ended":
            apply(bench, EcoRequest(is_enabled=True, heat_limit_c=18.0))

    bench.home.changes.on_change(answer)
    apply(bench, HoldRequest(heat_setpoint_c=22.0, for_s=60.0, id="warm"))
    bench.clock.advance(61)
    apply(bench, SetRequest(heat_setpoint_c=19.0))
    zone = bench.home.thermostats.get("living")
    assert (zone.eco.is_enabled, zone.heat_setpoint_c) == (True, 18.0)
    apply(bench, EcoRequest(is_enabled=False))
    assert bench.home.thermostats.get("living").heat_setpoint_c == 19.0


async def test_the_loop_looks_when_the_control_has_decided(bench: HomeBench) -> None:
    task = asyncio.get_running_loop().create_task(bench.home.changes.run())
    apply(bench, HoldRequest(heat_setpoint_c=22.0, for_s=60.0, id="warm"))
    bench.heard.clear()
    bench.clock.advance(61)
    bench.home.changes.request_look()
    async with asyncio.timeout(30):
        while not bench.heard:  # noqa: ASYNC110 - the loop under test has no event for it
            await asyncio.sleep(0)
    task.cancel()
    assert [kind for kind, _ in kinds(bench)] == ["hold_ended", "setpoints"]


def test_a_value_that_jumps_is_no_device_that_goes(bench: HomeBench) -> None:
    bench.values_c["living"] = 12.0
    for _ in range(10):
        bench.advance(30)
    assert [each for each in bench.take_heard() if each[0] == "online"] == []
    assert bench.home.thermostats.get("living").temperature_c == 12.0


def test_a_zone_is_offline_when_its_value_stays_away(bench: HomeBench) -> None:
    del bench.values_c["living"]
    seconds = 0
    while bench.home.thermostats.get("living").temperature_c is not None:
        bench.advance(10)
    while bench.home.thermostats.get("living").is_online:
        bench.advance(10)
        seconds += 10
    assert DOUBT_S <= seconds <= DOUBT_S + 10
