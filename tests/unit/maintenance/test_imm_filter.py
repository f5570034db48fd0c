"""Two modes of a zone: how their states are mixed, and what a day says about which it is in."""

from math import exp, log

import msgspec
import pytest

from agent.maintenance.imm_filter import GROWTH_DAYS_MAX, ODDS_FIRST, Mode, Modes, first_modes, with_day
from agent.maintenance.indicators import Indicator, Measured
from agent.maintenance.signature import SIGNATURES

SIGNATURE = SIGNATURES[Indicator.RUN_TIME]
DYNAMICS = SIGNATURE.dynamics
DAY = Measured(2.0, 0.0, 0.0)
SURE = (0.0, 0.0, 0.0, 0.0, 0.0, 1e-6)
"""Of log run and exponent everything is known, of the loss nearly."""


def modes(loss: float, log_odds: float) -> Modes:
    """Return a zone whose fault takes a loss."""
    return Modes(Mode((2.0, 1.0, 0.0), SURE), Mode((2.0, 1.0, loss), SURE), log_odds)


def pass_day(before: Modes, value: float, days: float = 1.0) -> Modes:
    """Return what is known after a day with a length of a run."""
    day = msgspec.structs.replace(DAY, value=value)
    return with_day(before, day, SIGNATURE, days=days, noise=1.0, is_learned=True).modes


def test_a_day_as_a_fault_has_it_speaks_for_the_fault_and_a_usual_one_against_it() -> None:
    before = modes(0.4, -1.0)
    assert pass_day(before, 1.6).log_odds > -0.5
    assert pass_day(before, 2.0).log_odds < -1.5


def test_without_evidence_the_odds_go_to_how_often_faults_begin_and_are_repaired() -> None:
    known = modes(0.0, 5.0)
    for _ in range(300):
        # Both modes expect the same.
        known = Modes(known.usual, known.usual, pass_day(known, 2.0).log_odds)
    assert known.log_odds == pytest.approx(log(DYNAMICS.faults_a_day / DYNAMICS.repairs_a_day), abs=0.35)


def test_a_fault_may_have_begun_since_the_last_day_and_grows() -> None:
    long = pass_day(modes(0.1, -3.0), 1.9, days=30.0)
    assert long.faulty.state[-1] > pass_day(modes(0.1, -3.0), 1.9).faulty.state[-1]
    # A day that says nothing, after a year without one.
    ever = with_day(modes(0.0, 5.0), DAY, SIGNATURE, days=400.0, noise=1e12, is_learned=True).modes
    assert ever.faulty.state[-1] == pytest.approx(DYNAMICS.growth * GROWTH_DAYS_MAX)


def test_states_are_mixed_by_what_may_have_happened_and_their_distance_is_uncertainty() -> None:
    before, days = modes(0.8, 0.0), 20.0
    # A day that says nothing.
    known = with_day(before, DAY, SIGNATURE, days=days, noise=1e12, is_learned=True).modes
    begun, ended = (0.5 * (1.0 - exp(-rate * days)) for rate in (DYNAMICS.faults_a_day, DYNAMICS.repairs_a_day))
    share, kept = ended / (0.5 - begun + ended), exp(-days / DYNAMICS.usual_fading_days)
    assert known.usual.state[-1] == pytest.approx(kept * share * 0.8)
    variance = 1e-6 + share * (1.0 - share) * 0.8**2
    assert known.usual.covariance[-1] == pytest.approx(kept**2 * variance + DYNAMICS.usual_walk**2 * days)
    assert known.log_odds == pytest.approx(log((0.5 + begun - ended) / (0.5 - begun + ended)), abs=1e-3)


def test_while_the_usual_behaviour_is_learned_nothing_is_wrong() -> None:
    known = first_modes(DAY, SIGNATURE)
    for value in (2.0, 1.2, 1.1, 1.0):
        day = msgspec.structs.replace(DAY, value=value)
        known = with_day(known, day, SIGNATURE, days=1.0, noise=1.0, is_learned=False).modes
        assert known.usual.state[-1] == known.faulty.state[-1] == 0.0
        assert known.log_odds <= ODDS_FIRST


@pytest.mark.parametrize("extreme", [1e308, -1e308, 0.0])
def test_a_damaged_state_gives_a_state(extreme: float) -> None:
    for broken in (
        Modes(Mode((extreme,) * 3, SURE), Mode((2.0, 1.0, 0.0), SURE), 0.0),
        Modes(Mode((2.0, 1.0, 0.0), (extreme,) * 6), Mode((2.0, 1.0, 0.0), SURE), 0.0),
        modes(0.1, extreme),
    ):
        assert len(pass_day(broken, 2.0).usual.state) == 3
