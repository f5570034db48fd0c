"""Pairing: builds its parts and answers what other components and people ask about sensors."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from agent.cloud.client import ProvisioningClient
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker
from agent.pairing import transitions
from agent.pairing.actions import PairingActions
from agent.pairing.lifecycle import PairingProgress, PairingRecord, PairingState, PairingStep
from agent.pairing.loops import Loops, PairingLoops
from agent.pairing.registration import Registrar, SensorKeys, UnregisteredReadings
from agent.pairing.store import PairingStore
from hal.interface import RelayedSensor, SensorNetwork, parts_of
from hal.radio import HasLinks, PairableNetwork, SensorLink


class SensorIdentities:
    """The cloud identities of relayed sensors, for telemetry."""

    def __init__(self, store: PairingStore, progress: PairingProgress) -> None:
        self._store = store
        self._progress = progress

    @property
    def registered_devices(self) -> Sequence[str]:
        """The devices with a cloud identity, removed ones included."""
        return tuple(record.device for record in self._store.state.sensors.values() if record.sensor_id)

    def is_registered(self, device: str) -> bool:
        """Tell whether a device has a cloud identity."""
        return self.sensor_id(device) is not None

    def sensor_id(self, device: str) -> str | None:
        """Return the cloud's id of a device; `None` before it is registered."""
        record = self._store.state.sensors.get(device)
        return (record.sensor_id or None) if record else None

    def is_relayed(self, device: str) -> bool:
        """Tell whether the readings of a device are accepted: not after it was removed or replaced."""
        record = self._store.state.sensors.get(device)
        return record is None or record.is_relayed

    def record_acceptance(self, devices: Iterable[str]) -> None:
        """Take note that the cloud accepted readings of these devices."""
        self._progress.record_acceptance(devices)


class PairingQueries:
    """What people are shown of pairing."""

    def __init__(
        self,
        store: PairingStore,
        *,
        network: SensorNetwork | None,
        keys: SensorKeys,
        registrar: Registrar,
        progress: PairingProgress,
    ) -> None:
        self._store = store
        self._network = network
        self._keys = keys
        self._registrar = registrar
        self._progress = progress
        self.radio = next((part for part in parts_of(network) if isinstance(part, PairableNetwork)), None)
        """The radio; `None` on a board without one."""
        # Once: the check of a Protocol reads every member, and links are made anew at each reading.
        self._linked = network if isinstance(network, HasLinks) else None

    @property
    def state(self) -> PairingState:
        """Everything that is stored, removed sensors included."""
        return self._store.state

    def devices_by_name(self) -> Mapping[str, str]:
        """Return the relayed devices by name: the name that a person gave, else that of the network."""
        named = {sensor.name: sensor.device for sensor in self.sensors}
        records = self.state.sensors.values()
        return named | {record.name: record.device for record in records if record.is_relayed and record.name}

    @property
    def links(self) -> Sequence[SensorLink]:
        """Which members of the network are online; empty where it does not know."""
        return self._linked.links if self._linked is not None else ()

    @property
    def sensors(self) -> Sequence[RelayedSensor]:
        """The sensors in the network now."""
        return self._network.sensors if self._network is not None else ()

    @property
    def network_names(self) -> Mapping[str, str]:
        """The names of the sensors in the network, by device."""
        return {sensor.device: sensor.name for sensor in self.sensors}

    @property
    def steps(self) -> Sequence[PairingStep]:
        """The latest steps, oldest first."""
        return self._progress.steps

    @property
    def file_problem(self) -> str:
        """What is wrong with the stored file; empty for nothing."""
        return self._store.file_problem

    @property
    def unmatched_keys(self) -> Sequence[str]:
        """The labels of the keys file that match no sensor."""
        return self._keys.unmatched(self._store.state.sensors.values(), self.network_names)

    def problem_of(self, record: PairingRecord) -> str:
        """Return why the pairing of a sensor does not proceed, and what to do; empty for no problem."""
        return self._registrar.problem_of(record)


class PairingService:
    """All of pairing. Boards without a radio have nothing to pair: their sensors are built in.

    Attributes:
        identities: The cloud identities of relayed sensors.
        queries: What people are shown.
        actions: What a technician can do.
    """

    def __init__(
        self,
        directory: Path,
        *,
        network: SensorNetwork | None,
        keys: Mapping[str, str],
        clock: Clock,
        port_clock: Clock,
        disk: Disk,
        worker: Worker,
        client: ProvisioningClient,
    ) -> None:
        """Read the stored state. Blocks.

        Args:
            directory: Where `relayed.json` is.
            network: The board's relayed sensors.
            keys: The keys of `relayed_sensors.sensor_keys_file`, by device, IEEE address or name.
            clock: The boot's clocks.
            port_clock: The clock of the people who pair, for join windows.
            disk: Reads and writes the file.
            worker: Runs what blocks.
            client: The connection to the cloud.
        """
        store = PairingStore(directory, disk=disk, worker=worker)
        if network is not None:
            store.value = transitions.add_members(store.value, network.sensors)
        progress = PairingProgress(clock.monotonic_ms)
        sensor_keys = SensorKeys(keys)
        self._store = store
        self._registrar = Registrar(
            store,
            keys=sensor_keys,
            network_names=lambda: self.queries.network_names,
            client=client,
            now_ms=clock.monotonic_ms,
            progress=progress,
        )
        self._loops = PairingLoops(network, store, clock=port_clock, registrar=self._registrar, progress=progress)
        self.identities = SensorIdentities(store, progress)
        self.queries = PairingQueries(
            store, network=network, keys=sensor_keys, registrar=self._registrar, progress=progress
        )
        self.actions = PairingActions(
            store,
            clock=port_clock,
            loops=self._loops,
            registrar=self._registrar,
            progress=progress,
            network_names=lambda: self.queries.network_names,
        )

    async def rewrite(self) -> None:
        """Write the sensors' book anew.

        Raises:
            StorageFull: The disk refuses.
        """
        await self._store.rewrite()

    def keys_changed(self) -> None:
        """Use the keys as they are now: those given to the constructor were replaced in place."""
        self._registrar.keys_changed()

    def loops(self, readings: UnregisteredReadings) -> Loops:
        """Return the loops that have to run, by name; each works until cancelled.

        Args:
            readings: The readings of sensors without a cloud identity.
        """
        return self._loops.all(readings)
