"""Carries actions out, each once. Owns `actions.json`; what has ended and makes room there goes to `action_history`.

Each state is on the disk before anything is done because of it. A zone that has taken an action keeps its id in its own
program, so that after a power cut between the two files the service knows whether it still has to act. Must never hold
up the climate control: it waits for the disk in a loop of its own.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from agent.climate.requests import ClimateRequest
from agent.errors import Rejected, StorageFull
from agent.foundation.clock import Clock, read_now
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.signals import Signal
from agent.foundation.worker import Worker
from agent.home import action_admission, actions
from agent.home.action_admission import ActionRequest
from agent.home.action_history import ActionHistory
from agent.home.actions import ActionEvent, ActionsFile, ActionState, HomeAction
from agent.home.changes import ChangeKind, HomeChange, HomeChanges
from agent.home.thermostat import Thermostat

_log = logging.getLogger(__name__)

FILE_NAME = "actions.json"
FILE_BYTES_MAX = 512 * 1024
"""256 with the longest texts, as an earlier version kept them, take 300 KiB."""

HISTORY_SUFFIX = "-history.log"
"""Of the history of `actions.json`: `actions-history.log`."""

LOOK_S_MAX = 60.0
"""A start is looked for at least this often: the clock may be set meanwhile."""

REPEAT_S = 3600.0
"""A start within this time after the end of an action tells it again."""

RETRY_S = 10.0
"""Pause after the disk refused."""

LOAD_S_MAX = 5.0
"""How long a client waits for the file after a start."""

PAGE_MAX = 100
"""Actions of one page."""

CLIENT_REVOKED = "ask the owner for a new key: that of this action has been revoked"

TIME_PASSED = "push it again: the hub was off, or did not know the time, until its time had passed"


class ActsOnZones(Protocol):
    """What carries actions out: the thermostats of the hub, or simulated ones."""

    @property
    def is_unread(self) -> bool:
        """Whether it is not known yet what is set for the zones."""
        ...

    def get(self, zone_id: str) -> Thermostat:
        """Return the present state of a zone. Raises `UnknownDevice`."""
        ...

    def check(self, zone_id: str, request: ClimateRequest) -> object:
        """Refuse what a zone can never do. Raises `UnknownDevice` or `SettingInvalid`."""
        ...

    def apply(self, zone_id: str, request: ClimateRequest, *, by: str, action_id: str = "") -> Sequence[str]:
        """Put a request in force. Raises `Rejected` where the zone does not take it."""
        ...

    def last_action(self, zone_id: str) -> str:
        """Return the id of the action that was put in force last; empty for none."""
        ...

    async def save(self) -> None:
        """Write what is set for the zones now. Raises `StorageFull`."""
        ...


class KnowsClients(Protocol):
    """The clients whose actions are carried out."""

    @property
    def is_unread(self) -> bool:
        """Whether it is not known yet which clients there are."""
        ...

    def has(self, client_id: str) -> bool:
        """Return whether there is such a client."""
        ...

    def on_revoked(self, listener: Callable[[], None]) -> None:
        """Have a listener called when a client has been revoked."""
        ...


class ActionService:
    """The actions of one hub.

    Attributes:
        problem: Why actions are not carried out now; empty where they are.
    """

    def __init__(
        self,
        directory: Path,
        *,
        thermostats: ActsOnZones,
        changes: HomeChanges,
        clock: Clock,
        disk: Disk,
        worker: Worker,
        new_id: Callable[[], str],
        file_name: str = FILE_NAME,
    ) -> None:
        """Prepare; `run` reads the file.

        Args:
            directory: Of `actions.json`.
            thermostats: The zones that carry them out.
            changes: Tells when an action has come to its end.
            clock: The clocks of the boot.
            disk: Writes the file.
            worker: Runs what blocks.
            new_id: Makes the id of an action.
            file_name: Of the file, where it is not that of the hub's own zones.
        """
        self._thermostats = thermostats
        self._changes = changes
        self._clock = clock
        self._new_id = new_id
        self._store = JsonStore(
            directory / file_name,
            ActionsFile(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="scheduled actions are not carried out, and the last actions are not in the history",
        )
        history = directory / f"{Path(file_name).stem}{HISTORY_SUFFIX}"
        self._history = ActionHistory(history, disk=disk, worker=worker)
        self._is_loaded = asyncio.Event()
        self._due = Signal()
        self._clients: KnowsClients | None = None
        self.problem = ""

    def follow_clients(self, clients: KnowsClients) -> None:
        """Carry out no action of a client that was revoked; what it had scheduled is cancelled."""
        self._clients = clients
        clients.on_revoked(self._due.set)

    async def push(self, request: ActionRequest) -> HomeAction:
        """Take an action, durably, and return it. One without a start is carried out at once.

        Raises:
            UnknownDevice: There is no such zone.
            ActionRefused: It is not taken; nothing has changed.
            SettingInvalid: The zone cannot do it; nothing has changed.
            StorageFull: The disk refuses; nothing has changed.
        """
        await self._wait_until_loaded()
        action_id = f"action_{self._new_id()}"
        self._thermostats.check(request.zone_id, actions.climate_request(_preview(request, action_id)))
        replaced: list[str] = []

        def admit(known: ActionsFile) -> ActionsFile:
            after = action_admission.admit(known, request, self._clock.utc_ms(), new_id=action_id)
            still = {each.action_id for each in after.pending()}
            replaced[:] = [each.action_id for each in known.pending() if each.action_id not in still]
            return actions.without(after, in_history)

        in_history = await self._keep_surplus()
        known = await self._store.commit(admit)
        self._due.set()
        for each in replaced:
            self._tell(known.get(each))
        return known.get(action_id)

    async def _keep_surplus(self) -> Sequence[HomeAction]:
        """Write what makes room for one more action into the history, and return it: first there, then not here.

        Raises:
            StorageFull: The disk refuses.
        """
        found = actions.surplus(self._store.value)
        await self._history.add(found)
        return found

    async def cancel(self, action_id: str) -> HomeAction:
        """Cancel an action that is scheduled, durably, and return it.

        Raises:
            UnknownAction: There is none of this id.
            ActionRefused: It is not scheduled any more.
            StorageFull: The disk refuses; nothing has changed.
        """
        action_admission.check_cancellable(await self.get(action_id))
        known = await self._store.commit(lambda known: action_admission.cancel(known, action_id, self._clock.utc_ms()))
        action = known.get(action_id)
        self._tell(action)
        return action

    async def get(self, action_id: str) -> HomeAction:
        """Return one action.

        Raises:
            UnknownAction: There is none of this id, or no longer.
        """
        await self._wait_until_loaded()
        return self._history.get(action_id) or self._store.value.get(action_id)

    async def page(
        self, *, zones: frozenset[str] | None = None, before: str = "", limit: int = PAGE_MAX
    ) -> Sequence[HomeAction]:
        """Return actions, the newest first.

        Args:
            zones: Only those of these zones; `None` for all.
            before: Only those that were taken before this one: the next page.
            limit: How many at most; more than `PAGE_MAX` are never returned.

        Raises:
            UnknownAction: There is no action `before`.
        """
        await self._wait_until_loaded()
        return [*actions.page(self._all(), zones=zones, before=before, limit=min(limit, PAGE_MAX))]

    async def _wait_until_loaded(self) -> None:
        try:
            async with asyncio.timeout(LOAD_S_MAX):
                await self._is_loaded.wait()
        except TimeoutError:
            raise StorageFull(f"check the disk: it has not given {FILE_NAME} yet") from None

    def latest(self, zone_id: str) -> HomeAction | None:
        """Return the last action that a zone has taken; `None` without any."""
        return next((each for each in reversed(self._all()) if each.zone_id == zone_id), None)

    def _all(self) -> Sequence[HomeAction]:
        return actions.in_order(self._history.actions, self._store.value)

    async def load(self) -> None:
        """Read the file, as often as the disk needs."""
        if not self._is_loaded.is_set():
            await self._store.load_patiently()
            await self._history.load()
            self.problem = self._store.problem
            await self._tidy()
            self._is_loaded.set()
            self._repeat_last()

    async def _tidy(self) -> None:
        """Settle what the files disagree on: a copy that was in force may be older than the history."""
        kept = self._history.actions
        await self._store.apply_in_memory(lambda known: actions.without(known, kept))
        if len(self._store.value.actions) > actions.KEPT_MAX:
            # Of an earlier version, which kept everything in this file.
            with contextlib.suppress(StorageFull):
                moved = await self._keep_surplus()
                await self._store.commit(lambda known: actions.without(known, moved))

    def _repeat_last(self) -> None:
        """Tell the end of the last action again: the power may have gone before a listener had it on the disk."""
        ended = [each for each in self._all() if not each.is_pending]
        last = max(ended, key=lambda each: each.ended_utc_ms or 0, default=None)
        utc_ms = self._clock.utc_ms()
        if last is not None and (utc_ms is None or utc_ms - (last.ended_utc_ms or utc_ms) < REPEAT_S * 1000):
            self._tell(last)

    async def run(self) -> None:
        """Carry actions out until cancelled."""
        await self.load()
        while True:
            self._due.clear()
            try:
                is_done = await self.carry_out()
            except StorageFull as error:
                if not self.problem:
                    _log.error("actions wait for the disk: %s", error)
                self.problem, is_done = str(error), False
            await self._due.wait(self._wait_s() if is_done else RETRY_S)

    def _wait_s(self) -> float | None:
        start_ms, utc_ms = actions.next_start_utc_ms(self._store.value), self._clock.utc_ms()
        if start_ms is None:
            return None
        return LOOK_S_MAX if utc_ms is None else min(LOOK_S_MAX, max(0, start_ms - utc_ms) / 1000)

    async def carry_out(self) -> bool:
        """Carry out what is due; return whether nothing is left that only has to wait a little.

        Raises:
            StorageFull: The disk refuses; what is on the disk is enough to go on from.
        """
        if self._thermostats.is_unread:
            return False
        is_done = True
        # The order of their starts: of two that are late the later one is in force in the end.
        for action in sorted(self._store.value.pending(), key=lambda each: each.start_utc_ms or 0):
            is_done &= not self._waits(action) and await self._advance(action)
        self.problem = self._store.problem
        return is_done

    def _waits(self, action: HomeAction) -> bool:
        """Tell whether it is not known yet if the client of an action still is one."""
        return bool(action.client_id and self._clients and self._clients.is_unread)

    async def _advance(self, action: HomeAction) -> bool:
        """Bring one action as far as it can go; return whether it has not to be tried again soon."""
        is_taken = self._thermostats.last_action(action.zone_id) == action.action_id
        event, problem = (None, "") if is_taken else self._event_of(action)
        if event is not None and problem:
            await self._settle(action, event, problem=problem)
            return True
        if event is ActionEvent.BEGIN:
            begun = await self._record(action, event)
            if begun is None:
                return True
            action = begun
        if action.state is not ActionState.ACKNOWLEDGED:
            return True
        if not is_taken:
            if action.end_utc_ms is not None and self._clock.utc_ms() is None:
                # How much of the window is left is unknown.
                return False
            try:
                self._put_in_force(action)
            except Rejected as error:
                await self._settle(action, ActionEvent.REFUSE, problem=str(error))
                return True
        await self._thermostats.save()
        await self._settle(action, ActionEvent.ACCEPT, note=self._note(action))
        return True

    def _event_of(self, action: HomeAction) -> tuple[ActionEvent | None, str]:
        """Return what happens to a pending action now, and why where it ends by that."""
        if action.client_id and self._clients and not self._clients.has(action.client_id):
            is_scheduled = action.state is ActionState.SCHEDULED
            return ActionEvent.CANCEL if is_scheduled else ActionEvent.REFUSE, CLIENT_REVOKED
        event = actions.due_event(action, self._clock.utc_ms())
        return event, TIME_PASSED if event is ActionEvent.REFUSE else ""

    def _put_in_force(self, action: HomeAction) -> None:
        if action.forced_problem:
            raise Rejected(action.forced_problem)
        request = actions.climate_request(action)
        self._thermostats.apply(action.zone_id, request, by=action.by, action_id=action.action_id)

    def _note(self, action: HomeAction) -> str:
        """Return what keeps the zone from doing what it has taken: a stronger hold, made by a person, or eco."""
        if action.command is actions.Command.FOLLOW_SCHEDULE:
            return ""
        zone = self._thermostats.get(action.zone_id)
        if zone.hold is not None and zone.hold.id != action.action_id:
            return f"it begins to count when {zone.hold.kind.value} {zone.hold.id} ends: until then that counts"
        pairs = ((action.heat_setpoint_c, zone.heat_setpoint_c), (action.cool_setpoint_c, zone.cool_setpoint_c))
        if zone.eco.is_enabled and any(asked is not None and asked != in_force for asked, in_force in pairs):
            limits = f"{zone.eco.heat_limit_c:.1f} °C and cools to at least {zone.eco.cool_limit_c:.1f} °C"
            return f"it counts in full when eco is switched off: until then the zone heats to at most {limits}"
        return ""

    async def _record(
        self, action: HomeAction, event: ActionEvent, *, problem: str = "", note: str = ""
    ) -> HomeAction | None:
        """Write down what has happened to an action, and return it; `None` where a client has cancelled it meanwhile.

        Raises:
            StorageFull: The disk refuses; nothing has happened.
        """
        after = actions.advance(action, event, self._clock.utc_ms(), problem=problem, note=note)

        def replace(known: ActionsFile) -> ActionsFile:
            return actions.replace_action(known, after) if action in known.actions else known

        known = await self._store.commit(replace)
        return after if after in known.actions else None

    async def _settle(self, action: HomeAction, event: ActionEvent, *, problem: str = "", note: str = "") -> None:
        settled = await self._record(action, event, problem=problem, note=note)
        if settled is not None:
            self._tell(settled)

    def _tell(self, action: HomeAction) -> None:
        now = read_now(self._clock)
        self._changes.tell(HomeChange(ChangeKind.ACTION_SETTLED, action.zone_id, None, action, action.by, now))


def _preview(request: ActionRequest, action_id: str) -> HomeAction:
    """Return the action without its times, to see whether the zone can do it."""
    return HomeAction(
        action_id=action_id,
        zone_id=request.zone_id,
        command=request.command,
        heat_setpoint_c=request.heat_setpoint_c,
        cool_setpoint_c=request.cool_setpoint_c,
    )
