"""The history of a running hub over TCP: recorded, answered, thinned, and flushed by an orderly stop."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.local.routes import Role
from agent.port.history.recorder import History
from tests.integration.conftest import WAIT_S
from tests.integration.port_rig import open_port

OFF = 'port = 0\nhistory = "off"\n'


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(History, "_pause_s", lambda self: 0.02)


async def channels_with(client: aiohttp.ClientSession, *wanted: str) -> dict[str, Any]:
    """Return the channels of the history, by their ids, once some are there."""
    async with asyncio.timeout(WAIT_S):
        while True:
            async with client.get("/v1/history") as response:
                assert response.status == 200
                channels = {each["id"]: each for each in (await response.json())["channels"]}
            if set(wanted) <= set(channels):
                return channels
            await asyncio.sleep(0.02)


async def test_zones_and_sensors_are_recorded_and_survive_a_stop(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.session(Role.VIEWER) as client:
        channels = await channels_with(client, "zone/living/temperature", "zone/living/output")
        assert channels["zone/living/temperature"]["unit"] == "°C"
        assert any(each["device"] == "hub" for each in channels.values())
    assert list((tmp_path / "state").glob("history-*.seg"))
    async with open_port(tmp_path) as port, port.session(Role.VIEWER) as client:
        query = {"channels": "zone/living/temperature,none", "from": "-600", "points": "5"}
        async with client.get("/v1/history", params=query) as response:
            report = await response.json()
    assert report["time_base"] == "utc"
    assert report["interval_s"] == 120
    temperatures = [value for value in report["series"][0]["mean"] if value is not None]
    assert temperatures
    assert all(0 < value < 40 for value in temperatures)
    assert set(report["series"][1]["mean"]) == {None}


async def test_switched_off_nothing_is_recorded_and_the_old_is_gone(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.session(Role.VIEWER) as client:
        await channels_with(client, "zone/living/temperature")
    assert list((tmp_path / "state").glob("history-*.seg"))
    async with (
        open_port(tmp_path, port_text=OFF) as port,
        port.session(Role.VIEWER) as client,
        client.get("/v1/history") as response,
    ):
        assert response.status == 404
    assert not list((tmp_path / "state").glob("history-*.seg"))


async def test_a_wrong_query_is_refused_in_words(tmp_path: Path) -> None:
    async with (
        open_port(tmp_path) as port,
        port.session(Role.VIEWER) as client,
        client.get("/v1/history", params={"from": "yesterday"}) as response,
    ):
        assert response.status == 400
        assert "correct from" in (await response.json(content_type=None))["detail"]
