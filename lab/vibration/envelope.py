"""Squared envelope spectra in bands, and how strongly a bearing's defect frequencies stand out of them.

A pure file. The method: each band's complex envelope by the Fourier transform, its squared magnitude, and the averaged
spectrum of that on an axis of shaft orders, in decibels over the local median. A part's score in a band is the mean
over the harmonics of its defect order and the sidebands that its way through the load zone makes. What a score means is
found in the same spectrum: the same mean is formed for all other orders, and a defect has to exceed nine of ten of
these. Lines of the shaft (whole orders) and of the mains take no part in either.

Squared envelope spectrum: Randall and Antoni 2011 (see `lab.vibration.bearings`), section 4.3; the bands are a tree of
halves, as in Antoni, "Fast computation of the kurtogram", Mechanical Systems and Signal Processing 21 (2007).
"""

import math
from collections.abc import Iterator
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from lab.vibration.bearings import Bearing, Part

Floats = NDArray[np.floating]

BAND_LEVELS = 4
"""The whole band, its halves, quarters and eighths: 15 bands."""
SLIP = 0.02
"""How far a bearing's orders may lie from those of its geometry: real bearings slip by 1 to 2 %."""
HARMONICS = 4
SEGMENT_TURNS = 200
"""Length of the averaged pieces: sharp enough to tell a sideband of the cage, short enough for a bearing that slips."""
ORDER_MAX = 40.0
SHAFT_WIDTH = 0.003
"""Half width of the shaft's lines, relative: the speed wanders, and is known to about that."""
MAINS_HZ = (100.0, 120.0)
"""A motor's magnetic forces pulse at twice the mains; its multiples lie near the defect frequencies of many motors."""
MAINS_WIDTH = 0.002
EXCESS_MAX_DB = 12.0
"""What one line may add to a score: several harmonics have to be there."""
OTHER_ORDER_MIN, OTHER_ORDER_MAX = 1.7, 12.0
SIDEBAND_WEIGHT = 0.5
OTHERS_QUANTILE = 0.9
"""The other orders hold multiples and sidebands of a true defect, too; so not their maximum."""
_EPSILON = 1e-30

SPEED_RANGE, SPEED_TOLERANCE = 0.05, 0.005
"""How far from the given speed the shaft's lines are looked for, and how near to it they confirm it; relative."""
SPEED_HARMONICS = 8
SPEED_HARMONICS_MORE = 4
"""So many more of them at another speed contradict the given one."""
LINE_DB = 8.0


class Band(msgspec.Struct, frozen=True):
    """The envelope spectrum of one band.

    Attributes:
        low_hz: Lower edge.
        high_hz: Upper edge.
        orders: The axis, multiples of the shaft's speed, shape (n,).
        excess_db: Power over the local median, shape (n,); 0 within the lines of the shaft and the mains.
    """

    low_hz: float
    high_hz: float
    orders: Floats
    excess_db: Floats


class Score(msgspec.Struct, frozen=True):
    """How strongly a part's defect order stands out in one band.

    Attributes:
        part: The part.
        band: Index of the band.
        order: The order that fits best, within `SLIP` of the geometry's.
        excess_db: Mean excess of the harmonics and sidebands there.
        above_others_db: The excess less what nine of ten other orders do not reach.
        harmonics: How many harmonics stand `HARMONIC_DB` and more above the local median.
    """

    part: Part
    band: int
    order: float
    excess_db: float
    above_others_db: float
    harmonics: int


HARMONIC_DB = 5.0


def envelope_bands(samples: Floats, rate_hz: float, shaft_hz: float) -> list[Band]:
    """Return the envelope spectra of `BAND_LEVELS` levels of bands.

    Args:
        samples: Acceleration in any unit, shape (n,).
        rate_hz: Sampling rate.
        shaft_hz: Speed of the shaft.
    """
    spectrum = np.fft.fft(samples - samples.mean())[: len(samples) // 2]
    bands = []
    for level in range(BAND_LEVELS):
        edges = np.linspace(0, len(spectrum), 2**level + 1).astype(int)
        for first, last in pairwise(edges):
            piece = spectrum[first:last]
            # Twice as long as the band is wide: the square has twice the bandwidth.
            envelope = np.abs(np.fft.ifft(piece, 2 * len(piece))) ** 2
            width_hz = rate_hz / len(samples)
            bands.append(_band(envelope, 2 * len(piece) * width_hz, shaft_hz, (first * width_hz, last * width_hz)))
    return bands


def _band(envelope: Floats, rate_hz: float, shaft_hz: float, edges_hz: tuple[float, float]) -> Band:
    length = min(len(envelope), int(SEGMENT_TURNS * rate_hz / shaft_hz))
    power = _averaged(envelope / (envelope.mean() + _EPSILON) - 1, length)
    orders = np.fft.rfftfreq(length, 1 / rate_hz) / shaft_hz
    kept = orders <= ORDER_MAX
    orders, power = orders[kept], power[kept]
    excess_db = 10 * np.log10((power + _EPSILON) / (_local_median(orders, power) + _EPSILON))
    excess_db = np.minimum(excess_db, EXCESS_MAX_DB)
    resolution = orders[1] if len(orders) > 1 else 1.0
    for step, width in ((1.0, SHAFT_WIDTH), *((hz / shaft_hz, MAINS_WIDTH) for hz in MAINS_HZ)):
        nearest = np.rint(orders / step) * step
        excess_db[np.abs(orders - nearest) <= 2 * resolution + width * nearest] = 0.0
    return Band(float(edges_hz[0]), float(edges_hz[1]), orders, excess_db)


def _averaged(signal: Floats, length: int) -> Floats:
    """Return the power spectrum, averaged over half-overlapping pieces (Welch 1967, Hann's window)."""
    window = np.hanning(length + 1)[:-1]
    starts = range(0, len(signal) - length + 1, max(length // 2, 1))
    pieces = np.stack([signal[start : start + length] for start in starts])
    return np.asarray((np.abs(np.fft.rfft(pieces * window)) ** 2).mean(axis=0))


def _local_median(orders: Floats, power: Floats) -> Floats:
    """Return the median over two orders around each place, from pieces of one order that are joined by lines."""
    per_order = max(round(1 / orders[1]), 4) if len(orders) > 1 else 4
    centres = np.arange(0, len(power), per_order)
    medians = [np.median(power[max(centre - per_order, 0) : centre + per_order]) for centre in centres]
    return np.asarray(np.exp(np.interp(np.arange(len(power)), centres, np.log(np.asarray(medians) + _EPSILON))))


def contradicting_speed_hz(samples: Floats, rate_hz: float, shaft_hz: float) -> float | None:
    """Return the speed at whose multiples the vibration has its lines if it is clearly not the given one; else `None`.

    The multiples of a wrong speed leave the shaft's lines in the spectrum, and these pass for those of a defect: three
    times the shaft's speed lies 2 % from BPFO of a 6203.

    Args:
        samples: Acceleration in any unit, shape (n,).
        rate_hz: Sampling rate.
        shaft_hz: The given speed.
    """
    length = min(len(samples), int(SEGMENT_TURNS * rate_hz / shaft_hz))
    power = _averaged(samples - samples.mean(), length)
    orders = np.fft.rfftfreq(length, 1 / rate_hz) / shaft_hz
    kept = orders <= SPEED_HARMONICS + 2
    orders, power = orders[kept], power[kept]
    excess_db = 10 * np.log10((power + _EPSILON) / (_local_median(orders, power) + _EPSILON))
    for mains_hz in MAINS_HZ:
        step = mains_hz / 2 / shaft_hz
        nearest = np.rint(orders / step) * step
        excess_db[np.abs(orders - nearest) <= 2 * orders[1] + MAINS_WIDTH * nearest] = 0.0
    candidates = 1 + np.arange(-SPEED_RANGE, SPEED_RANGE, SPEED_TOLERANCE / 10)
    harmonics = np.outer(np.arange(1, SPEED_HARMONICS + 1), candidates)
    counts = (np.interp(harmonics, orders, _dilated(excess_db)) >= LINE_DB).sum(axis=0)
    at_given = counts[np.abs(candidates - 1) <= SPEED_TOLERANCE].max()
    best = counts.max()
    if best < at_given + SPEED_HARMONICS_MORE:
        return None
    return float(np.median(candidates[counts == best])) * shaft_hz


def _dilated(excess_db: Floats) -> Floats:
    """Return the largest of each place and its neighbours: lines fall between places."""
    return np.asarray(np.maximum.reduce([excess_db, np.roll(excess_db, 1), np.roll(excess_db, -1)]))


def scores(bands: list[Band], bearing: Bearing) -> Iterator[Score]:
    """Yield the score of each part in each band."""
    for part in Part:
        expected = bearing.order(part)
        sideband = bearing.sideband_order(part)
        for index, band in enumerate(bands):
            yield _score(band, index, part, expected, sideband)


def _score(band: Band, index: int, part: Part, expected: float, sideband: float) -> Score:
    reach = _dilated(band.excess_db)
    candidates = expected * np.linspace(1 - SLIP, 1 + SLIP, 81)
    sums = comb(band.orders, reach, candidates, sideband)
    best = int(np.argmax(sums))
    others_db = float(np.quantile(_other_orders(band, reach, sideband), OTHERS_QUANTILE))
    at_best = np.interp(candidates[best] * np.arange(1, HARMONICS + 1), band.orders, reach, right=0.0)
    return Score(
        part,
        index,
        float(candidates[best]),
        float(sums[best]),
        float(sums[best]) - others_db,
        int(np.sum(at_best >= HARMONIC_DB)),
    )


def comb(orders: Floats, excess_db: Floats, candidates: Floats, sideband: float) -> Floats:
    """Return the mean excess at the harmonics of each candidate, with their sidebands; shape of ``candidates``."""
    total = np.zeros(len(candidates))
    weight = 0.0
    for harmonic in range(1, HARMONICS + 1):
        total += np.interp(harmonic * candidates, orders, excess_db, right=0.0)
        weight += 1
        if sideband:
            for side in (-sideband, sideband):
                total += SIDEBAND_WEIGHT / 2 * np.interp(harmonic * candidates + side, orders, excess_db, right=0.0)
            weight += SIDEBAND_WEIGHT
    return np.asarray(total / weight)


def _other_orders(band: Band, reach: Floats, sideband: float) -> Floats:
    """Return the best sum in each window of the width that slip allows, over all orders that a defect could have."""
    count = int(math.log(OTHER_ORDER_MAX / OTHER_ORDER_MIN) / math.log((1 + SLIP) / (1 - SLIP)))
    grid = np.exp(np.linspace(math.log(OTHER_ORDER_MIN), math.log(OTHER_ORDER_MAX), count * 81))
    return np.asarray(comb(band.orders, reach, grid, sideband).reshape(count, 81).max(axis=1))
