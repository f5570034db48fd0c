"""EZSP commands on the network: form, start, leave, open, scan, list members, send messages."""

from collections.abc import Mapping
from types import MappingProxyType

import bellows.types as t

from lab.ncp.coordinator import Coordinator, SendTicket
from lab.ncp.ezsp import Status, eui64
from lab.ncp.memory import NetworkMemory
from lab.ncp.setup_commands import ADDRESS_TABLE_ROWS, Fields, Handler, status, success
from lab.ncp.zcl import COORDINATOR_ADDRESS, UNKNOWN_ADDRESS, ApsMessage

TX_POWER_DBM_MAX = 20
_NO_EUI64 = "00:00:00:00:00:00:00:00"
_FREE_ROW = "ff:ff:ff:ff:ff:ff:ff:ff"
_UNUSED_ADDRESS = 0xFFFF
_QUIET_RSSI_DBM = -90


def _state(coordinator: Coordinator, arguments: Fields) -> Fields:
    del arguments
    state = t.EmberNetworkStatus
    return {"status": state.JOINED_NETWORK if coordinator.is_up else state.NO_NETWORK}


def _init(coordinator: Coordinator, arguments: Fields) -> Fields:
    del arguments
    if coordinator.memory.network is None:
        return status(Status.NOT_JOINED)
    if coordinator.is_up:
        return status(Status.INVALID_STATE)
    coordinator.start()
    return status(Status.OK)


def _form(coordinator: Coordinator, arguments: Fields) -> Fields:
    security, wanted = coordinator.initial_security, arguments["parameters"]
    if coordinator.is_up:
        return status(Status.INVALID_STATE)
    if security is None:
        return status(Status.ZIGBEE_SECURITY_STATE_NOT_SET)
    if int(wanted.radioTxPower) > TX_POWER_DBM_MAX:
        return status(Status.TRANSMIT_INVALID_POWER)
    bits = t.EmberInitialSecurityBitmask
    centre = str(security.preconfiguredTrustCenterEui64)
    has_centre = bits.HAVE_TRUST_CENTER_EUI64 in security.bitmask and centre != _NO_EUI64
    coordinator.remember(
        network=NetworkMemory(
            pan_id=int(wanted.panId),
            extended_pan_id=str(wanted.extendedPanId),
            channel=int(wanted.radioChannel),
            channels=int(wanted.channels),
            tx_power_dbm=int(wanted.radioTxPower),
            manager_id=int(wanted.nwkManagerId),
            # The stack ignores this field: a host writes it to the token (bellows does).
            update_id=0,
            network_key=bytes(security.networkKey.serialize()),
            network_key_number=int(security.networkKeySequenceNumber),
            tc_link_key=bytes(security.preconfiguredKey.serialize()),
            is_tc_link_key_hashed=bits.TRUST_CENTER_USES_HASHED_LINK_KEY in security.bitmask,
            trust_centre=centre if has_centre else coordinator.memory.eui64,
        ),
        frame_counter=coordinator.memory.frame_counter if bits.NO_FRAME_COUNTER_RESET in security.bitmask else 0,
    )
    coordinator.start()
    return status(Status.OK)


def _leave(coordinator: Coordinator, arguments: Fields) -> Fields:
    del arguments
    if not coordinator.is_up:
        return status(Status.INVALID_STATE)
    coordinator.stop()
    return status(Status.OK)


def _permit(coordinator: Coordinator, arguments: Fields) -> Fields:
    if not coordinator.is_up:
        return status(Status.INVALID_STATE)
    coordinator.permit(int(arguments["duration"]))
    return status(Status.OK)


def _parameters(coordinator: Coordinator, arguments: Fields) -> Fields:
    del arguments
    network = coordinator.memory.network
    parameters = t.EmberNetworkParameters(
        extendedPanId=t.ExtendedPanId.convert(network.extended_pan_id if network else _NO_EUI64),
        panId=network.pan_id if network else _UNUSED_ADDRESS,
        radioTxPower=network.tx_power_dbm if network else 0,
        radioChannel=network.channel if network else 0,
        joinMethod=t.EmberJoinMethod.USE_MAC_ASSOCIATION,
        nwkManagerId=network.manager_id if network else 0,
        nwkUpdateId=network.update_id if network else 0,
        channels=network.channels if network else 0,
    )
    return {
        "status": Status.OK if coordinator.is_up else Status.NOT_JOINED,
        "nodeType": t.EmberNodeType.COORDINATOR if network else t.EmberNodeType.UNKNOWN_DEVICE,
        "parameters": parameters,
    }


def _node_id(coordinator: Coordinator, arguments: Fields) -> Fields:
    del arguments
    return {"nodeId": COORDINATOR_ADDRESS if coordinator.is_up else UNKNOWN_ADDRESS}


def _own_eui64(coordinator: Coordinator, arguments: Fields) -> Fields:
    del arguments
    return {"eui64": eui64(coordinator.memory.eui64)}


def _scan(coordinator: Coordinator, arguments: Fields) -> Fields:
    channels = list(arguments["channelMask"])
    if arguments["scanType"] == t.EzspNetworkScanType.ENERGY_SCAN:
        for channel in channels:
            coordinator.add_callback("energyScanResultHandler", channel=int(channel), maxRssiValue=_QUIET_RSSI_DBM)
    coordinator.add_callback("scanCompleteHandler", channel=0, status=Status.OK)
    return status(Status.OK)


def _child(coordinator: Coordinator, arguments: Fields) -> Fields:
    rows = list(coordinator.memory.children.items())
    index = int(arguments["index"])
    is_there = index < len(rows)
    ieee, address = rows[index] if is_there else (_NO_EUI64, _UNUSED_ADDRESS)
    child = t.EmberChildDataV10(
        eui64=eui64(ieee),
        type=t.EmberNodeType.SLEEPY_END_DEVICE,
        id=address,
        phy=0,
        power=0,
        timeout=0,
        timeout_remaining=0,
    )
    return {"status": Status.OK if is_there else Status.NOT_JOINED, "child_data": child}


def _set_child(coordinator: Coordinator, arguments: Fields) -> Fields:
    child = arguments["child_data"]
    children = {**coordinator.memory.children, str(child.eui64): int(child.id)}
    coordinator.remember(children=children)
    coordinator.addresses.update(children)
    return status(Status.OK)


def _parent_children(coordinator: Coordinator, arguments: Fields) -> Fields:
    del arguments
    return {
        "childCount": len(coordinator.memory.children),
        "parentEui64": eui64(_NO_EUI64),
        "parentNodeId": _UNUSED_ADDRESS,
    }


def _address_of(coordinator: Coordinator, arguments: Fields) -> Fields:
    address = coordinator.addresses.get(str(arguments["eui64"]))
    code = Status.OK if address is not None else Status.NOT_FOUND
    return {"status": code, "nodeId": _UNUSED_ADDRESS if address is None else address}


def _eui64_of(coordinator: Coordinator, arguments: Fields) -> Fields:
    wanted = int(arguments["nodeId"])
    for ieee, address in coordinator.addresses.items():
        if address == wanted:
            return {"status": Status.OK, "eui64": eui64(ieee)}
    return {"status": Status.NOT_FOUND, "eui64": eui64(_NO_EUI64)}


def _get_extended_timeout(coordinator: Coordinator, arguments: Fields) -> Fields:
    is_extended = str(arguments["remoteEui64"]) in coordinator.extended_timeouts
    return {"extendedTimeout": is_extended, "status": Status.OK if is_extended else Status.FAIL}


def _set_extended_timeout(coordinator: Coordinator, arguments: Fields) -> Fields:
    _extend(coordinator, str(arguments["remoteEui64"]), is_extended=bool(arguments["extendedTimeout"]))
    return status(Status.OK)


def _extend(coordinator: Coordinator, ieee: str, *, is_extended: bool) -> None:
    (coordinator.extended_timeouts.add if is_extended else coordinator.extended_timeouts.discard)(ieee)


def _replace_address(coordinator: Coordinator, arguments: Fields) -> Fields:
    index = int(arguments["index"])
    old, old_address = coordinator.address_table.get(index, (_FREE_ROW, _UNUSED_ADDRESS))
    was_extended = old in coordinator.extended_timeouts
    if index >= ADDRESS_TABLE_ROWS:
        code = Status.INVALID_RANGE
    else:
        code = Status.OK
        new = str(arguments["newEui64"])
        coordinator.address_table[index] = (new, int(arguments["newId"]))
        _extend(coordinator, new, is_extended=bool(arguments["newExtendedTimeout"]))
    return {"status": code, "oldEui64": eui64(old), "oldId": old_address, "oldExtendedTimeout": was_extended}


def _address_row(coordinator: Coordinator, arguments: Fields) -> Fields:
    index = int(arguments["index"])
    ieee, address = coordinator.address_table.get(index, (_FREE_ROW, _UNUSED_ADDRESS))
    code = Status.OK if index < ADDRESS_TABLE_ROWS else Status.INVALID_INDEX
    return {"status": code, "nwk": address, "nodeId": address, "eui64": eui64(ieee)}


def _set_address_row(coordinator: Coordinator, arguments: Fields) -> Fields:
    index = int(arguments["index"])
    if index >= ADDRESS_TABLE_ROWS:
        return status(Status.INVALID_INDEX)
    ieee, address = coordinator.address_table.get(index, (_FREE_ROW, _UNUSED_ADDRESS))
    coordinator.address_table[index] = (
        str(arguments.get("eui64", ieee)),
        int(arguments.get("nwk", address)),
    )
    return status(Status.OK)


def _remove_device(coordinator: Coordinator, arguments: Fields) -> Fields:
    coordinator.next_counter()
    coordinator.radio_medium.expel(str(arguments["targetLong"]), coordinator.now_s)
    return status(Status.OK)


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
    coordinator.broadcast(ticket, _message(ticket, payload, is_broadcast=True))
    return {"status": Status.OK, "sequence": ticket.aps_frame.sequence}


def _payload_length(coordinator: Coordinator, arguments: Fields) -> Fields:
    del coordinator, arguments
    return {"apsLength": PAYLOAD_BYTES_MAX}


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "networkState": _state,
        "networkInit": _init,
        "formNetwork": _form,
        "leaveNetwork": _leave,
        "permitJoining": _permit,
        "getNetworkParameters": _parameters,
        "getNodeId": _node_id,
        "getEui64": _own_eui64,
        "startScan": _scan,
        "getChildData": _child,
        "setChildData": _set_child,
        "getParentChildParameters": _parent_children,
        "lookupNodeIdByEui64": _address_of,
        "lookupEui64ByNodeId": _eui64_of,
        "getExtendedTimeout": _get_extended_timeout,
        "setExtendedTimeout": _set_extended_timeout,
        "replaceAddressTableEntry": _replace_address,
        "getAddressTableRemoteNodeId": _address_row,
        "getAddressTableRemoteEui64": _address_row,
        "getAddressTableInfo": _address_row,
        "setAddressTableInfo": _set_address_row,
        "setAddressTableRemoteEui64": _set_address_row,
        "setAddressTableRemoteNodeId": _set_address_row,
        "removeDevice": _remove_device,
        "sendUnicast": _unicast,
        "sendBroadcast": _broadcast,
        "sendMulticast": _multicast,
        "sendReply": success,
        "sendManyToOneRouteRequest": success,
        "maximumPayloadLength": _payload_length,
    }
)
