"""The form of the history on the disk: blocks of some minutes, each framed so that damage costs only itself. Pure.

A block holds every channel's values of up to `ROWS_MAX` instants at a fixed interval, in hundredths, each as the
difference from the value before, compressed. A frame is `MAGIC`, the length and the CRC-32 of what follows. A reader
that finds no valid frame goes on at the next `MAGIC`, so a write that was cut short costs one block. Never trusts its
input.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

import msgspec

from agent.errors import Corrupt
from agent.foundation.lenient_json import DECODE_ERRORS

MAGIC = b"\xc1\xa7H1"
"""0xC1 is the one byte that MessagePack never uses."""

_HEAD = struct.Struct("<4sII")

ROWS_MAX = 60
CHANNELS_MAX = 256
"""Eight zones with four channels each, and what fifty sensors measure."""

CHANNEL_CHARACTERS_MAX = 160
FRAME_BYTES_MAX = 64 * 1024
"""A block of 256 channels that all jump takes 20 KiB."""

CONTENT_BYTES_MAX = 512 * 1024
"""Of a block before compression: hostile input must not fill the memory."""

RESOLUTION = 100
"""Values are kept in hundredths: no sensor of a room is more exact."""

VALUE_MAX = 1e7
"""A larger value is none; a pressure in hectopascal has four digits."""

Column = tuple[float | None, ...]
"""The values of one channel, one for each instant; `None` where there was none."""


class HistoryBlock(msgspec.Struct, frozen=True, array_like=True):
    """Some minutes of every channel.

    Attributes:
        boot_id: The boot whose clock `start_ms` counts from.
        start_ms: Boot time of the first instant.
        interval_ms: The time between two instants.
        zero_utc_ms: UTC at boot time 0, as known when the block was written; `None` while it was not.
        rows: The number of instants.
        differences: By channel, in hundredths; read them by `values`.
    """

    boot_id: str
    start_ms: int
    interval_ms: int
    zero_utc_ms: int | None
    rows: int
    differences: dict[str, list[int | None]]

    def values(self, channel: str) -> Column:
        """Return the values of a channel, one for each instant; nothing where the block does not have it."""
        differences = self.differences.get(channel, [])
        sums = accumulate(0 if each is None else each for each in differences)
        return tuple(
            None if each is None else total / RESOLUTION for each, total in zip(differences, sums, strict=True)
        )


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(HistoryBlock)


def make_block(
    boot_id: str,
    *,
    start_ms: int,
    interval_ms: int,
    zero_utc_ms: int | None,
    columns: Mapping[str, Sequence[float | None]],
) -> HistoryBlock:
    """Return a block of columns of equal length; see `HistoryBlock`."""
    rows = max(map(len, columns.values()), default=0)
    differences = {channel: _to_differences(column) for channel, column in columns.items()}
    return HistoryBlock(boot_id, start_ms, interval_ms, zero_utc_ms, rows, differences)


def encode(block: HistoryBlock) -> bytes:
    """Return a block as a frame.

    Raises:
        ValueError: No reader would accept the block.
    """
    content = _encoder.encode(block)
    packed = zlib.compress(content)
    if not _is_sound(block) or len(content) > CONTENT_BYTES_MAX or len(packed) > FRAME_BYTES_MAX:
        raise ValueError(f"a block of {block.rows} rows and {len(block.differences)} channels cannot be read again")
    return _HEAD.pack(MAGIC, len(packed), zlib.crc32(packed)) + packed


def decode(data: bytes) -> Iterator[tuple[HistoryBlock | None, int]]:
    """Yield the blocks of a file in order, and `None` for each stretch that is none, each with where it ends.

    Zeros at the end are room for further blocks.
    """
    at, is_damaged = 0, False
    while at < len(data):
        try:
            block, end = _decode_at(data, at)
        except Corrupt:
            if not data[at:].strip(b"\0"):
                return
            found = data.find(MAGIC, at + 1)
            at = found if found >= 0 else len(data)
            if not is_damaged:
                yield None, at
            is_damaged = True
        else:
            is_damaged = False
            yield block, end
            at = end


def _decode_at(data: bytes, at: int) -> tuple[HistoryBlock, int]:
    """Return the block at a position, and where it ends.

    Raises:
        Corrupt: There is none.
    """
    if len(data) - at < _HEAD.size:
        raise Corrupt("the head is cut short")
    magic, length, checksum = _HEAD.unpack_from(data, at)
    begin = at + _HEAD.size
    packed = data[begin : begin + length]
    if magic != MAGIC or length > FRAME_BYTES_MAX or len(packed) < length or zlib.crc32(packed) != checksum:
        raise Corrupt("no frame, or one whose checksum does not match")
    try:
        block = _decoder.decode(zlib.decompressobj().decompress(packed, CONTENT_BYTES_MAX))
    except (zlib.error, *DECODE_ERRORS) as error:
        raise Corrupt(f"the content cannot be decoded ({error})") from error
    if not _is_sound(block):
        raise Corrupt("the content contradicts itself")
    return block, begin + length


def _is_sound(block: HistoryBlock) -> bool:
    return (
        0 < block.rows <= ROWS_MAX
        and block.interval_ms > 0
        and len(block.differences) <= CHANNELS_MAX
        and all(len(column) == block.rows for column in block.differences.values())
    )


def _to_differences(column: Sequence[float | None]) -> list[int | None]:
    """Return values in hundredths, each but the first as the difference from the one before."""
    differences: list[int | None] = []
    before = 0
    for value in column:
        # NaN is within no bounds.
        if value is None or not -VALUE_MAX <= value <= VALUE_MAX:
            differences.append(None)
            continue
        hundredths = round(value * RESOLUTION)
        differences.append(hundredths - before)
        before = hundredths
    return differences
