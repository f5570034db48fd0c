"""Server-sent events: `GET /v1/events` sends each document of the local API whenever it says something new.

Owns when documents are built: at most once a second, and only while somebody listens. A client has no buffer of its
own: it has a place in the ring, and one that falls out of the ring is dropped. Must never wait for a client.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Generic, TypeVar

import msgspec

from agent.errors import ClimahubError
from agent.foundation.supervisor import contain_failure
from agent.local.routes import Handler, LocalRequest, RequestRefused, Role, Stream
from agent.local.status_builder import HubReports
from agent.local.verdict import verdict
from agent.port.events.document_change import Json, is_changed, to_json_values
from agent.port.events.ring import EventRing

PERIOD_MS = 1000
"""The least time between two builds of a document."""

HEARTBEAT_S = 15.0
"""A client that receives nothing for twice this long may take the hub for gone."""

STREAM_S_MAX = 900.0
"""After this a client has to ask again, and is checked again: its session may have ended."""

CLIENTS_MAX = 250

BROKEN_S = 60.0
"""How long a document that cannot be built is left out, so that a defect does not fill the log."""

CONTENT_TYPE = "text/event-stream"
HEARTBEAT = b":\n\n"
_RETRY = b"retry: 2000\n\n"
"""Milliseconds after which a browser connects again."""

Build = Callable[[], object]
"""Builds a document; `None` where this hub has none of the kind."""


T = TypeVar("T")


class _Latest(Generic[T]):
    """Keeps the document that was built last."""

    document: T

    def __init__(self, build: Callable[[], T]) -> None:
        self._build = build

    def build(self) -> T:
        self.document = self._build()
        return self.document


def hub_documents(reports: HubReports) -> Mapping[str, Build]:
    """Return what builds each document that is sent, by the name of its event.

    To be called in this order: the verdict is made of the documents that were built before it.
    """
    status, climate = _Latest(reports.status), _Latest(reports.climate)
    zigbee, update = _Latest(reports.zigbee), _Latest(reports.update)
    return {
        "status": status.build,
        "climate": climate.build,
        "zigbee": zigbee.build,
        "update": update.build,
        "verdict": lambda: verdict(status.document, climate.document, zigbee.document, update.document),
    }


class EventStream:
    """The events of the hub, and everybody who listens."""

    def __init__(
        self,
        documents: Mapping[str, Build],
        lists: Mapping[str, Callable[[], Sequence[object]]],
        *,
        now_ms: Callable[[], int],
        run_id: str,
    ) -> None:
        """Prepare.

        Args:
            documents: Builds each document, by the name of its event. A viewer may see all of them.
            lists: Returns the entries that were added to a list since the last call, the oldest first, by the name of
                their event. A viewer may see them.
            now_ms: Returns the boot time.
            run_id: Identifies this run of the agent; without a colon.
        """
        self._documents = documents
        self._lists = lists
        self._now_ms = now_ms
        self._ring = EventRing(run_id)
        self._sent: dict[str, tuple[Json, int]] = {}
        """What the newest event of each document says, and when it was built."""
        self._broken_until_ms: dict[str, int] = {}
        self._built_ms: int | None = None
        self._woken_ms = 0
        self._is_heard = asyncio.Event()
        self._news = asyncio.Event()
        self.clients = 0

    async def run(self) -> None:
        """Build documents while somebody listens, until cancelled."""
        while True:
            await self._is_heard.wait()
            while self.clients:
                await asyncio.sleep(self._due_in_ms() / 1000)
                self.refresh()
            self._is_heard.clear()

    def _due_in_ms(self) -> int:
        return 0 if self._built_ms is None else max(0, self._built_ms + PERIOD_MS - self._now_ms())

    def refresh(self) -> None:
        """Build the documents, unless that was done within the last second; append those that say something new."""
        if self._due_in_ms():
            return
        self._built_ms = now_ms = self._now_ms()
        before = self._ring.number
        for name, build in self._documents.items():
            with self._contained(name, now_ms) as is_sound:
                if is_sound:
                    self._append_document(name, build(), now_ms)
        for name, read_added in self._lists.items():
            with self._contained(name, now_ms) as is_sound:
                if is_sound:
                    self._append_entries(name, read_added())
        if self._ring.number != before or now_ms - self._woken_ms >= HEARTBEAT_S * 1000:
            self._wake()

    @contextlib.contextmanager
    def _contained(self, name: str, now_ms: int) -> Iterator[bool]:
        """Contain a defect of one event: it costs no other. Yields whether the event is to be tried now."""
        try:
            with contain_failure(f"the event {name}"):
                yield now_ms >= self._broken_until_ms.get(name, now_ms)
        except ClimahubError:
            self._broken_until_ms[name] = now_ms + int(BROKEN_S * 1000)

    def _append_document(self, name: str, document: object, now_ms: int) -> None:
        if document is None:
            return
        values = to_json_values(document)
        if name in self._sent:
            before, before_ms = self._sent[name]
            if not is_changed(before, values, elapsed_s=(now_ms - before_ms) / 1000):
                return
        self._ring.append(name, msgspec.json.encode(values), Role.VIEWER, is_document=True)
        self._sent[name] = values, now_ms

    def _append_entries(self, name: str, entries: Sequence[object]) -> None:
        for entry in entries:
            self._ring.append(name, msgspec.json.encode(entry), Role.VIEWER, is_document=False)

    def publish(self, name: str, entry: object, role: Role = Role.VIEWER) -> None:
        """Send one entry of a list, such as one of the audit trail. For the loop's thread only.

        Args:
            name: The name of the event.
            entry: A struct or plain values.
            role: Who may see it.
        """
        self._ring.append(name, msgspec.json.encode(entry), role, is_document=False)
        self._wake()

    def _wake(self) -> None:
        self._woken_ms = self._now_ms()
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def listen(self, last_event_id: str, role: Role) -> AsyncGenerator[bytes, None]:
        """Yield what one client is sent, until it has to ask again.

        Args:
            last_event_id: The id of the last event that it has received; empty for a new client.
            role: What it may see.
        """
        if self.clients >= CLIENTS_MAX:
            return
        self.clients += 1
        try:
            self._is_heard.set()
            self.refresh()
            begin = self._ring.resume(last_event_id, role)
            number, end_ms = begin.number, self._now_ms() + STREAM_S_MAX * 1000
            yield b"".join([_RETRY, *begin.frames])
            while self._now_ms() < end_ms:
                if self._ring.number == number:
                    await self._news.wait()
                if not self._ring.holds_all_after(number):
                    return
                frames = self._ring.frames_after(number, role)
                number = self._ring.number
                yield b"".join(frames) or HEARTBEAT
        finally:
            self.clients -= 1


def handlers(events: EventStream) -> Mapping[str, Handler]:
    """Return the handler of the events."""

    async def get_events(request: LocalRequest) -> Annotated[Stream, CONTENT_TYPE]:
        if events.clients >= CLIENTS_MAX:
            text = f"close other pages of this hub and try again: {CLIENTS_MAX} clients listen already"
            raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "too_many", text)
        return Stream(CONTENT_TYPE, events.listen(request.headers.get("Last-Event-ID", ""), request.caller.role))

    return {"get_events": get_events}
