"""Several outputs as one: relays, a boiler behind a gateway, plugs and valves of a radio network. Decides nothing.

Each part fails alone: a bus that hangs keeps no relay from its command. A part gets the zones that it has, and the
whole demand on the heat source, of which it drives what it has. A zone may have its heating in one part and its cooling
in another.
"""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from hal.errors import ActuatorFault, HalError
from hal.interface import HvacDemand, HvacOutputs, ZoneOutput

PART_S_MAX = 4.0
"""A part that has not responded by then is reported. The control loop waits for 5 s (`agent.climate.service`) and
would not know which part it was."""


class CombinedOutputs:
    """Several outputs, implementing `hal.interface.HvacOutputs`.

    Attributes:
        parts: The outputs, by a name for people.
    """

    def __init__(self, parts: Mapping[str, HvacOutputs]) -> None:
        """Combine outputs."""
        self.parts = dict(parts)

    @property
    def zones(self) -> Sequence[ZoneOutput]:
        """The zones of all parts; one that several parts have can do what any of them can."""
        found: dict[str, ZoneOutput] = {}
        for part in self.parts.values():
            for zone in part.zones:
                known = found.get(zone.name, zone)
                found[zone.name] = msgspec.structs.replace(
                    zone,
                    can_heat=zone.can_heat or known.can_heat,
                    can_cool=zone.can_cool or known.can_cool,
                    device=zone.device or known.device,
                )
        return tuple(found.values())

    async def apply(self, demand: HvacDemand) -> None:
        """Set the outputs of all parts at once.

        Raises:
            ActuatorFault: Some parts did not follow, or did not respond; the message names each. The others were set.
        """
        results = await asyncio.gather(
            *(_apply(name, part, demand) for name, part in self.parts.items()), return_exceptions=True
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        for failure in failures:
            if not isinstance(failure, ActuatorFault):
                raise failure
        if failures:
            raise ActuatorFault("; ".join(str(failure) for failure in failures))


async def _apply(name: str, part: HvacOutputs, demand: HvacDemand) -> None:
    own = {zone.name: demand.zones[zone.name] for zone in part.zones if zone.name in demand.zones}
    try:
        async with asyncio.timeout(PART_S_MAX):
            await part.apply(HvacDemand(own, demand.heat_source, demand.room_c))
    except ActuatorFault:
        raise
    except TimeoutError as error:
        raise ActuatorFault(f"{name}: no response within {PART_S_MAX:.0f} s") from error
    except (HalError, OSError) as error:
        raise ActuatorFault(f"{name}: {str(error) or type(error).__name__}") from error
