"""EZSP commands that identify and configure the stick: version, values, policies, endpoints, counters."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import bellows.types as t

from lab.ncp import zdo
from lab.ncp.coordinator import MULTICAST_ROWS, Coordinator
from lab.ncp.ezsp import STACK_TYPE_MESH, Status

Fields = Mapping[str, Any]
"""Arguments or answer, by the field names of EZSP v14 and later. Their types come from the tables of bellows."""
Handler = Callable[[Coordinator, Fields], Fields]


def success(coordinator: Coordinator, arguments: Fields) -> Fields:
    """Answer a command that has no effect an emulated stick could show."""
    del coordinator, arguments
    return {"status": Status.OK}


def status(code: Status) -> Fields:
    """Answer with nothing but a status."""
    return {"status": code}


_GENERAL_AVAILABILITY = 0xAA
ADDRESS_TABLE_ROWS = 16
KEY_TABLE_ROWS = 12

_Id = t.EzspConfigId
_DEFAULTS: Mapping[int, int] = MappingProxyType(
    {
        _Id.CONFIG_PACKET_BUFFER_COUNT: 255,
        _Id.CONFIG_NEIGHBOR_TABLE_SIZE: 26,
        _Id.CONFIG_APS_UNICAST_MESSAGE_COUNT: 10,
        _Id.CONFIG_BINDING_TABLE_SIZE: 32,
        _Id.CONFIG_ADDRESS_TABLE_SIZE: ADDRESS_TABLE_ROWS,
        _Id.CONFIG_MULTICAST_TABLE_SIZE: MULTICAST_ROWS,
        _Id.CONFIG_ROUTE_TABLE_SIZE: 16,
        _Id.CONFIG_DISCOVERY_TABLE_SIZE: 8,
        _Id.CONFIG_STACK_PROFILE: 2,
        _Id.CONFIG_SECURITY_LEVEL: 5,
        _Id.CONFIG_MAX_HOPS: 30,
        _Id.CONFIG_MAX_END_DEVICE_CHILDREN: 32,
        _Id.CONFIG_INDIRECT_TRANSMISSION_TIMEOUT: 3000,
        _Id.CONFIG_END_DEVICE_POLL_TIMEOUT: 8,
        _Id.CONFIG_TX_POWER_MODE: 0,
        _Id.CONFIG_DISABLE_RELAY: 0,
        _Id.CONFIG_TRUST_CENTER_ADDRESS_CACHE_SIZE: 2,
        _Id.CONFIG_SOURCE_ROUTE_TABLE_SIZE: 200,
        _Id.CONFIG_FRAGMENT_WINDOW_SIZE: 1,
        _Id.CONFIG_FRAGMENT_DELAY_MS: 0,
        _Id.CONFIG_KEY_TABLE_SIZE: KEY_TABLE_ROWS,
        _Id.CONFIG_APS_ACK_TIMEOUT: 1600,
        _Id.CONFIG_ACTIVE_SCAN_DURATION: 3,
        _Id.CONFIG_END_DEVICE_BIND_TIMEOUT: 60,
        _Id.CONFIG_PAN_ID_CONFLICT_REPORT_THRESHOLD: 2,
        _Id.CONFIG_REQUEST_KEY_TIMEOUT: 0,
        _Id.CONFIG_APPLICATION_ZDO_FLAGS: 0,
        _Id.CONFIG_BROADCAST_TABLE_SIZE: 15,
        _Id.CONFIG_SUPPORTED_NETWORKS: 1,
        _Id.CONFIG_SEND_MULTICASTS_TO_SLEEPY_ADDRESS: 0,
        _Id.CONFIG_MTORR_FLOW_CONTROL: 1,
        _Id.CONFIG_RETRY_QUEUE_SIZE: 16,
        _Id.CONFIG_TRANSIENT_KEY_TIMEOUT_S: 300,
        _Id.CONFIG_TC_REJOINS_USING_WELL_KNOWN_KEY_TIMEOUT_S: 300,
    }
)
"""What EmberZNet NCP firmware is usually built with."""

_Value = t.EzspValueId
_SETTABLE = frozenset(
    {
        _Value.VALUE_EXTENDED_SECURITY_BITMASK,
        _Value.VALUE_MAXIMUM_INCOMING_TRANSFER_SIZE,
        _Value.VALUE_MAXIMUM_OUTGOING_TRANSFER_SIZE,
        _Value.VALUE_STACK_TOKEN_WRITING,
        _Value.VALUE_FORCE_TX_AFTER_FAILED_CCA_ATTEMPTS,
        _Value.VALUE_TRANSIENT_DEVICE_TIMEOUT,
        _Value.VALUE_END_DEVICE_KEEP_ALIVE_SUPPORT_MODE,
        _Value.VALUE_CCA_THRESHOLD,
    }
)


def _version(coordinator: Coordinator, arguments: Fields) -> Fields:
    del arguments
    codec = coordinator.codec
    return {
        "protocolVersion": codec.version,
        "stackType": STACK_TYPE_MESH,
        "stackVersion": codec.stack_version,
    }


def _get_configuration(coordinator: Coordinator, arguments: Fields) -> Fields:
    wanted = int(arguments["configId"])
    value = coordinator.configuration.get(wanted, _DEFAULTS.get(wanted))
    if value is None:
        return {"status": Status.INVALID_PARAMETER, "value": 0}
    return {"status": Status.OK, "value": value}


def _set_configuration(coordinator: Coordinator, arguments: Fields) -> Fields:
    wanted = int(arguments["configId"])
    if wanted not in _DEFAULTS:
        return status(Status.INVALID_PARAMETER)
    coordinator.configuration[wanted] = int(arguments["value"])
    return status(Status.OK)


def _get_value(coordinator: Coordinator, arguments: Fields) -> Fields:
    wanted = arguments["valueId"]
    value = coordinator.values.get(wanted)
    if wanted == _Value.VALUE_VERSION_INFO:
        release = coordinator.codec.stack_version
        parts = bytes((release >> 12, release >> 8 & 0xF, release >> 4 & 0xF, release & 0xF))
        value = bytes(2) + parts + bytes((_GENERAL_AVAILABILITY,))
    elif wanted == _Value.VALUE_FREE_BUFFERS:
        value = bytes((coordinator.free_buffers,))
    elif wanted == _Value.VALUE_NWK_FRAME_COUNTER:
        value = coordinator.frame_counter.to_bytes(4, "little")
    elif wanted == _Value.VALUE_APS_FRAME_COUNTER:
        value = coordinator.memory.aps_frame_counter.to_bytes(4, "little")
    if value is None:
        return {"status": Status.INVALID_PARAMETER, "value": b""}
    return {"status": Status.OK, "value": value}


def _set_value(coordinator: Coordinator, arguments: Fields) -> Fields:
    wanted, value = arguments["valueId"], bytes(arguments["value"])
    if wanted in {_Value.VALUE_NWK_FRAME_COUNTER, _Value.VALUE_APS_FRAME_COUNTER}:
        if coordinator.is_up:
            return status(Status.INVALID_STATE)
        counter = int.from_bytes(value, "little")
        if wanted == _Value.VALUE_NWK_FRAME_COUNTER:
            coordinator.remember(frame_counter=counter)
        else:
            coordinator.remember(aps_frame_counter=counter)
        return status(Status.OK)
    if wanted not in _SETTABLE:
        return status(Status.INVALID_PARAMETER)
    coordinator.values[wanted] = value
    return status(Status.OK)


def _get_extended_value(coordinator: Coordinator, arguments: Fields) -> Fields:
    wanted, endpoint = arguments["valueId"], int(arguments["characteristics"])
    if wanted != t.EzspExtendedValueId.EXTENDED_VALUE_ENDPOINT_FLAGS:
        return {"status": Status.INVALID_PARAMETER, "value": b""}
    is_there = endpoint in coordinator.endpoints
    # The flags are sent for an endpoint that is missing, too: a host reads them before it looks at the status.
    return {"status": Status.OK if is_there else Status.INVALID_PARAMETER, "value": int(is_there).to_bytes(2, "little")}


def _set_policy(coordinator: Coordinator, arguments: Fields) -> Fields:
    coordinator.policies[int(arguments["policyId"])] = int(arguments["decisionId"])
    return status(Status.OK)


def _get_policy(coordinator: Coordinator, arguments: Fields) -> Fields:
    return {"status": Status.OK, "decisionId": coordinator.policies.get(int(arguments["policyId"]), 0)}


def _add_endpoint(coordinator: Coordinator, arguments: Fields) -> Fields:
    if coordinator.is_up:
        return status(Status.INVALID_STATE)
    endpoint = int(arguments["endpoint"])
    # Both lists are of unknown length in the tables: the first takes all that is there, up to the two counts.
    clusters = [int(cluster) for key in ("inputClusterList", "outputClusterList") for cluster in arguments[key]]
    inputs, outputs = int(arguments["inputClusterCount"]), int(arguments["outputClusterCount"])
    coordinator.endpoints[endpoint] = zdo.SimpleDescriptor(
        endpoint,
        int(arguments["profileId"]),
        int(arguments["deviceId"]),
        int(arguments["deviceVersion"]),
        tuple(clusters[:inputs]),
        tuple(clusters[inputs : inputs + outputs]),
    )
    return status(Status.OK)


def _set_manufacturer(coordinator: Coordinator, arguments: Fields) -> Fields:
    coordinator.manufacturer_code = int(arguments["code"])
    return status(Status.OK)


def _read_counters(coordinator: Coordinator, arguments: Fields) -> Fields:
    del arguments
    return {"values": [value & 0xFFFF for value in coordinator.counters]}


def _read_and_clear_counters(coordinator: Coordinator, arguments: Fields) -> Fields:
    answer = _read_counters(coordinator, arguments)
    coordinator.counters = [0] * len(coordinator.counters)
    return answer


def _echo(coordinator: Coordinator, arguments: Fields) -> Fields:
    del coordinator
    return {"echo": arguments["data"]}


def _custom_frame(coordinator: Coordinator, arguments: Fields) -> Fields:
    del coordinator, arguments
    # XNCP, an extension of some firmwares: this one does not have it.
    return {"status": Status.NOT_AVAILABLE, "reply": b""}


def _multicast_row(coordinator: Coordinator, arguments: Fields) -> Fields:
    index = int(arguments["index"])
    group, endpoint, network = coordinator.multicast_table.get(index, (0, 0, 0))
    code = Status.OK if index < MULTICAST_ROWS else Status.INVALID_INDEX
    entry = t.EmberMulticastTableEntry(multicastId=group, endpoint=endpoint, networkIndex=network)
    return {"status": code, "value": entry}


def _set_multicast_row(coordinator: Coordinator, arguments: Fields) -> Fields:
    index, entry = int(arguments["index"]), arguments["value"]
    if index >= MULTICAST_ROWS:
        return status(Status.INVALID_INDEX)
    coordinator.multicast_table[index] = (entry.multicastId, entry.endpoint, entry.networkIndex or 0)
    return status(Status.OK)


def _source_route_discovery(coordinator: Coordinator, arguments: Fields) -> Fields:
    del coordinator, arguments
    return {"remainingTime": 0}


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "version": _version,
        "getConfigurationValue": _get_configuration,
        "setConfigurationValue": _set_configuration,
        "getValue": _get_value,
        "setValue": _set_value,
        "getExtendedValue": _get_extended_value,
        "setPolicy": _set_policy,
        "getPolicy": _get_policy,
        "addEndpoint": _add_endpoint,
        "setManufacturerCode": _set_manufacturer,
        "setPowerDescriptor": success,
        "readCounters": _read_counters,
        "readAndClearCounters": _read_and_clear_counters,
        "nop": success,
        "echo": _echo,
        "customFrame": _custom_frame,
        "getMulticastTableEntry": _multicast_row,
        "setMulticastTableEntry": _set_multicast_row,
        "setConcentrator": success,
        "setSourceRouteDiscoveryMode": _source_route_discovery,
        "setRadioPower": success,
        "setPassiveAckConfig": success,
        "setRadioIeee802154CcaMode": success,
        "clearBindingTable": success,
        "gpSinkTableClearAll": success,
        "gpClearProxyTable": success,
    }
)
