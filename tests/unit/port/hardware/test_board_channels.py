"""All channels of a board, read now: a slow bus, a broken one, and channels that stay at the hub."""

import asyncio
from typing import Any, cast

import pytest

from agent.config.primary import PrimarySensors
from agent.local.hardware import BoardChannelReport, LiveSensorReport
from agent.port.hardware import board_channels
from agent.port.hardware.board_channels import BoardChannels
from hal.channels import Channel, Quantity
from hal.errors import SensorUnavailable
from hal.interface import Sensor, SensorKind

TEMPERATURE = SensorKind.TEMPERATURE


class Reader:
    """A channel that answers as the test sets it."""

    def __init__(self, name: str, quantity: Quantity, answer: float | Exception | None) -> None:
        self.channel = Channel(name, quantity, lambda: 0.0, bus=name.partition("/")[0], chip="chip", driver="driver")
        self.name = name
        self._answer = answer

    async def read(self) -> float:
        if self._answer is None:
            await asyncio.Event().wait()
        if isinstance(self._answer, Exception):
            raise self._answer
        return cast("float", self._answer)


class Thermometer(Reader):
    """One that has a kind."""

    kind = TEMPERATURE

    def __init__(self, name: str, answer: float | None = 20.0) -> None:
        super().__init__(name, Quantity.TEMPERATURE, answer)


async def read(sensor: Sensor) -> LiveSensorReport:
    try:
        async with asyncio.timeout(board_channels.READ_S_MAX):
            value: float | None = await sensor.read()
    except TimeoutError:
        value = None
    return LiveSensorReport("", sensor.name, sensor.kind, value, "°C", 0.0)


def last(sensor: Sensor) -> LiveSensorReport:
    return LiveSensorReport("", sensor.name, sensor.kind, 19.0, "°C", 60.0, doubt="check its plug")


async def reports(*readers: Reader, primary: PrimarySensors | None = None) -> dict[str, BoardChannelReport]:
    finder = cast("Any", type("Finder", (), {"channels": readers}))
    own = cast("Any", type("Own", (), {"primary": primary or PrimarySensors({}), "computed": ()}))
    _, channels = await BoardChannels(finder, own).read(read, last)
    return {channel.sensor: channel for channel in channels}


async def test_a_bus_that_is_slow_delays_no_other_and_shows_its_last_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_channels, "READ_S_MAX", 0.05)
    found = await reports(
        Thermometer("w1/a", None), Thermometer("w1/b"), Thermometer("i2c/c"), Reader("w1/d", Quantity.CO2, 1)
    )
    assert list(found) == ["w1/a", "w1/b", "i2c/c", "w1/d"]
    assert [(each.value, each.age_s, each.doubt) for each in found.values()] == [
        (None, 0.0, ""),
        (19.0, 60.0, "check its plug"),
        (20.0, 0.0, ""),
        (None, None, ""),
    ]


@pytest.mark.parametrize(
    ("answer", "value", "problem"),
    [
        (812.0, 812.0, ""),
        (SensorUnavailable("the device is gone"), None, "the device is gone"),
        (float("nan"), None, "no number"),
        (None, None, "no answer within 0 s"),
    ],
)
async def test_a_channel_that_stays_at_the_hub_is_shown(
    monkeypatch: pytest.MonkeyPatch, answer: float | Exception | None, value: float | None, problem: str
) -> None:
    monkeypatch.setattr(board_channels, "READ_S_MAX", 0.05)
    found = (await reports(Reader("i2c/co2", Quantity.CO2, answer)))["i2c/co2"]
    assert (found.value, found.problem, found.unit, found.quantity) == (value, problem, "ppm", "co2")


async def test_the_primary_sensor_is_explained() -> None:
    chosen = PrimarySensors({TEMPERATURE: "i2c/a"}, reasons={TEMPERATURE: "the only sensor of temperature"})
    found = await reports(Thermometer("i2c/a"), Thermometer("i2c/b"), primary=chosen)
    assert [each.primary for each in found.values()] == ["the only sensor of temperature", ""]
    kept = await reports(Thermometer("i2c/a"), primary=PrimarySensors({TEMPERATURE: "i2c/a"}))
    assert kept["i2c/a"].primary == "it is missing, and its place is kept"
