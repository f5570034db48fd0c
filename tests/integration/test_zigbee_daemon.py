"""`climahub run` with a stick as its radio, all as processes of their own: from the pty to the cloud, and kill -9."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

pytest.importorskip("bellows")

from tests.integration.conftest import KEY, WAIT_S, Cloud

ROOT = Path(__file__).parents[2]
STICK = "import sys; from lab.cli.ncp import ncp; sys.exit(ncp(standalone_mode=False))"
HOUSE = '[[device]]\nname = "bedroom"\nmodel = "climate"\nvalues = { temperature_c = 19.5 }\n'


class House:
    """A stick, a hub and their files."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory = directory
        self.state = directory / "state"
        (directory / "house.toml").write_text(HOUSE)
        (directory / "key").write_text(KEY)
        (directory / "key").chmod(0o600)
        (directory / "hub.toml").write_text(
            f'[cloud]\nbase_url = "{url}"\napi_key_file = "{directory}/key"\nbatch_linger_s = 0\n'
            "[port]\nlisten = []\n"
            f'[storage]\nstate_dir = "{self.state}"\nrun_dir = "{directory}/run"\ncommit_interval_s = 0.1\n'
            f'[zigbee]\nport = "{directory}/port"\nchannel = 15\n[clock]\ntrust = "system"\n'
        )
        self.processes: list[asyncio.subprocess.Process] = []

    async def start(self, *command: str) -> asyncio.subprocess.Process:
        with (self.directory / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=log
            )
        self.processes.append(process)
        return process

    async def stick(self) -> None:
        names = (("--pty", "port"), ("--devices", "house.toml"), ("--control", "orders"))
        await self.start("-c", STICK, *(f"{option}={self.directory / name}" for option, name in names))
        await self.until((self.directory / "orders").exists)

    async def hub(self) -> asyncio.subprocess.Process:
        return await self.start("-m", "agent", "run", "--config", str(self.directory / "hub.toml"))

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110 - another process makes it true
                await asyncio.sleep(0.02)

    def log(self) -> str:
        """What the process that was started last has said."""
        return (self.directory / "log").read_text()

    def network(self) -> dict[str, object]:
        path = self.state / "zigbee-network.json"
        return json.loads(path.read_bytes()) if path.exists() else {"phase": ""}


@pytest.fixture
async def house(tmp_path: Path, cloud: Cloud) -> AsyncIterator[House]:
    made = House(tmp_path, cloud.url)
    yield made
    for process in made.processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.slow
async def test_daemon_forms_a_network_and_restores_it_after_kill_9(house: House) -> None:
    await house.stick()
    formed = None
    # Kills within the start: the network is planned, formed, backed up, used.
    for life_s in (0.7, 0.9, 1.1, 1.3):
        hub = await house.hub()
        await asyncio.sleep(life_s)
        hub.send_signal(signal.SIGKILL)
        await hub.wait()
        network = house.network()
        assert formed in {None, json.dumps(network.get("settings"))}
        if network["phase"] == "formed":
            formed = json.dumps(network["settings"])
    hub = await house.hub()
    await house.until(lambda: "up, PAN" in house.log())
    assert formed in {None, json.dumps(house.network()["settings"])}
    hub.terminate()
    assert await hub.wait() == 0
    assert "Traceback" not in house.log()
    assert str(house.network()["settings"]["key"]) not in house.log()  # type: ignore[index]
    for name in ("zigbee-network.json", "zigbee.db"):
        assert (house.state / name).stat().st_mode & 0o077 == 0


async def test_pairing_from_the_button_to_the_first_reading_in_the_cloud(house: House, cloud: Cloud) -> None:
    (house.directory / "bedroom.key").write_text(cloud.sensor_key("bedroom"))
    await house.stick()
    hub = await house.hub()
    await house.until(lambda: "up, PAN" in house.log())
    said = house.log
    options = ("--name", "bedroom", "--key-file", str(house.directory / "bedroom.key"))
    socket = ("--socket", str(house.directory / "run" / "status.sock"))
    pairing = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "zigbee", "pair", *options, *socket, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    house.processes.append(pairing)
    reader, writer = await asyncio.open_unix_connection(house.directory / "orders")
    is_pressed = False
    async with asyncio.timeout(WAIT_S):
        while not is_pressed:
            writer.write(b"press bedroom\n")
            is_pressed = json.loads(await reader.readline())["ok"]
            await asyncio.sleep(0.05)
    writer.close()
    await house.until(lambda: any(reading.value == 19.5 for reading in cloud.accepted))
    async with asyncio.timeout(WAIT_S):
        told, _ = await pairing.communicate()
    assert pairing.returncode == 0, told.decode() + said()
    accepted = [reading for reading in cloud.accepted if reading.value == 19.5]
    assert {reading.device_id for reading in accepted} != {cloud.hub_id}
    hub.terminate()
    assert await hub.wait() == 0
