"""The network of the stick: ownership, backups, ports and power cuts, on the real zigpy and the emulated stick."""

import functools
import gc
import json
import logging
import shutil
import stat
import sys
from pathlib import Path

import pytest

pytest.importorskip("bellows")
from hal.errors import NetworkLost
from hal.radio import RadioState
from hal.zigbee import radio
from hal.zigbee.join_window import eui64
from hal.zigbee.options import DATABASE_FILE, NETWORK_FILE, SENSORS_FILE, STICK_FILE
from tests.integration.zigbee_bench import Hub, Stand, hasten


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the patience of both ends."""
    hasten(monkeypatch)


async def measures(stand: Stand, hub: Hub, sensors: object, device: str, value: float) -> None:
    sensors.set_values("bedroom", {"temperature_c": value})  # type: ignore[attr-defined]
    await hub.until(lambda: hub.values(device, "temperature")[-1:] == [value])


def is_configured(hub: Hub, device: str) -> bool:
    known = hub.network._registry.get(device)
    return known is not None and known.is_configured


def is_back(hub: Hub, device: str) -> bool:
    return [sensor.device for sensor in hub.network.sensors] == [device] and is_configured(hub, device)


async def ask(hub: Hub, device: str) -> None:
    """Ask a sensor something, as the radio would, and have its answer."""

    async def read() -> None:
        radio = hub.network._radio
        assert radio is not None
        known = radio._app.devices[eui64(device)]
        assert (await known.endpoints[1].basic.read_attributes(["zcl_version"]))[0] == {"zcl_version": 8}

    await hub.network._thread.call(read)


async def test_blank_stick_receives_the_network_and_no_sensor_is_paired_again(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    async with stand.running() as (sensors, hub):
        device = await hub.pair(sensors, "bedroom")
        before = hub.network.radio
        await hub.until(lambda: len(json.loads(stand.store.read(NETWORK_FILE) or b"")["backups"]) >= 2)
        # The sensor hears more after the backup: what it has heard it takes for a replay.
        for _ in range(10):
            await ask(hub, device)
    stand.stick = None
    async with stand.plugged_in(seed=99) as sensors, stand.hub() as hub:
        await hub.state(RadioState.UP)
        assert (hub.network.radio.pan_id, hub.network.radio.channel) == (before.pan_id, before.channel)
        await measures(stand, hub, sensors, device, 30)
        assert hub.steps(device) == []
        await ask(hub, device)


async def foreign_stick(tmp_path: Path) -> bytes:
    foreign = Stand(tmp_path / "foreign", house='seed = 99\n[[device]]\nname = "other"\nmodel = "climate"\n')
    async with foreign.running():
        pass
    assert foreign.stick is not None
    return foreign.stick


@pytest.mark.slow
async def test_a_foreign_stick_is_refused_until_a_person_chooses(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    async with stand.running() as (sensors, hub):
        device = await hub.pair(sensors, "bedroom")
        ours = await hub.network.backup()
    own = stand.stick
    stand.stick = await foreign_stick(tmp_path)
    async with stand.plugged_in(), stand.hub() as hub:
        await hub.state(RadioState.REFUSED)
        problem = hub.network.radio.problem
        for words in ("not this hub's", "1 sensors", "climahub zigbee restore", str(tmp_path / "port")):
            assert words in problem
        with pytest.raises(NetworkLost, match="not this hub's"):
            await hub.network.open_join_window(60)
        with pytest.raises(ValueError, match="no Open Coordinator Backup"):
            await hub.network.restore(b'{"metadata": {}}')
        await hub.until(lambda: hub.losses)
        assert json.loads(await hub.network.backup())["network_key"]["key"] == json.loads(ours)["network_key"]["key"]
    # Whoever plugs the right stick in has chosen as well.
    foreign, stand.stick = stand.stick, own
    async with stand.running() as (sensors, hub):
        await measures(stand, hub, sensors, device, 13)
    stand.stick = foreign
    async with stand.plugged_in() as sensors, stand.hub() as hub:
        await hub.state(RadioState.REFUSED)
        await hub.network.restore(ours)
        assert hub.network.radio.state is RadioState.UP
        await measures(stand, hub, sensors, device, 14)


async def test_new_hub_uses_a_stick_with_a_network_only_if_configured(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.stick = await foreign_stick(tmp_path)
    async with stand.plugged_in():
        async with stand.hub() as hub:
            await hub.state(RadioState.REFUSED)
            assert "zigbee.take_over" in hub.network.radio.problem
            with pytest.raises(NetworkLost, match="no backup"):
                await hub.network.backup()
        async with stand.hub(takes_over=True) as hub:
            await hub.state(RadioState.UP)
        async with stand.hub() as hub:
            await hub.state(RadioState.UP)


async def test_factory_reset_forms_a_new_network(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    async with stand.running() as (sensors, hub):
        await hub.pair(sensors, "bedroom")
        before = json.loads(await hub.network.backup())
    for name in (NETWORK_FILE, SENSORS_FILE, DATABASE_FILE):
        (tmp_path / name).unlink()
    assert before["network_key"]["key"] not in (tmp_path / STICK_FILE).read_text()
    async with stand.running() as (_, hub):
        after = json.loads(await hub.network.backup())
        assert after["network_key"]["key"] != before["network_key"]["key"]
        assert list(hub.network.sensors) == []


@pytest.mark.parametrize("lost", [NETWORK_FILE, SENSORS_FILE, DATABASE_FILE])
async def test_broken_file_loses_no_paired_sensor(tmp_path: Path, lost: str) -> None:
    stand = Stand(tmp_path)
    async with stand.running() as (sensors, hub):
        device = await hub.pair(sensors, "bedroom")
        key = json.loads(await hub.network.backup())["network_key"]["key"]
    (tmp_path / lost).write_bytes(b"\x00" * 8192)
    for companion in ("-wal", "-shm"):
        (tmp_path / f"{lost}{companion}").unlink(missing_ok=True)
    async with stand.running() as (sensors, hub):
        await hub.until(lambda: [sensor.device for sensor in hub.network.sensors] == [device])
        await hub.until(lambda: is_configured(hub, device))
        await measures(stand, hub, sensors, device, 15)
        assert json.loads(await hub.network.backup())["network_key"]["key"] == key
        assert (tmp_path / f"{lost}.aside").exists()


async def test_backups_are_secret_bounded_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with Stand(tmp_path).running() as (sensors, hub):
        await hub.pair(sensors, "bedroom")
        for _ in range(10):
            content = await hub.network.backup()
        backup = json.loads(content)
        assert backup["metadata"]["format"] == "zigpy/open-coordinator-backup"
        kept = json.loads((tmp_path / NETWORK_FILE).read_bytes())
        assert len(kept["backups"]) == 8
        assert stat.S_IMODE((tmp_path / DATABASE_FILE).stat().st_mode) == 0o600
        steps = "\n".join(hub.network.radio.steps)
    key = backup["network_key"]["key"]
    assert key not in steps
    assert key not in caplog.text.replace(":", "").lower()


@pytest.mark.parametrize("period_s", [0.3, 3600.0])
async def test_backups_are_made_daily_and_when_sensors_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, period_s: float
) -> None:
    assert radio.BACKUP_S == 24 * 3600
    monkeypatch.setattr(radio, "BACKUP_S", period_s)
    stand = Stand(tmp_path)

    def made() -> int:
        return stand.store.written.count(NETWORK_FILE)

    async with stand.running() as (sensors, hub):
        # Planned, formed, and backed up soon after the start.
        await hub.until(lambda: made() >= 3)
        if period_s > 1:
            assert made() == 3
            await hub.pair(sensors, "bedroom")
        await hub.until(lambda: made() >= 4)


async def test_missing_or_busy_port_is_explained(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    async with stand.hub() as hub:
        await hub.state(RadioState.LOST)
        assert "plug the stick in" in hub.network.radio.problem
        async with stand.plugged_in():
            await hub.state(RadioState.UP)
            other = Stand(tmp_path / "other")
            async with other.hub(port=str(tmp_path / "port")) as second:
                await second.state(RadioState.LOST)
                assert "another program uses it" in second.network.radio.problem


async def test_a_missing_adapter_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("zigpy_deconz", "zigpy_deconz.zigbee", "zigpy_deconz.zigbee.application"):
        monkeypatch.setitem(sys.modules, name, None)
    stand = Stand(tmp_path)
    async with stand.plugged_in(), stand.hub(adapter="deconz") as hub:
        await hub.state(RadioState.LOST)
        assert "pip install 'climahub[zigbee-deconz]'" in hub.network.radio.problem


# zigpy-znp leaves a port to the garbage collector when it gives up.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("adapter", ["znp", "deconz"])
async def test_stick_of_another_type_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adapter: str
) -> None:
    monkeypatch.setattr(radio, "CONNECT_S", 1.0)
    stand = Stand(tmp_path)
    async with stand.plugged_in(), stand.hub(adapter=adapter) as hub:
        await hub.state(RadioState.LOST)
        assert "zigbee.adapter" in hub.network.radio.problem
        assert hub.network.radio.steps[0].endswith(f"as configured, {adapter}")
    gc.collect()


async def test_agent_can_stop_during_the_radio_start(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    async with stand.plugged_in(), stand.hub() as hub:
        await hub.until(lambda: hub.network.radio.steps)
    # The agent's stop does not wait for longer than its limit; the thread ends all the same.
    thread = hub.network._thread._thread
    await hub.until(lambda: thread is None or not thread.is_alive())
    with pytest.raises(NetworkLost):
        await hub.network.close_join_window()


class PowerCuts:
    """Copies the hub's directory before and after each file that it writes: what a power cut would leave there."""

    def __init__(self, stand: Stand, directory: Path) -> None:
        self.left: list[Path] = []
        self._stand = stand
        self._directory = directory
        stand.store.before_write = self._cut
        stand.store.after_write = self._cut

    def _cut(self, name: str) -> None:
        place = self._directory / f"{len(self.left):03d} {name}"
        place.mkdir(parents=True)
        for path in self._stand.directory.iterdir():
            if path.is_file() and not path.is_symlink():
                shutil.copy(path, place / path.name)
        self.left.append(place)


@pytest.mark.slow
async def test_power_cut_at_any_write_loses_no_sensor(tmp_path: Path) -> None:
    stand = Stand(tmp_path / "hub")
    cuts = PowerCuts(stand, tmp_path / "cuts")
    async with stand.running() as (sensors, hub):
        device = await hub.pair(sensors, "bedroom")
        await hub.until(lambda: len(json.loads(stand.store.read(NETWORK_FILE) or b"")["backups"]) >= 2)
    assert {place.name.partition(" ")[2] for place in cuts.left} == {NETWORK_FILE, SENSORS_FILE, STICK_FILE}
    stick, devices_memory = stand.stick, stand.devices_memory
    for number, place in enumerate(cuts.left):
        after = Stand(place)
        # The stick and the sensor have power of their own: they are where they got to.
        after.stick, after.devices_memory = stick, devices_memory
        is_formed = b'"formed"' in (after.store.read(NETWORK_FILE) or b"")
        if not is_formed:
            # Before the network is formed no sensor can have joined it.
            after.stick = after.devices_memory = None
        async with after.running() as (sensors, hub):
            if is_formed:
                await hub.until(functools.partial(is_back, hub, device))
                await measures(after, hub, sensors, device, 12.5 + number / 2)
                assert len(hub.network.links) == 1
            else:
                assert await hub.pair(sensors, "bedroom") == device


async def test_a_power_cut_while_the_network_is_formed(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    async with stand.running() as (_, hub):
        pan_id = hub.network.radio.pan_id
    network = json.loads((tmp_path / NETWORK_FILE).read_bytes())
    # The stick has the network, and the hub did not come to know that.
    (tmp_path / NETWORK_FILE).write_text(json.dumps({**network, "phase": "planned", "backups": []}))
    for name in (DATABASE_FILE, STICK_FILE, SENSORS_FILE):
        (tmp_path / name).unlink(missing_ok=True)
    async with stand.running() as (_, hub):
        assert hub.network.radio.pan_id == pan_id


async def test_a_scan_measures_every_channel_and_the_network_stays_up(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    async with stand.running() as (sensors, hub):
        device = await hub.pair(sensors, "bedroom")
        energies = await hub.network.energy_scan()
        assert list(energies) == list(range(11, 27))
        assert all(0 <= energy <= 255 for energy in energies.values())
        assert hub.network.radio.state is RadioState.UP
        await measures(stand, hub, sensors, device, 30)


async def test_a_scan_without_a_stick_says_so(tmp_path: Path) -> None:
    async with Stand(tmp_path).hub() as hub:
        with pytest.raises(NetworkLost):
            await hub.network.energy_scan()
