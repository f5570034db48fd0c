"""How far a new hub is on its way to the first reading that the cloud accepts, and what it waits for. Pure."""

import msgspec

from agent.local.status import HubStatus


class Progress(msgspec.Struct, frozen=True):
    """How far a hub has come.

    Attributes:
        is_accepted: The cloud has accepted a reading of this process.
        text: What it waits for, the remedy first where there is one; empty where there is nothing to say.
        can_hurry: Readings are there that wait for a batch to fill.
    """

    is_accepted: bool = False
    text: str = ""
    can_hurry: bool = False


def progress(status: HubStatus) -> Progress:
    """Return how far the hub has come by its status."""
    outbox, link = status.outbox, status.link
    if outbox.accepted:
        return Progress(is_accepted=True)
    waiting = outbox.pending + outbox.in_memory
    if link.state in {"down", "key_refused", "unprovisioned", "degraded"}:
        return Progress(text=link.reason, can_hurry=bool(waiting))
    if not status.clock.synchronised:
        return Progress(text="check the network: the hub waits for the time (NTP), which each reading needs")
    if waiting:
        return Progress(text="a reading is on its way", can_hurry=True)
    if not any(sensor.value is not None for sensor in status.sensors):
        return Progress(text="connect a sensor, or pair one (climahub zigbee pair): nothing is measured yet")
    return Progress(text="the sensors are read")
