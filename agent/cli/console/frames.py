"""Frames of the console's binary mode: CBOR, CRC-32, COBS and a zero byte. Pure.

A frame that lost, doubled or corrupted bytes on the way is dropped, never repaired: `agent.cli.console.transfer` asks
again. COBS (Cheshire and Baker, IEEE/ACM Transactions on Networking 7(2), 1999) frees a frame of zero bytes, so that a
zero always ends it. Written here: `cobs` of PyPI has no wheel for every supported Python, and hubs have no compiler.
"""

import binascii
from collections.abc import Iterator

import cbor2
import msgspec

FRAME_BYTES_MAX = 2048
"""Of an encoded frame: the largest chunk, its fields and the overhead of COBS."""

CRC_BYTES = 4
_BLOCK_BYTES_MAX = 254
"""The longest run without a zero byte that one COBS code stands for."""


class Get(msgspec.Struct, frozen=True, array_like=True, tag="get"):
    """The receiver asks for a file.

    Attributes:
        digest: SHA-256 of the file of which the receiver has a part; empty where it has none.
        offset: The bytes that it has.
    """

    digest: bytes = b""
    offset: int = 0


class Offer(msgspec.Struct, frozen=True, array_like=True, tag="offer"):
    """The sender announces the file and where it starts: at 0 where the receiver's part is of another file."""

    name: str
    digest: bytes
    bytes_count: int
    offset: int


class Chunk(msgspec.Struct, frozen=True, array_like=True, tag="chunk"):
    """Bytes of the file."""

    offset: int
    data: bytes


class Ack(msgspec.Struct, frozen=True, array_like=True, tag="ack"):
    """The receiver has everything before this offset. The offset of the end also says that the digest fits."""

    offset: int


class Refused(msgspec.Struct, frozen=True, array_like=True, tag="refused"):
    """One side gives up; the text is for people."""

    text: str


Message = Get | Offer | Chunk | Ack | Refused


def encode(message: Message) -> bytes:
    """Return the frame of a message, with a zero byte at both ends: the first ends what noise has begun."""
    body = cbor2.dumps(msgspec.to_builtins(message, builtin_types=(bytes,)), canonical=True)
    checksum = binascii.crc32(body).to_bytes(CRC_BYTES, "little")
    return b"\0" + encode_cobs(body + checksum) + b"\0"


def decode(frame: bytes) -> Message | None:
    """Return the message of a frame without its zero bytes; `None` where the frame is damaged."""
    data = decode_cobs(frame)
    if data is None or len(data) <= CRC_BYTES:
        return None
    body, checksum = data[:-CRC_BYTES], data[-CRC_BYTES:]
    if binascii.crc32(body).to_bytes(CRC_BYTES, "little") != checksum:
        return None
    try:
        message: Message = msgspec.convert(cbor2.loads(body), Message, builtin_types=(bytes,))
    except (cbor2.CBORError, msgspec.ValidationError, ArithmeticError, RecursionError, ValueError, TypeError):
        return None
    return message


def encode_cobs(data: bytes) -> bytes:
    """Return data without zero bytes: each code byte counts the bytes up to the zero that it stands for."""
    encoded = bytearray()
    blocks = data.split(b"\0")
    for number, block in enumerate(blocks):
        start = 0
        while len(block) - start >= _BLOCK_BYTES_MAX:
            encoded.append(_BLOCK_BYTES_MAX + 1)
            encoded += block[start : start + _BLOCK_BYTES_MAX]
            start += _BLOCK_BYTES_MAX
        # A full block at the very end stands for no zero: an empty one after it would be one byte too many.
        if start < len(block) or start == 0 or number < len(blocks) - 1:
            encoded.append(len(block) - start + 1)
            encoded += block[start:]
    return bytes(encoded)


def decode_cobs(encoded: bytes) -> bytes | None:
    """Return the data of an encoding without its zero bytes; `None` where it is none."""
    decoded = bytearray()
    position = 0
    while position < len(encoded):
        code = encoded[position]
        block = encoded[position + 1 : position + code]
        if code == 0 or len(block) != code - 1 or 0 in block:
            return None
        decoded += block
        position += code
        if code <= _BLOCK_BYTES_MAX and position < len(encoded):
            decoded.append(0)
    return bytes(decoded)


class FrameReader:
    """Finds frames in a stream of bytes. Holds at most one frame.

    Attributes:
        damaged: How many frames were dropped.
    """

    def __init__(self) -> None:
        """Begin between two frames."""
        self.damaged = 0
        self._frame = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that these bytes complete."""
        *ends, rest = data.split(b"\0")
        for end in ends:
            self._frame += end
            if self._frame:
                message = decode(bytes(self._frame)) if len(self._frame) <= FRAME_BYTES_MAX else None
                if message is None:
                    self.damaged += 1
                else:
                    yield message
            self._frame.clear()
        # One byte more than the limit is kept, so that the frame still counts as too long at its end.
        self._frame += rest[: FRAME_BYTES_MAX + 1 - len(self._frame)]
