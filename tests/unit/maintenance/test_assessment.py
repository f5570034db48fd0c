"""What people get: unknown where it is unknown, and numbers in words where it is not."""

import msgspec
import pytest

from agent.maintenance.assessment import FRESH_MS, FindingState, ZoneRecord, are_others, complete_day, find, observe
from agent.maintenance.confidence import CalibratedModel
from agent.maintenance.drift import BASELINE_DAYS, RECENT_DAYS, Drift
from agent.maintenance.indicators import SOLSTICE_MS, Day, Indicator, Sample
from agent.maintenance.signature import FREE_K

DAY_MS = 86_400_000
MODEL = CalibratedModel(-4.0, (1.0, 0.3, 4.0, 1.0), 0.1)
SURE, UNSURE = MODEL, CalibratedModel(-99.0, (1.0, 0.3, 4.0, 1.0), 0.1)


def live(
    days: int,
    *,
    output: float = 0.45,
    run_s: float = 600.0,
    outdoor: bool = True,
    record: ZoneRecord | None = None,
    first_day: int = 0,
) -> ZoneRecord:
    record = record or ZoneRecord()
    for number in range(first_day, first_day + days):
        at_ms = SOLSTICE_MS + number * DAY_MS
        wave = 1.0 + 0.02 * (number % 3 - 1)
        day = Day(at_ms, output * wave, 18.0 if outdoor else None, 20, run_s * wave, 0.0)
        record = complete_day(record, day)
    return record


LEARNED = live(BASELINE_DAYS)
NOW_MS = SOLSTICE_MS + 40 * DAY_MS
ILL = live(20, output=0.585, run_s=250.0, record=live(BASELINE_DAYS), first_day=BASELINE_DAYS)


@pytest.mark.parametrize(
    ("record", "utc_ms", "reason"),
    [
        (ZoneRecord(), NOW_MS, f"still learning: 0 of {BASELINE_DAYS} days of heating"),
        (live(9), NOW_MS, f"still learning: 9 of {BASELINE_DAYS} days of heating"),
        (LEARNED, NOW_MS, f"learned; 0 of {RECENT_DAYS} days to compare with it"),
        (ILL, None, "the time of day is not known"),
        (ILL, NOW_MS + FRESH_MS, "no comparable day for 30 days"),
    ],
)
def test_unknown_is_an_answer_with_a_reason_and_never_a_fault(
    record: ZoneRecord, utc_ms: int | None, reason: str
) -> None:
    for indicator in Indicator:
        found = find(record, indicator, SURE, utc_ms)
        assert (found.state, found.confidence, found.is_fault) == (FindingState.UNKNOWN, None, False)
        assert reason in found.evidence


def test_without_the_temperature_outside_only_the_length_of_runs_is_known() -> None:
    record = live(BASELINE_DAYS + RECENT_DAYS, outdoor=False)
    assert "set climate.outdoor_sensor" in find(record, Indicator.WARMTH, SURE, NOW_MS).evidence
    assert find(record, Indicator.RUN_TIME, SURE, NOW_MS).state is FindingState.USUAL


def test_a_loss_of_heat_is_said_in_numbers_with_its_beginning_and_what_to_do() -> None:
    found = find(ILL, Indicator.WARMTH, SURE, NOW_MS)
    assert found.state is FindingState.NEEDED
    assert found.evidence == (
        "needs 22 % more run time than usual for the same warmth: full output warms the room by 25.8 K, usually by"
        " 31.4 K"
    )
    assert found.since_utc_ms is not None
    assert BASELINE_DAYS <= (found.since_utc_ms - SOLSTICE_MS) / DAY_MS <= BASELINE_DAYS + 7
    assert "check filter" in found.advice.action
    cycling = find(ILL, Indicator.RUN_TIME, SURE, NOW_MS)
    assert cycling.evidence.startswith("runs for 4.4 minutes a start, usually 7.3 at the same load")


def test_the_model_decides_how_sure_it_is_and_without_one_it_is_unknown() -> None:
    assert find(ILL, Indicator.WARMTH, UNSURE, NOW_MS).state is FindingState.USUAL
    without = find(ILL, Indicator.WARMTH, None, NOW_MS)
    assert (without.state, without.confidence, without.is_fault) == (FindingState.UNKNOWN, None, False)
    assert "22 % more run time" in without.evidence


def test_maintenance_is_needed_from_the_configured_confidence_on() -> None:
    confidence = find(ILL, Indicator.WARMTH, SURE, NOW_MS).confidence
    assert confidence is not None
    at = find(ILL, Indicator.WARMTH, SURE, NOW_MS, threshold=confidence)
    below = find(ILL, Indicator.WARMTH, SURE, NOW_MS, threshold=confidence + 0.001)
    assert (at.state, below.state) == (FindingState.NEEDED, FindingState.LIKELY)


def test_a_rarer_fault_is_less_likely_on_the_same_evidence() -> None:
    often, rare = MODEL.probability(ILL.warmth), MODEL.with_base_rate(0.1).probability(ILL.warmth)
    assert rare / (1 - rare) == pytest.approx(0.1 * often / (1 - often))
    assert MODEL.with_base_rate(0.1).base_rate == pytest.approx(0.1 * MODEL.base_rate)


def test_a_finding_is_as_sure_as_the_least_sure_of_three_days() -> None:
    signs = ILL.warmth.signs
    assert len(signs) == 3
    alone = [MODEL.probability(msgspec.structs.replace(ILL.warmth, signs=(sign,))) for sign in signs]
    assert MODEL.probability(ILL.warmth) == min(alone) < max(alone)
    assert len(ILL.run_time.signs) == 3
    assert MODEL.probability(Drift()) == 0.0


def test_other_sensors_begin_anew_and_one_whose_address_is_not_known_yet_does_not() -> None:
    sample = Sample(20.0, 5.0, 0.5, 60.0)
    record = msgspec.structs.replace(ILL, sensors=(("hall", "0x1"), ("own", "")))
    same = observe(record, {"own": "", "hall": ""}, sample, NOW_MS)
    assert same.warmth == ILL.warmth
    assert same.sensors == (("hall", "0x1"), ("own", ""))
    for others in ({"own": "", "hall": "0x2"}, {"own": ""}, {"own": "", "attic": "0x1"}):
        began = observe(record, others, sample, NOW_MS)
        assert began.warmth.days == 0
        assert began.day.measured_s == 60.0
    assert not are_others({}, {})


def test_a_whole_day_of_samples_becomes_one_day_of_the_baseline() -> None:
    record = ZoneRecord()
    for minute in range(1441):
        on = minute % 30 < 10
        record = observe(record, {"own": ""}, Sample(20.0, 5.0, float(on), 60.0), SOLSTICE_MS + minute * 60_000)
    assert record.warmth.days == record.run_time.days == 1
    assert record.warmth.usual == pytest.approx((15.0 - FREE_K) * 3.0, rel=0.02)
    assert record.run_time.usual == pytest.approx(10.0, rel=0.03)
