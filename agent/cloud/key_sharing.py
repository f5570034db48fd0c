"""Whether another hub may use the same key: the cloud counts requests that this hub has not sent. Pure.

By its own account (`agent.cloud.quota`) a hub never sends a request that the cloud would refuse with 429. A 429 while
that account is well below the limit means that somebody else's requests are counted too. It is a hint only: a cloud in
trouble may throttle everybody, so other requests must have been answered in between, and two hubs that are not busy
together stay below every limit and are never noticed like this.
"""

import logging
from collections.abc import Callable

import msgspec

from agent.cloud.contract import Endpoint, Quota

_log = logging.getLogger(__name__)

USED_SHARE_MAX = 0.5
"""Of a quota. The account errs upwards only, by the travel time of a response and by what it assumes after a boot."""

WINDOWS_MIN = 3
"""So many windows of a quota with a 429 are no accident, such as a cloud that lost its own account once."""

KEPT_MS = 24 * 3_600_000
"""A hint that has not come again for a day is over: the other hub has got a key of its own."""


class Throttling(msgspec.Struct, frozen=True):
    """One answer 429 that this hub's own requests do not explain."""

    at_ms: int
    used: int


class KeySharing:
    """The answers 429 that this hub's own requests do not explain."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        """Begin with a key of which nothing is known.

        Args:
            now_ms: Reads the boot time.
        """
        self._now_ms = now_ms
        self._found: dict[Endpoint, list[Throttling]] = {}
        self._has_answer = False

    def record_answer(self) -> None:
        """Record that the cloud has answered a request: it does not throttle everybody."""
        self._has_answer = True

    def record_throttling(self, endpoint: Endpoint, *, used: int, quota: Quota) -> None:
        """Record a 429.

        Args:
            endpoint: Of the request.
            used: Requests of this hub that count now, that one included.
            quota: Of the endpoint.
        """
        now_ms, before = self._now_ms(), self._kept(endpoint)
        is_same_window = bool(before) and now_ms - before[-1].at_ms < quota.window_s * 1000
        if used > quota.limit * USED_SHARE_MAX or is_same_window or not self._has_answer:
            return
        self._has_answer = False
        self._found[endpoint] = [*before, Throttling(now_ms, used)][-WINDOWS_MIN:]
        if len(before) == WINDOWS_MIN - 1:
            _log.warning("another hub may use this hub's key: %s", self.evidence)

    @property
    def evidence(self) -> str:
        """What tells that another hub may use the key; empty where nothing does."""
        for endpoint in self._found:
            kept = self._kept(endpoint)
            if len(kept) >= WINDOWS_MIN:
                used = max(each.used for each in kept)
                return f"{endpoint.value} was answered 429 with at most {used} requests of this hub in the window"
        return ""

    def _kept(self, endpoint: Endpoint) -> list[Throttling]:
        since_ms = self._now_ms() - KEPT_MS
        return [each for each in self._found.get(endpoint, []) if each.at_ms > since_ms]
