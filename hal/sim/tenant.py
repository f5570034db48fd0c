"""The tenant's own thermostat: part of the simulated world, not of the hub, so that an idle hub's house is warm.

Plain hysteresis with a night setback, as a mechanical room thermostat with a clock does it. It only heats.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from hal.interface import HvacAction

DAY_C: Final = 20.5
NIGHT_C: Final = 17.5
HYSTERESIS_K: Final = 0.4
"""Half of the band between on and off, usual for bimetal."""

DAY_FROM_H: Final = 6.0
DAY_TO_H: Final = 22.5


class OccupantThermostat(msgspec.Struct, frozen=True):
    """A thermostat in every room, all set alike."""

    day_c: float = DAY_C
    night_c: float = NIGHT_C

    def decide(
        self, temperatures_c: Sequence[float], before: Sequence[HvacAction], *, local_hour: float
    ) -> list[HvacAction]:
        """Return what each room calls for, given what it called for before.

        Args:
            temperatures_c: The air of each room; what comes after the rooms of `before` is not looked at.
            before: The present calls.
            local_hour: 0 to 24.
        """
        wanted_c = self.day_c if DAY_FROM_H <= local_hour < DAY_TO_H else self.night_c
        calls = []
        for temperature_c, action in zip(temperatures_c, before, strict=False):
            band_k = HYSTERESIS_K if action is HvacAction.HEAT else -HYSTERESIS_K
            calls.append(HvacAction.HEAT if temperature_c < wanted_c + band_k else HvacAction.OFF)
        return calls
