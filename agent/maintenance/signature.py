"""How an indicator depends on the load where nothing is wrong: energy signature, and length of a run. Pure.

* **Energy signature** (degree-day regression of ISO 50006, one day at a time): full output keeps the room `span` kelvin
  above the temperature that sun and people alone would keep, so `output = (lift - free - sun * sunshine) / span`. A
  fault that takes the share `1 - exp(-loss)` of the heat divides `span` by `exp(loss)`.
* **Length of a run**: a controller with hysteresis runs for `run / (1 - output)`; the exponent is learned too. A fault
  divides it by `exp(loss)`.

Each has a state of a few numbers, the last of which is `loss`, and a prior of what houses have: free warmth of 3 K, and
2.5 K more from the sun in summer than in winter. So winter can be judged by what was learned in autumn: what the prior
leaves open is part of the uncertainty.
"""

from collections.abc import Mapping, Sequence
from math import exp, log
from types import MappingProxyType
from typing import Protocol

import msgspec

from agent.maintenance.indicators import Indicator, Measured

FREE_K, FREE_SIGMA_K = 3.0, 2.0
"""The warmth of people and devices above outside, and how much it differs between houses."""

SUN_K, SUN_SIGMA_K = 2.5, 0.5
"""How much more the sun gives at the solstice of summer than at that of winter, by its daily mean."""

SPAN_SIGMA = 0.5
"""Of the logarithm of what one day says about the span, or about the length of a run."""

NET_K_MIN = 2.0
"""The least warmth that the heating gives on a day that is measured."""

SCATTER = 0.06
"""Of a day's output: wind and habits."""

SCATTER_K, SUN_SCATTER_K = 0.5, 1.0
"""Of a day's free warmth in winter, and how much more in summer: clouds."""

OUTPUT_MIN = 0.02

RUN_SCATTER = 0.10
"""Of the length of a run from one day to the next, in logarithms."""

EXPONENT_SIGMA = 0.4

LOG_RUN_MAX = 10.0
"""Two weeks: no run is expected to last longer, whatever has been learned."""


class Expected(msgspec.Struct, frozen=True):
    """What a state says about a day.

    Attributes:
        value: The expected value of `Measured.value`.
        slope: Its derivatives by the state.
        variance: Of a day around it.
    """

    value: float
    slope: tuple[float, ...]
    variance: float


class Dynamics(msgspec.Struct, frozen=True, kw_only=True):
    """How a state changes from day to day, and which of the modes of `imm_filter` a zone is in.

    Attributes:
        walk: The standard deviation by which each number but the loss changes in a day: a new tenant.
        usual_walk: The same of the loss where nothing is wrong.
        usual_fading_days: It fades in about so many days.
        faulty_walk: The same of a fault's loss beside its growth.
        faulty_fading_days: It fades in about so many days: a change that stays becomes usual.
        growth: By how much a fault's loss grows in a day.
        faults_a_day: How often a fault begins.
        repairs_a_day: How often one is repaired.
        trust: The share of a day's log likelihood that counts: days that follow each other are not independent.
        clip_sigma: A day counts at most so much (Huber): a party must not look like a fault.
        surprise_share: The share of one day in the mean of what is unexpected.
    """

    walk: tuple[float, ...]
    usual_walk: float
    usual_fading_days: float
    faulty_walk: float
    faulty_fading_days: float
    growth: float
    faults_a_day: float
    repairs_a_day: float
    trust: float
    clip_sigma: float
    surprise_share: float


class Signature(Protocol):
    """One indicator's dependence on the load."""

    dynamics: Dynamics
    worse: float
    """1 where a larger value than expected is worse, else -1."""

    def first(self, measured: Measured) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the state after the first day, and the variance of each of its numbers."""

    def expect(self, state: Sequence[float], measured: Measured) -> Expected:
        """Return what a state says about a day's value."""

    def excess(self, state: Sequence[float], measured: Measured) -> float:
        """Return by how much a day is worse than a state says, as a logarithm."""

    def usual(self, state: Sequence[float], measured: Measured) -> float:
        """Return the indicator without the loss, for people: kelvin of span, or minutes a start."""

    def shown(self, value: float) -> float:
        """Return a `Measured.value` as people read it: percent of full output, or minutes a start."""


class EnergySignature:
    """Output by the warmth above outside: state of log span, free warmth, sun, loss."""

    dynamics = Dynamics(
        walk=(0.0007, 0.02, 0.005),
        usual_walk=0.006,
        usual_fading_days=5.0,
        faulty_walk=0.005,
        faulty_fading_days=300.0,
        growth=0.002,
        faults_a_day=0.14 / 365.0,
        repairs_a_day=1.0 / 250.0,
        trust=0.25,
        clip_sigma=2.5,
        surprise_share=0.15,
    )
    worse = 1.0

    def first(self, measured: Measured) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the state after the first day, and the variance of each of its numbers."""
        net = max(NET_K_MIN, measured.load - FREE_K - SUN_K * measured.sunshine)
        return (log(net / measured.value), FREE_K, SUN_K, 0.0), (SPAN_SIGMA**2, FREE_SIGMA_K**2, SUN_SIGMA_K**2, 0.0)

    def expect(self, state: Sequence[float], measured: Measured) -> Expected:
        """Return what a state says about a day's value."""
        log_span, free, sun, loss = state
        a_kelvin = exp(loss - log_span)
        value = a_kelvin * (measured.load - free - sun * measured.sunshine)
        scatter = SCATTER * max(value, OUTPUT_MIN), a_kelvin * (SCATTER_K + SUN_SCATTER_K * measured.sunshine)
        slope = (-value, -a_kelvin, -a_kelvin * measured.sunshine, value)
        return Expected(value, slope, scatter[0] ** 2 + scatter[1] ** 2)

    def excess(self, state: Sequence[float], measured: Measured) -> float:
        """Return by how much a day is worse than a state says, as a logarithm."""
        return log(measured.value / max(OUTPUT_MIN, self.expect(state, measured).value))

    def usual(self, state: Sequence[float], measured: Measured) -> float:  # noqa: ARG002 - see the protocol
        """Return the span, in kelvin."""
        return exp(state[0])

    def shown(self, value: float) -> float:
        """Return the mean output of a day, in percent of full output."""
        return 100.0 * min(1.0, max(0.0, value))


class RunSignature:
    """Length of a run by the output: state of the logarithm of a run at little output, exponent, loss."""

    dynamics = Dynamics(
        walk=(0.003, 0.0),
        usual_walk=0.015,
        usual_fading_days=10.0,
        faulty_walk=0.03,
        faulty_fading_days=300.0,
        growth=0.004,
        faults_a_day=0.1 / 365.0,
        repairs_a_day=1.0 / 80.0,
        trust=0.15,
        clip_sigma=3.5,
        surprise_share=0.2,
    )
    worse = -1.0

    def first(self, measured: Measured) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the state after the first day, and the variance of each of its numbers."""
        return (measured.value - measured.load, 1.0, 0.0), (SPAN_SIGMA**2, EXPONENT_SIGMA**2, 0.0)

    def expect(self, state: Sequence[float], measured: Measured) -> Expected:
        """Return what a state says about a day's value."""
        log_run, exponent, loss = state
        value = log_run + exponent * measured.load - loss
        return Expected(value, (1.0, measured.load, -1.0), RUN_SCATTER**2)

    def excess(self, state: Sequence[float], measured: Measured) -> float:
        """Return by how much a day is worse than a state says, as a logarithm."""
        return self.expect(state, measured).value - measured.value

    def usual(self, state: Sequence[float], measured: Measured) -> float:
        """Return the length of a run at the day's load, in minutes."""
        return exp(state[0] + state[1] * measured.load)

    def shown(self, value: float) -> float:
        """Return the length of a run, in minutes."""
        return exp(min(value, LOG_RUN_MAX))


SIGNATURES: Mapping[Indicator, Signature] = MappingProxyType(
    {Indicator.WARMTH: EnergySignature(), Indicator.RUN_TIME: RunSignature()}
)
