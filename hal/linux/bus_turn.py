"""Reads several channels of one bus with one hand-over to its thread, as long as they answer quickly.

A hand-over to a thread and back costs more than reading an attribute of the kernel. Each channel keeps its own error
and its own time-out, and what was read before a channel that is slow or hangs is not kept waiting by it. Buses that
answer quickly are read one after the other: threads that read side by side fight for the interpreter, which doubles the
processor time. A slow one keeps the others waiting for a moment only.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from concurrent.futures import Future

from hal.channels import Channel, Outcome
from hal.errors import HalError, SensorUnavailable, driver_errors_translated
from hal.linux.bus_threads import BusThreads

GO_S = 0.05
"""How long the thread goes on to the next channel by itself. Control may be late by 100 ms at most, so values that were
read are given after half of that, and others who use the bus get in between."""


class BusTurn:
    """The channels of one bus, each read once and in order; implements `hal.channels.Turn`."""

    def __init__(self, channels: Sequence[Channel], threads: BusThreads, *, timeout_s: float | None) -> None:
        """Read nothing yet.

        Args:
            channels: Of one bus.
            threads: Those of the buses.
            timeout_s: How long one channel may take; `None` for as long as the caller waits.
        """
        self._left = channels
        self._threads = threads
        self._timeout_s = timeout_s
        self._go: _Go | None = None

    async def advance(self) -> Sequence[Outcome]:
        """See `hal.channels.Turn`. A caller that gives up has the thread stop after the channel that it reads now.

        A channel that has not answered in time is given up: the bus is not read again before that read ends, and builds
        up no queue.
        """
        while self._left:
            if self._go is None:
                if hanging := self._threads.hanging(self._left[0].bus):
                    left, self._left = self._left, ()
                    return [_bus_hangs(channel, hanging) for channel in left]
                try:
                    self._go = await self._start()
                except SensorUnavailable as error:
                    left, self._left = self._left, ()
                    return [SensorUnavailable(f"{channel.name}: {error}") for channel in left]
            outcomes = await self._wait(self._go)
            self._left = self._left[len(outcomes) :]
            if outcomes:
                return outcomes
        return ()

    async def _start(self) -> "_Go":
        """Begin when the bus that began before has been read, at the latest after `GO_S`."""
        end = asyncio.get_running_loop().create_future()
        before = self._threads.take_place(end)
        try:
            if before is not None and not before.done():
                await asyncio.wait((before,), timeout=GO_S)
            return _Go(self._left, self._threads, end)
        except BaseException:
            end.cancel()
            raise

    async def _wait(self, go: "_Go") -> Sequence[Outcome]:
        """Return what a go has read since the last time; nothing where it had ended then."""
        try:
            await go.wait(GO_S)
            if not (go.is_ended or go.has_outcomes):
                await go.wait(None if self._timeout_s is None else self._timeout_s - GO_S)
        except asyncio.CancelledError:
            self._give_up(go)
            raise
        if not (go.is_ended or go.has_outcomes):
            self._give_up(go)
            return [SensorUnavailable(f"no answer within {self._timeout_s:.0f} s")]
        if go.is_ended:
            self._go = None
        return go.take()

    def _give_up(self, go: "_Go") -> None:
        go.is_given_up = True
        self._go = None
        self._threads.abandon(self._left[0].bus, f"an earlier read of {self._left[0].name}", go.work)


class _Go:
    """One piece of work on the thread of a bus: reads channels until `GO_S` has passed.

    Attributes:
        is_given_up: Set by the loop: no further channel is read.
        is_ended: Set on the loop.
        work: On the thread.
    """

    def __init__(self, channels: Sequence[Channel], threads: BusThreads, end: asyncio.Future[None]) -> None:
        self._channels = channels
        self._loop = asyncio.get_running_loop()
        self._end = end
        self._outcomes: list[Outcome] = []
        self._taken = 0
        self.is_given_up = False
        self.work: Future[None] = threads.submit(channels[0].bus, self._read)
        self.work.add_done_callback(self._report_end)

    @property
    def is_ended(self) -> bool:
        return self._end.done()

    @property
    def has_outcomes(self) -> bool:
        return len(self._outcomes) > self._taken

    def take(self) -> Sequence[Outcome]:
        """Return what was read since the last time. The thread may be adding to it."""
        outcomes = self._outcomes[self._taken :]
        self._taken += len(outcomes)
        return outcomes

    async def wait(self, timeout_s: float | None) -> None:
        """Wait for the end, at most that long."""
        await asyncio.wait((self._end,), timeout=timeout_s)

    def _read(self) -> None:
        """Read, on the thread."""
        until_s = self._loop.time() + GO_S
        for channel in self._channels:
            self._outcomes.append(_outcome(channel))
            if self.is_given_up or self._loop.time() >= until_s:
                break

    def _report_end(self, _: Future[None]) -> None:
        """Report to the loop, unless it is closed, that the work has ended, or will not begin as the threads end."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end.set_result, None)


def _outcome(channel: Channel) -> Outcome:
    # Errors are returned: an exception of a read whose caller gave up would be logged as never retrieved. A defect of a
    # driver is the channel's own, too.
    try:
        with driver_errors_translated(channel.name):
            return channel.read()
    except Exception as error:  # noqa: BLE001 - the caller raises it
        return error


def _bus_hangs(channel: Channel, hanging: str) -> HalError:
    where = f"the bus {channel.bus}" if channel.bus else "a chip of this machine"
    return SensorUnavailable(
        f"{channel.name}: check the wiring, then cut the power of the hub: {where} hangs, {hanging} has not returned"
    )
