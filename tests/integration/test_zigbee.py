"""The hub's radio, on the real zigpy and bellows, over a pseudo terminal to the emulated stick."""

import asyncio
import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bellows")
from hal.errors import SensorUnavailable
from hal.radio import InstallCode, JoinStep, RadioState
from hal.zigbee import zigpy_stack
from hal.zigbee.options import SENSORS_FILE
from lab.ncp import serial_port
from lab.ncp.coordinator import JoinOutcome
from tests.integration.zigbee_bench import HOUSE, Hub, Stand, hasten, one

JOINED = [JoinStep.JOINED, JoinStep.INTERVIEWED, JoinStep.CONFIGURED]


INSTALL_CODE = "83fed3407a939723a5c639b26916d505c3b5"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the patience of both ends."""
    hasten(monkeypatch)


async def measures(stand: Stand, hub: Hub, sensors: object, device: str, value: float) -> None:
    sensors.set_values("bedroom", {"temperature_c": value})  # type: ignore[attr-defined]
    await hub.until(lambda: hub.values(device, "temperature")[-1:] == [value])


@pytest.mark.parametrize("version", [13, 18])
async def test_pairing_from_the_button_to_the_first_readings(tmp_path: Path, version: int) -> None:
    async with Stand(tmp_path, version=version).running() as (sensors, hub):
        device = await hub.pair(sensors, "bedroom")
        assert hub.steps(device) == JOINED
        (sensor,) = hub.network.sensors
        assert (sensor.device, sensor.ieee_address) == (device, device)
        assert sensor.name == f"climahub weather {device[-4:]}"
        await hub.until(lambda: len(hub.latest(device)) == 4)
        assert hub.latest(device) == {"temperature": 20.5, "humidity": 48, "pressure": 1001, "battery_level": 77}
        sent = [21 + count / 4 for count in range(40)]
        for value in sent:
            sensors.set_values("bedroom", {"temperature_c": value})
        await hub.until(lambda: len(hub.values(device, "temperature")) == 41)
        assert hub.values(device, "temperature")[1:] == sent
        times = [reading.at_ms for reading in hub.readings]
        assert times == sorted(times)
        (link,) = hub.network.links
        assert (link.is_online, link.is_sleepy, link.lqi_last_hop) == (True, True, 200)


async def test_restart_keeps_the_sensors_and_repeats_no_setup(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    async with stand.running() as (sensors, hub):
        device = await hub.pair(sensors, "bedroom")
    async with stand.plugged_in() as sensors:
        async with stand.hub() as hub:
            assert [sensor.device for sensor in hub.network.sensors] == [device]
            assert hub.network.links[0].is_online
            await hub.state(RadioState.UP)
            await measures(stand, hub, sensors, device, 11.5)
            assert hub.steps(device) == []
        stand.boot_id = "another boot"
        async with stand.hub() as hub:
            assert hub.network.links[0].is_online is None
            await hub.state(RadioState.UP)
            await measures(stand, hub, sensors, device, 12.5)
            assert hub.network.links[0].is_online


@pytest.mark.parametrize(
    ("model", "values", "expected"),
    [
        ("aqara_weather", {"temperature_c": 19.5}, {"temperature": 19.5, "battery_level": 100}),
        ("tuya_climate", {"temperature_c": -3.5, "humidity_percent": 61}, {"temperature": -3.5, "humidity": 61}),
        ("air", {"voc_index": 140}, {"iaq": 140}),
        ("climate", {"humidity_percent": 61.25}, {"humidity": 61.25}),
    ],
)
async def test_sensors_of_several_manufacturers(
    tmp_path: Path, model: str, values: dict[str, float], expected: dict[str, float]
) -> None:
    async with Stand(tmp_path, house=one(model)).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        sensors.set_values("one", values)
        sensors.report_all("one")
        await hub.until(lambda: expected.items() <= hub.latest(device).items())
        kinds = {str(kind) for kind in hub.network.sensors[0].kinds}
        assert set(hub.latest(device)) <= kinds
        assert set(expected) <= kinds


@pytest.mark.parametrize(
    ("model", "values", "expected"),
    [
        ("aqara_weather", {"temperature_c": 19.5}, {"temperature": 19.5}),
        ("tuya_climate", {"temperature_c": 21.5, "humidity_percent": 61}, {"temperature": 21.5, "humidity": 61}),
    ],
)
async def test_zha_quirks_decode_their_devices(
    tmp_path: Path, model: str, values: dict[str, float], expected: dict[str, float]
) -> None:
    pytest.importorskip("zhaquirks")
    async with Stand(tmp_path, house=one(model)).running(quirks=True) as (sensors, hub):
        device = await hub.pair(sensors, "one")
        # The emulated Aqara differs from the table's in details; such a one is read by the hub's own.
        radio: Any = hub.network._radio
        assert (device in radio._listener.decoder._corrected) == (model == "tuya_climate")
        sensors.set_values("one", values)  # which it reports by itself
        await hub.until(lambda: expected.items() <= hub.latest(device).items())
        assert len(hub.values(device, "temperature")) <= 2
        # Of more than 400.
        assert len([name for name in sys.modules if name.startswith("zhaquirks.")]) < 50


async def test_missing_zha_quirks_are_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "zhaquirks", None)
    async with Stand(tmp_path).running(quirks=True) as (sensors, hub):
        await hub.pair(sensors, "bedroom")
    assert "climahub[zigbee-quirks]" in caplog.text


async def test_device_without_measurements_is_no_sensor_and_has_a_link(tmp_path: Path) -> None:
    async with Stand(tmp_path).running() as (sensors, hub):
        device = await hub.pair(sensors, "plug")
        assert list(hub.network.sensors) == []
        (link,) = hub.network.links
        assert (link.device, link.is_sleepy) == (device, False)


async def test_invalid_value_gives_no_reading(tmp_path: Path) -> None:
    async with Stand(tmp_path).running() as (sensors, hub):
        device = await hub.pair(sensors, "bedroom")
        for quantity in ("temperature_c", "humidity_percent", "pressure_hpa"):
            sensors.set_values("bedroom", {quantity: None})
        await measures(Stand(tmp_path), hub, sensors, device, 24.5)
        assert hub.values(device, "temperature") == [20.5, 24.5]
        assert hub.values(device, "humidity") == [48]
        assert hub.values(device, "pressure") == [1001]


async def test_reports_survive_a_bad_cable_in_order(tmp_path: Path) -> None:
    async with Stand(tmp_path).running() as (sensors, hub):
        device = await hub.pair(sensors, "bedroom")
        sensors.inject(serial_port.parse("corrupt=0.05"))
        sent = [10 + count / 4 for count in range(200)]
        for value in sent:
            sensors.set_values("bedroom", {"temperature_c": value})
        await hub.until(lambda: len(hub.values(device, "temperature")) == 201)
        assert hub.values(device, "temperature")[1:] == sent
        assert hub.losses == []


@pytest.mark.parametrize("words", [pytest.param("silence=2", marks=pytest.mark.slow), "reset", "gone=0.5"])
async def test_radio_recovers_by_itself(tmp_path: Path, words: str) -> None:
    async with Stand(tmp_path).running() as (sensors, hub):
        device = await hub.pair(sensors, "bedroom")
        before = list(hub.network.radio.steps)
        sensors.set_values("bedroom", {"temperature_c": 30})
        await hub.until(lambda: 30 in hub.values(device, "temperature"))
        sensors.inject(serial_port.parse(words))
        await hub.lost()
        await hub.until(lambda: hub.losses)
        assert "stick was lost" in hub.losses[0]
        await hub.state(RadioState.UP)
        await measures(Stand(tmp_path), hub, sensors, device, 31)
        assert len(hub.network.radio.steps) > len(before)
        assert hub.steps(device) == JOINED


@pytest.mark.parametrize("is_gone", [True, False])
async def test_backup_on_a_connection_that_closes_finds_the_stick_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_gone: bool
) -> None:
    async with Stand(tmp_path).running() as (sensors, hub):
        back_up, failures, is_paired = zigpy_stack.back_up, iter([True]), threading.Event()

        async def closing(app: Any) -> Any:  # noqa: ANN401
            if not next(failures, False):
                return await back_up(app)
            # On a slow machine a backup begins before the sensor is paired, and the command for that would fail.
            await asyncio.to_thread(is_paired.wait)
            if is_gone:
                app.connection_lost(OSError("gone"))
            raise AttributeError("'NoneType' object has no attribute 'send_data'")

        monkeypatch.setattr(zigpy_stack, "back_up", closing)
        await hub.pair(sensors, "bedroom")
        is_paired.set()
        step = "the stick was lost" if is_gone else zigpy_stack.UNKNOWN_FAILURE
        await hub.until(lambda: any(step in each for each in hub.network.radio.steps))
        await hub.state(RadioState.UP)
        assert any(zigpy_stack.UNKNOWN_FAILURE in each for each in hub.network.radio.steps) is not is_gone


async def test_readings_wait_for_the_agent_over_a_radio_failure(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    async with stand.running() as (sensors, hub):
        device = await hub.pair(sensors, "bedroom")
        hub.pause()
        # The call that is under way still returns.
        sensors.set_values("bedroom", {"temperature_c": 4})
        await hub.until(lambda: 4 in hub.values(device, "temperature"))
        sensors.set_values("bedroom", {"temperature_c": 5})
        sensors.set_values("bedroom", {"temperature_c": 6})
        await hub.until(lambda: len(hub.network._events.readings._items) == 2)
        sensors.inject(serial_port.parse("gone=0.5"))
        await hub.lost()
        hub.resume()
        await hub.until(lambda: hub.values(device, "temperature")[-2:] == [5, 6])
        await hub.state(RadioState.UP)


async def test_a_sensor_behind_a_router(tmp_path: Path) -> None:
    async with Stand(tmp_path).running() as (sensors, hub):
        assert sensors.press("attic") is JoinOutcome.NO_OPEN_NETWORK
        router = await hub.pair(sensors, "plug")
        device = await hub.pair(sensors, "attic", through=router)
        link = next(link for link in hub.network.links if link.device == device)
        assert link.lqi_last_hop == 77
        assert hub.network.radio.join_window_until_ms is not None
        await hub.network.close_join_window()
        assert hub.network.radio.join_window_until_ms is None
        assert sensors.press("bedroom") is JoinOutcome.NO_OPEN_NETWORK


@pytest.mark.slow
async def test_vanished_router(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Stand(tmp_path).running() as (sensors, hub):
        with pytest.raises(SensorUnavailable, match="no router"):
            await hub.network.open_join_window(60, through="0x0000000000000001")
        router = await hub.pair(sensors, "plug")
        sensors.unplug("plug")
        with pytest.raises(SensorUnavailable, match="does not answer"):
            await hub.network.open_join_window(60, through=router)


async def test_install_code_admits_one_sensor_and_the_next_window_all(tmp_path: Path) -> None:
    house = HOUSE + f'\n[[device]]\nname = "secret"\nmodel = "temperature"\ninstall_code = "{INSTALL_CODE}"\n'
    async with Stand(tmp_path, house=house).running() as (sensors, hub):
        address = "0x" + sensors.emulator.radio_medium.node("secret").eui64.replace(":", "")
        # An earlier window's timer would set the policy back in the midst of the next window.
        await hub.network.open_join_window(1)
        with pytest.raises(ValueError, match="checksum"):
            await hub.network.open_join_window(
                60, install_code=InstallCode(address, bytes.fromhex(INSTALL_CODE[:-1] + "6"))
            )
        await hub.network.open_join_window(60, install_code=InstallCode(address, bytes.fromhex(INSTALL_CODE)))
        assert sensors.press("bedroom") is JoinOutcome.DENIED
        assert sensors.press("secret") is JoinOutcome.JOINED
        await hub.until(lambda: hub.steps(address) == JOINED)
        await hub.network.close_join_window()
        await hub.pair(sensors, "bedroom")


async def test_a_window_ends_by_itself(tmp_path: Path) -> None:
    async with Stand(tmp_path).running() as (sensors, hub):
        await hub.network.open_join_window(1)
        assert hub.network.radio.join_window_until_ms is not None
        await hub.until(lambda: hub.network.radio.join_window_until_ms is None)
        assert sensors.press("bedroom") is JoinOutcome.NO_OPEN_NETWORK
        with pytest.raises(ValueError, match="254"):
            await hub.network.open_join_window(255)


async def test_sensors_are_removed_and_leave(tmp_path: Path) -> None:
    async with Stand(tmp_path).running() as (sensors, hub):
        device = await hub.pair(sensors, "bedroom")
        await hub.network.remove(device)
        assert list(hub.network.sensors) == []
        await hub.until(lambda: sensors.emulator.radio_medium.node("bedroom").membership is None)
        again = await hub.pair(sensors, "bedroom")
        assert again == device
        assert [sensor.device for sensor in hub.network.sensors] == [device]


async def test_sleeping_removed_sensor_is_told_to_leave_again(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    async with stand.running() as (sensors, hub):
        device = await hub.pair(sensors, "bedroom")
    kept = json.loads((tmp_path / SENSORS_FILE).read_bytes())
    (tmp_path / SENSORS_FILE).write_text(json.dumps({**kept, "sensors": [], "removed": [device]}))
    async with stand.running() as (sensors, hub):
        sensors.set_values("bedroom", {"temperature_c": 2})
        await hub.until(lambda: sensors.emulator.radio_medium.node("bedroom").membership is None)
        assert list(hub.network.sensors) == []
        assert hub.readings == []
