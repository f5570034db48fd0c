"""What is known of the way to the cloud, and when each endpoint may be tried again. No I/O.

Two things are kept apart: the pace of each endpoint (its own failures must not silence the others), and the state of
the link as a whole, which is what people ask for.
"""

import random
from collections.abc import Callable
from enum import StrEnum

import msgspec

from agent.cloud.endpoints import Endpoint
from agent.foundation.backoff import full_jitter_s

BACKOFF_BASE_S = 1.0
BACKOFF_CAP_S = 300.0
"""Five minutes: a fleet of 5,000 that lost its cloud then asks 33 times a second in all, half of that on average."""

OUTAGE_MS_MIN = 60_000
"""A shorter loss of the link is a hiccup: no backlog worth speaking of, no fleet to keep apart."""

REFUSALS_MAX = 3
"""401 answers in a row after which the key counts as refused (contract section 1.1)."""

REFUSED_PROBE_S = 900.0
"""How often a refused key is tried again (contract section 1.1)."""


class LinkState(StrEnum):
    """What a technician wants to know first."""

    UNTRIED = "untried"
    UP = "up"
    DOWN = "down"
    KEY_REFUSED = "key_refused"
    UNPROVISIONED = "unprovisioned"


class LinkStatus(msgspec.Struct, frozen=True):
    """The link as shown.

    Attributes:
        state: See `LinkState`.
        reason: Why it is not up; empty when it is.
        since_ms: Boot time of the last change of state.
    """

    state: LinkState
    reason: str
    since_ms: int


class Link:
    """Counts failures and successes of requests."""

    def __init__(self, *, now_ms: Callable[[], int], rng: random.Random) -> None:
        self._now_ms = now_ms
        self._rng = rng
        self._failures = dict.fromkeys(Endpoint, 0)
        self._not_before_ms = dict.fromkeys(Endpoint, 0)
        self._refusals = 0
        self._refused_until_ms = 0
        self.status = LinkStatus(LinkState.UNTRIED, "no request made yet", now_ms())
        self.outages = 0
        self._on_recovery: list[Callable[[], None]] = []

    def on_recovery(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called whenever an outage is over."""
        self._on_recovery.append(callback)

    def wait_ms(self, endpoint: Endpoint) -> int:
        """Return how long until an endpoint may be tried again; 0 for now."""
        return max(0, self._not_before_ms[endpoint] - self._now_ms(), self._refused_until_ms - self._now_ms())

    def succeeded(self, endpoint: Endpoint) -> None:
        """An answer came that shows the cloud working, even if it was a refusal of what was sent."""
        self._failures[endpoint] = 0
        self._not_before_ms[endpoint] = 0
        self._refusals = 0
        self._refused_until_ms = 0
        before = self.status
        if before.state is not LinkState.UP:
            now_ms = self._now_ms()
            self.status = LinkStatus(LinkState.UP, "", now_ms)
            if before.state is not LinkState.UNTRIED and now_ms - before.since_ms >= OUTAGE_MS_MIN:
                self.outages += 1
                for callback in self._on_recovery:
                    callback()

    def failed(self, endpoint: Endpoint, reason: str, *, retry_after_s: float | None = None) -> None:
        """No usable answer came: wait, longer each time, and at least as long as the server asked."""
        self._put_off(endpoint, retry_after_s)
        self._enter(LinkState.DOWN, reason)

    def throttled(self, endpoint: Endpoint, wait_s: float) -> None:
        """The server said 429: it works, but this endpoint must wait, and a little longer than was asked."""
        wait_ms = int(wait_s * 1000 * self._rng.uniform(1.0, 1.1))
        self._not_before_ms[endpoint] = self._now_ms() + wait_ms

    def refused(self, endpoint: Endpoint, reason: str) -> None:
        """The key was refused: after a few times in a row, probe slowly; all endpoints wait."""
        self._refusals += 1
        if self._refusals >= REFUSALS_MAX:
            self._refused_until_ms = self._now_ms() + int(REFUSED_PROBE_S * 1000 * self._rng.uniform(0.9, 1.1))
            self._enter(LinkState.KEY_REFUSED, reason)
        else:
            self.failed(endpoint, reason)

    def unprovisioned(self) -> None:
        """The hub has no key."""
        self._enter(LinkState.UNPROVISIONED, "the hub has no key")

    def provisioned(self) -> None:
        """The hub has a key: where it had none, everything begins."""
        if self.status.state is LinkState.UNPROVISIONED:
            self._refusals = 0
            self._refused_until_ms = 0
            self._enter(LinkState.UNTRIED, "no request made yet")

    def _put_off(self, endpoint: Endpoint, retry_after_s: float | None) -> None:
        wait_s = full_jitter_s(self._failures[endpoint], base_s=BACKOFF_BASE_S, cap_s=BACKOFF_CAP_S, rng=self._rng)
        if retry_after_s is not None:
            wait_s += retry_after_s
        self._failures[endpoint] += 1
        self._not_before_ms[endpoint] = self._now_ms() + int(wait_s * 1000) + 1

    def _enter(self, state: LinkState, reason: str) -> None:
        since_ms = self.status.since_ms if self.status.state is state else self._now_ms()
        self.status = LinkStatus(state, reason, since_ms)
