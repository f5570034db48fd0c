"""A plain thermostat with a band and a clock."""

import pytest

from hal.interface import HvacAction
from hal.sim.tenant import OccupantThermostat

OFF, HEAT = HvacAction.OFF, HvacAction.HEAT


@pytest.mark.parametrize(
    ("temperature_c", "before", "hour", "after"),
    [
        (20.0, OFF, 12.0, HEAT),
        (20.3, OFF, 12.0, OFF),
        (20.3, HEAT, 12.0, HEAT),
        (21.0, HEAT, 12.0, OFF),
        (19.0, HEAT, 2.0, OFF),
        (17.0, OFF, 2.0, HEAT),
        (19.0, OFF, 6.0, HEAT),
        (19.0, OFF, 22.5, OFF),
    ],
)
def test_it_heats_below_the_band_and_rests_above(
    temperature_c: float, before: HvacAction, hour: float, after: HvacAction
) -> None:
    assert OccupantThermostat().decide([temperature_c, 99.0], [before], local_hour=hour) == [after]
