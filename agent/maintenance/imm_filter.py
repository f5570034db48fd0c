"""Two modes of a zone, usual and faulty, each followed by a Kalman filter: an interacting multiple model filter. Pure.

A zone is usual until a fault begins, and faulty until it is repaired; both happen by chance. In the usual mode the loss
fades within days; in the faulty one it grows, and fades only within a year. Before each day the states of both are
mixed by what may have happened since the last one, after it the odds of the modes follow from how well each has
expected it (Blom and Bar-Shalom 1988, "The interacting multiple model algorithm for systems with Markovian switching
coefficients", IEEE Transactions on Automatic Control 33). One filter that has to follow both takes a part of a slow
fault for a change of the usual behaviour.
"""

from collections.abc import Sequence
from math import exp, log, sqrt

import msgspec

from agent.maintenance.indicators import Measured
from agent.maintenance.signature import Dynamics, Signature

LOSS_MIN, LOSS_MAX = -1.0, 1.6
"""A loss of 80 %, and as much more: beyond these something else is wrong."""

GROWTH_DAYS_MAX = 60.0
"""A fault that nobody could see, such as in summer, is not expected to have grown for longer."""

ODDS_FIRST = -9.0
"""The logarithm of the odds that a zone is faulty in its first days: its usual behaviour is what it does then."""

ODDS_MIN, ODDS_MAX = -30.0, 30.0
VARIANCE_MIN = 1e-9
NUMBER_MAX = 1e9
"""No zone has a larger number: only a damaged file says so."""

Matrix = list[list[float]]


class Mode(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a zone if it is in one of the modes.

    Attributes:
        state: Of the signature; the last number is the logarithm of the loss.
        covariance: Of the state, row by row up to the diagonal.
    """

    state: tuple[float, ...] = ()
    covariance: tuple[float, ...] = ()

    @property
    def sigmas(self) -> float:
        """The loss in standard deviations of what is known."""
        return self.state[-1] / sqrt(max(VARIANCE_MIN, self.covariance[-1]))

    def is_possible(self, size: int) -> bool:
        """Return whether it is the mode of a signature with so many numbers."""
        numbers = (*self.state, *self.covariance)
        lengths = (len(self.state), len(self.covariance))
        return lengths == (size, size * (size + 1) // 2) and all(abs(each) <= NUMBER_MAX for each in numbers)


class Modes(msgspec.Struct, frozen=True):
    """What is known of a zone: of both modes, and which it is in.

    Attributes:
        usual: If nothing is wrong.
        faulty: If something is.
        log_odds: The logarithm of the odds of the second.
    """

    usual: Mode
    faulty: Mode
    log_odds: float = ODDS_FIRST

    @property
    def p_faulty(self) -> float:
        """The probability that something is wrong, as the filter has it."""
        return 1.0 / (1.0 + exp(-min(ODDS_MAX, max(ODDS_MIN, self.log_odds))))


class Update(msgspec.Struct, frozen=True):
    """What a day says.

    Attributes:
        modes: What is known after it.
        sigmas: By how many standard deviations it was not as expected, by the odds of the modes.
        faulty_sigmas: The same, if something is wrong.
    """

    modes: Modes
    sigmas: float
    faulty_sigmas: float


def first_modes(measured: Measured, signature: Signature) -> Modes:
    """Return what is known before the first day is counted."""
    state, variances = signature.first(measured)
    mode = _packed(state, [[variance * (i == j) for j in range(len(state))] for i, variance in enumerate(variances)])
    return Modes(mode, mode)


def as_usual(modes: Modes) -> Modes:
    """Return what is known if what a zone does now is its usual behaviour."""
    mode = Mode((*modes.usual.state[:-1], 0.0), modes.usual.covariance)
    return Modes(mode, mode)


def with_day(
    modes: Modes, measured: Measured, signature: Signature, *, days: float, noise: float, is_learned: bool
) -> Update:
    """Return what is known after one more day.

    Args:
        modes: What was known.
        measured: The day.
        signature: Of the indicator.
        days: Since the last one.
        noise: The variance of the zone's days, as a multiple of the signature's.
        is_learned: The zone's usual behaviour is known, so there may be a loss.
    """
    dynamics = signature.dynamics
    (usual, faulty), shares = _mixed(modes, dynamics, days, is_learned=is_learned)
    found, fits, off = [], [], []
    for (state, covariance), is_faulty in ((usual, False), (faulty, True)):
        _pass(state, covariance, dynamics, days if is_learned else 0.0, is_faulty=is_faulty)
        for i, walk in enumerate(dynamics.walk):
            covariance[i][i] += walk**2 * days
        mode, sigmas, fit = _corrected(state, covariance, measured, noise, signature)
        found.append(mode)
        off.append(sigmas)
        fits.append(fit)
    log_odds = log(shares[1] / shares[0]) + dynamics.trust * (fits[1] - fits[0])
    log_odds = min(ODDS_MAX, max(ODDS_MIN, log_odds))
    after = Modes(found[0], found[1], log_odds)
    return Update(after, (1.0 - after.p_faulty) * off[0] + after.p_faulty * off[1], off[1])


def _mixed(
    modes: Modes, dynamics: Dynamics, days: float, *, is_learned: bool
) -> tuple[list[tuple[list[float], Matrix]], tuple[float, float]]:
    """Return state and covariance of each mode and its probability, after what may have begun or ended meanwhile."""
    begun, ended = (1.0 - exp(-rate * days) for rate in (dynamics.faults_a_day, dynamics.repairs_a_day))
    if not is_learned:
        begun, ended = FIRST_BEGUN, FIRST_ENDED
    p = modes.p_faulty
    into_faulty, into_usual = (1.0 - p) * begun, p * ended
    is_faulty = p - into_usual + into_faulty
    shares = (1.0 - is_faulty, is_faulty)
    own, other = (modes.usual, modes.faulty), (modes.faulty, modes.usual)
    from_other = into_usual / shares[0], into_faulty / shares[1]
    return [_mean(*each) for each in zip(own, other, from_other, strict=True)], shares


FIRST_BEGUN, FIRST_ENDED = 1e-9, 0.5
"""Of a day on which the usual behaviour is still learned, in place of the rates: nothing is wrong by definition."""


def _mean(own: Mode, other: Mode, share: float) -> tuple[list[float], Matrix]:
    """Return the moments of a mixture of two modes."""
    apart = [b - a for a, b in zip(own.state, other.state, strict=True)]
    state = [a + share * step for a, step in zip(own.state, apart, strict=True)]
    size, kept, spread = len(state), 1.0 - share, share * (1.0 - share)
    covariance = [[0.0] * size for _ in range(size)]
    values = zip(own.covariance, other.covariance, strict=True)
    for i in range(size):
        for j in range(i + 1):
            a, b = next(values)
            covariance[i][j] = covariance[j][i] = kept * a + share * b + spread * apart[i] * apart[j]
    return state, covariance


def _pass(state: list[float], covariance: Matrix, dynamics: Dynamics, days: float, *, is_faulty: bool) -> None:
    """Let the loss fade over some days, and that of a fault grow."""
    kept = exp(-days / (dynamics.faulty_fading_days if is_faulty else dynamics.usual_fading_days))
    state[-1] = kept * state[-1] + (dynamics.growth * min(days, GROWTH_DAYS_MAX) if is_faulty else 0.0)
    for row in covariance:
        row[-1] *= kept
    covariance[-1] = [kept * each for each in covariance[-1]]
    covariance[-1][-1] += (dynamics.faulty_walk if is_faulty else dynamics.usual_walk) ** 2 * days


def _corrected(
    state: list[float], covariance: Matrix, measured: Measured, noise: float, signature: Signature
) -> tuple[Mode, float, float]:
    """Return a mode with a day, by how many standard deviations it was not as expected, and its log likelihood."""
    expected, size, clip = signature.expect(state, measured), len(state), signature.dynamics.clip_sigma
    shared = [sum([a * b for a, b in zip(row, expected.slope, strict=True)]) for row in covariance]
    variance = sum([a * b for a, b in zip(expected.slope, shared, strict=True)]) + noise * expected.variance
    variance = max(VARIANCE_MIN, variance)
    off = measured.value - expected.value
    sigmas = off / sqrt(variance)
    far = abs(sigmas)
    weight = min(1.0, clip / max(far, VARIANCE_MIN))
    gain = [each / variance * weight for each in shared]
    after = [value + each * off for value, each in zip(state, gain, strict=True)]
    after[-1] = max(LOSS_MIN, min(LOSS_MAX, after[-1]))
    less = [[covariance[i][j] - gain[i] * shared[j] for j in range(size)] for i in range(size)]
    fit = -0.5 * log(variance) - (0.5 * sigmas**2 if far < clip else clip * (far - 0.5 * clip))
    return _packed(after, less), sigmas, fit


def _packed(state: Sequence[float], covariance: Matrix) -> Mode:
    return Mode(tuple(state), tuple([covariance[i][j] for i in range(len(state)) for j in range(i + 1)]))
