"""All attacks on the port at once, small: nobody gets in, people do, and nothing is left. Its figures: bench_port."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.climate import service
from agent.climate.coordinator import ClimateDecision
from agent.local.routes import Role
from tests.integration import port_attack
from tests.integration.conftest import until
from tests.integration.port_attack import Target
from tests.integration.port_rig import open_port

SLOW, LISTENERS, GUESSES = 40, 10, 100
TLS = 'listen = ["0.0.0.0"]\nport = 0\n'


@pytest.mark.parametrize("port_text", ["port = 0\n", TLS], ids=["plain", "tls"])
async def test_attack_admits_nobody_and_control_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port_text: str
) -> None:
    monkeypatch.setattr(service, "DECISION_INTERVAL_S", 0.05)
    monkeypatch.setattr("agent.port.serving.IDLE_S_MAX", 0.3)
    spawn = asyncio.get_running_loop().create_task
    async with open_port(tmp_path, port_text=port_text) as port:
        target = Target(port.url)
        climate = port.hub.climate
        assert climate is not None
        decided: list[ClimateDecision] = []
        step = climate.control.step

        def noted(*arguments: Any, **named: Any) -> ClimateDecision:  # noqa: ANN401 - as it was called
            decided.append(step(*arguments, **named))
            return decided[-1]

        monkeypatch.setattr(climate.control, "step", noted)
        cookie = await port_attack.sign_in(target, await port.make_code(Role.OWNER))
        slow, listeners = (
            port_attack.Slowloris(target, SLOW),
            port_attack.Listeners(target, LISTENERS, cookie),
        )
        tasks = [spawn(listeners.run())]
        await until(lambda: listeners.statuses[200] == LISTENERS)
        tasks.append(spawn(slow.run()))
        await until(lambda: slow.closed_by_hub > SLOW)
        decided.clear()
        guessed = await port_attack.guess_codes(target, GUESSES, 10)
        assert (guessed[200], slow.answered) == (0, 0)
        assert sum(guessed[status] for status in (401, 429)) > GUESSES / 2
        async with port.session(Role.VIEWER) as client, client.get("/v1/status") as response:
            assert response.status == 200
        assert port.hub.port.events.clients == LISTENERS
        await until(lambda: len(decided) > 10)
        await port_attack.end(tasks)
        await until(lambda: not port.hub.port.listeners.connections)
        await until(lambda: not port.hub.port.events.clients)
        assert port.hub.faults.entries == []
