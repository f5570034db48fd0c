"""Several requests are one change, and the holds of a zone are not all for clients."""

from pathlib import Path

import pytest

from agent.climate.holds import CLIENT_HOLDS_MAX, HOLDS_MAX
from agent.climate.model import HoldKind, Mode
from agent.climate.requests import ClimateRequest, HoldRequest, SetRequest
from agent.errors import SettingInvalid
from agent.home.thermostats import CLIENT_PREFIX
from tests.unit.home.home_bench import HomeBench

CLIENT = f"{CLIENT_PREFIX}amps/test"


@pytest.fixture
def bench(tmp_path: Path) -> HomeBench:
    return HomeBench(tmp_path)


def plan_holds(bench: HomeBench, count: int, by: str) -> None:
    for number in range(count):
        planned = HoldRequest(heat_setpoint_c=20.0, start="2026-02-01T00:00:00Z", id=f"planned {number}")
        bench.home.thermostats.apply("living", planned, by=by)


def test_no_request_changes_nothing(bench: HomeBench) -> None:
    before = bench.home.thermostats.get("living")
    assert bench.home.thermostats.apply_all("living", [], by="anna") == ()
    assert bench.home.thermostats.get("living") == before


def test_where_one_request_is_refused_none_is_in_force(bench: HomeBench) -> None:
    thermostats = bench.home.thermostats
    thermostats.apply("living", SetRequest(mode=Mode.OFF), by="anna")
    plan_holds(bench, HOLDS_MAX, "anna")
    asked: list[ClimateRequest] = [
        SetRequest(mode=Mode.HEAT),
        HoldRequest(heat_setpoint_c=22.0, id="mine", until="18:00"),
    ]
    with pytest.raises(SettingInvalid, match="16 holds"):
        thermostats.apply_all("living", asked, by="anna")
    assert thermostats.get("living").mode is Mode.OFF


def test_several_requests_are_in_force_together(bench: HomeBench) -> None:
    thermostats = bench.home.thermostats
    thermostats.apply("living", SetRequest(mode=Mode.OFF), by="anna")
    asked: list[ClimateRequest] = [SetRequest(mode=Mode.HEAT), HoldRequest(heat_setpoint_c=22.0)]
    assert thermostats.apply_all("living", asked, by="anna") == ("living",)
    found = thermostats.get("living")
    assert (found.mode, found.heat_setpoint_c) == (Mode.HEAT, 22.0)


@pytest.mark.parametrize("kind", [HoldKind.BOOST, HoldKind.AWAY])
def test_clients_leave_holds_for_people(bench: HomeBench, kind: HoldKind) -> None:
    plan_holds(bench, CLIENT_HOLDS_MAX, CLIENT)
    request = HoldRequest(kind, heat_setpoint_c=18.0)
    with pytest.raises(SettingInvalid, match="12 holds"):
        bench.home.thermostats.apply("living", request, by=CLIENT)
    bench.home.thermostats.apply("living", request, by="anna")
    assert bench.home.thermostats.get("living").heat_setpoint_c == 18.0
