"""What is learned of a machine's posts, what is judged, and what is said of it."""

from types import MappingProxyType

import msgspec
import pytest

from agent.foundation.phrase import Phrase, parts
from agent.maintenance.assessment import Finding, FindingState
from agent.maintenance.indicators import SOLSTICE_MS
from agent.maintenance.machine_assessment import (
    AGE_MS_MAX,
    AHEAD_MS_MAX,
    DAY_BANDS_MAX,
    DAY_MS,
    READINGS_KEPT_MAX,
    READINGS_MIN,
    SPACING_MS,
    MachineRecord,
    find,
    observe_post,
)
from agent.maintenance.machine_drift import BANDS_MAX, BASELINE_DAYS, CUSUM_MAX, JUMP_DAYS, RECENT_DAYS, MachineModel
from agent.maintenance.machine_readings import (
    Channel,
    EnergyPost,
    MachineIndicator,
    PowerPost,
    VibrationPost,
    ZoneState,
    energy_band,
)
from tests.unit.maintenance.machines import energy_day, power_day, vibration_day

NEW = MachineRecord("living", "client")
SURE = MappingProxyType({each: MachineModel(-4.0, (1.0, 1.0, 1.0), 0.1) for each in MachineIndicator})
HEATS = ZoneState(1, 5.0)


def found(record: MachineRecord, day: int, indicator: MachineIndicator, *, has_models: bool = True) -> Finding:
    findings = find(record, SURE if has_models else {}, SOLSTICE_MS + day * DAY_MS)
    return next(each for each in findings if each.indicator is indicator)


def learned(days: int = BASELINE_DAYS, **options: float) -> MachineRecord:
    record = NEW
    for day in range(days + 1):
        record = energy_day(record, day, **options)  # type: ignore[arg-type]
    return record


def test_two_weeks_are_learned_and_a_week_compared_before_anything_is_said() -> None:
    record = learned(5)
    at = found(record, 6, MachineIndicator.CURRENT)
    assert (at.state, at.confidence) == (FindingState.UNKNOWN, None)
    assert at.evidence == "still learning: 5 of 14 days in the same operating state"
    at = found(learned(BASELINE_DAYS + 2), 17, MachineIndicator.CURRENT)
    assert at.evidence == "learned; 2 of 7 days to compare with it"
    at = found(learned(BASELINE_DAYS + RECENT_DAYS), 22, MachineIndicator.CURRENT)
    assert at.state is FindingState.USUAL
    assert at.evidence == "draws 4 A, the same as usual (4 A) in the same operating state"
    assert {each.indicator for each in find(record, SURE, 0)} == {
        MachineIndicator.CURRENT,
        MachineIndicator.LOW_CURRENT,
    }


def test_a_current_that_rises_slowly_is_needed_with_its_numbers() -> None:
    record = learned()
    for day in range(BASELINE_DAYS + 1, 60):
        record = energy_day(record, day, 4.0 * (1.0 + 0.008 * (day - BASELINE_DAYS)))
    at = found(record, 60, MachineIndicator.CURRENT)
    assert at.state is FindingState.NEEDED
    assert at.evidence == "draws 5.31 A, 33 % more than usual (4 A) in the same operating state"
    assert at.since_utc_ms is not None
    assert 15 <= (at.since_utc_ms - SOLSTICE_MS) / DAY_MS <= 25
    assert "capacitor" in at.advice.action
    (strict, *_) = find(record, SURE, SOLSTICE_MS + 60 * DAY_MS, threshold=1.1)
    assert (strict.indicator, strict.state) == (MachineIndicator.CURRENT, FindingState.LIKELY)
    assert found(record, 60, MachineIndicator.LOW_CURRENT).state is FindingState.USUAL


def test_a_current_that_falls_slowly_is_another_issue() -> None:
    record = learned()
    for day in range(BASELINE_DAYS + 1, 60):
        record = energy_day(record, day, 4.0 * (1.0 - 0.006 * (day - BASELINE_DAYS)))
    at = found(record, 60, MachineIndicator.LOW_CURRENT)
    assert at.state is FindingState.NEEDED
    assert "25 % less than usual" in at.evidence
    assert found(record, 60, MachineIndicator.CURRENT).state is FindingState.USUAL


def test_vibration_is_a_trend_with_a_velocity_and_never_names_a_part() -> None:
    record = NEW
    for day in range(60):
        record = vibration_day(record, day, 0.1 * (1.0 + 0.02 * max(0, day - 16)))
    at = found(record, 60, MachineIndicator.VIBRATION)
    assert at.state is FindingState.NEEDED
    assert at.evidence.startswith("vibrates with 0.178 g, 78 % more than usual (0.1 g)")
    assert at.evidence.endswith("; 3.9 mm/s RMS at 50 Hz")
    texts = f"{at.advice.issue} {at.advice.action} {at.evidence}".lower()
    assert not any(part in texts for part in ("bearing", "race", "ball", "zone", "iso"))
    without = NEW
    for day in range(25):
        without = vibration_day(without, day, 0.1, 0.0)
    assert "mm/s" not in found(without, 25, MachineIndicator.VIBRATION).evidence


def test_inrush_is_watched_where_it_is_sent() -> None:
    record = learned(BASELINE_DAYS, inrush_a=20.0)
    for day in range(BASELINE_DAYS + 1, BASELINE_DAYS + 30):
        record = energy_day(record, day, inrush_a=20.0 + 0.5 * (day - BASELINE_DAYS))
    at = found(record, BASELINE_DAYS + 30, MachineIndicator.INRUSH)
    assert at.state is FindingState.NEEDED
    assert at.evidence.startswith("draws at a start 32.5 A, 62 % more than usual (20 A)")


def test_without_a_calibration_it_is_unknown_whatever_it_measured() -> None:
    record = learned()
    for day in range(BASELINE_DAYS + 1, 60):
        record = energy_day(record, day, 4.0 * (1.0 + 0.01 * (day - BASELINE_DAYS)))
    at = found(record, 60, MachineIndicator.CURRENT, has_models=False)
    assert (at.state, at.confidence) == (FindingState.UNKNOWN, None)
    assert at.evidence.endswith("; not calibrated: its confidence is unknown")


def test_another_sensor_is_learned_anew_and_says_so() -> None:
    """A value that jumps and stays is no wear: moved sensor, other meter, new machine."""
    record = learned(BASELINE_DAYS + RECENT_DAYS)
    last = BASELINE_DAYS + RECENT_DAYS
    for day in range(last + 1, last + JUMP_DAYS + 2):
        record = energy_day(record, day, 6.0)
        assert found(record, day, MachineIndicator.CURRENT).state is not FindingState.NEEDED
    at = found(record, last + 5, MachineIndicator.CURRENT)
    assert at.state is FindingState.UNKNOWN
    assert at.evidence == (
        "50 % more from one day to the next: another sensor, place or machine, or a repair, is learned anew;"
        " still learning: 0 of 14 days in the same operating state"
    )
    for day in range(last + 5, last + 5 + BASELINE_DAYS + RECENT_DAYS + 1):
        record = energy_day(record, day, 6.0)
    at = found(record, last + 30, MachineIndicator.CURRENT)
    assert (at.state, record.drift(MachineIndicator.CURRENT).jump) == (FindingState.USUAL, None)


def test_a_lasting_fall_from_one_day_to_the_next_is_learned_anew_too() -> None:
    record = learned(BASELINE_DAYS + RECENT_DAYS)
    for day in range(30, 30 + JUMP_DAYS + 1):
        record = energy_day(record, day, 2.0)
    for indicator in (MachineIndicator.CURRENT, MachineIndicator.LOW_CURRENT):
        assert found(record, 35, indicator).evidence.startswith("50 % less from one day to the next")


def test_changed_mains_and_a_heat_wave_are_other_states_and_no_fault() -> None:
    record = learned(BASELINE_DAYS + RECENT_DAYS)
    for day in range(30, 40):
        record = energy_day(record, day, 5.0, voltage_v=250.0)
    for day in range(40, 50):
        record = energy_day(record, day, 5.0, state=ZoneState(1, 36.0))
    at = found(record, 50, MachineIndicator.CURRENT)
    assert at.state is FindingState.USUAL
    assert "the same as usual" in at.evidence


def test_of_several_states_a_day_is_judged_once() -> None:
    record = NEW
    for day in range(BASELINE_DAYS + 11):
        late = 1.09 if day > BASELINE_DAYS else 1.0
        record = energy_day(record, day, 4.0 * late, posts=12)
        for number in range(READINGS_MIN):
            at = SOLSTICE_MS + day * DAY_MS + 12 * 3_600_000 + number * 600_000
            record = observe_post(record, EnergyPost(at, 1, 230.0, 4.0 * late), HEATS, at)
    drift = record.drift(MachineIndicator.CURRENT).drift
    assert len(drift.baselines) == 2
    assert all(each.is_known for each in drift.baselines)
    # Ten days, of which the last is not over, each worth at most three standard deviations less the slack.
    assert 15.0 < drift.cusum <= 10 * 2.25


def test_repeated_old_and_future_posts_change_nothing() -> None:
    now = SOLSTICE_MS
    record = observe_post(NEW, EnergyPost(now, 5, 230.0, 4.0), HEATS, now)
    for at in (now, now - 1, now + SPACING_MS - 1, now - AGE_MS_MAX - 1, now + AHEAD_MS_MAX + 1):
        assert observe_post(record, EnergyPost(at, 5, 230.0, 4.0), HEATS, now) is record
    # Another kind of post has a time of its own.
    assert observe_post(record, VibrationPost(now, 0.1, 50.0), HEATS, now) is not record
    # A clock that is set back by a month does not end the watch.
    earlier = now - 30 * DAY_MS
    again = observe_post(record, EnergyPost(earlier, 5, 230.0, 4.0), HEATS, earlier)
    assert (again.energy_utc_ms, again.day[0].seen) == (earlier, 1)


def test_thousands_of_posts_in_a_day_are_two_a_minute_of_which_a_few_are_kept() -> None:
    record = NEW
    for number in range(4000):
        at = SOLSTICE_MS + number * 1000
        record = observe_post(record, EnergyPost(at, 5, 230.0, 4.0), HEATS, at)
    (band,) = record.day
    assert band.seen == 4000 * 1000 // SPACING_MS + 1
    assert READINGS_KEPT_MAX // 2 <= len(band.values) <= READINGS_KEPT_MAX


def test_the_readings_that_are_kept_are_spread_over_the_day() -> None:
    record = NEW
    for number in range(1000):
        at = SOLSTICE_MS + number * 60_000
        record = observe_post(record, EnergyPost(at, 5, 230.0, 2.0 if number < 500 else 8.0), HEATS, at)
    (band,) = record.day
    early = sum(value < 1.0 for value in band.values)
    assert abs(early - len(band.values) / 2) <= 1


def test_the_states_of_a_day_and_those_that_are_learned_are_bounded() -> None:
    record = NEW
    for day in range(40):
        for number in range(200):
            at = SOLSTICE_MS + day * DAY_MS + number * 60_000
            volts = 60.0 * 1.07 ** ((day * 7 + number // READINGS_MIN) % 30)
            record = observe_post(record, EnergyPost(at, 5, volts, 4.0, 20.0), HEATS, at)
        assert len(record.day) <= 2 * DAY_BANDS_MAX
        for each in record.drifts:
            assert len(each.drift.baselines) <= BANDS_MAX
            assert each.drift.cusum <= CUSUM_MAX


def test_a_day_without_enough_readings_and_a_clock_set_back_teach_nothing() -> None:
    record = energy_day(NEW, 0, posts=READINGS_MIN - 1)
    assert energy_day(record, 1).drifts == ()
    record = energy_day(NEW, 10)
    assert energy_day(record, 5).drifts == ()


def test_a_machine_that_is_silent_is_unknown() -> None:
    record = learned(BASELINE_DAYS + RECENT_DAYS)
    at = found(record, 60, MachineIndicator.CURRENT)
    assert (at.state, at.confidence) == (FindingState.UNKNOWN, None)
    assert at.evidence.startswith("no comparable day for 30 days")
    (without, *_) = find(record, SURE, None)
    assert without.evidence == "the time of day is not known"


def test_a_plugs_power_is_compared_with_its_own_past_at_the_same_temperature_outside() -> None:
    def by_power(days: int, percent_a_day: float) -> dict[str, Finding]:
        record = NEW
        for day in range(days):
            # A heat pump draws more in the cold; a day of each temperature by turns.
            usual_w, outdoor_c = (1200.0, -4.0) if day % 2 else (1000.0, 4.0)
            worse = 1.0 + percent_a_day / 100.0 * max(0, day - 2 * BASELINE_DAYS)
            record = power_day(record, day, usual_w * worse, outdoor_c)
        return {each.indicator: each for each in find(record, SURE, SOLSTICE_MS + days * DAY_MS)}

    end = 2 * BASELINE_DAYS + 6 * RECENT_DAYS
    assert {each.state for each in by_power(end, 0.0).values()} == {FindingState.USUAL}
    assert "the same as usual" in by_power(end, 0.0)[MachineIndicator.POWER].evidence
    more, less = by_power(end, 0.7), by_power(end, -0.7)
    assert more[MachineIndicator.POWER].state is FindingState.NEEDED
    assert more[MachineIndicator.LOW_POWER].state is FindingState.USUAL
    assert less[MachineIndicator.POWER].state is FindingState.USUAL
    low = less[MachineIndicator.LOW_POWER]
    assert (low.state, set(less)) == (FindingState.NEEDED, {MachineIndicator.POWER, MachineIndicator.LOW_POWER})
    assert low.evidence == "draws 762 W, 24 % less than usual (1000 W) in the same operating state"


def test_a_value_of_a_plug_counts_once_and_a_socket_without_a_machine_tells_nothing() -> None:
    at = SOLSTICE_MS
    record = observe_post(NEW, PowerPost(at, 60.0), HEATS, at)
    assert observe_post(record, PowerPost(at, 60.0), HEATS, at + 60_000) is record
    assert observe_post(record, PowerPost(at + SPACING_MS - 1, 60.0), HEATS, at + SPACING_MS) is record
    again = observe_post(record, PowerPost(at + SPACING_MS, 60.0), HEATS, at + SPACING_MS)
    assert (again.last_utc_ms, again.day[0].seen) == (at + SPACING_MS, 2)
    for watts in (0.0, 1.9, 25_001.0, float("nan"), float("inf")):
        assert observe_post(NEW, PowerPost(at, watts), HEATS, at) is NEW


@pytest.mark.parametrize("indicator", list(MachineIndicator))
def test_each_indicator_has_words(indicator: MachineIndicator) -> None:
    advice = Finding(indicator, FindingState.NEEDED, 0.9, "").advice
    assert advice.issue.startswith("a machine")
    assert msgspec.json.encode(advice)


def test_a_new_state_is_learned_also_where_all_places_are_taken() -> None:
    record = NEW
    for state in range(BANDS_MAX + 1):
        for day in range(BASELINE_DAYS):
            record = energy_day(record, state * BASELINE_DAYS + day, voltage_v=100.0 * 1.065**state)
    record = energy_day(record, 1000)
    drift = record.drift(MachineIndicator.CURRENT).drift
    assert len(drift.baselines) == BANDS_MAX
    newest = energy_band(5, 100.0 * 1.065**BANDS_MAX, HEATS)
    assert [each.is_known for each in drift.baselines if each.band == newest] == [True]


def test_a_clock_that_steps_back_a_little_goes_on_with_the_day() -> None:
    record = observe_post(NEW, EnergyPost(SOLSTICE_MS, 5, 230.0, 4.0), HEATS, SOLSTICE_MS)
    record = observe_post(record, VibrationPost(SOLSTICE_MS - 60_000, 0.1, 50.0), HEATS, SOLSTICE_MS - 60_000)
    assert {each.channel for each in record.day} == {Channel.CURRENT, Channel.AMPLITUDE}


def untranslatable(text: str) -> set[str]:
    """Return the parts of a text that cannot be translated. Numbers and names of clients need no translation."""
    assert isinstance(text, Phrase)
    inside = {value for value in text.values.values() if " " in value}
    return {value for value in inside if not isinstance(value, Phrase)}


def test_the_evidence_remembers_how_it_was_made_for_translations() -> None:
    end = BASELINE_DAYS + RECENT_DAYS
    learning, learned_record = learned(5), learned(end)
    jumped = learned_record
    for day in range(30, 30 + JUMP_DAYS + 1):
        jumped = energy_day(jumped, day, 2.0)
    shaken = NEW
    for day in range(end + 1):
        shaken = vibration_day(shaken, day, 0.1)
    texts = [
        found(learning, 5, MachineIndicator.CURRENT).evidence,
        found(learned_record, end, MachineIndicator.CURRENT).evidence,
        found(jumped, 35, MachineIndicator.CURRENT).evidence,
        found(shaken, end, MachineIndicator.VIBRATION).evidence,
        find(learned_record, {}, SOLSTICE_MS + end * DAY_MS)[0].evidence,
    ]
    assert [untranslatable(each) for each in texts] == [set()] * len(texts)
    known = parts(texts)
    assert known["draws 4 A, the same as usual (4 A) in the same operating state"].parameters == {
        "now": "draws 4 A",
        "then": "4",
        "unit": "A",
    }
    assert known["draws 4 A"].key == "draws {value} A"
    assert any(each.key.endswith("; {velocity} mm/s RMS at {frequency} Hz") for each in known.values())
