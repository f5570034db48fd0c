"""Several outputs as one: each part gets what is its own, and fails alone."""

import asyncio
from collections.abc import Sequence

import pytest

from hal.combined_outputs import CombinedOutputs
from hal.errors import ActuatorFault, NetworkLost
from hal.interface import HeatSourceDemand, HvacAction, HvacDemand, ZoneOutput

HEAT, COOL = HvacAction.HEAT, HvacAction.COOL
SOURCE = HeatSourceDemand(HEAT, 1, is_pump_on=True)


class Part:
    def __init__(self, *zones: ZoneOutput, error: BaseException | None = None) -> None:
        self.zones: Sequence[ZoneOutput] = zones
        self.error = error
        self.demands: list[HvacDemand] = []

    async def apply(self, demand: HvacDemand) -> None:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self.demands.append(demand)


class HangingPart(Part):
    async def apply(self, demand: HvacDemand) -> None:
        await asyncio.Event().wait()


async def test_each_part_gets_its_own_zones_and_the_heat_source() -> None:
    relays, plugs, boiler = Part(ZoneOutput("living")), Part(ZoneOutput("bath")), Part()
    outputs = CombinedOutputs({"relays": relays, "plugs": plugs, "boiler": boiler})
    assert [zone.name for zone in outputs.zones] == ["living", "bath"]
    await outputs.apply(HvacDemand({"living": HEAT, "bath": HvacAction.OFF}, SOURCE))
    assert relays.demands == [HvacDemand({"living": HEAT}, SOURCE)]
    assert plugs.demands == [HvacDemand({"bath": HvacAction.OFF}, SOURCE)]
    assert boiler.demands == [HvacDemand({}, SOURCE)]


async def test_a_zone_of_two_parts_can_do_what_any_of_them_can() -> None:
    heating = Part(ZoneOutput("living", can_heat=True, can_cool=False))
    cooling = Part(ZoneOutput("living", can_heat=False, can_cool=True))
    outputs = CombinedOutputs({"a": heating, "b": cooling})
    assert list(outputs.zones) == [ZoneOutput("living", can_heat=True, can_cool=True)]
    await outputs.apply(HvacDemand({"living": COOL}))
    assert heating.demands == cooling.demands == [HvacDemand({"living": COOL})]


async def test_each_part_fails_alone_and_is_named() -> None:
    parts = {
        "i2c": Part(error=ActuatorFault("i2c-1-0020/pcf8574: no answer; check its cable")),
        "relays": Part(ZoneOutput("living")),
        "radio": Part(error=NetworkLost("the stick is gone")),
        "disk": Part(error=OSError(5, "Input/output error")),
    }
    with pytest.raises(ActuatorFault) as caught:
        await CombinedOutputs(parts).apply(HvacDemand({"living": HEAT}))
    assert str(caught.value) == (
        "i2c-1-0020/pcf8574: no answer; check its cable; radio: the stick is gone; disk: [Errno 5] Input/output error"
    )
    assert parts["relays"].demands == [HvacDemand({"living": HEAT})]


async def test_a_part_that_hangs_is_named_and_keeps_no_other_from_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hal.combined_outputs.PART_S_MAX", 0.0)
    relays = Part(ZoneOutput("living"))
    outputs = CombinedOutputs({"boiler": HangingPart(), "relays": relays})
    with pytest.raises(ActuatorFault, match="boiler: no response within"):
        await outputs.apply(HvacDemand({"living": HEAT}))


async def test_a_defect_of_a_part_is_raised_after_the_others_were_set() -> None:
    relays = Part(ZoneOutput("living"))
    outputs = CombinedOutputs({"new": Part(error=KeyError("a defect")), "relays": relays})
    with pytest.raises(KeyError):
        await outputs.apply(HvacDemand({"living": HEAT}))
    assert relays.demands
