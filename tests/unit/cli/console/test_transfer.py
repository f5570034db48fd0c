"""A file over a line that loses, doubles and corrupts bytes, in virtual time."""

import binascii
import hashlib
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.cli.console.frames import (
    FRAME_BYTES_MAX,
    Ack,
    Chunk,
    FrameReader,
    Get,
    Offer,
    Refused,
    decode,
    decode_cobs,
    encode,
    encode_cobs,
)
from agent.cli.console.transfer import SILENT_S_MAX, Receiver, Sender, TransferFailed

STEP_S = 0.05


class Line:
    """One direction of a cable: a rate, and a chance for each byte to be lost, doubled or corrupted."""

    def __init__(self, rng: random.Random, *, bytes_per_s: float, damage: float) -> None:
        self._rng = rng
        self._bytes_per_s = bytes_per_s
        self._damage = damage
        self._queue = bytearray()
        self._credit = 0.0
        self.carried = 0

    def put(self, data: bytes) -> None:
        self._queue += data

    @property
    def is_idle(self) -> bool:
        return not self._queue

    def step(self) -> bytes:
        self._credit = min(self._credit + self._bytes_per_s * STEP_S, max(self._bytes_per_s * STEP_S, 1.0) + 1)
        count = min(int(self._credit), len(self._queue))
        self._credit -= count
        taken, self._queue[:count] = bytes(self._queue[:count]), b""
        self.carried += count
        return b"".join(self._spoil(byte) for byte in taken)

    def _spoil(self, byte: int) -> bytes:
        if self._rng.random() >= self._damage:
            return bytes([byte])
        return self._rng.choice([b"", bytes([byte, byte]), bytes([byte ^ 1 << self._rng.randrange(8)])])


def carry(
    content: bytes, *, rate: int = 115_200, damage: float = 0.0, seed: int = 1, part: bytes = b"", digest: bytes = b""
) -> tuple[bytes, float, Receiver]:
    """Return what the receiver wrote, how long it took, and the receiver."""
    rng = random.Random(seed)
    written = bytearray()
    sender = Sender("bundle.zip", content, now_s=0.0)
    receiver = Receiver(digest=digest, part=part, write=written.extend, now_s=0.0)
    down, up = (Line(rng, bytes_per_s=rate / 10, damage=damage) for _ in range(2))
    at_sender, at_receiver = FrameReader(), FrameReader()
    now_s = 0.0
    while not sender.is_done:
        now_s += STEP_S
        assert now_s < 36_000, "it never ends"
        for message in receiver.send(now_s):
            up.put(encode(message))
        for message in at_sender.feed(up.step()):
            for answer in sender.receive(message, now_s):
                down.put(encode(answer))
        if down.is_idle:
            for message in sender.send(now_s):
                down.put(encode(message))
        for message in at_receiver.feed(down.step()):
            for answer in receiver.receive(message, now_s):
                up.put(encode(answer))
    assert receiver.is_done
    return bytes(written), now_s, receiver


CONTENT = random.Random(7).randbytes(20_000)


@given(st.binary(max_size=2_000))
@example(b"")
@example(b"\0")
@example(bytes(300))
@example(b"x" * 254)
@example(b"x" * 254 + b"\0")
@example(b"x" * 508)
@example(b"x" * 253 + b"\0" + b"y" * 254)
def test_cobs_has_no_zero_byte_and_comes_back(data: bytes) -> None:
    encoded = encode_cobs(data)
    assert 0 not in encoded
    assert len(encoded) <= len(data) + len(data) // 254 + 1
    assert decode_cobs(encoded) == data


def test_cobs_of_the_published_example() -> None:
    """Wikipedia's table and the paper's figure 1."""
    assert encode_cobs(b"\x11\x22\x00\x33") == b"\x03\x11\x22\x02\x33"
    assert encode_cobs(b"\x11\x00\x00\x00") == b"\x02\x11\x01\x01\x01"
    assert encode_cobs(bytes(range(1, 255))) == b"\xff" + bytes(range(1, 255))


@given(st.binary(max_size=600))
def test_noise_is_ignored(noise: bytes) -> None:
    reader = FrameReader()
    assert list(reader.feed(noise)) == []
    assert list(reader.feed(encode(Ack(7)))) == [Ack(7)]


@pytest.mark.parametrize("message", [Get(b"ab", 3), Offer("x.zip", b"ab", 9, 3), Chunk(3, bytes(1024)), Refused("no")])
def test_a_frame_with_one_wrong_bit_is_dropped(message: Get | Offer | Chunk | Refused) -> None:
    frame = encode(message)[1:-1]
    assert decode(frame) == message
    for position in range(0, len(frame), 7):
        spoilt = bytearray(frame)
        spoilt[position] ^= 0x10
        assert decode(bytes(spoilt)) is None


@pytest.mark.parametrize(
    "body", [b"\xc4\x82\x1b\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\xc5\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x03"]
)
def test_a_frame_of_numbers_beyond_measure_is_dropped(body: bytes) -> None:
    """RFC 8949, tags 4 and 5: decimal fractions and bigfloats."""
    checksum = binascii.crc32(body).to_bytes(4, "little")
    assert decode(encode_cobs(body + checksum)) is None


def test_a_frame_without_end_takes_no_memory() -> None:
    reader = FrameReader()
    for _ in range(100):
        assert list(reader.feed(b"x" * 1000)) == []
    assert len(reader._frame) == FRAME_BYTES_MAX + 1
    assert list(reader.feed(b"\0" + encode(Ack(1)))) == [Ack(1)]
    assert reader.damaged == 1


@pytest.mark.parametrize("rate", [1_200, 9_600, 115_200, 921_600])
@pytest.mark.parametrize("damage", [0.0, 0.0005, 0.005])
def test_the_file_arrives_whole_at_every_rate(rate: int, damage: float) -> None:
    content = CONTENT[: 4_000 if rate == 1_200 else None]
    got, seconds, _ = carry(content, rate=rate, damage=damage)
    assert got == content
    if damage == 0.0:
        assert seconds < 2 * len(content) / (rate / 10) + 5, "the line is used"


@pytest.mark.parametrize("seed", range(10))
def test_the_file_arrives_whole_over_a_very_bad_line(seed: int) -> None:
    got, _, _ = carry(CONTENT[:3_000], damage=0.01, seed=seed)
    assert got == CONTENT[:3_000]


def test_an_empty_file_arrives() -> None:
    assert carry(b"")[0] == b""


def test_a_broken_transfer_goes_on_where_it_broke_off() -> None:
    digest = hashlib.sha256(CONTENT).digest()
    got, _, receiver = carry(CONTENT, part=CONTENT[:15_000], digest=digest)
    assert got == CONTENT[15_000:]
    assert receiver.offer is not None
    assert receiver.offer.offset == 15_000


def test_a_part_of_another_file_is_not_used() -> None:
    got, _, receiver = carry(CONTENT, part=b"x" * 15_000, digest=b"of another")
    assert got == CONTENT
    assert receiver.offer is not None
    assert receiver.offer.offset == 0


def test_a_part_that_was_damaged_on_the_disk_is_refused_at_the_end() -> None:
    digest = hashlib.sha256(CONTENT).digest()
    with pytest.raises(TransferFailed, match="not the hub's"):
        carry(CONTENT, part=b"x" * 15_000, digest=digest)


def test_both_sides_give_up_when_nobody_is_there() -> None:
    with pytest.raises(TransferFailed, match="check the cable"):
        Sender("x", b"x", now_s=0.0).send(SILENT_S_MAX + 1)
    with pytest.raises(TransferFailed, match="type `send`"):
        Receiver(digest=b"", part=b"", write=lambda _: None, now_s=0.0).send(SILENT_S_MAX + 1)


def test_refusal_of_the_receiver_is_reported() -> None:
    with pytest.raises(TransferFailed, match="no room"):
        Sender("x", b"x", now_s=0.0).receive(Refused("no room"), 1.0)
    with pytest.raises(TransferFailed, match="gone"):
        Receiver(digest=b"", part=b"", write=lambda _: None, now_s=0.0).receive(Refused("gone"), 1.0)


def test_a_chunk_beyond_the_end_is_not_written() -> None:
    written = bytearray()
    receiver = Receiver(digest=b"", part=b"", write=written.extend, now_s=0.0)
    receiver.receive(Offer("x", b"00", 3, 0), 0.0)
    receiver.receive(Chunk(0, b"four"), 0.0)
    assert written == b""
