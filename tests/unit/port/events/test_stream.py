"""The stream of events, in virtual time: when documents are built, what a client gets, and which client is dropped."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from types import MappingProxyType
from typing import Any

import async_solipsism
import msgspec
import pytest

from agent.local.routes import Caller, LocalRequest, RequestRefused, Role, Stream
from agent.port.events import stream
from agent.port.events.ring import EVENTS_MAX
from agent.port.events.stream import CLIENTS_MAX, HEARTBEAT, HEARTBEAT_S, STREAM_S_MAX, EventStream


class Hub:
    """A stream of two documents, which the test changes."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.status: dict[str, Any] = {"value": 1, "age_s": 0.0}
        self.builds: list[float] = []
        self.log: list[object] = []
        self.began = loop.time()
        self.now_s = loop.time
        self.stream = EventStream(
            {"status": self.build, "climate": lambda: {"zones": []}},
            {"log": self.read_log},
            now_ms=lambda: round(loop.time() * 1000),
            run_id="run",
        )

    def build(self) -> dict[str, Any]:
        self.builds.append(self.now_s())
        return {**self.status, "age_s": self.now_s()}

    def read_log(self) -> list[object]:
        added, self.log = self.log, []
        return added

    def listen(self, last_event_id: str = "", role: Role = Role.VIEWER) -> AsyncGenerator[bytes, None]:
        return self.stream.listen(last_event_id, role)


def in_virtual_time(test: Callable[[Hub], Awaitable[None]]) -> None:
    """Run a test on a loop whose sleeps take no time, beside the loop of the stream."""

    async def run() -> None:
        hub = Hub()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(hub.stream.run())
            await test(hub)
            task.cancel()

    with asyncio.Runner(loop_factory=async_solipsism.EventLoop) as runner:
        runner.run(run())


def test_nothing_is_built_while_nobody_listens() -> None:
    async def test(hub: Hub) -> None:
        await asyncio.sleep(3600)
        assert hub.builds == []
        client = hub.listen()
        await anext(client)
        await asyncio.sleep(10)
        assert 10 <= len(hub.builds) <= 11
        await client.aclose()
        await asyncio.sleep(1)
        count = len(hub.builds)
        await asyncio.sleep(3600)
        assert len(hub.builds) == count

    in_virtual_time(test)


def test_a_document_is_built_once_a_second_however_many_listen() -> None:
    async def test(hub: Hub) -> None:
        clients = [hub.listen() for _ in range(50)]
        for client in clients:
            await anext(client)
        await asyncio.sleep(60)
        gaps = [after - before for before, after in zip(hub.builds, hub.builds[1:], strict=False)]
        assert min(gaps) >= 0.999
        assert max(gaps) <= 1.001

    in_virtual_time(test)


def test_a_client_gets_the_documents_then_changes_only() -> None:
    async def test(hub: Hub) -> None:
        client = hub.listen()
        first = await anext(client)
        assert first.startswith(b"retry: ")
        assert first.count(b"event: ") == 3
        await asyncio.sleep(5.5)
        hub.status["value"] = 2
        assert await anext(client) == b'id: run:3\nevent: status\ndata: {"value":2,"age_s":6.0}\n\n'

    in_virtual_time(test)


def test_a_quiet_hub_sends_heartbeats_only() -> None:
    async def test(hub: Hub) -> None:
        client = hub.listen()
        await anext(client)
        for _ in range(10):
            before = hub.now_s()
            assert await anext(client) == HEARTBEAT
            assert hub.now_s() - before <= HEARTBEAT_S + 1

    in_virtual_time(test)


def test_a_client_that_returns_gets_what_it_has_missed() -> None:
    async def test(hub: Hub) -> None:
        other = hub.listen()
        await anext(other)
        for number in range(3):
            hub.stream.publish("log", {"number": number})
        assert (await anext(hub.listen("run:3"))).count(b"event: log\n") == 2
        assert b"event: resync\n" in await anext(hub.listen("another:3"))

    in_virtual_time(test)


def test_lines_of_the_log_are_sent_with_the_documents_of_their_second() -> None:
    async def test(hub: Hub) -> None:
        client = hub.listen()
        await anext(client)
        await asyncio.sleep(0.5)
        hub.log = [{"text": "first"}, {"text": "second"}]
        lines = (await anext(client)).decode().split("\n")
        assert lines[0::4] == ["id: run:3", "id: run:4", ""]
        assert lines[2::4] == ['data: {"text":"first"}', 'data: {"text":"second"}']

    in_virtual_time(test)


def test_a_slow_client_is_dropped_and_costs_no_memory() -> None:
    async def test(hub: Hub) -> None:
        slow, quick = hub.listen(), hub.listen()
        await anext(slow)
        await anext(quick)
        for number in range(EVENTS_MAX + 1):
            hub.stream.publish("log", {"number": number})
            assert b"event: log\n" in await anext(quick)
        with pytest.raises(StopAsyncIteration):
            await anext(slow)
        assert hub.stream.clients == 1

    in_virtual_time(test)


def test_a_client_has_to_ask_again_after_a_while() -> None:
    async def test(hub: Hub) -> None:
        began = hub.now_s()
        async for _ in hub.listen():
            pass
        assert STREAM_S_MAX <= hub.now_s() - began <= STREAM_S_MAX + HEARTBEAT_S + 1
        assert hub.stream.clients == 0

    in_virtual_time(test)


def test_an_entry_for_service_does_not_reach_a_viewer() -> None:
    async def test(hub: Hub) -> None:
        viewer, service = hub.listen(), hub.listen(role=Role.SERVICE)
        await anext(viewer)
        await anext(service)
        hub.stream.publish("audit", {"who": "x"}, Role.SERVICE)
        assert await anext(service) == b'id: run:3\nevent: audit\ndata: {"who":"x"}\n\n'
        assert await anext(viewer) == HEARTBEAT

    in_virtual_time(test)


def test_a_document_that_cannot_be_built_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def test(hub: Hub) -> None:
        def fail() -> object:
            raise ZeroDivisionError

        hub.stream._documents = MappingProxyType({"climate": fail, "status": hub.build})
        client = hub.listen()
        begin = await anext(client)
        assert b"event: status\n" in begin
        assert b"event: climate\n" not in begin
        await asyncio.sleep(59)
        assert len([record for record in caplog.records if "because of a defect" in record.message]) == 1
        await asyncio.sleep(3)
        assert len([record for record in caplog.records if "because of a defect" in record.message]) == 2

    in_virtual_time(test)


@pytest.mark.usefixtures("caplog")
def test_a_text_that_json_cannot_hold_costs_no_other_event() -> None:
    async def test(hub: Hub) -> None:
        client = hub.listen()
        await anext(client)
        hub.log = ["\ud800"]
        hub.status["value"] = 2
        assert b"event: status\n" in await anext(client)
        hub.status["value"] = "\ud800"
        hub.log = ["sound"]
        assert await anext(client) == HEARTBEAT
        hub.status["value"] = 3
        sent = b""
        while b"sound" not in sent or b'"value":3' not in sent:
            sent += await anext(client)

    in_virtual_time(test)


async def ask(source: EventStream, **headers: str) -> Stream:
    request = LocalRequest({}, Caller("", Role.VIEWER, "socket"), headers=headers)
    answer = await stream.handlers(source)["get_events"](request)
    assert isinstance(answer, Stream)
    return answer


def test_clients_are_limited() -> None:
    async def test(hub: Hub) -> None:
        early = [await ask(hub.stream) for _ in range(CLIENTS_MAX + 1)]
        for each in early[:-1]:
            await anext(each.chunks)
        # It was admitted before the others began.
        with pytest.raises(StopAsyncIteration):
            await anext(early[-1].chunks)
        with pytest.raises(RequestRefused, match="close other pages"):
            await ask(hub.stream)
        await early[0].chunks.aclose()
        assert (await ask(hub.stream)).content_type == "text/event-stream"

    in_virtual_time(test)


def test_the_request_names_the_last_event() -> None:
    async def test(hub: Hub) -> None:
        await anext(hub.listen())
        hub.stream.publish("log", {"number": 1})
        answer = await ask(hub.stream, **{"Last-Event-ID": "run:2"})
        assert (await anext(answer.chunks)).endswith(b'id: run:3\nevent: log\ndata: {"number":1}\n\n')

    in_virtual_time(test)


def test_an_event_is_one_line_whatever_a_text_contains() -> None:
    async def test(hub: Hub) -> None:
        client = hub.listen()
        await anext(client)
        entry = {"text": "a\nb\r\n\n: c\u2028"}
        hub.stream.publish("log", entry)
        lines = (await anext(client)).decode().split("\n")
        assert len(lines) == 5
        assert "\r" not in lines[2]
        assert msgspec.json.decode(lines[2].removeprefix("data: ")) == entry

    in_virtual_time(test)
