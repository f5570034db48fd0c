"""Faults are drawn by seed, fit their sensors and refuse nonsense."""

from collections import Counter
from itertools import pairwise
from math import inf
from random import Random

import pytest

from hal.interface import SensorKind
from hal.sim.faults import OFFSETS, Fault, FaultKind, random_faults

SERIES = [(f"sim/{kind}", kind) for kind in SensorKind]
MONTH_S = 30 * 86_400.0


def test_a_seed_draws_the_same_faults_again() -> None:
    draws = [random_faults(Random(seed), SERIES, duration_s=MONTH_S, faults_per_day=1.0) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_all_kinds_are_drawn_as_often_as_asked_and_one_at_a_time() -> None:
    faults = random_faults(Random(1), SERIES, duration_s=MONTH_S, faults_per_day=2.0)
    assert set(Counter(fault.kind for fault in faults)) == set(FaultKind)
    assert len(faults) / 7 / 30 == pytest.approx(2.0, rel=0.15)
    for name, _ in SERIES:
        mine = [fault for fault in faults if fault.sensor == name]
        assert all(a.to_ms <= b.from_ms + 1 for a, b in pairwise(mine))
        assert all(0 <= fault.from_ms < MONTH_S * 1000 for fault in mine)


def test_magnitudes_fit_what_they_falsify() -> None:
    faults = random_faults(Random(1), SERIES, duration_s=MONTH_S, faults_per_day=5.0)
    for fault in faults:
        offset = OFFSETS[SensorKind(fault.sensor.removeprefix("sim/"))]
        match fault.kind:
            case FaultKind.LIE | FaultKind.SPIKE:
                assert 0.5 * offset <= abs(fault.magnitude) <= 2 * offset
            case FaultKind.DRIFT:
                assert abs(fault.magnitude) <= 0.1 * offset
            case FaultKind.HANG:
                assert fault.magnitude == inf or 0 <= fault.magnitude <= 60
            case _:
                assert fault.magnitude == inf
    hangs = [fault.magnitude == inf for fault in faults if fault.kind is FaultKind.HANG]
    assert {True, False} == set(hangs)


def test_a_fault_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="sim/iaq: ends at 10 ms, before it begins at 10 ms"):
        Fault("sim/iaq", FaultKind.NAN, 10, 10)


@pytest.mark.parametrize("kind", [FaultKind.DRIFT, FaultKind.SPIKE, FaultKind.LIE])
def test_an_offset_without_a_size_is_refused(kind: FaultKind) -> None:
    with pytest.raises(ValueError, match="needs a magnitude"):
        Fault("sim/iaq", kind, 0, 10)
