"""In the simulated house: the walk finds swapped wires, and tests with lost sessions break no rule of safety."""

import random
from collections.abc import Mapping

import msgspec
import pytest

from agent.climate.model import Mode, Setpoints, ZoneProgram
from agent.climate.output_test import OutputTest
from agent.port.hardware import commissioning, output_test
from agent.port.hardware.commissioning import PlannedZone, Verdict, Walk, WalkPhase
from agent.port.hardware.output_test import Observation, RelayTest, TestPhase
from hal.interface import HvacAction
from lab.simulation import heating_year
from lab.simulation.heating import HeatedHome, HeatedHomeOptions
from lab.simulation.heating_year import ROOMS, year_settings
from lab.simulation.options import HEATED, FaultProfile, Options
from lab.simulation.run import simulate
from lab.simulation.verdict import as_text

DAY_MS = 86_400_000
TICK_S = 10.0
IDLE = ZoneProgram(mode=Mode.HEAT, setpoints=Setpoints(17.0, 26.0))


def build_home(seed: int, program: ZoneProgram = IDLE) -> HeatedHome:
    """Return a home in January."""
    options = HeatedHomeOptions(
        settings=year_settings(seed), seed=seed, start_utc_ms=heating_year.START_MS,
        programs=dict.fromkeys(ROOMS, program), tick_s=TICK_S,
    )  # fmt: skip
    return HeatedHome(options)


def observe(home: HeatedHome, zone: str, action: HvacAction) -> Observation:
    last = home.control.last if home.control else None
    if last is None:
        return Observation(is_on=False)
    return Observation(last.demand.zones[zone] is action, last.reasons[ROOMS.index(zone)])


def walk_through(home: HeatedHome) -> Walk:
    """Let a person walk through all zones."""
    home.run(DAY_MS // 4)
    plan = [
        PlannedZone(zone.zone_id, tuple(name for name, _ in zone.sensors), zone.can_heat, 2 * zone.law.response_s)
        for zone in home.options.settings.zones
    ]
    walk = commissioning.begin("walk", plan, home.now().now_ms)

    def step(home: HeatedHome) -> None:
        nonlocal walk
        now_ms = home.now().now_ms
        seen = observe(home, walk.zone.zone_id, HvacAction.HEAT) if walk.zone else Observation(is_on=False)
        values_c = {name: reading.value_c for name, reading in home.observed.items()}
        walk = commissioning.advance(commissioning.renew(walk, now_ms), values_c, seen, now_ms)
        home.test = commissioning.demand(walk)

    for _ in range(24 * 60):
        home.run(home.at_ms + 60_000, step)
        if walk.phase is WalkPhase.DONE:
            break
    return walk


def answers(walk: Walk) -> Mapping[str, str]:
    return {found.zone: found.answered_by for found in walk.findings}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_swapped_wires_are_found(seed: int) -> None:
    home = build_home(seed)
    first, second = random.Random(seed).sample(ROOMS, 2)
    home.wires = {first: second, second: first}
    walk = walk_through(home)
    assert answers(walk) == {room: home.wires.get(room, room) for room in ROOMS}, walk.findings
    told = commissioning.sentences(walk.findings)
    one, other = sorted((first, second))
    assert told[0] == f"Swap the wires of {one} and {other}, or their sensors: each output heats the other's room."
    assert all(found.certainty > 0.5 for found in walk.findings)
    assert not home.oracle.broken, home.oracle.examples


def test_correct_wiring_is_confirmed() -> None:
    walk = walk_through(build_home(4))
    assert {found.verdict for found in walk.findings} == {Verdict.OWN}, walk.findings


def test_a_broken_relay_heats_nothing() -> None:
    home = build_home(5)
    home.broken_relays[ROOMS[1]] = HvacAction.OFF
    verdicts = [found.verdict for found in walk_through(home).findings]
    assert verdicts == [Verdict.NONE if room == ROOMS[1] else Verdict.OWN for room in ROOMS]


class Technician:
    """Tests outputs at random, renews or forgets to, stops or walks away, while the hub is killed at times."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._active: RelayTest | None = None
        self._walk: Walk | None = None
        self._is_present = True
        self.begun = 0
        self.lost = 0

    def step(self, home: HeatedHome) -> None:
        rng, now_ms = self._rng, home.now().now_ms
        if rng.random() < 1 / 2000:
            home.crash()
            home.restart()
            self._active = self._walk = home.test = None
        if self._active is None and self._walk is None and rng.random() < 1 / 60:
            self._begin(home, now_ms)
        self._is_present = self._is_present and rng.random() > 1 / 50
        home.test = self._advance(home, now_ms)

    def _begin(self, home: HeatedHome, now_ms: int) -> None:
        self.begun += 1
        self._is_present = True
        if self._rng.random() < 0.1:
            plan = [PlannedZone(zone.zone_id, (), zone.can_heat, 900.0) for zone in home.options.settings.zones]
            self._walk = commissioning.begin("walk", plan, now_ms)
            return
        action = self._rng.choice((HvacAction.HEAT, HvacAction.HEAT, HvacAction.COOL))
        self._active = output_test.begin(
            "test", self._rng.choice(ROOMS), action, now_ms, duration_s=self._rng.uniform(5, 600)
        )

    def _advance(self, home: HeatedHome, now_ms: int) -> OutputTest | None:
        if self._walk is not None:
            walk = commissioning.renew(self._walk, now_ms) if self._is_present else self._walk
            seen = observe(home, walk.zone.zone_id, HvacAction.HEAT) if walk.zone else Observation(is_on=False)
            walk = commissioning.expire(walk, now_ms)
            self._walk = commissioning.advance(walk, {}, seen, now_ms)
            made = commissioning.demand(self._walk)
            self._walk = None if self._walk.phase is WalkPhase.DONE else self._walk
            return made
        if self._active is None:
            return None
        test = output_test.renew(self._active, now_ms) if self._is_present else self._active
        self._active = test = output_test.advance(test, observe(home, test.output, test.action), now_ms)
        self.lost += test.outcome is output_test.Outcome.SESSION_LOST and test.phase is TestPhase.DONE
        if test.phase is TestPhase.DONE:
            self._active = None
        return output_test.demand(test, now_ms)


@pytest.mark.parametrize("seed", [1, 2])
def test_random_tests_and_lost_sessions_break_no_rule(seed: int) -> None:
    home, technician = build_home(seed, msgspec.structs.replace(IDLE, mode=Mode.AUTO)), Technician(seed)
    home.run(DAY_MS, technician.step)
    assert technician.begun > 50
    assert technician.lost > 10
    assert not home.oracle.broken, home.oracle.examples
    assert (home.oracle.coldest_c or 20.0) > 10.0


def test_a_test_that_skips_the_minimum_times_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle knows of no override, so it reports the breach."""
    monkeypatch.setattr("agent.climate.output_test.overrides", lambda test, zone_id: bool(test))
    home, technician = build_home(1), Technician(1)
    while not home.oracle.broken and home.at_ms < 2 * DAY_MS:
        home.run(home.at_ms + DAY_MS // 24, technician.step)
    assert home.oracle.broken


@pytest.mark.slow
@pytest.mark.parametrize(("faults", "seed"), [("none", 1), ("default", 2), ("harsh", 3)])
def test_lost_session_of_a_technician_harms_no_hub(faults: FaultProfile, seed: int) -> None:
    options = Options(days=0.25, seed=seed, faults=faults, config_text=HEATED, tests_per_day=100.0)
    verdict = simulate(options)
    assert not verdict.violations, as_text(verdict, f"seed {seed}")
    assert verdict.faults["lost test sessions"] >= 3


@pytest.mark.slow
def test_a_session_that_never_ends_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_test, "lease_end_ms", lambda now_ms: now_ms + DAY_MS)
    monkeypatch.setattr(commissioning, "lease_end_ms", lambda now_ms: now_ms + DAY_MS)
    options = Options(days=0.25, seed=1, faults="none", config_text=HEATED, tests_per_day=100.0)
    verdict = simulate(options, until_broken=("a hardware test ends with its session",))
    assert "a hardware test ends with its session" in {violation.promise for violation in verdict.violations}
