"""Reports that zigpy would drop: of a device that it does not know yet, or has not interviewed yet. They wait.

After zigpy's database was lost all sensors are interviewed again, and one that changed its short address is a stranger
until it has told who it is. What they say meanwhile is delivered once they are known, in order.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

SOURCES_MAX = 64
PACKETS_MAX = 16
"""For each source: an interview takes seconds, and a sensor reports a few values a minute."""

_ZDO = 0
_GLOBAL, _FOR_CLUSTER = 0, 1
_TYPE_BITS = 0x03
_HAS_MANUFACTURER = 0x04
_FROM_SERVER = 0x08
_REPORT = 0x0A


def is_report(data: bytes) -> bool:
    """Tell whether a ZCL frame is an attribute report, or a cluster's own notice (Zigbee Cluster Library, 2.4.1)."""
    if not data:
        return False
    place = 4 if data[0] & _HAS_MANUFACTURER else 2
    kind = data[0] & _TYPE_BITS
    if kind == _FOR_CLUSTER:
        return bool(data[0] & _FROM_SERVER)
    return kind == _GLOBAL and len(data) > place and data[place] == _REPORT


class WaitingRoom:
    """Stands before zigpy's own reception of packets."""

    def __init__(self, app: Any) -> None:  # noqa: ANN401 - zigpy is untyped here
        """Take the place; zigpy's own reception is called for everything that need not wait."""
        self._app = app
        self._pass_on: Callable[[Any], None] = app.packet_received
        self._waiting: dict[int, deque[Any]] = {}
        app.packet_received = self.receive

    def receive(self, packet: Any) -> None:  # noqa: ANN401
        """Take a packet from the stick."""
        if _ZDO in {packet.src_ep, packet.dst_ep}:
            self._pass_on(packet)
            return
        try:
            device = self._app.get_device_with_address(packet.src)
        except KeyError:
            self._keep(packet)
            # zigpy asks for the sender's address, and drops the packet.
            self._pass_on(packet)
            return
        if device.is_initialized or not self._keep(packet):
            self._pass_on(packet)
        elif not device.initializing:
            device.schedule_initialize()

    def release(self, device: Any) -> None:  # noqa: ANN401
        """Deliver what a device has said before it was known."""
        for packet in self._waiting.pop(int(device.nwk), ()):
            device.packet_received(packet)

    def _keep(self, packet: Any) -> bool:  # noqa: ANN401
        if not is_report(packet.data.serialize()):
            return False
        source = int(packet.src.address)
        if source not in self._waiting and len(self._waiting) >= SOURCES_MAX:
            del self._waiting[next(iter(self._waiting))]
        self._waiting.setdefault(source, deque(maxlen=PACKETS_MAX)).append(packet)
        return True
