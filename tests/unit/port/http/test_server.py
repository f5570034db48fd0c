# ruff: noqa: ASYNC240 (a test may wait for the disk)
"""The local API: a Unix socket with the right permissions, JSON that scripts can rely on."""

import asyncio
import contextlib
import json
import os
import socket
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

import aiohttp
import msgspec
import pytest

from agent.errors import Corrupt, StorageFull
from agent.local import commands as local_commands
from agent.local import status_builder
from agent.local.commands import CommandsReport
from agent.local.routes import Answer, Handler, LocalRequest, Stream
from agent.local.status import ClockStatus, HubStatus, LinkReport, OutboxReport, SettingsReport
from agent.local.verdict import Verdict
from agent.port.http import bodies, unix_socket
from tests.unit.port.http.served import serve_handlers

OUTBOX = OutboxReport(*[0] * 7, None, *[0] * 6, "", "")  # type: ignore[arg-type, call-arg] # counts, then words
STATUS = HubStatus(
    version="1.2.3",
    board="sim",
    clock=ClockStatus(synchronised=True, utc="2026-03-29T12:00:00Z", boot_id="boot", uptime_s=5),
    link=LinkReport("up", "", 5, 0, "off"),
    quotas={},
    outbox=OUTBOX,
    sensors=[],
    relayed_sensors=[],
    settings=SettingsReport({}, {}, []),
    faults=[],
)


def no_verdict() -> Verdict:
    raise OSError("no such file")


async def serve(path: Path, problems: Sequence[Exception] = (), more: Mapping[str, Handler] | None = None) -> None:
    left = list(problems)

    async def commands() -> CommandsReport:
        if left:
            raise left.pop(0)
        return CommandsReport([], "")

    async def confirm(command_id: str) -> None:
        raise KeyError(command_id)

    handlers = {
        **status_builder.handlers(lambda: STATUS, no_verdict),
        **local_commands.handlers(commands, confirm),
        **(more or {}),
    }
    await serve_handlers(path, handlers)


Start = Callable[..., "asyncio.Future[None]"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "status.sock"


@pytest.fixture
async def start(path: Path) -> AsyncIterator[Start]:
    tasks: list[asyncio.Task[None]] = []

    def begin(more: Mapping[str, Handler] | None = None) -> asyncio.Task[None]:
        tasks.append(asyncio.get_running_loop().create_task(serve(path, more=more)))
        return tasks[-1]

    yield begin
    for task in tasks:
        task.cancel()
        await asyncio.wait({task})


async def is_served(path: Path) -> None:
    """Wait until somebody listens there, behind the right permissions."""
    async with asyncio.timeout(60):
        while True:
            await asyncio.sleep(0)
            try:
                _, writer = await asyncio.open_unix_connection(str(path))
            except OSError:
                continue
            writer.close()
            if stat.S_IMODE(path.stat().st_mode) == 0o660:
                return


async def ask(path: Path, method: str = "GET", target: str = "/v1/status", body: bytes = b"") -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.request(method, f"http://hub{target}", data=body) as response,
    ):
        return response.status, await response.read()


@pytest.mark.parametrize("turns", range(8))
async def test_connection_accepted_in_the_last_moment_is_closed(path: Path, start: Start, turns: int) -> None:
    task = start()
    await is_served(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        client.connect(str(path))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.get_running_loop().sock_recv(client, 1) == b""


async def test_the_status_is_json(path: Path, start: Start) -> None:
    _ = start()
    await is_served(path)
    status, body = await ask(path)
    assert status == 200
    assert msgspec.json.decode(body, type=HubStatus) == STATUS
    assert set(json.loads(body)) >= {
        "version",
        "board",
        "clock",
        "link",
        "quotas",
        "outbox",
        "sensors",
        "relayed_sensors",
        "settings",
        "faults",
    }


async def test_only_the_service_and_its_group_may_ask(path: Path, start: Start) -> None:
    _ = start()
    await is_served(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


async def test_no_other_task_meets_the_umask_of_the_socket(path: Path, start: Start) -> None:
    def umask() -> int:
        found = os.umask(0o022)
        os.umask(found)
        return found

    before = umask()
    _ = start()
    found = set()
    for _ in range(20):
        await asyncio.sleep(0)
        found.add(umask())
    await is_served(path)
    assert found == {before}


async def test_the_socket_file_goes_with_the_server(path: Path, start: Start) -> None:
    task = start()
    await is_served(path)
    task.cancel()
    await asyncio.wait({task})
    assert not path.exists()


async def test_nothing_else_is_answered(path: Path, start: Start) -> None:
    _ = start()
    await is_served(path)
    assert (await ask(path, target="/"))[0] == 404
    status, body = await ask(path, "POST", body=b"x" * 10_000)
    assert (status, b"use GET or HEAD: POST " in body) == (405, True)


@pytest.mark.parametrize(
    ("problem", "status", "words"),
    [
        (ValueError("year 0\x1b"), 500, "GET /v1/commands failed by a defect of the hub (ValueError: year 0\\u001b)"),
        (RecursionError(), 500, "GET /v1/commands failed by a defect of the hub (RecursionError)"),
        (StorageFull("no room"), 503, "no room"),
        (Corrupt("commands.db cannot be read"), 503, "commands.db cannot be read"),
    ],
)
async def test_whatever_a_request_raises_is_told_and_fails_it_alone(
    path: Path, problem: Exception, status: int, words: str
) -> None:
    task = asyncio.get_running_loop().create_task(serve(path, [problem]))
    await is_served(path)
    found, body = await ask(path, target="/v1/commands")
    assert (found, json.loads(body)["detail"].startswith(words)) == (status, True)
    assert (await ask(path, target="/v1/commands"))[0] == 200
    task.cancel()
    await asyncio.wait({task})


async def test_a_socket_left_behind_is_replaced(path: Path, start: Start) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    _ = start()
    await is_served(path)
    assert (await ask(path))[0] == 200


async def test_it_can_be_started_again(path: Path, start: Start) -> None:
    for _ in range(3):
        task = start()
        await is_served(path)
        assert (await ask(path))[0] == 200
        task.cancel()
        await asyncio.wait({task})


@pytest.mark.parametrize(
    "sent", [b"", b"GET /v1/status HTTP/1.1\r\nHost", b"GET /v1/status HTTP/1.1\r\nHost: hub\r\n\r\n"]
)
async def test_an_idle_connection_is_closed(
    path: Path, start: Start, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(unix_socket, "IDLE_S_MAX", 0.05)
    _ = start()
    await is_served(path)
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(sent)
    async with asyncio.timeout(60):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200") is sent.endswith(b"\r\n\r\n")
    writer.close()


async def test_a_sender_that_falls_silent_is_not_waited_for(
    path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "SILENT_S_MAX", 0.05)

    async def echo(request: LocalRequest) -> bytes:
        return bytes(request.body)

    _ = start(more={"change_climate": echo})
    await is_served(path)
    assert await ask(path, "POST", "/v1/climate/all", b"x" * 5000) == (200, b"x" * 5000)
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"POST /v1/climate/all HTTP/1.1\r\nHost: hub\r\nContent-Length: 100\r\n\r\nabc")
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()


async def test_a_handler_may_choose_status_type_and_session_of_its_answer(path: Path, start: Start) -> None:
    async def plain(_: LocalRequest) -> Answer:
        return Answer(b"up 1\n", HTTPStatus.SERVICE_UNAVAILABLE, "text/plain; version=0.0.4", session="abc")

    _ = start(more={"get_status": plain})
    await is_served(path)
    connector = aiohttp.UnixConnector(str(path))
    async with aiohttp.ClientSession(connector=connector) as session, session.get("http://hub/v1/status") as response:
        assert (response.status, await response.read()) == (503, b"up 1\n")
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4"
        assert response.headers["Set-Cookie"] == "climahub_session=abc; HttpOnly; Path=/; SameSite=Strict"


async def test_a_stream_is_closed_when_the_caller_leaves(path: Path, start: Start) -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"data: {}\n\n"
                await asyncio.sleep(0)
        finally:
            closed.set()

    async def events(_: LocalRequest) -> Stream:
        return Stream("text/event-stream", endless(), "events.txt")

    _ = start(more={"get_status": events})
    await is_served(path)
    connector = aiohttp.UnixConnector(str(path))
    async with aiohttp.ClientSession(connector=connector) as session, session.get("http://hub/v1/status") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Content-Disposition"] == 'attachment; filename="events.txt"'
        assert await response.content.readline() == b"data: {}\n"
        response.close()
        async with asyncio.timeout(60):
            await closed.wait()
