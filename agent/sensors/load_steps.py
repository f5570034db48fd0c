"""Whether the processor warms a thermometer: by what each sharp step of its load does to it. Pure: no clock, no I/O.

A room does not know when the processor begins or ends to work; a sensor in its case turns up or down with it. So the
slope of the ten minutes before a step is compared with that of the ten minutes after it, and steps count against what
this sensor's slopes do without one: windows, sun and pumps change them too, but not in step with the processor.

`self_heating` learns how much; this needs less and is sooner, because it compares a sensor with itself within minutes.
Source of the method: sequential test of a mixture of hypotheses (A. Wald, Sequential Analysis, 1947), with Student's t
for the differences, since those of rooms have heavy tails.
"""

from collections import deque
from math import exp, log
from typing import Final

INTERVAL_MS: Final = (50_000, 90_000)
"""Readings that come sooner are left out; a longer gap begins anew, because nobody saw when the step was."""

SIDE: Final = 10
"""Readings before, and after, the one at which the load changed: ten minutes of the case's lag of 5 to 45."""

STEP_K_MIN: Final = 3.0
"""The processor, and the processor above the sensor: full load of a Raspberry Pi is 15 to 25 K, one busy core about 6.
A pipe whose pump starts is a step of the second kind only, sun on the hub one of the first."""

STEADY_SHARE: Final = 0.4
"""The load was steady on each side of a step: no reading differs from another by more than this share of the step."""

REST_K_MAX: Final = 2.0
"""The load was steady altogether, and the slopes are the room's: a processor's own noise is about 1 K."""

REST_INTERVAL: Final = 13
REST_KEPT: Final = 72
"""Readings between two looks at a room without a step, no divisor of an hour (pumps), and how many looks: 15 hours."""

PRIOR_K: Final = 0.12
PRIOR_COUNT: Final = 12
"""What slopes of a room are taken to differ by (kelvins in ten minutes) before that many looks."""

SCALE_K_MIN: Final = 0.05
"""No room is taken to be quieter than this."""

RESPONSES: Final = (0.015, 0.03, 0.06, 0.12)
"""Kelvins in ten minutes for each kelvin of the step: 0.08 to 0.2 in the end, with a lag of 45 to 5 minutes."""

RESPONSE_MAX: Final = 2.0 * RESPONSES[-1]
"""No case does more: what turns by more is moved by something else."""

COURSE_SHARE: Final = 0.5
"""A room or a pipe that was on its way before the step may turn by this much of it: pumps and windows do not go on."""

EVIDENCE_FLOOR: Final = -3.0
EVIDENCE_STEP_MAX: Final = 7.0
EVIDENCE_FOUND: Final = 9.0
EVIDENCE_MAX: Final = 18.0
"""Natural logarithms of the odds. One step alone never suffices, and a sensor that was moved away is believed again
within two days of such steps."""

_FREEDOM: Final = 3.0
_QUANTILE: Final = 0.75
_SCALE_OF_QUANTILE: Final = 1.4226
"""Student's t with three degrees of freedom: three quarters of the differences are smaller than this many scales."""


class LoadStepDetector:
    """Finds a thermometer that the processor warms."""

    __slots__ = ("_at_ms", "_board", "_evidence", "_excess", "_rests", "_wait")

    def __init__(self) -> None:
        """Know nothing yet."""
        self._at_ms: int | None = None
        self._board: deque[float] = deque(maxlen=2 * SIDE + 1)
        self._excess: deque[float] = deque(maxlen=2 * SIDE + 1)
        self._rests: deque[float] = deque([PRIOR_K] * PRIOR_COUNT, maxlen=REST_KEPT)
        self._wait = 0
        self._evidence = [0.0] * len(RESPONSES)

    @property
    def evidence(self) -> float:
        """The natural logarithm of the odds that the processor warms it."""
        return log(sum(map(exp, self._evidence)) / len(RESPONSES))

    @property
    def is_warmed(self) -> bool:
        """Whether that is beyond doubt."""
        return self.evidence >= EVIDENCE_FOUND

    def observe(self, board_c: float, cpu_c: float, at_ms: int) -> None:
        """Take one more value of the thermometer, and the processor's temperature then."""
        if self._at_ms is not None:
            gap_ms = at_ms - self._at_ms
            if 0 <= gap_ms < INTERVAL_MS[0]:
                return
            if not 0 <= gap_ms <= INTERVAL_MS[1]:
                self._board.clear()
                self._excess.clear()
        self._at_ms = at_ms
        self._board.append(board_c)
        self._excess.append(cpu_c - board_c)
        self._wait -= 1
        if len(self._board) <= 2 * SIDE:
            return
        excess = self._excess
        if abs(excess[SIDE + 1] - excess[SIDE - 1]) >= STEP_K_MIN:
            self._learn_step()
        elif self._wait <= 0 and max(excess) - min(excess) <= REST_K_MAX:
            self._wait = REST_INTERVAL
            self._rests.append(abs(self._turn_k()))

    def _learn_step(self) -> None:
        excess, board = list(self._excess), list(self._board)
        excess_k = _step_k(excess)
        step_k = min(excess_k, excess_k + _step_k(board), key=abs)
        if abs(step_k) < STEP_K_MIN or self._wait > REST_INTERVAL:
            return
        if max(max(side) - min(side) for side in (excess[:SIDE], excess[SIDE + 1 :])) > STEADY_SHARE * abs(step_k):
            return
        # The same step is not looked at twice.
        self._wait = REST_INTERVAL + SIDE
        turn_k = self._turn_k()
        if turn_k / step_k > RESPONSE_MAX:
            self._rests.append(abs(turn_k))
            return
        ordered = sorted(self._rests)
        usual_k = ordered[int(_QUANTILE * len(ordered))] / _SCALE_OF_QUANTILE
        scale_k = max(SCALE_K_MIN, usual_k, COURSE_SHARE * abs(_slope(board[:SIDE])) * SIDE)
        for index, response in enumerate(RESPONSES):
            gain = _log_density((turn_k - response * step_k) / scale_k) - _log_density(turn_k / scale_k)
            gain = min(EVIDENCE_STEP_MAX, max(-EVIDENCE_STEP_MAX, gain))
            self._evidence[index] = min(EVIDENCE_MAX, max(EVIDENCE_FLOOR, self._evidence[index] + gain))

    def _turn_k(self) -> float:
        """Return the slope after the middle less that before it, in kelvins in ten minutes."""
        values = list(self._board)
        return (_slope(values[SIDE + 1 :]) - _slope(values[:SIDE])) * SIDE


def _step_k(values: list[float]) -> float:
    """Return the mean after the middle less that before it."""
    return (sum(values[SIDE + 1 :]) - sum(values[:SIDE])) / SIDE


def _slope(values: list[float]) -> float:
    """Return the slope for each reading, by least squares."""
    middle = (len(values) - 1) / 2
    weights = [index - middle for index in range(len(values))]
    return sum(w * value for w, value in zip(weights, values, strict=True)) / sum(w * w for w in weights)


def _log_density(x: float) -> float:
    """Return the logarithm of Student's density, but for a constant."""
    return -(_FREEDOM + 1.0) / 2.0 * log(1.0 + x * x / _FREEDOM)
