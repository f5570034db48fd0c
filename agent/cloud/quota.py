"""Keeps the cloud's quotas on the hub, so that no 429 is ever received. No I/O but a memory-mapped file.

Each quota is a sliding window of slots. A request takes a free slot, and the slot is free again one window after the
request was *complete*. The server received the request no later than that, and receives the next one no earlier than it
is sent. However long either travels, the server never counts more than the limit in any window, fixed or sliding (the
contract, section 1.2, leaves open which). The price is the travel time of one response per window. A request without a
response may still be queued on its path after the hub has given it up: its slot stays taken `LATE_ARRIVAL_MS` longer.

The slots survive a crash of the agent in a small file of the runtime directory, which is memory: no wear. A reboot
empties it; then every slot counts as used at the moment of the boot, since no earlier request can be younger than that.
Only `REQUESTS_FREE_AT_BOOT` are free at once. As many are held back at all other times, so that the limit holds over a
reboot.
"""

import itertools
import logging
import mmap
import os
import struct
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.cloud.contract import QUOTAS, Endpoint, Quota

_log = logging.getLogger(__name__)

MARGIN_MS = 100
"""Added to each window, so that two clocks that differ by 0.1 % agree on what is within it."""

REQUESTS_FREE_AT_BOOT = {Endpoint.SETTINGS_GET: 1, Endpoint.COMMANDS_PENDING: 4, Endpoint.COMMANDS_ACK: 1}
"""Requests that a new boot may send at once: it needs its settings, must settle the command that may have caused the
boot, and polls every 15 s from the twelfth second on. All others wait for one window."""

LATE_ARRIVAL_MS = 60_000
"""How long after its timeout a request without a response may still reach the server, from the queue of a proxy."""

_HEADER_BYTES = 64


class QuotaLedger:
    """Stores when each slot of each endpoint is free again, in milliseconds of this boot."""

    def __init__(self, path: Path | None, boot_id: str) -> None:
        """Open the ledger of this boot, or create one.

        Args:
            path: The file, in a directory that a reboot empties; `None` keeps the ledger in this process only.
            boot_id: The boot that the times count from.
        """
        self._starts: dict[Endpoint, int] = {}
        count = 0
        for endpoint, quota in QUOTAS.items():
            self._starts[endpoint] = count
            count += quota.limit
        size = _HEADER_BYTES + 8 * count
        header = struct.pack(f"<{_HEADER_BYTES}s", f"climahub quotas 1 {boot_id}".encode())
        self._memory: mmap.mmap | bytearray = (path and _mapped(path, size)) or bytearray(size)
        self._slots = memoryview(self._memory)[_HEADER_BYTES:].cast("q")
        if self._memory[:_HEADER_BYTES] != header:
            self._begin(count)
            self._memory[:_HEADER_BYTES] = header

    def _begin(self, count: int) -> None:
        fresh = array("q", bytes(8 * count))
        for endpoint, start in self._starts.items():
            quota = QUOTAS[endpoint]
            for index in range(start + REQUESTS_FREE_AT_BOOT.get(endpoint, 0), start + quota.limit):
                fresh[index] = quota.window_s * 1000 + MARGIN_MS
        self._slots[:] = memoryview(fresh)

    def slots(self, endpoint: Endpoint) -> memoryview:
        """Return the slots of an endpoint; what is written to them survives a crash of the process."""
        start = self._starts[endpoint]
        return self._slots[start : start + QUOTAS[endpoint].limit - REQUESTS_FREE_AT_BOOT.get(endpoint, 0)]


def _mapped(path: Path, size: int) -> mmap.mmap | None:
    """Map a file; `None` where that fails: then only a crash of the agent loses the ledger."""
    try:
        with path.open("a+b") as file:
            file.truncate(size)
            # A page that the file system has no room for would end the process (SIGBUS, mmap(2)) when it is written.
            os.posix_fallocate(file.fileno(), 0, size)
            return mmap.mmap(file.fileno(), size)
    except (OSError, ValueError) as error:
        _log.warning("the ledger of the cloud's quotas is kept in memory only: %s: %s", path, error)
        return None


class SlidingWindow:
    """The quota of one endpoint."""

    def __init__(self, slots: memoryview, quota: Quota, now_ms: Callable[[], int]) -> None:
        self.quota = quota
        self._slots = slots
        self._now_ms = now_ms
        self._window_ms = quota.window_s * 1000 + MARGIN_MS

    def wait_ms(self) -> int:
        """Return how long until a request may be sent; 0 for now."""
        return max(0, min(self._slots) - self._now_ms())

    def acquire(self, *, timeout_ms: int) -> int:
        """Take a slot for a request that starts now; return its number.

        Without `complete` or `cancel`, the slot stays taken as for a request without a response; so it does after a
        crash during the request.

        Args:
            timeout_ms: Of the request.

        Raises:
            ValueError: No slot is free; the caller must wait first.
        """
        number = min(range(len(self._slots)), key=self._slots.__getitem__)
        if self._slots[number] > self._now_ms():
            raise ValueError(f"no request is left of {self.quota.limit} in {self.quota.window_s} s")
        self._slots[number] = self._now_ms() + timeout_ms + LATE_ARRIVAL_MS + self._window_ms
        return number

    def complete(self, number: int) -> None:
        """Record that the request of a slot was answered: the server has counted it by now."""
        self._slots[number] = self._now_ms() + self._window_ms

    def cancel(self, number: int) -> None:
        """Free the slot of a request that was never sent."""
        self._slots[number] = self._now_ms()

    @property
    def is_history_unknown(self) -> bool:
        """Whether slots are still taken only because the requests before this boot are not known."""
        return self._window_ms in self._slots and self.wait_ms() > 0

    def load_history(self, ages_ms: Sequence[int]) -> None:
        """Replace what was assumed at the start of the boot with the known requests before it.

        Args:
            ages_ms: How long ago each was sent.
        """
        assumed = [number for number, free_at_ms in enumerate(self._slots) if free_at_ms == self._window_ms]
        known = sorted(age_ms for age_ms in ages_ms if age_ms < self._window_ms)
        now_ms = self._now_ms()
        for number, age_ms in itertools.zip_longest(assumed, known[: len(assumed)]):
            self._slots[number] = now_ms if age_ms is None else now_ms - age_ms + self._window_ms

    def used(self) -> int:
        """Return how many slots are taken now."""
        now_ms = self._now_ms()
        return sum(free_at_ms > now_ms for free_at_ms in self._slots)
