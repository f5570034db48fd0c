"""What happens in the home as AURRA Home's webhook events.

Decides which change is which event, pure; and watches zones that cannot be reached, which are an event only after five
minutes.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from agent.apis.aurra_home.records import AlertRecord
from agent.apis.aurra_home.translation import setpoint_f
from agent.apis.webhooks.endpoints import WebhookEvent
from agent.apis.webhooks.signatures import WebhookApi
from agent.climate.model import Eco, Mode, Schedule, Setpoints
from agent.foundation import rfc3339
from agent.foundation.clock import Clock
from agent.home.changes import HUB, ChangeKind, HomeChange
from agent.home.temperatures import to_fahrenheit
from agent.home.thermostat import Thermostat
from agent.home.thermostats import Thermostats
from agent.maintenance.alert_service import MaintenanceAlerts
from agent.maintenance.alerts import Alert

OFFLINE_S = 300
"""A zone that cannot be reached for longer than this is an event (the handout)."""
LOOK_S = 30.0
"""How often is looked at what nobody reports: zones that cannot be reached, and whether the time is known."""

AGAIN_MS = 86_400_000
"""How old an event may be that is offered again after a start: the queue knows for longer which it has had."""

Offer = Callable[[Sequence[WebhookEvent]], object]
"""Takes events at once."""


class EventEnvelope(msgspec.Struct, frozen=True):
    """The body of a delivery. `timestamp` is `null` where the hub did not know the time."""

    event: str
    timestamp: str | None
    data: Mapping[str, object]


def make_event(name: str, utc_ms: int | None, data: Mapping[str, object], *, key: str = "") -> WebhookEvent:
    """Return an event with its body. One with a key may be offered again, and goes to no endpoint that came later."""
    body = msgspec.json.encode(EventEnvelope(name, rfc3339.render_known(utc_ms), data))
    return WebhookEvent(WebhookApi.AURRA_HOME, name, body, key=key, at_utc_ms=utc_ms if key else None)


def event_of(change: HomeChange, thermostat: Thermostat) -> WebhookEvent | None:
    """Return the event of a change; `None` for one that AURRA Home has no event for.

    Args:
        change: Of a zone.
        thermostat: The zone as it is now.
    """
    zone_id, utc_ms = change.device_id, change.at.utc_ms
    match change.kind, change.old, change.new:
        case ChangeKind.SETPOINTS, Setpoints() as old, Setpoints() as new if thermostat.mode is not Mode.OFF:
            before, after = setpoint_f(thermostat.mode, old), setpoint_f(thermostat.mode, new)
            if before == after:
                return None
            data: dict[str, object] = {"old_temp": before, "new_temp": after, "mode": thermostat.mode.value}
            return make_event("thermostat.temperature_change", utc_ms, {"device_id": zone_id, **data})
        case ChangeKind.ECO, _, Eco() as eco:
            data = {
                "enabled": eco.is_enabled,
                "heat_limit": to_fahrenheit(eco.heat_limit_c),
                "cool_limit": to_fahrenheit(eco.cool_limit_c),
            }
            return make_event("eco.mode_changed", utc_ms, {"device_id": zone_id, **data})
        case ChangeKind.SCHEDULE, _, str() as name if name in thermostat.schedules:
            return _schedule_event(zone_id, utc_ms, thermostat.schedules[name])
        case ChangeKind.SCHEDULE_STORED, Schedule(), Schedule() as stored if stored.name == thermostat.schedule:
            return _schedule_event(zone_id, utc_ms, stored)
        case _:
            return None


def _schedule_event(zone_id: str, utc_ms: int | None, schedule: Schedule) -> WebhookEvent:
    data = {"device_id": zone_id, "schedule_name": schedule.name, "blocks_count": len(schedule.blocks)}
    return make_event("schedule.updated", utc_ms, data)


def alert_event(alert: AlertRecord) -> WebhookEvent:
    """Return the event of a new alert that reaches the threshold."""
    data = {
        "device_id": alert.zone_id,
        "issue": alert.issue,
        "confidence": alert.confidence,
        "action": alert.action,
    }
    return make_event("predictive.alert_created", alert.made_utc_ms, data, key=alert.alert_id)


def resolved_event(alert: AlertRecord) -> WebhookEvent:
    """Return the event of an alert that somebody has resolved."""
    at = alert.resolved_utc_ms
    data = {"device_id": alert.zone_id, "alert_id": alert.alert_id, "resolved_at": rfc3339.render_known(at)}
    return make_event("predictive.alert_resolved", at, data, key=f"{alert.alert_id}_resolved")


def maintenance_events(alert: Alert) -> list[WebhookEvent]:
    """Return the events of one of the hub's own alerts so far; each may be offered again."""
    record = AlertRecord(
        alert_id=alert.alert_id,
        zone_id=alert.zone_id,
        client_id=HUB,
        issue=f"{alert.issue}: {alert.evidence}",
        confidence=alert.confidence,
        action=alert.action,
        priority="medium",
        is_dispatched=False,
        made_utc_ms=alert.made_utc_ms,
        resolved_utc_ms=alert.resolved_utc_ms,
    )
    return [alert_event(record)] + ([] if alert.is_open else [resolved_event(record)])


async def oldest_again_ms(clock: Clock) -> int:
    """Return how old an event may be that is offered again after a start, in UTC; wait until the time is known.

    A hub without a clock battery starts without the time: any event may be weeks old then, and forgotten by the queue.
    """
    while (utc_ms := clock.utc_ms()) is None:  # noqa: ASYNC110 - a clock reports nothing
        await asyncio.sleep(LOOK_S)
    return utc_ms - AGAIN_MS


class MaintenanceEvents:
    """Offers the events of the hub's own alerts. Its loop is `run`."""

    def __init__(self, alerts: MaintenanceAlerts, offer: Offer, clock: Clock) -> None:
        """Offer the events of each change from now on.

        Args:
            alerts: The hub's own.
            offer: Takes events at once.
            clock: Tells how old an event is.
        """
        self._alerts = alerts
        self._offer = offer
        self._clock = clock
        alerts.on_change(lambda alert: offer(maintenance_events(alert)[-1:]))

    async def run(self) -> None:
        """After a start, offer the events of the last day again: the queue knows which it has had."""
        await self._alerts.wait_until_loaded()
        oldest_ms = await oldest_again_ms(self._clock)
        for alert in self._alerts.state.alerts:
            self._offer([each for each in maintenance_events(alert) if (each.at_utc_ms or 0) > oldest_ms])


def offline_event(thermostat: Thermostat, since_utc_ms: int | None, utc_ms: int | None) -> WebhookEvent:
    """Return the event of a zone that cannot be reached for long."""
    reason = thermostat.problem or "the zone cannot be reached"
    data = {"device_id": thermostat.zone_id, "last_seen": rfc3339.render_known(since_utc_ms), "reason": reason}
    return make_event("device.offline", utc_ms, data)


class OfflineSince(msgspec.Struct, frozen=True):
    """Since when a zone cannot be reached, and whether the event was sent."""

    at_ms: int
    utc_ms: int | None
    is_told: bool = False


class AurraEvents:
    """Offers the events of one home. Its loop is `run`."""

    def __init__(self, thermostats: Thermostats, offer: Offer, clock: Clock) -> None:
        """Offer the event of each change from now on.

        Args:
            thermostats: The zones.
            offer: Takes events at once.
            clock: Tells how long a zone has been away.
        """
        self._thermostats = thermostats
        self._offer = offer
        self._clock = clock
        self._offline: dict[str, OfflineSince] = {}
        thermostats.changes.on_change(self._listen)

    def _listen(self, change: HomeChange) -> None:
        if change.device_id in self._thermostats.zone_ids and (
            event := event_of(change, self._thermostats.get(change.device_id))
        ):
            self._offer([event])

    async def run(self) -> None:
        """Look for zones that cannot be reached, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Look once."""
        now_ms, utc_ms = self._clock.monotonic_ms(), self._clock.utc_ms()
        for thermostat in self._thermostats.all():
            zone_id = thermostat.zone_id
            if thermostat.is_online:
                self._offline.pop(zone_id, None)
                continue
            since = self._offline.setdefault(zone_id, OfflineSince(now_ms, utc_ms))
            if not since.is_told and now_ms - since.at_ms > OFFLINE_S * 1000:
                self._offer([offline_event(thermostat, since.utc_ms, utc_ms)])
                self._offline[zone_id] = msgspec.structs.replace(since, is_told=True)
