"""The coordinator stick: its settings, its network, its join policy, and its callbacks.

Pure: commands (`*_commands`) and events of the radio medium go in, callbacks come out. Must never see the bytes of
a frame.
"""

from collections import deque
from enum import Enum
from typing import Any

import bellows.types as t
import msgspec

from lab.ncp import zdo
from lab.ncp.coordinator_zdo import CoordinatorDevice
from lab.ncp.ezsp import EzspCallback, EzspCodec, Status, eui64
from lab.ncp.memory import COUNTER_STEP, StickMemory
from lab.ncp.radio_medium import (
    DeviceJoined,
    DeviceLeft,
    MessageDelivered,
    MessageReceived,
    RadioEvent,
    RadioMedium,
    RadioNetwork,
)
from lab.ncp.zcl import COORDINATOR_ADDRESS, ApsMessage

CALLBACKS_MAX = 250
"""The most callbacks that wait for a host that does not read; a real stick has about as many buffers."""
BUFFERS = 255
WELL_KNOWN_KEY = b"ZigBeeAlliance09"
ANY_DEVICE = "ff:ff:ff:ff:ff:ff:ff:ff"
TRANSIENT_KEY_S = 300.0
"""How long a key for one join is kept (CONFIG_TRANSIENT_KEY_TIMEOUT_S)."""

CHANNEL_CHANGE_S = 9.0
"""From the broadcast that announces another channel to the change: nwkNetworkBroadcastDeliveryTime (Zigbee
specification, section 3.5.1)."""

NO_TABLE_INDEX = 0xFF
MULTICAST_ROWS = 16


class JoinOutcome(Enum):
    """The outcome of a press on a sensor's button."""

    JOINED = "joined"
    NO_OPEN_NETWORK = "no open network is in range"
    DENIED = "the trust centre refused it"
    WRONG_KEY = "it cannot decrypt the network key: it expects the link key of its install code"


class SendTicket(msgspec.Struct, frozen=True):
    """The fields of a message that its `messageSentHandler` repeats."""

    message_type: int
    nwk: int
    aps_frame: Any
    tag: int


class Coordinator:
    """The state of a stick. Most of it is public, with many methods: some eighty command handlers share it."""

    def __init__(self, *, codec: EzspCodec, memory: StickMemory, radio_medium: RadioMedium) -> None:
        self.codec = codec
        self.memory = memory
        self.radio_medium = radio_medium
        self.is_full = False
        self.now_s = 0.0
        self.callbacks: deque[EzspCallback] = deque()
        self.has_overflowed = False
        self.reboot()

    def reboot(self) -> None:
        """Lose everything that is not in flash."""
        self.is_up = False
        self.radio_medium.set_network(None)
        self.callbacks.clear()
        self.has_overflowed = False
        self.endpoints: dict[int, zdo.SimpleDescriptor] = {}
        self.configuration: dict[int, int] = {}
        self.values: dict[int, bytes] = {}
        self.policies: dict[int, int] = {}
        self.initial_security: Any = None
        self.manufacturer_code = 0
        self.transient_keys: dict[str, tuple[bytes, float]] = {}
        self.address_table: dict[int, tuple[str, int]] = {}
        self.addresses: dict[str, int] = dict(self.memory.children)
        self.routes: dict[str, tuple[int, ...]] = {}
        self.extended_timeouts: set[str] = set()
        self.multicast_table: dict[int, tuple[int, int, int]] = {}
        self.counters = [0] * len(t.EmberCounterType)
        self.permit_until_s = 0.0
        self._channel_change: tuple[float, int, int] | None = None
        self._aps_sequence = 0
        self._frame_counter = self.memory.frame_counter

    @property
    def free_buffers(self) -> int:
        """How many messages still fit."""
        return 0 if self.is_full else max(0, BUFFERS - len(self.callbacks))

    @property
    def frame_counter(self) -> int:
        """The counter of the last frame that was sent."""
        return self._frame_counter

    def remember(self, **changes: object) -> None:
        """Change what is in flash."""
        self.memory = msgspec.structs.replace(self.memory, **changes)

    def start(self) -> None:
        """Start the radio in the stored network."""
        network = self.memory.network
        if network is None:
            return
        self.is_up = True
        self._frame_counter = self.memory.frame_counter
        self.radio_medium.set_network(
            RadioNetwork(network.extended_pan_id, network.pan_id, network.network_key, self.memory.eui64)
        )
        self.add_callback("stackStatusHandler", status=Status.NETWORK_UP)

    def stop(self) -> None:
        """Leave the network and forget it."""
        self.is_up = False
        self.radio_medium.set_network(None)
        self.remember(network=None, children={})
        self.add_callback("stackStatusHandler", status=Status.NETWORK_DOWN)

    def next_counter(self) -> int:
        """Return the counter of the next frame. Flash always holds one that was never used."""
        self._frame_counter += 1
        if self._frame_counter >= self.memory.frame_counter:
            self.remember(frame_counter=self._frame_counter + COUNTER_STEP)
        return self._frame_counter

    def next_aps_sequence(self) -> int:
        """Return the number of the next message."""
        self._aps_sequence = (self._aps_sequence + 1) & 0xFF
        return self._aps_sequence

    def permit(self, duration_s: int) -> None:
        """Open the network for a time; 0 closes it, 255 leaves it open."""
        was_open = self.permit_until_s > self.now_s
        self.permit_until_s = float("inf") if duration_s == _FOREVER else self.now_s + duration_s
        if duration_s:
            self.add_callback("stackStatusHandler", status=Status.ZIGBEE_NETWORK_OPENED)
        elif was_open:
            self.add_callback("stackStatusHandler", status=Status.ZIGBEE_NETWORK_CLOSED)

    def change_channel(self, channel: int, update_id: int) -> None:
        """Move the network to another channel, after the broadcast delivery time; hosts repeat this."""
        network = self.memory.network
        is_there = network is not None and (network.channel, network.update_id) == (channel, update_id)
        if self._channel_change is None and not is_there:
            self._channel_change = (self.now_s + CHANNEL_CHANGE_S, channel, update_id)

    def _change_channel_now(self, channel: int, update_id: int) -> None:
        self._channel_change = None
        if self.memory.network is not None:
            network = msgspec.structs.replace(self.memory.network, channel=channel, update_id=update_id)
            self.remember(network=network)
            self.add_callback("stackStatusHandler", status=Status.ZIGBEE_CHANNEL_CHANGED)

    def due_s(self) -> float | None:
        """Return when `advance` is next worth a call."""
        changes_s = self._channel_change[0] if self._channel_change else None
        times = [at_s for at_s in (self.radio_medium.due_s(), self._closes_s(), changes_s) if at_s is not None]
        return min(times, default=None)

    def advance(self, now_s: float) -> None:
        """Advance to a time: close the join window, and handle the events of the radio medium."""
        self.now_s = now_s
        closes_s = self._closes_s()
        if closes_s is not None and closes_s <= now_s:
            self.permit_until_s = 0.0
            self.add_callback("stackStatusHandler", status=Status.ZIGBEE_NETWORK_CLOSED)
        if self._channel_change is not None and self._channel_change[0] <= now_s:
            self._change_channel_now(*self._channel_change[1:])
        for event in self.radio_medium.advance(now_s):
            self._handle_event(event)

    def press(self, name: str, now_s: float) -> JoinOutcome:
        """Press the button of a sensor: it looks for an open network and asks to join.

        Raises:
            KeyError: There is no sensor of that name.
        """
        self.now_s = now_s
        device = self.radio_medium.device(name)
        parent = self.radio_medium.parent_for(
            name, is_stick_open=self.is_up and self.permit_until_s > now_s, now_s=now_s
        )
        if not self.is_up or parent is None:
            return JoinOutcome.NO_OPEN_NETWORK
        policy = self.policies.get(t.EzspPolicyId.TRUST_CENTER_POLICY, t.EzspDecisionBitmask.ALLOW_JOINS)
        given = self._key_for(device.eui64)
        is_own_key_asked = bool(policy & t.EzspDecisionBitmask.JOINS_USE_INSTALL_CODE_KEY)
        if not policy & t.EzspDecisionBitmask.ALLOW_JOINS or (is_own_key_asked and given is None):
            address, ieee = self.radio_medium.denied_address(name)
            self._report_join(address, ieee, t.EmberJoinDecision.DENY_JOIN, parent)
            return JoinOutcome.DENIED
        if (device.link_key or WELL_KNOWN_KEY) != (given or WELL_KNOWN_KEY):
            # The stick admits the device, which cannot decrypt its messages: the host sees a join and no device.
            address, ieee = self.radio_medium.denied_address(name)
            self._report_join(address, ieee, t.EmberJoinDecision.USE_PRECONFIGURED_KEY, parent)
            return JoinOutcome.WRONG_KEY
        self.radio_medium.join(name, network_counter=self._frame_counter, now_s=now_s)
        return JoinOutcome.JOINED

    def send(self, ticket: SendTicket, message: ApsMessage) -> None:
        """Send a message to one device, or answer it where it is for the stick itself."""
        if ticket.nwk != COORDINATOR_ADDRESS:
            self.radio_medium.unicast(ticket.nwk, message, counter=self.next_counter(), ticket=ticket, now_s=self.now_s)
            return
        self._report_sent(ticket, is_delivered=True)
        if message.profile == zdo.PROFILE and message.destination_endpoint == 0:
            reply = zdo.respond(CoordinatorDevice(self), message.cluster, message.payload, is_broadcast=False)
            if reply is not None:
                own = ApsMessage(
                    profile=zdo.PROFILE,
                    cluster=reply.cluster,
                    source_endpoint=0,
                    destination_endpoint=0,
                    payload=reply.payload,
                    sequence=self.next_aps_sequence(),
                )
                self._handle_event(MessageReceived(COORDINATOR_ADDRESS, self.memory.eui64, own, 255, 0, ()))

    def broadcast(self, ticket: SendTicket, message: ApsMessage) -> None:
        """Send a message to all devices that receive all the time."""
        self.radio_medium.broadcast(message, counter=self.next_counter(), now_s=self.now_s)
        if message.profile == zdo.PROFILE and message.cluster == zdo.ZdoCluster.MGMT_NWK_UPDATE:
            zdo.respond(CoordinatorDevice(self), message.cluster, message.payload, is_broadcast=True)
        self._report_sent(ticket, is_delivered=True)

    def add_callback(self, name: str, **fields: object) -> None:
        """Queue a callback. A full queue drops it and reports an overflow to the host."""
        if len(self.callbacks) >= CALLBACKS_MAX or (self.is_full and name == "incomingMessageHandler"):
            self.has_overflowed = True
            self.counters[t.EmberCounterType.COUNTER_ALLOCATE_PACKET_BUFFER_FAILURE] += 1
            return
        self.callbacks.append(EzspCallback(name, fields))

    def _closes_s(self) -> float | None:
        return self.permit_until_s if 0 < self.permit_until_s < float("inf") else None

    def _key_for(self, ieee: str) -> bytes | None:
        key, until_s = self.transient_keys.get(ieee, (b"", 0.0))
        return key if until_s > self.now_s else None

    def _handle_event(self, event: RadioEvent) -> None:
        match event:
            case MessageReceived():
                self._report_message(event)
            case MessageDelivered(ticket, is_delivered):
                self._report_sent(ticket, is_delivered=is_delivered)
            case DeviceJoined(address, ieee, parent, is_rejoin, is_sleepy):
                self.addresses[ieee] = address
                if is_sleepy and parent == COORDINATOR_ADDRESS:
                    self.remember(children={**self.memory.children, ieee: address})
                self._report_join(
                    address,
                    ieee,
                    t.EmberJoinDecision.NO_ACTION if is_rejoin else _ADMITTED,
                    parent,
                    is_rejoin=is_rejoin,
                )
            case DeviceLeft(address, ieee):
                self.addresses.pop(ieee, None)
                self.remember(children={key: value for key, value in self.memory.children.items() if key != ieee})
                self.add_callback(
                    "trustCenterJoinHandler",
                    newNodeId=address,
                    newNodeEui64=eui64(ieee),
                    status=t.EmberDeviceUpdate.DEVICE_LEFT,
                    policyDecision=t.EmberJoinDecision.NO_ACTION,
                    parentOfNewNodeId=0xFFFF,
                )

    def _report_join(
        self, address: int, ieee: str, decision: t.EmberJoinDecision, parent: int, *, is_rejoin: bool = False
    ) -> None:
        update = t.EmberDeviceUpdate
        self.add_callback(
            "trustCenterJoinHandler",
            newNodeId=address,
            newNodeEui64=eui64(ieee),
            status=(update.STANDARD_SECURITY_SECURED_REJOIN if is_rejoin else update.STANDARD_SECURITY_UNSECURED_JOIN),
            policyDecision=decision,
            parentOfNewNodeId=parent,
        )

    def _report_message(self, received: MessageReceived) -> None:
        self.counters[t.EmberCounterType.COUNTER_MAC_RX_UNICAST] += 1
        if received.relays != self.routes.get(received.eui64, ()):
            self.routes[received.eui64] = received.relays
            self.add_callback(
                "incomingRouteRecordHandler",
                source=received.address,
                sourceEui=eui64(received.eui64),
                lqi=received.lqi,
                rssi=received.rssi_dbm,
                relayList=list(received.relays),
            )
        self.addresses[received.eui64] = received.address
        message = received.message
        kind = t.EmberIncomingMessageType
        self.add_callback(
            "incomingMessageHandler",
            message_type=kind.INCOMING_BROADCAST if message.is_broadcast else kind.INCOMING_UNICAST,
            aps_frame=t.EmberApsFrame(
                profileId=message.profile,
                clusterId=message.cluster,
                sourceEndpoint=message.source_endpoint,
                destinationEndpoint=message.destination_endpoint,
                options=t.EmberApsOption.APS_OPTION_NONE,
                groupId=0,
                sequence=message.sequence,
            ),
            nwk=received.address,
            eui64=eui64(received.eui64),
            binding_index=NO_TABLE_INDEX,
            address_index=NO_TABLE_INDEX,
            lqi=received.lqi,
            rssi=received.rssi_dbm,
            timestamp=int(self.now_s * 1000) & 0xFFFF_FFFF,
            message=message.payload,
        )

    def _report_sent(self, ticket: object, *, is_delivered: bool) -> None:
        if not isinstance(ticket, SendTicket):
            return
        counter = t.EmberCounterType
        self.counters[
            counter.COUNTER_APS_DATA_TX_UNICAST_SUCCESS if is_delivered else counter.COUNTER_APS_DATA_TX_UNICAST_FAILED
        ] += 1
        self.add_callback(
            "messageSentHandler",
            status=Status.OK if is_delivered else Status.ZIGBEE_DELIVERY_FAILED,
            message_type=ticket.message_type,
            nwk=ticket.nwk,
            aps_frame=ticket.aps_frame,
            message_tag=ticket.tag,
            message=b"",
        )


_FOREVER = 0xFF
_ADMITTED = t.EmberJoinDecision.USE_PRECONFIGURED_KEY
