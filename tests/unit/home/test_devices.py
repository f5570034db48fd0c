"""The hub, its zones and its sensors as devices."""

from pathlib import Path

import pytest

from agent.errors import UnknownDevice
from agent.home.changes import HUB as BY_HUB
from agent.home.devices import HUB_ID, SILENT_S_MAX, DeviceKind
from agent.pairing.lifecycle import PairingStage
from hal.interface import Quality, SensorKind
from tests.unit.home.home_bench import HomeBench

ATTIC = "0x00124b0001abcdef"


@pytest.fixture
def bench(tmp_path: Path) -> HomeBench:
    return HomeBench(tmp_path)


def test_every_device_once_the_hub_first(bench: HomeBench) -> None:
    bench.pairing.pair(ATTIC, "attic")
    found = bench.home.devices.all()
    assert [(each.device_id, each.kind) for each in found] == [
        (HUB_ID, DeviceKind.HUB),
        ("living", DeviceKind.ZONE),
        ("bath", DeviceKind.ZONE),
        (ATTIC, DeviceKind.SENSOR),
    ]
    assert [bench.home.devices.get(each.device_id) for each in found] == list(found)
    with pytest.raises(UnknownDevice):
        bench.home.devices.get("cellar")


def test_a_zone_measures_what_its_thermostat_shows(bench: HomeBench) -> None:
    bench.pairing.pair(ATTIC, "living")
    bench.report(SensorKind.HUMIDITY, 47.0, ATTIC)
    zone = bench.home.devices.get("living")
    assert (zone.measured(SensorKind.TEMPERATURE), zone.measured(SensorKind.HUMIDITY)) == (19.4, 47.0)
    assert bench.home.devices.get("bath").measured(SensorKind.HUMIDITY) is None


def test_a_sensor_with_its_values_and_link(bench: HomeBench) -> None:
    bench.pairing.pair(ATTIC, "attic")
    bench.report(SensorKind.TEMPERATURE, 8.5, ATTIC, "endpoint 1")
    bench.report(SensorKind.BATTERY_LEVEL, 71.0, ATTIC, "endpoint 1")
    bench.clock.advance(30)
    found = bench.home.devices.get(ATTIC)
    assert (found.name, found.is_online, found.battery_percent, found.signal_lqi) == ("attic", True, 71.0, 200)
    assert (found.manufacturer, found.model, found.last_seen_s) == ("ACME", "TH-1", 30.0)
    assert [(each.kind.value, each.value, each.unit, each.age_s) for each in found.measurements] == [
        ("temperature", 8.5, "°C", 30.0),
        ("battery_level", 71.0, "%", 30.0),
    ]


def test_a_doubtful_value_is_marked(bench: HomeBench) -> None:
    bench.pairing.pair(ATTIC)
    bench.report(SensorKind.TEMPERATURE, 8.5, ATTIC, quality=Quality.SUSPECT)
    found = bench.home.devices.get(ATTIC)
    assert [each.is_good for each in found.measurements] == [False]
    assert found.measured(SensorKind.TEMPERATURE) is None


def test_a_device_that_moved_its_endpoint_shows_the_newer_value(bench: HomeBench) -> None:
    bench.pairing.pair(ATTIC)
    bench.report(SensorKind.TEMPERATURE, 8.5, ATTIC, "endpoint 1")
    bench.clock.advance(1)
    bench.report(SensorKind.TEMPERATURE, 9.0, ATTIC, "endpoint 2")
    assert [each.value for each in bench.home.devices.get(ATTIC).measurements] == [9.0]


def test_a_sensor_without_a_rhythm_is_offline_after_an_hour(bench: HomeBench) -> None:
    bench.pairing.pair(ATTIC, is_online=None)
    assert not bench.home.devices.get(ATTIC).is_online
    bench.report(SensorKind.TEMPERATURE, 8.5, ATTIC)
    bench.clock.advance(SILENT_S_MAX)
    assert bench.home.devices.get(ATTIC).is_online
    bench.clock.advance(1)
    assert not bench.home.devices.get(ATTIC).is_online


def test_sensors_that_are_gone_are_not_devices(bench: HomeBench) -> None:
    bench.pairing.pair(ATTIC, stage=PairingStage.REMOVED)
    assert len(bench.home.devices.all()) == 3


def test_offline_and_online_are_told_once(bench: HomeBench) -> None:
    bench.pairing.pair(ATTIC, "attic")
    bench.listen()
    bench.pairing.pair(ATTIC, "attic", is_online=False)
    bench.step()
    bench.step()
    assert bench.take_heard() == [("online", ATTIC, True, False, BY_HUB)]
    bench.pairing.pair(ATTIC, "attic", stage=PairingStage.REMOVED)
    bench.step()
    assert bench.take_heard() == [("online", ATTIC, False, None, BY_HUB)]


@pytest.mark.parametrize("is_online", [True, False])
def test_the_short_way_says_the_same(bench: HomeBench, *, is_online: bool) -> None:
    """With and without a sensor whose rhythm the radio does not know."""
    bench.pairing.pair(ATTIC, is_online=is_online)
    bench.pairing.pair("0x02", is_online=True, is_away=True)
    for _ in range(2):
        devices = bench.home.devices
        expected = {each.device_id: each.is_online for each in devices.all() if each.kind is DeviceKind.SENSOR}
        assert devices.online() == expected
        bench.pairing.pair("0x03", is_online=None)
