"""Valves and pump are moved in summer, one at a time, without heat, and never in the way of a request."""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import msgspec
import pytest

from agent.climate import exercise
from agent.climate.controller import ClimateController
from agent.climate.exercise import INTERVAL_MS, ExerciseState
from agent.climate.fusion import SensorReading
from agent.climate.model import Mode, Setpoints, ZoneProgram
from agent.climate.settings import ClimateSettings, HeatSourceKind, HeatSourceSettings, ZoneSettings
from agent.climate.snapshot import ClimateSnapshot
from agent.foundation.clock import Now
from hal.interface import HvacAction, HvacDemand
from lab.simulation.safety_oracle import SafetyOracle

MINUTE_MS = 60_000
SUMMER_MS = int(datetime(2026, 7, 1, tzinfo=UTC).timestamp() * 1000)
ZONES = ("a", "b")


def settings_of(kind: HeatSourceKind) -> ClimateSettings:
    zones = tuple(ZoneSettings(zone_id=zone, sensors=((zone, 1.0),)) for zone in ZONES)
    return ClimateSettings(zones=zones, heat_source=HeatSourceSettings(kind=kind))


class Home:
    """A warm home, minute by minute before noon, and in longer steps else."""

    def __init__(self, kind: HeatSourceKind = HeatSourceKind.BOILER, timezone: tzinfo = UTC) -> None:
        self.settings, self.timezone = settings_of(kind), timezone
        self.minute = 0
        self.value_c = dict.fromkeys(ZONES, 24.0)
        self.is_clock_known = True
        self.oracle = SafetyOracle(self.settings)
        self.control = ClimateController(self.settings, ClimateSnapshot(), self.now)
        self.opened: list[tuple[int, str]] = []

    @property
    def now(self) -> Now:
        passed_ms = self.minute * MINUTE_MS
        return Now("boot", 1_000_000 + passed_ms, SUMMER_MS + passed_ms if self.is_clock_known else None)

    def step(self) -> HvacDemand:
        self.minute += 1 if self.is_moving or 540 <= self.minute % 1440 < 560 or 660 <= self.minute % 1440 < 680 else 10
        readings = {zone: SensorReading(value_c, self.now.now_ms) for zone, value_c in self.value_c.items()}
        demand = self.control.step(self.now, readings, self.timezone).demand
        self.oracle.check_demand(demand, self.now.now_ms)
        self.opened += [(self.minute, zone) for zone in ZONES if demand.zones[zone] is HvacAction.HEAT]
        return demand

    @property
    def is_moving(self) -> bool:
        return bool(self.control.exercise.zone_id)

    def run(self, days: float) -> None:
        end = self.minute + round(days * 1440)
        while self.minute < end:
            self.step()

    def restart(self) -> None:
        saved = msgspec.json.encode(self.control.take_snapshot(self.now))
        self.oracle.record_kill(self.now.now_ms)
        self.control = ClimateController(self.settings, msgspec.json.decode(saved, type=ClimateSnapshot), self.now)


def test_each_valve_is_open_once_a_week_one_after_the_other_with_the_pump_and_without_heat() -> None:
    home = Home()
    home.run(7.0)
    assert home.opened == []
    home.run(8.0)
    minutes = [(minute % 1440, zone) for minute, zone in home.opened]
    begin = 11 * 60
    once = [(begin + k, "a") for k in range(5)] + [(begin + 6 + k, "b") for k in range(5)]
    assert minutes == once * 2
    assert home.opened[-1][0] - home.opened[len(once) - 1][0] == 7 * 1440
    assert home.oracle.broken == {}
    assert home.control.zones["a"].recovery is None


def test_hour_is_that_of_the_house() -> None:
    home = Home(timezone=ZoneInfo("Europe/Berlin"))
    home.run(7.5)
    assert home.opened[0][0] % 1440 == 9 * 60


@pytest.mark.parametrize("kind", [HeatSourceKind.NONE, HeatSourceKind.BOILER, HeatSourceKind.HEAT_PUMP])
def test_only_valves_of_a_shared_source_are_moved(kind: HeatSourceKind) -> None:
    home = Home(kind)
    home.run(7.5)
    assert bool(home.opened) is (kind is not HeatSourceKind.NONE)
    assert home.oracle.broken == {}


def cold(home: Home) -> None:
    home.value_c["b"] = 18.0


def cooled(home: Home) -> None:
    home.control.set_program("b", ZoneProgram(mode=Mode.COOL, setpoints=Setpoints(20.0, 26.0)))


def clueless(home: Home) -> None:
    home.is_clock_known = False


@pytest.mark.parametrize("happens", [cold, cooled, clueless])
def test_nothing_is_moved_in_the_heating_season_while_a_zone_may_cool_or_without_the_time(
    happens: Callable[[Home], None],
) -> None:
    home = Home()
    happens(home)
    home.run(7.5)
    assert home.control.exercise == ExerciseState()
    assert home.oracle.broken == {}


def test_request_ends_an_exercise_and_is_carried_out() -> None:
    home = Home()
    while not home.opened:
        home.step()
    home.control.set_program("b", ZoneProgram(setpoints=Setpoints(28.0, 34.0)))
    demand = home.step()
    assert demand.zones["b"] is HvacAction.HEAT
    assert demand.heat_source is not None
    assert demand.heat_source.action is HvacAction.HEAT
    assert demand.zones["a"] is HvacAction.OFF
    home.run(0.2)
    assert home.control.exercise.zone_id == ""
    assert home.oracle.broken == {}


def test_request_of_the_same_zone_waits_for_the_minimum_off_time() -> None:
    home = Home()
    while not home.opened:
        home.step()
    home.control.set_program("a", ZoneProgram(setpoints=Setpoints(28.0, 34.0)))
    home.run(0.2)
    assert len(home.opened) > 10
    assert home.oracle.broken == {}


def test_change_to_cooling_ends_it_at_once() -> None:
    home = Home()
    while not home.opened:
        home.step()
    cooled(home)
    home.run(0.1)
    assert [zone for _, zone in home.opened] == ["a"]
    assert home.oracle.broken == {}


def test_restart_repeats_no_exercise() -> None:
    home = Home()
    while not home.opened:
        home.step()
    home.restart()
    home.run(6.5)
    assert [zone for _, zone in home.opened] == ["a", *["b"] * 5]
    assert home.oracle.broken == {}


@pytest.mark.parametrize(("ago_ms", "is_due"), [(INTERVAL_MS, True), (INTERVAL_MS - 1, False), (-1, True)])
def test_clock_that_was_set_back_does_not_put_it_off_for_long(ago_ms: int, is_due: bool) -> None:
    utc_ms = SUMMER_MS + 11 * 3_600_000
    state = ExerciseState({"a": utc_ms - ago_ms})
    found = exercise.advance(state, able=["a"], now=Now("boot", 5, utc_ms))
    assert (found.zone_id == "a") is is_due
