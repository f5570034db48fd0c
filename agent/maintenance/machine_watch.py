"""Watches the machines of which measurements are posted, and keeps what it has learned over restarts.

Owns `machines.json`, written with what `agent.maintenance.service` learns. A source costs only itself: each has records
of its own, and the newest of whoever has the most finds no room. Must never act on the equipment.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.fair_share import without_surplus
from agent.foundation.json_store import JsonStore
from agent.foundation.worker import Worker
from agent.maintenance.assessment import NEEDED, Finding
from agent.maintenance.machine_assessment import (
    MachineRecord,
    begun_anew,
    find,
    observe_post,
    why_not_counted,
)
from agent.maintenance.machine_drift import MachineModel
from agent.maintenance.machine_readings import MachineIndicator, Post, ZoneState

FILE_NAME = "machines.json"
FILE_BYTES_MAX = 512 * 1024
"""Sixteen machines that have met every operating state take 250 KiB; ordinary ones 3 each."""

MACHINES_MAX = 16
"""Two for each of eight zones."""

SILENT_MS_MAX = 90 * 86_400_000
"""A machine of which nothing has come for so long makes room for another."""


class MachineFile(msgspec.Struct, frozen=True):
    """The content of the file.

    Attributes:
        machines: The first machine first.
        restarts: When the baselines of "zone/indicator" were begun anew because the zone was serviced.
    """

    machines: tuple[MachineRecord, ...] = ()
    restarts: Mapping[str, int] = {}


class MachineWatch:
    """The machines of one hub."""

    def __init__(
        self,
        directory: Path,
        *,
        states: Callable[[], Mapping[str, ZoneState]],
        models: Mapping[MachineIndicator, MachineModel],
        clock: Clock,
        disk: Disk,
        worker: Worker,
        threshold: float = NEEDED,
    ) -> None:
        """Prepare; posts count once the file has been read.

        Args:
            directory: Of `machines.json`.
            states: Returns what the hub does in each zone, by id.
            models: The calibrated model of each indicator that has one.
            clock: The clocks of the boot.
            disk: Reads and writes the file.
            worker: Where reading and writing block.
            threshold: The confidence from which on maintenance is needed.
        """
        self._threshold = threshold
        self._states = states
        self._models = models
        self._clock = clock
        self._kept = MachineFile()
        self._is_read = False
        self._store = JsonStore(
            directory / FILE_NAME,
            MachineFile(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="predictive maintenance learns the usual behaviour of each machine anew",
        )

    @property
    def problem(self) -> str:
        """What was wrong with the file when it was read; empty where nothing was."""
        return self._store.problem

    @property
    def records(self) -> tuple[MachineRecord, ...]:
        """What is known of each machine."""
        return self._kept.machines

    async def load(self) -> None:
        """Read the file."""
        if not self._is_read:
            self._kept = await self._store.load_patiently()
            self._is_read = True

    async def save(self) -> None:
        """Write what is known, as far as the disk allows; a zone that is gone is forgotten."""
        if self._is_read:
            states = self._states()
            self._keep(each for each in self._kept.machines if each.zone_id in states)
            await self._store.apply(lambda _: self._kept)

    def add(self, zone_id: str, source: str, post: Post, name: str = "") -> str:
        """Take a post about the machine of a zone, and return why it does not count; empty where it does.

        Args:
            zone_id: Of the zone.
            source: Who posts, by an id that stays.
            post: The measurement.
            name: Who posts, for people; empty if it is not known.
        """
        utc_ms = self._clock.utc_ms()
        if utc_ms is None or not self._is_read:
            return "the hub has just started, or does not know the time"
        machines = self._kept.machines
        before = next((each for each in machines if (each.zone_id, each.source) == (zone_id, source)), None)
        old = before or MachineRecord(zone_id, source)
        state = self._states().get(zone_id, ZoneState())
        if reason := why_not_counted(old, post, state, utc_ms):
            return reason
        after = observe_post(old, post, state, utc_ms)
        if name and name != after.name:
            after = msgspec.structs.replace(after, name=name)
        if before is not None:
            self._keep(after if each is before else each for each in machines)
            return ""
        if len(machines) >= MACHINES_MAX:
            machines = tuple(each for each in machines if utc_ms - each.last_utc_ms <= SILENT_MS_MAX)
        # The newest of the source that has the most finds no room: what others have learned stays.
        newest_first = without_surplus((after, *reversed(machines)), MACHINES_MAX, lambda each: each.source)
        self._keep(reversed(newest_first))
        is_kept = any(each is after for each in newest_first)
        return "" if is_kept else f"the hub watches {MACHINES_MAX} machines, and most of them are of this client"

    def begin_anew(self, restarts: Mapping[str, int]) -> None:
        """Forget the usual behaviour of the machines of what was serviced since it was learned.

        Args:
            restarts: When "zone/indicator" was serviced last, in UTC; of all that were.
        """
        known = self._kept.restarts
        served = {name for name, utc_ms in restarts.items() if known.get(name) != utc_ms}
        self._keep(
            begun_anew(each, {one for one in MachineIndicator if f"{each.zone_id}/{one}" in served})
            for each in self._kept.machines
        )
        self._kept = msgspec.structs.replace(self._kept, restarts=restarts)

    def _keep(self, machines: Iterable[MachineRecord]) -> None:
        self._kept = msgspec.structs.replace(self._kept, machines=tuple(machines))

    def findings(self) -> Mapping[str, list[Finding]]:
        """Return what is known of the machines of each zone, by its id: one finding for each indicator."""
        utc_ms, found = self._clock.utc_ms(), dict[str, list[tuple[str, list[Finding]]]]()
        for each in self._kept.machines:
            machine = (each.name, find(each, self._models, utc_ms, threshold=self._threshold))
            found.setdefault(each.zone_id, []).append(machine)
        return {zone_id: _worst(machines) for zone_id, machines in found.items()}


def _worst(machines: list[tuple[str, list[Finding]]]) -> list[Finding]:
    """Return one finding for each indicator: that of the machine of which a fault is most certain, saying which."""
    if len(machines) == 1:
        return machines[0][1]
    worst = dict[str, Finding]()
    for number, (name, findings) in enumerate(machines, 1):
        for each in findings:
            before = worst.get(each.indicator)
            if before is None or _certainty(each) > _certainty(before):
                who = f"machine of {name}" if name else f"machine {number} of {len(machines)}"
                evidence = f"{who}: {each.evidence}"
                worst[each.indicator] = msgspec.structs.replace(each, evidence=evidence)
    return list(worst.values())


def _certainty(finding: Finding) -> float:
    return -1.0 if finding.confidence is None else finding.confidence
