"""The coordinator's end of ASH: frames arrive whole, once and in order over a serial line that corrupts bytes.

Silicon Labs UG101, "UART Gateway Protocol Reference". Pure: bytes and the monotonic time go in, payloads come out;
`take` returns the bytes to write. Must never look into a payload.
"""

import binascii
import re
from collections.abc import Iterator
from enum import Enum

FLAG = 0x7E
ESCAPE = 0x7D
XON = 0x11
XOFF = 0x13
SUBSTITUTE = 0x18
CANCEL = 0x1A
FLIP = 0x20
"""What an escaped byte is XORed with (UG101, section 4.2)."""

VERSION = 2
DATA_BYTES_MAX = 256
"""More than the longest EZSP frame; the pseudo-random sequence is as long."""
STUFFED_BYTES_MAX = 2 * (DATA_BYTES_MAX + 3)
"""Longest frame worth collecting: control, data and CRC, every byte escaped."""

WINDOW_MODULUS = 8
ACK_TIMEOUT_FIRST_S = 1.6
ACK_TIMEOUT_MIN_S = 0.4
ACK_TIMEOUT_MAX_S = 3.2
ACK_TIMEOUTS_MAX = 5
"""After so many unanswered copies of one frame the coordinator gives up and sends ERROR (UG101, section 5)."""
HOST_NOT_READY_S = 1.0
"""How long a "not ready" of the host is valid (T_REMOTE_NOTRDY)."""

_RST = 0xC0
_RSTACK = 0xC1
_ERROR = 0xC2
_ACK = 0x80
_NAK = 0xA0
_SHORT_MASK = 0xE0
_RETRANSMITTED = 0x08
_NOT_READY = 0x08
_CRC_BYTES = 2
_FRAME_BYTES_MIN = 1 + _CRC_BYTES

_STUFFED = re.compile(rb"[\x7e\x7d\x11\x13\x18\x1a]")
_ENDS = re.compile(rb"[\x7e\x18\x1a]")
_UNSTUFFED = re.compile(rb"\x7d(.)", re.DOTALL)


class ResetCode(Enum):
    """Why the coordinator started again (UG101, section 3.4)."""

    UNKNOWN = 0x00
    EXTERNAL = 0x01
    POWER_ON = 0x02
    WATCHDOG = 0x03
    ASSERT = 0x06
    BOOTLOADER = 0x09
    SOFTWARE = 0x0B
    ACK_TIMEOUTS = 0x51


class AshReset(Enum):
    """The host's wish, in the stream of payloads: start again."""

    ASKED = "asked"


def _noise() -> bytes:
    sequence = bytearray()
    value = 0x42
    for _ in range(DATA_BYTES_MAX):
        sequence.append(value)
        value = value >> 1 ^ (0xB8 if value & 1 else 0)
    return bytes(sequence)


_NOISE = _noise()
"""What data is XORed with, so that no payload can be full of bytes to escape (UG101, section 4.3)."""


def whiten(data: bytes) -> bytes:
    """Apply or take away the pseudo-random sequence."""
    count = len(data)
    return (int.from_bytes(data) ^ int.from_bytes(_NOISE[:count])).to_bytes(count)


def stuff(frame: bytes) -> bytes:
    """Append the CRC, escape the reserved bytes and end the frame."""
    whole = frame + binascii.crc_hqx(frame, 0xFFFF).to_bytes(_CRC_BYTES)
    return _STUFFED.sub(lambda found: bytes((ESCAPE, found[0][0] ^ FLIP)), whole) + bytes((FLAG,))


def unstuff(stuffed: bytes) -> bytes | None:
    """Return a frame without its CRC, or `None` where it is too short or was garbled."""
    whole = _UNSTUFFED.sub(lambda found: bytes((found[1][0] ^ FLIP,)), stuffed)
    if len(whole) < _FRAME_BYTES_MIN:
        return None
    frame, crc = whole[:-_CRC_BYTES], whole[-_CRC_BYTES:]
    return frame if binascii.crc_hqx(frame, 0xFFFF).to_bytes(_CRC_BYTES) == crc else None


def whole_frames(chunk: bytes) -> Iterator[bytes]:
    """Yield what passes for a frame between the reserved bytes of a chunk, without its CRC."""
    for stuffed in _ENDS.split(chunk.translate(None, bytes((XON, XOFF)))):
        frame = unstuff(stuffed)
        if frame is not None:
            yield frame


class AshLink:
    """One end of the line. At most one data frame is under way at a time, as EmberZNet hosts expect."""

    def __init__(self) -> None:
        self._collected = bytearray()
        self._is_discarding = False
        self._written: list[bytes] = []
        self._begin()
        self._is_connected = False

    def _begin(self) -> None:
        self._is_connected = True
        self._has_failed = False
        self._send_number = 0
        self._expected_number = 0
        self._in_flight: bytes | None = None
        self._in_flight_number = 0
        self._sent_at_s = 0.0
        self._timeout_s = ACK_TIMEOUT_FIRST_S
        self._timeouts = 0
        self._is_ack_owed = False
        self._is_rejecting = False
        self._host_not_ready_until_s = 0.0

    @property
    def is_connected(self) -> bool:
        """Whether the host has reset the link, and neither end has failed since."""
        return self._is_connected and not self._has_failed

    def can_send(self, *, is_callback: bool, now_s: float) -> bool:
        """Tell whether a payload may be sent now. Callbacks also wait while the host is not ready."""
        if not self.is_connected or self._in_flight is not None:
            return False
        return not is_callback or now_s >= self._host_not_ready_until_s

    def due_s(self, now_s: float) -> float | None:
        """Return when `advance` or a new `can_send` is worth a call, or `None`."""
        if not self.is_connected:
            return None
        if self._in_flight is not None:
            return self._sent_at_s + self._timeout_s
        return self._host_not_ready_until_s if self._host_not_ready_until_s > now_s else None

    def take(self) -> bytes:
        """Return what is to be written, an acknowledgement that is still owed included."""
        if self._is_ack_owed:
            self._is_ack_owed = False
            self._written.append(stuff(bytes((_ACK | self._expected_number,))))
        written = b"".join(self._written)
        self._written.clear()
        return written

    def send(self, payload: bytes, now_s: float) -> None:
        """Send one payload. The caller has asked `can_send`."""
        self._in_flight = payload
        self._in_flight_number = self._send_number
        self._send_number = (self._send_number + 1) % WINDOW_MODULUS
        self._timeouts = 0
        self._transmit(now_s, is_again=False)

    def restart(self, code: ResetCode) -> None:
        """Forget the link and announce a start of the coordinator, asked for or not."""
        self._begin()
        self._written.append(stuff(bytes((_RSTACK, VERSION, code.value))))

    def advance(self, now_s: float) -> None:
        """Send a frame again whose acknowledgement is overdue, or give up."""
        if self._in_flight is None or self._has_failed or now_s < self._sent_at_s + self._timeout_s:
            return
        self._timeouts += 1
        if self._timeouts >= ACK_TIMEOUTS_MAX:
            self._has_failed = True
            self._in_flight = None
            self._is_ack_owed = False
            self._written.append(stuff(bytes((_ERROR, VERSION, ResetCode.ACK_TIMEOUTS.value))))
            return
        self._timeout_s = min(2 * self._timeout_s, ACK_TIMEOUT_MAX_S)
        self._transmit(now_s, is_again=True)

    def receive(self, chunk: bytes, now_s: float) -> Iterator[bytes | AshReset]:
        """Take bytes of the host and yield the payloads they complete, and `AshReset` where the host asks for one."""
        for value in chunk:
            if value == FLAG:
                stuffed, is_discarded = bytes(self._collected), self._is_discarding
                self._collected.clear()
                self._is_discarding = False
                if stuffed and not is_discarded:
                    yield from self._frame(stuffed, now_s)
            elif value == CANCEL:
                self._collected.clear()
                self._is_discarding = False
            elif value == SUBSTITUTE or len(self._collected) >= STUFFED_BYTES_MAX:
                self._is_discarding = True
                self._collected.clear()
            elif value not in {XON, XOFF}:
                self._collected.append(value)

    def _transmit(self, now_s: float, *, is_again: bool) -> None:
        if self._in_flight is None:
            return
        control = self._in_flight_number << 4 | (_RETRANSMITTED if is_again else 0) | self._expected_number
        self._is_ack_owed = False
        self._sent_at_s = now_s
        self._written.append(stuff(bytes((control,)) + whiten(self._in_flight)))

    def _frame(self, stuffed: bytes, now_s: float) -> Iterator[bytes | AshReset]:
        frame = unstuff(stuffed)
        if frame is None:
            self._reject()
            return
        control, body = frame[0], frame[1:]
        if control == _RST:
            if not body:
                self._begin()
                yield AshReset.ASKED
        elif not self.is_connected:
            return
        elif not control & 0x80:
            self._acknowledged(control & 0x07, now_s)
            yield from self._data(control, body)
        elif control & _SHORT_MASK in {_ACK, _NAK}:
            self._host_not_ready_until_s = now_s + HOST_NOT_READY_S if control & _NOT_READY else 0.0
            self._acknowledged(control & 0x07, now_s)
            if control & _SHORT_MASK == _NAK:
                self._transmit(now_s, is_again=True)

    def _data(self, control: int, body: bytes) -> Iterator[bytes]:
        if control >> 4 & 0x07 == self._expected_number:
            self._expected_number = (self._expected_number + 1) % WINDOW_MODULUS
            self._is_rejecting = False
            self._is_ack_owed = True
            if len(body) <= DATA_BYTES_MAX:
                yield whiten(body)
        elif control & _RETRANSMITTED:
            self._is_ack_owed = True
        else:
            self._reject()

    def _reject(self) -> None:
        if self.is_connected and not self._is_rejecting:
            self._is_rejecting = True
            self._is_ack_owed = False
            self._written.append(stuff(bytes((_NAK | self._expected_number,))))

    def _acknowledged(self, number: int, now_s: float) -> None:
        if self._in_flight is None or number != (self._in_flight_number + 1) % WINDOW_MODULUS:
            return
        self._in_flight = None
        round_trip_s = now_s - self._sent_at_s
        timeout_s = self._timeout_s * 7 / 8 + round_trip_s / 2
        self._timeout_s = min(max(timeout_s, ACK_TIMEOUT_MIN_S), ACK_TIMEOUT_MAX_S)
