"""A boiler on eBUS through ebusd's text port (TCP 8888): one command, one answer, one connection each.

Vaillant's boilers return to their own setting about 20 minutes after the last SetMode (ebusd-configuration#242). That
is the boiler's silence, not the hub's 60 s: docs/hardware.md says what else to wire.

A boiler that has lost its supply has forgotten the demand. No message of it shows that for certain: its flow setpoint
(FlowTempDesired) is limited by its own settings and follows within half an hour (ebusd#190). But where it alone is on
the bus, the bus loses its signal with it, and ebusd reports that.
"""

import asyncio
import contextlib
from enum import Enum
from urllib.parse import urlsplit

from hal.boilers.ebusd_messages import (
    ANSWER_BYTES_MAX,
    PORT,
    STATE_COMMAND,
    check_answer,
    has_signal,
    write_command,
)
from hal.errors import ActuatorFault

SILENCE_S = 1260.0
"""A boiler has returned to its own setting this long after the last demand: "about 20 minutes"."""

WATCH_S = 2.0
"""While the boiler is to heat, ebusd is asked so often whether the bus has its signal: without a message on the bus. A
loss that is shorter is not seen."""

ANSWER_S_MAX = 5.0
"""ebusd answers this at once."""


class _Signal(Enum):
    """What is known of the bus's signal since the last demand for heating."""

    UNKNOWN = 0
    SEEN = 1
    LOST = 2
    BACK = 3


class EbusdLink:
    """One boiler behind ebusd, implementing `hal.boilers.outputs.BoilerLink`."""

    def __init__(self, address: str, message: str) -> None:
        """Store where ebusd is ("socket://HOST:PORT"), and the message that sets the flow temperature."""
        self._address = address
        self._message = message
        self._signal = _Signal.UNKNOWN
        self._watching: asyncio.Task[None] | None = None

    @property
    def silence_s(self) -> float:
        """See `BoilerLink`."""
        return SILENCE_S

    @property
    def is_heating_enabled(self) -> bool | None:
        """See `BoilerLink`: not where the bus has lost its signal, from when it is back; else nothing shows it."""
        return False if self._signal is _Signal.BACK else None

    @property
    def name(self) -> str:
        """What and where it is."""
        return f"ebusd at {self._address}"

    async def send(self, flow_c: float | None) -> None:
        """See `BoilerLink`."""
        if flow_c is not None and self._signal is _Signal.LOST:
            text = "switch the boiler on, and check the bus's cable: the bus has lost its signal"
            raise ActuatorFault(f"{self.name}: {text}")
        check_answer(await self._ask(write_command(self._message, flow_c)), self.name)
        if flow_c is None:
            await self._end_watch()
        elif self._watching is None or self._signal is _Signal.BACK:
            await self._end_watch()
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def release(self) -> None:
        """See `BoilerLink`. The boiler knows no other end of an override than time: it must not heat meanwhile."""
        await self.send(None)

    async def close(self) -> None:
        """See `BoilerLink`."""
        await self._end_watch()

    async def _ask(self, command: str) -> str:
        url = urlsplit(self._address)
        reader, writer = await asyncio.open_connection(url.hostname, url.port or PORT, limit=ANSWER_BYTES_MAX)
        try:
            return await self._answer(reader, writer, command)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, command: str) -> str:
        writer.write(command.encode())
        await writer.drain()
        answer = b""
        try:
            while (line := await reader.readline()).strip() or not answer:
                answer += line
                if not line or len(answer) > ANSWER_BYTES_MAX:
                    raise ActuatorFault(f"{self.name} gives no answer; check that this is ebusd's port")
        except ValueError as error:
            raise ActuatorFault(f"{self.name} gives no answer; check that this is ebusd's port") from error
        return answer.decode(errors="replace")

    async def _watch(self) -> None:
        """Ask for the bus's signal until cancelled. A loss counts where the same ebusd had seen the signal before."""
        url = urlsplit(self._address)
        while True:
            with contextlib.suppress(OSError, ActuatorFault):
                reader, writer = await asyncio.open_connection(url.hostname, url.port or PORT, limit=ANSWER_BYTES_MAX)
                if self._signal is _Signal.SEEN:
                    self._signal = _Signal.UNKNOWN
                try:
                    while True:
                        async with asyncio.timeout(ANSWER_S_MAX):
                            answer = await self._answer(reader, writer, STATE_COMMAND)
                        self._signal = _after(self._signal, has_signal(answer))
                        await asyncio.sleep(WATCH_S)
                finally:
                    writer.close()
            await asyncio.sleep(WATCH_S)

    async def _end_watch(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        self._watching, self._signal = None, _Signal.UNKNOWN


def _after(before: _Signal, signal: bool | None) -> _Signal:
    """Return what is known after an answer of ebusd about the signal."""
    match before, signal:
        case _Signal.SEEN, False:
            return _Signal.LOST
        case _Signal.LOST, True:
            return _Signal.BACK
        case _Signal.UNKNOWN, True:
            return _Signal.SEEN
    return before
