"""Stands before zigpy's own reception of packets: a short way for plain reports, and a place to wait for early ones.

Questions for the time are answered here, by the house's clock: zigpy would tell the machine's, right or wrong.

The short way: most packets are numbers of a sensor that keeps to the standard. zigpy would take them apart at twice the
cost of all the rest (bench_zigbee). Anything else goes to zigpy.

The waiting: after zigpy's database was lost all sensors are interviewed again, and one that changed its short address
is a stranger until it has told who it is. zigpy drops what they say meanwhile; here it waits, and is told in order.
"""

import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import zigpy.exceptions

from hal.zigbee import reports, time_server
from hal.zigbee.attribute_decoder import AttributeDecoder, StandardDevice
from hal.zigbee.time_server import WallClock

_log = logging.getLogger(__name__)

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
_CLOCKS = frozenset({time_server.TIME, time_server.TUYA})


class PacketReceiver:
    """Takes the packets of one life of the radio."""

    def __init__(
        self,
        app: Any,  # noqa: ANN401 - zigpy is untyped
        ears: AttributeDecoder,
        monotonic_ms: Callable[[], int],
        *,
        house: WallClock,
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
    ) -> None:
        """Take the place of zigpy's own reception, which is called for everything else.

        Args:
            app: zigpy's.
            ears: Where values go.
            monotonic_ms: This boot's clock.
            house: What time it is in the house.
            spawn: Does something beside all else.
        """
        self._house = house
        self._spawn = spawn
        self._app = app
        self._ears = ears
        self._monotonic_ms = monotonic_ms
        self._pass_on: Callable[[Any], None] = app.packet_received
        self._waiting: dict[int, deque[Any]] = {}
        self._plain: dict[int, StandardDevice] = {}
        self._recent: dict[str, deque[tuple[int, int, int, bytes]]] = {}
        app.packet_received = self.receive

    def receive(self, packet: Any) -> None:  # noqa: ANN401
        """Take a packet from the stick."""
        if _ZDO in {packet.src_ep, packet.dst_ep} or packet.src.addr_mode != _BY_NWK:
            self._pass_on(packet)
            return
        data: bytes = packet.data.serialize()
        if packet.cluster_id in _CLOCKS and time_server.is_time_request(packet.cluster_id, data):
            self._tell_time(packet, data)
            return
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

    def _took(self, plain: StandardDevice, packet: Any, data: bytes) -> bool:  # noqa: ANN401
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

    def _tell_time(self, packet: Any, data: bytes) -> None:  # noqa: ANN401
        answer = time_server.answer(packet.cluster_id, data, self._house.now())
        try:
            device = self._app.get_device_with_address(packet.src)
        except KeyError:
            # zigpy finds out who that is; a clock asks again.
            self._pass_on(packet)
            return
        if answer is not None and packet.src_ep in device.endpoints:
            name = f"time for {device.ieee}"
            self._spawn(_reply(device.endpoints[packet.src_ep], packet.cluster_id, data[1], answer), name)
        if packet.cluster_id == time_server.TUYA and not self._ears.is_corrected(device):
            # zigpy does the rest: who was heard, and whether a default response is wanted.
            self._pass_on(packet)

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


async def _reply(endpoint: Any, cluster: int, sequence: int, data: bytes) -> None:  # noqa: ANN401
    try:
        await endpoint.reply(cluster=cluster, sequence=sequence, data=data, command_id=data[2])
    except (zigpy.exceptions.DeliveryError, TimeoutError) as error:
        _log.info("the time was not delivered: %s", error)
