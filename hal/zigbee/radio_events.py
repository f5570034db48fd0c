"""What the radio's thread publishes for the agent: readings, join events, and the radio's status.

Everything crosses the threads through bounded mailboxes that survive a restart of the radio.
"""

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from hal.interface import Reading
from hal.radio import JoinEvent, RadioState, RadioStatus

T = TypeVar("T")

_log = logging.getLogger(__name__)

READINGS_MAX = 20_000
"""Capacity while the agent does not fetch: half an hour at ten reports a second."""

EVENTS_MAX = 1000

STEPS_MAX = 30


class ThreadMailbox(Generic[T]):
    """A bounded queue: any thread adds items, one coroutine removes them; a full queue drops the oldest and logs it."""

    def __init__(self, items_max: int, content: str) -> None:
        """Create an empty mailbox.

        Args:
            items_max: Its capacity.
            content: What the items are, for the log.
        """
        self._items: deque[T] = deque()
        self._items_max = items_max
        self._content = content
        self._lock = threading.Lock()
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None
        self._is_woken = False
        self._dropped = 0

    def put(self, item: T) -> None:
        """Add an item. Callable from any thread."""
        with self._lock:
            if len(self._items) >= self._items_max:
                self._items.popleft()
                self._dropped += 1
            self._items.append(item)
        self.wake()

    def drain(self) -> Sequence[T]:
        """Remove and return all items, oldest first."""
        with self._lock:
            items, self._items = self._items, deque()
            dropped, self._dropped = self._dropped, 0
        if dropped:
            lost = "the oldest %d %s were lost: the agent did not fetch them in time; please report this with the log"
            _log.error(lost, dropped, self._content)
        return tuple(items)

    def wake(self) -> None:
        """Wake the waiting coroutine. Callable from any thread."""
        with self._lock:
            waiter, self._waiter = self._waiter, None
            self._is_woken = waiter is None
        if waiter is not None:
            loop, future = waiter
            # No coroutine waits on a closed loop.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_finish, future)

    async def wait(self) -> None:
        """Wait for an item or a wake-up. A wake-up since the last wait counts."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._is_woken:
                self._is_woken = False
                return
            self._waiter = (loop, future)
        await future


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class RadioEvents:
    """Written by the radio's thread, read by the agent's thread.

    Attributes:
        readings: Readings in the order of their reception.
        join_events: Events of joining and leaving devices.
        status: The radio's present status.
    """

    def __init__(self) -> None:
        self.readings: ThreadMailbox[Reading] = ThreadMailbox(READINGS_MAX, "Zigbee readings")
        self.join_events: ThreadMailbox[JoinEvent] = ThreadMailbox(EVENTS_MAX, "events of joining sensors")
        self.status = RadioStatus(RadioState.STARTING)
        self._steps: deque[str] = deque(maxlen=STEPS_MAX)

    def log_step(self, text: str) -> None:
        """Log a step and add it to the status."""
        _log.info("%s", text)
        self._steps.append(text)
        self.status = msgspec.structs.replace(self.status, steps=tuple(self._steps))

    def set_state(self, state: RadioState, problem: str = "", *, needs_software: bool = False) -> None:
        """Set the radio's state and wake the reader of the readings."""
        self.status = msgspec.structs.replace(self.status, state=state, problem=problem, needs_software=needs_software)
        if state is not RadioState.UP:
            self.set_join_window(None)
        self.readings.wake()

    def set_network(self, *, port: str, channel: int, pan_id: int, firmware: str = "") -> None:
        """Set the stick's port, its network and the version of its firmware."""
        self.status = msgspec.structs.replace(self.status, port=port, channel=channel, pan_id=pan_id, firmware=firmware)

    def set_join_window(self, until_ms: int | None) -> None:
        """Set the end of the open join window; `None` for none."""
        self.status = msgspec.structs.replace(self.status, join_window_until_ms=until_ms)
