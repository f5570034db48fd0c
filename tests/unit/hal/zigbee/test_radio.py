"""Delays between restarts of the radio."""

import pytest

pytest.importorskip("zigpy")

from hal.zigbee.radio import STEADY_S, Backoff


def test_delays_grow_with_each_failure_and_restart_after_steady_work() -> None:
    backoff = Backoff()
    assert [backoff.next_delay_s(10.0) for _ in range(9)] == [1, 5, 15, 30, 60, 120, 300, 300, 300]
    assert backoff.next_delay_s(STEADY_S) == 1
    assert backoff.next_delay_s(10.0) == 5
