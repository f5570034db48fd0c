"""The newest events of the hub in the form in which they are sent, and the replay for a client that was away. Pure.

An event is encoded once, for all clients. Its id is "RUN:NUMBER": the run is drawn at each start of the agent, so that
an id of an earlier run is recognised. Must never grow beyond `EVENTS_MAX` and `BYTES_MAX`.
"""

from collections import deque
from collections.abc import Iterator, Sequence

import msgspec

from agent.local.routes import Role

EVENTS_MAX = 256
BYTES_MAX = 512 * 1024
"""Of the ring's frames together. The newest event is always held. A status of a hundred sensors takes 30 KiB."""

RESYNC = "resync"
"""The event that ends a full set of documents. After it, lists (log, audit) have to be read again."""


class StreamEvent(msgspec.Struct, frozen=True):
    """One event.

    Attributes:
        number: Increases by one with each event of a run.
        name: The kind of the event; a document has its name.
        data: JSON on one line.
        role: Who may see it.
        is_document: It replaces earlier events of its name; otherwise it is one entry of a list.
        frame: The event as it is sent.
    """

    number: int
    name: str
    data: bytes
    role: Role
    is_document: bool
    frame: bytes


class Resumption(msgspec.Struct, frozen=True):
    """The begin of a client's stream: what it gets first, and the number of the last event that this covers."""

    frames: Sequence[bytes]
    number: int


class EventRing:
    """The events of one run of the agent."""

    def __init__(self, run: str, *, events_max: int = EVENTS_MAX, bytes_max: int = BYTES_MAX) -> None:
        """Begin.

        Args:
            run: Identifies this run of the agent; without a colon.
            events_max: How many events are held.
            bytes_max: How many bytes their frames may take together.
        """
        self._run = run
        self._events_max = events_max
        self._bytes_max = bytes_max
        self._events: deque[StreamEvent] = deque()
        self._bytes = 0
        self._documents: dict[str, StreamEvent] = {}
        self.number = 0
        """Of the newest event; 0 before the first."""

    def append(self, name: str, data: bytes, role: Role, *, is_document: bool) -> None:
        """Add an event; the oldest ones leave.

        Args:
            name: The kind of the event.
            data: JSON without a line break.
            role: Who may see it.
            is_document: It replaces earlier events of its name.
        """
        self.number += 1
        event = StreamEvent(self.number, name, data, role, is_document, self._frame(name, data, self.number))
        if is_document:
            self._documents[name] = event
        self._events.append(event)
        self._bytes += len(event.frame)
        while len(self._events) > self._events_max or (self._bytes > self._bytes_max and len(self._events) > 1):
            self._bytes -= len(self._events.popleft().frame)

    def _frame(self, name: str, data: bytes, number: int | None) -> bytes:
        mark = b"" if number is None else f"id: {self._run}:{number}\n".encode()
        return b"%sevent: %s\ndata: %s\n\n" % (mark, name.encode(), data)

    def holds_all_after(self, number: int) -> bool:
        """Tell whether every event after this one is held. A slow client for whom it is false has lost some."""
        oldest = self._events[0].number if self._events else self.number + 1
        return oldest - 1 <= number <= self.number

    def frames_after(self, number: int, role: Role) -> Sequence[bytes]:
        """Return the events after this one that the role may see; of each document only the newest.

        Sound only where `holds_all_after`.
        """
        return [event.frame for event in self._after(number, role)]

    def _after(self, number: int, role: Role) -> Iterator[StreamEvent]:
        begin = len(self._events) - (self.number - number)
        for index in range(max(0, begin), len(self._events)):
            event = self._events[index]
            is_superseded = event.is_document and self._documents[event.name] is not event
            if event.role <= role and not is_superseded:
                yield event

    def resume(self, last_event_id: str, role: Role) -> Resumption:
        """Return what a client gets first.

        Args:
            last_event_id: The id of the last event that it has received; empty for a new client. One of another run,
                one that has left the ring and one that is none lead to a resync: all documents.
            role: What the client may see.
        """
        number = self._number_of(last_event_id)
        if number is not None and self.holds_all_after(number):
            return Resumption(self.frames_after(number, role), self.number)
        documents = sorted(self._documents.values(), key=lambda event: event.number)
        # Only the last frame has an id: a client that is cut off in the middle must not count as served.
        frames = [self._frame(event.name, event.data, None) for event in documents if event.role <= role]
        return Resumption([*frames, self._frame(RESYNC, b"{}", self.number)], self.number)

    def _number_of(self, event_id: str) -> int | None:
        run, _, number = event_id.partition(":")
        # The length first: Python refuses to convert thousands of digits.
        if run != self._run or not (number.isascii() and number.isdigit()) or len(number) > len(str(self.number)):
            return None
        return int(number)
