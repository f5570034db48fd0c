"""The part of a simulation in which sensors are paired: technician and oracle, where anything is boxed.

Where nothing is, every sensor is known from the beginning, its key stands in the keys file, and only the end is judged.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from agent import app
from lab.refcloud.records import AcceptedReading, CloudDevice
from lab.refcloud.store import ReadingKey, Store
from lab.simulation.options import Options
from lab.simulation.pairing_oracle import PairingCounts, PairingOracle
from lab.simulation.pairing_workload import ExpectedPairings, PairingWorkload
from lab.simulation.reading_oracle import DELIVERY_S_MAX
from lab.simulation.scenario import Scenario


class PairingHarness:
    """Who pairs, and who judges it.

    Attributes:
        sensor_keys: What stands in the hub's keys file.
        technician: Who pairs what is boxed; `None` where nothing is.
    """

    def __init__(
        self,
        options: Options,
        scenario: Scenario,
        *,
        ids: Mapping[str, str],
        keys: Mapping[str, str],
        wants: ExpectedPairings,
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
            wants: Where to keep account of what is wanted.
            store: What the cloud has.
            now_s: Virtual seconds.
            hub: The hub that runs now.
            on_power_cut: Told when the world stops at an operation that the technician asked for.
            violate: Told of promises that were not kept.
        """
        self._options = options
        self._stage = scenario
        self._store = store
        devices = list(scenario.devices)
        known = devices[: len(devices) - options.boxed]
        boxed = devices[len(known) :]
        wants.joined.update(known)
        wants.paired.update((device, device) for device in known)
        mesh = scenario.mesh if boxed else None
        self.sensor_keys = {device: keys[device] for device in known}
        self._given_keys = [keys[device] for device in boxed]
        self._oracle = PairingOracle(ids, wants=wants, mesh=mesh, violate=violate)
        self.workload: PairingWorkload | None = None
        if mesh is not None:
            self.workload = PairingWorkload(
                mesh,
                boxed,
                keys={device: keys[device] for device in boxed},
                wants=wants,
                rng=random.Random(f"technician {options.seed}"),
                now_s=now_s,
                hub=hub,
                on_power_cut=on_power_cut,
                is_calm=lambda: now_s() >= scenario.duration_s,
            )

    def stored(self, readings: Sequence[AcceptedReading]) -> None:
        """The cloud took readings."""
        if self.workload is not None:
            self._oracle.stored(readings)

    def hub_died(self) -> None:
        """What was being asked of the hub is not answered any more."""
        if self.workload is not None:
            self.workload.hub_died()

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
