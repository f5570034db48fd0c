"""Stands before zigpy's own reception of packets: a short way for plain reports, and a place to wait for early ones.

The short way: most packets are numbers of a sensor that keeps to the standard. zigpy would take them apart at twice the
cost of all the rest (bench_zigbee). Anything else goes to zigpy.

The waiting: after zigpy's database was lost all sensors are interviewed again, and one that changed its short address
is a stranger until it has told who it is. zigpy drops what they say meanwhile; here it waits, and is told in order.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from hal.zigbee import reports
from hal.zigbee.ears import Ears, Plain

SOURCES_MAX = 64
PACKETS_MAX = 16
"""For each source: an interview takes seconds, and a sensor reports a few values a minute."""

REPEATED_MS = 10_000
"""The same bytes again within this time are a repetition on the air: their sequence number is part of them."""

REPEATS_MAX = 8
"""Frames of one sensor that are remembered for that."""

_ZDO = 0
_HOME_AUTOMATION = 0x0104
_BY_NWK = 2
"""`AddrMode.NWK`."""


class Reception:
    """Takes the packets of one life of the radio."""

    def __init__(self, app: Any, ears: Ears, monotonic_ms: Callable[[], int]) -> None:  # noqa: ANN401 - zigpy is untyped
        """Take the place of zigpy's own reception, which is called for everything else."""
        self._app = app
        self._ears = ears
        self._monotonic_ms = monotonic_ms
        self._pass_on: Callable[[Any], None] = app.packet_received
        self._waiting: dict[int, deque[Any]] = {}
        self._plain: dict[int, Plain] = {}
        self._recent: dict[str, deque[tuple[int, int, int, bytes]]] = {}
        app.packet_received = self.receive

    def receive(self, packet: Any) -> None:  # noqa: ANN401
        """Take a packet from the stick."""
        if _ZDO in {packet.src_ep, packet.dst_ep} or packet.src.addr_mode != _BY_NWK:
            self._pass_on(packet)
            return
        data: bytes = packet.data.serialize()
        plain = self._plain.get(packet.src.address)
        if plain is not None and plain.device.nwk == packet.src.address and packet.profile_id == _HOME_AUTOMATION:
            if not self._took(plain, packet, data):
                self._pass_on(packet)
            return
        self._slowly(packet, data)

    def release(self, device: Any) -> None:  # noqa: ANN401
        """Deliver what a device has said before it was known."""
        for packet in self._waiting.pop(int(device.nwk), ()):
            device.packet_received(packet)

    def _took(self, plain: Plain, packet: Any, data: bytes) -> bool:  # noqa: ANN401
        """Take the short way, if the packet can."""
        measures = plain.measures.get((packet.src_ep, packet.cluster_id))
        values = None if measures is None else reports.plain_values(data)
        if measures is None or values is None:
            return False
        lqi = None if packet.lqi is None else int(packet.lqi)
        plain.device.lqi = packet.lqi
        if not self._is_repetition(plain.ieee, packet, data):
            for attribute, raw in values:
                if attribute in measures:
                    self._ears.raw(plain.ieee, measures[attribute], raw, lqi)
        return True

    def _is_repetition(self, ieee: str, packet: Any, data: bytes) -> bool:  # noqa: ANN401
        now_ms = self._monotonic_ms()
        recent = self._recent.setdefault(ieee, deque(maxlen=REPEATS_MAX))
        for at_ms, endpoint, cluster, before in recent:
            if (endpoint, cluster, before) == (packet.src_ep, packet.cluster_id, data) and now_ms - at_ms < REPEATED_MS:
                return True
        recent.append((now_ms, packet.src_ep, packet.cluster_id, data))
        return False

    def _slowly(self, packet: Any, data: bytes) -> None:  # noqa: ANN401
        try:
            device = self._app.get_device_with_address(packet.src)
        except KeyError:
            self._keep(packet, data)
            # zigpy asks for the sender's address, and drops the packet.
            self._pass_on(packet)
            return
        if device.is_initialized:
            plain = self._ears.plain(device)
            if plain is not None:
                self._plain[int(device.nwk)] = plain
            self._pass_on(packet)
        elif not self._keep(packet, data):
            self._pass_on(packet)
        elif not device.initializing:
            device.schedule_initialize()

    def _keep(self, packet: Any, data: bytes) -> bool:  # noqa: ANN401
        if not reports.is_report(data):
            return False
        source = int(packet.src.address)
        if source not in self._waiting and len(self._waiting) >= SOURCES_MAX:
            del self._waiting[next(iter(self._waiting))]
        self._waiting.setdefault(source, deque(maxlen=PACKETS_MAX)).append(packet)
        return True
