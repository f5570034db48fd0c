"""Requests handed from the hub's HTTP session to the reference cloud's application, and answers back, as objects.

Replaces what lies between `aiohttp.ClientSession.request` and the handler of aiohttp's server: requests and answers are
neither written nor parsed. The hub's client, aiohttp's pool of connections with their latency, cuts and resets, its
total timeout, its server with its errors, and the application with its faults are the same as with bytes, and so is
the order of events. Anything but a whole answer to a request of the usual kind goes as bytes on the same connection:
downloads, answers in pieces or cut in the middle, large or empty ones, and those that end the connection.

Must never answer by itself, and must never change what a request or an answer says.
"""

import asyncio
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Self

import aiohttp
from aiohttp import hdrs, web
from aiohttp.client_exceptions import ClientConnectionResetError
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.helpers import BaseTimerContext, TimeoutHandle
from aiohttp.http import HttpVersion11, RawRequestMessage, RawResponseMessage, StreamWriter
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from lab.simulation.virtual_loop import MemoryConnector, MemoryTransport

WHOLE_BYTES_MAX = 32 * 1024
"""A larger body goes as bytes, in whose reader it may have to wait."""

READER_BYTES = 64 * 1024
GZIP_WINDOW_BITS = 31


def exchange_requests(session: aiohttp.ClientSession, connector: MemoryConnector) -> None:
    """Let a session hand its requests over as objects.

    Args:
        session: Made by `agent.cloud.session.new_session` with this connector.
        connector: Leads to a server of aiohttp (`web.Server`).
    """
    send_bytes = session._request  # noqa: SLF001 - what `session.request` awaits, and the only way in
    exchange = _Exchange(session, connector, send_bytes)
    session._request = exchange.request  # type: ignore[assignment, method-assign] # noqa: SLF001


class _Exchange:
    """Requests of one session."""

    def __init__(
        self, session: aiohttp.ClientSession, connector: MemoryConnector, send_bytes: Callable[..., Any]
    ) -> None:
        self._session = session
        self._connector = connector
        self._send_bytes = send_bytes
        self._loop = asyncio.get_running_loop()
        self._templates: dict[tuple[str, URL], aiohttp.ClientRequest] = {}

    async def request(
        self,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
        data: bytes | None = None,
        **options: object,
    ) -> Any:  # noqa: ANN401 - a response
        """Send one request as `aiohttp.ClientSession.request` does, and return its response."""
        inflated = _inflated(data, headers)
        if timeout.total is None or inflated is None or options != {"allow_redirects": False}:
            return await self._send_bytes(method, url, data=data, headers=headers, timeout=timeout, **options)
        if self._session.closed:
            raise RuntimeError("Session is closed")
        watch = TimeoutHandle(self._loop, timeout.total, ceil_threshold=timeout.ceil_threshold)
        handle = watch.start()
        try:
            with watch.timer() as timer:
                template = self._template(method, url)
                sent = self._headers(template, headers, data)
                connection = await self._connect(template, timeout)
                try:
                    message, body = await _ask(connection, _message(method, url, sent), inflated, timer, self._loop)
                except BaseException:
                    connection.close()
                    raise
        except BaseException:
            watch.close()
            if handle:
                handle.cancel()
            raise
        if handle:
            connection.add_callback(handle.cancel)
        request_info = aiohttp.RequestInfo(url, method, CIMultiDictProxy(sent), url)
        return _Response(connection, message, body, request_info)

    async def _connect(self, template: aiohttp.ClientRequest, timeout: aiohttp.ClientTimeout) -> Connection:  # noqa: ASYNC109
        try:
            return await self._connector.connect(template, traces=[], timeout=timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"Connection timeout to host {template.url}") from error

    def _template(self, method: str, url: URL) -> aiohttp.ClientRequest:
        """Return a request of aiohttp to the same address: it names the pool, and the headers that aiohttp adds."""
        known = self._templates.get((method, url))
        if known is None:
            known = self._templates[method, url] = aiohttp.ClientRequest(
                method, url, loop=self._loop, session=self._session, skip_auto_headers={"Accept", "Accept-Encoding"}
            )
        return known

    def _headers(
        self, template: aiohttp.ClientRequest, given: Mapping[str, str], data: bytes | None
    ) -> CIMultiDict[str]:
        sent = CIMultiDict({hdrs.HOST: template.headers[hdrs.HOST]})
        sent.update(self._session.headers)
        sent.update(given)
        if data is not None:
            sent[hdrs.CONTENT_LENGTH] = str(len(data))
        return sent


def _inflated(data: bytes | None, headers: Mapping[str, str]) -> bytes | None:
    """Return a body as a server's parser inflates it; `None` where it cannot be."""
    if hdrs.CONTENT_ENCODING not in headers or data is None:
        return data or b""
    try:
        return zlib.decompress(data, GZIP_WINDOW_BITS)
    except zlib.error:
        return None


def _message(method: str, url: URL, headers: CIMultiDict[str]) -> RawRequestMessage:
    return RawRequestMessage(
        method=method, path=url.raw_path_qs, version=HttpVersion11, headers=CIMultiDictProxy(headers), raw_headers=(),
        should_close=False, compression=None, upgrade=False, chunked=False, url=url.relative(),
    )  # fmt: skip


async def _ask(
    connection: Connection,
    message: RawRequestMessage,
    body: bytes,
    timer: BaseTimerContext,
    loop: asyncio.AbstractEventLoop,
) -> tuple[RawResponseMessage, StreamReader]:
    """Hand a request over; return the head and the body of its answer.

    Raises:
        ClientError, TimeoutError: As aiohttp's client.
    """
    client = connection.protocol
    near = connection.transport
    if client is None or not isinstance(near, MemoryTransport) or near.is_closing():
        raise ClientConnectionResetError("Cannot write to closing transport")
    # Ends the read timeout of a download before, on the same connection, as aiohttp does when it sends.
    client.read_timeout = None
    client.start_timeout()
    if body:
        await asyncio.sleep(0)  # aiohttp writes a body in a task of its own
    loop.call_soon(_hand_over, near, client, message, body, timer, loop)
    return await client.read()


def _hand_over(
    near: MemoryTransport,
    client: ResponseHandler,
    message: RawRequestMessage,
    body: bytes,
    timer: BaseTimerContext,
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Give the request to aiohttp's server, as if its parser had found it."""
    server = near.peer.get_protocol()
    if near.peer.is_closing() or not isinstance(server, web.RequestHandler) or server._request_factory is None:  # noqa: SLF001
        return
    payload = EMPTY_PAYLOAD
    if body:
        payload = StreamReader(server, READER_BYTES, loop=loop)
        payload.feed_data(body)
        payload.feed_eof()
    make_request = server._request_factory  # noqa: SLF001 - the writer cannot be chosen otherwise

    def make(message: Any, payload: Any, server: Any, writer: Any, task: Any) -> web.BaseRequest:  # noqa: ANN401
        del writer
        server._request_factory = make_request  # noqa: SLF001
        return make_request(message, payload, server, _AnswerWriter(server, loop, near, client, timer), task)

    server._request_factory = make  # noqa: SLF001
    server._messages.append((message, payload))  # noqa: SLF001
    waiter = server._waiter  # noqa: SLF001
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class _AnswerWriter(StreamWriter):
    """Hands a whole answer over; writes any other as aiohttp's own writer, to a client that parses it."""

    def __init__(
        self,
        server: web.RequestHandler,
        loop: asyncio.AbstractEventLoop,
        near: MemoryTransport,
        client: ResponseHandler,
        timer: BaseTimerContext,
    ) -> None:
        super().__init__(server, loop)
        self._near = near
        self._client = client
        self._timer = timer
        self._head: RawResponseMessage | None = None

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        """Keep the head until it is known whether the answer is whole."""
        await super().write_headers(status_line, headers)
        _, code, reason = status_line.split(" ", 2)
        self._head = RawResponseMessage(
            HttpVersion11, int(code), reason, CIMultiDictProxy(headers),
            tuple((name.encode(), value.encode()) for name, value in headers.items()),
            should_close=False, compression=None, upgrade=False, chunked=False,
        )  # fmt: skip

    def send_headers(self) -> None:
        """Begin an answer in pieces."""
        self._parse()
        super().send_headers()

    async def write_eof(self, chunk: bytes = b"") -> None:
        """End the answer; where it has not begun, it is whole."""
        if self._head is None or not self._is_whole(self._head, chunk):
            self._parse()
            await super().write_eof(chunk)
            return
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ClientConnectionResetError("Cannot write to closing transport")
        self._headers_buf = None
        self._eof = True
        self.loop.call_soon(_receive, self._near, self._client, self._head, bytes(chunk), self._timer)

    def _is_whole(self, head: RawResponseMessage, chunk: bytes) -> bool:
        special = (hdrs.CONNECTION, hdrs.TRANSFER_ENCODING, hdrs.CONTENT_ENCODING)
        return 0 < len(chunk) <= WHOLE_BYTES_MAX and not any(name in head.headers for name in special)

    def _parse(self) -> None:
        """Let the client parse what comes."""
        if self._head is not None:
            self._head = None
            self._client.set_response_params(timer=self._timer, read_until_eof=True, read_bufsize=READER_BYTES)


def _receive(
    near: MemoryTransport, client: ResponseHandler, head: RawResponseMessage, body: bytes, timer: BaseTimerContext
) -> None:
    """Give the answer to aiohttp's client, as if its parser had found it."""
    if near.is_closing():
        return
    payload = StreamReader(client, READER_BYTES, timer=timer, loop=asyncio.get_running_loop())
    payload.feed_data(body)
    payload.feed_eof()
    client.feed_data((head, payload), 0)


class _Response:
    """What the hub uses of an `aiohttp.ClientResponse`."""

    def __init__(
        self,
        connection: Connection,
        head: RawResponseMessage,
        content: StreamReader,
        request_info: aiohttp.RequestInfo,
    ) -> None:
        self._connection = connection
        self.status = head.code
        self.reason = head.reason
        self.headers = head.headers
        self.raw_headers = head.raw_headers
        self.content = content
        self.request_info = request_info
        content.on_eof(connection.release)

    def close(self) -> None:
        """Break the connection, unless the body has come."""
        self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._connection.release()
