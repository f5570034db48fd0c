"""The hub's radio, on the real zigpy and bellows, over a pseudo terminal to the emulated stick."""

from pathlib import Path

import pytest

pytest.importorskip("bellows")

from hal.radio import JoinStep, RadioState
from tests.integration.zigbee_bench import Stand


async def test_from_the_button_to_the_first_readings(tmp_path: Path) -> None:
    async with Stand(tmp_path).running() as (sensors, hub):
        device = await hub.pair(sensors, "bedroom")
        assert hub.steps(device) == [JoinStep.JOINED, JoinStep.INTERVIEWED, JoinStep.CONFIGURED]
        await hub.until(lambda: len(hub.latest(device)) == 4)
        assert hub.latest(device) == {"temperature": 20.5, "humidity": 48, "pressure": 1001, "battery_level": 77}
        sensors.set_values("bedroom", {"temperature_c": 23.25})
        await hub.until(lambda: hub.values(device, "temperature")[-1] == 23.25)
    assert hub.network.radio.state is not RadioState.REFUSED
