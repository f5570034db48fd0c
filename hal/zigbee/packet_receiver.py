"""Handles incoming packets before zigpy does: decodes standard reports, queues early ones, answers time requests.

Standard reports: most packets are numeric reports of a sensor without quirks. They are decoded here; zigpy would spend
more than twice the cost of everything else on them (bench_zigbee). All other packets go to zigpy.

Early reports: after the loss of zigpy's database all sensors are interviewed again, and a sensor with a new short
address is unknown until its interview. zigpy drops their reports meanwhile; here they are queued and delivered in
order.

Time requests are answered with the house's time: zigpy would answer with the machine's clock, right or wrong.
"""

import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import zigpy.exceptions

from hal.bounded_table import BoundedTable
from hal.zigbee import time_server, zcl
from hal.zigbee.attribute_decoder import AttributeDecoder, StandardDevice
from hal.zigbee.radio_state import SENSORS_MAX
from hal.zigbee.time_server import WallClock

_log = logging.getLogger(__name__)

SENDERS_MAX = 64
PACKETS_MAX = 16
"""Queued packets of each sender: an interview takes seconds, and a sensor reports a few values a minute."""

REPEATED_MS = 10_000
"""Equal bytes within this time are a repetition on the air: they include the sequence number."""

REMEMBERED_FRAMES_MAX = 8
"""Remembered frames of one sensor, to detect repetitions."""

_ZDO = 0
_HOME_AUTOMATION = 0x0104
_BY_NWK = 2
"""`AddrMode.NWK`."""
_TIME_CLUSTERS = frozenset({time_server.TIME, time_server.TUYA})


class PacketReceiver:
    """Receives the packets during one run of the radio."""

    def __init__(
        self,
        app: Any,  # noqa: ANN401 - zigpy is untyped
        decoder: AttributeDecoder,
        monotonic_ms: Callable[[], int],
        *,
        wall_clock: WallClock,
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
    ) -> None:
        """Replace zigpy's packet handler; the original is called for all other packets.

        Args:
            app: zigpy's application.
            decoder: Receives the values.
            monotonic_ms: This boot's clock.
            wall_clock: The time in the house.
            spawn: Starts a background task.
        """
        self._wall_clock = wall_clock
        self._spawn = spawn
        self._app = app
        self._decoder = decoder
        self._monotonic_ms = monotonic_ms
        self._forward: Callable[[Any], None] = app.packet_received
        self._queued: dict[int, deque[Any]] = {}
        # A sensor has another short address after each rejoin.
        self._standard = BoundedTable[int, StandardDevice](SENSORS_MAX)
        self._recent = BoundedTable[str, deque[tuple[int, int, int, bytes]]](SENSORS_MAX)
        app.packet_received = self.receive

    def receive(self, packet: Any) -> None:  # noqa: ANN401
        """Handle a packet from the stick."""
        if _ZDO in {packet.src_ep, packet.dst_ep} or packet.src.addr_mode != _BY_NWK:
            self._forward(packet)
            return
        data: bytes = packet.data.serialize()
        if packet.cluster_id in _TIME_CLUSTERS and time_server.is_time_request(packet.cluster_id, data):
            self._answer_time_request(packet, data)
            return
        standard = self._standard.get(packet.src.address)
        is_current = standard is not None and standard.device.nwk == packet.src.address
        if standard is not None and is_current and packet.profile_id == _HOME_AUTOMATION:
            if not self._decode(standard, packet, data):
                self._forward(packet)
            return
        self._receive_other(packet, data)

    def release(self, device: Any) -> None:  # noqa: ANN401
        """Deliver the packets that a device sent before its interview."""
        for packet in self._queued.pop(int(device.nwk), ()):
            device.packet_received(packet)

    def _decode(self, standard: StandardDevice, packet: Any, data: bytes) -> bool:  # noqa: ANN401
        """Decode a standard report; return whether the packet was one."""
        measures = standard.measures.get((packet.src_ep, packet.cluster_id))
        values = None if measures is None else zcl.parse_report(data)
        if measures is None or values is None or any(attribute not in measures for attribute, _ in values):
            # A valve reports its setpoint in the cluster of its temperature.
            return False
        lqi = None if packet.lqi is None else int(packet.lqi)
        standard.device.lqi = packet.lqi
        if not self._is_repetition(standard.ieee, packet, data):
            for attribute, raw in values:
                if attribute in measures:
                    self._decoder.publish_raw(standard.ieee, measures[attribute], raw, lqi)
        return True

    def _is_repetition(self, ieee: str, packet: Any, data: bytes) -> bool:  # noqa: ANN401
        now_ms = self._monotonic_ms()
        recent = self._recent.get(ieee)
        if recent is None:
            recent = deque(maxlen=REMEMBERED_FRAMES_MAX)
            self._recent.put(ieee, recent)
        for at_ms, endpoint, cluster, before in recent:
            if (endpoint, cluster, before) == (packet.src_ep, packet.cluster_id, data) and now_ms - at_ms < REPEATED_MS:
                return True
        recent.append((now_ms, packet.src_ep, packet.cluster_id, data))
        return False

    def _answer_time_request(self, packet: Any, data: bytes) -> None:  # noqa: ANN401
        response = time_server.time_response(packet.cluster_id, data, self._wall_clock.now())
        try:
            device = self._app.get_device_with_address(packet.src)
        except KeyError:
            # zigpy looks the sender up; the device repeats its request.
            self._forward(packet)
            return
        if response is not None and packet.src_ep in device.endpoints:
            name = f"time for {device.ieee}"
            self._spawn(_reply(device.endpoints[packet.src_ep], packet.cluster_id, data[1], response), name)
        if packet.cluster_id == time_server.TUYA and not self._decoder.is_corrected(device):
            # zigpy updates the device and sends a default response if one is requested.
            self._forward(packet)

    def _receive_other(self, packet: Any, data: bytes) -> None:  # noqa: ANN401
        try:
            device = self._app.get_device_with_address(packet.src)
        except KeyError:
            self._queue(packet, data)
            # zigpy requests the sender's address and drops the packet.
            self._forward(packet)
            return
        if device.is_initialized:
            standard = self._decoder.standard_device(device)
            if standard is not None:
                self._standard.put(int(device.nwk), standard)
            self._forward(packet)
        elif not self._queue(packet, data):
            self._forward(packet)
        elif not device.initializing:
            device.schedule_initialize()

    def _queue(self, packet: Any, data: bytes) -> bool:  # noqa: ANN401
        if not zcl.is_report(data):
            return False
        sender = int(packet.src.address)
        if sender not in self._queued and len(self._queued) >= SENDERS_MAX:
            del self._queued[next(iter(self._queued))]
        self._queued.setdefault(sender, deque(maxlen=PACKETS_MAX)).append(packet)
        return True


async def _reply(endpoint: Any, cluster: int, sequence: int, data: bytes) -> None:  # noqa: ANN401
    try:
        await endpoint.reply(cluster=cluster, sequence=sequence, data=data, command_id=data[2])
    except (zigpy.exceptions.DeliveryError, TimeoutError) as error:
        _log.info("the time response was not delivered: %s", error)
