"""Watches the machines of which measurements are posted, and keeps what it has learned over restarts.

Owns `machines.json`, written with what `agent.maintenance.service` learns. A source costs only itself: each has records
of its own, and the newest of whoever posts the most finds no room. What the hub measures itself takes no place of what
is posted, nor the other way round. Must never act on the equipment.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.fair_share import without_surplus
from agent.foundation.json_store import JsonStore
from agent.foundation.phrase import phrase
from agent.foundation.worker import Worker
from agent.maintenance.assessment import NEEDED, Finding
from agent.maintenance.machine_assessment import (
    DAY_MS,
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
"""Machines that have met every operating state take 300 KiB if posted, and 134 if of the hub's own; ordinary ones take
3 each."""

MACHINES_MAX = 16
"""Posted ones: two for each of eight zones."""

OWN_MAX = 16
"""Those that the hub measures itself: a plug and an accelerometer for each of eight zones."""

SILENT_DAYS_MAX = 90
SILENT_MS_MAX = SILENT_DAYS_MAX * DAY_MS
"""A posted machine of which nothing has come for so long makes room for another."""

PLUG_NAME = "the plug"
ACCELEROMETER_NAME = "the accelerometer"
"""Who measures what the hub measures itself, for people."""

_NAMED = "machine of {name}: {evidence}"
_NUMBERED = "machine {number} of {machines}: {evidence}"


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

    def add(self, zone_id: str, source: str, post: Post, name: str = "", *, is_own: bool = False) -> str:
        """Take a post about the machine of a zone, and return why it does not count; empty where it does.

        Args:
            zone_id: Of the zone.
            source: Who posts, by an id that stays.
            post: The measurement.
            name: Who posts, for people; empty if it is not known.
            is_own: The hub has measured it itself.
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
        after = msgspec.structs.replace(after, name=name or after.name, is_own=is_own)
        if before is not None and before.is_own == is_own:
            self._keep(after if each is before else each for each in machines)
            return ""
        # Earlier releases kept those of the hub's own among the posted ones.
        others = tuple(each for each in machines if each is not before)
        kept = _with_own(others, after) if is_own else _with_posted(others, after, utc_ms)
        self._keep(kept)
        return "" if any(each is after for each in kept) else _no_room(kept, source)

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


def _with_own(machines: Sequence[MachineRecord], made: MachineRecord) -> tuple[MachineRecord, ...]:
    """Return the machines with a new one of the hub's own; of these the longest silent, a replaced one, makes room."""
    own = sorted((each for each in machines if each.is_own), key=lambda each: each.last_utc_ms)
    gone = own[: max(0, len(own) + 1 - OWN_MAX)]
    return (*(each for each in machines if all(each is not one for one in gone)), made)


def _with_posted(machines: Sequence[MachineRecord], made: MachineRecord, utc_ms: int) -> tuple[MachineRecord, ...]:
    """Return the machines with a new posted one; without it where each place is taken, and not by who has more."""
    posted = [each for each in machines if not each.is_own]
    if len(posted) >= MACHINES_MAX:
        posted = [each for each in posted if utc_ms - each.last_utc_ms <= SILENT_MS_MAX]
    # The newest of the source that has the most finds no room: what others have learned stays.
    found = without_surplus((made, *reversed(posted)), MACHINES_MAX, lambda each: each.source)
    return tuple(each for each in (*machines, made) if each.is_own or any(each is one for one in found))


def _no_room(machines: Iterable[MachineRecord], source: str) -> str:
    """Return why a machine that a client posts is not watched, and what the client can do."""
    own = sum(each.source == source for each in machines if not each.is_own)
    remedy = "stop posting for another zone" if own else "stop posting with another client"
    whose = f"{own} of them of this client" if own else "each of another client"
    room = f"its machine makes room after {SILENT_DAYS_MAX} days"
    return f"{remedy}: {room}. The hub compares {MACHINES_MAX} posted machines, {whose}"


def _worst(machines: list[tuple[str, list[Finding]]]) -> list[Finding]:
    """Return one finding for each indicator: that of the machine of which a fault is most certain, saying which."""
    if len(machines) == 1:
        return machines[0][1]
    worst = dict[str, Finding]()
    for number, (name, findings) in enumerate(machines, 1):
        for each in findings:
            before = worst.get(each.indicator)
            if before is None or _certainty(each) > _certainty(before):
                evidence = (
                    phrase(_NAMED, name=name, evidence=each.evidence)
                    if name
                    else phrase(_NUMBERED, number=number, machines=len(machines), evidence=each.evidence)
                )
                worst[each.indicator] = msgspec.structs.replace(each, evidence=evidence)
    return list(worst.values())


def _certainty(finding: Finding) -> float:
    return -1.0 if finding.confidence is None else finding.confidence
