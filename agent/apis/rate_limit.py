"""Limits of the local APIs: windows of requests for each client, counted in memory and kept over restarts.

Callers without a valid credential are counted by their source, in windows of their own: strangers must not push out
the windows of clients, nor use up what clients behind the same source need.

Owns `api-limits.json`. A card must not wear with every request: the file is written at a stop, and once a minute while
some client has used half of a limit. A power cut may give a client back one minute's requests, never more.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from agent.apis.face import Limit, LimitUse
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.worker import Worker

FILE_NAME = "api-limits.json"
FILE_BYTES_MAX = 64 * 1024
"""256 windows take 30 KiB."""

WINDOWS_MAX = 256
"""Windows of clients that are remembered: 32 clients with 8 limits each; the one that began longest ago makes room."""
SOURCE_WINDOWS_MAX = 256
"""Windows of sources, in memory only; the one that began longest ago makes room."""

CALLERS_MAX = 64
"""Clients whose last request is remembered, in memory only: 32 of the APIs and the controllers of HomeKit."""

SAVE_S = 60.0
SAVED_SHARE_MIN = 0.5
"""A window of which less is used is not worth a write."""


class Window(msgspec.Struct, frozen=True):
    """The present window of one client and limit.

    Attributes:
        key: The client and the name of the limit.
        began_ms: Boot time of its first request.
        used: Requests since then, refused ones left out.
        requests_max: Of the limit.
        window_s: How long it lasts.
    """

    key: str
    began_ms: int
    used: int
    requests_max: int
    window_s: int

    def is_over(self, now_ms: int) -> bool:
        """Tell whether it has ended."""
        return now_ms - self.began_ms >= self.window_s * 1000


class WindowSet(msgspec.Struct, frozen=True):
    """The content of the file: windows of one boot."""

    boot_id: str = ""
    windows: tuple[Window, ...] = ()


def key_of(who: str, limit: Limit) -> str:
    """Return the key of a window."""
    return f"{who} {limit.name}"


def count(
    windows: Mapping[str, Window], who: str, limits: Sequence[Limit], now_ms: int
) -> tuple[Mapping[str, Window], Sequence[LimitUse], int | None]:
    """Count one request against all its limits, or against none where one of them is used up. Pure.

    Args:
        windows: By key.
        who: The client, or the source of a caller without a valid credential.
        limits: Those that count the request.
        now_ms: Boot time.

    Returns:
        The windows that have changed; how much is used of each limit; and, where the request is refused, the whole
        seconds until it would be counted.
    """
    found = []
    for limit in limits:
        window = windows.get(key_of(who, limit))
        if window is None or window.is_over(now_ms):
            window = Window(key_of(who, limit), now_ms, 0, limit.requests_max, limit.window_s)
        found.append(window)
    waits = [
        _left_s(window, now_ms)
        for limit, window in zip(limits, found, strict=True)
        if window.used >= limit.requests_max
    ]
    if not waits:
        found = [msgspec.structs.replace(window, used=window.used + 1) for window in found]
    uses = [LimitUse(limit, window.used, _left_s(window, now_ms)) for limit, window in zip(limits, found, strict=True)]
    return {window.key: window for window in found}, uses, max(waits) if waits else None


def _left_s(window: Window, now_ms: int) -> int:
    return max(1, math.ceil(window.window_s - (now_ms - window.began_ms) / 1000))


def restore(saved: WindowSet, boot_id: str, now_ms: int) -> Sequence[Window]:
    """Return the saved windows that still last. After a reboot nobody knows how long it took: they begin again."""
    return [
        window if saved.boot_id == boot_id and window.began_ms <= now_ms else begin_again(window, now_ms)
        for window in saved.windows
        if saved.boot_id != boot_id or not window.is_over(now_ms)
    ]


def begin_again(window: Window, now_ms: int) -> Window:
    """Return a window with what was used of it, as if it began now."""
    return msgspec.structs.replace(window, began_ms=now_ms)


def worth_saving(windows: Mapping[str, Window], now_ms: int) -> Sequence[Window]:
    """Return the windows of which enough is used to be written, oldest first."""
    return [
        window
        for window in windows.values()
        if not window.is_over(now_ms) and window.used >= SAVED_SHARE_MIN * window.requests_max
    ]


class RateLimits:
    """The windows of all clients of one hub. Its loop is `run`."""

    def __init__(self, state_dir: Path, *, clock: Clock, disk: Disk, worker: Worker) -> None:
        """Prepare; every window is new before `load`."""
        self._store = JsonStore(
            state_dir / FILE_NAME,
            WindowSet(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="the limits of API clients begin again",
        )
        self._clock = clock
        self._windows: dict[str, Window] = {}
        self._source_windows: dict[str, Window] = {}
        self._used_ms: dict[str, int] = {}

    async def load(self) -> None:
        """Read what was used before the start."""
        await self._store.load_patiently()
        for window in restore(self._store.value, self._clock.boot_id, self._clock.monotonic_ms()):
            self._windows.setdefault(window.key, window)

    async def run(self) -> None:
        """Read the file, then write what is worth it from time to time."""
        await self.load()
        while True:
            await asyncio.sleep(SAVE_S)
            await self.save()

    async def save(self) -> None:
        """Write the windows of which enough is used, where they are not on the disk already."""
        found = tuple(worth_saving(self._windows, self._clock.monotonic_ms()))
        if found or self._store.value.windows:
            await self._store.apply(lambda _: WindowSet(self._clock.boot_id, found))

    def count(self, client_id: str, limits: Sequence[Limit]) -> tuple[Sequence[LimitUse], int | None]:
        """Count one request of a client; see the function `count`. Answers from memory."""
        self._used_ms.pop(client_id, None)
        self._used_ms[client_id] = self._clock.monotonic_ms()
        while len(self._used_ms) > CALLERS_MAX:
            del self._used_ms[next(iter(self._used_ms))]
        return self._count_in(self._windows, WINDOWS_MAX, client_id, limits)

    def idle_s(self, client_id: str) -> float | None:
        """Return how long ago a client asked last, refused requests too; `None` where it has not since the start."""
        used_ms = self._used_ms.get(client_id)
        return None if used_ms is None else (self._clock.monotonic_ms() - used_ms) / 1000

    def count_source(self, source: str, limit: Limit) -> int | None:
        """Count one request of nobody known; return in how many seconds to try again, `None` where it is admitted."""
        return self._count_in(self._source_windows, SOURCE_WINDOWS_MAX, source, [limit])[1]

    def _count_in(
        self, windows: dict[str, Window], windows_max: int, who: str, limits: Sequence[Limit]
    ) -> tuple[Sequence[LimitUse], int | None]:
        changed, uses, wait_s = count(windows, who, limits, self._clock.monotonic_ms())
        for key, window in changed.items():
            # The latest at the end: the one that began longest ago makes room.
            if (before := windows.get(key)) is None or before.began_ms != window.began_ms:
                windows.pop(key, None)
            windows[key] = window
        while len(windows) > windows_max:
            del windows[next(iter(windows))]
        return uses, wait_s
