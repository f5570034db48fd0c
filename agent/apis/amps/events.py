"""What happens in the home as Amps' webhook events. Pure.

Only terminal states are told, and `cancelled` is not among the documented events. The body is the action itself, as
`GET /actions/{actionId}` gives it: the newer of the two documented generations.
"""

from collections.abc import Callable, Sequence

import msgspec

from agent.apis.amps.translation import DEVICE_TYPE, action_document
from agent.apis.amps.wire import ActionDocument, optional_time_text
from agent.apis.webhooks.endpoints import WebhookEvent
from agent.apis.webhooks.signatures import WebhookApi
from agent.home.actions import ActionState, HomeAction
from agent.home.changes import ChangeKind, HomeChange, HomeChanges
from agent.home.thermostats import Thermostats

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


def webhook_event(change: HomeChange, *, is_sandbox: bool = False) -> WebhookEvent | None:
    """Return the event of a change; `None` for one that Amps has no event for.

    Args:
        change: Of a zone; sensors are no devices of Amps.
        is_sandbox: It happened to a simulated zone.
    """
    match change.kind, change.new:
        case ChangeKind.ACTION_SETTLED, HomeAction() as action if action.state in _NAMES:
            document: ActionDocument | DeviceEvent = action_document(action)
            name, key = _NAMES[action.state], action.action_id
        case ChangeKind.ONLINE, bool() as is_online:
            name, key = _device_event(change.old, is_online=is_online), ""
            document = DeviceEvent(change.device_id, DEVICE_TYPE, optional_time_text(change.at.utc_ms))
        case _:
            return None
    return WebhookEvent(WebhookApi.AMPS, name, msgspec.json.encode(document), is_sandbox, key)


def _device_event(old: object, *, is_online: bool) -> str:
    if not is_online:
        return "device.disconnected"
    return "device.connected" if old is None else "device.reconnected"
