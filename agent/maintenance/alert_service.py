"""Keeps the hub's own alerts: on the disk before anybody hears of one, so that each begins and ends once.

Owns `maintenance-alerts.json`, written when something changes. Must never act on the equipment.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from agent.errors import StorageFull
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.log import ProblemLog
from agent.foundation.worker import Worker
from agent.maintenance.alerts import Alert, AlertState, Answer, answered, muted, resolve, review
from agent.maintenance.assessment import NEEDED, Finding

_log = logging.getLogger(__name__)

FILE_NAME = "maintenance-alerts.json"
FILE_BYTES_MAX = 512 * 1024
"""Sixty-four alerts and a hundred answers with the longest texts take 250 KiB; ordinary ones 50."""

Listener = Callable[[Alert], object]
"""Receives an alert that has begun, or has ended."""


class MaintenanceAlerts:
    """The alerts of one hub's predictive maintenance.

    Attributes:
        threshold: The confidence from which on a finding is an alert.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Clock,
        disk: Disk,
        worker: Worker,
        new_id: Callable[[], str],
        add_fault: Callable[[str], None],
        remove_fault: Callable[[str], None],
        threshold: float = NEEDED,
    ) -> None:
        """Prepare; nothing is known before `load`.

        Args:
            directory: Of the file.
            clock: The clocks of the boot.
            disk: Reads and writes the file.
            worker: Where reading and writing block.
            new_id: Makes the ids of alerts.
            add_fault: Shows an alert to people at the hub.
            remove_fault: Takes it away again; receives the same text.
            threshold: The confidence from which on a finding is an alert.
        """
        self.threshold = threshold
        self._clock = clock
        self._new_id = new_id
        self._add_fault = add_fault
        self._remove_fault = remove_fault
        self._listeners: list[Listener] = []
        self._loaded = asyncio.Event()
        self._problem = ProblemLog(_log, "an alert of predictive maintenance waits for the disk")
        self._store = JsonStore(
            directory / FILE_NAME,
            AlertState(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="answers of technicians are lost, and alerts of predictive maintenance that still hold begin again",
        )

    @property
    def problem(self) -> str:
        """What was wrong with the file when it was read; empty where nothing was."""
        return self._store.problem

    @property
    def state(self) -> AlertState:
        """All that is kept."""
        return self._store.value

    @property
    def newest_first(self) -> Sequence[Alert]:
        """The alerts that are kept."""
        return self.state.alerts[::-1]

    def on_change(self, listener: Listener) -> None:
        """Have ``listener`` called with each alert that has begun or ended, once it is on the disk."""
        self._listeners.append(listener)

    async def load(self) -> None:
        """Read the file, and show the open alerts."""
        if not self._loaded.is_set():
            for alert in (await self._store.load_patiently()).alerts:
                if alert.is_open:
                    self._add_fault(fault_text(alert))
            self._loaded.set()

    async def wait_until_loaded(self) -> None:
        """Wait until the file has been read."""
        await self._loaded.wait()

    async def review(self, findings: Mapping[str, Sequence[Finding]]) -> None:
        """Begin and end alerts by what is known; without the time of day, or where the disk refuses, do nothing yet."""
        utc_ms = self._clock.utc_ms()
        if utc_ms is None:
            return
        try:
            await self._change(
                lambda state: review(state, findings, utc_ms=utc_ms, new_id=self._new_id, threshold=self.threshold)
            )
        except StorageFull as error:
            self._problem.report(str(error))
        else:
            self._problem.clear()

    async def resolve(self, alert_id: str, *, by: str, findings: Mapping[str, Sequence[Finding]]) -> Alert | None:
        """End an alert, durably, and return it; `None` where there is none. One that has ended stays as it is.

        Args:
            alert_id: Of the alert.
            by: Who says so.
            findings: What is known of each zone: the alert returns when it has grown clearly.

        Raises:
            StorageFull: It is not ended.
        """
        utc_ms = self._clock.utc_ms()

        def change(state: AlertState) -> AlertState:
            for alert in state.alerts:
                if alert.alert_id == alert_id and alert.is_open:
                    ended = resolve(state, alert_id, by=by, utc_ms=utc_ms or alert.made_utc_ms)
                    return muted(ended, alert.zone_id, alert.indicator, _shift_of(alert, findings))
            return state

        alerts = (await self._change(change)).alerts
        return next((each for each in alerts if each.alert_id == alert_id), None)

    async def answer(self, answer: Answer, *, shift: float) -> None:
        """Keep a technician's answer, durably; an open alert ends.

        Args:
            answer: The answer.
            shift: By which share the indicator is worse than its usual value now.

        Raises:
            StorageFull: It is not kept.
        """
        await self._change(lambda state: answered(state, answer, max(0.0, shift)))

    async def _change(self, change: Callable[[AlertState], AlertState]) -> AlertState:
        """Make a change durable, then report each alert that is another one.

        Raises:
            StorageFull: Nothing has changed.
        """
        await self._loaded.wait()
        before: AlertState = self.state

        def noting(state: AlertState) -> AlertState:
            nonlocal before
            before = state
            return change(state)

        after = await self._store.commit(noting)
        for alert in after.alerts:
            if alert not in before.alerts:
                self._report(alert)
        return after

    def _report(self, alert: Alert) -> None:
        if alert.is_open:
            _log.warning("%s (confidence %.2f)", fault_text(alert), alert.confidence)
            self._add_fault(fault_text(alert))
        else:
            _log.info("alert %s of %s is resolved by %s", alert.alert_id, alert.zone_id, alert.resolved_by)
            self._remove_fault(fault_text(alert))
        for listener in self._listeners:
            listener(alert)


def _shift_of(alert: Alert, findings: Mapping[str, Sequence[Finding]]) -> float:
    found = (each.shift for each in findings.get(alert.zone_id, ()) if each.indicator == alert.indicator)
    return max(0.0, next(found, 0.0))


def fault_text(alert: Alert) -> str:
    """Return an alert as a fault of the hub; its id comes first, since a long text is cut."""
    return f"alert {alert.alert_id}: {alert.zone_id}: {alert.issue}: {alert.evidence}; {alert.action}"
