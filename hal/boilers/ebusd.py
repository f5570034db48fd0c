"""A boiler on eBUS through ebusd's text port (TCP 8888): one command, one answer, one connection each.

Vaillant's boilers return to their own setting about 20 minutes after the last SetMode (ebusd-configuration#242). That
is the boiler's silence, not the hub's 60 s: docs/hardware.md says what else to wire.
"""

import asyncio
from urllib.parse import urlsplit

from hal.boilers.ebusd_messages import ANSWER_BYTES_MAX, PORT, check_answer, write_command
from hal.errors import ActuatorFault

SILENCE_S = 1260.0
"""A boiler has returned to its own setting this long after the last demand: "about 20 minutes"."""


class EbusdLink:
    """One boiler behind ebusd, implementing `hal.boilers.outputs.BoilerLink`."""

    def __init__(self, address: str, message: str) -> None:
        """Store where ebusd is ("socket://HOST:PORT"), and the message that sets the flow temperature."""
        self._address = address
        self._message = message

    @property
    def silence_s(self) -> float:
        """See `BoilerLink`."""
        return SILENCE_S

    @property
    def is_heating_enabled(self) -> bool | None:
        """See `BoilerLink`: ebusd passes on no message of others."""
        return None

    @property
    def name(self) -> str:
        """What and where it is."""
        return f"ebusd at {self._address}"

    async def send(self, flow_c: float | None) -> None:
        """See `BoilerLink`."""
        url = urlsplit(self._address)
        reader, writer = await asyncio.open_connection(url.hostname, url.port or PORT, limit=ANSWER_BYTES_MAX)
        try:
            writer.write(write_command(self._message, flow_c).encode())
            await writer.drain()
            answer = b""
            while (line := await reader.readline()).strip() or not answer:
                answer += line
                if not line or len(answer) > ANSWER_BYTES_MAX:
                    raise ActuatorFault(f"{self.name} gives no answer; check that this is ebusd's port")
        except ValueError as error:
            raise ActuatorFault(f"{self.name} gives no answer; check that this is ebusd's port") from error
        finally:
            writer.close()
        check_answer(answer.decode(errors="replace"), self.name)

    async def release(self) -> None:
        """See `BoilerLink`. The boiler knows no other end of an override than time: it must not heat meanwhile."""
        await self.send(None)

    async def close(self) -> None:
        """See `BoilerLink`. There is nothing to close."""
