"""Finds a hub among others: its LED blinks for some seconds, then shows again what it showed before.

Must never leave the LED in its own hands: however a request or this loop ends, it is given back.
"""

import asyncio
import contextlib
import logging
from http import HTTPStatus

from agent.foundation.signals import Signal
from agent.local.hardware import IDENTIFY_S_MAX, IDENTIFY_S_MIN, IdentifyReport, IdentifyRequest
from agent.local.routes import RequestRefused
from hal.errors import HalError
from hal.interface import Led

_log = logging.getLogger(__name__)

PERIOD_S = 0.25
"""On, and off: a blinking that no trigger of the kernel shows."""


class Identify:
    """The LED of one hub. Its loop is `run`."""

    def __init__(self, led: Led) -> None:
        """Touch nothing yet.

        Args:
            led: The LED.
        """
        self._led = led
        self._asked = Signal()
        self._blinks_left = 0

    async def begin(self, request: IdentifyRequest) -> IdentifyReport:
        """Blink for some time from now on.

        Raises:
            RequestRefused: The time is too short or too long.
            ActuatorFault: The LED does not follow; the message names the remedy.
        """
        if not IDENTIFY_S_MIN <= request.duration_s <= IDENTIFY_S_MAX:
            text = f"choose {IDENTIFY_S_MIN:g} to {IDENTIFY_S_MAX:g} s"
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "invalid", text)
        # Where it cannot work, the request is refused at once.
        await self._led.light(is_on=True)
        self._blinks_left = round(request.duration_s / (2 * PERIOD_S))
        self._asked.set()
        return IdentifyReport(self._led.name, request.duration_s)

    async def run(self) -> None:
        """Blink when asked to, until cancelled."""
        while True:
            await self._asked.wait()
            try:
                while self._blinks_left > 0:
                    self._blinks_left -= 1
                    await self._led.light(is_on=True)
                    await asyncio.sleep(PERIOD_S)
                    await self._led.light(is_on=False)
                    await asyncio.sleep(PERIOD_S)
            except HalError as error:
                self._blinks_left = 0
                _log.warning("the LED does not blink: %s", error)
            finally:
                with contextlib.suppress(HalError):
                    await self._led.release()
