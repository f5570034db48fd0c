from pathlib import Path

import msgspec

from agent.apis.face import Limit
from agent.apis.rate_limit import (
    CALLERS_MAX,
    FILE_BYTES_MAX,
    SOURCE_WINDOWS_MAX,
    WINDOWS_MAX,
    RateLimits,
    Window,
    WindowSet,
    count,
    restore,
    worth_saving,
)
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker

TIER = Limit("tier", 3)
DIAGNOSTICS = Limit("diagnostics", 2)


class BootClock:
    boot_id = "boot-1"

    def __init__(self, now_ms: int = 0) -> None:
        self.now_ms = now_ms

    def monotonic_ms(self) -> int:
        return self.now_ms

    def utc_ms(self) -> int | None:
        return None


def spend(windows: dict[str, Window], limits: list[Limit], now_ms: int, who: str = "a") -> int | None:
    changed, _, wait_s = count(windows, who, limits, now_ms)
    windows.update(changed)
    return wait_s


def test_a_window_takes_so_many_requests_and_says_when_it_ends() -> None:
    windows: dict[str, Window] = {}
    assert [spend(windows, [TIER], at) for at in (0, 1000, 2000)] == [None] * 3
    assert spend(windows, [TIER], 59_001) == 1
    assert spend(windows, [TIER], 30_000) == 30
    assert spend(windows, [TIER], 60_000) is None


def test_a_refused_request_counts_against_no_limit() -> None:
    windows: dict[str, Window] = {}
    assert [spend(windows, [TIER, DIAGNOSTICS], 0) for _ in range(3)] == [None, None, 60]
    # The third of the tier is still there.
    assert spend(windows, [TIER], 0) is None
    assert spend(windows, [TIER], 0) == 60


def test_each_client_has_its_own_window() -> None:
    windows: dict[str, Window] = {}
    for _ in range(3):
        spend(windows, [TIER], 0)
    assert spend(windows, [TIER], 0, who="b") is None


def test_what_is_left_is_told() -> None:
    _, uses, _ = count({}, "a", [TIER, DIAGNOSTICS], 0)
    assert [(use.used, use.remaining, use.reset_s) for use in uses] == [(1, 2, 60), (1, 1, 60)]


def test_after_a_restart_a_window_goes_on_and_after_a_reboot_it_begins_again() -> None:
    saved = WindowSet("boot-1", (Window("a tier", 1000, 3, 3, 60), Window("b tier", 1000, 3, 3, 1)))
    assert restore(saved, "boot-1", 31_000) == [saved.windows[0]]
    again = restore(saved, "boot-2", 5)
    assert [(each.key, each.began_ms, each.used) for each in again] == [("a tier", 5, 3), ("b tier", 5, 3)]


def test_little_use_is_not_worth_a_write() -> None:
    windows = {"a": Window("a", 0, 1, 3, 60), "b": Window("b", 0, 2, 3, 60), "c": Window("c", -60_000, 3, 3, 60)}
    assert [each.key for each in worth_saving(windows, 0)] == ["b"]


async def test_limits_hold_over_a_restart_and_little_use_writes_nothing(tmp_path: Path) -> None:
    clock = BootClock()

    def made() -> RateLimits:
        return RateLimits(tmp_path, clock=clock, disk=Disk(), worker=InlineWorker())

    first = made()
    await first.load()
    first.count("a", [TIER])
    await first.save()
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240 - a test
    first.count("a", [TIER])
    first.count("a", [TIER])
    await first.save()
    second = made()
    await second.load()
    assert second.count("a", [TIER])[1] == 60
    clock.now_ms = 60_000
    assert second.count("a", [TIER])[1] is None


async def test_windows_are_limited_and_the_oldest_makes_room(tmp_path: Path) -> None:
    limits = RateLimits(tmp_path, clock=BootClock(), disk=Disk(), worker=InlineWorker())
    for number in range(WINDOWS_MAX + 1):
        for _ in range(3):
            limits.count(f"client-{number}", [TIER])
    assert limits.count("client-1", [TIER])[1] == 60
    assert limits.count("client-0", [TIER])[1] is None


async def test_the_last_request_of_each_client_is_remembered_and_the_longest_idle_makes_room(tmp_path: Path) -> None:
    clock = BootClock()
    limits = RateLimits(tmp_path, clock=clock, disk=Disk(), worker=InlineWorker())
    limits.count("first", [TIER])
    for number in range(CALLERS_MAX - 1):
        limits.count(f"client-{number}", [TIER])
    clock.now_ms = 90_000
    # A refused request is one too.
    for _ in range(4):
        limits.count("first", [TIER])
    clock.now_ms = 95_000
    limits.count("new", [TIER])
    limits.count_source("127.0.0.1", TIER)
    idle = [limits.idle_s(each) for each in ("first", "new", "client-1", "client-0", "127.0.0.1")]
    assert idle == [5.0, 0.0, 95.0, None, None]


async def test_sources_do_not_push_out_clients(tmp_path: Path) -> None:
    limits = RateLimits(tmp_path, clock=BootClock(), disk=Disk(), worker=InlineWorker())
    for _ in range(3):
        limits.count("client", [TIER])
    for number in range(SOURCE_WINDOWS_MAX + 1):
        for _ in range(3):
            limits.count_source(f"127.0.0.{number}", TIER)
    assert limits.count("client", [TIER])[1] == 60
    assert limits.count_source("127.0.0.1", TIER) == 60
    assert limits.count_source("127.0.0.0", TIER) is None


def test_the_file_is_small_enough_for_all_windows() -> None:
    window = Window("aurra_home 2001:db8:ffff:ffff:ffff:ffff::/64 diagnostics", 10**12, 500, 500, 60)
    assert len(msgspec.json.encode(WindowSet("x" * 36, (window,) * WINDOWS_MAX))) < FILE_BYTES_MAX
