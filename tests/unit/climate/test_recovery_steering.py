"""A recovery: an approach, a time of waiting below the setpoint, a final rise in time; zones on one source together."""

import pytest

from agent.climate.controller import ClimateController
from agent.climate.effective_setpoint import EffectiveSetpoint, SetpointReason
from agent.climate.model import Mode, Setpoints
from agent.climate.optimum_start import LearnedDynamics, Recovery
from agent.climate.recovery import SHARED_LEAD, RecoveryPlan, UpcomingSetpoint, ZoneRecovery
from agent.climate.recovery_steering import (
    ARRIVAL_K,
    FINAL_S_MAX,
    PAUSE_S_MIN,
    WAITING_K,
    Steering,
    expected_on_s,
    steer,
)
from agent.climate.settings import ClimateSettings, HeatSourceKind, HeatSourceSettings, ZoneSettings
from agent.climate.snapshot import ClimateSnapshot
from agent.climate.zone_model import ZoneDynamics, ZoneEstimate, initial_estimate, lead_s, stepper
from agent.foundation.clock import Now

DYNAMICS = ZoneDynamics(gain_k_per_h=12.0, emitter_s=900.0, air_s=2400.0, structure_s=6 * 3600.0)
TARGET_C = 21.0
HOUR_S = 3600.0
LEAD_S_MAX = 12 * HOUR_S


def steered(now: ZoneEstimate, left_s: float, *, is_rising: bool = False, pace: float = 1.0) -> Steering:
    return steer(
        now,
        DYNAMICS,
        target_c=TARGET_C,
        left_s=left_s,
        pace=pace,
        is_rising=is_rising,
        lead_s_max=LEAD_S_MAX,
    )


def at(value_c: float, duty: float = 0.5) -> ZoneEstimate:
    return initial_estimate(DYNAMICS, value_c=value_c, structure_c=None, duty=duty)


def test_a_recovery_waits_below_its_setpoint_and_arrives_when_it_is_due() -> None:
    now, step = at(18.0), stepper(DYNAMICS, 120.0)
    left_s, waited, is_rising, arrived_s = 5 * HOUR_S, 0, False, None
    while arrived_s is None and left_s > -HOUR_S:
        steering = steered(now, left_s, is_rising=is_rising)
        is_rising = is_rising or steering.rise_s is not None
        now, left_s = step(now, steering.duty), left_s - 120.0
        waited += not is_rising and abs(now.air_c - (TARGET_C - WAITING_K)) < 0.1
        if now.felt_c >= TARGET_C - ARRIVAL_K:
            arrived_s = left_s
    assert arrived_s == pytest.approx(0.0, abs=240.0)
    assert waited >= 10


def test_a_zone_that_would_arrive_while_it_waits_gets_no_output() -> None:
    assert steered(at(20.75), HOUR_S).duty == 0.0
    assert steered(at(20.5), HOUR_S).duty > 0.4


def test_the_approach_is_at_full_output_and_leaves_the_whole_reserve_for_waiting() -> None:
    far = at(18.0)
    assert steered(far, 5 * HOUR_S) == steered(far, 11 * HOUR_S)
    assert steered(far, 5 * HOUR_S).duty > 0.99


def test_the_approach_is_at_full_output_in_mild_weather_too_and_only_waiting_is_not() -> None:
    """Over an hour a fifth of it would do by the model, but pulses of so low a duty may come after the zone is due."""
    mild, near = at(20.0, duty=0.1), at(20.55, duty=0.1)
    for left_s in (HOUR_S / 2.0, 4 * HOUR_S):
        assert steered(mild, left_s) == Steering(1.0, steered(mild, HOUR_S).held_duty)
        assert 0.0 < steered(near, left_s).duty < 0.2


def test_full_output_far_below_the_waiting_temperature_is_no_final_rise() -> None:
    """It may still end in waiting: nothing is learned from it of the pace of final rises."""
    for value_c, is_final in ((18.0, False), (20.4, True)):
        rise_s = lead_s(at(value_c), DYNAMICS, TARGET_C - ARRIVAL_K, LEAD_S_MAX)
        assert rise_s is not None
        steering = steered(at(value_c), rise_s - 60.0)
        assert steering.duty == 1.0
        assert (steering.rise_s is not None) is is_final


def test_full_output_hours_before_it_is_due_is_no_final_rise() -> None:
    """A storm made rises of five hours of it, which were an hour early when it had passed."""
    early, late = (steered(at(20.5), left_s, pace=20.0) for left_s in (FINAL_S_MAX + 1.0, FINAL_S_MAX))
    assert early.duty == late.duty == 1.0
    assert early.rise_s is None
    assert late.rise_s is not None


def test_a_zone_that_waits_gets_what_keeps_it_there_and_swings_little() -> None:
    """Found on the houses: between none and full output rooms swung by 0.3 K, and arrived by a swing or late."""
    kept = steered(at(TARGET_C - WAITING_K), 3 * HOUR_S).duty
    for off_k in (-0.08, 0.01):
        assert steered(at(TARGET_C - WAITING_K + off_k), 3 * HOUR_S).duty == pytest.approx(kept, abs=0.03)


def begun_before_s(*, others_are_due: bool = False, load_share: float = 0.3) -> float:
    """Return how long before its block a zone begins, from 18 °C, whose load takes that share of its output."""
    recovery = ZoneRecovery(ZoneSettings(zone_id="a"), LearnedDynamics(model=DYNAMICS, windows=3))
    due_ms = 12 * 3_600_000
    effective = EffectiveSetpoint(
        Mode.HEAT, Setpoints(17.0, 26.0), SetpointReason.SCHEDULE, "Night", due_ms, False, (), ""
    )
    begun = (due_ms,) if others_are_due else (due_ms + 60_000,)
    for now_ms in range(0, due_ms, 120_000):
        now = Now("boot", now_ms, now_ms)
        recovery.learn(
            now,
            value_c=18.0,
            is_new=True,
            duty=load_share,
            structure_c=18.0,
            dt_s=120.0,
            was_on=True,
            level=load_share,
        )
        recovery.plan(now, effective, [UpcomingSetpoint(due_ms, TARGET_C)], value_c=18.0, dt_s=120.0, begun=begun)
        if recovery.active is not None:
            return (due_ms - now_ms) / 1000.0
    return 0.0


def test_zones_on_one_source_that_are_due_together_begin_earlier_once_one_has_begun() -> None:
    """Found on the houses: in a storm the zones that began last had what the others left of the boiler."""
    alone, together = (begun_before_s(others_are_due=others_are_due) for others_are_due in (False, True))
    assert alone > HOUR_S
    assert 1.2 * alone < together <= SHARED_LEAD * alone


def test_a_zone_with_little_output_left_begins_as_if_it_got_colder() -> None:
    """Found on heated floors: the lead by the load of the evening was short by hours."""
    leads = []
    for load_share in (0.1, 0.6):
        now = initial_estimate(DYNAMICS, value_c=18.0, structure_c=18.0, duty=load_share)
        lead = lead_s(now, DYNAMICS, TARGET_C - ARRIVAL_K, LEAD_S_MAX)
        assert lead is not None
        leads.append(begun_before_s(load_share=load_share) / lead)
    assert leads[1] > 1.2 * leads[0]


def test_a_final_rise_teaches_its_pace_once() -> None:
    """By its arrival, also where a pulse had lifted the zone while it waited, and not again when it arrives again."""
    recovery = ZoneRecovery(ZoneSettings(zone_id="a"), LearnedDynamics(model=DYNAMICS, windows=3))
    due_ms = 4 * 3_600_000
    effective = EffectiveSetpoint(
        Mode.HEAT, Setpoints(17.0, 26.0), SetpointReason.SCHEDULE, "Night", due_ms, False, (), ""
    )
    lifted_ms, arrivals_ms, paces = due_ms - 3_600_000, (due_ms - 360_000, due_ms - 120_000), []
    for now_ms in range(0, due_ms, 120_000):
        now, value_c = Now("boot", now_ms, now_ms), 20.8 if now_ms in {lifted_ms, *arrivals_ms} else 20.5
        recovery.learn(now, value_c=value_c, is_new=True, duty=0.5, structure_c=20.5, dt_s=120.0, was_on=True)
        recovery.plan(now, effective, [UpcomingSetpoint(due_ms, TARGET_C)], value_c=value_c, dt_s=120.0)
        paces.append(recovery.learned.pace)
    changed = [
        number * 120_000 for number, (one, other) in enumerate(zip(paces[1:], paces, strict=False), 1) if one != other
    ]
    assert changed == [arrivals_ms[0]]


@pytest.mark.parametrize(("kind", "is_shared"), [(HeatSourceKind.BOILER, True), (HeatSourceKind.NONE, False)])
def test_zones_on_one_source_know_what_the_others_have_begun(
    kind: HeatSourceKind, monkeypatch: pytest.MonkeyPatch, *, is_shared: bool
) -> None:
    zones = ZoneSettings(zone_id="a"), ZoneSettings(zone_id="b")
    settings = ClimateSettings(zones=zones, heat_source=HeatSourceSettings(kind=kind))
    now = Now("boot", 60_000, 60_000)
    control = ClimateController(settings, ClimateSnapshot(), now)
    control.zones["a"].recovery_plan.active = Recovery(TARGET_C, 3_600_000, 18.0, 0.3)
    seen = []

    def plan(*_: object, begun: set[int], **__: object) -> RecoveryPlan:
        seen.append(begun)
        return RecoveryPlan(17.0)

    monkeypatch.setattr(ZoneRecovery, "plan", plan)
    control.step(now, {})
    assert seen == [{3_600_000} if is_shared else set()] * 2


def test_the_final_rise_begins_by_the_pace_of_earlier_ones() -> None:
    now = at(20.5)
    rise_s = lead_s(now, DYNAMICS, TARGET_C - ARRIVAL_K, LEAD_S_MAX)
    assert rise_s is not None
    for pace in (0.5, 1.0, 2.0):
        assert steered(now, rise_s * pace - 1.0, pace=pace).rise_s == rise_s
        assert steered(now, rise_s * pace + 1.0, pace=pace).rise_s is None


def test_a_final_rise_that_is_ahead_pauses_until_full_output_is_due_except_in_its_last_minutes() -> None:
    now = at(20.7)
    rise_s = lead_s(now, DYNAMICS, TARGET_C - ARRIVAL_K, LEAD_S_MAX)
    assert rise_s is not None
    early_s, late_s = (max(PAUSE_S_MIN, 2.0 * rise_s) + off_s for off_s in (1.0, 600.0))
    for left_s in (early_s, late_s):
        assert steered(now, left_s, is_rising=True).duty == 0.0
    assert steered(now, rise_s - 1.0, is_rising=True).duty == 1.0
    assert 0.0 < steered(at(20.79), PAUSE_S_MIN, is_rising=True).duty < 1.0
    below = at(20.5)
    assert steered(below, 3 * HOUR_S, is_rising=True) == steered(below, 3 * HOUR_S)


def test_a_zone_that_cannot_arrive_gets_full_output_all_the_time() -> None:
    assert steered(at(17.0, duty=0.97), 6 * HOUR_S) == Steering(1.0, 1.0)


def test_after_it_was_due_the_setpoint_itself_counts() -> None:
    assert steered(at(20.5), -60.0).duty == 1.0
    assert steered(at(21.4), -60.0).duty == 0.0


def test_a_colder_zone_is_expected_to_take_more_output() -> None:
    cold, mild = (
        expected_on_s(at(value_c), DYNAMICS, target_c=TARGET_C, left_s=4 * HOUR_S) for value_c in (18.0, 20.0)
    )
    assert cold > mild > 0.5 * 4 * HOUR_S
