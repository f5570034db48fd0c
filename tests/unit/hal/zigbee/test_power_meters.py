"""What a plug draws, by either cluster; and which plug is asked when."""

from types import SimpleNamespace
from typing import Any

import pytest

from hal.zigbee.power_table import ASK_S, PowerTable

pytest.importorskip("zigpy")

import zigpy.exceptions

from hal.zigbee import power_meters
from hal.zigbee.power_meters import ELECTRICAL_MEASUREMENT, METERING, REPORT_S_MAX, REPORT_S_MIN

ACTIVE_POWER, DEMAND = 0x050B, 0x0400


class Cluster:
    """A cluster that answers reads with its attributes, and notes the dialogue."""

    def __init__(self, attributes: dict[int, int], *, is_silent: bool = False) -> None:
        self.attributes = attributes
        self.is_silent = is_silent
        self.known: dict[int, int] = {}
        self.configured: list[tuple[int, ...]] = []
        self.listeners: list[Any] = []

    def get(self, attribute: int) -> int | None:
        return self.known.get(attribute)

    def on_event(self, _: str, listener: Any) -> None:  # noqa: ANN401 - as zigpy takes it
        self.listeners.append(listener)

    def report(self, attribute: int, value: int | None) -> None:
        for listener in self.listeners:
            listener(SimpleNamespace(attribute_id=attribute, value=value))

    async def bind(self) -> None:
        self.configured.append(())

    async def configure_reporting(self, *arguments: int) -> None:
        self.configured.append(arguments)

    async def read_attributes(self, wanted: list[int]) -> tuple[dict[int, int], dict[int, int]]:
        if self.is_silent:
            raise zigpy.exceptions.DeliveryError("no answer")
        found = {each: self.attributes[each] for each in wanted if each in self.attributes}
        self.known |= found
        return found, {}


def device(**clusters: Cluster) -> Any:  # noqa: ANN401 - zigpy's
    numbers = {"electrical": ELECTRICAL_MEASUREMENT, "metering": METERING}
    endpoint = SimpleNamespace(in_clusters={numbers[name]: cluster for name, cluster in clusters.items()})
    return SimpleNamespace(non_zdo_endpoints=[endpoint])


@pytest.mark.parametrize(
    ("name", "attributes", "watts", "change"),
    [
        ("electrical", {ACTIVE_POWER: 12034, 0x0604: 1, 0x0605: 10}, 1203.4, 50),
        ("electrical", {ACTIVE_POWER: 60}, 60.0, 5),
        ("electrical", {ACTIVE_POWER: 60, 0x0604: 0, 0x0605: 0}, 60.0, 5),
        ("metering", {DEMAND: 1203, 0x0300: 0, 0x0301: 1, 0x0302: 1000}, 1203.0, 5),
        ("metering", {DEMAND: 12, 0x0300: 0, 0x0301: 1, 0x0302: 10}, 1200.0, 1),
    ],
    ids=["tenths", "no scale", "a scale of nothing", "watts", "coarse"],
)
async def test_power_is_scaled_read_and_reported(
    name: str, attributes: dict[int, int], watts: float, change: int
) -> None:
    cluster, heard = Cluster(attributes), list[tuple[str, float]]()
    plug = device(**{name: cluster})
    power_meters.subscribe(plug, "0x1", lambda *each: heard.append(each))
    assert await power_meters.set_up(plug) == pytest.approx(watts)
    attribute = ACTIVE_POWER if name == "electrical" else DEMAND
    assert cluster.configured == [(), (attribute, REPORT_S_MIN, REPORT_S_MAX, change)]
    cluster.report(attribute, attributes[attribute] * 2)
    cluster.report(0x0505, 2300)
    cluster.report(attribute, None)
    assert heard == [("0x1", pytest.approx(2 * watts))]


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("electrical", {ACTIVE_POWER: -0x8000}),
        ("metering", {DEMAND: -0x80_0000, 0x0300: 0, 0x0302: 1000}),
        ("metering", {DEMAND: 5, 0x0300: 1, 0x0302: 1000}),
        ("metering", {DEMAND: 5, 0x0300: 0}),
        ("electrical", {}),
    ],
    ids=["no value", "no demand", "gas", "unknown divisor", "no attribute"],
)
async def test_what_is_no_power_is_neither_read_nor_configured(name: str, attributes: dict[int, int]) -> None:
    cluster = Cluster(attributes)
    assert await power_meters.set_up(device(**{name: cluster})) is None
    assert not cluster.configured


async def test_active_power_is_taken_before_the_demand_of_the_meter() -> None:
    plug = device(metering=Cluster({DEMAND: 1}), electrical=Cluster({ACTIVE_POWER: 7}))
    assert await power_meters.read(plug) == 7.0


async def test_a_device_without_a_meter_is_left_alone() -> None:
    assert not power_meters.has_meter(device())
    assert await power_meters.set_up(device()) is None
    assert await power_meters.read(device()) is None
    power_meters.subscribe(device(), "0x1", lambda *_: None)


async def test_a_plug_that_does_not_answer_says_nothing() -> None:
    heard: list[tuple[str, float]] = []
    await power_meters.ask(device(electrical=Cluster({}, is_silent=True)), "0x1", lambda *each: heard.append(each))
    await power_meters.ask(device(electrical=Cluster({})), "0x1", lambda *each: heard.append(each))
    assert not heard
    await power_meters.ask(device(electrical=Cluster({ACTIVE_POWER: 9})), "0x1", lambda *each: heard.append(each))
    assert heard == [("0x1", 9.0)]


def test_a_plug_is_asked_once_it_has_been_silent_and_not_again_at_once() -> None:
    now_ms = 0
    table = PowerTable(lambda: now_ms)
    assert table.begin_ask("0x1")
    assert not table.begin_ask("0x1")
    table.put("0x1", 5.0)
    now_ms = round(ASK_S * 1000) - 1
    assert not table.begin_ask("0x1")
    table.put("0x1", 6.0)
    now_ms = round(ASK_S * 1000)
    assert not table.begin_ask("0x1"), "it has reported"
    now_ms = round(ASK_S * 2000)
    assert table.begin_ask("0x1")
    table.forget("0x1")
    assert not table.states()
    assert table.begin_ask("0x1")
