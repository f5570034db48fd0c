"""A plug that measures its load, on the real zigpy and bellows: set up, heard, asked while it is silent, forgotten."""

from pathlib import Path

import pytest

pytest.importorskip("bellows")

from hal.zigbee import power_table, radio
from tests.integration.zigbee_bench import Hub, Stand, hasten, one


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


def drawn(hub: Hub) -> list[float]:
    return [state.watts for state in hub.network.power_states]


async def test_a_plug_is_set_up_and_heard_and_the_cloud_gets_nothing_of_it(tmp_path: Path) -> None:
    async with Stand(tmp_path, house=one("metering_plug")).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        assert drawn(hub) == [0.0]
        sensors.set_values("one", {"power_w": 1203.4})
        await hub.until(lambda: drawn(hub) == [pytest.approx(1203.4)])
        (state,) = hub.network.power_states
        assert state.device == device
        assert not hub.readings
        await hub.network.remove(device)
        assert not hub.network.power_states


async def test_a_plug_that_reports_nothing_by_itself_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change below the reported one is heard only because the hub asks."""
    monkeypatch.setattr(power_table, "ASK_S", 0.1)
    monkeypatch.setattr(radio, "AVAILABILITY_S", 0.1)
    async with Stand(tmp_path, house=one("metering_plug")).running() as (sensors, hub):
        await hub.pair(sensors, "one")
        sensors.set_values("one", {"power_w": 2.0})
        await hub.until(lambda: drawn(hub) == [pytest.approx(2.0)])


async def test_a_plug_without_a_meter_says_nothing(tmp_path: Path) -> None:
    async with Stand(tmp_path, house=one("plug")).running() as (sensors, hub):
        await hub.pair(sensors, "one")
        assert not hub.network.power_states
