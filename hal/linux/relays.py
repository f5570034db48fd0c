"""Relays on the lines of one device, whatever its kind: which line a demand wants on, setting and reading back.

Lines of a GPIO chip are switched off when they are requested; all are before they are released, and once more after
the agent has ended (`climahub run --outputs-off`, which needs this module to be light).
"""

from collections.abc import Callable, Mapping, Sequence

from hal.errors import ActuatorFault
from hal.interface import HeatSourceDemand, HvacAction, HvacDemand, ZoneOutput
from hal.linux.output_lines import OutputLines, RelayWiring, ZoneRelays, load_driver, open_lines


class RelayOutputs:
    """The relays, implementing `hal.interface.HvacOutputs`."""

    def __init__(self, wiring: RelayWiring, open_lines: Callable[[RelayWiring], OutputLines] = open_lines) -> None:
        """Store the wiring; the lines are requested with the first demand.

        Args:
            wiring: Assignment of lines to relays.
            open_lines: Requests the lines; replaced in tests.
        """
        self._wiring = wiring
        self._open_lines = open_lines
        self._lines: OutputLines | None = None
        self._is_loaded = False

    @property
    def zones(self) -> Sequence[ZoneOutput]:
        """The zones with a relay."""
        return [
            ZoneOutput(relay.name, can_heat=relay.heat_line is not None, can_cool=relay.cool_line is not None)
            for relay in self._wiring.zones
        ]

    async def apply(self, demand: HvacDemand) -> None:
        """Set every line and read it back. On GPIO both are system calls of a few microseconds: no thread is needed.

        Raises:
            ActuatorFault: A line did not follow, or the lines cannot be requested.
        """
        if not self._is_loaded:
            await load_driver(self._wiring.device)
            self._is_loaded = True
        self.set_lines(demand)

    def set_lines(self, demand: HvacDemand) -> None:
        """Do what `apply` does; blocks as long as the device's bus does."""
        self._set(line_values(self._wiring, demand))

    def off(self) -> None:
        """Switch all lines off: together, or one by one if the common request fails.

        Raises:
            ActuatorFault: Some lines could not be switched off; the message names each problem.
        """
        try:
            self._set(dict.fromkeys(self._wiring.lines, False))
        except ActuatorFault:
            self.close()
        else:
            return
        problems = []
        for line in self._wiring.lines:
            alone = RelayWiring(self._wiring.device, (ZoneRelays("", line),), is_active_low=self._wiring.is_active_low)
            outputs = RelayOutputs(alone, self._open_lines)
            try:
                outputs._set({line: False})
            except ActuatorFault as error:
                problems.append(str(error))
            finally:
                outputs.close()
        if problems:
            # A problem of the chip is reported once, not for each line.
            raise ActuatorFault("; ".join(dict.fromkeys(problems)))

    def close(self) -> None:
        """Switch all lines off and release them."""
        lines, self._lines = self._lines, None
        if lines is None:
            return
        try:
            lines.set(dict.fromkeys(self._wiring.lines, False))
        except OSError:
            # The unit's ExecStopPost tries once more.
            pass
        finally:
            lines.close()

    def _set(self, values: Mapping[int, bool]) -> None:
        try:
            if self._lines is None:
                self._lines = self._open_lines(self._wiring)
            self._lines.set(values)
            found = self._lines.get()
        except OSError as error:
            advice = ""
            if self._lines is not None:
                advice = f"; {self._lines.advice(error)}"
                self._lines.close()
            self._lines = None
            raise ActuatorFault(f"{self._wiring.device}: {error.strerror}{advice}") from error
        wrong = sorted(line for line, on in values.items() if found.get(line) is not on)
        if wrong:
            text = f"{self._wiring.device}: line {', '.join(map(str, wrong))} did not follow"
            raise ActuatorFault(f"{text}; check the relay board's supply and cable")


def line_values(wiring: RelayWiring, demand: HvacDemand) -> dict[int, bool]:
    """Return the required state of each line; lines of unnamed zones are off."""
    values = dict.fromkeys(wiring.lines, False)
    for relay in wiring.zones:
        action = demand.zones.get(relay.name, HvacAction.OFF)
        if action is HvacAction.HEAT and relay.heat_line is not None:
            values[relay.heat_line] = True
        if action is HvacAction.COOL and relay.cool_line is not None:
            values[relay.cool_line] = True
    heat_source = demand.heat_source or HeatSourceDemand()
    wanted = {
        "heat": heat_source.action is HvacAction.HEAT,
        "cool": heat_source.action is HvacAction.COOL,
        "stage2": heat_source.stage > 1,
        "aux": heat_source.is_aux_on,
        "pump": heat_source.is_pump_on,
        "fan": heat_source.is_fan_on,
        "valve": heat_source.is_valve_on,
    }
    for name, line in wiring.heat_source.items():
        values[line] = values[line] or wanted[name]
    return values
