"""The radio medium: which device receives which message, and when, through routers and with latency.

Pure: every method takes the monotonic time; later events wait in an agenda until `advance`. Must not depend on EZSP.
"""

import heapq
import random
from collections.abc import Mapping, Sequence

import msgspec

from lab.ncp import zdo
from lab.ncp.memory import COUNTER_STEP, DevicesMemory, Membership, NodeMemory
from lab.ncp.models import DeviceModel, VendorDialect
from lab.ncp.node import Node
from lab.ncp.zcl import COORDINATOR_ADDRESS, ApsMessage, eui64_bytes

HOP_S = 0.002
"""One frame over one hop, with its acknowledgement."""
INDIRECT_TIMEOUT_S = 7.68
"""How long a parent keeps a message for a sleeping child (Zigbee specification, nwkTransactionPersistenceTime)."""
GIVES_UP_S = 1.5
"""How long a stick tries to reach a device that does not answer."""
JITTER = 0.2
"""A latency varies by up to this part of itself."""

_ADDRESS_MIN = 0x0001
_ADDRESS_MAX = 0xFFF0


class EmulatedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A sensor as a device file describes it.

    Attributes:
        eui64: Lower-case text with colons.
        parent: The name of its router; empty for the stick itself.
        latency_s: From a message to its delivery: for a sleepy device, its polling interval.
        link_key: The key that it joins with; `None` for the well-known one.
        values: Its first measured values, by quantity.
    """

    name: str
    eui64: str
    model: DeviceModel
    parent: str = ""
    latency_s: float = 0.01
    lqi: int = 200
    rssi_dbm: int = -55
    link_key: bytes | None = None
    values: Mapping[str, float | None] = {}


class RadioNetwork(msgspec.Struct, frozen=True):
    """The network that the stick's radio is up in. A device with another network or key does not receive from it."""

    extended_pan_id: str
    pan_id: int
    network_key: bytes
    eui64: str

    def holds(self, membership: Membership | None) -> bool:
        """Tell whether a device that remembers ``membership`` is part of this network."""
        return membership is not None and (
            membership.extended_pan_id,
            membership.pan_id,
            membership.network_key,
            membership.trust_centre,
        ) == (self.extended_pan_id, self.pan_id, self.network_key, self.eui64)


class MessageReceived(msgspec.Struct, frozen=True):
    """A message has reached the stick. The link quality is that of the last hop."""

    address: int
    eui64: str
    message: ApsMessage
    lqi: int
    rssi_dbm: int
    relays: tuple[int, ...]


class MessageDelivered(msgspec.Struct, frozen=True):
    """A message of the stick has reached its device, or was given up."""

    ticket: object
    is_delivered: bool


class DeviceJoined(msgspec.Struct, frozen=True):
    """A device has joined, or is back after it had lost its parent or its power."""

    address: int
    eui64: str
    parent_address: int
    is_rejoin: bool
    is_sleepy: bool


class DeviceLeft(msgspec.Struct, frozen=True):
    """A device has left the network."""

    address: int
    eui64: str


RadioEvent = MessageReceived | MessageDelivered | DeviceJoined | DeviceLeft


class _Arrival(msgspec.Struct, frozen=True):
    """A message on its way to a device. Without a counter it is not secured by the network and always received."""

    name: str
    message: ApsMessage
    counter: int
    ticket: object | None


class _Departure(msgspec.Struct, frozen=True):
    """A device on its way out."""

    name: str


class RadioMedium:
    """The devices, and the agenda of their messages. It has a method for each thing that can happen to a device."""

    def __init__(self, devices: Sequence[EmulatedDevice], memory: DevicesMemory, *, seed: int, now_s: float) -> None:
        self._devices = {device.name: device for device in devices}
        self._nodes: dict[str, Node] = {}
        for device in devices:
            kept = memory.nodes.get(device.name, NodeMemory())
            node = Node(eui64=device.eui64, model=device.model, memory=kept, now_s=now_s)
            if device.name not in memory.nodes or device.model.dialect is VendorDialect.TUYA:
                # A Tuya module keeps no values: its microcontroller reports them again.
                node.set_values(device.values, now_s)
            self._nodes[device.name] = node
        self._random = random.Random(seed)
        self._agenda: list[tuple[float, int, RadioEvent | _Arrival | _Departure]] = []
        self._ordinal = 0
        self._busy_until_s: dict[str, float] = {}
        self._network: RadioNetwork | None = None

    @property
    def names(self) -> Sequence[str]:
        """The devices, in the order of the device file."""
        return list(self._devices)

    @property
    def memory(self) -> DevicesMemory:
        """What all devices keep over a power cut. Frame counters are kept in steps, as a stick keeps its own."""
        return DevicesMemory({name: _rounded(node.memory) for name, node in self._nodes.items()})

    def node(self, name: str) -> Node:
        """Return a device.

        Raises:
            KeyError: There is none of that name.
        """
        return self._nodes[name]

    def device(self, name: str) -> EmulatedDevice:
        """Return how a device was described.

        Raises:
            KeyError: There is none of that name.
        """
        return self._devices[name]

    def set_network(self, network: RadioNetwork | None) -> None:
        """Let the stick's radio go up in a network, or down."""
        self._network = network

    def due_s(self) -> float | None:
        """Return when `advance` is next worth a call."""
        times = [at_s for node in self._nodes.values() if (at_s := node.due_s()) is not None]
        if self._agenda:
            times.append(self._agenda[0][0])
        return min(times, default=None)

    def advance(self, now_s: float) -> Sequence[RadioEvent]:
        """Advance to a time, and return the events at the stick, in order."""
        for name, node in self._nodes.items():
            due_s = node.due_s()
            if due_s is not None and due_s <= now_s:
                self._send_up(name, node.advance(now_s), now_s)
        events: list[RadioEvent] = []
        while self._agenda and self._agenda[0][0] <= now_s:
            at_s, _, what = heapq.heappop(self._agenda)
            match what:
                case _Arrival():
                    events += self._arrive(what, at_s)
                case _Departure(name):
                    events += self._depart(name)
                case MessageReceived() | DeviceJoined() if self._network is None:
                    pass
                case _:
                    events.append(what)
        return events

    def unicast(self, address: int, message: ApsMessage, *, counter: int, ticket: object, now_s: float) -> None:
        """Send a message to one device; a `MessageDelivered` with ``ticket`` follows."""
        name = self._name_at(address)
        if name is None:
            self._later(now_s + GIVES_UP_S, MessageDelivered(ticket, is_delivered=False))
            return
        latency_s = self._latency_s(name)
        if self._nodes[name].is_sleepy and latency_s > INDIRECT_TIMEOUT_S:
            self._later(now_s + INDIRECT_TIMEOUT_S, MessageDelivered(ticket, is_delivered=False))
            return
        at_s = max(now_s, self._busy_until_s.get(name, 0.0)) + latency_s
        self._busy_until_s[name] = at_s
        self._later(at_s, _Arrival(name, message, counter, ticket))

    def broadcast(self, message: ApsMessage, *, counter: int, now_s: float) -> None:
        """Send a message to all devices that receive all the time."""
        for name, node in self._nodes.items():
            if not node.is_sleepy:
                self._later(now_s + self._latency_s(name), _Arrival(name, message, counter, None))

    def parent_for(self, name: str, *, is_stick_open: bool, now_s: float) -> int | None:
        """Return the address through which a device could join now, or `None` where no open network is in range."""
        router = self._devices[name].parent
        if not router:
            return COORDINATOR_ADDRESS if is_stick_open else None
        node = self._nodes[router]
        is_open = self._is_up(router) and node.permit_until_s > now_s
        return node.address if is_open else None

    def join(self, name: str, *, network_counter: int, now_s: float) -> None:
        """Make a device a member of the network that is up; it announces itself."""
        network, node, device = self._network, self._nodes[name], self._devices[name]
        if network is None:
            return
        node.join(
            Membership(
                extended_pan_id=network.extended_pan_id,
                pan_id=network.pan_id,
                network_key=network.network_key,
                trust_centre=network.eui64,
                address=self._new_address(),
                parent=device.parent,
                heard_counter=network_counter,
            )
        )
        self._later(now_s + HOP_S, self._entered(name, is_rejoin=False))
        self._send_up(name, [node.announce()], now_s + HOP_S)

    def denied_address(self, name: str) -> tuple[int, str]:
        """Return the address that a refused device would have had, and its EUI-64."""
        return self._new_address(), self._devices[name].eui64

    def report_all(self, name: str, now_s: float) -> None:
        """Make a device report all its configured attributes."""
        self._send_up(name, self._nodes[name].report_all(now_s), now_s)

    def set_values(self, name: str, values: Mapping[str, float | None], now_s: float) -> None:
        """Let a device measure something else.

        Raises:
            KeyError: It has no such quantity, or the quantity has no "no value" marker.
            ValueError: The value does not fit.
        """
        self._send_up(name, self._nodes[name].set_values(values, now_s), now_s)

    def unplug(self, name: str) -> None:
        """Take a device's power."""
        self._nodes[name].is_powered = False

    def plug(self, name: str, now_s: float) -> None:
        """Give a device its power back; a member comes back by itself."""
        node = self._nodes[name]
        node.is_powered = True
        if self._network is not None and self._network.holds(node.membership):
            self._later(now_s + HOP_S, self._entered(name, is_rejoin=True))
            self._send_up(name, [node.announce()], now_s + HOP_S)

    def expel(self, eui64: str, now_s: float) -> None:
        """Tell a device to leave."""
        for name, device in self._devices.items():
            if device.eui64 == eui64 and self._is_up(name):
                self._later(now_s + self._latency_s(name), _Departure(name))

    def neighbours(self) -> Sequence[zdo.Neighbour]:
        """Return the devices in direct range of the stick."""
        return [self._neighbour(name) for name in self._nodes if self._is_up(name) and not self._parent(name)]

    def _arrive(self, arrival: _Arrival, at_s: float) -> Sequence[RadioEvent]:
        node = self._nodes[arrival.name]
        if not self._is_up(arrival.name) or not node.accepts_counter(arrival.counter):
            if arrival.ticket is not None:
                self._later(at_s + GIVES_UP_S, MessageDelivered(arrival.ticket, is_delivered=False))
            return []
        node.neighbour_table = self._table_of(arrival.name)
        self._send_up(arrival.name, node.receive(arrival.message, at_s), at_s)
        if node.wants_to_leave:
            node.wants_to_leave = False
            self._later(at_s + 2 * HOP_S, _Departure(arrival.name))
        return [] if arrival.ticket is None else [MessageDelivered(arrival.ticket, is_delivered=True)]

    def _depart(self, name: str) -> Sequence[RadioEvent]:
        if not self._is_up(name):
            return []
        node = self._nodes[name]
        left = DeviceLeft(node.address, node.eui64)
        node.forget()
        return [left]

    def _send_up(self, name: str, messages: Sequence[ApsMessage], now_s: float) -> None:
        """Send a device's messages to the stick. Messages without a network are lost."""
        if not messages or not self._is_member(name):
            return
        node, device = self._nodes[name], self._devices[name]
        parent = self._parent(name)
        if parent and not self._is_up(parent):
            # Without an acknowledgement a sleepy device looks for another parent in its network.
            node.move(parent="")
            parent = ""
            self._later(now_s + HOP_S, self._entered(name, is_rejoin=True))
            now_s += HOP_S
        hop = self._devices[parent] if parent else device
        relays = (self._nodes[parent].address,) if parent else ()
        for count, message in enumerate(messages, start=1):
            at_s = now_s + count * HOP_S
            self._later(at_s, MessageReceived(node.address, node.eui64, message, hop.lqi, hop.rssi_dbm, relays))

    def _entered(self, name: str, *, is_rejoin: bool) -> DeviceJoined:
        node, parent = self._nodes[name], self._parent(name)
        parent_address = self._nodes[parent].address if parent else COORDINATOR_ADDRESS
        return DeviceJoined(node.address, node.eui64, parent_address, is_rejoin, node.is_sleepy)

    def _later(self, at_s: float, what: RadioEvent | _Arrival | _Departure) -> None:
        self._ordinal += 1
        heapq.heappush(self._agenda, (at_s, self._ordinal, what))

    def _latency_s(self, name: str) -> float:
        return self._devices[name].latency_s * (1 + JITTER * (self._random.random() - 0.5))

    def _parent(self, name: str) -> str:
        membership = self._nodes[name].membership
        return membership.parent if membership else ""

    def _is_member(self, name: str) -> bool:
        node = self._nodes[name]
        return node.is_powered and self._network is not None and self._network.holds(node.membership)

    def _is_up(self, name: str) -> bool:
        """Tell whether a device is a member that the stick can reach."""
        parent = self._parent(name)
        return self._is_member(name) and (not parent or self._is_member(parent))

    def _name_at(self, address: int) -> str | None:
        return next((name for name in self._nodes if self._nodes[name].address == address), None)

    def _new_address(self) -> int:
        used = {node.address for node in self._nodes.values()}
        while True:
            address = self._random.randint(_ADDRESS_MIN, _ADDRESS_MAX)
            if address not in used:
                return address

    def _neighbour(self, name: str, *, child_of: str = "") -> zdo.Neighbour:
        node = self._nodes[name]
        is_child = node.is_sleepy and self._parent(name) == child_of
        return zdo.Neighbour(node.ieee, node.address, node.logical_type, is_child, self._devices[name].lqi)

    def _table_of(self, name: str) -> Sequence[zdo.Neighbour]:
        if self._network is None or self._nodes[name].is_sleepy:
            return ()
        stick = zdo.Neighbour(
            eui64_bytes(self._network.eui64),
            COORDINATOR_ADDRESS,
            zdo.LogicalType.COORDINATOR,
            is_child=False,
            lqi=self._devices[name].lqi,
        )
        children = [other for other in self._nodes if self._parent(other) == name and self._is_up(other)]
        return [stick, *(self._neighbour(child, child_of=name) for child in children)]


def _rounded(memory: NodeMemory) -> NodeMemory:
    if memory.membership is None:
        return memory
    counter = memory.membership.heard_counter // COUNTER_STEP * COUNTER_STEP
    return msgspec.structs.replace(memory, membership=msgspec.structs.replace(memory.membership, heard_counter=counter))
