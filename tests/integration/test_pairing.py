"""Button to cloud: a real hub with a simulated radio, the command line on its socket, the reference cloud behind it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agent.cli import exit_codes, root
from hal import sim
from hal.sim import mesh
from tests.integration.conftest import Cloud, HubClock, MakeHub, RunningHub, until


class Town:
    """A house with boxed sensors, the hub in it, and a technician at its command line."""

    def __init__(self, world: sim.SimEnvironment, hub: RunningHub, state: Path) -> None:
        assert world.mesh is not None
        self.world = world
        self.mesh = world.mesh
        self.hub = hub
        self.book = state / "relayed.json"
        self.devices = [sensor.device for sensor in world.options.relayed]

    async def type(self, *words: str) -> int:
        """Run a command of `climahub zigbee` as a person would, beside the hub."""
        path = str(self.hub.hub.config.local_api.socket)
        return await asyncio.to_thread(root.run, ["zigbee", *words, "--socket", path])

    def world_ms(self) -> int:
        radio = self.world.radio
        assert radio is not None
        return self.hub.clock.monotonic_ms() + radio.sim_offset_ms

    async def press_when_open(self, device: str) -> None:
        await until(lambda: self.mesh.press_button(device, self.world_ms()))


@pytest.fixture
async def town(cloud: Cloud, make_hub: MakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    monkeypatch.setattr(mesh, "INTERVIEW_S", (0.05, 0.1))
    monkeypatch.setattr(mesh, "CONFIGURE_S", (0.01, 0.02))
    monkeypatch.setattr(mesh, "FAILED_SHARE", 0.0)
    monkeypatch.setattr("agent.cli.zigbee.pairing.LOOK_S", 0.05)
    clock = HubClock()
    world = sim.SimEnvironment(
        sim.SimOptions(seed=3, start_utc_ms=0, sensors_count=7 + 9, unpaired_count=3, report_interval_s=1.0)
    )
    board = sim.SimBoard(world, monotonic_ms=clock.monotonic_ms)
    hub = make_hub(cloud.url, network=board.network, clock=clock, serve=True)
    hub.start()
    made = Town(world, hub, tmp_path / "state")
    await until(hub.hub.config.local_api.socket.exists)
    return made


async def test_pairing_from_the_button_to_the_first_accepted_reading(
    cloud: Cloud, town: Town, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    key_file = tmp_path / "attic.key"
    key_file.write_text(cloud.sensor_key("attic"))
    async with asyncio.TaskGroup() as group:
        group.create_task(town.press_when_open(town.devices[0]))
        typed = group.create_task(town.type("pair", "--name", "attic", "--key-file", str(key_file)))
    assert typed.result() == exit_codes.OK
    out = capfd.readouterr().out
    for step in ("join window is open", "attic: joined", "interviewed", "has its key", "registered", "attic: paired"):
        assert step in out
    sensor_id = town.hub.hub.pairing.identities.sensor_id(town.devices[0])
    assert sensor_id in {reading.device_id for reading in cloud.accepted}
    assert key_file.read_text() not in town.book.read_text()
    assert await town.type("list", "--json") == exit_codes.OK
    (sensor,) = json.loads(capfd.readouterr().out)["sensors"]
    assert (sensor["name"], sensor["stage"], sensor["problem"]) == ("attic", "relaying", "")
    assert sensor["readings"]


async def test_a_sensor_without_a_key_waits_with_its_readings(
    cloud: Cloud, town: Town, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(town.press_when_open(town.devices[0]))
        typed = group.create_task(town.type("pair"))
    assert typed.result() == exit_codes.FAILED
    assert "waits for its key" in capfd.readouterr().err
    await until(lambda: town.hub.status().outbox.unregistered)
    held = town.hub.status().outbox.unregistered
    assert not [reading for reading in cloud.accepted if reading.device_id != cloud.hub_id]
    wrong = tmp_path / "wrong.key"
    wrong.write_text("sk_sensor_of_nobody")
    assert await town.type("key", town.devices[0], "--key-file", str(wrong)) == exit_codes.OK
    await until(lambda: "check it against the label" in town.hub.status().relayed_sensors[0].problem)
    right = tmp_path / "right.key"
    right.write_text(cloud.sensor_key("attic"))
    assert await town.type("key", town.devices[0], "--key-file", str(right)) == exit_codes.OK
    await until(lambda: sum(reading.device_id != cloud.hub_id for reading in cloud.accepted) >= held)
    assert town.hub.status().outbox.unregistered == 0


async def test_replace_remove_backup_and_restore(
    cloud: Cloud, town: Town, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    old, new = town.devices[0], town.devices[1]
    key_file = tmp_path / "attic.key"
    key_file.write_text(cloud.sensor_key("attic"))
    async with asyncio.TaskGroup() as group:
        group.create_task(town.press_when_open(old))
        group.create_task(town.type("pair", "--name", "attic", "--key-file", str(key_file)))
    sensor_id = town.hub.hub.pairing.identities.sensor_id(old)
    backup = tmp_path / "network.json"
    assert await town.type("backup", str(backup)) == exit_codes.OK
    town.mesh.empty_battery(old, town.world_ms())
    async with asyncio.TaskGroup() as group:
        group.create_task(town.press_when_open(new))
        typed = group.create_task(town.type("replace", "attic"))
    assert typed.result() == exit_codes.OK
    assert town.hub.hub.pairing.identities.sensor_id(new) == sensor_id
    # A zone that is measured by "attic" is from now on measured by the new one.
    assert town.hub.hub.pairing.queries.devices_by_name()["attic"] == new
    await until(lambda: not town.mesh.is_joined(old))
    assert await town.type("rename", "attic", "attic north") == exit_codes.OK
    assert await town.type("remove", "attic north", "--yes") == exit_codes.OK
    await until(lambda: not town.mesh.is_joined(new))
    assert await town.type("remove", "attic north", "--yes") == exit_codes.FAILED
    assert 'no sensor "attic north"' in capfd.readouterr().err
    assert await town.type("restore", str(backup), "--yes") == exit_codes.OK
    assert town.mesh.is_joined(old)
    backup.write_text("a letter")
    assert await town.type("restore", str(backup), "--yes") == exit_codes.FAILED
    assert "no backup of a Zigbee network" in capfd.readouterr().err


async def test_sensors_join_through_a_listed_router(town: Town, capfd: pytest.CaptureFixture[str]) -> None:
    assert await town.type("list") == exit_codes.OK
    (router,) = [line.split()[-3] for line in capfd.readouterr().out.splitlines() if " router " in line]
    assert router == town.mesh.router
    assert await town.type("pair", "--through", router, "--no-wait") == exit_codes.OK
    await town.press_when_open(town.devices[0])
    assert town.mesh.through == router


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["pair", "--label", "MT:Y.K9042C00KA0648G00"], "Matter"),
        (["pair", "--through", "0x0000000000000001"], "does not answer"),
        (["pair", "--many", "--name", "x"], "belong to one sensor"),
        (["replace", "nobody"], 'no sensor "nobody"'),
        (["rename", "nobody", "x"], 'no sensor "nobody"'),
    ],
)
async def test_impossible_requests_are_explained(
    words: list[str], told: str, town: Town, capfd: pytest.CaptureFixture[str]
) -> None:
    assert await town.type(*words) == exit_codes.FAILED
    assert told in capfd.readouterr().err


async def test_unplugged_stick_is_reported(town: Town, capfd: pytest.CaptureFixture[str]) -> None:
    town.mesh.set_lost(is_lost=True, at_ms=town.world_ms())
    for words in (["pair"], ["backup", "/nonexistent/never-written"]):
        assert await town.type(*words) == exit_codes.FAILED
        assert "plug it in" in capfd.readouterr().err
    assert await town.type("status") == exit_codes.OK
    assert "lost" in capfd.readouterr().out


async def test_oversized_or_invalid_body_is_refused(town: Town) -> None:
    import aiohttp  # noqa: PLC0415 - for this test alone

    connector = aiohttp.UnixConnector(str(town.hub.hub.config.local_api.socket))
    bodies: list[tuple[Any, int]] = [(b"x" * 9000, 413), (b"sk_sensor_not_json", 400), (b"\xff", 400)]
    async with aiohttp.ClientSession(connector=connector) as session:
        for body, status in bodies:
            async with session.post("http://hub/v1/zigbee/join-window", data=body) as response:
                assert response.status == status
                assert b"sk_sensor" not in await response.read()
