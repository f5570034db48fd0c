"""One emulated sensor: its membership in the network, its bindings, and when it sends.

Pure: messages and the time go in, messages come out.
"""

from collections.abc import Mapping, Sequence

import msgspec

from lab.ncp import models, zdo
from lab.ncp.application import OutgoingFrame, ZclApplication
from lab.ncp.attributes import AttributeTable
from lab.ncp.memory import Binding, Membership, NodeMemory
from lab.ncp.models import DeviceModel, DeviceRole, VendorDialect
from lab.ncp.zcl import UNKNOWN_ADDRESS, ApsMessage, eui64_bytes, eui64_text

_MAINS_ROUTER = 0x8E
"""Allocate address, receiver on when idle, mains, full-function device (Zigbee specification, section 2.3.2.3.6)."""
_SLEEPY_END_DEVICE = 0x80
COORDINATOR_ENDPOINT = 1


class Node:
    """One emulated device. Ten of its methods are those of the protocol `zdo.ZdoDevice`."""

    def __init__(self, *, eui64: str, model: DeviceModel, memory: NodeMemory, now_s: float) -> None:
        self.eui64 = eui64
        self.model = model
        self.is_powered = True
        self.wants_to_leave = False
        self.permit_until_s = 0.0
        self.neighbour_table: Sequence[zdo.Neighbour] = ()
        self.membership = memory.membership
        self._bindings = list(memory.bindings)
        self._attributes = AttributeTable(model, memory.values, memory.rules, now_s)
        self._application = ZclApplication(model, self._attributes)
        self._announcements = 0
        self._aps_sequence = 0
        self._now_s = now_s

    @property
    def memory(self) -> NodeMemory:
        """What it keeps over a power cut."""
        return NodeMemory(
            membership=self.membership,
            bindings=tuple(self._bindings),
            rules=self._attributes.reporting.rules,
            values=self._attributes.changed_values(),
        )

    @property
    def ieee(self) -> bytes:
        """Its EUI-64, lowest byte first."""
        return eui64_bytes(self.eui64)

    @property
    def address(self) -> int:
        """Its network address."""
        return self.membership.address if self.membership else UNKNOWN_ADDRESS

    @property
    def is_sleepy(self) -> bool:
        """Whether it receives only what its parent keeps for it."""
        return self.model.role is DeviceRole.SLEEPY

    @property
    def logical_type(self) -> zdo.LogicalType:
        """What it is in the network."""
        return zdo.LogicalType.END_DEVICE if self.is_sleepy else zdo.LogicalType.ROUTER

    @property
    def mac_capabilities(self) -> int:
        """The MAC capabilities in its announcement."""
        return _SLEEPY_END_DEVICE if self.is_sleepy else _MAINS_ROUTER

    @property
    def manufacturer_code(self) -> int:
        """Of the node descriptor."""
        return self.model.manufacturer_code

    @property
    def descriptors(self) -> Sequence[zdo.SimpleDescriptor]:
        """Its endpoints."""
        return [
            zdo.SimpleDescriptor(
                endpoint.id,
                models.HOME_AUTOMATION,
                endpoint.device_id,
                1,
                tuple(cluster.id for cluster in endpoint.servers),
                endpoint.clients,
            )
            for endpoint in self.model.endpoints
        ]

    def neighbours(self) -> Sequence[zdo.Neighbour]:
        """Return its neighbour table, which the radio medium has set."""
        return self.neighbour_table

    def bindings(self) -> Sequence[zdo.BindingEntry]:
        """Return its binding table."""
        return [
            zdo.BindingEntry(row.endpoint, row.cluster, eui64_bytes(row.destination), row.destination_endpoint)
            for row in self._bindings
        ]

    def bind(self, entry: zdo.BindingEntry) -> zdo.ZdoStatus:
        """Add a binding."""
        has_cluster = any(
            descriptor.endpoint == entry.endpoint and entry.cluster in (*descriptor.servers, *descriptor.clients)
            for descriptor in self.descriptors
        )
        if not has_cluster:
            return zdo.ZdoStatus.INVALID_ENDPOINT
        if (row := _row(entry)) not in self._bindings:
            self._bindings.append(row)
        return zdo.ZdoStatus.SUCCESS

    def unbind(self, entry: zdo.BindingEntry) -> zdo.ZdoStatus:
        """Remove a binding."""
        if (row := _row(entry)) not in self._bindings:
            return zdo.ZdoStatus.NO_ENTRY
        self._bindings.remove(row)
        return zdo.ZdoStatus.SUCCESS

    def leave(self) -> None:
        """Leave after the response: the radio medium reads `wants_to_leave`."""
        self.wants_to_leave = True

    def permit_joining(self, duration_s: int) -> None:
        """Open the network through this device."""
        self.permit_until_s = self._now_s + duration_s

    def change_channel(self, channel: int, update_id: int) -> None:
        """Do nothing: a device follows its network by the key, not by the channel."""

    def join(self, membership: Membership) -> None:
        """Become a member of a network, with nothing of an earlier one."""
        self.forget()
        self.membership = membership

    def move(self, *, parent: str) -> None:
        """Find another parent in the same network."""
        if self.membership is not None:
            self.membership = msgspec.structs.replace(self.membership, parent=parent)

    def forget(self) -> None:
        """Reset to the factory state, except for the measured values."""
        self.membership = None
        self.wants_to_leave = False
        self.permit_until_s = 0.0
        self._bindings.clear()
        self._attributes.forget_rules(self._now_s)
        self._application.forget()

    def accepts_counter(self, counter: int) -> bool:
        """Tell whether a frame with this counter is no replay, and remember the counter."""
        if self.membership is None or counter <= self.membership.heard_counter:
            return False
        self.membership = msgspec.structs.replace(self.membership, heard_counter=counter)
        return True

    def announce(self) -> ApsMessage:
        """Return the device announcement."""
        self._announcements = (self._announcements + 1) & 0xFF
        payload = zdo.announcement(self, self._announcements)
        return self._zdo(zdo.ZdoCluster.DEVICE_ANNOUNCE, payload, is_broadcast=True)

    def receive(self, message: ApsMessage, now_s: float) -> Sequence[ApsMessage]:
        """Receive a message and return the responses, in order."""
        self._now_s = now_s
        if message.destination_endpoint == 0:
            if message.profile != zdo.PROFILE:
                return []
            reply = zdo.respond(self, message.cluster, message.payload, is_broadcast=message.is_broadcast)
            return [] if reply is None else [self._zdo(reply.cluster, reply.payload)]
        if not any(endpoint.id == message.destination_endpoint for endpoint in self.model.endpoints):
            return []
        frames = self._application.receive(message.destination_endpoint, message.cluster, message.payload, now_s)
        return self._sent(frames, to_endpoint=message.source_endpoint) + list(self.advance(now_s))

    def set_values(self, values: Mapping[str, float | None], now_s: float) -> Sequence[ApsMessage]:
        """Change its measured values, and return the messages that follow at once.

        Args:
            values: By quantity (`models.QUANTITIES`); `None` for the "no value" marker.
            now_s: Monotonic seconds.

        Raises:
            KeyError: It has no such quantity, or the quantity has no such marker.
            ValueError: The value does not fit.
        """
        self._now_s = now_s
        return self._sent(self._application.set_values(values)) + list(self.advance(now_s))

    def report_all(self, now_s: float) -> Sequence[ApsMessage]:
        """Report everything that is configured and bound, regardless of the intervals (a press on its button)."""
        self._now_s = now_s
        if self.model.dialect is not VendorDialect.NONE:
            return self._sent(self._application.own_reports())
        rules = self._attributes.reporting.rules
        return self._reports([(rule.endpoint, rule.cluster, rule.attribute) for rule in rules])

    def due_s(self) -> float | None:
        """Return when it next reports or switches by itself."""
        if not self.is_powered:
            return None
        times = [self._application.due_s(), self._attributes.reporting.due_s() if self.membership else None]
        return min((each for each in times if each is not None), default=None)

    def advance(self, now_s: float) -> Sequence[ApsMessage]:
        """Switch what is due by itself, and return the reports that are due."""
        self._now_s = now_s
        self._application.advance(now_s)
        due_s = self._attributes.reporting.due_s()
        if due_s is None or due_s > now_s:
            return []
        return self._reports([key for key, at_s in self._attributes.reporting.due().items() if at_s <= now_s])

    def _reports(self, keys: Sequence[tuple[int, int, int]]) -> list[ApsMessage]:
        for key in keys:
            self._attributes.reporting.reported(key, self._attributes[key], self._now_s)
        return self._sent(self._application.reports(keys))

    def _sent(self, frames: Sequence[OutgoingFrame], *, to_endpoint: int | None = None) -> list[ApsMessage]:
        """Address the application's frames; without a network, or without a required binding, they are dropped."""
        messages: list[ApsMessage] = []
        for words in frames:
            destination = to_endpoint or COORDINATOR_ENDPOINT
            if words.needs_binding:
                binding = self._binding_to_coordinator(words.endpoint, words.cluster)
                if binding is None:
                    continue
                destination = binding.destination_endpoint
            if self.membership is not None:
                messages.append(
                    self._message(models.HOME_AUTOMATION, words.cluster, words.endpoint, destination, words.payload)
                )
        return messages

    def _binding_to_coordinator(self, endpoint: int, cluster: int) -> Binding | None:
        centre = self.membership.trust_centre if self.membership else None
        for row in self._bindings:
            if (row.endpoint, row.cluster, row.destination) == (endpoint, cluster, centre):
                return row
        return None

    def _zdo(self, cluster: int, payload: bytes, *, is_broadcast: bool = False) -> ApsMessage:
        return self._message(zdo.PROFILE, cluster, 0, 0, payload, is_broadcast=is_broadcast)

    def _message(
        self, profile: int, cluster: int, source: int, destination: int, payload: bytes, *, is_broadcast: bool = False
    ) -> ApsMessage:
        self._aps_sequence = (self._aps_sequence + 1) & 0xFF
        return ApsMessage(
            profile=profile,
            cluster=cluster,
            source_endpoint=source,
            destination_endpoint=destination,
            payload=payload,
            sequence=self._aps_sequence,
            is_broadcast=is_broadcast,
        )


def _row(entry: zdo.BindingEntry) -> Binding:
    return Binding(entry.endpoint, entry.cluster, eui64_text(entry.destination), entry.destination_endpoint)
