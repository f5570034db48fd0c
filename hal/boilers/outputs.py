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
from hal.output_rest import OutputDemand, OutputRecord, rest_left_s, with_demand, with_state

RENEW_S = 25.0
"""A demand that has not changed is sent again by the first one after this time: each 30 s, as the control decides every
10 s. OTGW forgets a setpoint a little more than a minute after it was sent."""

SEND_S_MAX = 8.0
"""Sending takes at most this long, less than the time between two decisions."""

CLOSE_S_MAX = 2.0
"""The end of the agent waits this long for the boiler to be handed back."""

SETTLED_S = 3.0
"""A message to the boiler may have been under way when a demand was sent; it has arrived by then."""

FLOW_C_MIN = 20.0
"""No boiler takes a lower setpoint for heating."""


class BoilerLink(Protocol):
    """The way to a boiler."""

    @property
    def name(self) -> str:
        """What and where it is, for people."""
        ...

    @property
    def silence_s(self) -> float:
        """The boiler no longer heats by a demand that was sent so long ago."""
        ...

    @property
    def is_heating_enabled(self) -> bool | None:
        """Whether the boiler may heat, by the last message to it that was seen; `None` where none shows that."""
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

    def __init__(
        self, link: BoilerLink, *, flow_c_max: float, monotonic_ms: Callable[[], int], rest_s: float = 0.0
    ) -> None:
        """Store the way to the boiler; it is opened with the first demand.

        Args:
            link: The way.
            flow_c_max: No higher flow temperature is ever sent.
            monotonic_ms: This boot's clock. The control counts its first demand from now.
            rest_s: The minimum off time of the boiler.
        """
        self._link = link
        self._flow_c_max = flow_c_max
        self._monotonic_ms = monotonic_ms
        self._task: asyncio.Task[None] | None = None
        self._sent: tuple[int, float | None] | None = None
        self._problem = ""
        self._rest_s = rest_s
        self._started_ms = monotonic_ms()
        self._demand: OutputDemand | None = None
        self._record: OutputRecord | None = None
        self._heated_ms: int | None = None
        self._may_heat_until_ms = self._started_ms + round(link.silence_s * 1000)

    @property
    def zones(self) -> Sequence[ZoneOutput]:
        """None."""
        return ()

    async def apply(self, demand: HvacDemand) -> None:
        """Have the demand on the heat source sent if it is new or due again.

        Raises:
            ActuatorFault: What was sent last did not arrive, or the boiler must still rest.
        """
        wanted_c = flow_of(demand.heat_source, self._flow_c_max)
        rest_s = self._rest_left_s(is_on=wanted_c is not None)
        if rest_s:
            wanted_c = None
        if (self._task is None or self._task.done()) and self._is_due(wanted_c):
            self._task = asyncio.get_running_loop().create_task(self._send(wanted_c))
        if self._problem:
            raise ActuatorFault(f"{self._problem}; {self._boiler_state()}")
        if rest_s:
            text = "it went off late, or its gateway was not reached or lost its supply"
            raise ActuatorFault(f"{self._link.name}: wait {-(-rest_s // 1):.0f} s for the boiler's rest: {text}")

    def _boiler_state(self) -> str:
        """Return what the boiler does while demands do not arrive, for people; changes once, when silence ends."""
        silence_s = self._link.silence_s
        if self._heated_ms is not None and self._monotonic_ms() - self._heated_ms <= silence_s * 1000:
            return f"the boiler may heat on until {silence_s:.0f} s after the last demand that arrived"
        return f"no demand for heat has arrived in the last {silence_s:.0f} s"

    def _rest_left_s(self, *, is_on: bool) -> float:
        """Record the demand, and return for how long the boiler must stay off all the same."""
        now_ms = self._monotonic_ms()
        demand = self._demand = with_demand(self._demand, self._started_ms, now_ms, is_on=is_on)
        is_off = self._record is not None and not self._record.is_on
        if not is_off and now_ms > self._may_heat_until_ms:
            self._record = with_state(self._record, demand, self._may_heat_until_ms, is_on=False)
        elif not is_off and self._is_forgotten(now_ms):
            self._record = with_state(self._record, demand, now_ms, is_on=False)
        record = self._record
        if not is_on or record is None or record.off_ms is None:
            return 0.0
        return rest_left_s(record.off_ms, record.late_s, demand.since_ms, self._rest_s, now_ms)

    def _is_forgotten(self, now_ms: int) -> bool:
        """Return whether the last demand that the gateway took was for heating, and the boiler may not heat."""
        if self._heated_ms is None or now_ms - self._heated_ms < SETTLED_S * 1000:
            return False
        is_sending = self._task is not None and not self._task.done()
        return not is_sending and self._link.is_heating_enabled is False

    def _went_off(self) -> None:
        """Record that a demand for no heating has arrived."""
        if self._demand is not None:
            self._record = with_state(self._record, self._demand, self._monotonic_ms(), is_on=False)

    def _may_heat(self) -> None:
        """Record that a demand for heating has arrived, or may have."""
        self._record = OutputRecord(is_on=True)
        self._may_heat_until_ms = self._monotonic_ms() + round(self._link.silence_s * 1000)

    def _is_due(self, wanted_c: float | None) -> bool:
        if self._sent is None:
            return True
        at_ms, flow_c = self._sent
        return wanted_c != flow_c or self._monotonic_ms() - at_ms >= RENEW_S * 1000

    async def _send(self, wanted_c: float | None) -> None:
        self._sent, at_ms = None, self._monotonic_ms()
        if wanted_c is not None and (self._record is None or not self._record.is_on):
            # An answer may be lost on the way.
            self._may_heat()
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
            self._heated_ms = None if wanted_c is None else at_ms
            if wanted_c is None:
                self._went_off()
            else:
                self._may_heat()

    async def close(self) -> None:
        """Hand the boiler back to its own control. If that does not arrive, silence does the same, later."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        with contextlib.suppress(ActuatorFault, OSError):
            async with asyncio.timeout(CLOSE_S_MAX):
                await self._link.release()
        await self._link.close()
