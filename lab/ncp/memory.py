"""The flash contents of a stick and of sensors, and their file format.

Immutable: a change puts a new value in the place of the old one. Must never do I/O.
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from hal.errors import HalError

COUNTER_STEP = 1024
"""The stick's outgoing frame counter is kept in steps, so that not each frame writes to flash; a start skips to the
next step, because a counter must never be used twice (Zigbee specification, section 4.3.1.2)."""

T = TypeVar("T")


class MemoryInvalid(HalError):
    """A file that is not the flash of a stick or of sensors."""


class NetworkMemory(msgspec.Struct, frozen=True, kw_only=True):
    """The network that a stick has formed. EUI-64s are lower-case text with colons, keys are 16 bytes."""

    pan_id: int
    extended_pan_id: str
    channel: int
    channels: int
    tx_power_dbm: int
    manager_id: int
    update_id: int
    network_key: bytes
    network_key_number: int
    tc_link_key: bytes
    is_tc_link_key_hashed: bool
    trust_centre: str


class LinkKey(msgspec.Struct, frozen=True):
    """One row of the link key table."""

    eui64: str
    key: bytes


class StickMemory(msgspec.Struct, frozen=True, kw_only=True):
    """The stick's flash.

    Attributes:
        factory_eui64: The address it was made with.
        restored_eui64: The address that the host gave it, if any.
        frame_counter: No outgoing frame has used this counter or a higher one.
        children: Network addresses of the end devices whose parent the stick is, by EUI-64.
    """

    factory_eui64: str
    restored_eui64: str | None = None
    network: NetworkMemory | None = None
    frame_counter: int = 0
    aps_frame_counter: int = 0
    link_keys: Mapping[int, LinkKey] = {}
    children: Mapping[str, int] = {}

    @property
    def eui64(self) -> str:
        """The address it uses."""
        return self.restored_eui64 or self.factory_eui64


class Binding(msgspec.Struct, frozen=True):
    """Where the reports of one cluster go: an endpoint of a device, or a group."""

    endpoint: int
    cluster: int
    destination: str
    destination_endpoint: int


class ReportingRule(msgspec.Struct, frozen=True):
    """When an attribute is reported (Zigbee Cluster Library, section 2.5.7)."""

    endpoint: int
    cluster: int
    attribute: int
    interval_s_min: int
    interval_s_max: int
    change: float


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """The network that a sensor belongs to, as it remembers it.

    Attributes:
        heard_counter: The highest frame counter received from the coordinator; lower ones are replays.
    """

    extended_pan_id: str
    pan_id: int
    network_key: bytes
    trust_centre: str
    address: int
    parent: str
    heard_counter: int = -1


class NodeMemory(msgspec.Struct, frozen=True, kw_only=True):
    """A sensor's flash.

    Attributes:
        values: Attributes that are others than from the factory, by `endpoint/cluster/id`; `None` for "not a number".
    """

    membership: Membership | None = None
    bindings: tuple[Binding, ...] = ()
    rules: tuple[ReportingRule, ...] = ()
    values: Mapping[str, float | int | str | None] = {}


class DevicesMemory(msgspec.Struct, frozen=True):
    """The flash of all sensors, by name."""

    nodes: Mapping[str, NodeMemory] = {}


def encode(memory: StickMemory | DevicesMemory) -> bytes:
    """Return the content of a file."""
    return msgspec.json.format(msgspec.json.encode(memory), indent=2) + b"\n"


def decode(data: bytes, kind: type[T], source: str) -> T:
    """Read what `encode` has written.

    Raises:
        MemoryInvalid: It is something else.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise MemoryInvalid(f"remove {source}: it is no memory of an emulated coordinator ({error})") from error
