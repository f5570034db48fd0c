"""Virtual time: an event loop whose clock jumps to the next timer, and a connector that stays in memory.

The loop is async-solipsism's; added here is the guard against a livelock, which in virtual time would hang for ever.
"""

import asyncio
import random
import selectors
from collections.abc import Callable
from typing import Any

import aiohttp
import async_solipsism
import async_solipsism.selector
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.tracing import Trace

from lab.simulation import memory_transport

TURNS_PER_SECOND_MAX = 100_000
"""Turns of the loop within one virtual second. A catch-up of 60 requests takes about 3,000."""


WIND_UP_S = 60.0
"""Virtual seconds that cancelled tasks get to finish."""


class Livelock(Exception):
    """The hub is busy without time passing."""


class _Selector(async_solipsism.selector.Selector):  # type: ignore[misc] # no type information
    """The same in a third of the time: asked at every turn of the loop, with a handful of sockets. Counts the turns."""

    _second = 0
    _turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        ready = []
        for key in self._fd_to_key.values():
            end = key.fd.socket
            events = key.events & selectors.EVENT_READ if end.read_ready() else 0
            if key.events & selectors.EVENT_WRITE and end.write_ready():
                events |= selectors.EVENT_WRITE
            if events:
                ready.append((key, events))
        self._turns += 1
        if self._turns > TURNS_PER_SECOND_MAX:
            raise Livelock(f"{TURNS_PER_SECOND_MAX} turns of the loop within virtual second {self._second}")
        if not ready and timeout != 0:
            self._let_time_pass(timeout)
        return ready

    def forgive_turns(self) -> None:
        """Count from 0 again."""
        self._turns = 0

    def _let_time_pass(self, timeout: float | None) -> None:
        if timeout is None or timeout >= asyncio.base_events.MAXIMUM_SELECT_TIMEOUT:  # type: ignore[attr-defined]
            raise async_solipsism.SleepForeverError("nothing will ever happen again")
        self.clock.advance(max(timeout, self.clock.resolution))
        second = int(self.clock.time())
        if second != self._second:
            self._second, self._turns = second, 0


class VirtualLoop(async_solipsism.EventLoop):  # type: ignore[misc] # no type information
    """An event loop in which sleeping costs nothing."""

    def __init__(self) -> None:
        super().__init__()
        plain: async_solipsism.selector.Selector = self._selector  # type: ignore[has-type] # made by the base class
        self._selector = _Selector(plain.clock)
        plain.close()

    def wind_up(self) -> None:
        """After a livelock: cancel all that runs and let it finish, so that nothing is left behind."""
        self._selector.forgive_turns()
        if tasks := asyncio.all_tasks(self):
            for task in tasks:
                task.cancel()
            self.run_until_complete(asyncio.wait(tasks, timeout=WIND_UP_S))


class MemoryConnector(aiohttp.BaseConnector):
    """Connects to a server on the same virtual loop; the network between them can be slow or cut."""

    def __init__(self, server: Callable[[], asyncio.Protocol], rng: random.Random, *, latency_s_max: float) -> None:
        """Start with the network whole.

        Args:
            server: Makes the server's end of a connection (`aiohttp.web.Server`).
            rng: For the latency of each connection.
            latency_s_max: The longest time that connecting takes.
        """
        super().__init__(keepalive_timeout=70.0)
        self._server = server
        self._rng = rng
        self._latency_s_max = latency_s_max
        self._transports: list[asyncio.Transport] = []
        self.is_cut = False

    def cut(self) -> None:
        """Cut the network: open connections break, new ones are refused until `is_cut` is taken back."""
        self.is_cut = True
        self.drop()

    def drop(self) -> None:
        """Break the open connections."""
        for transport in self._transports:
            transport.abort()
        self._transports.clear()

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> ResponseHandler:
        del traces, timeout
        await asyncio.sleep(self._rng.uniform(0.0, self._latency_s_max))
        if self.is_cut:
            raise aiohttp.ClientConnectionError(f"no route to {req.url.host}")
        protocol: ResponseHandler = self._factory()
        transport = memory_transport.connect(self._loop, protocol, self._server())
        self._transports = [known for known in self._transports if not known.is_closing()]
        self._transports.append(transport)
        return protocol
