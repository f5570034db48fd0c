"""The account of quotas against an independent server that counts arrivals, over travel times, crashes and reboots."""

import errno
import itertools
import os
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.cloud.contract import QUOTAS, Endpoint, Quota
from agent.cloud.quota import LATE_ARRIVAL_MS, REQUESTS_FREE_AT_BOOT, QuotaLedger, SlidingWindow

PUT = Endpoint.SETTINGS_PUT
TIMEOUT_MS = 30_000
WINDOW_MS = 60_000


class Hub:
    """One process of a hub; time is in the test's hand. `true_ms` goes on over reboots, `now_ms` does not."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.true_ms = 10_000_000
        self.boot_at_ms = 0
        self.boots = 0
        self.endpoint = PUT
        self.start()

    def now_ms(self) -> int:
        return self.true_ms - self.boot_at_ms

    def start(self) -> None:
        """A new process in the same boot."""
        self.ledger = QuotaLedger(self.path, f"boot-{self.boots}")
        slots = self.ledger.slots(self.endpoint)
        self.window = SlidingWindow(slots, QUOTAS[self.endpoint], self.now_ms)

    def reboot(self, down_ms: int) -> None:
        self.true_ms += down_ms
        self.boot_at_ms = self.true_ms
        self.boots += 1
        if self.path is not None:
            self.path.unlink()
        self.start()

    def begin(self) -> int:
        return self.window.acquire(timeout_ms=TIMEOUT_MS)


@pytest.fixture
def hub() -> Hub:
    made = Hub(None)
    made.true_ms += 10 * WINDOW_MS
    return made


def most_in_any_window(arrivals_ms: Sequence[int], window_ms: int) -> int:
    """Count as a sliding window does; no fixed window of that length can hold more, and three are counted as well."""
    ordered = sorted(arrivals_ms)
    most = 0
    for index, first_ms in enumerate(ordered):
        most = max(most, sum(at_ms < first_ms + window_ms for at_ms in ordered[index:]))
    for phase_ms in (0, window_ms // 3, window_ms - 1):
        counts = Counter((at_ms + phase_ms) // window_ms for at_ms in ordered)
        assert max(counts.values(), default=0) <= most
    return most


def test_requests_up_to_the_limit_then_a_wait(hub: Hub) -> None:
    for used in range(5):
        assert hub.window.wait_ms() == 0
        assert hub.window.used() == used
        hub.window.complete(hub.begin())
    assert hub.window.used() == 5
    assert WINDOW_MS < hub.window.wait_ms() <= WINDOW_MS + 1000
    with pytest.raises(ValueError, match="no request is left of 5 in 60 s"):
        hub.begin()
    hub.true_ms += hub.window.wait_ms() - 1
    assert hub.window.wait_ms() == 1
    hub.true_ms += 1
    assert hub.window.wait_ms() == 0
    assert hub.window.used() == 0


def test_request_counts_from_its_response(hub: Hub) -> None:
    slots = [hub.begin() for _ in range(5)]
    hub.true_ms += 20_000
    for slot in slots:
        hub.window.complete(slot)
    assert hub.window.wait_ms() > WINDOW_MS


def test_unsent_request_uses_no_quota(hub: Hub) -> None:
    for _ in range(50):
        hub.window.cancel(hub.begin())
    assert hub.window.wait_ms() == 0


def test_unanswered_request_counts_from_its_latest_possible_arrival(hub: Hub) -> None:
    for _ in range(5):
        hub.begin()
    assert hub.window.wait_ms() >= TIMEOUT_MS + LATE_ARRIVAL_MS + WINDOW_MS


def test_every_endpoint_has_its_own_quota() -> None:
    ledger = QuotaLedger(None, "boot")
    windows = {e: SlidingWindow(ledger.slots(e), quota, lambda: 10**9) for e, quota in QUOTAS.items()}
    for endpoint, window in windows.items():
        for _ in range(QUOTAS[endpoint].limit - REQUESTS_FREE_AT_BOOT.get(endpoint, 0)):
            window.acquire(timeout_ms=1)
        assert window.wait_ms() > 0
        assert all(w.wait_ms() == 0 for e, w in windows.items() if list(QUOTAS).index(e) > list(QUOTAS).index(endpoint))


def test_new_boot_may_fetch_settings_and_acknowledge_at_once_only() -> None:
    ledger = QuotaLedger(None, "boot")
    free = {e for e, quota in QUOTAS.items() if SlidingWindow(ledger.slots(e), quota, lambda: 0).wait_ms() == 0}
    assert free == {Endpoint.SETTINGS_GET, Endpoint.COMMANDS_PENDING, Endpoint.COMMANDS_ACK}
    window = SlidingWindow(ledger.slots(Endpoint.SETTINGS_GET), QUOTAS[Endpoint.SETTINGS_GET], lambda: 0)
    window.complete(window.acquire(timeout_ms=1))
    assert window.wait_ms() >= WINDOW_MS


@pytest.mark.parametrize("damage", [b"", b"x", b"y" * 5000, b"climahub quotas 1 another-boot".ljust(5000, b"\0")])
def test_unusable_ledger_equals_a_fresh_one(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "quotas"
    path.write_bytes(damage)
    fresh = QuotaLedger(None, "boot-0")
    ledger = QuotaLedger(path, "boot-0")
    assert all(list(ledger.slots(e)) == list(fresh.slots(e)) for e in Endpoint)


def test_ledger_survives_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "quotas"
    QuotaLedger(path, "boot").slots(PUT)[3] = 123_456
    assert QuotaLedger(path, "boot").slots(PUT)[3] == 123_456
    assert QuotaLedger(path, "boot").slots(Endpoint.TELEMETRY)[3] != 123_456


travel = st.one_of(st.just(0), st.integers(0, 500), st.integers(0, TIMEOUT_MS + LATE_ARRIVAL_MS))
steps = st.lists(
    st.tuples(
        st.integers(0, 9),  # below 2: the process dies with this request in flight; 2: it was never sent
        travel,
        travel,
        st.one_of(st.just(0), st.integers(0, 3_000), st.integers(0, 130_000)),
    ),
    min_size=6,
    max_size=40,
)
_numbers = itertools.count()


@given(steps)
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_quota_is_never_exceeded_over_crashes(tmp_path: Path, plan: list[tuple[int, int, int, int]]) -> None:
    hub = Hub(tmp_path / f"quotas-{next(_numbers)}")
    hub.true_ms += 2 * WINDOW_MS
    arrivals_ms: list[int] = []
    answers: list[tuple[int, int]] = []

    def wait_until(true_ms: int) -> None:
        for at_ms, slot in sorted(answers):
            if at_ms <= true_ms:
                answers.remove((at_ms, slot))
                hub.true_ms = max(hub.true_ms, at_ms)
                hub.window.complete(slot)
        hub.true_ms = max(hub.true_ms, true_ms)

    for kind, up_ms, down_ms, pause_ms in plan:
        wait_until(hub.true_ms + pause_ms)
        while wait_ms := hub.window.wait_ms():
            wait_until(hub.true_ms + (min(wait_ms, max(answers[0][0] - hub.true_ms, 1)) if answers else wait_ms))
        slot = hub.begin()
        if kind == 2:
            hub.window.cancel(slot)
            continue
        arrivals_ms.append(hub.true_ms + up_ms)
        if kind < 2:
            answers.clear()
            hub.start()
        elif up_ms + down_ms <= TIMEOUT_MS:
            answers.append((hub.true_ms + up_ms + down_ms, slot))
    assert most_in_any_window(arrivals_ms, WINDOW_MS) <= QUOTAS[PUT].limit


@pytest.mark.parametrize("seed", range(20))
def test_reboots_give_no_additional_quota(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    hub = Hub(tmp_path / "quotas")
    arrivals_ms: list[int] = []
    for _ in range(300):
        if rng.random() < 0.1:
            hub.reboot(rng.choice([0, 5_000, 40_000]))
        hub.true_ms += hub.window.wait_ms() if rng.random() < 0.5 else rng.randrange(20_000)
        if hub.window.wait_ms() == 0:
            arrivals_ms.append(hub.true_ms)
            hub.window.complete(hub.begin())
    for first_ms in arrivals_ms:
        window = range(first_ms, first_ms + WINDOW_MS)
        assert sum(at_ms in window for at_ms in arrivals_ms) <= QUOTAS[PUT].limit


def test_a_power_cut_a_minute_stays_within_the_smallest_quota(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "quotas")
    arrivals_ms: list[int] = []
    for _ in range(30):
        hub.reboot(0)
        until_ms = hub.true_ms + 60_000
        while (next_ms := hub.true_ms + hub.window.wait_ms()) < until_ms:
            hub.true_ms = next_ms
            arrivals_ms.append(hub.true_ms)
            hub.window.complete(hub.begin())
        hub.true_ms = until_ms
    assert most_in_any_window(arrivals_ms, WINDOW_MS) <= QUOTAS[PUT].limit


def test_quota_of_one_request(hub: Hub) -> None:
    window = SlidingWindow(memoryview(bytearray(8)).cast("q"), Quota(1, 60), hub.now_ms)
    window.complete(window.acquire(timeout_ms=0))
    assert window.wait_ms() > WINDOW_MS


@pytest.mark.parametrize("kind", ["directory", "no room", "no directory"])
def test_unwritable_ledger_does_not_stop_requests(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "quotas"
    match kind:
        case "directory":
            path.mkdir()
        case "no directory":
            path = tmp_path / "absent" / "quotas"
        case _:

            def full(*_: int) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

            monkeypatch.setattr(os, "posix_fallocate", full)
    ledger = QuotaLedger(path, "boot")
    ledger.slots(PUT)[0] = 1
    assert "in memory only" in caplog.text
