"""The recorder: writes changes of the home into the fact store, some at a time.

Owns when the card is written: once for all changes of a minute. At the start it compares the home with what the store
knows, so that a change while the hub was off becomes a fact too. Must never hold up who changes something: a change is
put into memory, and what the disk does not take waits there.
"""

import asyncio
import logging
from collections import deque
from datetime import UTC, datetime

from agent.errors import ClimahubError
from agent.facts.model import FactRefused, FactVersion
from agent.facts.service import FactService
from agent.facts.store import FactQuery, FactStore
from agent.facts.tables import FactFilter
from agent.foundation import rfc3339
from agent.foundation.clock import Clock, Now, read_now
from agent.foundation.log import ProblemLog
from agent.foundation.signals import Signal
from agent.home.changes import HomeChange
from agent.home.devices import HUB_ID
from agent.home.fact_texts import (
    HUB_TENANT,
    VISIT,
    About,
    FactChange,
    fact_of_visit,
    facts_of_change,
    facts_of_device,
    facts_of_maintenance,
    facts_of_zone,
)
from agent.home.home import Home

_log = logging.getLogger(__name__)

START_S = 120.0
"""After a start, until the zones have values and decisions: a look before that would find faults that are none."""

COMMIT_INTERVAL_S = 60.0
"""A power cut costs at most the changes of the last minute; the values that they led to are found at the start."""

LOOK_INTERVAL_S = 900.0
"""How often the home is compared without a change that was told: firmware and placement change rarely."""

CHANGES_MAX = 1000
"""Changes that wait in memory for a disk that takes nothing, or for the time: a busy home makes a hundred a day."""


class FactRecorder:
    """The loop that writes.

    Attributes:
        lost_count: Changes that found no place in memory.
        refused_count: Facts that the store refused as they stood; they are left out.
    """

    def __init__(self, home: Home, facts: FactService, *, clock: Clock) -> None:
        """Listen from now on; nothing is written yet.

        Args:
            home: What changes.
            facts: The store.
            clock: The clocks of the boot.
        """
        self._home = home
        self._facts = facts
        self._clock = clock
        self._waiting: deque[HomeChange] = deque()
        self._due, self._many = Signal(), Signal()
        self._writing = asyncio.Lock()
        self._log = ProblemLog(_log, "facts wait in memory", level=logging.WARNING)
        self.lost_count = self.refused_count = 0
        home.changes.on_change(self._note)
        if home.alerts:
            home.alerts.on_change(lambda _: self._due.set())

    async def run(self) -> None:
        """Write until cancelled, then what is in memory."""
        await self._facts.wait_until_open()
        try:
            while await self._many.wait(START_S):
                await self.write(is_look=False)
            while True:
                await self.write(is_look=True)
                if await self._due.wait(LOOK_INTERVAL_S):
                    # Others may follow at once: they share a commit.
                    await self._many.wait(COMMIT_INTERVAL_S)
        finally:
            await self.write(is_look=False)

    def _note(self, change: HomeChange) -> None:
        if len(self._waiting) >= CHANGES_MAX:
            if not self.lost_count:
                text = f"the oldest of more than {CHANGES_MAX} changes of the home are lost as facts"
                _log.warning("free some space on the disk, or check the clock: %s", text)
            self._waiting.popleft()
            self.lost_count += 1
        self._waiting.append(change)
        self._due.set()
        if len(self._waiting) == CHANGES_MAX // 2:
            self._many.set()

    async def write(self, *, is_look: bool) -> None:
        """Write what waits, and what the home is now; where the store takes nothing, all of it waits."""
        # What is written is taken from the front by its number: a second write at a time would take others' changes.
        async with self._writing:
            await self._write(is_look=is_look)

    async def _write(self, *, is_look: bool) -> None:
        taken, lost_count = len(self._waiting), self.lost_count
        refused: list[FactRefused] = []
        try:
            utc_ms = self._facts.utc_ms()
            facts = self._facts_of_changes(list(self._waiting), utc_ms)
            if is_look:
                facts += self._facts_of_home(utc_ms)
            if facts:
                refused = await self._facts.use(lambda store, now_ms: store.record(HUB_TENANT, facts, utc_ms=now_ms))
        except ClimahubError as error:
            self._log.report(str(error))
            return
        self._log.clear()
        if refused and not self.refused_count:
            _log.warning("report this with the configuration: a fact of the hub is left out: %s", refused[0])
        self.refused_count += len(refused)
        # What was lost while the disk wrote was the oldest of what it wrote.
        for _ in range(taken - (self.lost_count - lost_count)):
            self._waiting.popleft()

    async def record_visit(self, text: str, *, zone_id: str, at: datetime | None, by: str) -> FactVersion:
        """Store a service visit, durably, in place of the one before; the same one again is stored once.

        Args:
            text: What was done.
            zone_id: Of which zone; empty for the hub.
            at: When, with an offset; `None` for now.
            by: Who says so.

        Raises:
            UnknownDevice: There is no such zone.
            FactRefused: It is empty, lies in the future, or before the last visit.
            FactsFull, TimeUnknown, StorageFull: It is not stored.
        """
        device_id = self._home.thermostats.get(zone_id).zone_id if zone_id else HUB_ID
        name = self._home.thermostats.get(zone_id).name if zone_id else "hub"

        async def work(store: FactStore, utc_ms: int) -> FactVersion:
            at_ms = utc_ms if at is None else rfc3339.to_utc_ms(at)
            about = About(device_id, name, is_zone=bool(zone_id), at_ms=at_ms, by=by)
            last = FactQuery(FactFilter((HUB_TENANT,), subject=about.subject(VISIT)), 1, has_superseded=True)
            for before in await store.shown(last, utc_ms=utc_ms):
                if at_ms < before.fact.valid_from_ms:
                    begun = rfc3339.render(before.fact.valid_from_ms)
                    raise FactRefused(f"leave the time out, or give a later one: the last visit was at {begun}")
            if not text.strip():
                raise FactRefused("say what was done: the text is empty")
            if at_ms > utc_ms:
                raise FactRefused("give a time in the past: a visit is recorded once it was made")
            day = (at or datetime.fromtimestamp(utc_ms / 1000, UTC)).date().isoformat()
            for refused in await store.record(HUB_TENANT, [fact_of_visit(about, day, text)], utc_ms=utc_ms):
                raise refused
            return (await store.shown(last, utc_ms=utc_ms))[0]

        return await self._facts.use(work)

    def _facts_of_changes(self, changes: list[HomeChange], utc_ms: int) -> list[FactChange]:
        names = {device.device_id: device.name for device in self._home.devices.all()}
        zones = set(self._home.thermostats.zone_ids)
        now = read_now(self._clock)
        return [
            fact
            for change in changes
            for fact in facts_of_change(
                change.kind,
                About(
                    change.device_id,
                    names.get(change.device_id, change.device_id),
                    is_zone=change.device_id in zones,
                    at_ms=_utc_of(change.at, now, utc_ms),
                    by=change.by,
                ),
                change.old,
                change.new,
            )
        ]

    def _facts_of_home(self, utc_ms: int) -> list[FactChange]:
        zones = self._home.thermostats.all()
        ids = {zone.zone_id for zone in zones}
        others = [device for device in self._home.devices.all() if device.device_id not in ids]
        alerts = self._home.alerts
        return [
            *(fact for zone in zones for fact in facts_of_zone(zone, utc_ms)),
            *(fact for zone in zones if alerts for fact in facts_of_maintenance(zone, alerts.state)),
            *(fact for device in others for fact in facts_of_device(device, utc_ms)),
        ]


def _utc_of(at: Now, now: Now, utc_ms: int) -> int:
    """Return the UTC of an instant of this boot that may have been before the boot learnt the time."""
    return utc_ms - (now.now_ms - at.now_ms) if at.utc_ms is None else at.utc_ms
