"""Runs the radio on its thread: finds the stick, settles whose network it holds, serves it, restarts it on failure.

Every error of zigpy ends here: it is described in one sentence, and `Backoff` gives the delay of the next attempt. Must
never touch the agent's loop; everything for the agent goes through `RadioEvents`.
"""

import asyncio
import functools
import json
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import zigpy.exceptions

from hal.errors import NetworkLost, SoftwareMissing
from hal.radio import InstallCode, RadioState
from hal.zigbee import import_stubs, network_ownership, radio_state, serial_ports, zigpy_stack
from hal.zigbee.device_listener import DeviceListener
from hal.zigbee.device_registry import DeviceRegistry
from hal.zigbee.join_window import JoinWindow, eui64
from hal.zigbee.network_ownership import NetworkPhase, OwnershipDecision
from hal.zigbee.options import DATABASE_FILE, RadioContext, RadioOptions
from hal.zigbee.output_driver import OutputDriver
from hal.zigbee.output_table import OutputTable
from hal.zigbee.radio_events import RadioEvents
from hal.zigbee.radio_state import NetworkSnapshot, RadioFiles, StickSnapshot
from hal.zigbee.serial_ports import StickPort
from hal.zigbee.time_server import WallClock

_log = logging.getLogger(__name__)

RESTART_DELAYS_S: Sequence[float] = (1, 5, 15, 30, 60, 120, 300)
"""A stick that was unplugged for a moment is back soon; a missing one costs an attempt every five minutes."""

STEADY_S = 300.0
"""A radio that has worked for this long starts again with the first delay."""

CONNECT_S = 30.0
"""A stick answers within 2 s; one at another baud rate never does."""

START_S = 180.0
"""Forming or restoring a network writes hundreds of commands; a slow stick needs a minute."""

REFUSED_RETRY_S = 60.0
"""The right stick may have been plugged in meanwhile."""

SAVE_S = 600.0
"""Learned rhythms are saved this often; everything else at once."""

AVAILABILITY_S = 15.0
"""Interval of the availability check."""

SCAN_S_MAX = 20.0
"""A scan of all channels takes 5 s; bellows repeats one that the stick ends early, without an end of its own."""

BACKUP_S = 24 * 3600.0
BACKUP_CALM_S = 10.0
"""A backup waits for this time after the last change: several sensors often join one after the other."""


class Backoff:
    """Delays between restarts of the radio, by the number of consecutive failures."""

    def __init__(self) -> None:
        self._failures = 0

    def next_delay_s(self, worked_s: float) -> float:
        """Return the delay after a failure of a radio that has worked for ``worked_s`` seconds."""
        self._failures = 1 if worked_s >= STEADY_S else self._failures + 1
        return RESTART_DELAYS_S[min(self._failures, len(RESTART_DELAYS_S)) - 1]


class _ForeignNetworkError(NetworkLost):
    """The stick holds the network of another hub."""


class _RunEnd(Exception):
    """Ends the tasks of one run."""


class ZigbeeRadio:
    """One radio, restarted for as long as it is needed."""

    def __init__(
        self,
        options: RadioOptions,
        context: RadioContext,
        registry: DeviceRegistry,
        events: RadioEvents,
        wall_clock: WallClock,
        outputs: OutputTable,
    ) -> None:
        """Store the collaborators; called on the radio's loop."""
        self._wall_clock = wall_clock
        self._outputs = outputs
        self._options = options
        self._monotonic_ms = context.monotonic_ms
        self._files = RadioFiles(context.store)
        self._volatile_dir = context.volatile_dir
        self._registry = registry
        self._events = events
        self._restart_requested = asyncio.Event()
        self._settled: asyncio.Event = asyncio.Event()
        self._app: Any = None
        self._listener: DeviceListener | None = None
        self._window: JoinWindow | None = None
        self._network: NetworkSnapshot | None = None
        zigpy_stack.silence_libraries()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the radio running until ``stop`` is set."""
        backoff = Backoff()
        while not stop.is_set():
            started_ms = self._monotonic_ms()
            needs_software = False
            self._restart_requested.clear()
            try:
                problem = await self._run_once(stop)
                if not problem:
                    continue
            except _ForeignNetworkError as error:
                self._events.log_step(str(error))
                self._events.set_state(RadioState.REFUSED, str(error))
                self._settled.set()
                await _first_of(REFUSED_RETRY_S, stop, self._restart_requested)
                continue
            except Exception as error:  # noqa: BLE001 - supervisor of the radio: drivers raise anything
                problem = zigpy_stack.describe_error(error)
                needs_software = isinstance(error, SoftwareMissing)
                _log.debug("the radio failed", exc_info=error)
                if problem is zigpy_stack.UNKNOWN_FAILURE:
                    _log.exception("the radio failed for an unknown reason")
            if stop.is_set():
                break
            delay_s = backoff.next_delay_s((self._monotonic_ms() - started_ms) / 1000)
            text = f"{problem}; the next attempt is in {delay_s:g} s or less"
            self._events.set_state(RadioState.LOST, text, needs_software=needs_software)
            self._events.log_step(f"{problem}; next attempt in {delay_s:g} s")
            self._settled.set()
            await _first_of(delay_s, stop, self._restart_requested)

    async def _run_once(self, stop: asyncio.Event) -> str:
        """Run the stick once, until it is lost, or the radio must stop or restart.

        Returns:
            The problem; empty without one.

        Raises:
            NetworkLost: There is no stick, or it is unusable.
            _ForeignNetworkError: The stick holds another hub's network.
        """
        port = await asyncio.to_thread(self._find_port)
        app_class = zigpy_stack.controller_class(port.adapter)
        listener = DeviceListener(
            registry=self._registry,
            events=self._events,
            files=self._files,
            options=self._options,
            monotonic_ms=self._monotonic_ms,
            wall_clock=self._wall_clock,
            outputs=self._outputs,
            community_resolver=zigpy_stack.community_resolver() if self._options.quirks else None,
        )
        app = await self._load(app_class, port, listener)
        try:
            zigpy_stack.apply_flow_control(app, self._options)
            zigpy_stack.reduce_database_writes(app)
            listener.attach(app)
            async with asyncio.timeout(CONNECT_S):
                await app.connect()
            self._events.log_step(f"{port.path}: a stick answers ({port.adapter})")
            async with asyncio.timeout(START_S):
                await self._settle_ownership(app, port)
                await app.initialize(auto_form=False)
            self._app, self._listener = app, listener
            try:
                await self._serve(app, listener, port, stop)
            except* _RunEnd:
                pass
            except* zigpy_stack.STICK_ERRORS as errors:
                # A background task failed because the stick is gone. A stick that is still there is restarted as well.
                self._events.log_step(zigpy_stack.describe_error(errors))
                listener.lost.set()
            except* AttributeError:
                # A command of bellows on a connection that has just closed finds no transport; any other is a defect.
                if not listener.lost.is_set():
                    raise
            return f"{port.path}: the stick was lost" if listener.lost.is_set() else ""
        finally:
            self._app = self._listener = self._window = None
            self._registry.set_listening(is_listening=False)
            self._outputs.end()
            try:
                await listener.save()
            finally:
                await zigpy_stack.shut_down(app)

    def _find_port(self) -> StickPort:
        try:
            port = serial_ports.find_port(self._options.port, self._options.adapter)
        except serial_ports.StickNotFound as error:
            for step in error.steps:
                self._events.log_step(step)
            raise
        for step in port.steps:
            self._events.log_step(step)
        return port

    async def _load(self, app_class: Any, port: StickPort, listener: DeviceListener) -> Any:  # noqa: ANN401
        """Open zigpy's database; a broken one is quarantined, and all sensors are interviewed again."""
        path = self._files.store.path(DATABASE_FILE)
        if self._volatile_dir is not None and (problem := await asyncio.to_thread(zigpy_stack.write_problem, path)):
            path = await asyncio.to_thread(zigpy_stack.copy_database, path, self._volatile_dir)
            self._events.log_step(
                f"{path.name} is used from memory, for {problem}: devices that join now are lost at a restart"
            )
        config = zigpy_stack.zigpy_config(self._options, port, path)
        load = functools.partial(app_class.new, config, start_radio=False, device_resolver=listener.decoder.resolve)
        zigpy_stack.make_private(path)
        try:
            return await load()
        except (sqlite3.DatabaseError, zigpy.exceptions.CorruptDatabase) as error:
            if zigpy_stack.is_disk_error(error):
                raise
            self._events.log_step(f"{path.name} is unreadable and was moved aside; all sensors are interviewed again")
            await self._files.quarantine(DATABASE_FILE, str(error))
            zigpy_stack.make_private(path)
            return await load()

    async def _settle_ownership(self, app: Any, port: StickPort) -> None:  # noqa: ANN401
        """Make the stick hold the hub's network, as decided by `network_ownership`.

        Raises:
            _ForeignNetworkError: A person has to decide.
        """
        network = await self._files.network() or zigpy_stack.network_in_database(app)
        stick = await zigpy_stack.load_settings(app)
        decision = network_ownership.decide(
            stick,
            phase=network.phase if network else None,
            own=network.settings if network else None,
            remembered=(await self._files.stick()).fingerprint,
            has_sensors=bool(self._registry.devices()),
            takes_over=self._options.takes_over,
        )
        match decision:
            case OwnershipDecision.REFUSE if stick is not None:
                sensors = len(self._registry.sensors())
                raise _ForeignNetworkError(
                    network_ownership.refusal_text(
                        stick, port=port.path, sensors=sensors, has_network=network is not None
                    )
                )
            case OwnershipDecision.FORM:
                planned = network.settings if network else zigpy_stack.random_settings()
                network = NetworkSnapshot(NetworkPhase.PLANNED, planned)
                await self._files.save(network)
                self._events.log_step("the stick is blank; a network is formed")
                await self._save_formed(network, await zigpy_stack.form(app, planned, self._options.channel))
            case OwnershipDecision.RESTORE if network is not None:
                self._events.log_step("the network is written to the stick, from its backup")
                backup = json.loads(bytes(network.backups[-1]))
                await self._save_formed(network, await zigpy_stack.restore(app, backup))
            case _:
                if network is None:
                    self._events.log_step("the stick's network is taken over")
                    network = NetworkSnapshot(NetworkPhase.FORMED, zigpy_stack.current_settings(app))
                    await self._save_formed(network, await zigpy_stack.back_up(app))
                self._network = network

    async def _save_formed(self, network: NetworkSnapshot, backup: Any) -> None:  # noqa: ANN401
        """Save a backup of the network that the stick holds now, and remember that network for the stick."""
        settings = radio_state.parse_settings(backup)
        self._network = radio_state.with_backup(network, settings, backup)
        await self._files.save(self._network)
        fingerprint = network_ownership.fingerprint(settings.extended_pan_id)
        if (await self._files.stick()).fingerprint != fingerprint:
            await self._files.save(StickSnapshot(fingerprint))

    async def _serve(self, app: Any, listener: DeviceListener, port: StickPort, stop: asyncio.Event) -> None:  # noqa: ANN401
        """Serve the network until the stick is lost, or the radio must stop or restart."""
        settings = zigpy_stack.current_settings(app)
        async with asyncio.TaskGroup() as group:
            self._window = JoinWindow(app, self._events, group, self._monotonic_ms)
            listener.begin(group, self._window)
            self._registry.set_listening(is_listening=True)
            OutputDriver(app, self._outputs, self._monotonic_ms).begin(group)
            self._events.set_network(
                port=port.path,
                channel=settings.channel,
                pan_id=settings.pan_id,
                firmware=zigpy_stack.firmware_version(app),
            )
            self._events.log_step(f"{port.path}: up, PAN 0x{settings.pan_id:04x}, channel {settings.channel}")
            self._events.set_state(RadioState.UP)
            self._settled.set()
            import_stubs.trim_heap()
            group.create_task(self._back_up_periodically(app, listener), name="backups")
            group.create_task(self._save_periodically(listener), name="saving")
            group.create_task(self._check_availability_periodically(listener), name="availability")
            await _first_of(None, stop, listener.lost, self._restart_requested)
            raise _RunEnd

    async def _back_up_periodically(self, app: Any, listener: DeviceListener) -> None:  # noqa: ANN401
        """Back up soon after the start, after devices have joined or left, and daily."""
        while True:
            await asyncio.sleep(BACKUP_CALM_S)
            listener.network_changed.clear()
            try:
                await self._back_up(app)
            except (*zigpy_stack.STICK_ERRORS, OSError) as error:
                _log.warning("no backup of the Zigbee network: %s", zigpy_stack.describe_error(error))
            else:
                listener.adopt_children()
            import_stubs.trim_heap()
            await _first_of(BACKUP_S, listener.network_changed)

    async def _back_up(self, app: Any) -> bytes:  # noqa: ANN401
        backup = await zigpy_stack.back_up(app)
        network = self._network
        if network is not None:
            self._network = radio_state.with_backup(network, radio_state.parse_settings(backup), backup)
            await self._files.save(self._network)
        return json.dumps(backup).encode()

    async def _save_periodically(self, listener: DeviceListener) -> None:
        while True:
            await asyncio.sleep(SAVE_S)
            await listener.save()

    async def _check_availability_periodically(self, listener: DeviceListener) -> None:
        while True:
            await asyncio.sleep(AVAILABILITY_S)
            self._registry.update_availability()
            listener.check_overdue()
            if self._registry.is_changed:
                await listener.save()

    # Called by the agent, on the radio's loop.

    async def open_join_window(self, seconds: int, through: str, install_code: InstallCode | None) -> None:
        """See `PairableNetwork.open_join_window`."""
        if self._window is None:
            raise self._network_lost()
        with zigpy_stack.stick_errors_translated():
            await self._window.open(seconds, through=through, install_code=install_code)

    async def close_join_window(self) -> None:
        """See `PairableNetwork.close_join_window`."""
        if self._window is None:
            raise self._network_lost()
        with zigpy_stack.stick_errors_translated():
            await self._window.close()

    async def remove(self, device: str) -> None:
        """See `PairableNetwork.remove`."""
        eui64(device)
        if self._listener is None:
            raise self._network_lost()
        with zigpy_stack.stick_errors_translated():
            await self._listener.remove(device)

    async def backup(self) -> bytes:
        """See `PairableNetwork.backup`."""
        if self._app is not None:
            with zigpy_stack.stick_errors_translated():
                return await self._back_up(self._app)
        network = await self._files.network()
        if network is None or not network.backups:
            raise NetworkLost("plug in the stick: there is no backup yet, and no radio to make one of")
        return bytes(network.backups[-1])

    async def energy_scan(self) -> Mapping[int, int]:
        """See `hal.radio.ScansEnergy`."""
        if self._app is None:
            raise self._network_lost()
        with zigpy_stack.stick_errors_translated():
            async with asyncio.timeout(SCAN_S_MAX):
                return await zigpy_stack.energy_scan(self._app)

    async def restore(self, data: bytes) -> None:
        """See `PairableNetwork.restore`."""
        backup = radio_state.parse_backup(data)
        network = await self._files.network()
        is_pending = network is not None and network.phase is NetworkPhase.RESTORING
        if self._events.status.state not in {RadioState.UP, RadioState.REFUSED} and not is_pending:
            raise self._network_lost()
        await self._files.save(radio_state.with_restore_pending(network, backup))
        self._settled.clear()
        self._restart_requested.set()
        try:
            async with asyncio.timeout(CONNECT_S + START_S):
                await self._settled.wait()
        except TimeoutError:
            raise NetworkLost("see `climahub zigbee status`: the stick has not answered in time") from None
        if self._events.status.state is not RadioState.UP:
            raise self._network_lost()

    async def restart(self) -> None:
        """See `Repairable.restart`."""
        self._events.log_step("the radio is restarted on request")
        self._restart_requested.set()

    async def set_up_again(self, device: str) -> None:
        """See `Repairable.set_up_again`."""
        if self._listener is None:
            raise self._network_lost()
        self._listener.set_up_again(device)

    def _network_lost(self) -> NetworkLost:
        return NetworkLost(self._events.status.problem or "try again in a few seconds: the radio is starting")


async def _first_of(timeout_s: float | None, *events: asyncio.Event) -> None:
    """Wait until one of the events is set or the timeout has passed."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(event.wait()) for event in events]
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
