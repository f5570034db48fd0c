"""What a test client forces, and what becomes of the actions of a client that was revoked."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agent.home.action_admission import ActionRequest
from agent.home.action_service import CLIENT_REVOKED
from agent.home.actions import ActionState, Command, UnknownAction
from tests.unit.home.home_bench import NOON_MS, HomeBench
from tests.unit.home.test_action_service import carry_out, running, setpoint_c, until

HOUR_S = 3600
SCHEDULED = ActionRequest(
    zone_id="living",
    command=Command.HEAT,
    heat_setpoint_c=22.0,
    start_utc_ms=NOON_MS + HOUR_S * 1000,
    by="api:amps/test",
)


@pytest.fixture
def bench(tmp_path: Path) -> HomeBench:
    return HomeBench(tmp_path)


async def test_a_forced_failure_is_part_of_its_action_and_outlives_a_restart(bench: HomeBench) -> None:
    async with running(bench):
        action = await bench.home.actions.push(msgspec.structs.replace(SCHEDULED, forced_problem="DEVICE_OFFLINE: off"))
    bench.start()
    bench.advance(HOUR_S)
    async with running(bench):
        failed = await carry_out(bench, action)
    assert (failed.state, failed.problem) == (ActionState.FAILED, "DEVICE_OFFLINE: off")
    assert setpoint_c(bench) == 20.0


async def test_a_cursor_in_a_zone_that_a_client_may_not_see_is_unknown_to_it(bench: HomeBench) -> None:
    async with running(bench):
        action = await bench.home.actions.push(SCHEDULED)
        assert await bench.home.actions.page(zones=frozenset({"living"}), before=action.action_id) == []
        with pytest.raises(UnknownAction, match=f"there is no {action.action_id}"):
            await bench.home.actions.page(zones=frozenset({"bath"}), before=action.action_id)


class KnownClients:
    def __init__(self) -> None:
        self.is_unread = False
        self.ids = {"acc_1", "acc_2"}
        self.listeners: list[Callable[[], None]] = []

    def has(self, client_id: str) -> bool:
        return client_id in self.ids

    def on_revoked(self, listener: Callable[[], None]) -> None:
        self.listeners.append(listener)


async def test_what_a_revoked_client_has_scheduled_is_cancelled(bench: HomeBench) -> None:
    clients = KnownClients()
    bench.home.actions.follow_clients(clients)
    async with running(bench):
        action = await bench.home.actions.push(msgspec.structs.replace(SCHEDULED, client_id="acc_1"))
        await bench.home.actions.push(msgspec.structs.replace(SCHEDULED, client_id="acc_2", zone_id="bath"))
        clients.ids.remove("acc_1")
        for listener in clients.listeners:
            listener()
        await until(lambda: bench.home.actions.latest("living").state is not ActionState.SCHEDULED)  # type: ignore[union-attr]
        bench.advance(HOUR_S)
        cancelled = await carry_out(bench, action)
        assert (cancelled.state, cancelled.problem) == (ActionState.CANCELLED, CLIENT_REVOKED)
        assert setpoint_c(bench) == 20.0
        assert bench.home.thermostats.get("bath").heat_setpoint_c == 22.0


async def test_after_a_restart_actions_wait_until_the_clients_are_known(bench: HomeBench) -> None:
    async with running(bench):
        action = await bench.home.actions.push(msgspec.structs.replace(SCHEDULED, client_id="acc_3"))
    bench.start()
    clients = KnownClients()
    clients.is_unread = True
    bench.home.actions.follow_clients(clients)
    bench.advance(HOUR_S)
    async with running(bench):
        assert (await carry_out(bench, action)).state is ActionState.SCHEDULED
        clients.is_unread = False
        assert (await carry_out(bench, action)).state is ActionState.CANCELLED
    assert setpoint_c(bench) == 20.0


async def test_what_a_revoked_client_wanted_at_once_and_no_zone_has_taken_fails(bench: HomeBench) -> None:
    clients = KnownClients()
    bench.home.actions.follow_clients(clients)
    await bench.home.actions.load()
    request = msgspec.structs.replace(SCHEDULED, client_id="acc_1", start_utc_ms=None)
    action = await bench.home.actions.push(request)
    clients.ids.clear()
    assert (await carry_out(bench, action)).state is ActionState.FAILED
    assert setpoint_c(bench) == 20.0
