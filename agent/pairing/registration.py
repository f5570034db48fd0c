"""Registers sensors with the cloud and releases their readings (contract section 7).

Registration is idempotent: the cloud returns the same id for the same key each time, so a power cut between its answer
and the write to disk does no harm. Must never log a key, nor keep one after it was used.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Protocol

from agent.cloud.client import ProvisioningClient
from agent.cloud.contract import Endpoint
from agent.errors import CloudUnavailable, Refused, Throttled, Unauthorized
from agent.foundation.signals import Signal
from agent.pairing import transitions
from agent.pairing.lifecycle import (
    PairingEvent,
    PairingProgress,
    PairingRecord,
    PairingStage,
    PairingState,
    PairingStepKind,
    display_name,
    transition,
)
from agent.pairing.store import PairingStore

_log = logging.getLogger(__name__)

REFUSED_RETRY_S = 3600.0
"""A refused sensor is tried again this often: the operator may have provisioned its key in the meantime."""

NEEDS_KEY = "waits for its key: give it with climahub zigbee key, or in relayed_sensors.sensor_keys_file"
NEEDS_INTERVIEW = "has joined but has not been identified yet; press its button again if this lasts"
AWAY = "has left the network; open a join window and press its button: it keeps its identity"

_ADVICE = {
    HTTPStatus.FORBIDDEN: "the cloud does not take this device for a hub; ask ClimaSense support",
    HTTPStatus.NOT_FOUND: "the cloud does not know the sensor's key; check it against the label",
    HTTPStatus.CONFLICT: "the sensor belongs to another hub; have it released there first",
}

_IEEE = re.compile(r"(?:0x)?([0-9a-f]{16})")
_SEPARATORS = str.maketrans("", "", ":-. ")


class UnregisteredReadings(Protocol):
    """The readings of sensors that have no cloud identity yet. Implemented by telemetry."""

    async def mark_registered(self, device: str) -> None:
        """Have the readings of a device sent that was registered; returns once that is durable or not needed."""
        ...

    async def drop_unregistered(self, device: str) -> None:
        """Give up the readings of a device that can no longer be registered.

        Raises:
            StorageFull: They are still kept.
        """
        ...


def canonical(label: str) -> str:
    """Return a device, IEEE address or name in its canonical spelling, for comparisons.

    An address may be written in capitals, with or without `0x`, with colons or dashes; a name in any case.
    """
    text = " ".join(label.split()).casefold()
    address = _IEEE.fullmatch(text.translate(_SEPARATORS))
    return f"0x{address[1]}" if address else text


class SensorKeys:
    """The keys of `relayed_sensors.sensor_keys_file`, by device, IEEE address or name. Never shows a key."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        """Take the keys by the labels of the file."""
        self._keys = keys

    def key_of(self, record: PairingRecord, *, network_name: str = "") -> str:
        """Return the key of a sensor in the file; empty for none.

        Args:
            record: The sensor.
            network_name: Its name in the network, which is used until a person has named it.
        """
        for label in (record.device, record.ieee_address):
            if label and label in self._keys:
                return self._keys[label]
        by_label = {canonical(label): key for label, key in self._keys.items()}
        return next((by_label[label] for label in _labels(record, network_name) if label in by_label), "")

    def unmatched(self, records: Iterable[PairingRecord], network_names: Mapping[str, str]) -> list[str]:
        """Return the labels of the file that match no sensor, removed ones included.

        Args:
            records: All sensors that are or were paired.
            network_names: The names of sensors in the network, by device.
        """
        known = {canonical(label) for pair in network_names.items() for label in pair}
        for record in records:
            known.update(_labels(record, network_names.get(record.device, "")))
        return [label for label in self._keys if canonical(label) not in known]


def _labels(record: PairingRecord, network_name: str) -> list[str]:
    return [canonical(label) for label in (record.device, record.ieee_address, record.name or network_name) if label]


class Registrar:
    """The loop that registers sensors."""

    def __init__(
        self,
        store: PairingStore,
        *,
        keys: SensorKeys,
        network_names: Callable[[], Mapping[str, str]],
        client: ProvisioningClient,
        now_ms: Callable[[], int],
        progress: PairingProgress,
    ) -> None:
        """Prepare.

        Args:
            store: What is stored about pairing.
            keys: The keys of `relayed_sensors.sensor_keys_file`.
            network_names: Returns the names of sensors in the network, by device.
            client: The connection to the cloud.
            now_ms: Returns boot time.
            progress: Receives each step.
        """
        self._store = store
        self._keys = keys
        self._network_names = network_names
        self._client = client
        self._now_ms = now_ms
        self._progress = progress
        self._refused_until_ms: dict[str, tuple[str, int]] = {}
        self._changed = Signal()
        store.on_change(lambda _: self._changed.set())

    def key_of(self, record: PairingRecord) -> str:
        """Return the key to register a sensor with; empty for none."""
        return record.key or self._keys.key_of(record, network_name=self._network_names().get(record.device, ""))

    def problem_of(self, record: PairingRecord) -> str:
        """Return why the pairing of a sensor does not proceed, and what to do; empty for no problem."""
        if record.is_away:
            return AWAY
        if record.problem or not record.is_relayed:
            return record.problem
        if record.stage is PairingStage.JOINED:
            return NEEDS_INTERVIEW
        if record.stage is PairingStage.INTERVIEWED and not self.key_of(record):
            return NEEDS_KEY
        return ""

    def keys_changed(self) -> None:
        """Try all sensors again: the keys were replaced."""
        self._refused_until_ms.clear()
        self._changed.set()

    def retry(self, device: str) -> None:
        """Try a refused sensor again at once: a person has given its key."""
        self._refused_until_ms.pop(device, None)
        self._changed.set()

    async def run(self, readings: UnregisteredReadings) -> None:
        """Register all sensors that have a key, after each change and every `REFUSED_RETRY_S`, until cancelled.

        Args:
            readings: The readings of sensors without an identity: released after the registration.
        """
        while True:
            for device, record in self._store.state.sensors.items():
                if record.stage is PairingStage.REGISTERED:
                    await self._release(device, readings)
                elif self._is_due(record):
                    await self._register(device, self.key_of(record), readings)
            await self._changed.wait(REFUSED_RETRY_S)

    def _is_due(self, record: PairingRecord) -> bool:
        key = self.key_of(record)
        if record.stage not in {PairingStage.INTERVIEWED, PairingStage.KEYED} or not key:
            return False
        refused_key, until_ms = self._refused_until_ms.get(record.device, ("", 0))
        return key != refused_key or self._now_ms() >= until_ms

    async def _register(self, device: str, key: str, readings: UnregisteredReadings) -> None:
        """Ask the cloud until it answers, or until the sensor is no longer due."""
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
            if await self._save(device, key, answer.sensor_id, answer.serial_number or ""):
                await self._release(device, readings)
            return

    async def _refused(self, record: PairingRecord, key: str, problem: str) -> None:
        self._refused_until_ms[record.device] = (key, self._now_ms() + int(REFUSED_RETRY_S * 1000))
        await self._store.apply_in_memory(lambda state: transitions.with_problem(state, record.device, problem))
        self._progress.add(PairingStepKind.REFUSED, record.device, problem)
        _log.warning("%s is not registered: %s", display_name(record), problem)

    async def _save(self, device: str, key: str, sensor_id: str, serial_number: str) -> bool:
        """Save the identity of a sensor; return whether its readings have to be released."""

        def change(state: PairingState) -> PairingState:
            return transitions.register(state, device, sensor_id=sensor_id, serial_number=serial_number)

        self._refused_until_ms.pop(device, None)
        record = (await self._store.apply(change)).sensors[device]
        if record.sensor_id != sensor_id:
            await self._refused(record, key, record.problem)
            return False
        self._progress.add(PairingStepKind.REGISTERED, device, f"the cloud calls it {sensor_id}")
        return record.stage is PairingStage.REGISTERED

    async def _release(self, device: str, readings: UnregisteredReadings) -> None:
        """Release the readings of a sensor: from now on they go straight to the cloud."""
        await readings.mark_registered(device)

        def change(state: PairingState) -> PairingState:
            record = state.sensors.get(device)
            if record is None or record.stage is not PairingStage.REGISTERED:
                return state
            return transitions.with_records(state, transition(record, PairingEvent.RELEASE))

        await self._store.apply(change)
        self._progress.add(PairingStepKind.RELAYING, device)
