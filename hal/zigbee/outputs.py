"""Plugs, relays and radiator valves of the radio as the agent uses them: implements `hal.interface.HvacOutputs`.

Never waits for the radio: a demand is handed over, and what is known of the lines decides whether it raises.
"""

import asyncio
from collections.abc import Sequence

from hal.errors import ActuatorFault
from hal.interface import HvacDemand, ZoneOutput
from hal.line_names import LineName
from hal.linux.output_lines import RelayWiring
from hal.linux.relays import line_values
from hal.zigbee.network import ZigbeeNetwork

CLOSE_S_MAX = 2.0
"""The end of the agent waits this long for everything to go off: it must end within 5 s. A plug goes off by its own
timer in any case; a valve is closed by the next start."""

CLOSE_STEP_S = 0.05


class ZigbeeOutputs:
    """The configured outputs on paired devices."""

    def __init__(self, network: ZigbeeNetwork, wiring: RelayWiring, lines: Sequence[LineName]) -> None:
        """Store what drives what; nothing is switched before the first demand.

        Args:
            network: Drives the lines.
            wiring: Assignment of lines to zones and parts, each line by its place in ``lines``.
            lines: Of the wiring.
        """
        self._network = network
        self._wiring = wiring
        self._lines = tuple(lines)

    @property
    def zones(self) -> Sequence[ZoneOutput]:
        """The zones with a line."""
        return [
            ZoneOutput(
                zone.name,
                can_heat=zone.heat_line is not None,
                can_cool=zone.cool_line is not None,
                device="" if zone.heat_line is None else self._lines[zone.heat_line].radio_device,
            )
            for zone in self._wiring.zones
        ]

    async def apply(self, demand: HvacDemand) -> None:
        """Hand the demand over to the radio.

        Raises:
            ActuatorFault: A line does not follow, or cannot be reached; the message names each.
        """
        values = line_values(self._wiring, demand)
        rooms = {
            str(self._lines[zone.heat_line]): demand.room_c[zone.name]
            for zone in self._wiring.zones
            if zone.heat_line is not None and zone.name in demand.room_c
        }
        self._network.outputs.demand({str(self._lines[place]): is_on for place, is_on in values.items()}, rooms)
        problems = [output.problem for output in self._network.radio_outputs if output.problem]
        if problems:
            raise ActuatorFault("; ".join(dict.fromkeys(problems)))

    async def close(self) -> None:
        """Have everything switched off, and wait for it as long as the end of the agent may take."""
        outputs = self._network.outputs
        outputs.demand({str(line): False for line in self._lines}, {})
        try:
            async with asyncio.timeout(CLOSE_S_MAX):
                while any(outputs.state(str(line)).is_on for line in self._lines):  # noqa: ASYNC110 - the radio's thread
                    await asyncio.sleep(CLOSE_STEP_S)
        except TimeoutError:
            return
