"""A simulated motor with its bearing: what the thresholds of `lab.vibration.verdict` were chosen and are tested on.

Signals with the properties that make real ones hard: rolling elements slip, so strikes come with jitter; the part
passes through a load zone; the housing rings; shaft, mains and fan have lines of their own; a healthy machine may
knock, too. Model of the strikes: Randall and Antoni 2011 (see `lab.vibration.bearings`), section 2. Made at 25.6 kHz
and limited to half of the wanted rate before it is sampled, as a recorder does.
"""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from lab.vibration.bearings import KNOWN, Bearing, Part

Signal = NDArray[np.float64]

RATE_HZ = 25_600
SHAFT_MIN_HZ, SHAFT_MAX_HZ = 12.0, 50.0
SLIP_MAX = 0.012
"""Of the mean frequency of strikes."""
JITTER_MIN, JITTER_MAX = 0.002, 0.02
"""Standard deviation of the time between strikes, relative."""
LEVEL_MIN_DB, LEVEL_MAX_DB = -10.0, 6.0
"""Power of the strikes over that of the noise, over the whole band."""


class Motor(msgspec.Struct, frozen=True):
    """One simulated recording and its truth.

    Attributes:
        samples: Acceleration in g, shape (n,).
        rate_hz: Sampling rate.
        shaft_hz: Speed of the shaft.
        bearing: The bearing.
        fault: The part with a defect; `None` on a healthy machine.
        level_db: Power of the strikes over that of the noise; minus infinity on a healthy machine.
    """

    samples: Signal
    rate_hz: int
    shaft_hz: float
    bearing: Bearing
    fault: Part | None
    level_db: float


def motor(seed: int, fault: Part | None, *, rate_hz: int = 12_000, duration_s: float = 8.0) -> Motor:
    """Return a recording of a motor that the seed makes: another speed, bearing, housing, noise and defect for each.

    Args:
        seed: The same one gives the same recording.
        fault: The part with a defect, or `None`.
        rate_hz: Sampling rate, up to `RATE_HZ`.
        duration_s: Length of the recording.
    """
    rng = np.random.default_rng([seed, 0 if fault is None else 1 + list(Part).index(fault)])
    count = int(RATE_HZ * duration_s)
    time_s = np.arange(count) / RATE_HZ
    shaft_hz = float(rng.uniform(SHAFT_MIN_HZ, SHAFT_MAX_HZ))
    # The speed wanders by some tenths of a percent with load and mains.
    wander = 0.001 * np.sin(2 * np.pi * rng.uniform(0.05, 0.3) * time_s + rng.uniform(0, 2 * np.pi))
    turns = np.cumsum(shaft_hz * (1 + wander)) / RATE_HZ
    bearing = list(KNOWN.values())[rng.integers(len(KNOWN))]
    noise = _noise(rng, count)
    signal = noise + _lines(rng, time_s, turns) + _flow(rng, turns, count) + _knocks(rng, count, turns)
    level_db = -math.inf
    if fault is not None:
        strikes = _ring(rng, _strikes(rng, turns, bearing, fault))
        level_db = float(rng.uniform(LEVEL_MIN_DB, LEVEL_MAX_DB))
        signal = signal + strikes * (np.std(noise) / np.std(strikes) * 10 ** (level_db / 20))
    return Motor(sampled(signal * 0.1, rate_hz), rate_hz, shaft_hz, bearing, fault, level_db)


def sampled(signal: Signal, rate_hz: int) -> Signal:
    """Return a signal of `RATE_HZ` as a recorder at another rate with an anti-aliasing filter gives it."""
    spectrum = np.fft.rfft(signal)
    count = int(len(signal) * rate_hz / RATE_HZ)
    kept = spectrum[: count // 2 + 1].copy()
    edge = int(0.45 * count)
    kept[edge:] *= np.linspace(1, 0, len(kept) - edge)
    return np.fft.irfft(kept, count) * (count / len(signal))


def _noise(rng: np.random.Generator, count: int) -> Signal:
    """Noise that falls with the frequency, through some broad resonances of the structure."""
    hz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    gain = 1 / np.sqrt(1 + (hz / rng.uniform(1_500, 8_000)) ** 2) + 0.05
    for _ in range(3):
        gain += rng.uniform(0, 2) * np.abs(_resonance(hz, rng.uniform(300, 8_000), rng.uniform(0.03, 0.15)))
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(count)) * gain, count)


def _lines(rng: np.random.Generator, time_s: Signal, turns: Signal) -> Signal:
    """Imbalance and misalignment at multiples of the shaft; mains and its multiples; an inverter's carrier on some."""
    signal = np.zeros_like(time_s)
    for order in range(1, 11):
        strength = rng.uniform(0, 3) / order
        signal += strength * np.sin(2 * np.pi * order * turns + rng.uniform(0, 2 * np.pi))
    mains_hz = rng.choice([50.0, 60.0])
    for multiple in (2, 4, 6, 12):
        signal += rng.uniform(0, 1) / multiple * np.sin(2 * np.pi * multiple * mains_hz * time_s)
    if rng.random() < 0.3:
        carrier = np.sin(2 * np.pi * rng.uniform(2_000, 5_000) * time_s)
        signal += rng.uniform(0, 1) * carrier * (1 + 0.5 * np.sin(2 * np.pi * 2 * mains_hz * time_s))
    return signal


def _flow(rng: np.random.Generator, turns: Signal, count: int) -> Signal:
    """Noise of a fan or pump that its blades modulate."""
    blades = rng.integers(3, 9)
    depth = rng.uniform(0, 0.8)
    return rng.uniform(0, 0.7) * rng.standard_normal(count) * (1 + depth * np.sin(2 * np.pi * blades * turns))


def _knocks(rng: np.random.Generator, count: int, turns: Signal) -> Signal:
    """What knocks without a defect: random blows on most machines; once a turn, or at a belt's speed, on some."""
    blows = np.zeros(count)
    if rng.random() < 0.6:
        places = rng.integers(0, count, rng.poisson(rng.uniform(1, 30) * count / RATE_HZ))
        blows[places] += rng.pareto(2.5, len(places)) * rng.choice([-1, 1], len(places))
    if rng.random() < 0.3:
        _add_blows(blows, turns, np.arange(1, turns[-1]) + rng.normal(0, 0.002, int(np.ceil(turns[-1])) - 1), 1.0)
    if rng.random() < 0.3:
        period = rng.uniform(1.3, 6)
        places = np.arange(period, turns[-1], period)
        _add_blows(blows, turns, places + rng.normal(0, 0.005, len(places)), 1.0)
    ringing = _ring(rng, blows)
    return ringing * (rng.uniform(0, 2) / (np.std(ringing) or 1.0))


def _strikes(rng: np.random.Generator, turns: Signal, bearing: Bearing, fault: Part) -> Signal:
    """Return the blows of a defect: jittered in time, stronger in the load zone, none alike."""
    order = bearing.order(fault) * (1 + rng.uniform(-SLIP_MAX, SLIP_MAX))
    # A defect on an element strikes the outer and the inner race by turns.
    jitter = rng.uniform(JITTER_MIN, JITTER_MAX)
    gaps = np.maximum(1 + jitter * rng.standard_normal(int(turns[-1] * order * 1.05)), 0.1) / order
    # Elements keep their places in the cage: the jitter does not add up without end.
    places = np.arange(len(gaps)) / order + 0.3 * (np.cumsum(gaps) - np.arange(1, len(gaps) + 1) / order)
    places += (gaps - 1 / order) * 0.7 + rng.uniform(0, 1)
    force = 1 + 0.2 * rng.standard_normal(len(places))
    sideband = bearing.sideband_order(fault)
    if sideband:
        angle = 2 * np.pi * (sideband * places + rng.uniform(0, 1))
        width = rng.uniform(0.3, 1.5)
        force *= np.maximum(np.cos(angle) + width, 0) / (1 + width)
    if fault is Part.ROLLING_ELEMENT:
        force[::2] *= rng.uniform(0.3, 1.0)
    blows = np.zeros(len(turns))
    _add_blows(blows, turns, places, force)
    return blows


def _add_blows(blows: Signal, turns: Signal, places: Signal, force: Signal | float) -> None:
    """Add blows of a force at places, in turns of the shaft."""
    inside = (places > turns[0]) & (places < turns[-1])
    np.add.at(blows, np.searchsorted(turns, places[inside]), force[inside] if isinstance(force, np.ndarray) else force)


def _ring(rng: np.random.Generator, blows: Signal) -> Signal:
    """Return how one to three resonances of the housing answer blows."""
    hz = np.fft.rfftfreq(len(blows), 1 / RATE_HZ)
    gain = np.zeros(len(hz), dtype=complex)
    for _ in range(rng.integers(1, 4)):
        gain = gain + rng.uniform(0.3, 1) * _resonance(hz, rng.uniform(900, 5_500), rng.uniform(0.02, 0.08))
    # An accelerometer hears nothing of a blow at the lowest frequencies.
    gain *= (hz / 1_000) ** 2 / (1 + (hz / 1_000) ** 2)
    return np.fft.irfft(np.fft.rfft(blows) * gain, len(blows))


def _resonance(hz: NDArray[np.floating], centre_hz: float, damping: float) -> NDArray[np.complex128]:
    ratio = hz / centre_hz
    return np.asarray(2 * damping / (1 - ratio**2 + 2j * damping * ratio))
