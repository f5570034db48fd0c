"""Button to cloud with the real stack: `climahub run` on an emulated stick, `climahub zigbee pair` beside it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("bellows")
pytest.importorskip("hal.zigbee", reason="the radio comes with a branch of its own")

from tests.integration.conftest import WAIT_S, Cloud
from tests.integration.test_zigbee_daemon import House


@pytest.fixture
async def house(tmp_path: Path, cloud: Cloud) -> AsyncIterator[House]:
    made = House(tmp_path, cloud.url)
    yield made
    for process in made.processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def climahub(*words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )


async def said(process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(WAIT_S):
        output, _ = await process.communicate()
    return output.decode()


class Technician:
    """Types commands on the hub and presses buttons."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.config = ("--config", str(house.directory / "hub.toml"))

    async def types(self, *words: str) -> str:
        process = await climahub("zigbee", *words, *self.config)
        told = await said(process)
        assert process.returncode == 0, told
        return told

    async def pairs(self, sensor: str, *words: str) -> str:
        """Open a window, press the sensor's button as soon as it is open, watch until the end."""
        process = await climahub("zigbee", *words, *self.config)
        assert process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            first = await process.stdout.readline()
        assert b"the join window is open" in first
        await said(await climahub("ncp", "say", str(self.house.directory / "orders"), "press", sensor))
        told = await said(process)
        assert process.returncode == 0, told
        return told

    async def sensors(self) -> dict[str, dict[str, object]]:
        listed = json.loads(await self.types("list", "--json"))["sensors"]
        return {sensor["name"]: sensor for sensor in listed}


@pytest.mark.slow
async def test_sensor_is_paired_replaced_and_removed(house: House, cloud: Cloud) -> None:
    second = '[[device]]\nname = "spare"\nmodel = "climate"\nvalues = { temperature_c = 21.5 }\n'
    (house.directory / "house.toml").write_text((house.directory / "house.toml").read_text() + second)
    key_file = house.directory / "bedroom.key"
    key_file.write_text(cloud.sensor_key("bedroom"))
    await house.stick()
    await house.hub()
    await house.until(lambda: "up, PAN" in house.log())
    technician = Technician(house)
    told = await technician.pairs("bedroom", "pair", "--name", "bedroom", "--key-file", str(key_file))
    for step in ("joined", "interviewed", "registered with the cloud", "paired"):
        assert step in told
    assert 19.5 in {reading.value for reading in cloud.accepted if reading.device_id != cloud.hub_id}
    first = (await technician.sensors())["bedroom"]
    assert first["stage"] == "relaying"
    assert key_file.read_text() not in (house.state / "relayed.json").read_text()

    await technician.pairs("spare", "replace", "bedroom")
    (new,) = [each for each in (await technician.sensors()).values() if each["stage"] == "relaying"]
    assert (new["name"], new["sensor_id"]) == ("bedroom", first["sensor_id"])
    assert new["device"] != first["device"]
    ids = {reading.device_id for reading in cloud.accepted if reading.value == 21.5}
    assert ids == {first["sensor_id"]}

    await technician.types("remove", "bedroom", "--yes")
    async with asyncio.timeout(WAIT_S):
        while await technician.sensors():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.1)
