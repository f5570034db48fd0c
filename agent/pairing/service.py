"""PairingService: opens the window, follows each sensor on its way into the network, lets it go again.

What is wanted stands in the store; one loop brings the radio to it, again after each restart, until both agree. Must
never act on the radio before the store has it on the disk.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.cloud.client import CloudClient
from agent.errors import PairingRefused, StorageFull, UnknownSensor
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker
from agent.pairing import transitions
from agent.pairing.join_window import JoinWindowRequest, build_join_window, validate_key
from agent.pairing.lifecycle import JoinWindow, PairingRecord, PairingStage, PairingState, display_name
from agent.pairing.progress import PairingProgress, PairingStep, PairingStepKind
from agent.pairing.registration import Registrar
from agent.pairing.sensor_keys import SensorKeys
from agent.pairing.store import PairingStore
from hal.errors import NetworkLost, SensorUnavailable
from hal.interface import RelayedSensor, SensorNetwork
from hal.radio import InstallCode, JoinEvent, JoinStep, PairableNetwork

_log = logging.getLogger(__name__)

RETRY_S = 10.0
"""Pause before the radio is asked again, or the disk."""

RECONCILE_INTERVAL_S = 3600.0
"""How often the network's list of sensors is compared with the store, besides at each change."""

WINDOW_REOPEN_MS_MIN = 1000
"""A window with less time left is not opened again."""

WAITS_FOR_KEY = "waits for its key: climahub zigbee key, or relayed_sensors.sensor_keys_file"
WAITS_FOR_INTERVIEW = "has joined and not said yet what it is; press its button again if this lasts"
AWAY = "has left the network; open a window and press its button: it stays who it was"


class PairingService:
    """The room. Boards without a radio have none to pair: their sensors are simply known.

    Attributes:
        progress: What happened lately.
    """

    def __init__(
        self,
        directory: Path,
        *,
        network: SensorNetwork | None,
        keys: Mapping[str, str],
        clock: Clock,
        disk: Disk,
        worker: Worker,
        client: CloudClient,
        release: Callable[[str], Awaitable[None]],
        abandon: Callable[[str], Awaitable[None]],
    ) -> None:
        """Read what is known already.

        Args:
            directory: Where `relayed.json` lies.
            network: The board's relayed sensors.
            keys: The keys of `relayed_sensors.sensor_keys_file`, by device, IEEE address or name.
            clock: The boot's clocks.
            disk: Writes the file.
            worker: Where writing blocks.
            client: The way to the cloud.
            release: Lets the held readings of a device go.
            abandon: Gives them up, where nobody can name the device any more; may raise `StorageFull`.
        """
        self._release = release
        self._abandon = abandon
        self._network = network
        self._radio = network if isinstance(network, PairableNetwork) else None
        self._clock = clock
        self._store = PairingStore(directory, disk=disk, worker=worker)
        if network is not None:
            self._store.state = transitions.add_members(self._store.state, network.sensors)
        self._keys = SensorKeys(keys)
        self.progress = PairingProgress(clock.monotonic_ms)
        self._registrar = Registrar(
            self._store,
            keys=self._keys,
            network_name=lambda device: self._network_names().get(device, ""),
            client=client,
            now_ms=clock.monotonic_ms,
            progress=self.progress,
            release=release,
        )
        self._awaiting_first_reading: set[str] = set()
        self._must_add_members = True
        self._radio_lock = asyncio.Lock()
        self._changed = asyncio.Event()
        self._store.on_change(self._changed.set)

    # What other rooms are told.

    @property
    def registered_devices(self) -> Sequence[str]:
        """The devices that have their identity, removed ones included."""
        return tuple(record.device for record in self._store.state.sensors.values() if record.sensor_id)

    def is_registered(self, device: str) -> bool:
        """Tell whether a device has its identity."""
        return self.sensor_id(device) is not None

    def sensor_id(self, device: str) -> str | None:
        """Return what the cloud calls a device; `None` before it is registered."""
        record = self._store.state.sensors.get(device)
        return (record.sensor_id or None) if record else None

    def is_relayed(self, device: str) -> bool:
        """Tell whether a device's readings may be taken in: not after it was removed or replaced."""
        record = self._store.state.sensors.get(device)
        return record is None or record.is_relayed

    def record_acceptance(self, registered_devices: Iterable[str]) -> None:
        """Take note that the cloud took readings of some devices: the end of a pairing is their first."""
        if self._awaiting_first_reading:
            for device in self._awaiting_first_reading.intersection(registered_devices):
                self._awaiting_first_reading.discard(device)
                self.progress.add(PairingStepKind.ACCEPTED, device, "the cloud has its first reading")

    # What people are shown.

    @property
    def state(self) -> PairingState:
        """All that is known, removed sensors included."""
        return self._store.state

    @property
    def radio(self) -> PairableNetwork | None:
        """The radio; `None` on a board without one."""
        return self._radio

    @property
    def sensors(self) -> Sequence[RelayedSensor]:
        """The sensors that the network knows now."""
        return self._network.sensors if self._network is not None else ()

    @property
    def steps(self) -> Sequence[PairingStep]:
        """What happened lately, oldest first."""
        return self.progress.steps

    @property
    def file_problem(self) -> str:
        """What is wrong with the file; empty where nothing is."""
        return self._store.problem or self._store.file_problem

    @property
    def unmatched_keys(self) -> Sequence[str]:
        """What the keys file calls sensors that nobody knows."""
        return self._keys.unmatched(self._store.state.sensors.values(), self._network_names())

    def _network_names(self) -> Mapping[str, str]:
        return {sensor.device: sensor.name for sensor in self.sensors}

    def problem_of(self, record: PairingRecord) -> str:
        """Return why a sensor does not get on, and what to do; empty where nothing is wrong."""
        if record.is_away:
            return AWAY
        if record.problem or not record.is_relayed:
            return record.problem
        if record.stage is PairingStage.JOINED:
            return WAITS_FOR_INTERVIEW
        if record.stage is PairingStage.INTERVIEWED and not self._registrar.key_of(record):
            return WAITS_FOR_KEY
        return ""

    # What a technician asks for. Each is on the disk when it returns.

    async def open_join_window(self, request: JoinWindowRequest) -> None:
        """Let sensors join.

        Raises:
            PairingRefused, LabelInvalid, UnknownSensor: It cannot be done so.
            NetworkLost, SensorUnavailable: The radio, or the router, does not answer; no window is open.
            StorageFull: It cannot be kept; no window is open.
        """
        radio = self._require_radio()
        window = build_join_window(request, self._store.state, self._clock.boot_id, self._clock.monotonic_ms())
        async with self._radio_lock:
            await self._store.commit(lambda state: transitions.with_window(state, window))
            try:
                await self._open(radio, window)
            except (NetworkLost, SensorUnavailable, PairingRefused):
                await self._store.apply(lambda state: transitions.with_window(state, None))
                raise

    async def close_join_window(self) -> None:
        """Let no more sensors join.

        Raises:
            PairingRefused: There is no radio on this board.
            StorageFull: It stays as it is.
        """
        self._require_radio()
        await self._store.commit(lambda state: transitions.with_window(state, None))

    async def rename(self, wanted: str, name: str) -> None:
        """Give a sensor another name; so can be called what is simply known.

        Raises:
            PairingRefused, UnknownSensor, StorageFull: It keeps its name.
        """
        device = transitions.find_sensor(self._store.state, wanted).device
        await self._store.commit(lambda state: transitions.rename(state, device, name))

    def keys_changed(self) -> None:
        """Look again at the keys that were given to `PairingService`: they were replaced."""
        self._registrar.keys_changed()

    async def give_key(self, wanted: str, key: str) -> None:
        """Give a sensor its key.

        Raises:
            PairingRefused, UnknownSensor, StorageFull: The key was not taken.
        """
        device = transitions.find_sensor(self._store.state, wanted).device
        key = validate_key(key)
        await self._store.commit(lambda state: transitions.give_key(state, device, key))
        self._registrar.retry(device)
        self._awaiting_first_reading.add(device)
        self.progress.add(PairingStepKind.KEYED, device)

    async def replace(self, old: str, new: str) -> None:
        """Carry name and identity of a sensor over to one that has joined already; the old one leaves.

        Raises:
            PairingRefused, UnknownSensor, StorageFull: Nothing was changed.
        """
        self._require_radio()
        old_device = transitions.find_sensor(self._store.state, old).device
        new_device = transitions.find_sensor(self._store.state, new).device
        await self._store.commit(lambda state: transitions.replace(state, old_device, new_device))
        self._awaiting_first_reading.add(new_device)

    async def remove(self, wanted: str) -> None:
        """Stop relaying a sensor and have it leave the network; so leaves any member, a router say.

        Raises:
            PairingRefused, UnknownSensor, StorageFull: Nothing was changed.
        """
        radio = self._require_radio()
        try:
            device, change = transitions.find_sensor(self._store.state, wanted).device, transitions.begin_removal
        except UnknownSensor:
            device, change = transitions.find_member(radio.links, wanted), transitions.begin_member_removal
        await self._store.commit(lambda state: change(state, device))

    async def backup(self) -> bytes:
        """Return the network's settings: a secret.

        Raises:
            PairingRefused: There is no radio on this board.
            NetworkLost: There is nothing to back up now.
        """
        return await self._require_radio().backup()

    async def restore(self, data: bytes) -> None:
        """Give the stick the network of a backup.

        Raises:
            PairingRefused: There is no radio on this board, or this is no backup.
            NetworkLost: There is no radio now.
        """
        radio = self._require_radio()
        try:
            await radio.restore(data)
        except ValueError as error:
            raise PairingRefused(f"this is no backup of a Zigbee network: {error}") from error
        self._must_add_members = True
        self._changed.set()

    def _require_radio(self) -> PairableNetwork:
        if self._radio is None:
            raise PairingRefused("this hub has no radio to pair with: the sensors of its board are simply known")
        return self._radio

    # The loops.

    def loops(self) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
        """Return what has to run side by side, by name; each works until cancelled."""
        network, radio = self._network, self._radio
        loops: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}
        if network is not None:
            loops["registering"] = lambda: self._register(network)
            loops["pairing file"] = self._store.retry_read
        if radio is not None:
            loops["joining"] = lambda: self._listen(radio)
            loops["pairing"] = lambda: self._converge(radio)
        return loops

    async def _register(self, network: SensorNetwork) -> None:
        await self._add_members(network.sensors)
        await self._registrar.run()

    async def _add_members(self, sensors: Sequence[RelayedSensor]) -> None:
        """Take in the sensors that the network knows and the store does not, as after a restart between both."""
        if transitions.add_members(self._store.state, sensors) != self._store.state:
            keep = self._store.apply if self._radio is not None else self._store.apply_in_memory
            await keep(lambda state: transitions.add_members(state, sensors))

    async def _listen(self, radio: PairableNetwork) -> None:
        while True:
            try:
                events = await radio.join_events()
            except NetworkLost as error:
                _log.info("nobody can join: %s", error)
                await asyncio.sleep(RETRY_S)
                continue
            for event in events:
                await self._take(radio, event)

    async def _take(self, radio: PairableNetwork, event: JoinEvent) -> None:
        device, sensor = event.device, event.sensor
        before = self._store.state
        match event.step:
            case JoinStep.JOINED:
                # One that was interviewed before is not interviewed again: the network knows it.
                known = [each for each in radio.sensors if each.device == device]
                state = await self._store.apply(
                    lambda state: transitions.add_members(transitions.join(state, device), known)
                )
                detail = "it comes back and stays who it was" if self.is_registered(device) else event.detail
                if device not in state.sensors:
                    detail = "the hub knows too many sensors already; remove those that are not needed"
                    self.progress.add(PairingStepKind.FAILED, device, detail, at_ms=event.at_ms)
                    return
                self.progress.add(PairingStepKind.JOINED, device, detail, at_ms=event.at_ms)
                self._note_key(before, state, device)
            case JoinStep.INTERVIEWED if sensor is not None and not sensor.kinds:
                await self._store.apply(lambda state: transitions.forget_non_sensor(state, device))
                detail = f"{sensor.name} measures nothing that the hub relays; no key is needed"
                detail += f"; {event.detail}" if event.detail not in {"", sensor.name} else ""
                self.progress.add(PairingStepKind.INTERVIEWED, device, detail, at_ms=event.at_ms)
            case JoinStep.INTERVIEWED if sensor is not None:
                state = await self._store.apply(lambda state: transitions.interview(state, sensor, event.detail))
                self.progress.add(PairingStepKind.INTERVIEWED, device, event.detail, at_ms=event.at_ms)
                self._note_key(before, state, device)
                record = state.sensors.get(device)
                if record is not None and (problem := self.problem_of(record)):
                    self.progress.add(PairingStepKind.WAITS, device, problem)
            case JoinStep.CONFIGURED:
                if sensor is not None:
                    await self._store.apply(lambda state: transitions.configure(state, sensor))
                self.progress.add(PairingStepKind.CONFIGURED, device, event.detail, at_ms=event.at_ms)
            case JoinStep.LEFT:
                await self._store.apply(lambda state: transitions.mark_away(state, device))
                self.progress.add(PairingStepKind.LEFT, device, event.detail, at_ms=event.at_ms)
            case _:
                await self._store.apply_in_memory(lambda state: transitions.with_problem(state, device, event.detail))
                self.progress.add(PairingStepKind.FAILED, device, event.detail, at_ms=event.at_ms)

    def _note_key(self, before: PairingState, state: PairingState, device: str) -> None:
        """Show when a sensor got its key, and await its first reading from then on."""
        was, now = before.sensors.get(device), state.sensors.get(device)
        if now is None:
            return
        if was is None or was.stage is not now.stage:
            self._awaiting_first_reading.add(device)
        if now.stage is PairingStage.KEYED and (was is None or was.stage is not PairingStage.KEYED):
            self.progress.add(PairingStepKind.KEYED, device)

    async def _converge(self, radio: PairableNetwork) -> None:
        """Bring the radio to what the store says, at each change and now and then."""
        while True:
            self._changed.clear()
            wait_s = RECONCILE_INTERVAL_S
            try:
                async with self._radio_lock:
                    wait_s = await self._converge_window(radio)
                for record in list(self._store.state.sensors.values()):
                    if record.stage is PairingStage.LEAVING:
                        await self._remove_from_network(radio, record)
                if self._must_add_members:
                    self._must_add_members = False
                    await self._add_members(radio.sensors)
                if self._store.problem:
                    await self._store.apply(lambda state: state)
            except (NetworkLost, SensorUnavailable, StorageFull) as error:
                _log.info("the radio waits: %s", error)
                self._must_add_members = True
                wait_s = RETRY_S
            if self._store.problem:
                wait_s = min(wait_s, RETRY_S)
            await self._pause(wait_s)

    async def _pause(self, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._changed.wait()
        except TimeoutError:
            # Not at each change: what is joining right now is told by its events, one step after the other.
            self._must_add_members = True

    async def _converge_window(self, radio: PairableNetwork) -> float:
        """Open or close the radio's window as the store has it; return how long that stays right."""
        window, now_ms = self._store.state.window, self._clock.monotonic_ms()
        if window is not None and (window.boot_id != self._clock.boot_id or window.until_ms <= now_ms):
            await self._store.commit(lambda state: transitions.with_window(state, None))
            window = None
        if window is None:
            if radio.radio.join_window_until_ms is not None:
                await radio.close_join_window()
                self.progress.add(PairingStepKind.WINDOW_CLOSED)
            return RECONCILE_INTERVAL_S
        left_ms = window.until_ms - now_ms
        if radio.radio.join_window_until_ms is None and left_ms > WINDOW_REOPEN_MS_MIN:
            try:
                await self._open(radio, window)
            except (SensorUnavailable, PairingRefused) as error:
                self.progress.add(PairingStepKind.WINDOW_CLOSED, detail=str(error))
                await self._store.commit(lambda state: transitions.with_window(state, None))
        return max(left_ms, 1) / 1000

    async def _open(self, radio: PairableNetwork, window: JoinWindow) -> None:
        left_s = max(1, (window.until_ms - self._clock.monotonic_ms() + 999) // 1000)
        code = None
        if window.code:
            code = InstallCode(
                window.ieee_address, bytes.fromhex(window.code), window.is_link_key, or_address=window.reversed_address
            )
        try:
            await radio.open_join_window(left_s, through=window.through, install_code=code)
        except ValueError as error:
            # The cause is dropped: it may repeat the code.
            raise PairingRefused(f"this radio cannot use the label's code: {error}") from None
        self.progress.add(PairingStepKind.WINDOW_OPEN, window.ieee_address, f"for {left_s} s")

    async def _remove_from_network(self, radio: PairableNetwork, record: PairingRecord) -> None:
        # One that the network has forgotten meanwhile is gone as well.
        with contextlib.suppress(ValueError):
            await radio.remove(record.device)
        # By now it may have been registered; what it measured while it waited goes out under that name.
        await (self._release if self.is_registered(record.device) else self._abandon)(record.device)
        await self._store.apply(lambda state: transitions.finish_removal(state, record.device))
        self.progress.add(PairingStepKind.REMOVED, record.device, record.problem)
        _log.info("%s has left and is relayed no longer", display_name(record))
