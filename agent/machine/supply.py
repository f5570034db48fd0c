"""Follows the hub's battery, and powers the machine off in order before the battery is empty.

What is decided is decided by `battery`. Must never end the machine by itself: it asks the service manager, after the
outputs are off and the readings are on the disk, and says so; where that is not allowed the hub goes on heating.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from agent.errors import RebootFailed
from agent.foundation.clock import Clock
from agent.foundation.host import Host
from agent.machine.battery import (
    BatteryState,
    advance,
    doubt,
    is_on_battery,
    minutes_left,
    must_power_off,
)
from agent.machine.interruption import Interruptible
from agent.machine.supply_reader import SupplyReader

_log = logging.getLogger(__name__)

LOOK_S = 30.0
"""How often the supply is looked at while the mains is on."""

LOOK_ON_BATTERY_S = 10.0

GOING_S = 45.0
"""How long the outputs stay off after the power-off was asked for. The service is stopped within a second of it; where
nothing happens the home is heated again. Shorter than `agent.climate.service.HUNG_S`, or the watchdog would bite."""

RETRY_S = 300.0
"""After a power-off that was refused or did not happen."""


class Supply:
    """The supply of one hub.

    Attributes:
        state: What is known of it; without a reading on a board that has no battery.
        problem: Why the machine could not be powered off; empty where nothing is known against it.
    """

    def __init__(
        self,
        reader: SupplyReader | None,
        *,
        limit_percent: float,
        clock: Clock,
        host: Host,
        flush: Callable[[], Awaitable[None]],
        heating: Interruptible,
        add_fault: Callable[[str], None],
        explain_stop: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Prepare.

        Args:
            reader: Reads the supply; `None` on a board that has no battery.
            limit_percent: At this charge the machine is powered off; 0 for never.
            clock: Of the boot.
            host: Powers the machine off.
            flush: Writes what is in memory to the disk; raises nothing.
            heating: Runs the control of the home; interrupted before the machine goes off.
            add_fault: Records what has happened for the technician.
            explain_stop: Has the reason recorded for which this process is about to be stopped.
        """
        self._reader = reader
        self._limit_percent = limit_percent
        self._clock = clock
        self._host = host
        self._flush = flush
        self._heating = heating
        self._add_fault = add_fault
        self._explain_stop = explain_stop
        self._retry_ms = 0
        self.state = BatteryState()
        self.problem = ""

    @property
    def is_on_battery(self) -> bool:
        """Whether the mains is off, by its signal."""
        return is_on_battery(self.state)

    @property
    def minutes_left(self) -> int | None:
        """The minutes to the limit, or until the battery is empty; `None` where that is not known."""
        return minutes_left(self.state, limit_percent=self._limit_percent)

    @property
    def limit_percent(self) -> float:
        """At this charge the machine is powered off; 0 for never."""
        return self._limit_percent

    async def run(self) -> None:
        """Follow the supply until cancelled."""
        if self._reader is None:
            return
        if self._limit_percent:
            await self._ask_permission()
        while True:
            before, self.state = self.state, await self._advanced()
            self._report_change(before)
            if self._is_due():
                await self._power_off()
            await asyncio.sleep(LOOK_ON_BATTERY_S if is_on_battery(self.state) else LOOK_S)

    def _is_due(self) -> bool:
        is_allowed = self._clock.monotonic_ms() >= self._retry_ms
        return is_allowed and must_power_off(self.state, limit_percent=self._limit_percent)

    async def _advanced(self) -> BatteryState:
        reading = await self._reader.read() if self._reader else None
        return self.state if reading is None else advance(self.state, reading, limit_percent=self._limit_percent)

    def _report_change(self, before: BatteryState) -> None:
        if is_on_battery(self.state) and not is_on_battery(before):
            self._say("the mains power is off: this hub runs on its battery")
        elif is_on_battery(before) and self.state.last is not None and self.state.last.is_mains_on:
            _log.info("the mains power is back")
        if (text := doubt(self.state)) and text != doubt(before):
            self._say(text)

    async def _ask_permission(self) -> None:
        """Find out whether the machine could be powered off: somebody may read it before the mains fails."""
        try:
            await self._host.ensure_can_power_off()
        except RebootFailed as error:
            self._refused(error)
        else:
            self.problem = ""

    async def _power_off(self) -> None:
        """Switch the outputs off, write everything to the disk, look once more, and ask for the power-off."""
        self._retry_ms = self._clock.monotonic_ms() + int(RETRY_S * 1000)
        await self._ask_permission()
        await self._flush()
        if self.problem:
            return
        async with self._heating.interrupted():
            # Once more: the control's last readings.
            await self._flush()
            self.state = await self._advanced()
            if not must_power_off(self.state, limit_percent=self._limit_percent):
                _log.warning("the machine is not powered off: the supply has changed")
                return
            reason = (
                f"the mains is off and the battery is at {self.state.last.percent:.0f} %" if self.state.last else ""
            )
            self._say(f"the machine is powered off: {reason}")
            self._explain_stop(f"machine powered off: {reason}")
            try:
                await self._host.power_off(reason)
            except RebootFailed as error:
                self._explain_stop("")
                self._refused(error)
                return
            await asyncio.sleep(GOING_S)
            self._explain_stop("")
        self._say(f"the machine was asked to power off and is still on; heating goes on, next try in {RETRY_S:.0f} s")

    def _refused(self, error: RebootFailed) -> None:
        # Shown as a problem for as long as it lasts, so it is no fault to be recorded.
        self.problem = str(error)
        _log.warning("an empty battery will end this hub without an orderly stop: %s", error)

    def _say(self, text: str) -> None:
        _log.warning("%s", text)
        self._add_fault(text)
