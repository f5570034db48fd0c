"""Judges readings: compares what the sensors provided with what the cloud stored. Independent of the agent.

It observes the sensors (values provided), the outbox's border (readings committed) and the cloud (readings stored,
requests received), and keeps its own account of each. It must never ask a component of the agent, with one exception:
the numbers of readings that were judged bad or were in memory at a crash, which close the account.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import msgspec

from agent.foundation.text import plural
from agent.telemetry.outbox.protocol import DeadLetter, Gap, GapCause
from hal.interface import Reading
from lab.refcloud.contract import QUOTAS, Endpoint
from lab.refcloud.records import AcceptedReading, ReadingVerdict

VIOLATIONS_MAX = 50

DELIVERY_S_MAX = 1200.0
"""In calm weather a reading is with the cloud this much later: commit, linger, one full back-off of 5 min, the random
pause after an outage, a slow probe of a refused key (15 min)."""

_Series = tuple[str, str]


def _series_text(series: _Series) -> str:
    device, kind = series
    return f"{device or 'the hub'} {kind}"


class Violation(msgspec.Struct, frozen=True):
    """A violated promise: what the hub guarantees, and what happened instead."""

    at_s: float
    promise: str
    detail: str


class OracleCounts(msgspec.Struct):
    """The oracle's counts of readings."""

    handed_out: int = 0
    taken: int = 0
    accepted: int = 0
    duplicates_sent: int = 0
    duplicates_stored: int = 0
    altered: int = 0
    invented: int = 0
    lost: int = 0
    judged_bad: int = 0
    uncommitted: int = 0
    sent_from_memory: int = 0
    unreported: int = 0
    left_out: int = 0
    erased: int = 0


class ReadingOracle:
    """Keeps the account of readings and notes violations: one method for each observed event, and one for each promise.

    Attributes:
        outstanding: Readings committed and not yet stored by the cloud.
        counts: The account so far.
        requests: How many requests arrived at the cloud.
        over_quota: How many of them exceeded a quota.
        violations: The violated promises.
    """

    def __init__(
        self,
        device_of: Mapping[str, str],
        root_of: Mapping[str, str] = MappingProxyType({}),
        *,
        on_violation: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Begin.

        Args:
            device_of: The agent's name of each device, by its id in the cloud.
            root_of: Of a device that has replaced another: the one whose identity it has.
            on_violation: Receives the promise of each violation that is kept.
        """
        self._on_violation = on_violation
        self._device_of = device_of
        self._root_of = root_of
        self._outstanding: dict[_Series, dict[int, float]] = {}
        self._erased: dict[_Series, dict[int, float]] = {}
        self._sent_from_memory: dict[_Series, dict[int, float]] = {}
        self._stored_from_memory: set[tuple[_Series, int]] = set()
        self._provided: dict[_Series, dict[int, float]] = {}
        self._arrivals: dict[Endpoint, deque[float]] = {endpoint: deque() for endpoint in Endpoint}
        self._fixed: Counter[tuple[Endpoint, int]] = Counter()
        self.outstanding = 0
        self.counts = OracleCounts()
        self.requests = 0
        self.over_quota = 0
        self.violations: list[Violation] = []

    def violate(self, at_s: float, promise: str, detail: str) -> None:
        """Note a violation; only the first `VIOLATIONS_MAX` are kept."""
        if len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(Violation(round(at_s, 3), promise, detail))
            self._on_violation(promise)

    def record_provided(self, device: str, kind: str, value: float, utc_ms: int) -> None:
        """A sensor provided a value."""
        self.counts.handed_out += 1
        self._provided.setdefault((device, kind), {})[utc_ms] = value

    def record_committed(self, readings: Iterable[Reading], zero_utc_ms: int, at_s: float) -> None:
        """The outbox has committed readings: from here on none may be lost.

        Args:
            readings: As they were appended.
            zero_utc_ms: The true UTC of the boot time 0.
            at_s: Now.
        """
        for reading in readings:
            series, utc_ms = self._find_provided(reading, zero_utc_ms, at_s)
            left = self._outstanding.setdefault(series, {})
            self.outstanding += utc_ms not in left
            left[utc_ms] = reading.value
            if (series, utc_ms) in self._stored_from_memory:
                # The process that had sent it from memory died, so the sensor delivered it once more: one reading.
                self.counts.handed_out -= 1
            else:
                self.counts.taken += 1

    def record_memory_send(self, readings: Iterable[Reading], zero_utc_ms: int, at_s: float) -> None:
        """Readings are about to be sent from memory, because the disk accepts none: they may arrive or be lost."""
        for reading in readings:
            series, utc_ms = self._find_provided(reading, zero_utc_ms, at_s)
            self._sent_from_memory.setdefault(series, {})[utc_ms] = reading.value
            self.counts.sent_from_memory += 1

    def _find_provided(self, reading: Reading, zero_utc_ms: int, at_s: float) -> tuple[_Series, int]:
        """Find a reading among the provided values; return its series and its instant."""
        series = (reading.device, reading.kind)
        utc_ms = reading.at_ms + zero_utc_ms
        provided = self._provided.get(series, {})
        # The intake moves the second of two reports of one millisecond (see `Intake`).
        given = provided.pop(utc_ms, None) if utc_ms in provided else provided.pop(utc_ms - 1, None)
        series = (self._root(reading.device), reading.kind)
        if given is None:
            # Taken from memory, not sent, and given to the disk after all.
            given = self._sent_from_memory.get(series, {}).pop(utc_ms, None)
            self.counts.sent_from_memory -= given is not None
        if given != reading.value:
            self.counts.invented += 1
            self.violate(
                at_s,
                "nothing invented",
                f"{_series_text(series)} at {utc_ms}: committed {reading.value}, given {given}",
            )
        return series, utc_ms

    def _root(self, device: str) -> str:
        return self._root_of.get(device, device)

    def record_stored(self, readings: Sequence[AcceptedReading], at_s: float) -> None:
        """The cloud has accepted readings."""
        for reading in readings:
            series = (self._device_of[reading.device_id], reading.sensor_type)
            known = self._outstanding.get(series, {}).pop(reading.at_ms, None)
            self.outstanding -= known is not None
            if known is None:
                # Sent before the hub was erased, and arrived after.
                known = self._erased.get(series, {}).pop(reading.at_ms, None)
                self.counts.erased -= known is not None
            if known is None and (known := self._sent_from_memory.get(series, {}).pop(reading.at_ms, None)) is not None:
                self.counts.sent_from_memory -= 1
                self.counts.taken += 1
                self._stored_from_memory.add((series, reading.at_ms))
            if reading.verdict is ReadingVerdict.STORED:
                self.counts.accepted += 1
                if known is None:
                    self.counts.invented += 1
                    self.violate(
                        at_s,
                        "nothing invented",
                        f"{_series_text(series)} at {reading.at_ms}: {reading.value} never committed",
                    )
                elif known != reading.value:
                    self.counts.altered += 1
                    self.violate(
                        at_s,
                        "nothing altered",
                        f"{_series_text(series)} at {reading.at_ms}: {known} became {reading.value}",
                    )
            else:
                self.counts.duplicates_sent += 1
                if reading.verdict is ReadingVerdict.CONFLICTING:
                    self.counts.altered += 1
                    self.violate(
                        at_s,
                        "nothing altered",
                        f"{_series_text(series)} at {reading.at_ms} came again as {reading.value}",
                    )

    def record_request(self, endpoint: Endpoint, arrived_s: float) -> None:
        """A request arrived. It counts against the quota in a sliding and in a fixed window."""
        self.requests += 1
        quota = QUOTAS[endpoint]
        arrivals = self._arrivals[endpoint]
        while arrivals and arrivals[0] <= arrived_s - quota.window_s:
            arrivals.popleft()
        arrivals.append(arrived_s)
        window = (endpoint, int(arrived_s // quota.window_s))
        self._fixed[window] += 1
        if len(arrivals) > quota.limit or self._fixed[window] > quota.limit:
            self.over_quota += 1
            self.violate(arrived_s, "quota kept", f"{endpoint}: request {len(arrivals)} within {quota.window_s} s")

    def record_erased(self) -> None:
        """A factory reset has erased the outbox: readings that the cloud does not have are lost on purpose."""
        for series, left in self._outstanding.items():
            self._erased.setdefault(series, {}).update(left)
            self.counts.erased += len(left)
        self._outstanding.clear()
        self.outstanding = 0

    def outstanding_records(self) -> Iterator[tuple[str, str, int]]:
        """Return device, kind and UTC in ms of each reading that is committed and that the cloud does not have."""
        for (device, kind), left in self._outstanding.items():
            for utc_ms in left:
                yield device, kind, utc_ms

    def record_discarded(self, records: Iterable[tuple[str, str, int]]) -> None:
        """A person gives up readings of `outstanding_records`: they count as erased."""
        for device, kind, utc_ms in records:
            series = (device, kind)
            self._erased.setdefault(series, {})[utc_ms] = self._outstanding[series].pop(utc_ms)
            self.outstanding -= 1
            self.counts.erased += 1

    def record_process_end(self, *, judged_bad: int, uncommitted: int, left_out: int, unreported: int = 0) -> None:
        """A process ended: add its own counts to the account.

        Args:
            judged_bad: Readings that were not plausible.
            uncommitted: Readings that were still in its memory.
            left_out: Readings of sensors that had been removed.
            unreported: Readings for the heating between two reports, which the cloud never receives.
        """
        self.counts.left_out += left_out
        self.counts.unreported += unreported
        self.counts.judged_bad += judged_bad
        self.counts.uncommitted += uncommitted
        self._provided.clear()

    def check_kept(self, pending: int, given_up: int, at_s: float) -> None:
        """Check safety: a reading that the cloud does not have is in the outbox, or was given up on record."""
        if self.outstanding > pending + given_up:
            missing = self.outstanding - pending - given_up
            self.counts.lost = max(self.counts.lost, missing)
            self.violate(
                at_s, "nothing lost", f"neither with the cloud nor in the outbox: {plural(missing, 'reading')}"
            )

    def check_stored_once(self, kept: int, at_s: float) -> None:
        """Check that the cloud's store holds each accepted reading exactly once."""
        self.counts.duplicates_stored = self.counts.accepted - kept
        if self.counts.duplicates_stored:
            self.violate(at_s, "nothing stored twice", f"{self.counts.accepted} stored, {kept} kept")

    def check_account(self, at_s: float) -> None:
        """Close the account between the sensors and the outbox."""
        counts = self.counts
        accounted = counts.taken + counts.judged_bad + counts.uncommitted + counts.left_out + counts.unreported
        accounted += counts.sent_from_memory
        if counts.handed_out != accounted:
            self.violate(
                at_s,
                "every reading accounted for",
                f"{counts.handed_out} provided out; {counts.taken} committed, {counts.judged_bad} judged bad,"
                f" {counts.uncommitted} in memory at a crash, {counts.left_out} left out:"
                f" {counts.handed_out - accounted} left",
            )

    def check_delivered(self, at_s: float, start_utc_ms: int) -> None:
        """Check liveness: after the calm period only readings younger than `DELIVERY_S_MAX` may be undelivered."""
        limit_ms = start_utc_ms + int((at_s - DELIVERY_S_MAX) * 1000)
        late = [(series, utc_ms) for series, left in self._outstanding.items() for utc_ms in left if utc_ms < limit_ms]
        if late:
            series, utc_ms = min(late, key=lambda x: x[1])
            oldest = f"the oldest: {_series_text(series)} at {utc_ms}"
            self.violate(at_s, "everything delivered", f"late readings: {len(late)}; {oldest}")

    def deduct_given_up(
        self, gaps: Iterable[Gap], letters: Iterable[DeadLetter], zeros_utc_ms: Mapping[str, int]
    ) -> None:
        """Deduct from the account the readings that the hub gave up on record, one by one.

        Args:
            gaps: Of the outbox.
            letters: The dead letters.
            zeros_utc_ms: The true UTC of the boot time 0 of each boot, by its name.
        """
        forgiven = 0
        for letter in letters:
            forgiven += (
                self._outstanding.get((self._root(letter.device), letter.kind), {}).pop(letter.utc_ms, None) is not None
            )
        for gap in gaps:
            if gap.cause is GapCause.MEMORY_FULL or gap.kind is None:
                continue
            left = self._outstanding.get((self._root(gap.device), gap.kind.value), {})
            zero_ms = zeros_utc_ms[gap.boot_id]
            within = [utc_ms for utc_ms in left if gap.from_ms <= utc_ms - zero_ms <= gap.to_ms]
            for utc_ms in sorted(within)[: gap.lost]:
                del left[utc_ms]
                forgiven += 1
        self.outstanding -= forgiven
