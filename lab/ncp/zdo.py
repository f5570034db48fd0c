"""The Zigbee device object: the responses of every device, the coordinator included, about itself on endpoint 0.

Zigbee specification, section 2.4. Pure: a request and a description of the device go in, responses come out.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

import msgspec

PROFILE = 0x0000
RESPONSE = 0x8000
"""Added to the cluster id of a request."""
NEIGHBOURS_PER_RESPONSE = 3
BINDINGS_PER_RESPONSE = 4


class ZdoCluster(IntEnum):
    """Requests and announcements."""

    NWK_ADDRESS = 0x0000
    IEEE_ADDRESS = 0x0001
    NODE_DESCRIPTOR = 0x0002
    POWER_DESCRIPTOR = 0x0003
    SIMPLE_DESCRIPTOR = 0x0004
    ACTIVE_ENDPOINTS = 0x0005
    MATCH_DESCRIPTOR = 0x0006
    DEVICE_ANNOUNCE = 0x0013
    BIND = 0x0021
    UNBIND = 0x0022
    MGMT_LQI = 0x0031
    MGMT_ROUTES = 0x0032
    MGMT_BINDINGS = 0x0033
    MGMT_LEAVE = 0x0034
    MGMT_PERMIT_JOINING = 0x0036
    MGMT_NWK_UPDATE = 0x0038


class ZdoStatus(IntEnum):
    """Outcomes (section 2.4.5)."""

    SUCCESS = 0x00
    INVALID_REQUEST_TYPE = 0x80
    DEVICE_NOT_FOUND = 0x81
    INVALID_ENDPOINT = 0x82
    NOT_SUPPORTED = 0x84
    NO_ENTRY = 0x88


class LogicalType(IntEnum):
    """The first field of a node descriptor."""

    COORDINATOR = 0
    ROUTER = 1
    END_DEVICE = 2


class SimpleDescriptor(msgspec.Struct, frozen=True):
    """What one endpoint offers."""

    endpoint: int
    profile: int
    device_id: int
    version: int
    servers: tuple[int, ...]
    clients: tuple[int, ...]


class Neighbour(msgspec.Struct, frozen=True):
    """A row of the neighbour table, as in Mgmt_Lqi."""

    ieee: bytes
    address: int
    kind: LogicalType
    is_child: bool
    lqi: int


class BindingEntry(msgspec.Struct, frozen=True):
    """A binding, as it travels."""

    endpoint: int
    cluster: int
    destination: bytes
    destination_endpoint: int


class ZdoDevice(Protocol):
    """A device as its ZDO sees it. Addresses are 8 bytes, lowest first."""

    @property
    def ieee(self) -> bytes:
        """Its EUI-64."""
        ...

    @property
    def address(self) -> int:
        """Its network address."""
        ...

    @property
    def logical_type(self) -> LogicalType:
        """What it is in the network."""
        ...

    @property
    def mac_capabilities(self) -> int:
        """Section 2.3.2.3.6."""
        ...

    @property
    def manufacturer_code(self) -> int:
        """Of the node descriptor."""
        ...

    @property
    def descriptors(self) -> Sequence[SimpleDescriptor]:
        """Its endpoints."""
        ...

    def neighbours(self) -> Sequence[Neighbour]:
        """Return its neighbour table."""
        ...

    def bindings(self) -> Sequence[BindingEntry]:
        """Return its binding table."""
        ...

    def bind(self, entry: BindingEntry) -> ZdoStatus:
        """Add a binding; one that is there already stays."""
        ...

    def unbind(self, entry: BindingEntry) -> ZdoStatus:
        """Remove a binding."""
        ...

    def leave(self) -> None:
        """Leave the network after the response."""
        ...

    def permit_joining(self, duration_s: int) -> None:
        """Open or close the network."""
        ...

    def change_channel(self, channel: int, update_id: int) -> None:
        """Move to another channel, by order of the network manager."""
        ...


class ZdoResponse(msgspec.Struct, frozen=True):
    """A response: its cluster and its content."""

    cluster: int
    payload: bytes


def announcement(device: ZdoDevice, sequence: int) -> bytes:
    """Return the payload of a Device_annce (section 2.4.3.1.11)."""
    return bytes((sequence,)) + struct.pack("<H", device.address) + device.ieee + bytes((device.mac_capabilities,))


def respond(device: ZdoDevice, cluster: int, payload: bytes, *, is_broadcast: bool) -> ZdoResponse | None:
    """Respond to a request; `None` where no response is due, as for a broadcast about another device."""
    if not payload or cluster & RESPONSE or cluster == ZdoCluster.DEVICE_ANNOUNCE:
        return None
    sequence, rest = payload[:1], payload[1:]
    try:
        body = _body(device, cluster, rest, is_broadcast=is_broadcast)
    except (struct.error, IndexError):
        body = bytes((ZdoStatus.INVALID_REQUEST_TYPE,))
    if body is None:
        return None
    return ZdoResponse(cluster | RESPONSE, sequence + body)


def _body(device: ZdoDevice, cluster: int, data: bytes, *, is_broadcast: bool) -> bytes | None:  # noqa: PLR0911
    # One return per kind of request reads as the table that it is.
    match cluster:
        case ZdoCluster.NWK_ADDRESS | ZdoCluster.IEEE_ADDRESS:
            return _addresses(device, cluster, data, is_broadcast=is_broadcast)
        case (
            ZdoCluster.NODE_DESCRIPTOR
            | ZdoCluster.POWER_DESCRIPTOR
            | ZdoCluster.ACTIVE_ENDPOINTS
            | ZdoCluster.SIMPLE_DESCRIPTOR
        ):
            return _description(device, cluster, data)
        case ZdoCluster.MATCH_DESCRIPTOR:
            return _matches(device, data, is_broadcast=is_broadcast)
        case ZdoCluster.BIND | ZdoCluster.UNBIND:
            entry = _binding(data)
            if entry is None:
                return bytes((ZdoStatus.NOT_SUPPORTED,))
            return bytes((device.bind(entry) if cluster == ZdoCluster.BIND else device.unbind(entry),))
        case ZdoCluster.MGMT_LQI | ZdoCluster.MGMT_ROUTES | ZdoCluster.MGMT_BINDINGS:
            return _table(device, cluster, data[0])
        case ZdoCluster.MGMT_LEAVE:
            device.leave()
            return bytes((ZdoStatus.SUCCESS,))
        case ZdoCluster.MGMT_PERMIT_JOINING:
            device.permit_joining(data[0])
            return None if is_broadcast else bytes((ZdoStatus.SUCCESS,))
        case ZdoCluster.MGMT_NWK_UPDATE:
            told = _network_update(device, data)
            return None if is_broadcast else told
        case _:
            return None if is_broadcast else bytes((ZdoStatus.NOT_SUPPORTED,))


def _addresses(device: ZdoDevice, cluster: int, data: bytes, *, is_broadcast: bool) -> bytes | None:
    if cluster == ZdoCluster.NWK_ADDRESS:
        is_me = data[:8] == device.ieee
    else:
        is_me = struct.unpack_from("<H", data)[0] == device.address
    if not is_me:
        return None if is_broadcast else bytes((ZdoStatus.DEVICE_NOT_FOUND,)) + data[:8].ljust(8, b"\xff") + b"\xff\xff"
    return bytes((ZdoStatus.SUCCESS,)) + device.ieee + struct.pack("<H", device.address)


def _description(device: ZdoDevice, cluster: int, data: bytes) -> bytes:
    (address,) = struct.unpack_from("<H", data)
    about = struct.pack("<H", address)
    if address != device.address:
        return (
            bytes((ZdoStatus.DEVICE_NOT_FOUND,)) + about + (b"\x00" if cluster != ZdoCluster.NODE_DESCRIPTOR else b"")
        )
    found = bytes((ZdoStatus.SUCCESS,)) + about
    if cluster == ZdoCluster.NODE_DESCRIPTOR:
        return found + _node_descriptor(device)
    if cluster == ZdoCluster.POWER_DESCRIPTOR:
        return found + struct.pack("<H", 0xC110 if device.logical_type is not LogicalType.END_DEVICE else 0xC440)
    if cluster == ZdoCluster.ACTIVE_ENDPOINTS:
        endpoints = bytes(descriptor.endpoint for descriptor in device.descriptors)
        return found + bytes((len(endpoints),)) + endpoints
    wanted = data[2]
    for descriptor in device.descriptors:
        if descriptor.endpoint == wanted:
            body = _simple_descriptor(descriptor)
            return found + bytes((len(body),)) + body
    return bytes((ZdoStatus.INVALID_ENDPOINT,)) + about + b"\x00"


_BAND_2400_MHZ = 0x40
_BUFFER_BYTES = 82
_SERVER_MASK = 22 << 9
"""Stack compliance revision 22, no server role; the coordinator adds the primary trust centre."""
_PRIMARY_TRUST_CENTRE = 0x0001


def _node_descriptor(device: ZdoDevice) -> bytes:
    kind = device.logical_type
    return struct.pack(
        "<BBBHBHHHB",
        kind,
        _BAND_2400_MHZ,
        device.mac_capabilities,
        device.manufacturer_code,
        _BUFFER_BYTES,
        _BUFFER_BYTES,
        _SERVER_MASK | (_PRIMARY_TRUST_CENTRE if kind is LogicalType.COORDINATOR else 0),
        _BUFFER_BYTES,
        0,
    )


def _simple_descriptor(descriptor: SimpleDescriptor) -> bytes:
    servers, clients = descriptor.servers, descriptor.clients
    head = struct.pack("<BHHB", descriptor.endpoint, descriptor.profile, descriptor.device_id, descriptor.version)
    return (
        head
        + struct.pack(f"<B{len(servers)}H", len(servers), *servers)
        + struct.pack(f"<B{len(clients)}H", len(clients), *clients)
    )


def _matches(device: ZdoDevice, data: bytes, *, is_broadcast: bool) -> bytes | None:
    address, profile, count = struct.unpack_from("<HHB", data)
    servers = set(struct.unpack_from(f"<{count}H", data, 5))
    (client_count,) = struct.unpack_from("<B", data, 5 + 2 * count)
    clients = set(struct.unpack_from(f"<{client_count}H", data, 6 + 2 * count))
    found = bytes(
        descriptor.endpoint
        for descriptor in device.descriptors
        if descriptor.profile == profile and (servers & set(descriptor.servers) or clients & set(descriptor.clients))
    )
    if is_broadcast and not found:
        return None
    del address
    return bytes((ZdoStatus.SUCCESS,)) + struct.pack("<HB", device.address, len(found)) + found


SCAN_DURATION_MAX = 0x05
CHANGE_CHANNEL = 0xFE
CHANGE_MANAGER = 0xFF
CHANNELS = range(11, 27)
_QUIET_ENERGY = 0x20


def _network_update(device: ZdoDevice, data: bytes) -> bytes:
    """Scan, or change the channel (section 2.4.3.3.9). Answered in full, refusals too: hosts read all fields."""
    mask, duration = struct.unpack_from("<IB", data)
    channels = [channel for channel in CHANNELS if mask >> channel & 1]
    status, energies = ZdoStatus.SUCCESS, b""
    if duration <= SCAN_DURATION_MAX:
        energies = bytes((_QUIET_ENERGY,)) * len(channels)
    elif duration == CHANGE_CHANNEL and len(channels) == 1:
        device.change_channel(channels[0], data[5])
    elif duration != CHANGE_MANAGER:
        status = ZdoStatus.INVALID_REQUEST_TYPE
    return struct.pack("<BIHHB", status, mask, 0, 0, len(energies)) + energies


_TO_DEVICE = 0x03


def _binding(data: bytes) -> BindingEntry | None:
    endpoint, cluster, mode = struct.unpack_from("<8xBHB", data)
    if mode != _TO_DEVICE:
        return None
    destination, destination_endpoint = struct.unpack_from("<8sB", data, 12)
    return BindingEntry(endpoint, cluster, destination, destination_endpoint)


def _table(device: ZdoDevice, cluster: int, start: int) -> bytes:
    if cluster == ZdoCluster.MGMT_LQI:
        rows = [_neighbour_row(row) for row in device.neighbours()]
        shown = rows[start : start + NEIGHBOURS_PER_RESPONSE]
    elif cluster == ZdoCluster.MGMT_BINDINGS:
        rows = [
            device.ieee
            + struct.pack("<BHB", row.endpoint, row.cluster, _TO_DEVICE)
            + row.destination
            + bytes((row.destination_endpoint,))
            for row in device.bindings()
        ]
        shown = rows[start : start + BINDINGS_PER_RESPONSE]
    else:
        # Every device is at most two hops away, so there are no routes.
        rows, shown = [], []
    return bytes((ZdoStatus.SUCCESS, len(rows), start, len(shown))) + b"".join(shown)


_RX_ON_SHIFT = 2
_RELATION_SHIFT = 4
_CHILD = 1
_SIBLING = 2


def _neighbour_row(row: Neighbour) -> bytes:
    is_listening = row.kind is not LogicalType.END_DEVICE
    flags = row.kind | is_listening << _RX_ON_SHIFT | (_CHILD if row.is_child else _SIBLING) << _RELATION_SHIFT
    return bytes(8) + row.ieee + struct.pack("<HBBBB", row.address, flags, 0, 1, row.lqi)
