"""Checks pairing: no sensor is paired twice, none is lost, a removed one is silent, and no key is left behind.

The oracle compares the network, the cloud, the workload's expectations and the hub's files, read from outside. Must
never ask the hub. Without boxed sensors every sensor is known from the start, and only the end is judged.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent import app
from hal.sim import SimMesh
from lab.refcloud.records import AcceptedReading, CloudDevice, DeviceKind
from lab.refcloud.store import ReadingKey, Store
from lab.simulation.options import Options
from lab.simulation.pairing_workload import ExpectedPairings, PairingWorkload
from lab.simulation.reading_oracle import DELIVERY_S_MAX
from lab.simulation.scenario import Scenario

RELAYED = "relayed.json"

RECENT_INTERVALS = 3
"""A relayed sensor must have a reading within this many of its intervals, plus the time for delivery."""

REMOVED_S_MAX = 60.0
"""A reading within this time after a removal was already on its way."""


class PairingCounts(msgspec.Struct, frozen=True):
    """The outcomes of relayed sensors.

    Attributes:
        joined: Have been in the network.
        registered: Bound to this hub in the cloud.
        relayed: Have readings in the cloud.
        paired_twice: Sensors with two identities, or identities with two sensors; always 0.
        lost: Expected sensors in the network whose readings do not arrive; always 0.
    """

    joined: int = 0
    registered: int = 0
    relayed: int = 0
    paired_twice: int = 0
    lost: int = 0


class PairingOracle:
    """Keeps the account of sensors."""

    def __init__(
        self,
        ids: Mapping[str, str],
        *,
        expected: ExpectedPairings,
        mesh: SimMesh | None,
        violate: Callable[[float, str, str], None],
    ) -> None:
        """Begin.

        Args:
            ids: The cloud's id of each device.
            expected: The sensors that the hub must relay.
            mesh: The network with boxed sensors; `None` where every sensor is known from the start.
            violate: Receives each violation: seconds, promise, detail.
        """
        self._ids = ids
        self._expected = expected
        self._mesh = mesh
        self._violate = violate
        self._newest_ms: dict[str, int] = {}

    def record_stored(self, readings: Iterable[AcceptedReading]) -> None:
        """The cloud has accepted readings. Called only where sensors are boxed."""
        for reading in readings:
            self._newest_ms[reading.device_id] = max(self._newest_ms.get(reading.device_id, 0), reading.at_ms)

    def close(
        self,
        at_s: float,
        *,
        start_utc_ms: int,
        interval_s: float,
        delivery_s: float,
        state_dir: Path,
        keys: Iterable[str],
        sensors: Sequence[CloudDevice],
        has_readings: Callable[[str], bool],
    ) -> PairingCounts:
        """Judge the end.

        Args:
            at_s: Now, in virtual seconds.
            start_utc_ms: UTC of second 0.
            interval_s: Between two reports of a sensor.
            delivery_s: How long a reading may be on its way.
            state_dir: Of the hub.
            keys: Which must not be found there.
            sensors: All devices that the cloud has.
            has_readings: Tells whether the cloud has readings under an id.
        """
        bound = [each for each in sensors if each.kind is DeviceKind.SENSOR and each.hub_id]
        twice = self._twice(bound, at_s) + self._twice_in_book(state_dir, at_s)
        recent_ms = start_utc_ms + int((at_s - delivery_s - RECENT_INTERVALS * interval_s) * 1000)
        lost = 0
        bound_ids = {each.device_id for each in bound}
        for device, root in self._expected.paired.items():
            if self._ids[root] not in bound_ids or self._is_silent(device, self._ids[root], recent_ms):
                lost += 1
                self._violate(at_s, "no sensor lost", f"nothing of {device} arrives, and it is wanted")
        self._check_removed(at_s, start_utc_ms)
        self._check_keys(at_s, state_dir, keys)
        return PairingCounts(
            joined=len(self._expected.joined),
            registered=len(bound),
            relayed=sum(has_readings(each.device_id) for each in bound),
            paired_twice=twice,
            lost=lost,
        )

    def _twice(self, bound: Iterable[CloudDevice], at_s: float) -> int:
        addresses = Counter(each.ieee_address for each in bound if each.ieee_address)
        twice = [address for address, count in addresses.items() if count > 1]
        for address in twice:
            self._violate(at_s, "nobody paired twice", f"{address} has several identities in the cloud")
        return len(twice)

    def _twice_in_book(self, state_dir: Path, at_s: float) -> int:
        path = state_dir / RELAYED
        book: dict[str, Any] = msgspec.json.decode(path.read_bytes()) if path.exists() else {}
        present = [each for each in book.get("sensors", {}).values() if each.get("stage") not in {"leaving", "removed"}]
        ids = Counter(each["sensor_id"] for each in present if each.get("sensor_id"))
        twice = [sensor_id for sensor_id, count in ids.items() if count > 1]
        for sensor_id in twice:
            self._violate(at_s, "nobody paired twice", f"two sensors are relayed as {sensor_id}")
        return len(twice)

    def _is_silent(self, device: str, sensor_id: str, recent_ms: int) -> bool:
        mesh = self._mesh
        if mesh is None or mesh.is_lost or mesh.is_dead(device):
            return False
        return self._newest_ms.get(sensor_id, 0) < recent_ms

    def _check_removed(self, at_s: float, start_utc_ms: int) -> None:
        roots = set(self._expected.paired.values())
        for device, removed_s in self._expected.removed.items():
            root = self._expected.roots.get(device, device)
            newest_ms = self._newest_ms.get(self._ids[root], 0)
            if root not in roots and newest_ms > start_utc_ms + (removed_s + REMOVED_S_MAX) * 1000:
                late_s = (newest_ms - start_utc_ms) / 1000 - removed_s
                self._violate(at_s, "removing stops relaying", f"{device} was relayed {late_s:.0f} s after its removal")

    def _check_keys(self, at_s: float, state_dir: Path, keys: Iterable[str]) -> None:
        content = b"".join(path.read_bytes() for path in sorted(state_dir.iterdir()) if path.is_file())
        for key in keys:
            if key.encode() in content:
                self._violate(at_s, "keys are erased", f"a key is left in {state_dir.name}: {key[:10]}...")


class PairingHarness:
    """The workload of pairing and its oracle.

    Attributes:
        sensor_keys: The content of the hub's keys file.
        workload: Pairs the boxed sensors; `None` where there are none.
    """

    def __init__(
        self,
        options: Options,
        scenario: Scenario,
        *,
        ids: Mapping[str, str],
        keys: Mapping[str, str],
        expected: ExpectedPairings,
        store: Store,
        now_s: Callable[[], float],
        hub: Callable[[], app.Hub | None],
        on_power_cut: Callable[[], None],
        violate: Callable[[float, str, str], None],
    ) -> None:
        """Prepare.

        Args:
            options: Of the simulation.
            scenario: What surrounds the hub.
            ids: The cloud's id of each device.
            keys: The key of each device.
            expected: Receives the expectations of the workload.
            store: The cloud's store.
            now_s: Virtual seconds.
            hub: The hub that runs now.
            on_power_cut: Called when the machine stops at an operation of a request.
            violate: Receives each violation: seconds, promise, detail.
        """
        self._options = options
        self._stage = scenario
        self._store = store
        devices = list(scenario.devices)
        known = devices[: len(devices) - options.boxed]
        boxed = devices[len(known) :]
        expected.joined.update(known)
        expected.paired.update((device, device) for device in known)
        mesh = scenario.mesh if boxed else None
        self.sensor_keys = {device: keys[device] for device in known}
        self._given_keys = [keys[device] for device in boxed]
        self._oracle = PairingOracle(ids, expected=expected, mesh=mesh, violate=violate)
        self.workload: PairingWorkload | None = None
        if mesh is not None:
            self.workload = PairingWorkload(
                mesh,
                boxed,
                keys={device: keys[device] for device in boxed},
                expected=expected,
                rng=random.Random(f"technician {options.seed}"),
                now_s=now_s,
                hub=hub,
                on_power_cut=on_power_cut,
                is_calm=lambda: now_s() >= scenario.duration_s,
            )

    def record_stored(self, readings: Sequence[AcceptedReading]) -> None:
        """The cloud has accepted readings."""
        if self.workload is not None:
            self._oracle.record_stored(readings)

    def cancel_request(self) -> None:
        """Cancel the pending request: the hub is dead."""
        if self.workload is not None:
            self.workload.cancel_request()

    def close(self, at_s: float, *, state_dir: Path, devices: Sequence[CloudDevice]) -> PairingCounts:
        """Judge the end.

        Args:
            at_s: Now, in virtual seconds.
            state_dir: Of the hub.
            devices: All that the cloud has.
        """
        return self._oracle.close(
            at_s,
            start_utc_ms=self._stage.start_utc_ms,
            interval_s=self._options.report_interval_s,
            delivery_s=DELIVERY_S_MAX,
            state_dir=state_dir,
            keys=self._given_keys,
            sensors=devices,
            has_readings=self._has_readings,
        )

    def _has_readings(self, device_id: str) -> bool:
        page = self._store.readings(ReadingKey(device_id, "", -1), 1)
        return bool(page) and page[0].device_id == device_id
