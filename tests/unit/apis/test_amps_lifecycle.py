"""Random clients of Amps' API against a model of forty lines: states, conflicts, cancelling, and what is in force."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, cast

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.apis.amps.face import AmpsFace, Environment
from agent.apis.amps.twin import TwinThermostats
from agent.apis.clients import Clients
from agent.apis.face import ApiClient, ApiRequest
from agent.apis.routing import find_route
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.home.action_service import ActionService
from agent.home.changes import HomeChanges
from agent.local.routes import Caller, Role
from tests.unit.home.home_bench import HomeBench

MINUTE_MS = 60_000


class Model:
    """What Amps documents about the actions of one zone."""

    def __init__(self) -> None:
        self.actions: dict[str, dict[str, Any]] = {}
        self.held: list[tuple[float, int | None]] = []

    def pending(self) -> list[str]:
        return [action_id for action_id, each in self.actions.items() if each["state"] == "scheduled"]

    def can_push(self, on_conflict: str | None, start: int | None, end: int | None, now: int) -> bool:
        pending = self.pending()
        if not pending:
            return True
        if on_conflict == "queue_after":
            last = max(pending, key=lambda each: self.actions[each]["start"])
            last_end = self.actions[last]["end"]
            return last_end is not None and (end is None or end > max(last_end, start or 0)) and len(pending) < 8
        return on_conflict == "cancel_and_replace"

    def push(self, action_id: str, on_conflict: str | None, value: float, start: int | None, end: int | None) -> None:
        pending = self.pending()
        if pending and on_conflict == "queue_after":
            last = max(pending, key=lambda each: self.actions[each]["start"])
            start = max(self.actions[last]["end"], start or 0)
        for each in pending if on_conflict == "cancel_and_replace" else []:
            self.actions[each]["state"] = "cancelled"
        state = "completed" if start is None else "scheduled"
        self.actions[action_id] = {"state": state, "value": value, "start": start, "end": end}
        if start is None:
            self.hold(value, None)

    def hold(self, value: float, end: int | None) -> None:
        self.held = [*self.held, (value, end)] if end is not None else [(value, None)]

    def advance(self, now: int) -> None:
        for each in sorted(self.pending(), key=lambda each: cast("int", self.actions[each]["start"])):
            action = self.actions[each]
            if action["end"] is not None and action["end"] <= now:
                action["state"] = "failed"  # the clock has jumped over its window, as if the hub had been off
            elif action["start"] <= now:
                action["state"] = "completed"
                self.hold(action["value"], action["end"])

    def in_force(self, now: int, default: float) -> float:
        self.held = [(value, end) for value, end in self.held if end is None or end > now]
        return self.held[-1][0] if self.held else default


class Hub:
    """The face over twins, with an event loop but no network: a test moves its clock."""

    def __init__(self, directory: Path) -> None:
        self.bench = HomeBench(directory)
        ids, now = itertools.count(1), self.bench.climate.now
        self.twins = TwinThermostats(
            lambda: {each.zone_id: each for each in self.bench.home.thermostats.all()},
            now=now,
            timezone=self.bench.climate.timezone,
            new_id=lambda: f"h{next(ids)}",
        )
        self.actions = ActionService(
            directory,
            thermostats=self.twins,
            changes=HomeChanges(zones=dict, sensors=dict, now=now),
            clock=self.bench.clock,
            disk=Disk(),
            worker=InlineWorker(),
            new_id=lambda: str(next(ids)),
            file_name="amps-sandbox.json",
        )
        sandbox = Environment("sandbox", self.twins, self.actions, self.twins)
        self.face = AmpsFace(
            sandbox,
            sandbox,
            clients=cast("Clients", None),
            clock=self.bench.clock,
            timezone=self.bench.climate.timezone,
            zone_ids=lambda: ("living",),
            new_id=lambda: "r",
            takes_fahrenheit=False,
        )

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        found = find_route(self.face.routes, method, path)
        assert found.route
        request = ApiRequest(
            found.parameters,
            {},
            MappingProxyType({}),
            msgspec.json.encode(body),
            ApiClient("acc_1", "test", "amps", is_test=True),
            Caller("api:amps/test", Role.SERVICE, ""),
            lambda *_: None,
        )
        answer = await found.route.handler(request)
        return answer.status.value, json.loads(msgspec.json.encode(answer.document))

    async def settle(self) -> None:
        """Let the loop do what is due."""
        for _ in range(20):
            await asyncio.sleep(0)


async def run(hub: Hub, drive: Callable[[Hub], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop().create_task(hub.actions.run())
    try:
        await hub.settle()
        await drive(hub)
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


PUSHES = st.tuples(
    st.just("push"),
    st.integers(10, 60).map(lambda value: value / 2),
    st.none() | st.integers(1, 90),
    st.none() | st.integers(1, 90),
    st.sampled_from([None, "cancel_and_replace", "queue_after"]),
)
STEPS = st.lists(
    PUSHES | st.tuples(st.just("cancel"), st.integers(0, 8)) | st.tuples(st.just("wait"), st.integers(1, 60))
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_the_life_cycle_is_that_of_the_model(steps: list[tuple[Any, ...]]) -> None:
    with TemporaryDirectory() as directory:
        asyncio.run(run(Hub(Path(directory)), lambda hub: drive(hub, Model(), steps)))


async def drive(hub: Hub, model: Model, steps: list[tuple[Any, ...]]) -> None:
    clock = hub.bench.clock
    default = hub.twins.get("living").heat_setpoint_c
    for step in steps:
        now = cast("int", clock.utc_ms())
        match step:
            case ("push", value, start, length, on_conflict):
                await push(hub, model, value, start, length, on_conflict)
            case ("cancel", number):
                action_id = next(itertools.islice(model.actions, number, None), "action_none")
                status, answer = await hub.call("POST", f"/actions/{action_id}/cancel")
                state = model.actions.get(action_id, {}).get("state")
                assert status == {"scheduled": 200, None: 404}.get(cast("str", state), 409), answer
                if state == "scheduled":
                    model.actions[action_id]["state"] = "cancelled"
            case ("wait", minutes):
                clock.advance(minutes * 60)
                now = cast("int", clock.utc_ms())
                hub.actions._due.set()
                model.advance(now)
        await hub.settle()
        for action_id, expected in model.actions.items():
            _, answer = await hub.call("GET", f"/actions/{action_id}")
            assert answer["data"]["state"] == expected["state"], (step, answer)
        assert hub.twins.get("living").heat_setpoint_c == model.in_force(now, default), step


async def push(
    hub: Hub, model: Model, value: float, start: int | None, length: int | None, on_conflict: str | None
) -> None:
    """Push `start` minutes from now, for `length` minutes from then."""
    now = cast("int", hub.bench.clock.utc_ms())
    action: dict[str, Any] = {"command": "heat", "parameters": {"target": {"value": value, "unit": "celsius"}}}
    if start is not None:
        action["start"] = f"{start}m"
    if start is not None and length is not None:
        action["end"] = f"{start + length}m"
    start_ms = None if start is None else now + start * MINUTE_MS
    end_ms = None if start_ms is None or length is None else start_ms + length * MINUTE_MS
    is_taken = model.can_push(on_conflict, start_ms, end_ms, now)
    body = {"action": action, **({"onConflict": on_conflict} if on_conflict else {})}
    status, answer = await hub.call("POST", "/hvac/living", body)
    if not is_taken:
        assert status in {409, 422}, answer
        assert answer["error"]["details"]["deviceCapabilities"]["commands"]
        return
    assert status == 202, answer
    model.push(answer["data"]["id"], on_conflict, value, start_ms, end_ms)
