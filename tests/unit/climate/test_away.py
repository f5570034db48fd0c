"""An away with an end: by then the zone has the setpoint that comes after it."""

from datetime import UTC, datetime

import pytest

from agent.climate import requests
from agent.climate.controller import ClimateController
from agent.climate.fusion import SensorReading
from agent.climate.model import Block, HoldKind, Mode, Schedule, Setpoints, ZoneProgram
from agent.climate.requests import HoldRequest
from agent.climate.settings import ClimateSettings, ZoneSettings
from agent.climate.snapshot import ClimateSnapshot
from agent.foundation.clock import Now
from hal.interface import HvacAction
from tests.unit.climate.single_zone_home import House

FRIDAY_NOON_MS = int(datetime(2026, 1, 16, 12, tzinfo=UTC).timestamp() * 1000)
DAYS = Schedule("week", (Block("Day", "06:00", "22:00", 21.0, 27.0), Block("Night", "22:00", "06:00", 17.0, 28.0)))
PROGRAMS = {
    "no schedule": ZoneProgram(mode=Mode.HEAT, setpoints=Setpoints(21.0, 27.0)),
    "schedule": ZoneProgram(mode=Mode.HEAT, schedules={"week": DAYS}, schedule="week"),
}


class Weekend:
    """A home whose people leave on Friday at noon."""

    def __init__(self, program: ZoneProgram, until: str, *, kind: HoldKind = HoldKind.AWAY) -> None:
        zone = ZoneSettings(zone_id="z", sensors=(("t", 1.0),))
        self.control = ClimateController(ClimateSettings(zones=(zone,)), ClimateSnapshot(), self.now(0))
        self.house = House(21.0, 8000.0)
        self.is_on = False
        hold = HoldRequest(kind=kind, heat_setpoint_c=16.0, until=until)
        self.control.set_program("z", requests.apply(program, hold, self.now(0), UTC, new_id="weekend"))
        self.begins_min: int | None = None
        self.air_c: list[float] = []

    def now(self, minute: int) -> Now:
        return Now("b", minute * 60_000, FRIDAY_NOON_MS + minute * 60_000)

    def run(self, hours: int) -> None:
        for minute in range(1, hours * 60 + 1):
            self.house.advance(is_on=self.is_on, dt_s=60.0)
            now = self.now(minute)
            made = self.control.step(now, {"t": SensorReading(round(self.house.air_c, 2), now.now_ms)})
            self.is_on = made.demand.zones["z"] is HvacAction.HEAT
            self.air_c.append(self.house.air_c)
            if self.begins_min is None and self.control.zones["z"].recovery is not None:
                self.begins_min = minute


@pytest.mark.no_cover
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_who_comes_back_on_sunday_evening_finds_a_warm_home(program: ZoneProgram) -> None:
    home = Weekend(program, "sun 18:00")
    home.run(54)
    assert home.begins_min is not None
    assert 44 * 60 < home.begins_min < 54 * 60
    assert max(home.air_c[30 * 60 : 44 * 60]) < 18.0
    assert home.air_c[-1] > 20.0


def test_the_night_after_the_return_needs_no_recovery() -> None:
    home = Weekend(PROGRAMS["schedule"], "sun 23:00")
    home.run(58)
    assert home.air_c[-1] < 18.0


def test_a_hold_is_kept_to_the_minute() -> None:
    home = Weekend(PROGRAMS["no schedule"], "sun 18:00", kind=HoldKind.HOLD)
    home.run(54)
    assert home.begins_min is None


def test_before_a_planned_away_nothing_is_heated_for_a_block_that_it_covers() -> None:
    program = ZoneProgram(mode=Mode.HEAT, schedules={"week": DAYS}, schedule="week")
    home = Weekend(program, "12:01")
    leaving = HoldRequest(kind=HoldKind.AWAY, heat_setpoint_c=16.0, start="sat 05:00", until="sun 18:00")
    home.control.set_program("z", requests.apply(program, leaving, home.now(0), UTC, new_id="leaving"))
    home.run(18)
    assert home.begins_min is None
