import ctypes
import time

import pytest

from agent.foundation import clock
from agent.foundation.clock import STA_UNSYNC, SystemClock


class Kernel:
    """Stands for the C library: what adjtimex(2) would say on a machine in another state."""

    def __init__(self, result: int, status: int) -> None:
        self._result = result
        self._status = status

    def adjtimex(self, timex: "ctypes._Pointer[ctypes.Structure]") -> int:
        timex._obj.status = self._status  # type: ignore[attr-defined]
        return self._result


@pytest.mark.parametrize(
    ("result", "status", "expected"),
    [(0, 0, True), (0, 0x2001, True), (5, STA_UNSYNC, False), (0, STA_UNSYNC | 1, False), (-1, 0, False)],
)
def test_the_kernel_says_whether_it_is_synchronised(
    monkeypatch: pytest.MonkeyPatch, result: int, status: int, expected: bool
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Kernel(result, status))
    assert clock.kernel_is_synchronised() is expected
    utc_ms = SystemClock().utc_ms()
    assert (utc_ms is not None) is expected


def test_the_real_kernel_answers() -> None:
    assert clock.kernel_is_synchronised() in {True, False}


def test_the_clock_is_that_of_the_machine() -> None:
    system = SystemClock(trust_wall_clock=True)
    utc_ms = system.utc_ms()
    assert utc_ms is not None
    assert abs(utc_ms - time.time() * 1000) < 5000
    assert abs(system.monotonic_ms() - time.monotonic() * 1000) < 5000
    assert len(system.boot_id) == 36
    assert system.boot_id == SystemClock().boot_id
