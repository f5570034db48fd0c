"""A radio whose libraries are missing says so, and that no new start will help."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from agent.foundation.disk import Disk
from agent.foundation.state_files import StateFiles
from hal.errors import NetworkLost
from hal.radio import RadioState
from hal.zigbee import RadioContext, RadioOptions, ZigbeeNetwork, import_stubs


async def test_a_radio_without_zigpy_needs_software(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("No module named 'zigpy'", name="zigpy")

    monkeypatch.setattr(import_stubs, "import_zigpy", missing)
    store = StateFiles(tmp_path, Disk(), bytes_max=1 << 20)
    network = ZigbeeNetwork(RadioOptions(port="/dev/null"), RadioContext(store, lambda: 0, "boot"))
    with contextlib.suppress(NetworkLost):
        async with asyncio.timeout(60):
            await network.receive()
    assert network.radio.state is RadioState.LOST
    assert "zigpy is not installed" in network.radio.problem
    assert network.radio.needs_software
    await network.close()
