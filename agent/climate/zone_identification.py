"""Which model a zone follows: a bank of models, each judged by how well it explains every recovery. Pure.

A night and its recovery are one window: the house cools, is kept, and is heated at nearly full output. For each member
of the bank (lags of emitter, air and structure) the gain, the load and the first temperature of the structure that
explain the window best are a linear least-squares problem. The misfit is the member's penalty; older windows count
less. The member with the smallest penalty is the zone's model. Nothing is learned from a window without
a swing and output.

Separable least squares: Golub and Pereyra 1973. Multiple-model estimation: Magill
1965.
"""

from collections.abc import Sequence
from functools import reduce
from itertools import product
from math import exp, log
from operator import mul, sub

import msgspec

from agent.climate.zone_model import SENSOR_LAG_S, SPAN_K, ZoneDynamics, emitted_share, emitter_lag_s

SAMPLE_S = 360.0
SAMPLES_MAX = 160
"""A window of 16 hours: a night and the longest lead."""

SAMPLES_MIN = 15
SWING_K_MIN = 0.8
HEATED_SAMPLES_MIN = 3.0
"""A window with a smaller swing, or with less output, tells nothing about the gain."""

EMITTER_S = (120.0, 420.0, 1200.0, 3600.0, 9000.0)
AIR_S = (900.0, 2700.0, 8100.0, 24_300.0)
STRUCTURE_S = (3 * 3600.0, 9 * 3600.0, 27 * 3600.0)
"""The bank: forced air to a slab; a light room to one with much furniture; timber to thick masonry."""

FILLING = (1.0, 0.3)
"""A source as large as its emitter; one that serves it in pulses, with the others waiting."""

MISFIT_K = 0.08
"""What even the right model leaves unexplained: people, sun, the sensor's steps."""

CORRELATED_SAMPLES = 5.0
"""Neighbouring residuals are alike: so many count as one."""

EMITTER_ODDNESS = 1.0
AIR_ODDNESS = 0.2
"""How much better an unusual member must explain the windows: a slab that is none would be steered an hour early."""

KEPT = 0.6
"""How much of the penalties is left when the next window is judged."""

WEIGHT_MIN = 0.35
"""One window moves the gain by at least this share, however many there were."""

_SETTLING_K = 0.2
_STRUCTURE_K = 1.5
_LOAD_SHARE = 0.3
_GAIN_SHARE = 0.8
_DRIFT_SHARE_PER_H = 0.02
"""How uncertain the unknowns of a window are beforehand."""


class WindowSample(msgspec.Struct, frozen=True):
    """A stretch of `SAMPLE_S`: the share of output in it and the sensor's value at its end."""

    duty: float
    value_c: float


class Window(msgspec.Struct, frozen=True):
    """A night with its recovery.

    Attributes:
        start_c: The temperature before it.
        start_duty: The duty before it.
        samples: In order.
    """

    start_c: float
    start_duty: float
    samples: tuple[WindowSample, ...]

    @property
    def is_telling(self) -> bool:
        """Whether something can be learned from it."""
        if len(self.samples) < SAMPLES_MIN:
            return False
        values = [sample.value_c for sample in self.samples]
        return max(values) - min(values) >= SWING_K_MIN and sum(s.duty for s in self.samples) >= HEATED_SAMPLES_MIN


class Member(msgspec.Struct, frozen=True):
    """One model of the bank, its penalty, and how many windows taught its gain."""

    dynamics: ZoneDynamics
    penalty: float = 0.0
    windows: int = 0


def initial_bank(known: ZoneDynamics, windows: int) -> tuple[Member, ...]:
    """Return the bank around what is known: members that differ more from it must explain more.

    Args:
        known: From before a restart, or the usual zone.
        windows: How many windows taught it; 0 for none.
    """
    members = []
    weight = 0.5 if windows == 0 else 1.0 * min(windows, 4)
    for emitter_s, air_s, structure_s, filling in product(EMITTER_S, AIR_S, STRUCTURE_S, FILLING):
        distance = (
            log(emitter_s / known.emitter_s) ** 2
            + log(air_s / known.air_s) ** 2
            + log(structure_s / known.structure_s) ** 2
            + log(filling / known.filling) ** 2
        )
        # The air is as much warmer than the structure at full output as in the known model.
        gain = known.gain_k_per_h * known.air_s / air_s
        members.append(Member(ZoneDynamics(gain, emitter_s, air_s, structure_s, filling), weight * distance, windows))
    return tuple(members)


def best(bank: Sequence[Member]) -> Member:
    """Return the member that explains the windows best; of those that do so equally well, the most usual one."""
    return min(bank, key=lambda member: member.penalty + _oddness(member.dynamics))


def _oddness(dynamics: ZoneDynamics) -> float:
    """Return the penalty of an unusual zone, in the measure of `judge`."""
    usual = ZoneDynamics()
    return (
        EMITTER_ODDNESS * log(dynamics.emitter_s / usual.emitter_s) ** 2
        + AIR_ODDNESS * log(dynamics.air_s / usual.air_s) ** 2
        + AIR_ODDNESS * log(dynamics.structure_s / usual.structure_s) ** 2
        + EMITTER_ODDNESS * log(dynamics.filling / usual.filling) ** 2
    )


def judge(member: Member, window: Window) -> Member:
    """Return a member after one more window: its gain and its penalty."""
    dynamics = member.dynamics
    gain, rms_k = _fit(dynamics, window)
    weight = max(WEIGHT_MIN, 1.0 / (member.windows + 1.0))
    gain = dynamics.gain_k_per_h + weight * (gain - dynamics.gain_k_per_h)
    count = len(window.samples) / CORRELATED_SAMPLES
    penalty = KEPT * member.penalty + 0.5 * count * log(1.0 + (rms_k / MISFIT_K) ** 2)
    dynamics = msgspec.structs.replace(dynamics, gain_k_per_h=max(0.1, gain))
    return Member(dynamics, penalty, member.windows + 1)


def _fit(dynamics: ZoneDynamics, window: Window) -> tuple[float, float]:
    """Return the gain that explains a window best, and the root mean square of what it leaves."""
    columns, gain = _responses(dynamics, window), dynamics.gain_k_per_h
    weight = 1.0 / (MISFIT_K * MISFIT_K * CORRELATED_SAMPLES)
    moved_k = [sample.value_c - window.start_c for sample in window.samples]
    scaled = [[value * weight for value in column] for column in columns]
    # `sum` and `map`, not loops: fitting the bank is the largest part of what learning computes.
    normal = [[sum(map(mul, mine, other)) for other in columns] for mine in scaled]
    right = [sum(map(mul, mine, moved_k)) for mine in scaled]
    gain_weight = 1.0 / (_GAIN_SHARE * gain) ** 2
    load_weight = 1.0 / (_LOAD_SHARE * gain) ** 2
    start_share = emitted_share(dynamics, window.start_duty)
    normal[0][0] += gain_weight + load_weight * start_share**2
    normal[0][1] -= load_weight * start_share
    normal[1][0] -= load_weight * start_share
    normal[1][1] += load_weight
    normal[2][2] += 1.0 / _STRUCTURE_K**2
    normal[3][3] += 1.0 / _SETTLING_K**2
    normal[4][4] += 1.0 / (_DRIFT_SHARE_PER_H * gain) ** 2
    right[0] += gain_weight * gain
    unknowns = _solve(normal, right)
    squares = 0.0
    for row, left_k in zip(zip(*columns, strict=True), moved_k, strict=True):
        unexplained_k = reduce(sub, map(mul, row, unknowns), left_k)
        squares += unexplained_k * unexplained_k
    return unknowns[0], (squares / len(moved_k)) ** 0.5


def _responses(dynamics: ZoneDynamics, window: Window) -> tuple[list[float], ...]:
    """Return for each unknown of a window what the sensor shows at each sample for one unit of it.

    The unknowns: gain, load, how far structure and air are from the first value of the sensor, and the drift of the
    load in an hour: nights get colder.
    """
    emitted = emitted_share(dynamics, window.start_duty)
    heated, drifting = [], []
    for number, sample in enumerate(window.samples):
        lag_s, full = emitter_lag_s(dynamics, sample.duty), emitted_share(dynamics, sample.duty)
        keep_e = exp(-SAMPLE_S / lag_s)
        heated.append(full + (emitted - full) * (1.0 - keep_e) * lag_s / SAMPLE_S)
        emitted = full + (emitted - full) * keep_e
        drifting.append(-((number + 0.5) * SAMPLE_S / 3600.0))
    count = len(window.samples)
    return (
        _response(dynamics, heated),
        _response(dynamics, [-1.0] * count),
        _response(dynamics, [0.0] * count, walls=1.0),
        _response(dynamics, [0.0] * count, air=1.0),
        _response(dynamics, drifting),
    )


def _response(dynamics: ZoneDynamics, drives: Sequence[float], *, air: float = 0.0, walls: float = 0.0) -> list[float]:
    """Return what the sensor shows at each sample of a window.

    Args:
        dynamics: Of the zone.
        drives: The heat in each sample, in shares of full output.
        air: The first temperature of air and sensor, in kelvin from the first value.
        walls: That of the structure.
    """
    air_h = dynamics.air_s / 3600.0
    keep_a = exp(-SAMPLE_S / dynamics.air_s)
    keep_w, keep_s = exp(-SAMPLE_S / dynamics.structure_s), exp(-SAMPLE_S / SENSOR_LAG_S)
    share_a = (1.0 - keep_a) * dynamics.air_s / SAMPLE_S
    # The load grows with the temperature, see `zone_model`.
    per_k = dynamics.gain_k_per_h / SPAN_K / 2.0
    sensor, start, shown = air, air + walls, []
    for drive in drives:
        settled = walls + (drive - per_k * (air + walls - start)) * air_h
        mean = settled + (air - settled) * share_a
        air = settled + (air - settled) * keep_a
        walls = mean + (walls - mean) * keep_w
        sensor = mean + (sensor - mean) * keep_s
        shown.append(sensor)
    return shown


def _solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Return the solution of a symmetric positive definite system, by elimination."""
    size = len(right)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for i in range(size):
        for k in range(i + 1, size):
            factor = rows[k][i] / rows[i][i]
            for j in range(i, size + 1):
                rows[k][j] -= factor * rows[i][j]
    solution = [0.0] * size
    for i in reversed(range(size)):
        rest = rows[i][size] - sum(rows[i][j] * solution[j] for j in range(i + 1, size))
        solution[i] = rest / rows[i][i]
    return solution
