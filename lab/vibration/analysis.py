"""Judges a recording of a machine: how strong the vibration is, and which part of the bearing is damaged.

A pure file. It names a part only above thresholds that were chosen on simulated motors (`lab.vibration.motor`, seeds
from 1,000) and are judged on others (tests/bench/bench_vibration.py, seeds from 50,000). Otherwise it says that it
cannot tell. It never says that a machine is healthy.
"""

import msgspec
import numpy as np

from lab.vibration.bearings import Bearing, Part
from lab.vibration.envelope import Band, Floats, Score, contradicting_speed_hz, envelope_bands, scores
from lab.vibration.recording import Recording

RATE_MIN_HZ = 10_000.0
"""Below it no part is named: the blows of a defect ring at some kilohertz, which a lower rate does not hold."""
CONTENT_MIN_HZ = 4_000.0
"""A recording that was only resampled to a high rate holds nothing up here."""
CONTENT_REFERENCE_HZ = 1_250.0
CONTENT_FLOOR = 1e-6
"""Power density over the median up to `CONTENT_REFERENCE_HZ`, below which a frequency holds nothing."""
TURNS_MIN = 25
"""Of the shaft, in a recording: fewer cannot separate a defect's lines from the shaft's."""
ABOVE_OTHERS_MIN_DB = 1.75
MARGIN_MIN_DB = 0.5
HARMONICS_MIN = 2
CLIPPED_MAX = 0.001
"""Share of samples at the very end of the range from which on a recording counts as clipped."""

G_MM_S2 = 9806.65
VELOCITY_LOW_HZ, VELOCITY_HIGH_HZ = 10.0, 1_000.0
VELOCITY_RATE_MIN_HZ = 2_560.0
VELOCITY_DURATION_MIN_S = 1.0
UNITS_MM_S2 = {"g": G_MM_S2, "m/s2": 1_000.0}
ZONE_A_MAX_MM_S, ZONE_B_MAX_MM_S = 0.71, 1.8
"""ISO 10816-1:1995, annex B (informative), class I: parts of machines, motors up to 15 kW."""


class Evidence(msgspec.Struct, frozen=True):
    """What speaks for a defect of one part, in the band where it stands out most.

    Attributes:
        part: The part.
        expected_hz: Its defect frequency by geometry and speed (BPFO, BPFI, twice BSF).
        found_hz: The frequency near it that stands out most.
        excess_db: Mean power of its harmonics and sidebands over the local median.
        above_others_db: That, less what nine of ten other frequencies of the same spectrum do not reach.
        harmonics: How many of its harmonics are visible.
        band: Index of the band.
        low_hz: Lower edge of the band.
        high_hz: Its upper edge.
    """

    part: Part
    expected_hz: float
    found_hz: float
    excess_db: float
    above_others_db: float
    harmonics: int
    band: int
    low_hz: float
    high_hz: float


class Level(msgspec.Struct, frozen=True):
    """How strong the vibration is.

    Attributes:
        rms: In the unit of the recording, without its mean.
        peak: Likewise.
        crest_factor: Peak over RMS.
        kurtosis: 3 for noise without blows.
        velocity_mm_s: RMS of the velocity from 10 to 1,000 Hz; `None` where it cannot be worked out.
        velocity_reason: Why not; empty otherwise.
    """

    rms: float
    peak: float
    crest_factor: float
    kurtosis: float
    velocity_mm_s: float | None
    velocity_reason: str


class Verdict(msgspec.Struct, frozen=True):
    """What can be told of the bearing.

    Attributes:
        part: The part with a defect; `None`: it cannot be told.
        reasons: Why it cannot be told; empty for a part that is named.
        evidence: For each part, the strongest first; empty where speed or geometry is unknown or the recording unfit.
        notes: What weakens the answer.
    """

    part: Part | None
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    notes: tuple[str, ...]


def judge(recording: Recording, shaft_hz: float | None, bearing: Bearing | None) -> tuple[Verdict, list[Band]]:
    """Return what can be told of the bearing, and the envelope spectra behind it (empty where none were made).

    Args:
        recording: The recording.
        shaft_hz: Speed of the shaft; `None`: unknown.
        bearing: Its geometry; `None`: unknown.
    """
    samples, rate_hz = recording.samples, recording.rate_hz
    notes = _notes(samples)
    reasons = []
    if shaft_hz is None:
        reasons.append("the speed of the shaft is not known: add --rpm or --shaft-hz")
    if bearing is None:
        reasons.append("the bearing is not known: add --bearing, by its type or its geometry")
    if shaft_hz is None or bearing is None:
        return Verdict(None, (*reasons, *_grade(samples, rate_hz)), (), notes), []
    turns = len(samples) / rate_hz * shaft_hz
    if turns < TURNS_MIN or rate_hz < 4 * bearing.order(Part.INNER_RACE) * shaft_hz:
        reason = (
            f"the recording has {turns:.0f} turns of the shaft, and {TURNS_MIN} are needed: record longer"
            if turns < TURNS_MIN
            else "the sampling rate is below four times the defect frequencies: check --sampling-rate and the speed"
        )
        return Verdict(None, (reason, *_grade(samples, rate_hz)), (), notes), []
    bands = envelope_bands(samples, rate_hz, shaft_hz)
    evidence = strongest(list(scores(bands, bearing)), bands, bearing, shaft_hz)
    reasons = _grade(samples, rate_hz) or _wrong_speed(samples, rate_hz, shaft_hz) or _shortfalls(evidence)
    return Verdict(None if reasons else evidence[0].part, tuple(reasons), evidence, notes), bands


def strongest(found: list[Score], bands: list[Band], bearing: Bearing, shaft_hz: float) -> tuple[Evidence, ...]:
    """Return for each part what its best band says, the strongest first."""
    best = [
        max((score for score in found if score.part is part), key=lambda score: score.above_others_db) for part in Part
    ]
    return tuple(
        Evidence(
            score.part,
            bearing.order(score.part) * shaft_hz,
            score.order * shaft_hz,
            score.excess_db,
            score.above_others_db,
            score.harmonics,
            score.band,
            bands[score.band].low_hz,
            bands[score.band].high_hz,
        )
        for score in sorted(best, key=lambda score: -score.above_others_db)
    )


def _grade(samples: Floats, rate_hz: float) -> list[str]:
    """Return why recordings of this kind are unfit to name a part; empty for one that is fit."""
    if rate_hz < RATE_MIN_HZ:
        reason = (
            f"it was sampled at {rate_hz:,.0f} Hz, and naming a part needs {RATE_MIN_HZ:,.0f} Hz and more: compare the"
            " RMS with earlier recordings of the same machine at the same speed"
        )
        return [reason]
    content_hz = bandwidth_hz(samples, rate_hz)
    if content_hz < CONTENT_MIN_HZ:
        reason = (
            f"it holds nothing above {content_hz:,.0f} Hz, whatever its sampling rate: the accelerometer or a filter"
            " ends there, or a slower recording was resampled"
        )
        return [reason]
    return []


def _wrong_speed(samples: Floats, rate_hz: float, shaft_hz: float) -> list[str]:
    found_hz = contradicting_speed_hz(samples, rate_hz, shaft_hz)
    if found_hz is None:
        return []
    reason = (
        f"the vibration has its lines at multiples of {found_hz:.2f} Hz ({found_hz * 60:,.0f} rpm), not of the given"
        f" {shaft_hz:.2f} Hz: measure the speed, and analyse again"
    )
    return [reason]


def _shortfalls(evidence: tuple[Evidence, ...]) -> list[str]:
    best, second = evidence[0], evidence[1]
    if best.above_others_db < ABOVE_OTHERS_MIN_DB:
        reason = (
            f"no defect frequency stands out enough: the {best.part}'s lies {best.above_others_db:+.1f} dB above other"
            f" frequencies, and {ABOVE_OTHERS_MIN_DB:g} dB are needed. That does not prove the bearing healthy"
        )
        return [reason]
    if best.harmonics < HARMONICS_MIN:
        return [f"the {best.part}'s frequency stands alone, without its multiples: something else may make it"]
    if best.above_others_db - second.above_others_db < MARGIN_MIN_DB:
        return [f"{best.part} and {second.part} stand out alike: the bearing looks damaged, which part is open"]
    return []


def _notes(samples: Floats) -> tuple[str, ...]:
    share = float(np.mean((samples == samples.max()) | (samples == samples.min())))
    if share > CLIPPED_MAX:
        return (f"{share:.1%} of the samples lie at the end of the range: record with a wider one",)
    return ()


def bandwidth_hz(samples: Floats, rate_hz: float) -> float:
    """Return the frequency above which a recording holds nothing but rounding."""
    length = min(2048, len(samples))
    pieces = samples[: len(samples) // length * length].reshape(-1, length)
    power = (np.abs(np.fft.rfft((pieces - samples.mean()) * np.hanning(length), axis=1)) ** 2).mean(axis=0)
    hz = np.fft.rfftfreq(length, 1 / rate_hz)
    reference = float(np.median(power[(hz > 0) & (hz <= CONTENT_REFERENCE_HZ)]))
    return float(hz[np.flatnonzero(power >= CONTENT_FLOOR * reference)[-1]])


def level(samples: Floats, rate_hz: float, unit: str | None) -> Level:
    """Return how strong the vibration is.

    Args:
        samples: Shape (n,).
        rate_hz: Sampling rate.
        unit: One of `UNITS_MM_S2`; `None`: unknown.
    """
    centred = samples - samples.mean()
    rms = float(np.sqrt(np.mean(centred**2)))
    peak = float(np.max(np.abs(centred)))
    kurtosis = float(np.mean(centred**4)) / rms**4
    reason = ""
    if unit is None:
        reason = "the unit of the samples is not known: add --unit g or --unit m/s2"
    elif rate_hz < VELOCITY_RATE_MIN_HZ:
        reason = f"it needs {VELOCITY_RATE_MIN_HZ:,.0f} Hz sampling for frequencies up to {VELOCITY_HIGH_HZ:,.0f} Hz"
    elif len(samples) / rate_hz < VELOCITY_DURATION_MIN_S:
        reason = f"it needs a recording of {VELOCITY_DURATION_MIN_S:g} s and more"
    velocity = None if unit is None or reason else velocity_rms_mm_s(centred * UNITS_MM_S2[unit], rate_hz)
    return Level(rms, peak, peak / rms, kurtosis, velocity, reason)


def velocity_rms_mm_s(acceleration_mm_s2: Floats, rate_hz: float) -> float:
    """Return the RMS of the velocity from 10 to 1,000 Hz, by division in the frequency domain.

    Args:
        acceleration_mm_s2: Without its mean, shape (n,).
        rate_hz: Sampling rate.
    """
    window = np.hanning(len(acceleration_mm_s2))
    spectrum = np.fft.rfft(acceleration_mm_s2 * window)
    hz = np.fft.rfftfreq(len(acceleration_mm_s2), 1 / rate_hz)
    inside = (hz >= VELOCITY_LOW_HZ) & (hz <= VELOCITY_HIGH_HZ)
    power = np.abs(spectrum[inside] / (2 * np.pi * hz[inside])) ** 2
    return float(np.sqrt(2 * power.sum() / (len(window) * np.sum(window**2))))


def zone(velocity_mm_s: float) -> str:
    """Return the zone of ISO 10816-1's informative class I; public tables disagree on the border of C and D."""
    if velocity_mm_s <= ZONE_A_MAX_MM_S:
        return "A"
    return "B" if velocity_mm_s <= ZONE_B_MAX_MM_S else "C or D"
