"""Everything that a board measures, read now: one bus beside the other, the channels of a bus in turn.

Must never hold a slow bus up: what is not read when its time is over is shown as it was last.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import isfinite

from agent.foundation.text import sanitize
from agent.local.hardware import BoardChannelReport, LiveSensorReport
from agent.telemetry.own_sensors import OwnSensors
from hal.channels import ChannelReader, DescribesChannel, FindsChannels
from hal.errors import HalError
from hal.interface import Sensor

READ_S_MAX = 2.0
"""How long one channel may take, and for how long reads of a bus begin: the others are shown without it."""

_Reads = Callable[[Sensor], Awaitable[LiveSensorReport]]


class BoardChannels:
    """The channels of a board that finds them by itself."""

    def __init__(self, finder: FindsChannels, own: OwnSensors) -> None:
        """Read nothing yet.

        Args:
            finder: The board.
            own: Knows which sensors are primary, and why.
        """
        self._finder = finder
        self._own = own

    async def read(
        self, read: _Reads, last: Callable[[Sensor], LiveSensorReport]
    ) -> tuple[list[LiveSensorReport], list[BoardChannelReport]]:
        """Return the sensors and all channels.

        Args:
            read: Reads a sensor.
            last: Returns its last reading, where its bus has no time left.
        """
        readers: list[ChannelReader] = [*self._finder.channels, *self._own.computed]
        buses: dict[str, list[ChannelReader]] = {}
        for reader in readers:
            buses.setdefault(reader.channel.bus, []).append(reader)
        found: dict[str, tuple[BoardChannelReport, LiveSensorReport | None]] = {}

        async def read_bus(members: Sequence[ChannelReader]) -> None:
            end_s = asyncio.get_running_loop().time() + READ_S_MAX
            for reader in members:
                has_time = asyncio.get_running_loop().time() < end_s
                if isinstance(reader, DescribesChannel):
                    report = await read(reader) if has_time else last(reader)
                    found[reader.channel.name] = self._of_sensor(reader, report), report
                else:
                    found[reader.channel.name] = await _of_channel(reader, has_time=has_time), None

        await asyncio.gather(*map(read_bus, buses.values()))
        reports = [found[reader.channel.name] for reader in readers]
        return [sensor for _, sensor in reports if sensor is not None], [channel for channel, _ in reports]

    def _of_sensor(self, reader: DescribesChannel, report: LiveSensorReport) -> BoardChannelReport:
        channel, primary = reader.channel, self._own.primary
        is_primary = primary.sensors.get(reader.kind) == reader.name
        return BoardChannelReport(
            reader.name, channel.quantity.value, report.value, report.unit, report.age_s, channel.bus, channel.address,
            channel.chip, channel.driver, report.problem, report.doubt, report.uncertainty,
            primary.reasons.get(reader.kind, "it is missing, and its place is kept") if is_primary else "",
        )  # fmt: skip


async def _of_channel(reader: ChannelReader, *, has_time: bool) -> BoardChannelReport:
    channel, value, problem = reader.channel, None, ""
    try:
        async with asyncio.timeout(READ_S_MAX):
            value = await reader.read() if has_time else None
    except TimeoutError:
        problem = f"no answer within {READ_S_MAX:.0f} s"
    except (HalError, OSError) as error:
        problem = sanitize(str(error))
    if value is not None and not isfinite(value):
        value, problem = None, "no number"
    return BoardChannelReport(
        channel.name, channel.quantity.value, value, channel.unit, 0.0 if value is not None else None, channel.bus,
        channel.address, channel.chip, channel.driver, problem,
    )  # fmt: skip
