"""The confidence of predictive maintenance: fitted on one simulated fleet, held to its promise on another."""

import random
from math import exp

import pytest

from agent.maintenance.calibration import MODELS
from agent.maintenance.indicators import Indicator
from lab.maintenance import calibration
from lab.maintenance.calibration import (
    JUDGE_HOUSES,
    as_markdown,
    calibrate,
    fleets_as_markdown,
    judge,
    judge_fleets,
    render,
)
from lab.maintenance.faults import YEARS
from lab.maintenance.fleet import FAULTS, FITTED, LOOK_ALIKES, Fault, HouseDay, live
from lab.maintenance.logistic import Point, brier, calibration_error, fit, probability, reliability, solve


def test_a_fit_finds_the_weights_that_made_the_points() -> None:
    rng = random.Random(3)
    points = []
    for _ in range(20_000):
        features = (rng.gauss(0.0, 1.0), rng.gauss(0.0, 1.0))
        chance = 1.0 / (1.0 + exp(1.0 - 2.0 * features[0] + 0.5 * features[1]))
        points.append(Point(features, rng.random() < chance))
    weights = fit(points)
    assert weights == pytest.approx([-1.0, 2.0, -0.5], abs=0.07)
    assert probability(weights, (0.5, 0.0)) == pytest.approx(0.5, abs=0.03)


def test_a_fleet_without_a_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="simulate more houses"):
        fit([Point((1.0,), is_true=False)] * 5)


def test_linear_equations_are_solved_with_a_zero_on_the_diagonal() -> None:
    assert solve([[0.0, 2.0], [4.0, 1.0]], [6.0, 11.0]) == pytest.approx([2.0, 3.0])


def test_reliability_compares_probability_and_truth() -> None:
    judged = [(0.15, False)] * 4 + [(0.15, True)] + [(0.95, True)] * 3 + [(1.0, False)]
    low, high = reliability(judged)
    assert (low.count, low.true_share, high.count, high.true_share) == (5, 0.2, 4, 0.75)
    assert calibration_error([low, high]) == pytest.approx((5 * 0.05 + 4 * 0.2125) / 9)
    assert brier([(0.5, True), (1.0, False)]) == pytest.approx((0.25 + 1.0) / 2)


def test_a_house_lives_the_same_for_a_seed_and_otherwise_for_another() -> None:
    one, again, other = (list(live(seed, 4, FITTED, years=1)) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert len(one) == 365


def test_a_fault_grows_is_repaired_and_lowers_its_indicator() -> None:
    fault = Fault(kind=FAULTS[0], begins=100.0, days=50.0, loss=0.4)
    assert [fault.loss_on(day) for day in (99, 125, 150, int(fault.ends))] == [0.0, 0.2, 0.4, 0.0]
    with_fault = [day for number in range(40) for day in live(5, number, FITTED) if day.faults]
    assert {each.kind.name for day in with_fault for each in day.faults} >= {"clogged filter", "air in the circuit"}
    assert all(day.has(each.kind.indicator) for day in with_fault for each in day.faults)


def test_every_kind_of_fault_and_of_look_alike_can_happen() -> None:
    assert len(FAULTS) + len(LOOK_ALIKES) == 16
    assert all(kind.a_year > 0.0 and 0.0 < kind.loss[0] < kind.loss[1] < 1.0 for kind in FAULTS)


def test_the_generated_file_is_what_the_command_writes() -> None:
    assert calibration.TARGET.read_text() == render(MODELS)


def test_a_small_fit_is_the_same_twice_and_sees_a_loss_as_a_fault() -> None:
    models = calibrate(seed=4, houses=5)
    assert models == calibrate(seed=4, houses=5)
    assert models[Indicator.WARMTH].weights[1] > 0.0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_fit_writes_the_same_file() -> None:
    assert render(calibrate()) == calibration.TARGET.read_text()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_confidence_holds_on_a_fleet_that_it_has_not_seen() -> None:
    found = judge(MODELS)
    hub_years = JUDGE_HOUSES * YEARS
    assert hub_years > 1000
    false = 0
    for judgement in found.values():
        alerts, true = judgement.alerts
        assert calibration_error(reliability(judgement.points)) <= 0.05
        assert alerts > 10
        assert true / alerts >= 0.8
        false += alerts - true
    assert false / hub_years <= 0.2
    # The tables of docs/experiments/maintenance-confidence.md come from here.
    page = (calibration.TARGET.parents[2] / "docs" / "experiments" / "maintenance-confidence.md").read_text()
    assert as_markdown(found, hub_years) in page


@pytest.mark.slow
def test_the_tables_of_more_fleets_are_of_this_detector() -> None:
    """By the first houses of each fleet: whole fleets take minutes."""
    page = (calibration.TARGET.parents[2] / "docs" / "experiments" / "maintenance-confidence.md").read_text()
    assert fleets_as_markdown(judge_fleets(20), 20 * YEARS) in page


def test_days_of_a_house_are_days_of_the_hub() -> None:
    days: list[HouseDay] = [each for each in live(1, 1, FITTED, years=1) if each.day.output > 0.0]
    assert all(0.0 < each.day.output <= 1.0 for each in days)
    assert all(each.day.starts * each.day.run_s == pytest.approx(each.day.output * 86_400.0) for each in days
               if each.day.starts)  # fmt: skip
