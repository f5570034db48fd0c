"""The loops of pairing: one handles the radio's join events, one brings the radio to the stored state.

The stored state is the target: an open join window, sensors that have to leave. The reconciling loop repeats it
after each restart until the radio agrees. Must never act on the radio before the store has saved the change.
"""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from agent.errors import PairingRefused, StorageFull
from agent.foundation.clock import Clock
from agent.foundation.signals import Signal
from agent.pairing import transitions
from agent.pairing.lifecycle import (
    JoinWindow,
    PairingProgress,
    PairingRecord,
    PairingStage,
    PairingState,
    PairingStepKind,
    display_name,
)
from agent.pairing.registration import Registrar, UnregisteredReadings
from agent.pairing.store import PairingStore
from hal.errors import NetworkLost, SensorUnavailable
from hal.interface import FindsSensors, RelayedSensor, SensorNetwork, parts_of
from hal.radio import InstallCode, JoinEvent, JoinStep, PairableNetwork

_log = logging.getLogger(__name__)

RETRY_S = 10.0
"""Pause before the radio or the disk is tried again."""

RECONCILE_INTERVAL_S = 3600.0
"""Interval at which the members of the network are compared with the store, besides after each change."""

WINDOW_REOPEN_MS_MIN = 1000
"""A join window with less time left is not opened again."""

Loops = Mapping[str, Callable[[], Coroutine[Any, Any, None]]]


class PairingLoops:
    """The loops, and the join window on the radio.

    Attributes:
        radio: `None` on a board without one.
    """

    def __init__(
        self,
        network: SensorNetwork | None,
        store: PairingStore,
        *,
        clock: Clock,
        registrar: Registrar,
        progress: PairingProgress,
    ) -> None:
        """Prepare; on a board without a radio its sensors are taken as members at once.

        Args:
            network: The board's relayed sensors.
            store: What is stored about pairing.
            clock: Of the people who pair, for join windows.
            registrar: Registers sensors with the cloud.
            progress: Receives each step.
        """
        self._network = network
        self.radio = next((part for part in parts_of(network) if isinstance(part, PairableNetwork)), None)
        self._finders = [part for part in parts_of(network) if isinstance(part, FindsSensors)]
        self._store = store
        self._clock = clock
        self._registrar = registrar
        self._progress = progress
        self._must_add_members = True
        self._radio_lock = asyncio.Lock()
        self._changed = Signal()
        store.on_change(lambda _: self._changed.set())

    def all(self, readings: UnregisteredReadings) -> Loops:
        """Return the loops that have to run, by name; each works until cancelled."""
        network, radio = self._network, self.radio
        loops: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}
        if network is not None:
            loops["registering"] = lambda: self._register(network, readings)
            loops["pairing file"] = self._store.read_again
        for finder in self._finders:
            loops["sensors found"] = functools.partial(self._follow_members, finder)
        if radio is not None:
            loops["joining"] = lambda: self._receive_join_events(radio)
            loops["pairing"] = lambda: self._reconcile(radio, readings)
        return loops

    def is_found(self, device: str) -> bool:
        """Tell whether a sensor is a member because a network finds its sensors by itself: it would come back."""
        return any(sensor.device == device for finder in self._finders for sensor in finder.sensors)

    def network_replaced(self) -> None:
        """Compare the members of the network with the store soon: the stick has another network."""
        self._must_add_members = True
        self._changed.set()

    async def open_window(self, radio: PairableNetwork, window: JoinWindow) -> None:
        """Save a join window and open it on the radio.

        Raises:
            NetworkLost, SensorUnavailable, PairingRefused: The radio cannot open it; no window is open.
            StorageFull: It cannot be saved; no window is open.
        """
        async with self._radio_lock:
            await self._store.commit(lambda state: transitions.with_window(state, window))
            try:
                await self._open_on_radio(radio, window)
            except (NetworkLost, SensorUnavailable, PairingRefused):
                await self._store.apply(lambda state: transitions.with_window(state, None))
                raise

    async def _register(self, network: SensorNetwork, readings: UnregisteredReadings) -> None:
        await self._add_members(network.sensors)
        await self._registrar.run(readings)

    async def _follow_members(self, network: FindsSensors) -> None:
        """Take sensors as members that the network has found by itself."""
        while True:
            await network.sensors_changed()
            await self._add_members(network.sensors)

    async def _add_members(self, sensors: Sequence[RelayedSensor]) -> None:
        """Add the members of the network that the store does not have, as after a crash between both."""
        if transitions.add_members(self._store.state, sensors) != self._store.state:
            apply = self._store.apply if self.radio is not None else self._store.apply_in_memory
            await apply(lambda state: transitions.add_members(state, sensors))

    # The radio's join events.

    async def _receive_join_events(self, radio: PairableNetwork) -> None:
        while True:
            try:
                events = await radio.join_events()
            except NetworkLost as error:
                _log.info("no sensor can join: %s", error)
                await asyncio.sleep(RETRY_S)
                continue
            for event in events:
                await self._handle(radio, event)

    async def _handle(self, radio: PairableNetwork, event: JoinEvent) -> None:
        device, sensor = event.device, event.sensor
        match event.step:
            case JoinStep.JOINED:
                await self._joined(radio, event)
            case JoinStep.INTERVIEWED if sensor is not None:
                await self._interviewed(event, sensor)
            case JoinStep.CONFIGURED:
                if sensor is not None:
                    await self._store.apply(lambda state: transitions.configure(state, sensor))
                self._add_step(PairingStepKind.CONFIGURED, event)
            case JoinStep.LEFT:
                await self._store.apply(lambda state: transitions.mark_away(state, device))
                self._add_step(PairingStepKind.LEFT, event)
            case _:
                await self._store.apply_in_memory(lambda state: transitions.with_problem(state, device, event.detail))
                self._add_step(PairingStepKind.FAILED, event)

    async def _joined(self, radio: PairableNetwork, event: JoinEvent) -> None:
        device, before = event.device, self._store.state
        # The radio does not interview a sensor twice: its earlier interview is used.
        known = [each for each in radio.sensors if each.device == device]
        state = await self._store.apply(lambda state: transitions.add_members(transitions.join(state, device), known))
        record = state.sensors.get(device)
        if record is None:
            detail = "the hub has too many sensors; remove those that are not needed"
            self._add_step(PairingStepKind.FAILED, event, detail)
            return
        detail = "it returns and keeps its identity" if record.sensor_id else event.detail
        self._add_step(PairingStepKind.JOINED, event, detail)
        self._add_keyed_step(before, state, device)

    async def _interviewed(self, event: JoinEvent, sensor: RelayedSensor) -> None:
        device, before = event.device, self._store.state
        if not sensor.kinds:
            await self._store.apply(lambda state: transitions.forget_non_sensor(state, device))
            detail = f"{sensor.name} measures nothing that the hub relays; no key is needed"
            detail += f"; {event.detail}" if event.detail not in {"", sensor.name} else ""
            self._add_step(PairingStepKind.INTERVIEWED, event, detail)
            return
        state = await self._store.apply(lambda state: transitions.interview(state, sensor, event.detail))
        self._add_step(PairingStepKind.INTERVIEWED, event)
        self._add_keyed_step(before, state, device)
        record = state.sensors.get(device)
        if record is not None and (problem := self._registrar.problem_of(record)):
            self._progress.add(PairingStepKind.WAITS, device, problem)

    def _add_step(self, kind: PairingStepKind, event: JoinEvent, detail: str | None = None) -> None:
        text = event.detail if detail is None else detail
        self._progress.add(kind, event.device, text, at_ms=event.at_ms)

    def _add_keyed_step(self, before: PairingState, state: PairingState, device: str) -> None:
        """Report that a sensor got its key, and await its first reading from then on."""
        was, now = before.sensors.get(device), state.sensors.get(device)
        if now is None or (was is not None and was.stage is now.stage):
            return
        self._progress.await_reading(device)
        if now.stage is PairingStage.KEYED:
            self._progress.add(PairingStepKind.KEYED, device)

    # The radio follows the store.

    async def _reconcile(self, radio: PairableNetwork, readings: UnregisteredReadings) -> None:
        while True:
            wait_s = RECONCILE_INTERVAL_S
            try:
                async with self._radio_lock:
                    wait_s = await self._reconcile_window(radio)
                for record in list(self._store.state.sensors.values()):
                    if record.stage is PairingStage.LEAVING:
                        await self._remove_from_network(radio, record, readings)
                if self._must_add_members:
                    self._must_add_members = False
                    await self._add_members(radio.sensors)
                if self._store.save_problem:
                    await self._store.apply(lambda state: state)
            except (NetworkLost, SensorUnavailable, StorageFull) as error:
                _log.info("the radio is not reconciled yet: %s", error)
                self._must_add_members = True
                wait_s = RETRY_S
            if not await self._changed.wait(min(wait_s, RETRY_S) if self._store.save_problem else wait_s):
                # Not after each change: the events of a sensor that joins right now come one by one.
                self._must_add_members = True

    async def _reconcile_window(self, radio: PairableNetwork) -> float:
        """Open or close the join window on the radio as stored; return for how many seconds that stays right."""
        window, now_ms = self._store.state.window, self._clock.monotonic_ms()
        if window is not None and (window.boot_id != self._clock.boot_id or window.until_ms <= now_ms):
            await self._store.commit(lambda state: transitions.with_window(state, None))
            window = None
        is_open = radio.radio.join_window_until_ms is not None
        if window is None:
            if is_open:
                await radio.close_join_window()
                self._progress.add(PairingStepKind.WINDOW_CLOSED)
            return RECONCILE_INTERVAL_S
        left_ms = window.until_ms - now_ms
        if not is_open and left_ms > WINDOW_REOPEN_MS_MIN:
            try:
                await self._open_on_radio(radio, window)
            except (SensorUnavailable, PairingRefused) as error:
                self._progress.add(PairingStepKind.WINDOW_CLOSED, detail=str(error))
                await self._store.commit(lambda state: transitions.with_window(state, None))
        return max(left_ms, 1) / 1000

    async def _open_on_radio(self, radio: PairableNetwork, window: JoinWindow) -> None:
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
        self._progress.add(PairingStepKind.WINDOW_OPEN, window.ieee_address, f"for {left_s} s")

    async def _remove_from_network(
        self, radio: PairableNetwork, record: PairingRecord, readings: UnregisteredReadings
    ) -> None:
        # ValueError: the sensor is no longer a member of the network.
        with contextlib.suppress(ValueError):
            await radio.remove(record.device)
        # It may have been registered by now: then its unsent readings go to the cloud.
        current = self._store.state.sensors.get(record.device)
        if current is not None and current.sensor_id:
            await readings.mark_registered(record.device)
        else:
            await readings.drop_unregistered(record.device)
        await self._store.apply(lambda state: transitions.finish_removal(state, record.device))
        self._progress.add(PairingStepKind.REMOVED, record.device, record.problem)
        _log.info("%s has left the network and is no longer relayed", display_name(record))
