"""Open windows in the simulated house: heating pauses within minutes and resumes, and nothing else makes it pause."""

import pytest

from agent.climate.model import Block, Mode, Schedule, ZoneProgram
from agent.climate.settings import (
    ClimateSettings,
    Emitter,
    HeatSourceKind,
    HeatSourceSettings,
    ZoneSettings,
    pi_settings_for,
)
from hal.interface import HvacAction
from hal.sim.building import FLAT
from hal.sim.plant import GAS_BOILER, HeatGenerator
from hal.sim.sensors import Element
from lab.simulation.heating import HeatedHome, HeatedHomeOptions
from lab.simulation.heating_year import DAY_MS, MINUTE_MS, START_MS

WEEK = Schedule("week", (Block("Day", "06:00", "22:00", 21.0, 27.0), Block("Night", "22:00", "06:00", 17.0, 28.0)))
FURNACE = HeatGenerator(heating_w=30_000.0, cooling_w=0.0, lag_s=60.0, efficiency=0.9)


def home(seed: int, *, generator: HeatGenerator = GAS_BOILER, element: Element | None = None) -> HeatedHome:
    is_air = generator is FURNACE
    law = pi_settings_for(Emitter.AIR if is_air else Emitter.RADIATOR, is_shared=not is_air, min_on_s=180.0)
    zones = tuple(ZoneSettings(zone_id=zone.name, sensors=((zone.name, 1.0),), law=law) for zone in FLAT.zones)
    source = HeatSourceSettings(kind=HeatSourceKind.NONE if is_air else HeatSourceKind.BOILER)
    program = ZoneProgram(mode=Mode.HEAT, schedules={"week": WEEK}, schedule="week")
    options = HeatedHomeOptions(
        settings=ClimateSettings(zones=zones, heat_source=source),
        seed=seed,
        start_utc_ms=START_MS,
        programs={zone.name: program for zone in FLAT.zones},
        generator=generator,
        element=element,
    )
    return HeatedHome(options)


def minutes(heated: HeatedHome, count: int) -> tuple[list[bool], int]:
    """Return for each minute whether the living room pauses, and how many minutes it was heated."""
    paused, on = [], 0
    for _ in range(count):
        heated.run(heated.at_ms + MINUTE_MS)
        assert heated.control is not None
        state = heated.control.state.zones[0]
        paused.append(state.window.is_open)
        on += state.action is HvacAction.HEAT
    return paused, on


def test_a_window_that_is_wide_open_pauses_the_heating_within_minutes_until_it_is_closed() -> None:
    heated = home(1)
    heated.run(5 * DAY_MS + 12 * 3_600_000)
    heated.house.open_window("living", 15.0)
    paused, on = minutes(heated, 25)
    assert paused.index(True) < 7
    assert on <= 8
    heated.house.open_window("living", 0.0)
    paused, on = minutes(heated, 60)
    assert paused.index(False) < 10
    assert not any(paused[paused.index(False) :])
    assert on > 20
    assert heated.oracle.summary() == []


@pytest.mark.slow
@pytest.mark.parametrize("generator", [GAS_BOILER, FURNACE], ids=["radiators", "furnace"])
@pytest.mark.parametrize("steps_per_unit", [100, 2])
def test_setback_sun_cooking_and_pulses_are_no_window(generator: HeatGenerator, steps_per_unit: int) -> None:
    element = Element(0.04, 0.1, steps_per_unit, lag_s=180.0)
    heated = home(2, generator=generator, element=element)
    found: set[tuple[str, int]] = set()

    def look(home: HeatedHome) -> None:
        assert home.control is not None
        found.update(
            (zone.zone_id, home.at_ms // 3_600_000)
            for zone, state in zip(home.options.settings.zones, home.control.state.zones, strict=True)
            if state.window.is_open
        )

    heated.run(14 * DAY_MS, look)
    assert found == set()
