import random
from collections.abc import Callable

import pytest

pytest.importorskip("bellows")

import bellows.ash
from hypothesis import given
from hypothesis import strategies as st

from lab.ncp import ash
from lab.ncp.ash import AshLink, AshReset, ResetCode
from lab.ncp.serial_port import UnreliableLine

RST = b"\x1a" * 32 + bytes.fromhex("c038bc7e")


def connected() -> AshLink:
    link = AshLink()
    assert list(link.receive(RST, 0.0)) == [AshReset.ASKED]
    link.restart(ResetCode.SOFTWARE)
    link.take()
    return link


def host_data(payload: bytes, *, number: int = 0, ack: int = 0, is_again: bool = False) -> bytes:
    frame = bellows.ash.DataFrame(frm_num=number, re_tx=is_again, ack_num=ack, ezsp_frame=payload)
    return bellows.ash.AshProtocol._stuff_bytes(frame.to_bytes()) + b"\x7e"


def host_ack(number: int, *, is_ready: bool = True) -> bytes:
    frame = bellows.ash.AckFrame(res=0, ncp_ready=not is_ready, ack_num=number)
    return bellows.ash.AshProtocol._stuff_bytes(frame.to_bytes()) + b"\x7e"


def sent(data: bytes) -> list[bellows.ash.AshFrame]:
    frames = [part for part in data.split(b"\x7e") if part]
    return [bellows.ash.parse_frame(bytes(bellows.ash.AshProtocol._unstuff_bytes(part))) for part in frames]


def test_reset_is_acknowledged_as_ug101_shows() -> None:
    link = AshLink()
    list(link.receive(RST, 0.0))
    link.restart(ResetCode.SOFTWARE)
    assert link.take() == bytes.fromhex("c1020b0a527e")


def test_frames_before_the_first_reset_are_ignored() -> None:
    link = AshLink()
    assert list(link.receive(host_data(b"early"), 0.0)) == []
    assert not link.can_send(is_callback=False, now_s=0.0)
    assert link.take() == b""


@given(st.binary(max_size=ash.DATA_BYTES_MAX))
def test_sent_data_arrives_at_bellows_unchanged(payload: bytes) -> None:
    link = connected()
    link.send(payload, 1.0)
    (frame,) = sent(link.take())
    assert frame.ezsp_frame == payload


@given(st.binary(min_size=1, max_size=200), st.integers(min_value=1, max_value=50))
def test_data_of_bellows_arrives_once_in_any_chunks(payload: bytes, size: int) -> None:
    link = connected()
    stream = host_data(payload)
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert [found for chunk in chunks for found in link.receive(chunk, 0.0)] == [payload]


@given(st.binary(max_size=2000))
def test_noise_on_the_line_is_handled(noise: bytes) -> None:
    link = connected()
    list(link.receive(noise, 0.0))
    list(link.receive(RST, 0.0))
    assert link.is_connected


def test_repeated_frame_is_acknowledged_but_not_delivered_again() -> None:
    link = connected()
    assert list(link.receive(host_data(b"one"), 0.0)) == [b"one"]
    assert [frame.ack_num for frame in sent(link.take())] == [1]
    assert list(link.receive(host_data(b"one", is_again=True), 0.0)) == []
    assert [frame.ack_num for frame in sent(link.take())] == [1]


def test_response_carries_the_acknowledgement() -> None:
    link = connected()
    list(link.receive(host_data(b"one"), 0.0))
    link.send(b"answer", 0.0)
    (frame,) = sent(link.take())
    assert (frame.ack_num, frame.ezsp_frame) == (1, b"answer")


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:4] + bytes((data[4] ^ 4,)) + data[5:], lambda data: host_data(b"two", number=3)]
)
def test_corrupt_and_missing_frames_are_rejected_once(spoil: Callable[[bytes], bytes]) -> None:
    link = connected()
    wrong = spoil(host_data(b"AAAA"))
    assert list(link.receive(wrong + wrong, 0.0)) == []
    (frame,) = sent(link.take())
    assert isinstance(frame, bellows.ash.NakFrame)
    assert list(link.receive(host_data(b"AAAA"), 0.0)) == [b"AAAA"]


def test_cancel_and_substitute_bytes_drop_the_frame() -> None:
    link = connected()
    good = host_data(b"good")
    assert list(link.receive(b"\x20\x30\x1a" + good, 0.0)) == [b"good"]
    list(link.receive(b"\x20\x18\x30" + host_data(b"lost", number=1), 0.0))
    assert list(link.receive(host_data(b"next", number=1), 0.0)) == [b"next"]


def test_oversized_frame_is_dropped() -> None:
    link = connected()
    list(link.receive(b"\x20" * 10_000, 0.0))
    assert len(link._collected) <= ash.STUFFED_BYTES_MAX


def test_reset_frame_with_extra_bytes_is_ignored() -> None:
    assert list(connected().receive(ash.stuff(b"\xc0\x01"), 0.0)) == []


def test_lost_frame_is_sent_again_and_the_link_fails_in_the_end() -> None:
    link = connected()
    link.send(b"lost", 0.0)
    link.take()
    times = []
    now_s = 0.0
    while (due_s := link.due_s(now_s)) is not None:
        now_s = due_s
        link.advance(now_s - 0.001)
        assert link.take() == b""
        link.advance(now_s)
        frames = sent(link.take())
        times.append(now_s)
        last = frames[-1]
    assert times == pytest.approx([1.6, 4.8, 8.0, 11.2, 14.4])
    assert isinstance(last, bellows.ash.ErrorFrame)
    assert not link.can_send(is_callback=False, now_s=now_s)
    list(link.receive(RST, now_s))
    assert link.can_send(is_callback=False, now_s=now_s)


def test_refused_frame_is_sent_again_at_once() -> None:
    link = connected()
    link.send(b"garbled", 0.0)
    link.take()
    nak = bellows.ash.NakFrame(res=0, ncp_ready=0, ack_num=0).to_bytes()
    list(link.receive(bellows.ash.AshProtocol._stuff_bytes(nak) + b"\x7e", 0.1))
    (frame,) = sent(link.take())
    assert (frame.re_tx, frame.frm_num, frame.ezsp_frame) == (1, 0, b"garbled")
    list(link.receive(bellows.ash.AshProtocol._stuff_bytes(nak) + b"\x7e" + host_ack(1), 0.1))
    link.take()
    list(link.receive(bellows.ash.AshProtocol._stuff_bytes(nak) + b"\x7e", 0.1))
    assert link.take() == b""


def test_window_of_one_frame_and_adaptive_timeout() -> None:
    link = connected()
    for number in range(20):
        assert link.can_send(is_callback=True, now_s=0.0)
        link.send(b"x", 0.0)
        assert not link.can_send(is_callback=True, now_s=0.0)
        list(link.receive(host_ack(number % 8), 0.0))
        assert not link.can_send(is_callback=True, now_s=0.0)
        list(link.receive(host_ack((number + 1) % 8), 0.0))
    link.send(b"x", 0.0)
    assert link.due_s(0.0) == pytest.approx(ash.ACK_TIMEOUT_MIN_S)


def test_callbacks_wait_for_a_host_that_is_not_ready() -> None:
    link = connected()
    list(link.receive(host_ack(0, is_ready=False), 5.0))
    assert link.can_send(is_callback=False, now_s=5.0)
    assert not link.can_send(is_callback=True, now_s=5.5)
    assert link.due_s(5.5) == 5.0 + ash.HOST_NOT_READY_S
    assert link.can_send(is_callback=True, now_s=6.0)
    assert link.due_s(6.0) is None


class Host:
    """The other end in memory: bellows' link, which writes to a list and delivers payloads to another."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.written = bytearray()
        self.link = bellows.ash.AshProtocol(self)
        self.link.connection_made(self)

    def connection_made(self, _: object) -> None:
        """The link is the only connection."""

    def data_received(self, payload: bytes) -> None:
        self.received.append(bytes(payload))

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def take(self) -> bytes:
        data = bytes(self.written)
        self.written.clear()
        return data


@pytest.mark.parametrize("seed", [*range(10), pytest.param(88, id="two damaged flags and one more in a row")])
async def test_what_a_bad_cable_damages_arrives_once_and_in_order(seed: int) -> None:
    link, host, line, payloads = connected(), Host(), UnreliableLine(seed), random.Random(seed)
    line.corrupted_part, now_s = 0.05, 0.0
    sent_payloads = [payloads.randbytes(40) + number.to_bytes(4) for number in range(200)]
    waiting = list(sent_payloads)
    while len(host.received) < len(sent_payloads):
        if waiting and link.can_send(is_callback=True, now_s=now_s):
            link.send(waiting.pop(0), now_s)
        host.link.data_received(line.carry(link.take()))
        answer = host.take()
        if answer:
            assert list(link.receive(line.carry(answer), now_s)) == []
            now_s += 0.002
        else:
            # Neither end has anything to say: the acknowledgement is overdue, or the host was "not ready".
            now_s = max(now_s, link.due_s(now_s) or now_s)
            link.advance(now_s)
        assert link.is_connected, f"the link broke down after {len(host.received)} frames"
    assert host.received == sent_payloads
