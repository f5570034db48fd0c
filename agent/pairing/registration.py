"""Registers sensors with the cloud and lets their readings go (contract section 7).

The cloud gives a sensor the same name however often it is asked with the same key, so that a power cut between its
answer and our disk does no harm. Must never log a key, nor keep one after it was used.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from agent.cloud.client import CloudClient
from agent.cloud.endpoints import Endpoint
from agent.errors import CloudUnavailable, Refused, Throttled, Unauthorized
from agent.pairing import transitions
from agent.pairing.lifecycle import PairingEvent, PairingRecord, PairingStage, PairingState, display_name, transition
from agent.pairing.progress import PairingProgress, PairingStepKind
from agent.pairing.sensor_keys import SensorKeys
from agent.pairing.store import PairingStore

_log = logging.getLogger(__name__)

REFUSED_RETRY_S = 3600.0
"""A refused sensor is tried again this often: the operator may have provisioned its key in the meantime."""

_ADVICE = {
    HTTPStatus.FORBIDDEN: "the cloud does not take this device for a hub; ask ClimaSense support",
    HTTPStatus.NOT_FOUND: "the cloud does not know the sensor's key; check it against the label",
    HTTPStatus.CONFLICT: "the sensor belongs to another hub; have it released there first",
}


class Registrar:
    """The loop that finds out what the cloud calls each sensor."""

    def __init__(
        self,
        store: PairingStore,
        *,
        keys: SensorKeys,
        network_name: Callable[[str], str],
        client: CloudClient,
        now_ms: Callable[[], int],
        progress: PairingProgress,
        release: Callable[[str], Awaitable[None]],
    ) -> None:
        """Prepare.

        Args:
            store: The room's memory.
            keys: The keys of `relayed_sensors.sensor_keys_file`.
            network_name: Returns what the network calls a device; empty where it does not.
            client: The way to the cloud.
            now_ms: Boot time.
            progress: Told of each step.
            release: Lets the held readings of a device go; returns when that is durable, or needs not be done.
        """
        self._store = store
        self._keys = keys
        self._network_name = network_name
        self._client = client
        self._now_ms = now_ms
        self._progress = progress
        self._release = release
        self._refused_until_ms: dict[str, tuple[str, int]] = {}
        self._changed = asyncio.Event()
        store.on_change(self._changed.set)

    def key_of(self, record: PairingRecord) -> str:
        """Return the key with which a sensor can be registered; empty where there is none."""
        return record.key or self._keys.key_of(record, network_name=self._network_name(record.device))

    def keys_changed(self) -> None:
        """Look again: the keys were replaced."""
        self._refused_until_ms.clear()
        self._changed.set()

    def retry(self, device: str) -> None:
        """Ask for a refused sensor again at once: a person has looked after it."""
        self._refused_until_ms.pop(device, None)
        self._changed.set()

    async def run(self) -> None:
        """Register what can be, and look again at each change and now and then, until cancelled."""
        while True:
            self._changed.clear()
            for device, record in self._store.state.sensors.items():
                if record.stage is PairingStage.REGISTERED:
                    await self._release_readings(device)
                elif self._is_due(record):
                    await self._register(device, self.key_of(record))
            if not self._changed.is_set():
                await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(REFUSED_RETRY_S):
                await self._changed.wait()
        except TimeoutError:
            return

    def _is_due(self, record: PairingRecord) -> bool:
        key = self.key_of(record)
        if record.stage not in {PairingStage.INTERVIEWED, PairingStage.KEYED} or not key:
            return False
        refused_key, until_ms = self._refused_until_ms.get(record.device, ("", 0))
        return key != refused_key or self._now_ms() >= until_ms

    async def _register(self, device: str, key: str) -> None:
        """Ask until there is an answer, or the sensor is no longer to be asked for."""
        while True:
            await self._client.ready(Endpoint.ZIGBEE_REGISTER)
            record = self._store.state.sensors.get(device)
            if record is None or self.key_of(record) != key or not self._is_due(record):
                return
            try:
                answer = await self._client.register_sensor(key, record.ieee_address)
            except (CloudUnavailable, Throttled, Unauthorized) as error:
                _log.info("registering %s waits: %s", display_name(record), error)
                continue
            except Refused as error:
                await self._refused(record, key, f"{error}; {_ADVICE.get(HTTPStatus(error.status), 'check its key')}")
                return
            await self._registered(device, key, answer.sensor_id, answer.serial_number or "")
            return

    async def _refused(self, record: PairingRecord, key: str, problem: str) -> None:
        self._refused_until_ms[record.device] = (key, self._now_ms() + int(REFUSED_RETRY_S * 1000))
        await self._store.apply_in_memory(lambda state: transitions.with_problem(state, record.device, problem))
        self._progress.add(PairingStepKind.REFUSED, record.device, problem)
        _log.warning("%s is not registered: %s", display_name(record), problem)

    async def _registered(self, device: str, key: str, sensor_id: str, serial_number: str) -> None:
        def change(state: PairingState) -> PairingState:
            return transitions.register(state, device, sensor_id=sensor_id, serial_number=serial_number)

        self._refused_until_ms.pop(device, None)
        record = (await self._store.apply(change)).sensors[device]
        if record.sensor_id != sensor_id:
            await self._refused(record, key, record.problem)
            return
        self._progress.add(PairingStepKind.REGISTERED, device, f"the cloud calls it {sensor_id}")
        if record.stage is PairingStage.REGISTERED:
            await self._release_readings(device)

    async def _release_readings(self, device: str) -> None:
        """Release what was held: after this, its readings go straight to the cloud."""
        await self._release(device)

        def change(state: PairingState) -> PairingState:
            record = state.sensors.get(device)
            if record is None or record.stage is not PairingStage.REGISTERED:
                return state
            return transitions.with_records(state, transition(record, PairingEvent.RELEASE))

        await self._store.apply(change)
        self._progress.add(PairingStepKind.RELAYING, device)
