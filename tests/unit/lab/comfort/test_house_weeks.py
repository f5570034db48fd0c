"""Weeks of houses with sensors of every habit: each pair is met, and what is planted into a house is found."""

from collections import Counter

import pytest

from agent.climate import floor_limit, sensor_rhythm, short_cycle_protection, zone
from agent.climate.short_cycle_protection import ShortCycleLimits, ShortCycleState
from hal.interface import HvacAction
from hal.sim.houses import HOUSES
from hal.sim.sensor_habits import HABITS
from hal.sim.weather_patterns import PATTERNS
from lab.comfort.house_weeks import (
    FULL_MINUTES,
    PROGRAMS,
    WEEK_DAYS,
    Pair,
    Watcher,
    faults_of,
    home_of,
    pairs,
    programs,
    run_pair,
)
from lab.simulation.heating_year import DAY_MS, MINUTE_MS, HeatingYear, HomeFault, HomeFaultKind

COLD = Pair("timber boiler", "tenths", "cold clear", 0, 1)
FLOOR = Pair("floor pump", "tenths", "cold clear", 0, 2)


def test_each_round_meets_each_house_with_each_habit() -> None:
    made = pairs([0])
    assert len(made) == len({(pair.house, pair.habit) for pair in made}) == len(HOUSES) * len(HABITS)
    assert len({pair.seed for pair in pairs([0, 1, 2])}) == 3 * len(made)


def test_rounds_meet_each_pair_with_each_weather_and_program() -> None:
    for key in ("weather", "program"):
        met = Counter((pair.house, pair.habit) for pair in pairs(range(len(PATTERNS)), ["floor pump"]))
        assert set(met.values()) == {len(PATTERNS)}
        values = {getattr(pair, key) for pair in pairs(range(5), ["floor pump"]) if pair.habit == "hourly"}
        assert len(values) == {"weather": len(PATTERNS), "program": PROGRAMS}[key]
    for house in HOUSES:
        met_by_house = pairs([0], [house])
        assert {pair.weather for pair in met_by_house} == {pattern.name for pattern in PATTERNS}
        assert {pair.program for pair in met_by_house} == set(range(PROGRAMS))


def test_there_are_as_many_programs_as_are_rotated() -> None:
    assert len(programs(0)) == PROGRAMS


def test_faults_begin_in_the_second_week() -> None:
    faults = [
        fault for seed in range(20) for fault in faults_of(Pair("split flat", "tenths", "mild", 0, seed), ("a", "b"))
    ]
    assert min(fault.from_min for fault in faults) >= WEEK_DAYS * 1440
    assert max(fault.from_min for fault in faults) < 2 * WEEK_DAYS * 1440
    assert {fault.kind for fault in faults} == set(HomeFaultKind)
    assert {fault.room for fault in faults} == {"a", "b"}


def test_room_has_all_its_heat_after_two_hours_of_output() -> None:
    home = home_of(COLD)
    home.control = None
    home.broken_relays["home"] = HvacAction.HEAT
    home.crash()
    home.run((FULL_MINUTES - 1) * MINUTE_MS)
    assert list(home.rooms_without_more_heat()) == []
    home.run(FULL_MINUTES * MINUTE_MS)
    assert list(home.rooms_without_more_heat()) == ["home"]
    home.broken_relays.clear()
    home.crash()
    home.run((FULL_MINUTES + 1) * MINUTE_MS)
    assert list(home.rooms_without_more_heat()) == []


def test_open_window_cools_its_room_until_it_is_closed() -> None:
    home, other = home_of(COLD), home_of(COLD)

    def colder_k(until_min: int) -> float:
        for each in (home, other):
            each.run(until_min * MINUTE_MS)
        return other.truth_c("home") - home.truth_c("home")

    for each in (home, other):
        each.crash()
    home.air("home", is_wide=False)
    open_k = colder_k(60)
    assert open_k > 0.3
    home.close_window("home")
    assert colder_k(90) < 0.7 * open_k


def test_silent_sensor_reports_nothing() -> None:
    home = home_of(COLD)
    home.silent = {"home"}
    home.run(10 * MINUTE_MS)
    assert home.observed == {}
    home.silent = set()
    home.run(11 * MINUTE_MS)
    assert list(home.observed) == ["home"]


def test_room_of_which_nothing_is_known_is_no_room_that_is_cold_by_a_fault_of_the_hub() -> None:
    """Its coldest is counted by itself, until its sensor reports."""
    home, watcher = home_of(COLD), Watcher(["home"])
    home.run(MINUTE_MS)
    assert list(home.unheard_rooms()) == []
    home.silent = {"home"}
    home.crash()
    home.lose_state()
    home.run(2 * MINUTE_MS)
    watcher.look(home, ())
    home.restart()
    home.run(3 * MINUTE_MS)
    watcher.look(home, ())
    assert list(home.rooms_without_more_heat()) == ["home"]
    assert watcher.coldest_unheard_c == pytest.approx(home.truth_c("home"), abs=0.01)
    home.silent = set()
    home.run(4 * MINUTE_MS)
    assert list(home.rooms_without_more_heat()) == []


def week(pair: Pair, days: int, *faults: HomeFault) -> tuple[Watcher, Counter[str]]:
    """Return what was watched, and the broken rules, after some days of a home."""
    home = home_of(pair)
    watcher = Watcher(home.rooms)
    HeatingYear(pair.seed, days, faults, home=home).run(on_minute=watcher.look)
    return watcher, home.oracle.broken


def test_nothing_is_broken_or_false_in_healthy_days() -> None:
    result = run_pair(COLD, days=2)
    assert (result.broken, result.examples, result.false_problems, result.lost_minutes) == ({}, [], [], 0)
    assert result.steps == 2 * 1440
    assert result.struck == 0


def test_missing_short_cycle_protection_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(_: ShortCycleState, limits: ShortCycleLimits, now_ms: int, *, is_wanted: bool) -> tuple[bool, str]:
        del limits, now_ms
        return is_wanted, ""

    monkeypatch.setattr(short_cycle_protection, "apply_limits", careless)
    _, broken = week(COLD, 1, HomeFault(60, 400, HomeFaultKind.CRASHES, "home"))
    assert broken["minimum off time"] > 0


@pytest.mark.no_cover
def test_missing_floor_limit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert week(FLOOR, 1)[1] == {}
    monkeypatch.setattr(floor_limit, "is_hot", lambda *_, **__: False)
    _, broken = week(FLOOR, 1)
    assert broken["heated a hot floor"] > 0


@pytest.mark.no_cover
def test_missing_frost_protection_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The house is off from the third day to the sixth, in a storm."""
    off = Pair("old timber furnace", "tenths", "cold windy", 2, 3)
    assert week(off, 5)[1] == {}
    monkeypatch.setattr(zone, "_is_frost", lambda *_: False)
    _, broken = week(off, 5)
    assert list(broken) == ["a cold room"]


def test_stuck_relay_excuses_a_hot_room() -> None:
    """The relay heats, not the hub."""
    _, broken = week(COLD, 1, HomeFault(60, 1440, HomeFaultKind.RELAY_CLOSED, "home"))
    assert broken == {}


@pytest.mark.no_cover
def test_problem_and_lost_sensor_are_false_while_all_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sensors are lost after two of their intervals' length, in place of three."""
    assert week(Pair("timber boiler", "lossy", "cold clear", 0, 1), 2)[0].lost_minutes == 0
    monkeypatch.setattr(sensor_rhythm, "INTERVALS_MAX", 0.9)
    monkeypatch.setattr(sensor_rhythm, "FIRST_INTERVALS_MAX", 0.9)
    watcher, _ = week(Pair("timber boiler", "lossy", "cold clear", 0, 1), 2)
    assert watcher.lost_minutes > 0


def test_problem_that_is_reported_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_of(COLD)
    watcher = Watcher(home.rooms)
    home.run(MINUTE_MS)
    assert home.control is not None
    kind = type(home.control.state.zones[0])
    monkeypatch.setattr(kind, "problem", "check the boiler")
    watcher.look(home, ())
    watcher.look(home, ())
    assert watcher.false_problems == ["home at 1 min: check the boiler"]
    home.at_ms = WEEK_DAYS * DAY_MS + MINUTE_MS
    late = Watcher(home.rooms)
    late.look(home, ())
    assert late.false_problems == []
