"""Commands on the stick's tokens: what the factory wrote, and the parts of flash that hosts look into and repair."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import bellows.types as t
import msgspec

from lab.ncp.aps import COORDINATOR_ADDRESS, eui64_bytes, eui64_text
from lab.ncp.commands.handler import Fields, Handler, status
from lab.ncp.coordinator import ANY_DEVICE, Coordinator
from lab.ncp.ezsp import Status, eui64
from lab.ncp.memory import NetworkMemory

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
        "getMfgToken": _get_factory_token,
        "getTokenData": _get_token,
        "setTokenData": _set_token,
        "tokenFactoryReset": _reset_tokens,
    }
)
