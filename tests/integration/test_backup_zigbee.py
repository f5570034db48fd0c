"""A hub with paired sensors, backed up and restored on a blank machine with a new stick: processes and real zigpy."""

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

pytest.importorskip("bellows")

from lab.ncp.server import EmulatorServer
from tests.integration.conftest import KEY, Cloud
from tests.integration.test_pairing_zigbee import climahub, said
from tests.integration.test_zigbee_daemon import House
from tests.integration.zigbee_bench import Stick

NAMES = ("bedroom", "kitchen")
DEVICES = "".join(
    f'[[device]]\nname = "{name}"\nmodel = "climate"\nvalues = {{ temperature_c = 19.5 }}\n' for name in NAMES
)


class Card:
    """The files of a machine; a blank one has none."""

    def __init__(self, directory: Path, port: Path, url: str) -> None:
        directory.mkdir()
        self.directory = directory
        self.config = directory / "hub.toml"
        self.phrase = directory / "phrase"
        self.phrase.write_text("correct horse battery")
        self._text = (
            f'[cloud]\nbase_url = "{url}"\napi_key_file = "key"\nbatch_linger_s = 0\n[port]\nlisten = []\n'
            '[storage]\nstate_dir = "state"\nrun_dir = "run"\ncommit_interval_s = 0.1\n'
            f'[zigbee]\nport = "{port}"\nchannel = 15\n[clock]\ntrust = "system"\n'
        )

    def set_up(self) -> None:
        self.config.write_text(self._text)
        (self.directory / "key").write_text(KEY)
        (self.directory / "key").chmod(0o600)

    def identities(self) -> object:
        return json.loads((self.directory / "state" / "relayed.json").read_bytes())

    def frame_counter(self) -> int:
        network = json.loads((self.directory / "state" / "zigbee-network.json").read_bytes())
        return int(network["backups"][-1]["network_key"]["frame_counter"])

    async def types(self, *words: str) -> str:
        process = await climahub(*words, "--config", str(self.config))
        told = await said(process)
        assert process.returncode == 0, told
        return told


@pytest.fixture
async def house(tmp_path: Path, cloud: Cloud) -> AsyncIterator[House]:
    made = House(tmp_path, cloud.url)
    yield made
    for process in made.processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def pair(card: Card, sensors: EmulatorServer, cloud: Cloud) -> None:
    for name in NAMES:
        key_file = card.directory / f"{name}.key"
        key_file.write_text(cloud.sensor_key(name))
        words = ("zigbee", "pair", "--name", name, "--key-file", str(key_file), "--config", str(card.config))
        process = await climahub(*words)
        assert process.stdout is not None
        assert b"the join window is open" in await process.stdout.readline()
        sensors.press(name)
        told = await said(process)
        assert process.returncode == 0, told


async def all_report(house: House, sensors: EmulatorServer, cloud: Cloud, values: Sequence[float]) -> set[str]:
    """Let each sensor measure a new value; return the identities under which the cloud has them."""
    for name, value in zip(NAMES, values, strict=True):
        sensors.set_values(name, {"temperature_c": value})
    await house.until(lambda: {reading.value for reading in cloud.accepted} >= set(values))
    return {reading.device_id for reading in cloud.accepted if reading.value in values}


@pytest.mark.slow
async def test_every_sensor_reports_again_and_none_is_paired_again(house: House, cloud: Cloud, tmp_path: Path) -> None:
    stick = Stick(tmp_path / "stick", house=DEVICES, version=13)
    old, new = (Card(tmp_path / name, stick.directory / "port", cloud.url) for name in ("old", "new"))
    old.set_up()
    file = str(tmp_path / "hub.backup")
    async with stick.plugged_in() as sensors:
        hub = await house.start("-m", "agent", "run", "--config", str(old.config))
        await house.until(lambda: "up, PAN" in house.log())
        await pair(old, sensors, cloud)
        before = await all_report(house, sensors, cloud, [20.25, 21.25])
        await old.types("backup", file, "--passphrase-file", str(old.phrase))
        backed_up = old.frame_counter()
        # The hub goes on sending after the backup: what a sensor has heard once, it takes for a replay.
        await all_report(house, sensors, cloud, [20.5, 21.5])
        hub.kill()
        await hub.wait()
        used_up_to = sensors.emulator.stick.frame_counter
    identities = old.identities()
    registrations = len(before)
    stick.stick = None
    async with stick.plugged_in(seed=99) as sensors:
        await new.types("restore", file, "--passphrase-file", str(new.phrase))
        assert new.frame_counter() > backed_up + 1_000_000
        assert new.identities() == identities
        hub = await house.start("-m", "agent", "run", "--config", str(new.config))
        await house.until(lambda: "up, PAN" in house.log())
        # Reports arrive all the same where sensors refuse each frame of the hub as a replay.
        assert sensors.emulator.stick.frame_counter > used_up_to + 1_000_000
        after = await all_report(house, sensors, cloud, [20.75, 21.75])
        assert after == before
        assert len(after) == registrations == len(NAMES)
        assert "joined" not in house.log()
        members = {each["name"]: each for each in json.loads(await new.types("zigbee", "list", "--json"))["sensors"]}
        assert {members[name]["stage"] for name in NAMES} == {"relaying"}
        hub.terminate()
        assert await hub.wait() == 0
