"""The connections of the port: how many there may be, and who makes room when all are taken.

Must never let strangers keep out a person who comes later.
"""

import asyncio
from collections.abc import Callable
from typing import cast

CONNECTIONS_MAX = 256
"""Without TLS, on all listeners together; each takes 15 KiB."""
TLS_CONNECTIONS_MAX = 64
"""With TLS; each takes 300 KiB, most of it a buffer of asyncio (`sslproto.SSLProtocol.max_size`)."""
CROWDED = 2
CALM = 16
"""There was a crowd when half of the connections were taken, and it has gone when a sixteenth is."""
SOURCE_SHARE = 4
"""One address may have a quarter of the connections. A reverse proxy or ssh on the hub is one address."""


class ConnectionCount:
    """Counts open connections, in all and by source, and refuses those beyond the limits."""

    def __init__(self, connections_max: int) -> None:
        self._max = connections_max
        self._by_source: dict[str, int] = {}
        self.total = 0

    @property
    def is_full(self) -> bool:
        """Whether no connection is admitted any more."""
        return self.total >= self._max

    def has_share(self, source: str) -> bool:
        """Tell whether a source has as many connections as one may have."""
        return self._by_source.get(source, 0) >= self._max // SOURCE_SHARE

    def admit(self, source: str) -> bool:
        """Count a new connection and return `True`, or return `False` where there are too many."""
        if self.is_full or self.has_share(source):
            return False
        self._by_source[source] = self._by_source.get(source, 0) + 1
        self.total += 1
        return True

    def release(self, source: str) -> None:
        """Forget a connection that was admitted."""
        self.total -= 1
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]


class CountedConnection(asyncio.Protocol):
    """Passes everything to the HTTP server's protocol, and reports the end of the connection once.

    Attributes:
        task: Opens the connection; cancelled where it is aborted before that.
    """

    def __init__(self, inner: asyncio.Protocol, on_end: Callable[[], None]) -> None:
        self._inner = inner
        self._on_end = on_end
        self._transport: asyncio.Transport | None = None
        self._is_ended = False
        self.task: asyncio.Task[None] | None = None

    @property
    def is_made(self) -> bool:
        """Whether the connection has been open, after the handshake of TLS."""
        return self._transport is not None

    def abort(self) -> None:
        """Break the connection. It no longer counts from now on."""
        self._end()
        if self._transport is not None:
            self._transport.abort()
        elif self.task is not None:
            self.task.cancel()

    def _end(self) -> None:
        if not self._is_ended:
            self._is_ended = True
            self._on_end()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """See `asyncio.Protocol`."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._end()
        self._inner.connection_lost(exc)


class Crowd:
    """All connections of one kind of listener, and those among them on which nobody has signed in."""

    def __init__(self, connections_max: int, on_gone: Callable[[], None] = lambda: None) -> None:
        """Prepare.

        Args:
            connections_max: How many there may be.
            on_gone: Called when there were many connections and few are left.
        """
        self._max = connections_max
        self._on_gone = on_gone
        self._is_crowded = False
        self._count = ConnectionCount(connections_max)
        self._strangers: dict[asyncio.BaseProtocol, CountedConnection] = {}
        """The oldest first, by the HTTP server's protocol."""

    @property
    def total(self) -> int:
        """The number of connections."""
        return self._count.total

    def admit(self, source: str, make_inner: Callable[[], asyncio.Protocol]) -> CountedConnection | None:
        """Return a new connection, or `None` where its source has too many, or all are taken by people.

        Args:
            source: Where it comes from.
            make_inner: Makes the HTTP server's protocol.
        """
        if self._count.has_share(source):
            return None
        if self._count.is_full and self._strangers:
            self._strangers.pop(next(iter(self._strangers))).abort()
        if not self._count.admit(source):
            return None
        inner = make_inner()

        def end() -> None:
            self._strangers.pop(inner, None)
            self._count.release(source)
            if self._is_crowded and self.total <= self._max // CALM:
                self._is_crowded = False
                self._on_gone()

        self._is_crowded = self._is_crowded or self.total >= self._max // CROWDED
        made = self._strangers[inner] = CountedConnection(inner, end)
        return made

    def know(self, inner: asyncio.BaseProtocol) -> None:
        """Keep a connection when all are taken: somebody has signed in on it."""
        self._strangers.pop(inner, None)
