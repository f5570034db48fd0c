"""The health of the connection to the cloud: of each endpoint, with its backoff, and of the whole. No I/O.

Each endpoint has a backoff and a health of its own: the failures of one neither stop the others nor are hidden by their
successes. The state of the connection is derived from all of them.
"""

import random
from collections.abc import Callable, Mapping
from enum import StrEnum

import msgspec

from agent.cloud.contract import Endpoint
from agent.errors import Cause
from agent.foundation.signals import full_jitter_s

BACKOFF_BASE_S = 1.0
BACKOFF_CAP_S = 300.0
"""Five minutes: a fleet of 5,000 without its cloud sends at most 33 requests a second, half of that on average."""

OUTAGE_MS_MIN = 60_000
"""A shorter loss of the connection is no outage: no notable backlog, no fleet to spread."""

KEY_REFUSALS_MAX = 3
"""401 responses in a row after which the key counts as refused (contract section 1.1)."""

KEY_PROBE_DELAYS_S = (10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
"""How long a refused key rests before each probe; the last for good (contract section 1.1: slowly, for example every
15 minutes). The first are short because a cloud that is being deployed refuses every key for a minute."""

STALE_MS = 900_000
"""A failure counts no longer when its endpoint has not been tried for so long after its backoff: it is not needed."""


class ConnectivityState(StrEnum):
    """The state of the connection. Degraded: some endpoints work."""

    UNTRIED = "untried"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    KEY_REFUSED = "key_refused"
    UNPROVISIONED = "unprovisioned"


class EndpointState(StrEnum):
    """The state of one endpoint, by its last response."""

    UNTRIED = "untried"
    WORKING = "working"
    THROTTLED = "throttled"
    FAILING = "failing"


class EndpointHealth(msgspec.Struct, frozen=True):
    """The health of one endpoint.

    Attributes:
        state: See `EndpointState`.
        reason: Why it does not work; empty where it does.
        cause: The kind of failure.
        since_ms: Boot time of the last change of state.
        failures: How many in a row.
        is_own: The failure is the endpoint's, not the connection's: it responded, or others worked meanwhile.
        began: The number of the event that began the failure.
        last: The number of the last failure.
    """

    state: EndpointState
    since_ms: int
    reason: str = ""
    cause: Cause | None = None
    failures: int = 0
    is_own: bool = False
    began: int = 0
    last: int = 0


class ConnectivityStatus(msgspec.Struct, frozen=True):
    """The state of the connection.

    Attributes:
        state: See `ConnectivityState`.
        reason: Why it is not up; empty when it is.
        since_ms: Boot time of the last change of state.
        cause: The kind of failure that keeps it from being up.
    """

    state: ConnectivityState
    reason: str
    since_ms: int
    cause: Cause | None = None


_UNANSWERED = {Cause.NO_CONNECTION, Cause.CERTIFICATE, Cause.NO_ANSWER}


class Connectivity:
    """Records the outcomes of requests: one method for each, one for each change of the key.

    Attributes:
        outages: So many are over since the start.
        last_error: Why a request failed last, also where the link works again; empty for never.
        last_error_ms: When that was, in boot time.
    """

    def __init__(
        self, *, now_ms: Callable[[], int], rng: random.Random, not_before_ms: Mapping[Endpoint, int] | None = None
    ) -> None:
        """Begin with endpoints that were never tried.

        Args:
            now_ms: Reads the boot time.
            rng: For backoffs.
            not_before_ms: Boot times before which endpoints rest, although nothing has failed.
        """
        self._now_ms = now_ms
        self._rng = rng
        self.health = dict.fromkeys(Endpoint, EndpointHealth(EndpointState.UNTRIED, now_ms()))
        self._not_before_ms = dict.fromkeys(Endpoint, 0) | dict(not_before_ms or {})
        self._has_key = True
        self._refusals = 0
        self._refused_until_ms = 0
        self._refusal = ""
        self._refused_at = 0
        self._probe: Endpoint | None = None
        self._events = 0
        self._last_success = 0
        self._begun = dict.fromkeys(Endpoint, 0)
        self._recovered_ms = now_ms()
        self._status = ConnectivityStatus(ConnectivityState.UNTRIED, "no request made yet", now_ms())
        self.outages = 0
        self.last_error = ""
        self.last_error_ms: int | None = None
        self._on_recovery: list[Callable[[], None]] = []

    @property
    def status(self) -> ConnectivityStatus:
        """The state of the connection now."""
        return self._update()

    def _update(self) -> ConnectivityStatus:
        state, reason, cause = self._derive_state()
        since_ms = self._status.since_ms if self._status.state is state else self._now_ms()
        self._status = ConnectivityStatus(state, reason, since_ms, cause)
        return self._status

    def on_recovery(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` whenever an outage of the connection, or of telemetry alone, is over."""
        self._on_recovery.append(callback)

    def wait_ms(self, endpoint: Endpoint) -> int:
        """Return how long until an endpoint may be tried again; 0 for now."""
        return max(0, self._not_before_ms[endpoint] - self._now_ms(), self._refused_until_ms - self._now_ms())

    def begin_request(self, endpoint: Endpoint, *, timeout_ms: int) -> None:
        """Record that a request is sent. While the key is refused it is the only probe: all others wait for it."""
        self._begun[endpoint] = self._last_success
        if self._refusals >= KEY_REFUSALS_MAX:
            self._refused_until_ms = self._now_ms() + timeout_ms
            self._probe = endpoint

    def record_success(self, endpoint: Endpoint) -> None:
        """Record a response that shows a working endpoint, even if it refused the request."""
        before, was = self._update(), self.health[endpoint]
        self._refusals = 0
        self._refused_until_ms = 0
        self._not_before_ms[endpoint] = 0
        self._last_success = self._count()
        if was.state is not EndpointState.WORKING:
            self.health[endpoint] = EndpointHealth(EndpointState.WORKING, self._now_ms())
        self._end_outage(before, self._update(), was if endpoint is Endpoint.TELEMETRY else None)

    def _end_outage(
        self, before: ConnectivityStatus, after: ConnectivityStatus, telemetry: EndpointHealth | None
    ) -> None:
        now_ms = self._now_ms()
        lost = {ConnectivityState.DOWN, ConnectivityState.KEY_REFUSED}
        is_link_back = before.state in lost and after.state not in lost and now_ms - before.since_ms >= OUTAGE_MS_MIN
        self.outages += is_link_back
        is_back = is_link_back or (
            telemetry is not None
            and telemetry.state is EndpointState.FAILING
            and now_ms - max(telemetry.since_ms, self._recovered_ms) >= OUTAGE_MS_MIN
        )
        if is_back:
            self._recovered_ms = now_ms
            for callback in self._on_recovery:
                callback()

    def record_failure(
        self,
        endpoint: Endpoint,
        reason: str,
        *,
        cause: Cause = Cause.NO_CONNECTION,
        retry_after_s: float | None = None,
    ) -> None:
        """Record that no usable response came: wait longer each time, and at least as long as the server asked."""
        was = self.health[endpoint]
        wait_s = full_jitter_s(was.failures, base_s=BACKOFF_BASE_S, cap_s=BACKOFF_CAP_S, rng=self._rng)
        self._not_before_ms[endpoint] = self._now_ms() + int((wait_s + (retry_after_s or 0.0)) * 1000) + 1
        self._note(endpoint, reason, cause)

    def _note(self, endpoint: Endpoint, reason: str, cause: Cause) -> None:
        was, number = self.health[endpoint], self._count()
        self.last_error, self.last_error_ms = reason, self._now_ms()
        is_first = was.state is not EndpointState.FAILING
        self.health[endpoint] = EndpointHealth(
            EndpointState.FAILING,
            self._now_ms() if is_first else was.since_ms,
            reason,
            cause,
            was.failures + 1,
            is_own=cause not in _UNANSWERED or self._last_success > self._begun[endpoint],
            began=number if is_first else was.began,
            last=number,
        )
        self._update()

    def record_throttling(self, endpoint: Endpoint, reason: str, wait_s: float) -> None:
        """Record a 429: the endpoint works, but must wait, and a little longer than was asked."""
        wait_ms = int(wait_s * 1000 * self._rng.uniform(1.0, 1.1))
        self._not_before_ms[endpoint] = self._now_ms() + wait_ms
        was = self.health[endpoint]
        self.last_error, self.last_error_ms = reason, self._now_ms()
        since_ms = was.since_ms if was.state is EndpointState.THROTTLED else self._now_ms()
        self.health[endpoint] = EndpointHealth(EndpointState.THROTTLED, since_ms, reason, failures=was.failures)

    def record_key_refusal(self, endpoint: Endpoint, reason: str) -> None:
        """Record a 401: after a few in a row all endpoints wait, and one of them probes ever more slowly."""
        if self._refusals >= KEY_REFUSALS_MAX and endpoint is not self._probe:
            # It was sent before the others were refused: no further probe.
            self._note(endpoint, reason, Cause.KEY_REFUSED)
            return
        self._refusals += 1
        self._refusal = reason
        self._probe = None
        if self._refusals < KEY_REFUSALS_MAX:
            self.record_failure(endpoint, reason, cause=Cause.KEY_REFUSED)
            return
        probe_s = KEY_PROBE_DELAYS_S[min(self._refusals - KEY_REFUSALS_MAX, len(KEY_PROBE_DELAYS_S) - 1)]
        self._refused_until_ms = self._now_ms() + int(probe_s * 1000 * self._rng.uniform(0.9, 1.1))
        self._note(endpoint, reason, Cause.KEY_REFUSED)
        self._refused_at = self._events

    def retry_now(self) -> None:
        """Let every endpoint be tried at once, for a person; the wait that a 429 asked for stays."""
        for endpoint, health in self.health.items():
            if health.state is not EndpointState.THROTTLED:
                self._not_before_ms[endpoint] = 0
        self._refused_until_ms = 0

    def remove_key(self) -> None:
        """Record that the hub has no key."""
        self._has_key = False
        self._update()

    def set_key(self, *, is_new: bool = False) -> None:
        """Record that the hub has a key. A first or new key resets all states."""
        if is_new:
            for endpoint, health in self.health.items():
                if health.cause is Cause.KEY_REFUSED:
                    self._not_before_ms[endpoint] = 0
        if is_new or not self._has_key:
            self._has_key = True
            self._refusals = 0
            self._refused_until_ms = 0
            self._last_success = 0
            self.health = dict.fromkeys(Endpoint, EndpointHealth(EndpointState.UNTRIED, self._now_ms()))
        self._update()

    def _count(self) -> int:
        self._events += 1
        return self._events

    def _derive_state(self) -> tuple[ConnectivityState, str, Cause | None]:
        if not self._has_key:
            return ConnectivityState.UNPROVISIONED, "the hub has no key", None
        failing = [health for endpoint, health in self.health.items() if self.is_failing(endpoint)]
        is_way_lost = any(not health.is_own and health.last > self._refused_at for health in failing)
        if self._refusals >= KEY_REFUSALS_MAX and not is_way_lost:
            return ConnectivityState.KEY_REFUSED, self._refusal, Cause.KEY_REFUSED
        if not failing:
            return (
                (ConnectivityState.UP, "", None)
                if self._last_success
                else (ConnectivityState.UNTRIED, "no request made yet", None)
            )
        if any(not health.is_own for health in failing):
            worst = max((health for health in failing if not health.is_own), key=lambda health: health.last)
            return ConnectivityState.DOWN, worst.reason, worst.cause
        is_partly = self._last_success > max(health.began for health in failing)
        # Of those that fail while others work, telemetry matters most; it is the first of the endpoints.
        worst = failing[0] if is_partly else max(failing, key=lambda health: health.last)
        return ConnectivityState.DEGRADED if is_partly else ConnectivityState.DOWN, worst.reason, worst.cause

    def is_failing(self, endpoint: Endpoint) -> bool:
        """Tell whether an endpoint fails now: a failed connection counts no longer once another endpoint has one."""
        health = self.health[endpoint]
        return (
            health.state is EndpointState.FAILING
            and (health.is_own or health.last > self._last_success)
            and self._now_ms() < self._not_before_ms[endpoint] + STALE_MS
        )
