"""What happens in the home as Amps' webhook events. Pure.

Only terminal states are told, and `cancelled` is not among the documented events. The body is the action itself, as
`GET /actions/{actionId}` gives it: the newer of the two documented generations.
"""

from collections.abc import Callable, Sequence

import msgspec

from agent.apis.amps.translation import DEVICE_TYPE, action_document
from agent.apis.amps.wire import optional_time_text
from agent.apis.webhooks.endpoints import WebhookEvent
from agent.apis.webhooks.signatures import WebhookApi
from agent.home.action_service import ActionService
from agent.home.actions import ActionState, HomeAction
from agent.home.changes import ChangeKind, HomeChange, HomeChanges
from agent.home.thermostats import Thermostats

SETTLED_MAX = 100
SETTLED_MS = 24 * 3_600_000
"""How many actions, and of which age, may be told again after a start."""

_NAMES = {ActionState.COMPLETED: "push.completed", ActionState.FAILED: "push.failed"}


class DeviceEvent(msgspec.Struct, frozen=True, rename="camel"):
    """The body of a device event. There is no `reconnectionUrl`: nobody has to sign in to a zone again."""

    device_id: str
    device_type: str
    timestamp: str | None


def tell_of(
    changes: HomeChanges, offer: Callable[[Sequence[WebhookEvent]], None], zones: Thermostats, *, is_sandbox: bool
) -> None:
    """Offer the event of each change from now on.

    Args:
        changes: Of the home, or of the simulated zones.
        offer: Takes events at once.
        zones: Those that are devices of Amps: sensors are none.
        is_sandbox: The zones are simulated.
    """

    def listen(change: HomeChange) -> None:
        if change.device_id in zones.zone_ids and (event := webhook_event(change, is_sandbox=is_sandbox)):
            offer([event])

    changes.on_change(listen)


async def offer_settled(
    actions: ActionService,
    offer: Callable[[Sequence[WebhookEvent]], None],
    utc_ms: Callable[[], int | None],
    *,
    is_sandbox: bool,
) -> None:
    """Offer the latest ends of actions again, after a start: a power cut may have come before they were queued.

    What was queued before is left out by its key.

    Args:
        actions: The actions.
        offer: Takes events at once.
        utc_ms: Returns the time.
        is_sandbox: They are those of simulated zones.
    """
    newest_first, now_ms = await actions.page(limit=SETTLED_MAX), utc_ms()
    oldest_ms = 0 if now_ms is None else now_ms - SETTLED_MS
    recent = [
        each for each in reversed(newest_first) if each.ended_utc_ms is not None and each.ended_utc_ms > oldest_ms
    ]
    offer([event for each in recent if (event := action_event(each, is_sandbox=is_sandbox))])


def action_event(action: HomeAction, *, is_sandbox: bool) -> WebhookEvent | None:
    """Return the event of an action that has come to its end; `None` for one that was cancelled, or has not."""
    name = _NAMES.get(action.state)
    if name is None:
        return None
    body = msgspec.json.encode(action_document(action))
    key = f"{action.action_id}_{action.ended_utc_ms or 0}"
    return WebhookEvent(WebhookApi.AMPS, name, body, is_sandbox, key, action.ended_utc_ms)


def webhook_event(change: HomeChange, *, is_sandbox: bool = False) -> WebhookEvent | None:
    """Return the event of a change; `None` for one that Amps has no event for.

    Args:
        change: Of a zone; sensors are no devices of Amps.
        is_sandbox: It happened to a simulated zone.
    """
    match change.kind, change.new:
        case ChangeKind.ACTION_SETTLED, HomeAction() as action:
            return action_event(action, is_sandbox=is_sandbox)
        case ChangeKind.ONLINE, bool() as is_online:
            name = _device_event(change.old, is_online=is_online)
            document = DeviceEvent(change.device_id, DEVICE_TYPE, optional_time_text(change.at.utc_ms))
            return WebhookEvent(WebhookApi.AMPS, name, msgspec.json.encode(document), is_sandbox)
        case _:
            return None


def _device_event(old: object, *, is_online: bool) -> str:
    if not is_online:
        return "device.disconnected"
    return "device.connected" if old is None else "device.reconnected"
