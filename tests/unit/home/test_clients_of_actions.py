"""What a test client forces, and what becomes of the actions of a client that was revoked."""

from pathlib import Path

import msgspec
import pytest

from agent.home.action_admission import ActionRequest
from agent.home.actions import ActionState, Command, UnknownAction
from tests.unit.home.home_bench import NOON_MS, HomeBench
from tests.unit.home.test_action_service import carry_out, running, setpoint_c

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
