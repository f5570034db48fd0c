"""Commands that send: to one device, to a group, to everybody."""

from collections.abc import Mapping
from types import MappingProxyType

import bellows.types as t

from lab.ncp.aps import ApsMessage
from lab.ncp.commands.handler import Fields, Handler, success
from lab.ncp.coordinator import Coordinator, SendTicket
from lab.ncp.ezsp import Status

PAYLOAD_BYTES_MAX = 82
"""What fits into one frame with network and APS security (maximumPayloadLength of a usual NCP)."""


def _refusal(coordinator: Coordinator, message: bytes) -> Fields | None:
    if not coordinator.is_up:
        return {"status": Status.NETWORK_DOWN, "sequence": 0}
    if not coordinator.free_buffers:
        return {"status": Status.ALLOCATION_FAILED, "sequence": 0}
    if len(message) > PAYLOAD_BYTES_MAX:
        return {"status": Status.MESSAGE_TOO_LONG, "sequence": 0}
    return None


def _ticket(coordinator: Coordinator, arguments: Fields, kind: int, nwk: int) -> SendTicket:
    frame = arguments["aps_frame"].replace(sequence=coordinator.next_aps_sequence())
    return SendTicket(kind, nwk, frame, int(arguments["message_tag"]))


def _message(ticket: SendTicket, payload: bytes, *, is_broadcast: bool) -> ApsMessage:
    frame = ticket.aps_frame
    return ApsMessage(
        profile=int(frame.profileId),
        cluster=int(frame.clusterId),
        source_endpoint=int(frame.sourceEndpoint),
        destination_endpoint=int(frame.destinationEndpoint),
        payload=payload,
        sequence=int(frame.sequence),
        is_broadcast=is_broadcast,
    )


def _unicast(coordinator: Coordinator, arguments: Fields) -> Fields:
    payload = bytes(arguments["message"])
    if (refusal := _refusal(coordinator, payload)) is not None:
        return refusal
    ticket = _ticket(coordinator, arguments, int(arguments["message_type"]), int(arguments["nwk"]))
    coordinator.send(ticket, _message(ticket, payload, is_broadcast=False))
    return {"status": Status.OK, "sequence": ticket.aps_frame.sequence}


def _broadcast(coordinator: Coordinator, arguments: Fields) -> Fields:
    return _to_many(
        coordinator, arguments, t.EmberOutgoingMessageType.OUTGOING_BROADCAST, int(arguments["destination"])
    )


def _multicast(coordinator: Coordinator, arguments: Fields) -> Fields:
    group = int(arguments["aps_frame"].groupId)
    return _to_many(coordinator, arguments, t.EmberOutgoingMessageType.OUTGOING_MULTICAST, group)


def _to_many(coordinator: Coordinator, arguments: Fields, kind: int, destination: int) -> Fields:
    payload = bytes(arguments["message"])
    if (refusal := _refusal(coordinator, payload)) is not None:
        return refusal
    ticket = _ticket(coordinator, arguments, kind, destination)
    coordinator.sent_to_all(ticket, _message(ticket, payload, is_broadcast=True))
    return {"status": Status.OK, "sequence": ticket.aps_frame.sequence}


def _payload_length(coordinator: Coordinator, arguments: Fields) -> Fields:
    del coordinator, arguments
    return {"apsLength": PAYLOAD_BYTES_MAX}


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "sendUnicast": _unicast,
        "sendBroadcast": _broadcast,
        "sendMulticast": _multicast,
        "sendReply": success,
        "sendManyToOneRouteRequest": success,
        "maximumPayloadLength": _payload_length,
    }
)
