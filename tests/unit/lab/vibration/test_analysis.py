"""What is reported of a bearing, on simulated motors; and what is not. More of them: tests/bench/bench_vibration.py."""

import math

import numpy as np
import pytest

from lab.vibration.analysis import bandwidth_hz, judge, level, velocity_rms_mm_s, zone
from lab.vibration.bearings import KNOWN, Part
from lab.vibration.envelope import contradicting_speed_hz, envelope_bands
from lab.vibration.motor import Motor, motor
from lab.vibration.recording import Recording

SEED = 7


def recording_of(samples: np.ndarray, rate_hz: float) -> Recording:
    return Recording(samples, rate_hz, "1", ("1",), None)


def part_of(made: Motor) -> Part | None:
    return judge(recording_of(made.samples, made.rate_hz), made.shaft_hz, made.bearing)[0].part


@pytest.mark.parametrize("part", list(Part))
def test_the_defective_part_is_named(part: Part) -> None:
    made = motor(SEED, part)
    verdict, bands = judge(recording_of(made.samples, made.rate_hz), made.shaft_hz, made.bearing)
    assert verdict.part is part
    assert not verdict.reasons
    assert len(bands) == 15
    best = verdict.evidence[0]
    assert best.expected_hz == pytest.approx(made.bearing.order(part) * made.shaft_hz)
    assert best.found_hz == pytest.approx(best.expected_hz, rel=0.02)


@pytest.mark.parametrize("seed", [SEED, 1031, 1030])
def test_nothing_is_named_on_a_healthy_machine(seed: int) -> None:
    # 1031 has a mains line at 1.02 times BPFO; 1030 a line at a multiple of the element's frequency.
    made = motor(seed, None)
    verdict, _ = judge(recording_of(made.samples, made.rate_hz), made.shaft_hz, made.bearing)
    assert verdict.part is None
    assert "does not prove the bearing healthy" in verdict.reasons[0]


@pytest.mark.parametrize("part", list(Part))
def test_no_part_is_named_below_10_khz(part: Part) -> None:
    made = motor(SEED, part, rate_hz=3_200)
    verdict, _ = judge(recording_of(made.samples, made.rate_hz), made.shaft_hz, made.bearing)
    assert verdict.part is None
    assert "sampled at 3,200 Hz, and naming a part needs 10,000 Hz" in verdict.reasons[0]
    assert len(verdict.evidence) == 3


def test_nor_from_a_slow_recording_that_was_resampled() -> None:
    slow = motor(SEED, Part.OUTER_RACE, rate_hz=3_200)
    spectrum = np.fft.rfft(slow.samples)
    resampled = np.fft.irfft(spectrum, len(slow.samples) * 12_000 // 3_200)
    verdict, _ = judge(recording_of(resampled, 12_000), slow.shaft_hz, slow.bearing)
    assert verdict.part is None
    assert "it holds nothing above 1,6" in verdict.reasons[0]


def test_speed_and_geometry_have_to_be_known() -> None:
    made = motor(SEED, Part.OUTER_RACE)
    verdict, bands = judge(recording_of(made.samples, made.rate_hz), None, None)
    assert (verdict.part, verdict.evidence, bands) == (None, (), [])
    assert [reason.split(":")[0] for reason in verdict.reasons] == [
        "the speed of the shaft is not known",
        "the bearing is not known",
    ]


@pytest.mark.parametrize("seed", [3004, 3017])
def test_a_speed_that_the_vibration_contradicts_is_reported(seed: int) -> None:
    # With a speed 3 % too low, three times the true one passes for BPFO of these bearings.
    made = motor(seed, None)
    verdict, _ = judge(recording_of(made.samples, made.rate_hz), made.shaft_hz * 0.97, made.bearing)
    assert verdict.part is None
    assert "not of the given" in verdict.reasons[0]
    assert "measure the speed" in verdict.reasons[0]
    found_hz = contradicting_speed_hz(made.samples, made.rate_hz, made.shaft_hz * 0.97)
    assert found_hz == pytest.approx(made.shaft_hz, rel=0.006)


@pytest.mark.parametrize("factor", [0.995, 1.0, 1.005])
def test_a_speed_that_is_right_within_half_a_percent_is_not_contradicted(factor: float) -> None:
    made = motor(SEED, Part.OUTER_RACE)
    assert contradicting_speed_hz(made.samples, made.rate_hz, made.shaft_hz * factor) is None


def test_vibration_without_lines_contradicts_no_speed() -> None:
    assert contradicting_speed_hz(np.random.default_rng(1).standard_normal(96_000), 12_000, 30.0) is None


def test_a_recording_of_a_few_turns_is_too_short() -> None:
    made = motor(SEED, Part.OUTER_RACE)
    few = made.samples[: int(24 * made.rate_hz / made.shaft_hz)]
    verdict, _ = judge(recording_of(few, made.rate_hz), made.shaft_hz, made.bearing)
    assert verdict.part is None
    assert "24 turns of the shaft, and 25 are needed" in verdict.reasons[0]


def test_defect_frequencies_beyond_the_sampling_are_refused() -> None:
    made = motor(SEED, Part.OUTER_RACE)
    verdict, _ = judge(recording_of(made.samples, made.rate_hz), 1_000.0, made.bearing)
    assert "check --sampling-rate and the speed" in verdict.reasons[0]


def test_clipping_is_noted() -> None:
    made = motor(SEED, Part.OUTER_RACE)
    top = float(np.quantile(np.abs(made.samples), 0.99))
    verdict, _ = judge(recording_of(np.clip(made.samples, -top, top), made.rate_hz), made.shaft_hz, made.bearing)
    assert "at the end of the range" in verdict.notes[0]
    assert not judge(recording_of(made.samples, made.rate_hz), None, None)[0].notes


def test_velocity_of_a_tone_is_its_acceleration_over_its_frequency() -> None:
    time_s = np.arange(24_000) / 12_000
    for hz, expected in ((50.0, 2.207), (500.0, 0.2207)):
        tone = 0.1 * np.sin(2 * np.pi * hz * time_s)
        assert level(tone, 12_000, "g").velocity_mm_s == pytest.approx(expected, rel=0.002)
        assert level(tone * 9.80665, 12_000, "m/s2").velocity_mm_s == pytest.approx(expected, rel=0.002)


def test_velocity_leaves_out_what_is_slower_or_faster() -> None:
    time_s = np.arange(24_000) / 12_000
    for hz in (5.0, 1_500.0):
        assert velocity_rms_mm_s(9806.65 * np.sin(2 * np.pi * hz * time_s), 12_000) < 0.05


def test_velocity_is_not_worked_out_where_it_would_be_wrong() -> None:
    tone = np.sin(np.arange(24_000) / 5)
    assert "--unit" in level(tone, 12_000, None).velocity_reason
    assert "2,560 Hz" in level(tone, 2_000, "g").velocity_reason
    assert "1 s and more" in level(tone[:6_000], 12_000, "g").velocity_reason
    assert {level(tone, rate, unit).velocity_mm_s for rate, unit in ((12_000, None), (2_000, "g"))} == {None}


def test_levels_are_those_of_a_sine() -> None:
    found = level(3 * np.sin(np.arange(100_000) / 5) + 1, 12_000, None)
    assert found.rms == pytest.approx(3 / math.sqrt(2), rel=1e-3)
    assert found.crest_factor == pytest.approx(math.sqrt(2), rel=1e-3)
    assert found.kurtosis == pytest.approx(1.5, rel=1e-3)


def test_zones_begin_above_their_borders() -> None:
    assert [zone(value) for value in (0.71, 0.72, 1.8, 1.81)] == ["A", "B", "B", "C or D"]


def test_the_bandwidth_is_that_of_the_content() -> None:
    noise = np.random.default_rng(1).standard_normal(96_000)
    spectrum = np.fft.rfft(noise)
    hz = np.fft.rfftfreq(96_000, 1 / 12_000)
    assert bandwidth_hz(noise, 12_000) == pytest.approx(6_000, abs=10)
    assert bandwidth_hz(np.fft.irfft(np.where(hz < 2_000, spectrum, 0)), 12_000) == pytest.approx(2_000, abs=40)


def test_the_model_strikes_at_the_defect_frequency() -> None:
    # The truth of the model, by the plain spectrum of its envelope: without the code that is tested.
    made = motor(SEED, Part.INNER_RACE)
    envelope = np.abs(made.samples) - np.abs(made.samples).mean()
    power = np.abs(np.fft.rfft(envelope)) ** 2
    hz = np.fft.rfftfreq(len(envelope), 1 / made.rate_hz)
    expected = made.bearing.order(Part.INNER_RACE) * made.shaft_hz
    near = (hz > expected * 0.98) & (hz < expected * 1.02)
    around = (hz > expected * 0.8) & (hz < expected * 1.2)
    assert power[near].max() > 20 * np.median(power[around])


def test_the_model_is_the_same_for_the_same_seed() -> None:
    assert np.array_equal(motor(SEED, None).samples, motor(SEED, None).samples)
    assert not np.array_equal(motor(SEED, None).samples[:100], motor(SEED + 1, None).samples[:100])
    assert motor(SEED, None).bearing in KNOWN.values()


def test_lines_of_the_shaft_take_no_part() -> None:
    made = motor(SEED, Part.INNER_RACE)
    for band in envelope_bands(made.samples, made.rate_hz, made.shaft_hz):
        at_whole_orders = np.interp(np.arange(1, 21), band.orders, band.excess_db)
        assert not at_whole_orders.any()
        assert band.excess_db.any()
