"""Alerts of AURRA Home clients: shown to people at the hub from the threshold on, until somebody resolves them.

Owns which alert is a fault of the hub's status. An alert and its end are on the disk before anything is sent. Each is
queued for webhooks once, also over a power cut: a start offers those of the last day again, by the same keys.
"""

from collections.abc import Callable

from agent.apis.aurra_home.assumptions import ALERT_THRESHOLD
from agent.apis.aurra_home.events import Offer, alert_event, oldest_again_ms, resolved_event
from agent.apis.aurra_home.records import AlertRecord, AurraRecords, with_alert, with_resolved
from agent.errors import Rejected
from agent.foundation.clock import Clock
from agent.foundation.text import quote


class UnknownAlert(Rejected):
    """There is no such alert."""


class Alerts:
    """The alerts of one hub. Their loop is `run`."""

    def __init__(
        self,
        records: AurraRecords,
        *,
        clock: Clock,
        offer: Offer,
        add_fault: Callable[[str], None],
        remove_fault: Callable[[str], None],
    ) -> None:
        """Prepare; no alert is known before the records have been read.

        Args:
            records: Keeps them.
            clock: For the time of their ends.
            offer: Takes events at once.
            add_fault: Shows an alert to people at the hub.
            remove_fault: Takes it away again; receives the same text.
        """
        self._records = records
        self._clock = clock
        self._offer = offer
        self._add_fault = add_fault
        self._remove_fault = remove_fault

    @property
    def newest_first(self) -> list[AlertRecord]:
        """All alerts that are kept."""
        return list(reversed(self._records.value.alerts))

    async def run(self) -> None:
        """After a start, show what is not resolved, and offer the events of the last day again."""
        await self._records.wait_until_loaded()
        for alert in filter(is_shown, self._records.value.alerts):
            if not alert.is_resolved:
                self._add_fault(fault_text(alert))
        oldest_ms = await oldest_again_ms(self._clock)
        for alert in filter(is_shown, self._records.value.alerts):
            if alert.made_utc_ms is not None and alert.made_utc_ms > oldest_ms:
                self._offer([alert_event(alert)])
            if alert.resolved_utc_ms is not None and alert.resolved_utc_ms > oldest_ms:
                self._offer([resolved_event(alert)])

    async def add(self, alert: AlertRecord) -> None:
        """Keep a new alert, durably; the oldest makes room, also at the hub.

        Raises:
            StorageFull: It is not kept.
        """
        before = self._records.value.alerts
        after = (await self._records.store.commit(lambda stored: with_alert(stored, alert))).alerts
        for each in before:
            if each not in after:
                self._remove_fault(fault_text(each))
        if is_shown(alert):
            self._add_fault(fault_text(alert))
            self._offer([alert_event(alert)])

    async def resolve(self, alert_id: str, *, by: str) -> AlertRecord:
        """Resolve an alert, durably, and return it; one that is resolved already stays as it is.

        Args:
            alert_id: Of the alert.
            by: Who says so.

        Raises:
            UnknownAlert: There is none, or it has made room.
            StorageFull: It is not resolved.
        """
        utc_ms = self._clock.utc_ms()
        records = await self._records.store.commit(lambda stored: with_resolved(stored, alert_id, by, utc_ms))
        for alert in records.alerts:
            if alert.alert_id == alert_id:
                self._remove_fault(fault_text(alert))
                if is_shown(alert):
                    self._offer([resolved_event(alert)])
                return alert
        raise UnknownAlert(f"look at the ids (climahub api alert list): there is no alert {quote(alert_id)}")


def is_shown(alert: AlertRecord) -> bool:
    """Tell whether people at the hub see an alert, and webhooks receive it."""
    return alert.confidence >= ALERT_THRESHOLD


def fault_text(alert: AlertRecord) -> str:
    """Return an alert as a fault of the hub; its id comes first, since a long text is cut."""
    client = alert.client_name or alert.client_id
    return f"alert {alert.alert_id} of {client}: {alert.zone_id}: {alert.issue}; {alert.action}"
