"""`climahub run` with a stick as its radio, all as processes of their own: from the pty to the cloud, and kill -9."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

pytest.importorskip("bellows")

from agent.climate.settings import ClimateSettings, ZoneSettings
from agent.climate.short_cycle_protection import ShortCycleLimits
from hal.interface import HvacAction, HvacDemand
from hal.line_names import radio_line
from lab.ncp import models
from lab.ncp.server import EmulatorServer
from lab.simulation.safety_oracle import SafetyOracle
from tests.integration.conftest import KEY, WAIT_S, Cloud
from tests.integration.zigbee_bench import Stick

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

    async def pair(self, sensors: EmulatorServer, cloud: Cloud) -> None:
        """Pair a plug, which needs no key, and a thermometer in one window; the stick is in this process."""
        (self.directory / "room.key").write_text(cloud.sensor_key("room"))
        words = ("zigbee", "pair", "--name", "room", "--key-file", str(self.directory / "room.key"))
        pairing = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agent", *words, "--config", str(self.directory / "hub.toml")),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        self.processes.append(pairing)
        assert pairing.stdout is not None
        async with asyncio.timeout(WAIT_S):
            for name, before in (("heater", b"window is open"), ("room", b"reporting is configured")):
                while before not in (line := await pairing.stdout.readline()):
                    assert line
                sensors.press(name)
            await pairing.communicate()
        assert pairing.returncode == 0

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


HEATED = """
[[device]]
name = "room"
model = "climate"
values = { temperature_c = 15.0 }

[[device]]
name = "heater"
model = "plug"
"""
LIMITS = ShortCycleLimits(min_on_s=5.0, min_off_s=40.0, starts_per_hour_max=60)
LEASE_TENTHS = 600


class WatchedPlug:
    """What a plug does, for an oracle that does not know the hub."""

    def __init__(self, sensors: EmulatorServer) -> None:
        zone = ZoneSettings(zone_id="room", sensors=(("room", 1.0),), limits=LIMITS)
        self.oracle = SafetyOracle(ClimateSettings(zones=(zone,)))
        self.is_hub_ended = False
        self._attributes = sensors.emulator.radio_medium.node("heater")._attributes
        self._was_on = False

    @property
    def is_on(self) -> bool:
        return bool(self._attributes.number((1, models.ON_OFF, 0x0000)))

    @property
    def timer_tenths(self) -> int:
        return self._attributes.number((1, models.ON_OFF, 0x4001))

    async def watch(self) -> None:
        """Tell the oracle each change; what the end of a hub switches off needs no minimum time."""
        loop = asyncio.get_running_loop()
        while True:
            if self.is_on is not self._was_on:
                self._was_on, at_ms = self.is_on, round(loop.time() * 1000)
                if self.is_hub_ended and not self.is_on:
                    self.oracle.record_kill(at_ms)
                    self.is_hub_ended = False
                action = HvacAction.HEAT if self.is_on else HvacAction.OFF
                self.oracle.check_demand(HvacDemand({"room": action}), at_ms)
            await asyncio.sleep(0.01)


async def report(sensors: EmulatorServer) -> None:
    """Let the thermometer report, as it would within minutes."""
    while True:
        sensors.report_all("room")
        await asyncio.sleep(1.0)


class Heated:
    """A room with a plug, its hub, and the oracle that watches the plug."""

    def __init__(self, house: House, plug: WatchedPlug) -> None:
        self.house = house
        self.plug = plug

    async def kill(self, hub: asyncio.subprocess.Process) -> None:
        hub.send_signal(signal.SIGKILL)
        await hub.wait()
        self.plug.is_hub_ended = self.plug.is_on

    async def end(self, hub: asyncio.subprocess.Process) -> None:
        """End a hub in order: that switches off as well."""
        self.plug.is_hub_ended = True
        hub.terminate()
        assert await hub.wait() == 0
        await self.house.until(lambda: not self.plug.is_hub_ended)


@contextlib.asynccontextmanager
async def heated(house: House, cloud: Cloud) -> AsyncIterator[Heated]:
    """Pair plug and thermometer; the hub is then started by the test."""
    stick = Stick(house.directory / "stick", house=HEATED, version=13)
    config = house.directory / "hub.toml"
    text = config.read_text().replace(f"{house.directory}/port", str(stick.directory / "port"))
    config.write_text(text)
    async with stick.plugged_in() as sensors, asyncio.TaskGroup() as group:
        hub = await house.hub()
        await house.until(lambda: "up, PAN" in house.log())
        await house.pair(sensors, cloud)
        hub.terminate()
        await hub.wait()
        line = radio_line("0x" + sensors.emulator.radio_medium.node("heater").eui64.replace(":", ""), "switch", 1)
        config.write_text(
            f"{text}[climate]\nrelay_min_on_s = {LIMITS.min_on_s:g}\nrelay_min_off_s = {LIMITS.min_off_s:g}\n"
            f"relay_starts_per_hour_max = {LIMITS.starts_per_hour_max}\n"
            'zones = [{ id = "room", sensors = ["room"] }]\n'
            f'[board]\nname = "linux"\n[board.linux]\nrelays = [{{ name = "room", heat_line = "{line}" }}]\n'
        )
        plug = WatchedPlug(sensors)
        tasks = group.create_task(plug.watch()), group.create_task(report(sensors))
        yield Heated(house, plug)
        for task in tasks:
            task.cancel()


@pytest.mark.slow
async def test_plug_goes_off_by_its_own_timer_when_the_hub_is_killed(house: House, cloud: Cloud) -> None:
    async with heated(house, cloud) as room:
        plug = room.plug
        hub = await house.hub()
        await house.until(lambda: plug.is_on)
        await house.until(lambda: plug.timer_tenths)
        await room.kill(hub)
        assert (plug.is_on, 0 < plug.timer_tenths <= LEASE_TENTHS) == (True, True)
        await house.until(lambda: not plug.is_on)
        hub = await house.hub()
        await house.until(lambda: plug.is_on)
        await room.end(hub)
        assert (plug.oracle.summary(), plug.oracle.starts["room"]) == ([], 2)


@pytest.mark.slow
async def test_plug_rests_in_full_after_two_kills_within_its_minute(house: House, cloud: Cloud) -> None:
    async with heated(house, cloud) as room:
        plug = room.plug
        hub = await house.hub()
        await house.until(lambda: plug.timer_tenths)
        await room.kill(hub)
        # The second hub is killed before its radio is up: the plug is still on.
        hub = await house.hub()
        await house.until(house.log)
        await room.kill(hub)
        assert plug.is_on
        hub = await house.hub()
        await house.until(lambda: not plug.is_on)
        await house.until(lambda: plug.is_on)
        await room.end(hub)
        assert (plug.oracle.summary(), plug.oracle.starts["room"]) == ([], 2)
