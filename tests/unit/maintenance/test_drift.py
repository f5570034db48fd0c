"""The filter over a zone's days: what is usual, what has been lost since, and how certain that is."""

import random
from math import exp, log, sqrt

import msgspec
import pytest

from agent.maintenance.drift import BASELINE_DAYS, NOISE_MIN, RECENT_DAYS, Drift, add_day
from agent.maintenance.imm_filter import LOSS_MAX, ODDS_FIRST, Mode
from agent.maintenance.indicators import SOLSTICE_MS, YEAR_MS, Indicator, Measured
from agent.maintenance.signature import SIGNATURES, EnergySignature, RunSignature

DAY_MS = 86_400_000
WINTER, SUMMER = 0.0, 1.0


def heat(
    days: int,
    *,
    drift: Drift | None = None,
    first_day: int = 0,
    share: float = 1.0,
    lift_k: float = 18.0,
    sunshine: float = WINTER,
    seed: int = 1,
    scatter: float = 0.05,
) -> Drift:
    """Return the drift after days of a house whose full output is 40 K of lift, of which a share is left."""
    rng, drift = random.Random(seed), drift or Drift()
    for number in range(first_day, first_day + days):
        lift = lift_k + rng.gauss(0.0, 3.0)
        output = (lift - 3.0 - 2.5 * sunshine) / (40.0 * share) * rng.lognormvariate(0.0, scatter)
        day = Measured(output, lift, sunshine)
        drift = add_day(drift, day, SOLSTICE_MS + number * DAY_MS, SIGNATURES[Indicator.WARMTH])
    return drift


def uncertainty(drift: Drift) -> float:
    """Return the standard deviation of the loss if something is wrong."""
    return sqrt(drift.faulty.covariance[-1])


def loss(drift: Drift) -> float:
    """Return what is lost, by the odds that something is wrong."""
    p = 1.0 / (1.0 + exp(-drift.log_odds))
    return (1.0 - p) * drift.state[-1] + p * drift.faulty.state[-1]


LEARNED = heat(60)


def test_nothing_is_a_change_before_two_weeks_and_judged_a_week_later() -> None:
    early = heat(7, drift=heat(7), first_day=7, share=0.6)
    assert (loss(early), early.days_learned, early.is_judged) == (0.0, BASELINE_DAYS, False)
    assert heat(RECENT_DAYS - 1, drift=heat(BASELINE_DAYS)).is_judged is False
    assert heat(RECENT_DAYS, drift=heat(BASELINE_DAYS)).is_judged
    assert (Drift().days_learned, Drift().shift, Drift().now_and_then) == (0, 0.0, None)


@pytest.mark.parametrize("numbers", [3, 5])
def test_what_a_release_with_another_signature_has_left_begins_anew(numbers: int) -> None:
    triangle = (0.01,) * (numbers * (numbers + 1) // 2)
    other = msgspec.structs.replace(LEARNED, state=(0.1,) * numbers, covariance=triangle, since_utc_ms=SOLSTICE_MS)
    assert heat(9, drift=other, first_day=60) == heat(9, first_day=60)


def test_the_usual_heat_of_full_output_is_learned_in_any_weather() -> None:
    now, then = LEARNED.now_and_then or (0.0, 0.0)
    assert then == pytest.approx(40.0, rel=0.08)
    assert now == pytest.approx(then, rel=0.08)
    colder = heat(20, drift=LEARNED, first_day=60, lift_k=30.0)
    assert colder.shift == pytest.approx(0.0, abs=0.06)
    assert colder.log_odds < 0.0


def test_a_lasting_loss_adds_up_with_its_size_and_its_beginning() -> None:
    drift = heat(60, drift=LEARNED, first_day=60, share=0.75)
    assert drift.shift == pytest.approx(0.25, abs=0.07)
    assert drift.faulty.sigmas > 3.0
    assert drift.log_odds > 3.0
    assert drift.since_utc_ms is not None
    assert 60 <= (drift.since_utc_ms - SOLSTICE_MS) / DAY_MS <= 75
    now, then = drift.now_and_then or (0.0, 0.0)
    assert now / then == pytest.approx(0.75, abs=0.07)


def test_a_loss_that_grows_over_half_a_year_does_not_become_usual() -> None:
    slow, rng = heat(200), random.Random(3)
    for number in range(160):
        lift = 18.0 + rng.gauss(0.0, 3.0)
        output = (lift - 3.0) / (40.0 * exp(-0.0015 * number)) * rng.lognormvariate(0.0, 0.05)
        utc_ms = SOLSTICE_MS + (200 + number) * DAY_MS
        slow = add_day(slow, Measured(output, lift, WINTER), utc_ms, SIGNATURES[Indicator.WARMTH])
    assert slow.faulty.state[-1] == pytest.approx(0.24, abs=0.08)
    assert slow.log_odds > 1.0
    assert slow.since_utc_ms is not None
    assert slow.shift == pytest.approx(1.0 - exp(-0.24), abs=0.08)


def test_what_a_release_with_one_filter_for_both_modes_has_learned_is_kept() -> None:
    ill = heat(60, drift=LEARNED, first_day=60, share=0.75)
    for now, share, is_suspected in ((LEARNED, 1.0, False), (ill, 0.75, True)):
        # That filter had the loss in its only state.
        old = msgspec.structs.replace(
            now, state=now.faulty.state, covariance=now.faulty.covariance, faulty=Mode(), log_odds=ODDS_FIRST
        )
        read = msgspec.json.decode(msgspec.json.encode(old), type=Drift)
        assert not read.is_judged
        after = heat(1, drift=read, first_day=now.days, share=share)
        assert (after.days, after.is_judged, len(after.signs)) == (now.days + 1, True, 1)
        assert after.usual == pytest.approx(now.usual, rel=0.1)
        assert (after.log_odds > 0.0) is is_suspected


def test_a_single_odd_day_counts_little_and_a_gain_is_no_loss() -> None:
    odd = heat(1, drift=LEARNED, first_day=60, share=0.2)
    assert abs(loss(odd) - loss(LEARNED)) < 0.03
    better = heat(60, drift=LEARNED, first_day=60, share=1.4)
    assert better.shift < -0.1
    assert better.since_utc_ms is None


def test_after_a_repair_the_days_are_better_than_expected_and_the_loss_goes() -> None:
    ill = heat(60, drift=LEARNED, first_day=60, share=0.7)
    repaired = heat(5, drift=ill, first_day=120)
    assert repaired.surprise < ill.surprise - 0.2
    well = heat(60, drift=repaired, first_day=125)
    assert well.shift < 0.1
    assert well.since_utc_ms is None


def test_a_season_that_was_never_seen_is_less_certain() -> None:
    autumn = heat(30, lift_k=10.0, sunshine=0.5)
    winter = heat(1, drift=autumn, first_day=90, lift_k=30.0)
    assert winter.log_odds < 0.0
    assert uncertainty(winter) > uncertainty(autumn)
    summer_later = heat(1, drift=LEARNED, first_day=60 + int(YEAR_MS / DAY_MS / 2))
    assert uncertainty(summer_later) > 1.3 * uncertainty(LEARNED)


def test_a_clock_that_was_set_back_and_a_pause_of_years_do_no_harm() -> None:
    back = heat(1, drift=LEARNED, first_day=2)
    late = heat(1, drift=LEARNED, first_day=60 + 10_000)
    assert abs(back.shift) < 0.2
    assert abs(late.shift) < 0.2
    assert uncertainty(late) < 1.0


def test_the_loss_is_bounded_and_a_steady_house_is_no_machine() -> None:
    drift = heat(2000, drift=LEARNED, first_day=60, share=0.05)
    assert drift.faulty.state[-1] <= LOSS_MAX
    steady = heat(1000, scatter=0.0)
    assert steady.noise == NOISE_MIN


def test_a_changed_behaviour_is_usual_after_a_year_or_so() -> None:
    changed = heat(60, drift=LEARNED, first_day=60, share=0.85)
    later = heat(400, drift=changed, first_day=120, share=0.85)
    assert loss(later) < 0.1 * loss(changed)
    assert (later.log_odds < 0.0, later.since_utc_ms) == (True, None)


def test_the_length_of_a_run_is_compared_at_the_same_load() -> None:
    signature, drift, rng = SIGNATURES[Indicator.RUN_TIME], Drift(), random.Random(2)
    for number in range(60):
        load = -log(1.0 - rng.uniform(0.1, 0.8))
        short = 0.6 if number >= 30 else 1.0
        value = log(8.0 * short) + load + rng.gauss(0.0, 0.08)
        drift = add_day(drift, Measured(value, load, WINTER), SOLSTICE_MS + number * DAY_MS, signature)
        if number == 29:
            assert abs(drift.shift) < 0.1
    assert drift.shift == pytest.approx(0.4, abs=0.07)
    assert drift.faulty.sigmas > 4.0
    now, then = drift.now_and_then or (0.0, 0.0)
    assert now / then == pytest.approx(0.6, abs=0.07)


@pytest.mark.parametrize("signature", [EnergySignature(), RunSignature()])
def test_the_slopes_of_a_signature_are_its_derivatives(signature: EnergySignature | RunSignature) -> None:
    day = Measured(0.4, 17.0, 0.3)
    state, _ = signature.first(day)
    state = (*state[:-1], 0.2)
    expected = signature.expect(state, day)
    for i, slope in enumerate(expected.slope):
        moved = [each + 1e-6 * (i == j) for j, each in enumerate(state)]
        assert (signature.expect(moved, day).value - expected.value) / 1e-6 == pytest.approx(slope, rel=1e-3, abs=1e-6)
    assert expected.variance > 0.0
    assert signature.usual(state, day) > 0.0


def test_a_drift_of_an_older_release_is_read_as_one_that_has_learned_nothing() -> None:
    old = b"""{"baselines":[{"band":2,"values":[3.6,3.7],"season":0.9}],"cusum":1.5,"since_utc_ms":5,
        "recent":[[0.1,1.2]],"recent_values":[[3.5,3.6]],"last_utc_ms":6}"""
    read = msgspec.json.decode(old, type=Drift)
    assert (read.days, read.is_judged) == (0, False)
    anew = heat(1, drift=read)
    assert (anew.days, anew.since_utc_ms, loss(anew)) == (1, None, 0.0)
    assert exp(anew.state[0]) > 10.0
