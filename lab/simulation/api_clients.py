"""Two API clients that want contrary things of the same zones: each has to be told the truth about what counts.

One pushes actions as Amps' API does, the other sets thermostats as AURRA Home does, both through the same calls as the
APIs. Keeps its own account of what was accepted and judges by what the hub shows, over power cuts. Never helps the hub
along.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import msgspec

from agent import app
from agent.apis.amps import translation as amps
from agent.apis.amps.capabilities import capability_map
from agent.apis.amps.push import check_push
from agent.apis.amps.wire import decode_push
from agent.apis.aurra_home.translation import HOLD_ID, setpoint_requests, status_of
from agent.apis.aurra_home.wire import SetpointBody
from agent.apis.face import ApiRefused
from agent.climate.model import Block, Mode, Schedule
from agent.climate.requests import PutScheduleRequest
from agent.errors import ClimahubError
from agent.home.actions import ActionState
from agent.home.home import Home
from agent.home.temperatures import from_fahrenheit
from agent.home.thermostat import Thermostat
from lab.simulation.machine import PowerCut
from lab.simulation.observers import Violate

CHECK_S = 60.0
DAY_S = 86_400.0
HOUR_MS = 3_600_000
MARGIN_MS = 60_000
"""Around the end of a hold: no check there."""

SAVED_S = 5.0
"""A setting that is accepted is on the disk after this time (`climate.service` waits a second); a crash before that may
lose it. An action is on the disk before it is accepted."""

ASKS_MAX = 8
"""Of one zone that are remembered: an hour of them, many more than a crash can lose."""

COLD_SHARE = 0.7
"""Of all settings of the second client: off, or colder than the frost limit."""
IDLE_SHARE = 0.3
"""Of all actions of the first client: nothing is to heat."""
EVENING_HOUR, NIGHT_HOURS = 16, 14
"""In UTC: nobody wants any heat then."""
RESTART_SHARE = 0.02
"""Of all visits: somebody restarts the agent."""

FROST_K_MAX = 1.0
"""How far below its frost limit a room may fall: the heat source waits for its minimum off time, and heats slowly."""
FROST_GRACE_S = 1800.0
"""After a start: a hub that was down has to warm the room again."""

SCHEDULE = Schedule(
    "week",
    tuple(
        Block(f"block {hour}", f"{hour:02}:30", f"{(hour + 1) % 24:02}:30", 15.0 + hour % 3, 28.0) for hour in range(24)
    ),
)
"""Of the first zone. In Europe, half past two comes twice on one night of the year, and on another one not at all."""

EQUAL_K = 1e-6


class Ask(msgspec.Struct):
    """One accepted request.

    Attributes:
        mode: Asked for.
        heat_c: Asked for; `None` where the request names none.
        asked_s: When.
        settled_s: When it was in force; `None` while an action waits.
        action_id: Of an action.
        until_utc_ms: When it ends by itself, as the client was told; `None` for never.
        is_bounded: It ends with the schedule's block.
        may_be_lost: A crash came before it had to be on the disk.
    """

    mode: Mode
    heat_c: float | None
    asked_s: float
    settled_s: float | None
    action_id: str = ""
    until_utc_ms: int | None = None
    is_bounded: bool = False
    may_be_lost: bool = False


def not_superseded(asks: list[Ask]) -> list[Ask]:
    """Return the requests that may be in force: after each of the others another one certainly came."""
    return [
        ask
        for ask in asks
        if ask.settled_s is None or not any(other.asked_s > ask.settled_s and not other.may_be_lost for other in asks)
    ]


class ApiClients:
    """The two clients.

    Attributes:
        counts: How often each thing was done.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        hub: Callable[[], app.Hub | None],
        now_s: Callable[[], float],
        crashes: Callable[[], int],
        restart: Callable[[], None],
        on_power_cut: Callable[[], None],
        violate: Violate,
        requests_per_day: float,
    ) -> None:
        """Prepare.

        Args:
            rng: Decides everything.
            hub: Returns the hub whose process runs; `None` between two.
            now_s: Virtual time.
            crashes: Returns how many processes have not ended in good order.
            restart: Ends the process in good order; another one starts.
            on_power_cut: Called when the machine stops at an operation of a request.
            violate: Receives each broken promise: seconds, promise, detail.
            requests_per_day: Of both together, on average.
        """
        self._rng = rng
        self._hub = hub
        self._now_s = now_s
        self._crashes = crashes
        self._restart = restart
        self._on_power_cut = on_power_cut
        self._violate = violate
        self._mean_s = DAY_S / requests_per_day
        self._asks: dict[str, list[Ask]] = {}
        self._ended: dict[str, ActionState] = {}
        self._last_hub: app.Hub | None = None
        self._started_s = self._seen_s = 0.0
        self._crashes_seen = 0
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Ask and check until cancelled."""
        next_s = self._now_s() + self._rng.expovariate(1 / self._mean_s)
        while True:
            await asyncio.sleep(min(CHECK_S, max(0.0, next_s - self._now_s())))
            is_due = self._now_s() >= next_s
            if is_due:
                next_s = self._now_s() + self._rng.expovariate(1 / self._mean_s)
            hub = self._hub()
            if hub is None or hub.climate is None:
                continue
            call = asyncio.get_running_loop().create_task(self._visit(hub, is_due=is_due))
            await asyncio.wait({call})
            error = None if call.cancelled() else call.exception()
            if isinstance(error, PowerCut):
                self._on_power_cut()
            elif error is not None and not isinstance(error, ClimahubError):
                raise error

    async def _visit(self, hub: app.Hub, *, is_due: bool) -> None:
        home = hub.home.home
        if home.thermostats.is_unread:
            return
        if hub is not self._last_hub:
            self._note_start(hub)
            if not home.thermostats.get(home.thermostats.zone_ids[0]).schedules:
                home.thermostats.apply(home.thermostats.zone_ids[0], PutScheduleRequest(SCHEDULE), by="api:aurra_home")
        self._seen_s = self._now_s()
        for zone_id in home.thermostats.zone_ids:
            await self._check_actions(home, zone_id)
            self._check_zone(hub, home.thermostats.get(zone_id))
        if not is_due:
            return
        if self._rng.random() < RESTART_SHARE:
            self.counts["restarts by hand"] += 1
            self._restart()
            return
        zone_id = self._rng.choice(home.thermostats.zone_ids)
        try:
            if self._rng.random() < 0.5:  # noqa: PLR2004 - one or the other client
                await self._push(hub, zone_id)
            else:
                self._set(hub, zone_id)
        except (ClimahubError, ApiRefused):
            self.counts["refused API requests"] += 1

    def _note_start(self, hub: app.Hub) -> None:
        self._last_hub, self._started_s = hub, self._now_s()
        if self._crashes() == self._crashes_seen:
            return
        self._crashes_seen = self._crashes()
        for ask in (ask for asks in self._asks.values() for ask in asks):
            # The hub lived at the last visit at least: what was asked well before that is on the disk.
            ask.may_be_lost |= not ask.action_id and ask.asked_s > self._seen_s - SAVED_S

    async def _push(self, hub: app.Hub, zone_id: str) -> None:
        """Push an action as Amps' API does."""
        home, rng = hub.home.home, self._rng
        thermostat = home.thermostats.get(zone_id)
        commands = capability_map(can_heat=thermostat.can_heat, can_cool=thermostat.can_cool, takes_fahrenheit=False)
        target_c = round(rng.uniform(18, 25), 1)
        is_idle = self._is_night(hub) or rng.random() < IDLE_SHARE
        parameters = {"target": {"value": target_c, "unit": "celsius"}}
        action = {"command": "idle"} if is_idle else {"command": "heat", "parameters": parameters}
        body = decode_push(msgspec.json.encode({"action": action, "onConflict": "cancel_and_replace"}))
        push = check_push(
            body.action, commands, now_utc_ms=hub.environment.clock.utc_ms(), timezone=home.thermostats.timezone()
        )
        mode = Mode.OFF if is_idle else Mode.HEAT
        ask = Ask(mode, None if is_idle else target_c, self._now_s(), None)
        asked = amps.action_request(push, zone_id, on_conflict=body.on_conflict, by="api:amps")
        taken = await home.actions.push(asked)
        ask.action_id = taken.action_id
        self._add(zone_id, ask)
        self.counts["actions of a client"] += 1

    def _set(self, hub: app.Hub, zone_id: str) -> None:
        """Set a thermostat as AURRA Home does."""
        home, rng = hub.home.home, self._rng
        thermostat = home.thermostats.get(zone_id)
        is_cold = self._is_night(hub) or rng.random() < COLD_SHARE
        mode = rng.choice((Mode.OFF, Mode.HEAT)) if is_cold else Mode.HEAT
        value_f = rng.randint(40, 50) if is_cold else rng.randint(51, 75)
        for request in setpoint_requests(thermostat, SetpointBody(temperature=value_f, mode=mode.value)):
            home.thermostats.apply(zone_id, request, by="api:aurra_home")
        now = home.thermostats.get(zone_id)
        is_bounded = bool(now.schedule) and mode is not Mode.OFF
        heat_c = from_fahrenheit(value_f, thermostat.heat_setpoint_c)
        ask = Ask(mode, None if mode is Mode.OFF else heat_c, self._now_s(), self._now_s())
        ask.is_bounded, ask.until_utc_ms = is_bounded, now.until_utc_ms if is_bounded else None
        self._add(zone_id, ask)
        self.counts["settings of a client"] += 1
        self._check_zone(hub, now)

    def _is_night(self, hub: app.Hub) -> bool:
        """Return whether nobody wants any heat, so that frost protection has to."""
        utc_ms = hub.environment.clock.utc_ms()
        return utc_ms is not None and (utc_ms / HOUR_MS - EVENING_HOUR) % 24 < NIGHT_HOURS

    def _add(self, zone_id: str, ask: Ask) -> None:
        asks = self._asks.setdefault(zone_id, [])
        asks.append(ask)
        del asks[:-ASKS_MAX]

    async def _check_actions(self, home: Home, zone_id: str) -> None:
        """Look what became of the actions that were taken."""
        asks = self._asks.get(zone_id, [])
        for ask in [ask for ask in asks if ask.action_id]:
            action = await home.actions.get(ask.action_id)
            if action.is_pending:
                if ask.settled_s is not None:
                    self._report("an action is settled once", f"{ask.action_id} is {action.state} again")
            elif action.state is not ActionState.COMPLETED:
                asks.remove(ask)
                self.counts[f"actions of a client {action.state}"] += 1
            elif ask.settled_s is None:
                ask.settled_s = self._now_s()
                self.counts["actions of a client carried out"] += 1

    def _check_zone(self, hub: app.Hub, thermostat: Thermostat) -> None:
        """Check what both clients are shown of a zone, and that it does not freeze."""
        utc_ms = hub.environment.clock.utc_ms()
        self._check_frost(hub, thermostat)
        asks = self._asks.get(thermostat.zone_id)
        if not asks:
            return
        possible = not_superseded(asks)
        if not any(self._is_shown(ask, thermostat, utc_ms) for ask in possible):
            shown = f"{thermostat.mode.value} {thermostat.heat_setpoint_c:.2f} ({thermostat.setpoint_reason.value})"
            self._report("a client is shown what it asked", f"{thermostat.zone_id} shows {shown}, not {possible[-1]}")
            asks.clear()
        commands = capability_map(can_heat=thermostat.can_heat, can_cool=thermostat.can_cool, takes_fahrenheit=False)
        device = amps.device_document(thermostat, commands, None, utc_ms=utc_ms, is_twin=False)
        if device.state.mode != status_of(thermostat).mode:
            self._report("both clients are shown the same", f"{device.state.mode}, {status_of(thermostat).mode}")

    def _is_shown(self, ask: Ask, thermostat: Thermostat, utc_ms: int | None) -> bool:
        is_same_value = ask.heat_c is None or abs(thermostat.heat_setpoint_c - ask.heat_c) < EQUAL_K
        if thermostat.mode is ask.mode and is_same_value:
            # It must not go on for longer than the client was told; the schedule may have the same value by chance.
            is_told = utc_ms is None or ask.until_utc_ms is None or utc_ms < ask.until_utc_ms + MARGIN_MS
            return is_told or thermostat.hold is None
        if not ask.is_bounded:
            return False
        is_over = utc_ms is None or ask.until_utc_ms is None or utc_ms > ask.until_utc_ms - MARGIN_MS
        return is_over and all(hold.id != HOLD_ID for hold in thermostat.holds)

    def _check_frost(self, hub: app.Hub, thermostat: Thermostat) -> None:
        if hub.climate is None or thermostat.temperature_c is None:
            return
        frost_c = hub.climate.control.zones[thermostat.zone_id].settings.frost_c
        self.counts["looks at a zone in frost"] += thermostat.temperature_c < frost_c
        is_excused = self._now_s() - self._started_s < FROST_GRACE_S
        if thermostat.temperature_c < frost_c - FROST_K_MAX and not is_excused:
            self._report("no room freezes", f"{thermostat.zone_id} {thermostat.temperature_c:.1f} C")

    def _report(self, promise: str, detail: str) -> None:
        self._violate(self._now_s(), promise, detail)
