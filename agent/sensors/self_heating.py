"""Self-heating: how much the hub warms a sensor in its own case, learned and taken off. Pure: no clock, no I/O.

    T_room = T_board - k * x - c,   x = lag(T_cpu - T_board)

The processor's temperature above the board is proportional to the power that the hub turns into heat; the air in the
case follows with a lag, and the sensor with it. `k` (factor) and `c` (what other parts add, whatever the load) are
learned by a Kalman filter of two states from three sources: another sensor of the same room, a room temperature that a
person enters, and the sensor itself: what its own value does when the load changes. The lag is not known either, so a
few candidates are learned side by side, and the most likely one is used. Until something is learned, a stated default
with a large uncertainty is used.

Must never decide which sensors are in the case: that is said in the configuration (`sensors.in_case`).

Sources: 1.5 to 6 K for boards in a case with a Raspberry Pi (pimoroni/bme680-python#11, tasmota#1051, tasmota#4739), at
20 to 30 K between processor and board. Saturation vapour pressure: Magnus formula with the coefficients of WMO-No. 8
(2018), annex 4.B, over water.
"""

from math import exp, isfinite, log, sqrt
from typing import Final

import msgspec

DEFAULT_FACTOR: Final = 0.15
DEFAULT_FACTOR_SD: Final = 0.08
"""Before anything is learned: the middle and the spread of what people report, see the module."""

BASE_SD_K: Final = 0.5
"""What parts other than the processor may add: regulators, radio, display."""

LAGS_S: Final = (60.0, 300.0, 600.0, 900.0, 1300.0, 1900.0, 2800.0, 4200.0)
"""Candidates for the lag: a sensor on an open board, up to a closed case of metal."""

DEFAULT_LAG: Final = 3
"""The candidate that counts until one is more likely."""

REFERENCE_INTERVAL_S: Final = 600.0
REFERENCE_SD_K: Final = 0.8
"""Of one comparison with another sensor each ten minutes. Two sensors in one room differ by some tenths for hours (sun,
draught, height), so many comparisons are worth few independent ones."""

ENTERED_SD_K: Final = 0.2
"""Of a room temperature that a person read off a good thermometer."""

CHANGE_INTERVAL_S: Final = 1800.0
CHANGE_X_MIN_K: Final = 3.0
CHANGE_SD_K: Final = 0.8
"""A change of the load moves the sensor by `k` times as much; a room itself moves by this in half an hour."""

UNREST_SHARE: Final = 0.1
UNREST_K_MAX: Final = 30.0
"""The mean of the last ten looks; no change counts more than this."""

OUTLIER_DEVIATIONS: Final = 4.0
"""A comparison that is farther off than this teaches nothing: a sensor in the sun, or carried to another room."""

BIAS_SD_K: Final = 0.1
"""What remains after any learning: the error of the reference itself."""

FORGET_FACTOR_PER_DAY: Final = 0.003
FORGET_BASE_K_PER_DAY: Final = 0.03
"""How far the true numbers may wander in a day: dust, a moved hub, summer."""

X_K_MAX: Final = 120.0
"""No processor runs hotter than this above its board."""

FACTOR_RANGE: Final = (0.0, 0.8)
_DAY_S: Final = 86_400.0


class Hypothesis(msgspec.Struct, frozen=True):
    """What is learned for one candidate of the lag.

    Attributes:
        factor: `k`.
        base_k: `c`.
        factor_var: Variance of `factor`.
        covariance: Of both.
        base_var: Variance of `base_k`.
        likelihood: Logarithm, forgetting slowly; only differences mean something.
        x_k: The lagged excess of the processor now.
    """

    factor: float = DEFAULT_FACTOR
    base_k: float = 0.0
    factor_var: float = DEFAULT_FACTOR_SD**2
    covariance: float = 0.0
    base_var: float = BASE_SD_K**2
    likelihood: float = 0.0
    x_k: float | None = None

    @property
    def rise_k(self) -> float:
        """What the hub adds to the sensor now, never negative: a processor cools nothing."""
        return max(0.0, self.factor * (self.x_k or 0.0) + self.base_k)

    def variance(self, x_k: float) -> float:
        """Return the variance of the rise at an excess of the processor."""
        return max(0.0, self.factor_var * x_k * x_k + 2.0 * self.covariance * x_k + self.base_var)


class SelfHeating(msgspec.Struct, frozen=True):
    """What is known of the warmth that reaches one sensor. Kept over restarts.

    Attributes:
        hypotheses: One for each of `LAGS_S`.
        running_s: Since the lagged excess began to be followed; before some lags it is not settled.
        since_reference_s: Since the last comparison with another sensor.
        since_change_s: Since the last look at what a change of the load did.
        past_board_c: The sensor at that look; `None` before the first.
        past_x_k: The lagged excess of each hypothesis at that look.
        unrest_k2: Mean square of what half an hour changes, beyond what the load explains: a pipe is no witness.
        references: How many comparisons with another sensor were learned from.
        entries: How many entered temperatures were learned from.
        changes: How many changes of the load were learned from.
    """

    hypotheses: tuple[Hypothesis, ...] = tuple(Hypothesis() for _ in LAGS_S)
    running_s: float = 0.0
    since_reference_s: float = REFERENCE_INTERVAL_S
    since_change_s: float = 0.0
    past_board_c: float | None = None
    past_x_k: tuple[float, ...] = ()
    unrest_k2: float = CHANGE_SD_K**2
    references: int = 0
    entries: int = 0
    changes: int = 0

    @property
    def is_learned(self) -> bool:
        """Whether anything but the default is used."""
        return bool(self.references or self.entries or self.changes)

    @property
    def best(self) -> int:
        """The index of the most likely lag."""
        if not self.is_learned:
            return DEFAULT_LAG
        likelihoods = [each.likelihood for each in self.hypotheses]
        best = max(likelihoods)
        # A tie is decided for the default: a steady load tells nothing of the lag.
        return DEFAULT_LAG if likelihoods[DEFAULT_LAG] >= best - 1.0 else likelihoods.index(best)


class Correction(msgspec.Struct, frozen=True):
    """A corrected temperature, and its standard uncertainty times two (95 %), both in degrees Celsius."""

    value_c: float
    uncertainty_k: float


def advance(state: SelfHeating, *, board_c: float, cpu_c: float, dt_s: float) -> SelfHeating:
    """Return the state after some time; follows the excess, and learns from changes of the load.

    Args:
        state: Before.
        board_c: The sensor in the case, as it measures.
        cpu_c: The processor.
        dt_s: Since the last call; at the first one without meaning.
    """
    excess = cpu_c - board_c
    if not isfinite(excess) or not 0.0 <= excess <= X_K_MAX:
        return state
    days = max(0.0, dt_s) / _DAY_S
    hypotheses = tuple(
        msgspec.structs.replace(
            each,
            x_k=excess if each.x_k is None else each.x_k + (excess - each.x_k) * (1.0 - exp(-max(0.0, dt_s) / lag_s)),
            factor_var=min(DEFAULT_FACTOR_SD**2, each.factor_var + FORGET_FACTOR_PER_DAY**2 * days),
            base_var=min(BASE_SD_K**2, each.base_var + FORGET_BASE_K_PER_DAY**2 * days),
        )
        for each, lag_s in zip(state.hypotheses, LAGS_S, strict=True)
    )
    state = msgspec.structs.replace(
        state,
        hypotheses=hypotheses,
        running_s=state.running_s + dt_s,
        since_reference_s=state.since_reference_s + dt_s,
        since_change_s=state.since_change_s + dt_s,
    )
    if state.past_board_c is None or state.since_change_s >= CHANGE_INTERVAL_S:
        state = _learn_change(state, board_c)
    return state


def _learn_change(state: SelfHeating, board_c: float) -> SelfHeating:
    now = tuple(each.x_k or 0.0 for each in state.hypotheses)
    past_c, past = state.past_board_c, state.past_x_k
    state = msgspec.structs.replace(state, since_change_s=0.0, past_board_c=board_c, past_x_k=now)
    is_compared = state.since_reference_s < 2.0 * REFERENCE_INTERVAL_S
    settled_s = state.running_s - CHANGE_INTERVAL_S
    if past_c is None or len(past) != len(now) or is_compared or settled_s < LAGS_S[DEFAULT_LAG]:
        return state
    differences = [b - a for a, b in zip(past, now, strict=True)]
    sd_k = sqrt(max(CHANGE_SD_K**2, state.unrest_k2))
    left_k = board_c - past_c - state.hypotheses[state.best].factor * differences[state.best]
    unrest_k2 = state.unrest_k2 + UNREST_SHARE * (min(abs(left_k), UNREST_K_MAX) ** 2 - state.unrest_k2)
    state = msgspec.structs.replace(state, unrest_k2=unrest_k2)
    if abs(differences[state.best]) < CHANGE_X_MIN_K:
        return state
    learned = [
        _updated(each, (difference, 0.0), board_c - past_c, sd_k)
        for each, difference in zip(state.hypotheses, differences, strict=True)
    ]
    return msgspec.structs.replace(state, hypotheses=_normalised(learned), changes=state.changes + 1)


def compare(state: SelfHeating, *, board_c: float, reference_c: float) -> SelfHeating:
    """Return the state after a look at another sensor of the same room; learns once in `REFERENCE_INTERVAL_S`."""
    if state.since_reference_s < REFERENCE_INTERVAL_S or not _is_settled(state):
        return state
    state = msgspec.structs.replace(state, since_reference_s=0.0)
    learned = _learn(state, board_c - reference_c, REFERENCE_SD_K)
    if learned is state:
        return state
    return msgspec.structs.replace(learned, references=state.references + 1)


def enter(state: SelfHeating, *, board_c: float, room_c: float) -> SelfHeating:
    """Return the state after a person entered the temperature of the room; counts more than any comparison."""
    learned = [_updated(each, (each.x_k or 0.0, 1.0), board_c - room_c, ENTERED_SD_K) for each in state.hypotheses]
    return msgspec.structs.replace(state, hypotheses=_normalised(learned), entries=state.entries + 1)


def correct(state: SelfHeating, board_c: float) -> Correction | None:
    """Return the temperature of the room; `None` before the processor's temperature has been seen."""
    best = state.hypotheses[state.best]
    if best.x_k is None:
        return None
    lag_s = LAGS_S[state.best]
    unsettled = best.factor * best.x_k * exp(-state.running_s / lag_s)
    variance = best.variance(best.x_k) + BIAS_SD_K**2 + unsettled**2
    return Correction(board_c - best.rise_k, 2.0 * sqrt(variance))


def restart(state: SelfHeating) -> SelfHeating:
    """Return the state for a new start of the agent: what is learned stays, the excess is followed anew."""
    return msgspec.structs.replace(
        state,
        hypotheses=tuple(msgspec.structs.replace(each, x_k=None) for each in state.hypotheses),
        running_s=0.0,
        since_reference_s=REFERENCE_INTERVAL_S,
        since_change_s=0.0,
        past_board_c=None,
        past_x_k=(),
    )


def is_sound(state: SelfHeating) -> bool:
    """Return whether numbers from a file are such as learning can give."""
    is_calm = 0.0 <= state.unrest_k2 <= UNREST_K_MAX**2
    return (
        is_calm
        and len(state.hypotheses) == len(LAGS_S)
        and all(
            FACTOR_RANGE[0] <= each.factor <= FACTOR_RANGE[1]
            and abs(each.base_k) <= 10.0 * BASE_SD_K
            and 0.0 < each.factor_var <= DEFAULT_FACTOR_SD**2
            and 0.0 < each.base_var <= BASE_SD_K**2
            and each.covariance**2 <= each.factor_var * each.base_var
            and isfinite(each.likelihood)
            for each in state.hypotheses
        )
    )


def _is_settled(state: SelfHeating) -> bool:
    return state.running_s >= 2.0 * LAGS_S[state.best]


def _learn(state: SelfHeating, rise_k: float, sd_k: float) -> SelfHeating:
    best = state.hypotheses[state.best]
    x_k = best.x_k or 0.0
    if abs(rise_k - best.factor * x_k - best.base_k) > OUTLIER_DEVIATIONS * sqrt(best.variance(x_k) + sd_k**2):
        return state
    learned = [_updated(each, (each.x_k or 0.0, 1.0), rise_k, sd_k) for each in state.hypotheses]
    return msgspec.structs.replace(state, hypotheses=_normalised(learned))


def _updated(each: Hypothesis, row: tuple[float, float], seen_k: float, sd_k: float) -> Hypothesis:
    """Return a hypothesis after a Kalman update: `seen_k` = row * (factor, base) + noise."""
    a, b = row
    pa = each.factor_var * a + each.covariance * b
    pb = each.covariance * a + each.base_var * b
    spread = a * pa + b * pb + sd_k * sd_k
    error = seen_k - a * each.factor - b * each.base_k
    gain_a, gain_b = pa / spread, pb / spread
    # Joseph's form is not needed for two states in double precision; the bounds keep rounding harmless.
    factor_var = max(1e-9, each.factor_var - gain_a * pa)
    base_var = max(1e-6, each.base_var - gain_b * pb)
    limit = 0.999 * sqrt(factor_var * base_var)
    return Hypothesis(
        factor=min(FACTOR_RANGE[1], max(FACTOR_RANGE[0], each.factor + gain_a * error)),
        base_k=min(5.0 * BASE_SD_K, max(-5.0 * BASE_SD_K, each.base_k + gain_b * error)),
        factor_var=factor_var,
        covariance=min(limit, max(-limit, each.covariance - gain_a * pb)),
        base_var=base_var,
        likelihood=0.995 * each.likelihood - 0.5 * (error * error / spread + log(spread)),
        x_k=each.x_k,
    )


def _normalised(hypotheses: list[Hypothesis]) -> tuple[Hypothesis, ...]:
    """Return the hypotheses with the best likelihood at 0, so that the numbers stay small."""
    best = max(each.likelihood for each in hypotheses)
    return tuple(msgspec.structs.replace(each, likelihood=each.likelihood - best) for each in hypotheses)


def saturation_hpa(temperature_c: float) -> float:
    """Return the saturation vapour pressure over water (Magnus formula, WMO-No. 8: 45 below to 60 above zero)."""
    return 6.112 * exp(17.62 * temperature_c / (243.12 + temperature_c))


def humidity_at(percent: float, *, measured_c: float, room_c: float) -> float:
    """Return the relative humidity of the same air at another temperature; the vapour pressure stays the same.

    Args:
        percent: As measured, at `measured_c`.
        measured_c: Of the sensor.
        room_c: Of the room.
    """
    return min(100.0, percent * saturation_hpa(measured_c) / saturation_hpa(room_c))
