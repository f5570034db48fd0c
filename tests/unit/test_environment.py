"""A board with a stick for its radio: what is given back first at the end."""

from pathlib import Path

import pytest

from agent.config import resolve_text
from agent.environment import with_parts
from agent.foundation.clock import SystemClock
from agent.foundation.disk import Disk
from hal.errors import ActuatorFault
from hal.zigbee import ZigbeeNetwork
from tests.integration.conftest import TestBoard


class Relays(TestBoard):
    """A board that notes when it was closed, and may fail in it."""

    def __init__(self, order: list[str], problem: ActuatorFault | None) -> None:
        super().__init__((), None)
        self._order = order
        self._problem = problem

    async def close(self) -> None:
        self._order.append("outputs")
        if self._problem:
            raise self._problem


@pytest.mark.parametrize("problem", [None, ActuatorFault("a relay is stuck")])
async def test_outputs_are_off_before_the_radio_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: ActuatorFault | None
) -> None:
    order: list[str] = []

    async def close(_: ZigbeeNetwork) -> None:
        order.append("radio")

    monkeypatch.setattr(ZigbeeNetwork, "close", close)
    text = (
        f'[cloud]\nbase_url = "http://127.0.0.1:1"\n[zigbee]\nport = "{tmp_path}/none"\n'
        f'[storage]\nstate_dir = "{tmp_path}"\n'
    )
    config = resolve_text(text, file="test", directory=tmp_path, environ={}).config
    board = with_parts(Relays(order, problem), config, SystemClock(trust_wall_clock=True), Disk())
    try:
        await board.close()
    except ActuatorFault as error:
        assert error is problem  # noqa: PT017 - whether it is raised depends on the case
    assert order == ["outputs", "radio"]
