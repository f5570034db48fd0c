"""What a scan means, and sensors that do not answer."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from agent.local.hardware import BoardChannelReport, LiveSensorReport
from agent.port.hardware import live_values
from agent.port.hardware.live_values import LiveValues, build_scan, thermometers
from agent.sensors.judge import SensorNote
from hal.errors import NetworkLost, SensorUnavailable
from hal.interface import SensorKind, SensorNetwork
from hal.radio import BinaryKind, BinaryState

QUIET = dict.fromkeys(range(11, 27), 30)


@pytest.mark.parametrize(
    ("energies", "own", "words"),
    [
        (QUIET, 15, "Channel 15 is quiet enough"),
        (QUIET | {15: 149}, 15, "Channel 15 is quiet enough"),
        (QUIET | {15: 150}, 15, "channel 15 is disturbed. Channel 11 is the quietest"),
        (dict.fromkeys(QUIET, 160) | {15: 170}, 15, "channel 15 is disturbed, and so are the others"),
        (QUIET | {20: 3}, 0, "Channel 20 is the quietest"),
        ({}, 15, "reported no channel"),
    ],
)
def test_scan_marks_noisy_and_quieter_channels(energies: Mapping[int, int], own: int, words: str) -> None:
    report = build_scan(energies, own)
    assert words in report.sentence
    assert [each.channel for each in report.channels if each.is_own] == [own] * (own in energies)


class Clock:
    """Stands still."""

    boot_id = "b1"

    def monotonic_ms(self) -> int:
        return 0

    def utc_ms(self) -> int | None:
        return None


class Sensor:
    """A sensor that gives a value, or raises an error, as the test sets it."""

    kind = SensorKind.TEMPERATURE

    def __init__(self, name: str, value: float | Exception | None) -> None:
        self.name = name
        self._value = value

    async def read(self) -> float:
        if self._value is None:
            await asyncio.sleep(60)
        if isinstance(self._value, Exception):
            raise self._value
        return cast("float", self._value)


class Unknown:
    """Corrects what is named "warm", and knows nothing else."""

    def present(self, sensor: str, kind: SensorKind, value: float) -> tuple[float, SensorNote | None]:
        if sensor != "warm":
            return value, None
        return value - 3.0, SensorNote(value, value - 3.0, 0, rise_k=3.0, uncertainty=0.417, doubt="move it")

    def note(self, device: str, sensor: str, kind: SensorKind) -> SensorNote | None:
        return None


async def test_a_value_is_shown_as_it_is_used() -> None:
    intake = cast("Any", type("Intake", (), {"channels": {}}))
    sensors = [Sensor("warm", 25.0), Sensor("plain", 25.0)]
    live = LiveValues(sensors=lambda: sensors, known=Unknown(), intake=intake, network=None, clock=Clock())
    warm, plain = (await live.sensors()).sensors
    assert (warm.value, warm.measured, warm.uncertainty, warm.doubt) == (22.0, 25.0, 0.42, "move it")
    assert (plain.value, plain.measured, plain.uncertainty, plain.doubt) == (25.0, None, None, "")


async def test_a_sensor_that_hangs_or_fails_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_values, "READ_S_MAX", 0.05)
    sensors = [
        Sensor("fine", 21.0),
        Sensor("hangs", None),
        Sensor("fails", SensorUnavailable("no answer on the bus")),
        Sensor("gone", OSError("No such device")),
        Sensor("nan", float("nan")),
    ]
    intake = cast("Any", type("Intake", (), {"channels": {}}))
    live = LiveValues(sensors=lambda: sensors, known=Unknown(), intake=intake, network=None, clock=Clock())
    found = {each.sensor: (each.value, each.problem) for each in (await live.sensors()).sensors}
    assert found == {
        "fine": (21.0, ""),
        "hangs": (None, "no answer within 0 s"),
        "fails": (None, "no answer on the bus"),
        "gone": (None, "No such device"),
        "nan": (None, "no number"),
    }


async def test_contacts_and_motion_sensors_are_shown_with_their_age() -> None:
    class Network:
        sensors: tuple[()] = ()
        receive = drain = confirm = staticmethod(tuple)
        binary_states = (
            BinaryState("0x01", BinaryKind.CONTACT, is_active=True, since_ms=-90_000, heard_ms=-5_000),
            BinaryState("0x02", BinaryKind.OCCUPANCY, is_active=None, since_ms=0, heard_ms=0),
            BinaryState("0x03", BinaryKind.OCCUPANCY, is_active=False, since_ms=0, heard_ms=0, is_online=False),
        )

    intake = cast("Any", type("Intake", (), {"channels": {}}))
    network = cast("SensorNetwork", Network())
    live = LiveValues(sensors=list, known=Unknown(), intake=intake, network=network, clock=Clock())
    binary = (await live.sensors()).binary
    assert [(each.device, each.kind, each.text, each.age_s) for each in binary] == [
        ("0x01", "contact", "open", 5.0),
        ("0x02", "occupancy", "silent", None),
        ("0x03", "occupancy", "silent", 0.0),
    ]


async def test_a_radio_that_cannot_scan_or_hangs_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    intake = cast("Any", type("Intake", (), {"channels": {}}))
    live = LiveValues(sensors=list, known=Unknown(), intake=intake, network=None, clock=Clock())
    assert not live.can_scan
    with pytest.raises(NetworkLost, match="no radio that can scan"):
        await live.scan(int)
    monkeypatch.setattr(live_values, "SCAN_S_MAX", 0.05)

    class Hanging:
        sensors: tuple[()] = ()
        receive = drain = confirm = staticmethod(tuple)

        async def energy_scan(self) -> Mapping[int, int]:
            await asyncio.sleep(60)
            return {}

    live = LiveValues(
        sensors=list, known=Unknown(), intake=intake, network=cast("SensorNetwork", Hanging()), clock=Clock()
    )
    assert live.can_scan
    with pytest.raises(NetworkLost, match="try again"):
        await live.scan(int)


def test_thermometers_have_the_names_by_which_zones_take_them_and_parts_of_the_machine_are_none() -> None:
    def channel(sensor: str, quantity: str, value: float | None) -> BoardChannelReport:
        return BoardChannelReport(sensor, quantity, value, "", 0, "", "", "", "")

    def sensor(device: str, name: str, kind: str, value: float | None) -> LiveSensorReport:
        return LiveSensorReport(device, name, kind, value, "", 0)

    channels = [
        channel("w1/28-1/temperature", "temperature", 20.5),
        channel("w1/28-2/temperature", "temperature", None),
        channel("hwmon/cpu_thermal/temp1", "temperature", 51.0),
        channel("i2c-1-0076/bme280/humidity", "humidity", 40.0),
    ]
    sensors = [
        sensor("", "w1/28-1/temperature", "temperature", 20.5),
        sensor("00:01", "temperature", "temperature", 21.0),
        sensor("00:01", "humidity", "humidity", 45.0),
        sensor("00:02", "temperature", "temperature", None),
    ]
    assert thermometers(sensors, channels) == {"w1/28-1/temperature": 20.5, "00:01": 21.0}
