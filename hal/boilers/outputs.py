"""A boiler behind a gateway as a heat source: sends the flow temperature when it changes, and renews it.

Safe by silence: nothing is ever sent without a demand. A control loop that stops, a process that dies and a link that
breaks are the same to the gateway: it hears nothing more, and hands the boiler back. Never waits for the link: a demand
that cannot be sent is a fault of the next one.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

from hal.errors import ActuatorFault
from hal.interface import HeatSourceDemand, HvacAction, HvacDemand, ZoneOutput

RENEW_S = 25.0
"""A demand that has not changed is sent again by the first one after this time: each 30 s, as the control decides every
10 s. OTGW forgets a setpoint a little more than a minute after it was sent."""

SEND_S_MAX = 8.0
"""Sending takes at most this long, less than the time between two decisions."""

CLOSE_S_MAX = 2.0
"""The end of the agent waits this long for the boiler to be handed back."""

FLOW_C_MIN = 20.0
"""No boiler takes a lower setpoint for heating."""


class BoilerLink(Protocol):
    """The way to a boiler."""

    @property
    def name(self) -> str:
        """What and where it is, for people."""
        ...

    async def send(self, flow_c: float | None) -> None:
        """Demand a flow temperature, or no heating with `None`. Domestic hot water stays with the boiler.

        Raises:
            ActuatorFault: The gateway or the boiler does not follow; the message names the remedy.
            OSError: The link is broken.
        """
        ...

    async def release(self) -> None:
        """Hand the boiler back to its own control; raises as `send`."""
        ...

    async def close(self) -> None:
        """Close the link."""
        ...


def flow_of(heat_source: HeatSourceDemand | None, flow_c_max: float) -> float | None:
    """Return the flow temperature to send, within its bounds, to a tenth; `None` for no heating."""
    if heat_source is None or heat_source.action is not HvacAction.HEAT:
        return None
    wanted_c = flow_c_max if heat_source.flow_c is None else heat_source.flow_c
    return round(min(flow_c_max, max(FLOW_C_MIN, wanted_c)), 1)


class BoilerOutputs:
    """The boiler, implementing `hal.interface.HvacOutputs` without zones: the valves are others'."""

    def __init__(self, link: BoilerLink, *, flow_c_max: float, monotonic_ms: Callable[[], int]) -> None:
        """Store the way to the boiler; it is opened with the first demand.

        Args:
            link: The way.
            flow_c_max: No higher flow temperature is ever sent.
            monotonic_ms: This boot's clock.
        """
        self._link = link
        self._flow_c_max = flow_c_max
        self._monotonic_ms = monotonic_ms
        self._task: asyncio.Task[None] | None = None
        self._sent: tuple[int, float | None] | None = None
        self._problem = ""

    @property
    def zones(self) -> Sequence[ZoneOutput]:
        """None."""
        return ()

    async def apply(self, demand: HvacDemand) -> None:
        """Have the demand on the heat source sent if it is new or due again.

        Raises:
            ActuatorFault: What was sent last did not arrive.
        """
        wanted_c = flow_of(demand.heat_source, self._flow_c_max)
        if (self._task is None or self._task.done()) and self._is_due(wanted_c):
            self._task = asyncio.get_running_loop().create_task(self._send(wanted_c))
        if self._problem:
            raise ActuatorFault(self._problem)

    def _is_due(self, wanted_c: float | None) -> bool:
        if self._sent is None:
            return True
        at_ms, flow_c = self._sent
        return wanted_c != flow_c or self._monotonic_ms() - at_ms >= RENEW_S * 1000

    async def _send(self, wanted_c: float | None) -> None:
        self._sent, at_ms = None, self._monotonic_ms()
        try:
            async with asyncio.timeout(SEND_S_MAX):
                await self._link.send(wanted_c)
        except TimeoutError:
            # Before OSError, its base class.
            self._problem = f"{self._link.name}: no response within {SEND_S_MAX:.0f} s; check its supply and cable"
        except ActuatorFault as error:
            self._problem = str(error)
        except OSError as error:
            text = error.strerror or type(error).__name__
            self._problem = f"{self._link.name}: {text}; check the gateway's supply, cable and address (boiler.address)"
        else:
            self._sent, self._problem = (at_ms, wanted_c), ""

    async def close(self) -> None:
        """Hand the boiler back to its own control. If that does not arrive, silence does the same, later."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        with contextlib.suppress(ActuatorFault, OSError):
            async with asyncio.timeout(CLOSE_S_MAX):
                await self._link.release()
        await self._link.close()
