"""The walks in docs/architecture.md: a whole hub really calls the listed functions, in the listed order."""

import asyncio
import functools
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import agent
from agent import config
from agent.ota.lifecycle import UpdateState
from lab.simulation.options import Options, PlannedCommand
from lab.simulation.run import simulate
from tests.integration.api_rig import open_apis
from tests.integration.conftest import until
from tests.simulation.update_bench import GOOD, bench, closed

ROOT = Path(agent.__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"

LIMITS_S = {
    "A reading": 180.0,  # a batch may wait for cloud.batch_linger_s, 120 s
    "A command": 60.0,
    "An update": 600.0,
    "A call for heat": 5.0,
    "A configuration key": 60.0,
    "A change from an API": 30.0,
}
"""How long one walk may take, in virtual time: a later round of the loops must not stand in for this one."""


def documented() -> dict[str, list[str]]:
    """Return the walks by heading."""
    section = PAGE.read_text().partition("## Six walks")[2].partition("\n## ")[0]
    parts = re.split(r"^### (.+)$", section, flags=re.MULTILINE)[1:]
    return {
        heading: [line.split()[0] for line in text.split("```")[1].strip().splitlines()]
        for heading, text in zip(parts[::2], parts[1::2], strict=True)
    }


class Walk:
    """Follows one walk through the calls of a run."""

    def __init__(self, steps: list[str], limit_s: float) -> None:
        self.steps = steps
        self.limit_s = limit_s
        self.position = self.furthest = 0
        self.began_s = 0.0
        self.is_done = False

    def called(self, name: str, now_s: float) -> None:
        """Take the next step if this is its function; begin anew where the walk has taken too long."""
        if self.is_done:
            return
        if self.position and name == self.steps[0] and now_s - self.began_s > self.limit_s:
            self.position = 0
        if name == self.steps[self.position]:
            if self.position == 0:
                self.began_s = now_s
            self.position += 1
            self.furthest = max(self.furthest, self.position)
            if self.position == len(self.steps):
                self.is_done = now_s - self.began_s <= self.limit_s
                self.position = 0


@functools.cache
def name_of(code: CodeType) -> str:
    """Return a function of this project as `file:function`; empty for all others."""
    path = Path(code.co_filename)
    return f"{path.relative_to(ROOT)}:{code.co_qualname}" if path.is_relative_to(ROOT) else ""


@contextmanager
def following(*walks: Walk) -> Iterator[None]:
    """Follow walks through everything that this thread calls."""
    steps = {step for walk in walks for step in walk.steps}

    def on_event(frame: FrameType, event: str, _: Any) -> None:  # noqa: ANN401 - of sys.setprofile
        if event == "call" and (name := name_of(frame.f_code)) in steps:
            loop = asyncio._get_running_loop()
            for walk in walks:
                walk.called(name, loop.time() if loop else 0.0)

    before = sys.getprofile()
    sys.setprofile(on_event)
    try:
        yield
    finally:
        sys.setprofile(before)


def simulate_hub() -> None:
    verdict = simulate(
        Options(
            days=300 / 86_400,
            sensors=7,
            faults="none",
            machine_faults=(),
            calm_s=120.0,
            releases=False,
            commands=(PlannedCommand(40.0, "config_update", {"reporting_interval_seconds": 300}),),
            config_text='[climate]\nzones = [{ id = "kitchen", sensors = ["sim/temperature"] }]\n',
        )
    )
    assert not verdict.violations


def load_and_simulate(directory: Path) -> None:
    path = directory / "hub.toml"
    path.write_text('[cloud]\nbase_url = "https://cloud.example"\n[storage]\ncommit_interval_s = 20\n')
    config.load(path, environ={})
    simulate_hub()


def simulate_update() -> None:
    with bench() as made:
        made.publish(GOOD)
        made.loop.run_until_complete(made.run(closed(UpdateState.COMPLETED)))


async def push_over_tcp(directory: Path) -> None:
    """Push a setpoint as an Amps client does, to a whole hub that listens."""
    async with open_apis(directory, "amps") as apis:
        made = await apis.client("amps")
        apis.home.changes.on_change(lambda _: None)
        action = {"command": "heat", "parameters": {"target": {"value": 22.5, "unit": "celsius"}}}
        async with (
            apis.session({"x-api-key": made.secret}) as client,
            client.post("/amps/hvac/living", json={"action": action}) as response,
        ):
            assert response.status == 202, await response.text()
        await until(lambda: (done := apis.home.actions.latest("living")) and not done.is_pending)
        assert apis.home.thermostats.get("living").heat_setpoint_c == 22.5


def test_every_walk_is_documented() -> None:
    assert set(documented()) == set(LIMITS_S)
    assert all(len(steps) >= 6 for steps in documented().values())


@pytest.mark.parametrize("heading", LIMITS_S)
def test_hub_calls_the_documented_functions_in_order(heading: str, tmp_path: Path) -> None:
    walk = Walk(documented()[heading], LIMITS_S[heading])
    with following(walk):
        match heading:
            case "An update":
                simulate_update()
            case "A configuration key":
                load_and_simulate(tmp_path)
            case "A change from an API":
                asyncio.run(push_over_tcp(tmp_path))
            case _:
                simulate_hub()
    reached = " -> ".join(walk.steps[: walk.furthest][-1:] + walk.steps[walk.furthest :][:1])
    assert walk.is_done, f"never reached in this order within {walk.limit_s:g} s: {reached}"


def test_a_walk_in_another_order_is_found() -> None:
    steps = documented()["A call for heat"]
    walk = Walk([*steps[:3], *reversed(steps[3:])], LIMITS_S["A call for heat"])
    with following(walk):
        simulate_hub()
    assert not walk.is_done


def test_a_walk_over_a_function_that_is_not_called_is_found() -> None:
    walk = Walk([*documented()["A reading"], "agent/climate/service.py:ClimateService.forget"], 60.0)
    with following(walk):
        simulate_hub()
    assert not walk.is_done
