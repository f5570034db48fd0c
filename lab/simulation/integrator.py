"""A program that pushes actions at random times, and a person who ends their holds: each action is carried out once.

Acts through the services that the APIs call. Keeps its own account of what the hub has promised and judges by what the
hub shows, over power cuts. Never helps the hub along.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from agent import app
from agent.climate.requests import ResumeRequest
from agent.errors import ClimahubError
from agent.home.action_admission import ActionRequest, OnConflict
from agent.home.actions import ActionState, Command, HomeAction
from lab.simulation.beside_hub import BesideHub, SimulatedHub
from lab.simulation.fact_reader import FactReader
from lab.simulation.machine import PowerCut
from lab.simulation.observers import Violate
from lab.simulation.options import Options
from lab.simulation.owner import Owner
from lab.simulation.webhook_receivers import WebhookReceivers

DAY_S = 86_400.0
CHECK_S = 30.0
LATE_S_MAX = 120.0
"""How long after its start an action may begin on a hub that runs: it looks once a minute, a full disk takes longer."""

PERSON_SHARE = 0.4
"""Of all visits: a person ends the holds of a zone."""

WINDOW_S_MAX = 3600.0
START_S_MAX = 1800.0
ACTIONS_MAX = 150
"""Of one run."""
KEPT_MIN = 120
"""An action that has ended may be gone when so many were taken after it: 128 are kept."""


class Integrator:
    """Pushes, cancels and replaces actions, and checks what became of them.

    Attributes:
        counts: How often each thing was done.
        receivers: Its servers; `None` where it has none.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        hub: Callable[[], app.Hub | None],
        now_s: Callable[[], float],
        on_power_cut: Callable[[], None],
        violate: Violate,
        options: Options,
    ) -> None:
        """Prepare.

        Args:
            rng: Decides everything.
            hub: Returns the hub whose process runs; `None` between two.
            now_s: Virtual time.
            on_power_cut: Called when the machine stops at an operation of a request.
            violate: Receives each broken promise: seconds, promise, detail.
            options: How many actions it pushes, and what else is beside the hub.
        """
        self._rng = rng
        self._hub = hub
        self._now_s = now_s
        self._on_power_cut = on_power_cut
        self._violate = violate
        self._mean_s = DAY_S / options.actions_per_day
        self._taken: dict[str, ActionState] = {}
        self._ends_utc_ms: dict[str, int | None] = {}
        self._ended_by_person: set[str] = set()
        self._able_since: tuple[app.Hub | None, float] = (None, 0.0)
        self.counts: Counter[str] = Counter()
        beside = SimulatedHub(hub, now_s, on_power_cut, violate, self.counts)
        self.receivers = (
            WebhookReceivers(random.Random(f"webhooks {rng.random()}"), beside) if options.webhooks else None
        )
        self._others: list[BesideHub] = [self.receivers] if self.receivers else []
        if options.facts:
            self._others.append(FactReader(random.Random(f"facts {rng.random()}"), beside))
        if options.owner:
            self._others.append(Owner(random.Random(f"owner {rng.random()}"), beside))

    def forget(self) -> None:
        """The hub was reset: it has promised nothing any more."""
        self._taken.clear()
        self._ended_by_person.clear()
        for other in self._others:
            other.forget()

    async def run(self) -> None:
        """Come and go until cancelled."""
        async with asyncio.TaskGroup() as group:
            for other in self._others:
                group.create_task(other.run())
            await self._run()

    def close(self) -> None:
        """Close the accounts at the end."""
        if self.receivers:
            self.receivers.close()

    async def _run(self) -> None:
        next_s = self._now_s() + self._rng.expovariate(1 / self._mean_s)
        while True:
            await asyncio.sleep(CHECK_S)
            hub = self._hub()
            if hub is None or hub.climate is None:
                continue
            # A hub that does not know the time cannot know that a start has come.
            if hub is not self._able_since[0] or hub.environment.clock.utc_ms() is None:
                self._able_since = hub, self._now_s()
            await self._call(self._check(hub))
            if self._now_s() >= next_s:
                next_s = self._now_s() + self._rng.expovariate(1 / self._mean_s)
                is_person = self._rng.random() < PERSON_SHARE
                await self._call(self._resume(hub) if is_person else self._push(hub))

    async def _call(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something at a hub that may end meanwhile."""
        call = asyncio.get_running_loop().create_task(work)
        await asyncio.wait({call})
        if call.cancelled():
            return
        error = call.exception()
        if isinstance(error, PowerCut):
            self._on_power_cut()
        elif isinstance(error, ClimahubError):
            self.counts["refused actions"] += 1
        elif error is not None:
            raise error

    async def _push(self, hub: app.Hub) -> None:
        rng, utc_ms = self._rng, hub.environment.clock.utc_ms()
        zone_id = rng.choice(list(hub.climate.control.zones if hub.climate else []))
        command = rng.choice((Command.HEAT, Command.HEAT, Command.HEAT, Command.IDLE, Command.FOLLOW_SCHEDULE))
        is_heat = command is Command.HEAT
        start_ms = end_ms = None
        if utc_ms is not None and is_heat and rng.random() < 0.7:  # noqa: PLR2004 - most are for later
            start_ms = utc_ms + round(rng.uniform(1, START_S_MAX) * 1000)
            if rng.random() < 0.7:  # noqa: PLR2004 - most of these end again
                end_ms = start_ms + round(rng.uniform(2, WINDOW_S_MAX) * 1000)
        if len(self._taken) >= ACTIONS_MAX:
            return
        action = await hub.home.home.actions.push(
            ActionRequest(
                zone_id=zone_id,
                command=command,
                heat_setpoint_c=round(rng.uniform(12, 24), 1) if is_heat else None,
                start_utc_ms=start_ms,
                end_utc_ms=end_ms,
                on_conflict=rng.choice((OnConflict.CANCEL_AND_REPLACE, *OnConflict)),
                by="integrator",
            )
        )
        self._taken[action.action_id] = action.state
        self._ends_utc_ms[action.action_id] = action.end_utc_ms
        self.counts["actions"] += 1
        if action.state is ActionState.SCHEDULED and rng.random() < 0.2:  # noqa: PLR2004 - some change their mind
            await hub.home.home.actions.cancel(action.action_id)

    async def _resume(self, hub: app.Hub) -> None:
        if hub.climate is None:
            return
        zone_id = self._rng.choice(list(hub.climate.control.zones))
        holds = {hold.id for hold in hub.climate.control.zones[zone_id].program.holds}
        if not holds:
            return
        hub.home.home.thermostats.apply(zone_id, ResumeRequest(), by="person")
        # The person stays until it is on the disk.
        await hub.climate.save()
        self._ended_by_person |= holds
        self.counts["holds of actions ended by a person"] += len(holds)

    async def _check(self, hub: app.Hub) -> None:
        actions = hub.home.home.actions
        for later, (action_id, before) in enumerate(reversed(list(self._taken.items()))):
            try:
                action = await actions.get(action_id)
            except ClimahubError as error:
                if self._hub() is hub:
                    if before in {ActionState.SCHEDULED, ActionState.ACKNOWLEDGED} or later < KEPT_MIN:
                        self._report("an action that was taken is kept", f"{action_id}: {error}")
                    del self._taken[action_id]
                continue
            if before not in {ActionState.SCHEDULED, ActionState.ACKNOWLEDGED} and action.state is not before:
                self._report("an action is settled once", f"{action_id} was {before} and is {action.state}")
            self.counts[f"actions {action.state}"] += action.state is not before
            self._taken[action_id] = action.state
            if self.receivers and before is not action.state:
                self.receivers.expect(action)
            self._check_time(hub, action)
        self._check_holds(hub)

    def _check_time(self, hub: app.Hub, action: HomeAction) -> None:
        """Check that a pending action waits for its start only."""
        utc_ms, able_s = hub.environment.clock.utc_ms(), self._now_s() - self._able_since[1]
        if not action.is_pending or utc_ms is None or able_s < LATE_S_MAX or hub.home.home.actions.problem:
            return
        begin_ms = action.start_utc_ms or action.created_utc_ms or utc_ms
        if utc_ms > begin_ms + LATE_S_MAX * 1000:
            self._report("an action begins in time", f"{action.action_id} is {action.state}")

    def _check_holds(self, hub: app.Hub) -> None:
        """Check that no hold of an action outlives its window or a person's decision."""
        utc_ms = hub.environment.clock.utc_ms()
        for zone in hub.climate.control.zones.values() if hub.climate else ():
            for hold in zone.program.holds:
                if hold.id in self._ended_by_person:
                    self._report("what a person has changed stays", f"hold {hold.id} is back")
                    self._ended_by_person.discard(hold.id)
                end_ms = self._ends_utc_ms.get(hold.id)
                if utc_ms is not None and end_ms is not None and utc_ms > end_ms + LATE_S_MAX * 1000:
                    self._report("a window ends", f"hold {hold.id} goes on")

    def _report(self, promise: str, detail: str) -> None:
        self._violate(self._now_s(), promise, detail)
