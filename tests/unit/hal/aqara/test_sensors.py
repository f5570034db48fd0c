"""The sensors of an Aqara endpoint over its device lists: what is new, and who is online."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.aqara import sensors
from hal.aqara.device_list import KnownDevice, KnownTrait, read_devices
from hal.aqara.sensors import REPEAT_MS, SENSORS_MAX, AqaraSensors, pressure_hpa
from hal.interface import Reading, RelayedSensor, SensorKind

NOW_MS, UTC_MS = 5_000_000, 1_800_000_000_000
HOUR_MS = 3_600_000


def trait(code: str, value: object, at_utc_ms: int | None = UTC_MS - 1000, endpoint_id: int = 2) -> KnownTrait:
    return KnownTrait(endpoint_id, "F", code, value, at_utc_ms)


def device(*traits: KnownTrait, device_id: str = "lumi.1", is_online: bool | None = True) -> KnownDevice:
    return KnownDevice(device_id, "Bedroom climate", ("TemperatureSensor",), is_online, "", "", traits)


def take(known: AqaraSensors, *devices: KnownDevice, later_ms: int = 0, utc_ms: int | None = UTC_MS) -> list[Reading]:
    return known.take(devices, now_ms=NOW_MS + later_ms, utc_ms=None if utc_ms is None else utc_ms + later_ms)


def test_list_gives_a_reading_of_each_kind_at_its_own_time() -> None:
    known = AqaraSensors(())
    found = take(known, device(trait("CurrentTemperature", 21.37), trait("CurrentHumidity", 50, UTC_MS - 3000)))
    assert found == [
        Reading("aqara:lumi.1", "2/F", SensorKind.HUMIDITY, 50.0, NOW_MS - 3000),
        Reading("aqara:lumi.1", "2/F", SensorKind.TEMPERATURE, 21.37, NOW_MS - 1000),
    ]
    kinds = (SensorKind.TEMPERATURE, SensorKind.HUMIDITY)
    assert known.sensors == (RelayedSensor("aqara:lumi.1", "Bedroom climate", kinds),)


def test_value_with_the_same_time_is_no_new_reading() -> None:
    known = AqaraSensors(())
    take(known, device(trait("CurrentTemperature", 21)))
    assert take(known, device(trait("CurrentTemperature", 21)), later_ms=HOUR_MS) == []
    same_value = device(trait("CurrentTemperature", 21, UTC_MS + 1))
    assert len(take(known, same_value, later_ms=HOUR_MS)) == 1


def test_no_two_readings_share_an_instant() -> None:
    known = AqaraSensors(())
    take(known, device(trait("CurrentTemperature", 21)), device(trait("CurrentTemperature", 5)))
    assert take(known, device(trait("CurrentTemperature", 22))) == [
        Reading("aqara:lumi.1", "2/F", SensorKind.TEMPERATURE, 22.0, NOW_MS)
    ]
    assert take(known, device(trait("CurrentTemperature", 23))) == []
    later = take(known, device(trait("CurrentTemperature", 24)), later_ms=1)
    assert [each.at_ms for each in later] == [NOW_MS + 1]


def test_value_without_a_time_is_repeated_like_a_report() -> None:
    known = AqaraSensors(())
    listed = device(trait("CurrentTemperature", 21, None))
    assert len(take(known, listed)) == 1
    assert take(known, listed, later_ms=REPEAT_MS - 1) == []
    assert [each.at_ms for each in take(known, listed, later_ms=REPEAT_MS)] == [NOW_MS + REPEAT_MS]


def read(document: object) -> tuple[tuple[KnownDevice, ...], int]:
    return read_devices(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("at_utc_ms", "utc_ms", "at_ms"),
    [
        (UTC_MS - 1000, UTC_MS, NOW_MS - 1000),
        (UTC_MS - 2 * NOW_MS, UTC_MS, -NOW_MS),
        (UTC_MS + 60_000, UTC_MS, NOW_MS),
        (UTC_MS + 60_001, UTC_MS, NOW_MS),
        (0, UTC_MS, NOW_MS),
        (UTC_MS, None, NOW_MS),
    ],
)
def test_time_of_the_endpoint_becomes_that_of_the_boot(at_utc_ms: int, utc_ms: int | None, at_ms: int) -> None:
    found = take(AqaraSensors(()), device(trait("CurrentTemperature", 21, at_utc_ms)), utc_ms=utc_ms)
    assert [each.at_ms for each in found] == [at_ms]


@pytest.mark.parametrize(
    ("value", "hpa"),
    [
        (101.3, 1013.0),
        (1013.0, 1013.0),
        (101_300.0, 1013.0),
        (30.0, 300.0),
        (120.0, 1200.0),
        (29.9, None),
        (121.0, None),
        (299.9, None),
        (2000.0, None),
        (200_000.0, None),
        (-1.0, None),
    ],
)
def test_unit_of_a_pressure_goes_by_its_magnitude(value: float, hpa: float | None) -> None:
    assert pressure_hpa(value) == (None if hpa is None else pytest.approx(hpa))


def test_whole_number_that_no_float_holds_is_no_reading() -> None:
    traits = [{"traitCode": "CurrentTemperature", "value": 10**400, "time": 10**400}]
    endpoints = [{"endpointId": 2, "functions": [{"functionCode": "F", "traits": traits}]}]
    devices, _ = read([{"deviceId": "d", "endpoints": endpoints}])
    assert AqaraSensors(()).take(devices, now_ms=NOW_MS, utc_ms=UTC_MS) == []


@pytest.mark.parametrize("value", [None, "21", True, float("nan"), float("inf"), [21]])
def test_value_that_is_no_number_is_no_reading(value: object) -> None:
    assert take(AqaraSensors(()), device(trait("CurrentTemperature", value))) == []


def test_lamp_with_a_battery_is_no_sensor() -> None:
    known = AqaraSensors(())
    assert take(known, device(trait("BatPercentRemaining", 80), trait("OnOff", True))) == []
    assert known.sensors == ()


def test_trait_on_two_endpoints_counts_once() -> None:
    found = take(
        AqaraSensors(()), device(trait("CurrentTemperature", 21), trait("CurrentTemperature", 5, endpoint_id=3))
    )
    assert [each.value for each in found] == [21.0]


def online(known: AqaraSensors, later_ms: int = 0) -> bool | None:
    (link,) = known.links(NOW_MS + later_ms)
    return link.is_online


def test_sensor_that_was_never_listed_is_unknown_until_the_endpoint_answers() -> None:
    known = AqaraSensors((RelayedSensor("aqara:lumi.1", "Bedroom climate", (SensorKind.TEMPERATURE,)),))
    assert online(known) is None
    take(known)
    assert online(known) is False
    assert "device list" in known.links(NOW_MS)[0].problem


def test_what_the_endpoint_calls_offline_is_offline() -> None:
    known = AqaraSensors(())
    take(known, device(trait("CurrentTemperature", 21)))
    assert online(known) is True
    assert take(known, device(trait("CurrentTemperature", 20, UTC_MS), is_online=False), later_ms=1000) == []
    assert online(known, 1000) is False
    take(known, device(trait("CurrentTemperature", 19, UTC_MS + 1000)), later_ms=2000)
    assert online(known, 2000) is True


def test_sensor_is_offline_when_it_is_silent_for_longer_than_its_rhythm() -> None:
    known = AqaraSensors(())
    for hour in range(26):
        at_utc_ms = UTC_MS + hour * HOUR_MS
        take(known, device(trait("CurrentTemperature", 21, at_utc_ms)), later_ms=hour * HOUR_MS)
    last_ms = 25 * HOUR_MS
    assert online(known, last_ms + 2 * HOUR_MS) is True
    assert online(known, last_ms + 4 * HOUR_MS) is False


def test_silence_counts_from_when_the_endpoint_answers_again() -> None:
    known = AqaraSensors(())
    take(known, device(trait("CurrentTemperature", 21)))
    known.interrupted()
    assert online(known, 3 * HOUR_MS) is None
    take(known, device(trait("CurrentTemperature", 21)), later_ms=3 * HOUR_MS)
    assert online(known, 3 * HOUR_MS + 60_000) is None
    assert online(known, 6 * HOUR_MS) is False


def test_endpoint_without_times_vouches_by_online() -> None:
    known = AqaraSensors(())
    listed = device(trait("CurrentTemperature", 21, None))
    take(known, listed)
    take(known, listed, later_ms=30 * HOUR_MS)
    assert online(known, 30 * HOUR_MS) is True


def test_number_of_sensors_has_a_limit() -> None:
    known = AqaraSensors(())
    listed = [device(trait("CurrentTemperature", 21), device_id=str(number)) for number in range(SENSORS_MAX + 2)]
    assert len(take(known, *listed)) == SENSORS_MAX == len(known.sensors)
    assert known.left_out == 2


def test_kind_stays_while_its_value_is_missing() -> None:
    known = AqaraSensors(())
    take(known, device(trait("CurrentTemperature", 21), trait("BatPercentRemaining", 80)))
    take(known, device(trait("CurrentTemperature", None), trait("BatPercentRemaining", 79, UTC_MS)), later_ms=1000)
    assert known.sensors[0].kinds == (SensorKind.TEMPERATURE, SensorKind.BATTERY_LEVEL)
    assert known.links(NOW_MS)[0].is_sleepy


def test_relayed_traits_are_those_of_the_table() -> None:
    assert set(sensors.KINDS) == {
        "CurrentTemperature",
        "CurrentHumidity",
        "CurrentPressure",
        "BatPercentRemaining",
        "WiFiRSSI",
    }


VALUE = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=5)
TRAIT = st.fixed_dictionaries(
    {"traitCode": st.sampled_from(sorted(sensors.KINDS))}, optional={"value": VALUE, "time": VALUE, "parameter": VALUE}
)
FUNCTION = st.fixed_dictionaries({"functionCode": st.just("F"), "traits": st.lists(TRAIT, max_size=3)})
ENDPOINT = st.fixed_dictionaries({"endpointId": st.integers(0, 3), "functions": st.lists(FUNCTION, max_size=2)})
DEVICE = st.fixed_dictionaries(
    {"deviceId": st.sampled_from("abc")}, optional={"state": VALUE, "endpoints": st.lists(ENDPOINT, max_size=2)}
)


@given(st.lists(st.tuples(st.lists(DEVICE, max_size=4), st.integers(0, 10**8)), max_size=4))
def test_any_lists_give_readings_with_instants_of_their_own(polls: list[tuple[list[object], int]]) -> None:
    known, now_ms = AqaraSensors(()), 0
    instants: set[tuple[str, SensorKind, int]] = set()
    for document, pause_ms in polls:
        now_ms += pause_ms
        found = known.take(read(document)[0], now_ms=now_ms, utc_ms=now_ms + UTC_MS)
        new = {(each.device, each.kind, each.at_ms) for each in found}
        assert len(new) == len(found)
        assert not new & instants
        assert all(each.at_ms <= now_ms for each in found)
        assert len(known.links(now_ms)) == len(known.sensors)
        instants |= new
