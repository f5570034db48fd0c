"""Virtual time: an event loop whose clock jumps to the next timer, and connections that stay in memory.

The loop is async-solipsism's, with a guard against a livelock, which would never end in virtual time. A connection in
memory behaves as TCP does for asyncio's protocols (documentation of asyncio, "Transports and Protocols"): order is
kept, and closing one end lets the other read the end of the stream. No sockets, no system calls.
"""

import asyncio
import contextvars
import heapq
import random
import selectors
from collections import deque
from collections.abc import Callable
from typing import Any

import aiohttp
import async_solipsism
import async_solipsism.selector
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.tracing import Trace

NAMES = {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}


class MemoryTransport(asyncio.Transport):
    """One end of a connection, made by `connect`. Its methods are those of `asyncio.Transport`.

    Attributes:
        peer: The other end.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol) -> None:
        super().__init__(NAMES)
        self._loop = loop
        self._protocol = protocol
        self.peer: MemoryTransport
        self._is_closing = False
        self._is_paused = False
        self._held: list[bytes] = []

    def join(self, peer: "MemoryTransport") -> None:
        """Start: from now on ``peer`` reads what this end writes."""
        self.peer = peer
        self._protocol.connection_made(self)

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        """Send; data sent after the close is dropped."""
        if not self._is_closing:
            self._loop.call_soon(self.peer.take, bytes(data))

    def take(self, data: bytes) -> None:
        """Pass received data to the protocol."""
        if self._is_paused:
            self._held.append(data)
        elif not self._is_closing:
            self._protocol.data_received(data)

    def take_end(self) -> None:
        """Signal the end of the stream to the protocol, and close this end as well."""
        if self._held:
            self._held.append(b"")
        elif not self._is_closing:
            self._protocol.eof_received()
            self.close()

    def pause_reading(self) -> None:
        """Buffer received data."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Pass on buffered and received data."""
        if self._is_paused:
            self._is_paused = False
            held, self._held = self._held, []
            for data in held:
                self._loop.call_soon(*((self.take, data) if data else (self.take_end,)))

    def get_protocol(self) -> asyncio.Protocol:
        """Return the protocol of this end."""
        return self._protocol

    def is_reading(self) -> bool:
        """Tell whether received data is passed on."""
        return not self._is_paused and not self._is_closing

    def is_closing(self) -> bool:
        """Tell whether this end is closed."""
        return self._is_closing

    def close(self) -> None:
        """Close both ends, after the other has read everything."""
        if not self._is_closing:
            self._is_closing = True
            self._loop.call_soon(self.peer.take_end)
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        """Close at once. Data that was written is already on its way."""
        self.close()

    def get_write_buffer_size(self) -> int:
        """Return 0: nothing is buffered."""
        return 0

    def can_write_eof(self) -> bool:
        """Return false: one end cannot be closed alone."""
        return False


def connect(loop: asyncio.AbstractEventLoop, client: asyncio.Protocol, server: asyncio.Protocol) -> MemoryTransport:
    """Connect two protocols and return the client's end."""
    near, far = MemoryTransport(loop, client), MemoryTransport(loop, server)
    far.join(near)
    near.join(far)
    return near


TURNS_PER_SECOND_MAX = 100_000
"""Turns of the loop within one virtual second. A catch-up of 60 requests takes about 3,000."""


TIMERS_CLEANED_MIN = 100
CLEANED_SHARE = 0.5
"""asyncio removes cancelled timers from a queue longer than this, once they are more than this share of it."""


WIND_UP_S = 60.0
"""How long cancelled tasks may take to finish, in virtual seconds."""


class Livelock(Exception):
    """The hub is busy without any time passing."""


class _Selector(async_solipsism.selector.Selector):  # type: ignore[misc] # no type information
    """A selector that polls the few sockets in a third of the time, and counts the turns of the loop."""

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
        self.count_turn()
        if not ready and timeout != 0:
            self.let_time_pass(timeout)
        return ready

    @property
    def has_sockets(self) -> bool:
        """Whether there are more than the loop's own, through which nothing comes: virtual time has no threads."""
        return len(self._fd_to_key) > 1

    def count_turn(self) -> None:
        """Count one turn of the loop.

        Raises:
            Livelock: There were too many within one virtual second.
        """
        self._turns += 1
        if self._turns > TURNS_PER_SECOND_MAX:
            raise Livelock(f"{TURNS_PER_SECOND_MAX} turns of the loop within virtual second {self._second}")

    def forgive_turns(self) -> None:
        """Count from 0 again."""
        self._turns = 0

    def let_time_pass(self, timeout: float | None) -> None:
        """Let the clock jump.

        Raises:
            SleepForeverError: There is no timer to jump to.
        """
        if timeout is None or timeout >= asyncio.base_events.MAXIMUM_SELECT_TIMEOUT:  # type: ignore[attr-defined]
            raise async_solipsism.SleepForeverError("nothing will ever happen again")
        self.clock.advance(max(timeout, self.clock.resolution))
        second = int(self.clock.time())
        if second != self._second:
            self._second, self._turns = second, 0


class _Timer(asyncio.TimerHandle):
    """asyncio's timer; cancelling it does the same in one call instead of four."""

    __slots__ = ()

    _scheduled: bool
    _cancelled: bool

    def cancel(self) -> None:
        """Cancel."""
        if not self._cancelled:
            if self._scheduled:
                self._loop._timer_cancelled_count += 1  # type: ignore[attr-defined] # noqa: SLF001
            self._cancelled = True
            self._callback = self._args = None  # type: ignore[assignment] # as asyncio does


def _fill(
    handle: Any,  # noqa: ANN401 - private attributes
    loop: asyncio.AbstractEventLoop,
    callback: Callable[..., object],
    args: tuple[object, ...],
    context: contextvars.Context | None,
) -> None:
    """Set what the constructor of `asyncio.Handle` sets."""
    handle._context = contextvars.copy_context() if context is None else context  # noqa: SLF001
    handle._loop = loop  # noqa: SLF001
    handle._callback = callback  # noqa: SLF001
    handle._args = args  # noqa: SLF001
    handle._cancelled = False  # noqa: SLF001
    handle._repr = None  # noqa: SLF001
    handle._source_traceback = None  # noqa: SLF001


class VirtualLoop(async_solipsism.EventLoop):  # type: ignore[misc] # no type information
    """An event loop in which sleeping costs nothing.

    Its callbacks run at the instants, and in the order, of asyncio's own loop. What is cheaper: no sockets are polled
    where there are none, handles are made without a look at the debug mode (there are no source tracebacks), and the
    queue of timers holds pairs of instant and timer, which are compared without a call.
    """

    _selector: _Selector
    _ready: "deque[asyncio.Handle]"
    _scheduled: list[tuple[float, _Timer]]
    _stopping: bool
    _closed: bool
    _timer_cancelled_count: int

    def __init__(self) -> None:
        super().__init__()
        plain: async_solipsism.selector.Selector = self._selector
        self._selector = _Selector(plain.clock)
        plain.close()
        self.time = plain.clock.time  # one call fewer, two hundred thousand times a virtual hour

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Do what `asyncio.BaseEventLoop.call_soon` does."""
        if self._closed:
            self._check_closed()
        handle = asyncio.Handle.__new__(asyncio.Handle)
        _fill(handle, self, callback, args, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Do what `asyncio.BaseEventLoop.call_later` does."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Do what `asyncio.BaseEventLoop.call_at` does."""
        if self._closed:
            self._check_closed()
        timer = _Timer.__new__(_Timer)
        _fill(timer, self, callback, args, context)
        timer._when = when  # type: ignore[attr-defined] # noqa: SLF001
        timer._scheduled = True  # noqa: SLF001
        heapq.heappush(self._scheduled, (when, timer))
        return timer

    def _run_once(self) -> None:
        """Do what `asyncio.BaseEventLoop._run_once` does, in the same order, and poll sockets only if there are any.

        A pair of instant and timer compares as two timers do: by the instant, and neither is less where it is the same.
        So the queue has asyncio's order, ties included.
        """
        selector, ready, scheduled = self._selector, self._ready, self._scheduled
        count = len(scheduled)
        if count > TIMERS_CLEANED_MIN and self._timer_cancelled_count / count > CLEANED_SHARE:
            scheduled = self._remove_cancelled()
        while scheduled and scheduled[0][1]._cancelled:  # noqa: SLF001
            self._timer_cancelled_count -= 1
            heapq.heappop(scheduled)[1]._scheduled = False  # noqa: SLF001
        is_idle = not ready and not self._stopping
        if selector.has_sockets:
            timeout = self._wait_s(scheduled) if is_idle else 0.0
            self._process_events(selector.select(timeout))
        else:
            selector.count_turn()
            if is_idle:
                selector.let_time_pass(self._wait_s(scheduled))
        end = self.time() + self._clock_resolution
        while scheduled and scheduled[0][0] < end:
            timer = heapq.heappop(scheduled)[1]
            timer._scheduled = False  # noqa: SLF001
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:  # noqa: SLF001
                handle._run()  # noqa: SLF001

    def _wait_s(self, scheduled: list[tuple[float, _Timer]]) -> float | None:
        return max(0.0, scheduled[0][0] - self.time()) if scheduled else None

    def _remove_cancelled(self) -> list[tuple[float, _Timer]]:
        kept = []
        for pair in self._scheduled:
            if pair[1]._cancelled:  # noqa: SLF001
                pair[1]._scheduled = False  # noqa: SLF001
            else:
                kept.append(pair)
        heapq.heapify(kept)
        self._scheduled = kept
        self._timer_cancelled_count = 0
        return kept

    def wind_up(self) -> None:
        """Before the end, as after a livelock: cancel all tasks and let them finish, so that nothing is left behind."""
        self._selector.forgive_turns()
        if tasks := asyncio.all_tasks(self):
            for task in tasks:
                task.cancel()
            ended, _ = self.run_until_complete(asyncio.wait(tasks, timeout=WIND_UP_S))
            for task in ended:
                if not task.cancelled():
                    task.exception()  # how they end is of no interest any more: nobody is to log it


class MemoryConnector(aiohttp.BaseConnector):
    """Connects to a server on the same virtual loop; the network between them can be slow or cut."""

    def __init__(self, server: Callable[[], asyncio.Protocol], rng: random.Random, *, latency_s_max: float) -> None:
        """Start with the network up.

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
        """Cut the network: open connections break, new ones are refused until `is_cut` is false again."""
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
        transport = connect(self._loop, protocol, self._server())
        self._transports = [known for known in self._transports if not known.is_closing()]
        self._transports.append(transport)
        return protocol
