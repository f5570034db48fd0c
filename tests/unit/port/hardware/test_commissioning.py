"""The commissioning walk names the room that got warm, and no room where it cannot know."""

from collections.abc import Callable, Mapping

import pytest

from agent.port.hardware import commissioning
from agent.port.hardware.commissioning import (
    SETTLE_S,
    START_S_MAX,
    PlannedZone,
    Rise,
    Trend,
    Verdict,
    Walk,
    WalkPhase,
    ZoneFinding,
    judge,
    sentences,
)
from agent.port.hardware.output_test import LEASE_S, Observation
from hal.interface import HvacAction

HEAT, OFF = HvacAction.HEAT, HvacAction.OFF
TICK_MS = 10_000
PLAN = (
    PlannedZone("bath", ("T1",), can_heat=True, heat_s_max=1800.0),
    PlannedZone("hall", ("T2", "T2b"), can_heat=True, heat_s_max=1800.0),
    PlannedZone("loft", ("T3",), can_heat=True, heat_s_max=1800.0),
)


class House:
    """Rooms that cool slowly and get warmer by 2 K/h under heat."""

    def __init__(self, wires: Mapping[str, str], *, leak: float = 0.1) -> None:
        self.wires = wires
        self.leak = leak
        self.rooms_c = {"bath": 19.0, "hall": 20.0, "loft": 17.0}
        self.now_ms = 0
        self.walk: Walk = commissioning.begin("w1", PLAN, 0)

    def values_c(self) -> dict[str, float]:
        return {name: round(self.rooms_c[zone.zone_id], 1) for zone in PLAN for name in zone.sensors}

    def tick(self, seen: Callable[[Walk], Observation], *, is_renewed: bool = True) -> None:
        self.now_ms += TICK_MS
        made = commissioning.demand(self.walk)
        for room in self.rooms_c:
            self.rooms_c[room] -= 0.2 * TICK_MS / 3.6e6
        for zone, action in (made.actions if made else {}).items():
            if action is HEAT and zone in self.wires:
                for room in self.rooms_c:
                    share = 1.0 if room == self.wires[zone] else self.leak
                    self.rooms_c[room] += 2.0 * share * TICK_MS / 3.6e6
        if is_renewed:
            self.walk = commissioning.renew(self.walk, self.now_ms)
        self.walk = commissioning.expire(self.walk, self.now_ms)
        self.walk = commissioning.advance(self.walk, self.values_c(), seen(self.walk), self.now_ms)

    def run(
        self, seen: Callable[[Walk], Observation] = lambda walk: Observation(walk.phase is WalkPhase.HEATING)
    ) -> Walk:
        while self.walk.phase is not WalkPhase.DONE:
            self.tick(seen)
        return self.walk


RIGHT = {"bath": "bath", "hall": "hall", "loft": "loft"}


def verdicts(walk: Walk) -> list[tuple[str, Verdict, str]]:
    return [(found.zone, found.verdict, found.answered_by) for found in walk.findings]


def test_correct_wiring_is_confirmed() -> None:
    walk = House(RIGHT).run()
    assert verdicts(walk) == [(zone, Verdict.OWN, zone) for zone in RIGHT]
    assert all(found.certainty > 0.5 for found in walk.findings)
    assert sentences(walk.findings)[0] == f"bath is right: T1 rose by {walk.findings[0].rise_k:.1f} K."


def test_two_swapped_wires_are_found() -> None:
    walk = House({"bath": "loft", "hall": "hall", "loft": "bath"}).run()
    assert verdicts(walk) == [
        ("bath", Verdict.OTHER, "loft"), ("hall", Verdict.OWN, "hall"), ("loft", Verdict.OTHER, "bath"),
    ]  # fmt: skip
    told = sentences(walk.findings)
    assert told[0].startswith("Swap the wires of bath and loft, or their sensors")
    assert len(told) == 2


def test_a_wire_in_the_wrong_room_and_one_that_heats_nothing() -> None:
    walk = House({"bath": "hall", "hall": "hall"}).run()
    assert [found.verdict for found in walk.findings] == [Verdict.OTHER, Verdict.OWN, Verdict.NONE]
    told = sentences(walk.findings)
    assert told[0] == "Check the wires and the sensors of bath: its output heats the room of a sensor of hall."
    assert told[1] == "Check the wires, the valve and the heat source of loft: no sensor rose in 30 min."


def test_open_doors_are_unclear() -> None:
    walk = House(RIGHT, leak=0.8).run()
    assert {found.verdict for found in walk.findings} == {Verdict.UNCLEAR}
    assert sentences(walk.findings)[0].startswith("Close the doors and repeat bath")


def test_other_zones_are_off_during_a_step() -> None:
    house = House(RIGHT)
    assert commissioning.demand(house.walk).actions == {"bath": OFF, "hall": OFF, "loft": OFF}  # type: ignore[union-attr]
    for _ in range(round(SETTLE_S * 1000 / TICK_MS)):
        house.tick(lambda _: Observation(is_on=False))
    assert commissioning.demand(house.walk).actions == {"bath": HEAT, "hall": OFF, "loft": OFF}  # type: ignore[union-attr]


def test_a_zone_that_may_not_start_is_skipped_with_the_reason() -> None:
    resting = Observation(is_on=False, reason="minimum off time, 20 min to go")
    house = House(RIGHT)
    while not house.walk.findings:
        house.tick(lambda _: resting)
    assert house.walk.findings[0] == ZoneFinding("bath", Verdict.SKIPPED, text=resting.reason)
    assert house.now_ms == (SETTLE_S + START_S_MAX) * 1000
    assert "Repeat bath later: it was not heated (minimum off time, 20 min to go)." in sentences(house.walk.findings)


def test_a_zone_that_is_cut_short_is_skipped_with_the_reason() -> None:
    house = House(RIGHT)

    def hot(walk: Walk) -> Observation:
        return Observation(walk.phase is WalkPhase.HEATING and walk.on_ms is None, "off: 30.1 °C, the limit is 30.0")

    while not house.walk.findings:
        house.tick(hot)
    assert (house.walk.findings[0].verdict, house.walk.findings[0].text) == (
        Verdict.SKIPPED, "off: 30.1 °C, the limit is 30.0",
    )  # fmt: skip


def test_lost_session_ends_commissioning_and_keeps_its_findings() -> None:
    house = House(RIGHT)
    while not house.walk.findings:
        house.tick(lambda walk: Observation(walk.phase is WalkPhase.HEATING))
    lost_ms = house.now_ms
    while house.walk.phase is not WalkPhase.DONE:
        house.tick(lambda walk: Observation(walk.phase is WalkPhase.HEATING), is_renewed=False)
    assert house.now_ms - lost_ms == LEASE_S * 1000
    assert commissioning.demand(house.walk) is None
    assert (len(house.walk.findings), house.walk.text) == (1, "nobody has renewed it for 20 s")


def test_failing_outputs_end_commissioning() -> None:
    house = House(RIGHT)
    house.tick(lambda _: Observation(is_on=False, problem="relay bath does not follow"))
    assert (house.walk.phase, house.walk.text) == (WalkPhase.DONE, "relay bath does not follow")


def test_manual_stop() -> None:
    walk = commissioning.stop(House(RIGHT).walk)
    assert (walk.phase, walk.text) == (WalkPhase.DONE, "stopped by hand")
    assert commissioning.stop(walk, "again") is walk
    assert commissioning.advance(walk, {}, Observation(is_on=True), 10) is walk


def test_a_zone_that_does_not_heat_is_left_out() -> None:
    cool = PlannedZone("server room", ("T9",), can_heat=False, heat_s_max=1800.0)
    walk = commissioning.begin("w1", (cool,), 0)
    assert (walk.phase, walk.findings[0].verdict) == (WalkPhase.DONE, Verdict.SKIPPED)
    assert walk.zone is None


@pytest.mark.parametrize(
    ("rises", "verdict", "answered_by"),
    [
        ({}, Verdict.NONE, ""),
        ({"T1": Rise(0.39)}, Verdict.NONE, ""),
        ({"T1": Rise(0.4)}, Verdict.OWN, "bath"),
        ({"T1": Rise(0.4, 0.2)}, Verdict.NONE, ""),
        ({"T1": Rise(0.5), "T3": Rise(0.24)}, Verdict.OWN, "bath"),
        ({"T1": Rise(0.5), "T3": Rise(0.26)}, Verdict.UNCLEAR, "bath"),
        ({"T1": Rise(1.0), "T3": Rise(0.6)}, Verdict.UNCLEAR, "bath"),
        ({"T1": Rise(-0.5), "T3": Rise(0.5)}, Verdict.OTHER, "loft"),
        # Two sensors of one room do not compete.
        ({"T2": Rise(0.6), "T2b": Rise(0.5)}, Verdict.OTHER, "hall"),
    ],
)
def test_responding_sensor_is_identified(rises: Mapping[str, Rise], verdict: Verdict, answered_by: str) -> None:
    found = judge("bath", PLAN, rises)
    assert (found.verdict, found.answered_by) == (verdict, answered_by)
    assert 0.0 <= found.certainty <= 1.0


def test_a_trend_is_the_line_through_its_values() -> None:
    trend = Trend()
    for second in range(0, 6000, 10):
        trend = trend.with_value(second, 20.0 - second / 3600 + (0.1 if second % 20 else -0.1))
    assert trend.slope == pytest.approx(-1 / 3600, rel=0.05)
    assert trend.at(7200.0) == pytest.approx(18.0, abs=0.01)
    assert trend.noise_k == pytest.approx(0.1, rel=0.05)
    assert Trend().with_value(5.0, 21.0).at(100.0) == 21.0
