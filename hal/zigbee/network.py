"""The Zigbee network as the agent uses it: implements `hal.radio.PairableNetwork`, and owns the radio's thread.

The radio has a thread with its own event loop, so that a stalled agent does not make the stick drop its host.
Everything the agent requests is executed on that thread. Does not import zigpy before the radio starts.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from hal.errors import NetworkLost
from hal.interface import Reading, RelayedSensor, SensorKind
from hal.radio import BinaryState, InstallCode, JoinEvent, PowerState, RadioOutput, RadioState, RadioStatus, SensorLink
from hal.zigbee import import_stubs
from hal.zigbee.device_registry import DeviceRegistry
from hal.zigbee.options import RadioContext, RadioOptions
from hal.zigbee.output_table import LineUse, OutputTable
from hal.zigbee.radio_events import RadioEvents
from hal.zigbee.radio_state import load_devices
from hal.zigbee.time_server import WallClock

if TYPE_CHECKING:
    from hal.radio import HasBinarySensors, HasRadioOutputs, LimitsSilence, MeasuresPower, PairableNetwork, ScansEnergy
    from hal.zigbee.radio import ZigbeeRadio


GATHER_S = 0.5
"""While reports arrive in quick succession, the agent's loop wakes once in this time."""


class ZigbeeNetwork:
    """A Zigbee stick and its sensors. The radio starts with the first call that needs it.

    More than ten public methods: those of the protocols of `hal.radio`.

    Attributes:
        outputs: The configured outputs on paired devices.
    """

    def __init__(self, options: RadioOptions, context: RadioContext, uses: Sequence[LineUse] = ()) -> None:
        """Load the stored devices; the stick is not opened yet."""
        self.outputs = OutputTable(uses, context.monotonic_ms)
        self._options = options
        self._context = context
        self._events = RadioEvents()
        table = load_devices(context.store, context.boot_id)
        self._registry = DeviceRegistry(table, context.monotonic_ms)
        self._wall_clock = WallClock(context.monotonic_ms)
        self._radio: ZigbeeRadio | None = None
        self._delivered_s = -GATHER_S
        self._thread = RadioThread(self._work)

    async def _work(self, stop: asyncio.Event) -> None:
        try:
            import_stubs.import_zigpy()
            from hal.zigbee.radio import ZigbeeRadio  # noqa: PLC0415 - zigpy costs 22 MiB, and may not be installed
        except ModuleNotFoundError as error:
            self._events.set_state(
                RadioState.LOST,
                f"pip install 'climahub[zigbee]': {error.name} is not installed",
                needs_software=True,
            )
            return
        self._radio = ZigbeeRadio(
            self._options, self._context, self._registry, self._events, self._wall_clock, self.outputs
        )
        await self._radio.run(stop)

    @property
    def sensors(self) -> Sequence[RelayedSensor]:
        """The devices that measure something, whether the radio runs or not."""
        return self._registry.sensors()

    @property
    def radio(self) -> RadioStatus:
        """The radio's status."""
        return self._events.status

    @property
    def links(self) -> Sequence[SensorLink]:
        """The link of each member of the network, including routers."""
        return self._registry.links()

    def allowed_silence_s(self, device: str, kind: SensorKind) -> float | None:
        """See `hal.radio.LimitsSilence`."""
        return self._registry.allowed_silence_s(device, kind)

    @property
    def binary_states(self) -> Sequence[BinaryState]:
        """What each contact and motion sensor has told."""
        return self._registry.binary_states()

    @property
    def power_states(self) -> Sequence[PowerState]:
        """What each plug that measures its load has reported."""
        return self._registry.power.states()

    @property
    def radio_outputs(self) -> Sequence[RadioOutput]:
        """See `hal.radio.HasRadioOutputs`."""
        return self.outputs.report(self._events.status, {link.device: link for link in self.links})

    async def receive(self) -> Sequence[Reading]:
        """Wait for reports and return their readings, oldest first.

        Raises:
            NetworkLost: The radio is lost or refused, and no reading waits; it restarts by itself.
        """
        self._thread.start()
        loop = asyncio.get_running_loop()
        while True:
            if readings := self._events.readings.drain():
                self._delivered_s = loop.time()
                return readings
            status = self._events.status
            if status.state in {RadioState.LOST, RadioState.REFUSED}:
                raise NetworkLost(status.problem)
            await self._events.readings.wait()
            if loop.time() - self._delivered_s < GATHER_S:
                await asyncio.sleep(GATHER_S)

    def drain(self) -> Sequence[Reading]:
        """Return the readings that were not fetched yet, oldest first."""
        return self._events.readings.drain()

    def confirm(self) -> None:
        """Do nothing: a report is sent once and cannot be requested from the stick again."""

    async def join_events(self) -> Sequence[JoinEvent]:
        """Wait for events of joining or leaving sensors."""
        self._thread.start()
        while not (events := self._events.join_events.drain()):
            await self._events.join_events.wait()
        return events

    async def open_join_window(
        self, seconds: int, *, through: str = "", install_code: InstallCode | None = None
    ) -> None:
        """Let sensors join.

        Raises:
            ValueError: The duration, an address or the install code is invalid.
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
        """Tell a sensor to leave and delete it.

        Raises:
            ValueError: ``device`` is no IEEE address.
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
        """Write a backup to the stick, whatever it holds, and restart.

        Raises:
            ValueError: This is no backup.
            NetworkLost: There is no radio now, or the write failed; the message gives the reason.
        """
        radio = self._running()
        await self._thread.call(lambda: radio.restore(data))

    async def energy_scan(self) -> Mapping[int, int]:
        """See `hal.radio.ScansEnergy`.

        Raises:
            NetworkLost: There is no radio now, or it did not finish.
        """
        radio = self._running()
        return await self._thread.call(radio.energy_scan)

    async def restart(self) -> None:
        """Restart the radio now.

        Raises:
            NetworkLost: There is no radio to restart.
        """
        radio = self._running()
        await self._thread.call(radio.restart)

    async def set_up_again(self, device: str) -> None:
        """Have a sensor's reporting configuration written again, once it is awake.

        Raises:
            SensorUnavailable: There is no such sensor in the network.
            NetworkLost: There is no radio now.
        """
        radio = self._running()
        await self._thread.call(lambda: radio.set_up_again(device))

    def show_time(self, now: datetime | None) -> None:
        """See `hal.radio.ShowsTime`."""
        self._wall_clock.set(now)

    async def close(self) -> None:
        """Release the stick."""
        await self._thread.stop()

    def _running(self) -> "ZigbeeRadio":
        self._thread.start()
        if self._radio is None:
            raise NetworkLost(self._events.status.problem or "try again in a few seconds: the radio is starting")
        return self._radio


if TYPE_CHECKING:
    _: type[PairableNetwork] = ZigbeeNetwork
    __: type[ScansEnergy] = ZigbeeNetwork
    ___: type[LimitsSilence] = ZigbeeNetwork
    ____: type[HasBinarySensors] = ZigbeeNetwork
    _____: type[HasRadioOutputs] = ZigbeeNetwork
    ______: type[MeasuresPower] = ZigbeeNetwork


T = TypeVar("T")

WORKERS_MAX = 2

STOP_S = 3.0
"""How long the thread may take to release the stick; a thread that hangs in a driver is abandoned.

A healthy stick needs a fraction of a second, and the agent must end within 5 s of a stop request."""


class RadioThread:
    """Runs one main coroutine until it is stopped, and others on the same loop."""

    def __init__(self, work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
        """Store the coroutine function; the thread is not started yet.

        Args:
            work: Called on the thread with the event that ends it.
        """
        self._work = work
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether the thread was started and not stopped."""
        return self._thread is not None

    def start(self) -> None:
        """Start the thread, unless it was started before."""
        if self._thread is not None:
            return
        started = threading.Event()
        # A daemon thread: a hanging driver must not prevent the agent's exit.
        self._thread = threading.Thread(target=self._run, args=(started,), name="zigbee", daemon=True)
        self._thread.start()
        started.wait()

    def _run(self, started: threading.Event) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            # For files and for opening the port; the default executor would keep many more threads.
            self._loop.set_default_executor(ThreadPoolExecutor(max_workers=WORKERS_MAX, thread_name_prefix="zigbee"))
            self._stop = asyncio.Event()
            started.set()
            await self._work(self._stop)

        asyncio.run(main())

    async def call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the thread and return its result, or raise its exception.

        Raises:
            NetworkLost: The thread has ended.
        """
        if self._loop is None or self._thread is None or not self._thread.is_alive():
            raise NetworkLost("the radio is stopped")
        coroutine = make()
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            coroutine.close()
            raise NetworkLost("the radio is stopped") from None
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise NetworkLost("the radio was stopped in the meantime") from None

    async def stop(self) -> None:
        """End the main coroutine and wait for the thread, at most `STOP_S` seconds."""
        thread, loop, stop = self._thread, self._loop, self._stop
        if thread is None or loop is None or stop is None:
            return
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)
        await asyncio.get_running_loop().run_in_executor(None, thread.join, STOP_S)
