"""EZSP commands on keys and tokens: network key, trust centre, link keys, and the flash that hosts read and repair."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import bellows.types as t
import msgspec

from lab.ncp.coordinator import ANY_DEVICE, NO_TABLE_INDEX, TRANSIENT_KEY_S, Coordinator
from lab.ncp.ezsp import Status, eui64
from lab.ncp.memory import LinkKey, NetworkMemory
from lab.ncp.setup_commands import KEY_TABLE_ROWS, Fields, Handler, status
from lab.ncp.zcl import COORDINATOR_ADDRESS, eui64_bytes, eui64_text

_NO_EUI64 = "00:00:00:00:00:00:00:00"
_NO_KEY = bytes(16)


def _set_initial(coordinator: Coordinator, arguments: Fields) -> Fields:
    if coordinator.is_up:
        return status(Status.INVALID_STATE)
    coordinator.initial_security = arguments["state"]
    return status(Status.OK)


def _current(coordinator: Coordinator, arguments: Fields) -> Fields:
    del arguments
    network = coordinator.memory.network
    bits = t.EmberCurrentSecurityBitmask
    bitmask = bits.GLOBAL_LINK_KEY | bits.HAVE_TRUST_CENTER_LINK_KEY
    if network is not None and network.is_tc_link_key_hashed:
        bitmask |= bits.TRUST_CENTER_USES_HASHED_LINK_KEY
    state = t.EmberCurrentSecurityState(
        bitmask=bitmask, trustCenterLongAddress=eui64(network.trust_centre if network else _NO_EUI64)
    )
    return {"status": Status.OK if coordinator.is_up else Status.NOT_JOINED, "state": state}


def _export(coordinator: Coordinator, arguments: Fields) -> Fields:
    network, context = coordinator.memory.network, arguments["context"]
    key = None
    if network is not None and context.core_key_type == t.SecurityManagerKeyType.NETWORK:
        key = network.network_key
    elif network is not None and context.core_key_type == t.SecurityManagerKeyType.TC_LINK:
        key = network.tc_link_key
    return {
        "status": Status.NOT_FOUND if key is None else Status.OK,
        "key": t.KeyData(key or _NO_KEY),
        "context": context,
    }


def _network_key_info(coordinator: Coordinator, arguments: Fields) -> Fields:
    del arguments
    network = coordinator.memory.network
    info = t.SecurityManagerNetworkKeyInfo(
        network_key_set=network is not None,
        alternate_network_key_set=False,
        network_key_sequence_number=network.network_key_number if network else 0,
        alt_network_key_sequence_number=0,
        network_key_frame_counter=coordinator.frame_counter,
    )
    return {"status": Status.OK, "network_key_info": info}


def _metadata(*, is_there: bool) -> t.SecurityManagerAPSKeyMetadata:
    bits = t.EmberKeyStructBitmask
    return t.SecurityManagerAPSKeyMetadata(
        bitmask=bits.KEY_HAS_PARTNER_EUI64 | bits.KEY_IS_AUTHORIZED if is_there else bits(0),
        outgoing_frame_counter=0,
        incoming_frame_counter=0,
        ttl_in_seconds=0,
    )


def _context(ieee: str, index: int) -> t.SecurityManagerContextV13:
    return t.SecurityManagerContextV13(
        core_key_type=t.SecurityManagerKeyType.APP_LINK,
        key_index=index,
        derived_type=t.SecurityManagerDerivedKeyTypeV13.NONE,
        eui64=eui64(ieee),
        multi_network_index=0,
        flags=t.SecurityManagerContextFlags.NONE,
        psa_key_alg_permission=0,
    )


def _link_key(ieee: str, index: int, key: bytes | None) -> Fields:
    return {
        "status": Status.NOT_FOUND if key is None else Status.OK,
        "eui64": eui64(ieee),
        "index": index,
        "context": _context(ieee, index),
        "plaintext_key": t.KeyData(key or _NO_KEY),
        "key_data": _metadata(is_there=key is not None),
    }


def _export_link_key(coordinator: Coordinator, arguments: Fields) -> Fields:
    index = int(arguments["index"])
    row = coordinator.memory.link_keys.get(index)
    return _link_key(_NO_EUI64, index, None) if row is None else _link_key(row.eui64, index, row.key)


def _import_link_key(coordinator: Coordinator, arguments: Fields) -> Fields:
    index = int(arguments["index"])
    if index >= KEY_TABLE_ROWS:
        return status(Status.INVALID_INDEX)
    row = LinkKey(str(arguments["address"]), bytes(arguments["key"].serialize()))
    coordinator.remember(link_keys={**coordinator.memory.link_keys, index: row})
    return status(Status.OK)


def _find_key(coordinator: Coordinator, arguments: Fields) -> Fields:
    wanted = str(arguments["address"])
    found = [index for index, row in coordinator.memory.link_keys.items() if row.eui64 == wanted]
    return {"index": found[0] if found else NO_TABLE_INDEX}


def _erase_key(coordinator: Coordinator, arguments: Fields) -> Fields:
    index = int(arguments["index"])
    if index >= KEY_TABLE_ROWS:
        return status(Status.INVALID_INDEX)
    keys = {row: key for row, key in coordinator.memory.link_keys.items() if row != index}
    coordinator.remember(link_keys=keys)
    return status(Status.OK)


def _clear_keys(coordinator: Coordinator, arguments: Fields) -> Fields:
    del arguments
    coordinator.remember(link_keys={})
    return status(Status.OK)


def _import_transient(coordinator: Coordinator, arguments: Fields) -> Fields:
    key = bytes(arguments["plaintext_key"].serialize())
    coordinator.transient_keys[str(arguments["eui64"])] = (key, coordinator.now_s + TRANSIENT_KEY_S)
    return status(Status.OK)


def _export_transient(coordinator: Coordinator, arguments: Fields) -> Fields:
    ieee = str(arguments["eui64"])
    key, until_s = coordinator.transient_keys.get(ieee, (_NO_KEY, 0.0))
    return _link_key(ieee, 0, key if until_s > coordinator.now_s else None)


def _clear_transient(coordinator: Coordinator, arguments: Fields) -> Fields:
    del arguments
    coordinator.transient_keys.clear()
    return status(Status.OK)


_STRING_BYTES = 16
_UNWRITTEN = b"\xff"
_CHILD_IS_VALID = 0x80
STACK_PROFILE_PRO = 2

_Token = t.NV3KeyId
_Factory = t.EzspMfgTokenId


def _get_factory_token(coordinator: Coordinator, arguments: Fields) -> Fields:
    del coordinator
    match arguments["tokenId"]:
        case _Factory.MFG_STRING:
            data = b"climahub".ljust(_STRING_BYTES, _UNWRITTEN)
        case _Factory.MFG_BOARD_NAME:
            data = b"emulated NCP".ljust(_STRING_BYTES, _UNWRITTEN)
        case _Factory.MFG_CUSTOM_EUI_64:
            data = _UNWRITTEN * 8
        case _Factory.MFG_CUSTOM_VERSION | _Factory.MFG_MANUF_ID | _Factory.MFG_PHY_CONFIG | _Factory.MFG_CTUNE:
            data = _UNWRITTEN * 2
        case _:
            data = _UNWRITTEN * _STRING_BYTES
    return {"tokenData": data}


def _get_token(coordinator: Coordinator, arguments: Fields) -> Fields:
    value = _token(coordinator, int(arguments["token"]), int(arguments["index"]))
    return {"status": Status.NOT_FOUND} if value is None else {"status": Status.OK, "value": value}


def _token(coordinator: Coordinator, token: int, index: int) -> bytes | None:
    memory, network = coordinator.memory, coordinator.memory.network
    if token == _Token.CREATOR_STACK_RESTORED_EUI64:
        return eui64_bytes(memory.restored_eui64 or ANY_DEVICE)
    if token == _Token.NVM3KEY_STACK_CHILD_TABLE:
        rows = list(memory.children.items())
        if index >= len(rows):
            return None
        ieee, address = rows[index]
        return bytes(t.NV3ChildTableEntry(eui64=eui64(ieee), id=address, flags=_CHILD_IS_VALID).serialize())
    writer = _NETWORK_TOKENS.get(token)
    return None if writer is None or network is None else writer(network)


def _management(network: NetworkMemory) -> bytes:
    token = t.NV3StackNetworkManagementToken(
        active_channels=network.channels, manager_node_id=network.manager_id, update_id=network.update_id, padding=0
    )
    return bytes(token.serialize())


def _trust_centre(network: NetworkMemory) -> bytes:
    key = t.KeyData(network.tc_link_key)
    return bytes(t.NV3StackTrustCenterToken(mode=0, eui64=eui64(network.trust_centre), key=key).serialize())


def _node_data(network: NetworkMemory) -> bytes:
    token = t.NV3StackNodeData(
        panId=network.pan_id,
        radioTxPower=network.tx_power_dbm,
        radioFreqChannel=network.channel,
        stackProfile=STACK_PROFILE_PRO,
        nodeType=t.EmberNodeType.COORDINATOR,
        zigbeeNodeId=COORDINATOR_ADDRESS,
        extendedPanId=t.ExtendedPanId.convert(network.extended_pan_id),
    )
    return bytes(token.serialize())


_NETWORK_TOKENS: Mapping[int, Callable[[NetworkMemory], bytes]] = MappingProxyType(
    {
        _Token.NVM3KEY_STACK_NETWORK_MANAGEMENT: _management,
        _Token.NVM3KEY_STACK_TRUST_CENTER: _trust_centre,
        _Token.NVM3KEY_STACK_NODE_DATA: _node_data,
    }
)


def _set_token(coordinator: Coordinator, arguments: Fields) -> Fields:
    token, data = int(arguments["token"]), bytes(arguments["token_data"])
    network = coordinator.memory.network
    if token == _Token.CREATOR_STACK_RESTORED_EUI64:
        text = eui64_text(data)
        coordinator.remember(restored_eui64=None if text == ANY_DEVICE else text)
        return status(Status.OK)
    if network is None or _token(coordinator, token, int(arguments["index"])) is None:
        return status(Status.NOT_FOUND)
    if token == _Token.NVM3KEY_STACK_NETWORK_MANAGEMENT:
        update_id = t.NV3StackNetworkManagementToken.deserialize(data)[0].update_id
        coordinator.remember(network=msgspec.structs.replace(network, update_id=int(update_id)))
    elif token == _Token.NVM3KEY_STACK_TRUST_CENTER:
        centre = str(t.NV3StackTrustCenterToken.deserialize(data)[0].eui64)
        coordinator.remember(network=msgspec.structs.replace(network, trust_centre=centre))
    elif token == _Token.NVM3KEY_STACK_NODE_DATA:
        power = t.NV3StackNodeData.deserialize(data)[0].radioTxPower
        coordinator.remember(network=msgspec.structs.replace(network, tx_power_dbm=int(power)))
    return status(Status.OK)


def _reset_tokens(coordinator: Coordinator, arguments: Fields) -> Fields:
    is_counter_kept = bool(arguments["excludeOutgoingFC"])
    coordinator.remember(
        network=None,
        link_keys={},
        children={},
        frame_counter=coordinator.memory.frame_counter if is_counter_kept else 0,
        aps_frame_counter=coordinator.memory.aps_frame_counter if is_counter_kept else 0,
    )
    return status(Status.OK)


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "setInitialSecurityState": _set_initial,
        "getCurrentSecurityState": _current,
        "exportKey": _export,
        "getNetworkKeyInfo": _network_key_info,
        "exportLinkKeyByIndex": _export_link_key,
        "importLinkKey": _import_link_key,
        "findKeyTableEntry": _find_key,
        "eraseKeyTableEntry": _erase_key,
        "clearKeyTable": _clear_keys,
        "importTransientKey": _import_transient,
        "exportTransientKeyByEui": _export_transient,
        "clearTransientLinkKeys": _clear_transient,
        "getMfgToken": _get_factory_token,
        "getTokenData": _get_token,
        "setTokenData": _set_token,
        "tokenFactoryReset": _reset_tokens,
    }
)
