"""Reads the hub's supply from the board's channels: charge, voltage, and whether the mains is on. Decides nothing."""

import asyncio
from collections.abc import Mapping, Sequence

from agent.foundation.clock import Clock
from agent.machine.battery import SupplyReading, cell_percent
from hal.channels import ChannelReader, FindsChannels, Quantity
from hal.errors import HalError

READ_S_MAX = 5.0
"""A channel that takes longer does not answer: its bus hangs."""

METER = "ina219"
"""The chip that measures a battery by voltage and current (Waveshare's UPS HATs), where the configuration says so."""

FEEDING_V = -0.5e-3
"""A shunt voltage below this means that the battery feeds the hub: 50 mA at 0.01 ohm, the smallest shunt of HATs, where
a Pi draws ten times as much. Positive is charging, near zero a full battery on mains."""


class SupplyReader:
    """Reads the supply of one board."""

    def __init__(self, board: FindsChannels, clock: Clock, *, meter_cells: int = 0) -> None:
        """Prepare.

        Args:
            board: Its channels are read.
            clock: Of the boot.
            meter_cells: An INA219 measures a battery of so many lithium cells in series; 0 where it measures another.
        """
        self._board = board
        self._clock = clock
        self._meter_cells = meter_cells

    async def read(self) -> SupplyReading | None:
        """Read the supply now; `None` where there is no battery. Of several, the one with the least charge counts."""
        readers = {each.channel.name: each for each in self._board.channels}
        mains = [each for each in readers.values() if each.channel.quantity is Quantity.MAINS]
        if batteries := [each for each in readers.values() if each.channel.quantity is Quantity.BATTERY]:
            percents = [(percent, each) for each in batteries if (percent := await _read(each)) is not None]
            percent, lowest = min(percents, key=lambda found: found[0], default=(None, None))
            voltage_v = await _read(readers.get(_voltage_name(lowest.channel.name))) if lowest else None
            return SupplyReading(self._clock.monotonic_ms(), await _is_any_on(mains), percent, voltage_v)
        return await self._by_meter(readers, mains)

    async def _by_meter(
        self, readers: Mapping[str, ChannelReader], mains: Sequence[ChannelReader]
    ) -> SupplyReading | None:
        """Read a battery without a gauge: its charge is estimated from its voltage."""
        meters = [each for each in readers.values() if each.channel.chip == METER] if self._meter_cells else []
        by_quantity = {each.channel.quantity: each for each in meters}
        if Quantity.VOLTAGE not in by_quantity:
            return None
        voltage_v, shunt_v = [await _read(by_quantity.get(each)) for each in (Quantity.VOLTAGE, Quantity.SHUNT_VOLTAGE)]
        is_mains_on = await _is_any_on(mains)
        if is_mains_on is None and shunt_v is not None:
            is_mains_on = shunt_v > FEEDING_V
        percent = None if voltage_v is None else cell_percent(voltage_v / self._meter_cells)
        # The estimate is the voltage itself: it cannot confirm itself.
        return SupplyReading(self._clock.monotonic_ms(), is_mains_on, percent, None)


def _voltage_name(battery: str) -> str:
    """Return the name of the voltage that belongs to a battery: beside its charge, or below its older name."""
    prefix = battery.removesuffix(f"/{Quantity.BATTERY}")
    return f"{prefix}/{Quantity.VOLTAGE}"


async def _read(reader: ChannelReader | None) -> float | None:
    """Return a value; `None` where there is none now."""
    if reader is None:
        return None
    try:
        async with asyncio.timeout(READ_S_MAX):
            return await reader.read()
    except (HalError, TimeoutError):
        return None


async def _is_any_on(mains: Sequence[ChannelReader]) -> bool | None:
    """Return whether any supply is on; `None` where that is not known: the one that does not answer may be."""
    values = [await _read(each) for each in mains]
    if any(values):
        return True
    return None if not values or None in values else False
