"""Sends and receives one file over a line that loses, doubles and corrupts bytes, and resumes where it broke off. Pure.

Go-back-N: the sender has a few chunks on the way, the receiver acknowledges how far it has everything in order, and
what is missing is sent again from there. Chunks shrink on a bad line, on which a short frame has better chances. Must
never end well with a file that is not the sender's: the receiver compares its SHA-256 before it acknowledges the end.
"""

import hashlib
from collections.abc import Callable

from agent.cli.console.frames import Ack, Chunk, Get, Message, Offer, Refused

CHUNK_BYTES_MIN = 32
CHUNK_BYTES_MAX = 1024
CHUNK_BYTES_FIRST = 256
WINDOW_CHUNKS = 4
"""Chunks on the way: enough to keep a cable busy, few enough to waste little when one is lost."""

RESEND_S_FIRST = 2.0
"""How long an answer may take while none has been timed."""
RESEND_S_MIN = 0.2
RESEND_S_MAX = 5.0
"""An answer is a short frame: 20 bytes take 0.2 s at 1,200 baud."""

SILENT_S_MAX = 60.0
"""Without any intact frame of the other side for so long, a side gives up."""

GROW_AFTER_CHUNKS = 8
"""Acknowledged without a loss, after which chunks grow."""


class TransferFailed(Exception):
    """The transfer has ended without the file. The message says what to do."""


class Sender:
    """The side that has the file.

    Attributes:
        is_done: The receiver has the whole file, and its digest fits.
    """

    def __init__(self, name: str, content: bytes, *, now_s: float) -> None:
        """Wait for a receiver.

        Args:
            name: The name of the file for the receiver.
            content: The file.
            now_s: The time on a clock that never steps.
        """
        self._offer = Offer(name, hashlib.sha256(content).digest(), len(content), 0)
        self._content = content
        self._is_started = False
        self.is_done = False
        self._acked = 0
        self._next = 0
        self._chunk_bytes = CHUNK_BYTES_FIRST
        self._intact = 0
        self._resend_s = RESEND_S_FIRST
        self._heard_s = now_s
        self._idle_since_s: float | None = None
        self._went_back_at: int | None = None

    @property
    def acknowledged(self) -> int:
        """The bytes that the receiver has."""
        return self._acked

    def receive(self, message: Message, now_s: float) -> list[Message]:
        """Take in a message; return what to answer at once.

        Raises:
            TransferFailed: The receiver has given up.
        """
        self._heard_s = now_s
        match message:
            case Get(digest, offset):
                is_same = digest == self._offer.digest and 0 <= offset <= len(self._content)
                start = offset if is_same else 0
                if not self._is_started or self._acked == 0 == self._next or start > self._acked:
                    self._acked = self._next = start
                self._is_started = True
                self._idle_since_s = None
                return [Offer(self._offer.name, self._offer.digest, len(self._content), self._acked)]
            case Ack(offset) if self._is_started:
                self._acknowledge(offset, now_s)
            case Refused(text):
                raise TransferFailed(text)
            case _:
                pass
        return []

    def _acknowledge(self, offset: int, now_s: float) -> None:
        if offset > len(self._content):
            return
        if offset > self._acked or offset == len(self._content):
            self._acked = offset
            self._next = max(self._next, offset)
            if self._idle_since_s is not None:
                self._resend_s = min(max(3 * (now_s - self._idle_since_s), RESEND_S_MIN), RESEND_S_MAX)
            self._idle_since_s = None
            self._went_back_at = None
            self._intact += 1
            if self._intact >= GROW_AFTER_CHUNKS:
                self._intact = 0
                self._chunk_bytes = min(2 * self._chunk_bytes, CHUNK_BYTES_MAX)
            self.is_done = offset == len(self._content)
        elif offset == self._acked < self._next and self._went_back_at != offset:
            # The receiver has had a chunk that is not the next one. Once for each gap: further ones say the same.
            self._go_back(offset)

    def _go_back(self, offset: int) -> None:
        self._next = offset
        self._went_back_at = offset
        self._intact = 0
        self._chunk_bytes = max(self._chunk_bytes // 2, CHUNK_BYTES_MIN)

    def send(self, now_s: float) -> list[Message]:
        """Return what to send now.

        Call it while nothing waits to go out: the time of an answer counts from then, whatever the rate of the line.

        Raises:
            TransferFailed: The receiver has been silent for too long.
        """
        if now_s - self._heard_s > SILENT_S_MAX:
            text = "check the cable and the rate, then try again: nothing came from the other side"
            raise TransferFailed(f"{text} for {SILENT_S_MAX:.0f} s")
        if not self._is_started or self.is_done:
            return []
        if self._idle_since_s is None:
            self._idle_since_s = now_s
        elif now_s - self._idle_since_s > self._resend_s:
            self._go_back(self._acked)
            if not self._content:
                # An empty file has no chunk whose repetition would bring a lost acknowledgement.
                self._idle_since_s = None
                return [self._offer]
        sent: list[Message] = []
        window_end = self._acked + WINDOW_CHUNKS * self._chunk_bytes
        while self._next < min(window_end, len(self._content)):
            data = self._content[self._next : self._next + self._chunk_bytes]
            sent.append(Chunk(self._next, data))
            self._next += len(data)
        if sent:
            self._idle_since_s = None
        return sent


class Receiver:
    """The side that wants the file.

    Attributes:
        offer: What the sender has announced; `None` before.
        is_done: The whole file is there, and its digest fits.
    """

    def __init__(self, *, digest: bytes, part: bytes, write: Callable[[bytes], None], now_s: float) -> None:
        """Prepare; `send` asks for the file.

        Args:
            digest: SHA-256 of the file of which `part` is; empty where there is no part.
            part: The bytes of an earlier attempt.
            write: Appends to the part; is called with the bytes in order.
            now_s: The time on a clock that never steps.
        """
        self._get = Get(digest, len(part))
        self._part = part
        self._write = write
        self._hash = hashlib.sha256()
        self.offer: Offer | None = None
        self.is_done = False
        self._offset = 0
        self._heard_s = now_s
        self._asked_s = now_s - RESEND_S_FIRST

    @property
    def received(self) -> int:
        """The bytes that are there, in order."""
        return self._offset

    def receive(self, message: Message, now_s: float) -> list[Message]:
        """Take in a message; return what to answer.

        Raises:
            TransferFailed: The sender has given up, or the file is not what was announced.
        """
        self._heard_s = now_s
        match message:
            case Offer():
                if self.offer is None:
                    if not 0 <= message.offset <= min(len(self._part), message.bytes_count):
                        return []
                    self.offer = message
                    self._offset = message.offset
                    self._hash.update(self._part[: self._offset])
                return [self._ack()]
            case Chunk(offset, data) if self.offer is not None:
                if offset == self._offset and offset + len(data) <= self.offer.bytes_count:
                    self._write(data)
                    self._hash.update(data)
                    self._offset += len(data)
                return [self._ack()]
            case Refused(text):
                raise TransferFailed(text)
            case _:
                return []

    def _ack(self) -> Message:
        if self.offer and self._offset == self.offer.bytes_count and not self.is_done:
            if self._hash.digest() != self.offer.digest:
                raise TransferFailed("try again without the part of the earlier attempt: the file is not the hub's")
            self.is_done = True
        return Ack(self._offset)

    def send(self, now_s: float) -> list[Message]:
        """Return what to send now: the request for the file until the sender has announced it.

        Raises:
            TransferFailed: The sender has been silent for too long.
        """
        if now_s - self._heard_s > SILENT_S_MAX:
            text = "sign in on the hub's console and type `send`, then try again: nothing came from the hub"
            raise TransferFailed(f"{text} for {SILENT_S_MAX:.0f} s")
        if self.offer is None and now_s - self._asked_s >= RESEND_S_FIRST:
            self._asked_s = now_s
            return [self._get]
        return []
