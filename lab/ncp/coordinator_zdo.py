"""The Zigbee device object of the stick itself: the coordinator of the network, with the endpoints that the host added.

Pure. Must never send anything.
"""

from collections.abc import Sequence
from typing import Protocol

from lab.ncp import zdo
from lab.ncp.memory import StickMemory
from lab.ncp.radio_medium import RadioMedium
from lab.ncp.zcl import COORDINATOR_ADDRESS, eui64_bytes

_MAINS_ROUTER = 0x8F
"""As a router, and able to be a coordinator (Zigbee specification, section 2.3.2.3.6)."""


class Owner(Protocol):
    """The stick behind it."""

    memory: StickMemory
    radio_medium: RadioMedium
    endpoints: dict[int, zdo.SimpleDescriptor]
    manufacturer_code: int

    def permit(self, duration_s: int) -> None:
        """Open the network for a time."""
        ...

    def change_channel(self, channel: int, update_id: int) -> None:
        """Move the network to another channel, after the broadcast delivery time."""
        ...


class CoordinatorDevice:
    """The stick's own ZDO device. Its host binds nothing on it, and it never leaves by ZDO."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    @property
    def ieee(self) -> bytes:
        """Its EUI-64."""
        return eui64_bytes(self._owner.memory.eui64)

    @property
    def address(self) -> int:
        """Always the first address of the network."""
        return COORDINATOR_ADDRESS

    @property
    def logical_type(self) -> zdo.LogicalType:
        """A coordinator."""
        return zdo.LogicalType.COORDINATOR

    @property
    def mac_capabilities(self) -> int:
        """Of the node descriptor."""
        return _MAINS_ROUTER

    @property
    def manufacturer_code(self) -> int:
        """As the host has set it."""
        return self._owner.manufacturer_code

    @property
    def descriptors(self) -> Sequence[zdo.SimpleDescriptor]:
        """The endpoints that the host has added."""
        return list(self._owner.endpoints.values())

    def neighbours(self) -> Sequence[zdo.Neighbour]:
        """Return the devices in direct range."""
        return self._owner.radio_medium.neighbours()

    def bindings(self) -> Sequence[zdo.BindingEntry]:
        """Return nothing."""
        return ()

    def bind(self, entry: zdo.BindingEntry) -> zdo.ZdoStatus:
        """Refuse."""
        del entry
        return zdo.ZdoStatus.NOT_SUPPORTED

    def unbind(self, entry: zdo.BindingEntry) -> zdo.ZdoStatus:
        """Refuse."""
        del entry
        return zdo.ZdoStatus.NO_ENTRY

    def leave(self) -> None:
        """Do nothing: the host leaves with a command of its own."""

    def permit_joining(self, duration_s: int) -> None:
        """Open or close the network."""
        self._owner.permit(duration_s)

    def change_channel(self, channel: int, update_id: int) -> None:
        """Move the network to another channel, after the broadcast delivery time."""
        self._owner.change_channel(channel, update_id)
