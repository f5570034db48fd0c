"""Sharp steps of the load: what turns with the processor is warmed by it; what a room does by itself is not."""

import math
import random
from collections.abc import Callable

import pytest

from agent.sensors import load_steps
from agent.sensors.load_steps import EVIDENCE_FLOOR, EVIDENCE_FOUND, EVIDENCE_MAX, RESPONSES, SIDE, LoadStepDetector
from hal.sim.hub_case import HubCase

MINUTE_MS = 60_000
HOUR_MIN = 60
DAY_MIN = 1440

Room = Callable[[int], float]
"""The temperature of the room, by the minute."""


def hourly(minute: int) -> float:
    """Return a load that begins and ends each hour."""
    return float(minute // HOUR_MIN % 2)


def still(_: int) -> float:
    return 20.5


class House:
    """A hub in its case, and a thermometer in there or in the room."""

    def __init__(self, *, seed: int = 1, case: HubCase | None = None) -> None:
        self.case = case or HubCase()
        self.inside = self.case.steady(0.0)
        self.detector = LoadStepDetector()
        self.rng = random.Random(seed)
        self.minute = 0

    def live(
        self,
        minutes: int,
        *,
        in_case: bool,
        room: Room = still,
        load: Callable[[int], float] = hourly,
        interval_s: int = 60,
    ) -> int | None:
        """Live on; return after how many minutes the thermometer was first found to be warmed."""
        found = None
        for index in range(minutes):
            self.minute += 1
            self.inside = self.case.advance(self.inside, load(self.minute), 60.0)
            room_c = room(self.minute)
            board_c = self.inside.board_c(room_c) if in_case else room_c
            cpu_c = self.inside.cpu_c(room_c) + self.rng.gauss(0.0, 0.3)
            board_c = round(board_c + self.rng.gauss(0.0, 0.02), 2)
            for begin_s in range(0, 60, interval_s):
                if interval_s <= 60 or self.minute * 60 % interval_s == 0:
                    self.detector.observe(board_c, cpu_c, self.minute * MINUTE_MS + begin_s * 1000)
            if found is None and self.detector.is_warmed:
                found = index
        return found


@pytest.mark.parametrize("lag_s", [300.0, 1100.0, 2500.0])
def test_found_by_a_few_steps_and_never_by_one(lag_s: float) -> None:
    house = House(case=HubCase(case_lag_s=lag_s))
    found = house.live(6 * HOUR_MIN, in_case=True)
    assert found is not None
    assert found > 2 * HOUR_MIN
    assert house.detector.evidence <= EVIDENCE_MAX


def test_a_step_counts_once() -> None:
    house = House()
    house.live(HOUR_MIN + SIDE - 2, in_case=True)
    before = house.detector.evidence
    assert before == 0.0
    house.live(3, in_case=True)
    counted = house.detector.evidence
    assert 0.0 < counted < EVIDENCE_FOUND
    house.live(HOUR_MIN - 3, in_case=True)
    assert house.detector.evidence == counted


@pytest.mark.parametrize("seed", range(3))
def test_a_room_with_a_life_of_its_own_is_not_taken_for_warmed(seed: int) -> None:
    """Heating, windows and sun turn its temperature sharply and often; the processor works when it likes."""
    rng = random.Random(seed)
    state = {"air": 20.5, "wanted": 20.5, "load": 0.0}

    def room(minute: int) -> float:
        if rng.random() < 1 / 90:
            state["wanted"] = rng.choice([14.0, 18.0, 20.5, 20.5, 23.0, 26.0])
        state["air"] += (state["wanted"] - state["air"]) / 15.0
        return state["air"] + 0.2 * math.sin(minute / 6.0)

    def load(_: int) -> float:
        if rng.random() < 1 / 60:
            state["load"] = rng.choice([0.0, 0.5, 1.0])
        return state["load"]

    assert House(seed=seed).live(30 * DAY_MIN, in_case=False, room=room, load=load) is None


def pipe(minute: int) -> float:
    """Return the temperature of a heating's pipe: warm within minutes of the pump's start at each full hour."""
    on_min = minute % HOUR_MIN
    if minute // HOUR_MIN % 24 < 6:
        return 20.0
    if on_min < 35:
        return 45.0 - 17.0 * math.exp(-on_min / 3.0)
    return 20.0 + 25.0 * math.exp((35 - on_min) / 25.0)


@pytest.mark.parametrize(("busy_min", "begins_min"), [*((90, each) for each in range(0, 60, 5)), (30, 45), (30, 55)])
def test_a_pipe_whose_pump_runs_in_step_with_the_processor_is_not_taken_for_warmed(
    busy_min: int, begins_min: int
) -> None:
    """But for one that stops within minutes of each end of the load, by as much as a case would: nothing shows it."""

    def load(minute: int) -> float:
        return float((minute + begins_min) // busy_min % 2)

    assert House().live(3 * DAY_MIN, in_case=False, room=pipe, load=load) is None


def test_what_was_on_its_way_before_a_step_may_stop_with_it() -> None:
    """A pipe that has been still for a day, and twice has warmed up when the processor is done."""
    detector = LoadStepDetector()
    for minute in range(DAY_MIN + 2 * HOUR_MIN):
        hours, of_hour = divmod(max(0, minute - DAY_MIN), HOUR_MIN)
        board_c = 20.0 + 0.3 * (20 * hours + min(20, max(0, of_hour - 20)))
        excess_k = min(15.0, of_hour) if of_hour < 40 else 0.0
        detector.observe(board_c, board_c + excess_k, minute * MINUTE_MS)
    assert 0.0 < detector.evidence < EVIDENCE_FOUND / 3.0


def test_one_step_is_never_enough_however_large() -> None:
    """A sensor that has been still for a day turns exactly as a warmed one would: somebody may have lit the stove."""
    detector = LoadStepDetector()
    for minute in range(DAY_MIN + 2 * SIDE):
        busy_min = max(0, minute - DAY_MIN)
        board_c = 20.0 + RESPONSES[2] * 40.0 * busy_min / SIDE
        detector.observe(board_c, board_c + (60.0 if minute >= DAY_MIN else 20.0), minute * MINUTE_MS)
    assert EVIDENCE_FOUND / 2.0 < detector.evidence < EVIDENCE_FOUND
    assert not detector.is_warmed


@pytest.mark.parametrize("shines_on_hub", [False, True])
def test_sun_is_no_step_of_the_load(*, shines_on_hub: bool) -> None:
    """On the sensor alone the difference to the processor falls while the sensor rises; on both there is no step."""
    detector = LoadStepDetector()
    for minute in range(7 * DAY_MIN):
        sunny_min = minute % 120 - 60
        warmth_k = (5.0 if sunny_min >= 0 else 0.0) + max(0.0, sunny_min) * 0.05
        detector.observe(20.0 + warmth_k, 45.0 + warmth_k * shines_on_hub, minute * MINUTE_MS)
    assert detector.evidence <= 0.0


def test_believed_again_where_it_was_moved_away() -> None:
    house = House()
    house.live(DAY_MIN, in_case=True)
    assert house.detector.is_warmed
    house.live(2 * DAY_MIN, in_case=False)
    assert not house.detector.is_warmed
    house.live(2 * DAY_MIN, in_case=False)
    assert house.detector.evidence >= EVIDENCE_FLOOR


def test_an_unsteady_load_teaches_nothing() -> None:
    house = House()
    house.live(DAY_MIN, in_case=True, load=lambda minute: float(minute // 7 % 2))
    assert house.detector.evidence == 0.0


def test_a_small_step_teaches_nothing() -> None:
    house = House()
    house.live(DAY_MIN, in_case=True, load=lambda minute: 0.1 * hourly(minute))
    assert house.detector.evidence == 0.0


def test_readings_that_are_too_far_apart_teach_nothing() -> None:
    house = House()
    assert house.live(DAY_MIN, in_case=True, interval_s=120) is None
    assert house.detector.evidence == 0.0


def test_readings_that_come_sooner_are_left_out() -> None:
    slow, fast = House(), House()
    slow.live(6 * HOUR_MIN, in_case=True)
    fast.live(6 * HOUR_MIN, in_case=True, interval_s=15)
    assert fast.detector.evidence == slow.detector.evidence > EVIDENCE_FOUND


def test_a_clock_that_goes_back_begins_anew() -> None:
    house = House()
    house.live(HOUR_MIN, in_case=True)
    house.minute -= 30
    house.live(15, in_case=True, load=lambda _: 1.0)
    assert house.detector.evidence == 0.0


def test_responses_span_the_cases_that_are_known() -> None:
    """The least is half of what a heavy case does in ten minutes, the most twice that of an open board."""
    for case in (HubCase(case_k=0.6, case_lag_s=2500.0), HubCase(case_k=1.3, case_lag_s=400.0)):
        idle, busy = case.steady(0.0), case.steady(1.0)
        share = 1.0 - math.exp(-600.0 / case.case_lag_s)
        response = share * (busy.rise_k - idle.rise_k) / (busy.die_k - idle.die_k)
        assert RESPONSES[0] / 2.0 <= response <= 2.0 * RESPONSES[-1]
    assert load_steps.EVIDENCE_STEP_MAX < EVIDENCE_FOUND
