"""The Zigbee network as the agent sees it: implements `hal.radio.PairableNetwork` on the agent's loop.

Does nothing by itself; what it is asked for happens on the radio's thread. Imports nothing of zigpy.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from hal.errors import NetworkLost
from hal.interface import Reading, RelayedSensor
from hal.radio import InstallCode, JoinEvent, RadioState, RadioStatus, SensorLink
from hal.zigbee import import_stubs
from hal.zigbee.device_registry import DeviceRegistry
from hal.zigbee.files import load_devices
from hal.zigbee.options import RadioContext, RadioOptions
from hal.zigbee.radio_events import RadioEvents
from hal.zigbee.radio_thread import RadioThread
from hal.zigbee.time_server import WallClock

if TYPE_CHECKING:
    from hal.radio import PairableNetwork
    from hal.zigbee.radio import ZigbeeRadio


GATHER_S = 0.5
"""Where reports come one upon the other, the agent's loop wakes once for all of this time."""


class ZigbeeNetwork:
    """A Zigbee stick and its sensors. The radio starts with the first call that waits for something."""

    def __init__(self, options: RadioOptions, surroundings: RadioContext) -> None:
        """Read which sensors are known; the stick is not touched yet."""
        self._options = options
        self._surroundings = surroundings
        self._outlet = RadioEvents()
        kept = load_devices(surroundings.store, surroundings.boot_id)
        self._registry = DeviceRegistry(kept, surroundings.monotonic_ms)
        self._house = WallClock(surroundings.monotonic_ms)
        self._radio: ZigbeeRadio | None = None
        self._given_s = -GATHER_S
        self._thread = RadioThread(self._work)

    async def _work(self, stop: asyncio.Event) -> None:
        try:
            import_stubs.import_zigpy()
            from hal.zigbee.radio import ZigbeeRadio  # noqa: PLC0415 - zigpy costs 22 MiB, and may not be installed
        except ModuleNotFoundError as error:
            self._outlet.state(
                RadioState.LOST,
                f"{error.name} is not installed; a radio needs: pip install 'climahub[zigbee]'",
                needs_software=True,
            )
            return
        self._radio = ZigbeeRadio(self._options, self._surroundings, self._registry, self._outlet, self._house)
        await self._radio.run(stop)

    @property
    def sensors(self) -> Sequence[RelayedSensor]:
        """The devices that measure something, whether the radio runs or not."""
        return self._registry.sensors()

    @property
    def radio(self) -> RadioStatus:
        """How the radio is."""
        return self._outlet.report

    @property
    def links(self) -> Sequence[SensorLink]:
        """What is known of each member of the network, routers included."""
        return self._registry.links()

    @property
    def readings_dropped(self) -> int:
        """How many readings made room for newer ones because nobody fetched them."""
        return self._outlet.readings.dropped

    async def receive(self) -> Sequence[Reading]:
        """Wait for reports and return their readings, oldest first.

        Raises:
            NetworkLost: The radio is lost or refused, and nothing waits; it starts again by itself.
        """
        self._thread.start()
        loop = asyncio.get_running_loop()
        while True:
            if readings := self._outlet.readings.drain():
                self._given_s = loop.time()
                return readings
            report = self._outlet.report
            if report.state in {RadioState.LOST, RadioState.REFUSED}:
                raise NetworkLost(report.problem)
            await self._outlet.readings.wait()
            if loop.time() - self._given_s < GATHER_S:
                await asyncio.sleep(GATHER_S)

    def drain(self) -> Sequence[Reading]:
        """Return what the stick has delivered and nobody fetched, oldest first."""
        return self._outlet.readings.drain()

    def confirm(self) -> None:
        """Do nothing: a report on the air is sent once, and no stick can be asked for it again."""

    async def join_events(self) -> Sequence[JoinEvent]:
        """Wait for something to happen to a joining or leaving sensor."""
        self._thread.start()
        while not (events := self._outlet.events.drain()):
            await self._outlet.events.wait()
        return events

    async def open_join_window(
        self, seconds: int, *, through: str = "", install_code: InstallCode | None = None
    ) -> None:
        """Let sensors join.

        Raises:
            ValueError: The time, an address or the install code is none.
            NetworkLost: There is no radio now.
            SensorUnavailable: The router did not answer.
        """
        radio = self._running()
        await self._thread.call(lambda: radio.open_join_window(seconds, through, install_code))

    async def close_join_window(self) -> None:
        """Let no more sensors join.

        Raises:
            NetworkLost: There is no radio now.
        """
        radio = self._running()
        await self._thread.call(radio.close_join_window)

    async def remove(self, device: str) -> None:
        """Tell a sensor to leave and forget it.

        Raises:
            ValueError: This is no device's name.
            NetworkLost: There is no radio now.
        """
        radio = self._running()
        await self._thread.call(lambda: radio.remove(device))

    async def backup(self) -> bytes:
        """Return the network's settings as Open Coordinator Backup JSON: a secret.

        Raises:
            NetworkLost: There is no radio now, and no backup either.
        """
        radio = self._running()
        return await self._thread.call(radio.backup)

    async def restore(self, data: bytes) -> None:
        """Write a backup to the stick, whatever it holds, and start anew.

        Raises:
            ValueError: This is no backup.
            NetworkLost: There is no radio now, or the stick did not take it; the message says why.
        """
        radio = self._running()
        await self._thread.call(lambda: radio.restore(data))

    def show_time(self, now: datetime | None) -> None:
        """See `hal.radio.ShowsTime`."""
        self._house.show(now)

    async def close(self) -> None:
        """Give the stick back."""
        await self._thread.stop()

    def _running(self) -> "ZigbeeRadio":
        self._thread.start()
        if self._radio is None:
            raise NetworkLost(self._outlet.report.problem or "the radio is starting; try again in a few seconds")
        return self._radio


if TYPE_CHECKING:
    _: type[PairableNetwork] = ZigbeeNetwork
