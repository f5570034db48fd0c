"""Sensors as they are in the field, on the real zigpy and bellows: dummies, half answers, lost rules, clocks."""

import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

pytest.importorskip("bellows")

from hal import availability
from hal.errors import SensorUnavailable
from hal.interface import Quality, SensorKind
from hal.radio import InstallCode, JoinStep, RadioState
from hal.zigbee import device_listener, device_setup, radio
from hal.zigbee.reporting import ReportingConfiguration
from lab.ncp import zcl
from lab.ncp.application import OutgoingFrame
from lab.ncp.attributes import ReportingSchedule
from lab.ncp.coordinator import JoinOutcome
from lab.ncp.memory import ReportingRule
from lab.ncp.models import AttributeModel, ClusterModel, DeviceModel, EndpointModel, VendorDialect
from lab.ncp.zcl import DataType
from tests.integration.zigbee_bench import Hub, Stand, build, hasten, one, sell

TEMPERATURE, HUMIDITY, POWER, TUYA = 0x0402, 0x0405, 0x0001, 0xEF00


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


def measuring(cluster: int, raw: int) -> ClusterModel:
    kind = DataType.INT16 if cluster == TEMPERATURE else DataType.UINT16
    return ClusterModel(cluster, (AttributeModel(0, kind, raw, is_reportable=True),))


def battery(**raw: int) -> ClusterModel:
    ids = {"volt": 0x20, "percent": 0x21, "size": 0x31, "quantity": 0x33}
    kinds = {"size": DataType.ENUM8}
    return ClusterModel(
        POWER,
        tuple(
            AttributeModel(ids[name], kinds.get(name, DataType.UINT8), value, is_reportable=True)
            for name, value in raw.items()
        ),
    )


def product(
    *clusters: ClusterModel,
    probe: tuple[ClusterModel, ...] = (),
    dialect: VendorDialect = VendorDialect.NONE,
    **called: str,
) -> DeviceModel:
    endpoints = [EndpointModel(1, 0x0302, clusters, (0x000A, 0x0019))]
    endpoints += [EndpointModel(2, 0x0302, probe)] if probe else []
    return build(called.get("by", "somebody"), called.get("name", "something"), *endpoints, dialect=dialect)


DUMMIES = (battery(volt=0, percent=0), measuring(TEMPERATURE, 0), measuring(HUMIDITY, 0))


@pytest.mark.parametrize("by", ["_TZE200_a8sdabtg", "_TZE200_qyflbnbj"])
async def test_vendor_data_points_take_precedence_over_empty_clusters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    sell(monkeypatch, "dummy", product(*DUMMIES, ClusterModel(TUYA), by=by, name="TS0601", dialect=VendorDialect.TUYA))
    async with Stand(tmp_path, house=one("dummy")).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        sensors.set_values("one", {"temperature_c": 21.3, "humidity_percent": 5.5})
        await hub.until(lambda: len(hub.latest(device)) == 2)
        assert {reading.sensor for reading in hub.readings} == {"tuya/temperature", "tuya/humidity"}
        assert hub.values(device, "temperature") == [21.3]
        (link,) = hub.network.links
        assert "temperature is taken from the vendor's own data, not from cluster 0x0402 of endpoint 1" in link.notes


async def test_sensor_with_data_points_is_queried_for_them(tmp_path: Path) -> None:
    async with Stand(tmp_path, house=one("tuya_climate")).running() as (sensors, hub):
        sensors.set_values("one", {"temperature_c": 19.5, "humidity_percent": 40})
        device = await hub.pair(sensors, "one")
        await hub.until(lambda: hub.latest(device) == {"temperature": 19.5, "humidity": 40})


async def test_temperature_of_a_valve_is_relayed(tmp_path: Path) -> None:
    async with Stand(tmp_path, house=one("valve")).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        sensors.set_values("one", {"room_temperature_c": 21.5})
        await hub.until(lambda: hub.values(device, "temperature")[-1:] == [21.5])
        assert hub.readings[-1].sensor == "1/temperature"
        assert hub.network.sensors[0].kinds == (SensorKind.TEMPERATURE, SensorKind.BATTERY_LEVEL)


async def test_cluster_without_a_measurement_gives_no_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sell(monkeypatch, "new", product(measuring(TEMPERATURE, 0), measuring(HUMIDITY, 4500), battery(percent=200)))
    async with Stand(tmp_path, house=one("new")).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        await hub.until(lambda: len(hub.latest(device)) == 2)
        assert hub.values(device, "temperature") == []
        by_kind = {str(reading.kind): reading for reading in hub.readings}
        assert by_kind["humidity"].quality is Quality.SUSPECT
        assert by_kind["humidity"].reason.startswith("read at set-up")
        sensors.set_values("one", {"temperature_c": 21.5, "humidity_percent": 50})
        await hub.until(lambda: hub.values(device, "temperature") == [21.5] and hub.latest(device)["humidity"] == 50)
        assert {reading.quality for reading in hub.readings[2:]} == {Quality.GOOD}


@pytest.mark.parametrize(
    ("clusters", "level"),
    [
        ((battery(volt=24),), 0),
        ((battery(volt=24, size=3, quantity=2),), 40),
        ((battery(volt=62),), 100),
        ((battery(volt=28, percent=0xFF),), 60),
        ((battery(volt=28, percent=0),), 60),
        ((battery(volt=24, percent=150),), 75),
    ],
)
async def test_a_voltage_alone_gives_a_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clusters: tuple[ClusterModel, ...], level: float
) -> None:
    sell(monkeypatch, "volts", product(*clusters, measuring(TEMPERATURE, 2100)))
    async with Stand(tmp_path, house=one("volts")).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        await hub.until(lambda: hub.values(device, "battery_level") == [level])


@pytest.mark.parametrize("clusters", [(battery(),), (battery(volt=37),), (battery(volt=0xFF),)])
async def test_battery_level_that_never_arrives_is_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clusters: tuple[ClusterModel, ...]
) -> None:
    sell(monkeypatch, "mute", product(*clusters, ClusterModel(HUMIDITY), measuring(TEMPERATURE, 2100)))
    async with Stand(tmp_path, house=one("mute")).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        (sensor,) = hub.network.sensors
        assert [str(kind) for kind in sensor.kinds] == ["temperature"]
        await hub.until(lambda: hub.latest(device) == {"temperature": 21})


@pytest.mark.parametrize("is_first_dumb", [False, True])
async def test_duplicate_kind_is_read_from_one_endpoint_and_the_other_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_first_dumb: bool
) -> None:
    first = ClusterModel(TEMPERATURE) if is_first_dumb else measuring(TEMPERATURE, 2100)
    sell(monkeypatch, "two", product(first, measuring(HUMIDITY, 5000), probe=(measuring(TEMPERATURE, 800),)))
    async with Stand(tmp_path, house=one("two")).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        await hub.until(lambda: len(hub.latest(device)) == 2)
        sensors.set_values("one", {"temperature_c": 9.0})
        source = "2/temperature" if is_first_dumb else "1/temperature"
        await hub.until(lambda: hub.values(device, "temperature")[-1:] == [9.0])
        assert {reading.sensor for reading in hub.readings if reading.kind == "temperature"} == {source}
        shown = "temperature is taken from cluster 0x0402 of endpoint 1, not from cluster 0x0402 of endpoint 2"
        assert hub.network.links[0].notes == (() if is_first_dumb else (shown,))


def attributes_of(sensors: Any, name: str) -> Any:  # noqa: ANN401 - the emulator's inside
    return sensors.emulator.radio_medium.node(name)._attributes


def lose_rules(sensors: Any, *, but: int) -> None:  # noqa: ANN401
    """What a brown-out does to a sensor."""
    attributes = attributes_of(sensors, "one")
    kept = [rule for rule in attributes.reporting.rules if rule.cluster == but]
    attributes.reporting = ReportingSchedule(kept, attributes._values, sensors._now_s())


async def test_lost_reporting_configuration_is_restored_and_reported(tmp_path: Path) -> None:
    async with Stand(tmp_path, house=one("climate")).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        lose_rules(sensors, but=POWER)
        for percent in (80, 70):
            sensors.set_values("one", {"battery_percent": percent})
            sensors.report_all("one")
            await hub.until(lambda: hub.values(device, "battery_level")[-1:] == [percent])  # noqa: B023 - awaited in the loop
        await hub.until(lambda: len(attributes_of(sensors, "one").reporting.rules) == 3)
        told = "reports no temperature and no humidity: it lost its reporting configuration"
        assert hub.network.links[0].problem.startswith(told)
        assert any(told in step for step in hub.network.radio.steps)
        sensors.set_values("one", {"temperature_c": 18.0, "humidity_percent": 61})
        await hub.until(lambda: hub.network.links[0].problem == "")
        assert hub.values(device, "temperature")[-1:] == [18.0]


async def test_a_person_has_the_reporting_set_up_again_any_number_of_times(tmp_path: Path) -> None:
    async with Stand(tmp_path, house=one("climate")).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        for _ in range(2):
            lose_rules(sensors, but=0)
            since = len(hub.events)
            await hub.network.set_up_again(device)
            await hub.until(lambda: hub.steps(device, since)[-1:] == [JoinStep.CONFIGURED])  # noqa: B023 - awaited here
            assert len(attributes_of(sensors, "one").reporting.rules) == 3
        with pytest.raises(SensorUnavailable):
            await hub.network.set_up_again("0x0000000000000001")


async def test_a_restart_on_request_keeps_network_and_sensors(tmp_path: Path) -> None:
    async with Stand(tmp_path, house=one("climate")).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        for number in (1, 2):
            await hub.network.restart()
            await hub.until(lambda: sum(": up, PAN" in step for step in hub.network.radio.steps) == number + 1)  # noqa: B023
            await hub.state(RadioState.UP)
        assert hub.network.radio.firmware
        assert [each.device for each in hub.network.sensors] == [device]


async def test_silent_sensor_without_reporting_configuration_is_queried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(radio, "AVAILABILITY_S", 0.1)
    async with Stand(tmp_path, house=one("climate")).running() as (sensors, hub):
        await hub.pair(sensors, "one")
        lose_rules(sensors, but=0)
        monkeypatch.setattr(availability, "allowed_ms", lambda _: 200)
        await hub.until(lambda: len(attributes_of(sensors, "one").reporting.rules) == 3)


@pytest.mark.parametrize("is_deaf", [False, True])
async def test_sensor_that_ignores_its_reporting_configuration_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_deaf: bool
) -> None:
    monkeypatch.setattr(radio, "AVAILABILITY_S", 0.1)

    async def deaf(device: Any, found: Any) -> Any:  # noqa: ANN401
        raise TimeoutError

    if is_deaf:
        monkeypatch.setattr("hal.zigbee.reporting.read_reporting", deaf)
    async with Stand(tmp_path, house=one("climate")).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        told = "press its button once" if is_deaf else "although its reporting configuration is complete"
        monkeypatch.setattr(availability, "allowed_ms", lambda interval_s: 300 if interval_s <= 900 else 10**9)
        await hub.until(lambda: told in hub.network.links[0].problem)
        # On a busy machine it would be silent again before anybody looks.
        monkeypatch.setattr(availability, "allowed_ms", lambda _: 10**9)
        sensors.set_values("one", {"temperature_c": 18.0, "humidity_percent": 61})
        await hub.until(lambda: hub.values(device, "temperature")[-1:] == [18.0])
        await hub.until(lambda: hub.network.links[0].problem == "")


@pytest.mark.parametrize(
    ("rule", "allowed_s", "told"),
    [
        ({}, 2760.0, ""),
        (
            {"interval_s_max": 3600},
            10_860.0,
            "temperature: it reports every 60 min or on a change of 0.1, which is not",
        ),
        ({"change": 50.0}, 2760.0, "temperature: it reports every 15 min or on a change of 0.5, which is not"),
        ({"interval_s_max": 0xFFFF}, None, "temperature: it accepted its reporting configuration and does not have it"),
    ],
)
async def test_reporting_of_a_temperature_is_what_is_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: dict[str, Any], allowed_s: float | None, told: str
) -> None:
    configure = ReportingSchedule.configure

    def other(self: ReportingSchedule, wanted: ReportingRule, *rest: Any) -> None:  # noqa: ANN401
        configure(self, msgspec.structs.replace(wanted, **rule), *rest)

    monkeypatch.setattr(ReportingSchedule, "configure", other)
    async with Stand(tmp_path, house=one("temperature")).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        assert hub.network.allowed_silence_s(device, SensorKind.TEMPERATURE) == allowed_s
        assert [note[: len(told)] for note in hub.network.links[0].notes] == [told] * bool(told)


@pytest.mark.parametrize("is_deaf", [False, True])
async def test_sensor_that_cannot_tell_its_reporting_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_deaf: bool
) -> None:
    async def read(device: Any, found: Any) -> Any:  # noqa: ANN401
        if is_deaf:
            raise TimeoutError
        return {each.channel.kind: ReportingConfiguration(is_known=False) for each in found}

    monkeypatch.setattr(device_setup, "read_reporting", read)
    async with Stand(tmp_path, house=one("temperature")).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        assert hub.network.allowed_silence_s(device, SensorKind.TEMPERATURE) == 2760.0


async def test_late_temperature_of_a_mains_powered_sensor_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(radio, "AVAILABILITY_S", 0.1)
    monkeypatch.setattr(availability, "READ_RETRY_MS", 100)
    async with Stand(tmp_path, house=one("air")).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        sensors.set_values("one", {"temperature_c": 20.0})
        await hub.until(lambda: hub.values(device, "temperature")[-1:] == [20.0])
        lose_rules(sensors, but=0)
        sensors.set_values("one", {"temperature_c": 17.0})
        monkeypatch.setattr(availability, "READ_AFTER_MS", 200)
        await hub.until(lambda: hub.values(device, "temperature")[-1:] == [17.0])
        assert hub.readings[-1].quality is Quality.GOOD


async def test_late_temperature_of_a_battery_sensor_is_read_while_it_is_awake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(radio, "AVAILABILITY_S", 0.1)
    async with Stand(tmp_path, house=one("climate")).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        sensors.set_values("one", {"temperature_c": 20.0})
        await hub.until(lambda: hub.values(device, "temperature")[-1:] == [20.0])
        lose_rules(sensors, but=HUMIDITY)
        sensors.set_values("one", {"temperature_c": 17.0})
        monkeypatch.setattr(availability, "READ_AFTER_MS", 0)
        checks = 0
        check_overdue = device_listener.DeviceListener.check_overdue

        def counted(listener: device_listener.DeviceListener) -> None:
            nonlocal checks
            check_overdue(listener)
            checks += 1

        monkeypatch.setattr(device_listener.DeviceListener, "check_overdue", counted)
        await hub.until(lambda: checks >= 2)
        assert hub.values(device, "temperature")[-1:] == [20.0]
        sensors.set_values("one", {"humidity_percent": 71})
        await hub.until(lambda: hub.values(device, "temperature")[-1:] == [17.0])


async def test_unanswered_setup_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_listener, "SETUP_RETRY_MS", 0)
    async with Stand(tmp_path, house=one("climate")).running() as (sensors, hub):
        real = device_setup._read_all

        async def deaf(device: Any, found: Any) -> Any:  # noqa: ANN401
            answers = await real(device, [each for each in found if each.cluster != HUMIDITY])
            answers.unanswered += [each for each in found if each.cluster == HUMIDITY]
            return answers

        monkeypatch.setattr(device_setup, "_read_all", deaf)
        await hub.network.open_join_window(60)
        sensors.press("one")

        def heard() -> bool:
            sensors.set_values("one", {"temperature_c": 20 + len(hub.events)})
            sensors.report_all("one")
            return bool(hub.events) and hub.events[-1].step is JoinStep.CONFIGURED

        await hub.until(heard)
        assert (
            len([event for event in hub.events if event.step is JoinStep.FAILED])
            == device_listener.SETUP_ATTEMPTS_MAX - 1
        )
        assert {str(kind) for kind in hub.network.sensors[0].kinds} == {"temperature", "battery_level"}
        assert "no answer about humidity" in hub.network.links[0].notes


async def test_correctly_configured_sensor_is_not_reconfigured(tmp_path: Path) -> None:
    async with Stand(tmp_path, house=one("climate")).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        attributes = attributes_of(sensors, "one")
        for percent in (80, 70):
            sensors.set_values("one", {"battery_percent": percent})
            await report_battery(hub, sensors, device, percent)
        rules = attributes.reporting.rules
        # They were read back and found in place.
        await hub.until(lambda: hub.network._registry.reporting._devices[device].slower_reports == {})
        assert attributes.reporting.rules == rules
        assert hub.network.links[0].problem == ""


async def report_battery(hub: Hub, sensors: Any, device: str, percent: float) -> None:  # noqa: ANN401
    """Have a sensor report its battery out of turn."""
    node = sensors.emulator.radio_medium.node("one")
    key = (1, POWER, 0x21)
    node.report_all = lambda now_s: node._sent(node._application.reports([key], needs_binding=False))
    sensors.report_all("one")
    await hub.until(lambda: hub.values(device, "battery_level")[-1:] == [percent])


@pytest.mark.parametrize("clusters", [(ClusterModel(TUYA),), (*DUMMIES, ClusterModel(TUYA))])
async def test_unknown_model_is_named_and_can_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clusters: tuple[ClusterModel, ...]
) -> None:
    sell(monkeypatch, "new", product(*clusters, by="_TZE200_nobodyyy", name="TS0601", dialect=VendorDialect.TUYA))
    async with Stand(tmp_path, house=one("new")).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        sensors.set_values("one", {"temperature_c": 21.3})
        sensors.report_all("one")
        (link,) = hub.network.links
        assert (link.device, link.model) == (device, "TS0601")
        told = "not in the table (zigbee.quirks may know it)"
        assert link.notes[0] == told
        assert hub.network.sensors == []
        assert told in [event.detail for event in hub.events]
        await hub.network.remove(device)
        await hub.until(lambda: not hub.network.links)
        await hub.until(lambda: sensors.emulator.radio_medium.node("one").membership is None)
        assert hub.readings == []


async def test_router_and_uninterviewed_device_are_listed_and_can_be_removed(tmp_path: Path) -> None:
    house = one("router") + one("climate").replace('"one"', '"mute"')
    async with Stand(tmp_path, house=house).running() as (sensors, hub):
        plug = await hub.pair(sensors, "one")
        node = sensors.emulator.radio_medium.node("mute")
        node.receive = lambda message, now_s: ()  # type: ignore[method-assign]
        sensors.press("mute")
        await hub.until(lambda: len(hub.network.links) == 2)
        mute = next(link for link in hub.network.links if link.device != plug)
        assert not mute.is_interviewed
        for device in (plug, mute.device):
            await hub.network.remove(device)
        assert list(hub.network.links) == []


@pytest.mark.parametrize("eui64", ["11:22:33:44:55:66:77:88", "88:77:66:55:44:33:22:11"])
async def test_install_code_works_with_both_byte_orders_of_the_address(tmp_path: Path, eui64: str) -> None:
    code = "83fed3407a939723a5c639b26916d505c3b5"
    house = one("climate") + f'eui64 = "{eui64}"\ninstall_code = "{code}"\n'
    async with Stand(tmp_path, house=house).running() as (sensors, hub):
        given = InstallCode("0x1122334455667788", bytes.fromhex(code), or_address="0x8877665544332211")
        await hub.network.open_join_window(20, install_code=given)
        assert sensors.press("one") is JoinOutcome.JOINED


@pytest.mark.parametrize("is_known", [True, False])
async def test_display_receives_local_time_only_once_it_is_known(tmp_path: Path, is_known: bool) -> None:
    stand = Stand(tmp_path, house=one("tuya_climate"))
    stand.now = datetime(2026, 7, 1, 12, tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin")) if is_known else None
    async with stand.running() as (sensors, hub):
        await hub.pair(sensors, "one")
        node = sensors.emulator.radio_medium.node("one")
        heard, receive = [], node.receive

        def listen(message: Any, now_s: float) -> Any:  # noqa: ANN401
            heard.append((message.cluster, message.payload))
            return receive(message, now_s)

        node.receive = listen  # type: ignore[method-assign]
        read = zcl.write_frame(
            zcl.ZclFrame(command=zcl.GeneralCommand.READ, sequence=5, payload=struct.pack("<2H", 0, 7))
        )
        asked = [node._application._notice(1, TUYA, 0x24, b"\x00\x08"), OutgoingFrame(1, 0x000A, read)]
        node.report_all = lambda now_s: node._sent(asked)  # type: ignore[method-assign]
        sensors.report_all("one")
        await hub.until(lambda: [payload for cluster, payload in heard if cluster == 0x000A])
        (clock,) = [payload for cluster, payload in heard if cluster == 0x000A]
        points = [payload for cluster, payload in heard if cluster == TUYA and payload[2] == 0x24]
        if not is_known:
            assert points == []
            assert clock == bytes((0x18, 5, 0x01)) + struct.pack("<HBHB", 0, 1, 7, 1)
            return
        assert stand.now is not None
        (shown,) = points
        utc_s, local_s = struct.unpack(">II", shown[5:])
        assert (shown[0], shown[3:5], local_s - utc_s) == (0x11, b"\x00\x08", 7200)
        assert 0 <= utc_s - int(stand.now.timestamp()) < 60
        told_s, told_local_s = struct.unpack("<HBBIHBBI", clock[3:])[3::4]
        assert told_local_s - told_s == 7200
        assert 0 <= told_s + 946_684_800 - utc_s < 60
