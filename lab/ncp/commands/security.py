"""Commands on keys: the network's, the trust centre's, and those of single devices."""

from collections.abc import Mapping
from types import MappingProxyType

import bellows.types as t

from lab.ncp.commands.handler import Fields, Handler, status
from lab.ncp.commands.setup import KEY_TABLE_ROWS
from lab.ncp.coordinator import NO_TABLE_INDEX, TRANSIENT_KEY_S, Coordinator
from lab.ncp.ezsp import Status, eui64
from lab.ncp.memory import LinkKey

_NOBODY = "00:00:00:00:00:00:00:00"
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
        bitmask=bitmask, trustCenterLongAddress=eui64(network.trust_centre if network else _NOBODY)
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
    return _link_key(_NOBODY, index, None) if row is None else _link_key(row.eui64, index, row.key)


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
    }
)
