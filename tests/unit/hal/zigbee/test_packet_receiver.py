"""Packets before zigpy: the short way, repetitions, and reports that come too early; the window's timers."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("zigpy")

from hal.zigbee import zcl
from hal.zigbee.attribute_decoder import AttributeDecoder, StandardDevice
from hal.zigbee.join_window import JoinWindow
from hal.zigbee.packet_receiver import PACKETS_MAX, REPEATED_MS, SENDERS_MAX, PacketReceiver
from hal.zigbee.radio_events import RadioEvents
from hal.zigbee.radio_state import SENSORS_MAX
from hal.zigbee.time_server import WallClock

IEEE = "0x000d6f4aec588d00"
(TEMPERATURE,) = zcl.find_candidates({1: [zcl.TEMPERATURE]})


def report(sequence: int, hundredths: int) -> bytes:
    return bytes((0x18, sequence, 0x0A, 0, 0, 0x29)) + hundredths.to_bytes(2, "little", signed=True)


class Packet(SimpleNamespace):
    def __init__(self, data: bytes, *, nwk: int = 7, endpoint: int = 1, cluster: int = zcl.TEMPERATURE) -> None:
        super().__init__(
            src=SimpleNamespace(addr_mode=2, address=nwk),
            src_ep=endpoint,
            dst_ep=endpoint,
            profile_id=0x0104,
            cluster_id=cluster,
            lqi=99,
            data=SimpleNamespace(serialize=lambda: data),
        )


class Air:
    """zigpy's application as far as the reception knows it, and what came out."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.passed_on: list[Packet] = []
        self.values: list[tuple[str, float, int | None]] = []
        self.device = SimpleNamespace(
            ieee="00:0d:6f:4a:ec:58:8d:00",
            nwk=7,
            lqi=None,
            is_initialized=True,
            initializing=False,
            asked=0,
        )
        self.device.endpoints = {1: object()}
        self.device.schedule_initialize = self._asked
        self.delivered: list[Packet] = []
        self.device.packet_received = self.delivered.append
        self.known = {7: self.device}
        self.packet_received = self.passed_on.append
        self.decoder = decoder = AttributeDecoder(
            lambda ieee, channel, value, lqi: self.values.append((channel.name, value, lqi))
        )
        place = {(1, zcl.TEMPERATURE): {0: TEMPERATURE}}
        decoder._standard.put(IEEE, StandardDevice(self.device, IEEE, place))
        self.house = WallClock(lambda: self.now_ms)
        self.told: list[str] = []
        self.reception = PacketReceiver(self, decoder, lambda: self.now_ms, wall_clock=self.house, spawn=self._spawn)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        work.close()
        self.told.append(name)

    def _asked(self) -> None:
        self.device.asked += 1

    def get_device_with_address(self, source: Any) -> Any:  # noqa: ANN401
        return self.known[source.address]

    def hear(self, packet: Packet) -> None:
        self.packet_received(packet)


def test_first_report_goes_to_zigpy_and_later_ones_are_decoded_directly() -> None:
    air = Air()
    air.hear(Packet(report(1, 2000)))
    assert len(air.passed_on) == 1
    air.hear(Packet(report(2, 2150)))
    air.hear(Packet(report(3, -32768)))
    assert air.values == [("1/temperature", 21.5, 99)]
    assert air.device.lqi == 99


@pytest.mark.parametrize(
    "packet",
    [
        Packet(report(9, 2000), cluster=zcl.HUMIDITY),
        Packet(report(9, 2000), endpoint=2),
        Packet(report(9, 2000)[:-1]),
        Packet(b"\x08" + report(9, 2000)[1:]),
        Packet(report(9, 2000), endpoint=0),
    ],
)
def test_other_packets_go_to_zigpy(packet: Packet) -> None:
    air = Air()
    air.hear(Packet(report(1, 2000)))
    air.hear(packet)
    assert air.passed_on[1:] == [packet]
    assert air.values == []


READ_TIME = bytes((0x00, 9, 0x00, 0x00, 0x00))
TUYA_ASKS = bytes((0x09, 9, 0x24, 0, 1))


@pytest.mark.parametrize(("cluster", "frame", "is_passed_on"), [(0x000A, READ_TIME, False), (0xEF00, TUYA_ASKS, True)])
def test_time_request_is_answered_with_local_time(cluster: int, frame: bytes, is_passed_on: bool) -> None:
    air = Air()
    question = Packet(frame, cluster=cluster)
    air.house.set(datetime(2026, 7, 1, tzinfo=UTC))
    air.hear(question)
    assert air.told == [f"time for {air.device.ieee}"]
    # Of Tuya's question zigpy learns as well, unless a quirk would answer it in its own way.
    assert air.passed_on == ([question] if is_passed_on else [])
    air.decoder._corrected.add(IEEE)
    air.hear(question)
    assert len(air.told) == 2
    assert len(air.passed_on) == int(is_passed_on)


def test_time_request_of_an_unknown_device_starts_its_discovery() -> None:
    air = Air()
    air.known = {}
    question = Packet(READ_TIME, cluster=0x000A)
    air.hear(question)
    assert (air.told, air.passed_on) == ([], [question])


def test_repeated_frame_is_one_report() -> None:
    air = Air()
    air.hear(Packet(report(1, 2000)))
    for _ in range(3):
        air.hear(Packet(report(2, 2150)))
    assert len(air.values) == 1
    # A new sequence number is a new report, and so are the same bytes much later.
    air.hear(Packet(report(3, 2150)))
    air.now_ms += REPEATED_MS
    air.hear(Packet(report(2, 2150)))
    assert len(air.values) == 3


def test_device_with_a_changed_address_is_not_confused() -> None:
    air = Air()
    air.hear(Packet(report(1, 2000)))
    air.device.nwk = 8
    air.known = {8: air.device}
    air.hear(Packet(report(2, 2150)))
    assert air.values == []
    assert len(air.passed_on) == 2


def test_early_reports_wait_for_the_interview_in_order_and_within_limits() -> None:
    air = Air()
    air.device.is_initialized = False
    packets = [Packet(report(number, number)) for number in range(PACKETS_MAX + 3)]
    for packet in packets:
        air.hear(packet)
    answer = Packet(b"\x18\x07\x01")
    air.hear(answer)
    assert air.passed_on == [answer]
    assert air.device.asked == len(packets)
    air.reception.release(air.device)
    assert air.delivered == packets[3:]
    air.reception.release(air.device)
    assert air.delivered == packets[3:]


def test_reports_of_an_unknown_device_wait_for_its_discovery() -> None:
    air = Air()
    air.known = {}
    packet = Packet(report(1, 2000))
    air.hear(packet)
    assert air.passed_on == [packet]
    for nwk in range(100, 100 + SENDERS_MAX):
        air.hear(Packet(report(1, 1), nwk=nwk))
    air.reception.release(air.device)
    assert air.delivered == []
    air.device.nwk = 100 + SENDERS_MAX - 1
    air.reception.release(air.device)
    assert len(air.delivered) == 1


class Stick:
    """zigpy's application with bellows' habit of sleeping through a window in a task of its own."""

    def __init__(self) -> None:
        self.timers: list[asyncio.Task[None]] = []
        self.permitted: list[int] = []

    async def permit(self, seconds: int, node: object = None) -> None:
        self.permitted.append(seconds)
        self.timers.append(asyncio.get_running_loop().create_task(asyncio.sleep(seconds + 2), name="pre_permit"))
        await asyncio.sleep(0)


async def test_timer_of_a_join_window_does_not_affect_the_next() -> None:
    stick, events = Stick(), RadioEvents()
    async with asyncio.TaskGroup() as group:
        window = JoinWindow(stick, events, group, lambda: 1000)
        await window.open(60, through="", install_code=None)
        await window.open(120, through="", install_code=None)
        assert events.status.join_window_until_ms == 121_000
        await asyncio.sleep(0)
        assert [timer.cancelled() for timer in stick.timers] == [True, False]
        await window.close()
        await asyncio.sleep(0)
        assert [timer.cancelled() for timer in stick.timers] == [True, True, False]
        assert not window.is_open
    assert stick.permitted == [60, 120, 0]
    for timer in stick.timers:
        timer.cancel()


def test_sensor_that_rejoins_for_ever_takes_no_more_memory_than_there_is_room_for() -> None:
    air = Air()
    for address in range(1, SENSORS_MAX + 20):
        air.device.nwk = address
        air.known = {address: air.device}
        air.hear(Packet(report(1, 2000), nwk=address))
    assert len(air.reception._standard.entries) == SENSORS_MAX
