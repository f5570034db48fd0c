"""The life of the radio on its thread: find the stick, settle whose network it holds, run it, start it again.

Everything that zigpy can throw ends here: it is told in one sentence, and the ladder says when to try again. Must never
touch the agent's loop; what it has to say goes through `Outlet`.
"""

import asyncio
import contextlib
import functools
import json
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bellows.ash
import zigpy.exceptions
from serial.tools import list_ports

from hal.errors import HalError, NetworkLost, SoftwareMissing
from hal.radio import InstallCode, RadioState
from hal.zigbee import backoff, database, import_stubs, network_ownership, radio_state, serial_ports, zigpy_stack
from hal.zigbee.device_registry import DeviceRegistry
from hal.zigbee.files import RadioFiles
from hal.zigbee.join_window import JoinWindow, eui64
from hal.zigbee.joining import JoinProcess
from hal.zigbee.network_ownership import NetworkPhase, OwnershipDecision
from hal.zigbee.options import DATABASE_FILE, PORT_AUTO, RadioContext, RadioOptions
from hal.zigbee.radio_events import RadioEvents
from hal.zigbee.radio_state import NetworkSnapshot, StickSnapshot
from hal.zigbee.serial_ports import SerialPort, StickPort
from hal.zigbee.time_server import WallClock

_log = logging.getLogger(__name__)

CONNECT_S = 30.0
"""A stick answers within 2 s; one at another baud rate never does."""

START_S = 180.0
"""Forming or restoring writes hundreds of commands; a slow stick takes a minute."""

SHUTDOWN_S = 10.0

REFUSED_RETRY_S = 60.0
"""Somebody may have plugged in the right stick meanwhile."""

SAVE_S = 600.0
"""What rhythms have learned is kept this often; everything else at once."""

JUDGE_S = 15.0
"""How often it is looked who has gone offline."""

TOLD_CHARACTERS_MAX = 300

BACKUP_S = 24 * 3600.0
BACKUP_CALM_S = 10.0
"""A backup waits until so long after the last change: many sensors join one after the other."""


_UNKNOWN = "the radio failed; the log of the hub says where"


class _Refused(NetworkLost):
    """The stick is not ours."""


class _Over(Exception):
    """Ends the tasks of one life."""


class ZigbeeRadio:
    """One radio, over many lives of its stick."""

    def __init__(
        self,
        options: RadioOptions,
        surroundings: RadioContext,
        registry: DeviceRegistry,
        outlet: RadioEvents,
        house: WallClock,
    ) -> None:
        """Prepare, on the radio's loop."""
        self._house = house
        self._options = options
        self._monotonic_ms = surroundings.monotonic_ms
        self._files = RadioFiles(surroundings.store)
        self._volatile_dir = surroundings.volatile_dir
        self._registry = registry
        self._outlet = outlet
        self._kick = asyncio.Event()
        self._settled: asyncio.Event = asyncio.Event()
        self._app: Any = None
        self._joining: JoinProcess | None = None
        self._window: JoinWindow | None = None
        self._network: NetworkSnapshot | None = None
        zigpy_stack.quieten()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the radio running until ``stop`` is set."""
        failures = 0
        while not stop.is_set():
            began_ms = self._monotonic_ms()
            needs_software = False
            self._kick.clear()
            try:
                problem = await self._live(stop)
                if not problem:
                    continue
            except _Refused as error:
                self._outlet.step(str(error))
                self._outlet.state(RadioState.REFUSED, str(error))
                self._settled.set()
                await self._pause(stop, REFUSED_RETRY_S)
                continue
            except Exception as error:  # noqa: BLE001 - the radio's supervisor: what a driver throws is not ours to know
                problem = _told(error)
                needs_software = isinstance(error, SoftwareMissing)
                _log.debug("the radio failed", exc_info=error)
                if problem is _UNKNOWN:
                    _log.exception("the radio failed for a reason that is not known")
            if stop.is_set():
                break
            failures = backoff.next_failures(failures, (self._monotonic_ms() - began_ms) / 1000)
            pause_s = backoff.delay_s(failures)
            said = f"{problem}; the next try is in {pause_s:g} s or less"
            self._outlet.state(RadioState.LOST, said, needs_software=needs_software)
            self._outlet.step(f"{problem}; next try in {pause_s:g} s")
            self._settled.set()
            await self._pause(stop, pause_s)

    async def _pause(self, stop: asyncio.Event, pause_s: float) -> None:
        await _first_of(pause_s, stop, self._kick)

    async def _live(self, stop: asyncio.Event) -> str:
        """Run the stick once, until it is lost or the radio is told to stop or to begin anew.

        Returns:
            What went wrong; empty for nothing.

        Raises:
            NetworkLost: There is no stick, or it cannot be used.
            _Refused: It holds another hub's network.
        """
        found = await asyncio.to_thread(self._find)
        app_class = zigpy_stack.controller(found.adapter)
        joining = JoinProcess(
            registry=self._registry,
            outlet=self._outlet,
            files=self._files,
            options=self._options,
            monotonic_ms=self._monotonic_ms,
            house=self._house,
            quirks=zigpy_stack.quirks_resolver() if self._options.quirks else None,
        )
        app = await self._load(app_class, found, joining)
        try:
            zigpy_stack.spare_the_card(app)
            joining.listen(app)
            async with asyncio.timeout(CONNECT_S):
                await app.connect()
            self._outlet.step(f"{found.path}: a stick answers ({found.adapter})")
            async with asyncio.timeout(START_S):
                await self._settle(app, found)
                await app.initialize(auto_form=False)
            self._app, self._joining = app, joining
            try:
                await self._work(app, joining, found, stop)
            except* _Over:
                pass
            except* zigpy_stack.FAILURES as errors:
                # What was under way when the stick went; a stick that is there and fails so is started again as well.
                self._outlet.step(_told(errors))
                joining.lost.set()
            return f"{found.path}: the stick was lost" if joining.lost.is_set() else ""
        finally:
            self._app = self._joining = self._window = None
            self._registry.listens(is_listening=False)
            try:
                await joining.save()
            finally:
                await _shut_down(app)

    def _find(self) -> StickPort:
        seen = [_serial_port(port) for port in list_ports.comports()]
        options = self._options
        if options.port != PORT_AUTO:
            found = serial_ports.named(options.port, os.path.realpath(options.port), options.adapter, seen)
            if not Path(options.port).exists() and ":" not in options.port:
                raise NetworkLost(f"there is no {options.port}; plug the stick in, or correct zigbee.port")
        else:
            searched, steps = serial_ports.search(options.adapter, seen)
            if searched is None:
                for step in steps:
                    self._outlet.step(step)
                raise NetworkLost(serial_ports.not_found_message(steps))
            found = searched
        for step in found.steps:
            self._outlet.step(step)
        return found

    async def _load(self, app_class: Any, found: StickPort, joining: JoinProcess) -> Any:  # noqa: ANN401 - zigpy is untyped here
        """Open zigpy's database; one that is broken is put aside, and the sensors are asked anew."""
        path = self._files.store.path(DATABASE_FILE)
        if self._volatile_dir is not None and (problem := await asyncio.to_thread(database.problem_of, path)):
            path = await asyncio.to_thread(database.copied, path, self._volatile_dir)
            self._outlet.step(
                f"{path.name} is used from memory, for {problem}: what joins now is forgotten at a restart"
            )
        config = zigpy_stack.configuration(self._options, found, path)
        load = functools.partial(app_class.new, config, start_radio=False, device_resolver=joining.ears.resolve)
        zigpy_stack.make_private(path)
        try:
            return await load()
        except (sqlite3.DatabaseError, zigpy.exceptions.CorruptDatabase) as error:
            if database.is_of_medium(error):
                raise
            self._outlet.step(f"{path.name} cannot be read; it is put aside, and all sensors are interviewed again")
            await self._files.put_aside(DATABASE_FILE, str(error))
            zigpy_stack.make_private(path)
            return await load()

    async def _settle(self, app: Any, found: StickPort) -> None:  # noqa: ANN401
        """Bring stick and file together, so that the stick holds our network.

        Raises:
            _Refused: A person has to choose.
        """
        kept = await self._files.network() or zigpy_stack.kept_by(app)
        stick = await zigpy_stack.settings_on(app)
        chosen = network_ownership.choose(
            stick,
            phase=kept.phase if kept else None,
            ours=kept.settings if kept else None,
            remembered=(await self._files.stick()).fingerprint,
            has_sensors=bool(self._registry.devices()),
            takes_over=self._options.takes_over,
        )
        match chosen:
            case OwnershipDecision.REFUSE if stick is not None:
                sensors = len(self._registry.sensors())
                raise _Refused(
                    network_ownership.refusal_message(
                        stick, port=found.path, sensors=sensors, has_network=kept is not None
                    )
                )
            case OwnershipDecision.FORM:
                planned = kept.settings if kept else zigpy_stack.new_settings()
                kept = NetworkSnapshot(NetworkPhase.PLANNED, planned)
                await self._files.keep(kept)
                self._outlet.step("the stick is blank; a network is formed")
                await self._formed(kept, await zigpy_stack.form(app, planned, self._options.channel))
            case OwnershipDecision.RESTORE if kept is not None:
                self._outlet.step("the network is written to the stick, from its backup")
                await self._formed(kept, await zigpy_stack.restore(app, json.loads(bytes(kept.backups[-1]))))
            case _:
                if kept is None:
                    self._outlet.step("the stick's network is taken over")
                    kept = NetworkSnapshot(NetworkPhase.FORMED, zigpy_stack.settings_of(app))
                    await self._formed(kept, await zigpy_stack.back_up(app))
                self._network = kept

    async def _formed(self, kept: NetworkSnapshot, backup: Any) -> None:  # noqa: ANN401
        """Keep a backup of the network that the stick holds now."""
        settings = radio_state.settings_of(backup)
        self._network = radio_state.with_backup(kept, settings, backup)
        await self._files.keep(self._network)
        fingerprint = network_ownership.fingerprint(settings.extended_pan_id)
        if (await self._files.stick()).fingerprint != fingerprint:
            await self._files.keep(StickSnapshot(fingerprint))

    async def _work(self, app: Any, joining: JoinProcess, found: StickPort, stop: asyncio.Event) -> None:  # noqa: ANN401
        """Serve until the stick is lost or the radio is told to stop."""
        settings = zigpy_stack.settings_of(app)
        async with asyncio.TaskGroup() as group:
            self._window = JoinWindow(app, self._outlet, group, self._monotonic_ms)
            joining.begin(group, self._window)
            self._registry.listens(is_listening=True)
            self._outlet.place(port=found.path, channel=settings.channel, pan_id=settings.pan_id)
            self._outlet.step(f"{found.path}: up, PAN 0x{settings.pan_id:04x}, channel {settings.channel}")
            self._outlet.state(RadioState.UP)
            self._settled.set()
            import_stubs.trim_heap()
            group.create_task(self._back_up_now_and_then(app, joining), name="backups")
            group.create_task(self._save_now_and_then(joining), name="saving")
            group.create_task(self._judge_now_and_then(joining), name="availability")
            await _first_of(None, stop, joining.lost, self._kick)
            raise _Over

    async def _back_up_now_and_then(self, app: Any, joining: JoinProcess) -> None:  # noqa: ANN401
        """Back up soon after the start, when devices came or went, and daily."""
        while True:
            await asyncio.sleep(BACKUP_CALM_S)
            joining.network_changed.clear()
            try:
                await self._back_up(app)
            except (*zigpy_stack.FAILURES, OSError) as error:
                _log.warning("no backup of the Zigbee network: %s", _told(error))
            else:
                joining.adopt_children()
            import_stubs.trim_heap()
            await _first_of(BACKUP_S, joining.network_changed)

    async def _back_up(self, app: Any) -> bytes:  # noqa: ANN401
        backup = await zigpy_stack.back_up(app)
        kept = self._network
        if kept is not None:
            self._network = radio_state.with_backup(kept, radio_state.settings_of(backup), backup)
            await self._files.keep(self._network)
        return json.dumps(backup).encode()

    async def _save_now_and_then(self, joining: JoinProcess) -> None:
        while True:
            await asyncio.sleep(SAVE_S)
            await joining.save()

    async def _judge_now_and_then(self, joining: JoinProcess) -> None:
        while True:
            await asyncio.sleep(JUDGE_S)
            self._registry.judge()
            joining.look_after()
            if self._registry.is_changed:
                await joining.save()

    # What the agent asks for, on the radio's loop.

    async def open_join_window(self, seconds: int, through: str, install_code: InstallCode | None) -> None:
        """See `PairableNetwork.open_window`."""
        if self._window is None:
            raise self._lost()
        with _translated():
            await self._window.open(seconds, through=through, install_code=install_code)

    async def close_join_window(self) -> None:
        """See `PairableNetwork.close_window`."""
        if self._window is None:
            raise self._lost()
        with _translated():
            await self._window.close()

    async def remove(self, device: str) -> None:
        """See `PairableNetwork.remove`."""
        eui64(device)
        if self._joining is None:
            raise self._lost()
        with _translated():
            await self._joining.remove(device)

    async def backup(self) -> bytes:
        """See `PairableNetwork.backup`."""
        if self._app is not None:
            with _translated():
                return await self._back_up(self._app)
        kept = await self._files.network()
        if kept is None or not kept.backups:
            raise NetworkLost("there is no backup yet, and no radio to make one of")
        return bytes(kept.backups[-1])

    async def restore(self, data: bytes) -> None:
        """See `PairableNetwork.restore`."""
        backup = radio_state.parse_backup(data)
        kept = await self._files.network()
        is_begun = kept is not None and kept.phase is NetworkPhase.RESTORING
        if self._outlet.report.state not in {RadioState.UP, RadioState.REFUSED} and not is_begun:
            raise self._lost()
        await self._files.keep(radio_state.restoring(kept, backup))
        self._settled.clear()
        self._kick.set()
        try:
            async with asyncio.timeout(CONNECT_S + START_S):
                await self._settled.wait()
        except TimeoutError:
            raise NetworkLost("the stick takes too long; see `climahub zigbee status`") from None
        if self._outlet.report.state is not RadioState.UP:
            raise self._lost()

    def _lost(self) -> NetworkLost:
        return NetworkLost(self._outlet.report.problem or "the radio is starting; try again in a few seconds")


async def _first_of(timeout_s: float | None, *events: asyncio.Event) -> None:
    """Wait until one of the events is set, or the time is over."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(event.wait()) for event in events]
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


async def _shut_down(app: Any) -> None:  # noqa: ANN401
    """Give the stick and the database back; without that the interpreter never ends."""
    try:
        async with asyncio.timeout(SHUTDOWN_S):
            await app.shutdown(db=True)
    except (*zigpy_stack.FAILURES, OSError) as error:
        _log.warning("the radio did not end in order: %s", _told(error))


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except zigpy_stack.FAILURES as error:
        raise NetworkLost(f"the stick did not do as it was told: {_told(error)}") from error


def _told(error: BaseException) -> str:  # noqa: PLR0911 - a table
    """Return an error in words that a technician can use; never a key."""
    match error:
        case BaseExceptionGroup():
            return _told(error.exceptions[0])
        case HalError():
            return str(error)
        case PermissionError():
            return (
                f"{error.filename or 'the port'} cannot be opened: another program uses it, or the agent's user is not"
                " in the group dialout"
            )
        case OSError() if not isinstance(error, TimeoutError):
            return f"{error.filename or 'the port'}: {error.strerror or error}"
        case TimeoutError():
            return "the stick does not answer; is it another kind (zigbee.adapter), or another baudrate?"
        case zigpy.exceptions.ZigbeeException() | zigpy.exceptions.RadioException() | bellows.ash.NcpFailure():
            return f"the stick reports {type(error).__name__}: {error}"[:TOLD_CHARACTERS_MAX]
        case _:
            return _UNKNOWN


def _serial_port(port: Any) -> SerialPort:  # noqa: ANN401 - pyserial is untyped
    """Return what the system says of a port."""
    words = (port.manufacturer, port.product, port.description, port.serial_number)
    name = " ".join(dict.fromkeys(word for word in words if word and word != "n/a"))
    return SerialPort(port.device, _by_id(port.device), port.vid or 0, port.pid or 0, name)


def _by_id(path: str) -> str:
    """Return the name that udev gives a port for as long as the stick is the same; empty where there is none."""
    directory = Path("/dev/serial/by-id")
    if not directory.is_dir():
        return ""
    return next((str(link) for link in sorted(directory.iterdir()) if os.path.realpath(link) == path), "")
