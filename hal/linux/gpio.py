"""Relays on GPIO lines, through the kernel's character device (libgpiod).

A released line keeps its last value or does not: the kernel specifies nothing, and two kernels for the same board
differ (tests/raspberry). Therefore the lines are switched off before they are released, and once more after the agent
has ended (`climahub run --outputs-off`). If the kernel makes a released line an input, its pull resistor keeps the
relay off.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from hal.errors import ActuatorFault
from hal.interface import HeatSourceDemand, HvacAction, HvacDemand, ZoneOutput

CONSUMER = "climahub"
HEAT_SOURCE_LINES = ("heat", "cool", "stage2", "aux", "pump", "fan", "valve")
"""The parts of a shared heat source that can have a line."""


class ZoneRelays(msgspec.Struct, frozen=True):
    """The relays of one zone, by line number. A valve that serves heating and cooling is listed for both."""

    name: str
    heat_line: int | None = None
    cool_line: int | None = None


class RelayWiring(msgspec.Struct, frozen=True):
    """Assignment of GPIO lines to relays.

    Attributes:
        chip: The character device.
        zones: The relays of the zones.
        heat_source: Lines of the shared heat source, by `HEAT_SOURCE_LINES`.
        is_active_low: Whether a low line closes the relay.
    """

    chip: Path
    zones: tuple[ZoneRelays, ...]
    heat_source: Mapping[str, int] = {}
    is_active_low: bool = False

    @property
    def lines(self) -> tuple[int, ...]:
        """Numbers of all lines, without duplicates."""
        numbers = [line for relay in self.zones for line in (relay.heat_line, relay.cool_line) if line is not None]
        return tuple(dict.fromkeys([*numbers, *self.heat_source.values()]))


class GpioLines(Protocol):
    """GPIO lines requested as outputs."""

    def set(self, values: Mapping[int, bool]) -> None:
        """Switch lines; may raise `OSError`."""
        ...

    def get(self) -> Mapping[int, bool]:
        """Read all lines back; may raise `OSError`."""
        ...

    def close(self) -> None:
        """Release the lines."""
        ...


class GpiodLines:
    """Lines requested through the Python package `gpiod` (libgpiod 2)."""

    def __init__(self, wiring: RelayWiring) -> None:
        """Request the lines, all off.

        Raises:
            ActuatorFault: The package is not installed, or the request failed.
        """
        try:
            self._gpiod = importlib.import_module("gpiod")
            line = importlib.import_module("gpiod.line")
        except ImportError as error:
            raise ActuatorFault("relays need the Python package gpiod: pip install 'climahub[gpio]'") from error
        self._on, self._off = line.Value.ACTIVE, line.Value.INACTIVE
        self._numbers: Sequence[int] = wiring.lines

        def request(bias: object) -> Any:  # noqa: ANN401 - a class of an optional package
            settings = self._gpiod.LineSettings(
                direction=line.Direction.OUTPUT, active_low=wiring.is_active_low, output_value=self._off, bias=bias
            )
            return self._gpiod.request_lines(str(wiring.chip), consumer=CONSUMER, config={wiring.lines: settings})

        try:
            try:
                # For the time after the line is released.
                self._request = request(line.Bias.PULL_UP if wiring.is_active_low else line.Bias.PULL_DOWN)
            except (OSError, ValueError):
                # Most chips without pull resistors ignore the setting. Others refuse it; relays work without.
                self._request = request(line.Bias.AS_IS)
        except (OSError, ValueError) as error:
            raise ActuatorFault(self._refusal(wiring, error)) from error

    def set(self, values: Mapping[int, bool]) -> None:
        """Switch lines."""
        self._request.set_values({number: self._on if on else self._off for number, on in values.items()})

    def get(self) -> Mapping[int, bool]:
        """Read all lines back."""
        values = self._request.get_values(list(self._numbers))
        return {number: value == self._on for number, value in zip(self._numbers, values, strict=True)}

    def close(self) -> None:
        """Release the lines."""
        self._request.release()

    def _refusal(self, wiring: RelayWiring, error: OSError | ValueError) -> str:
        """Return the message for a failed request: cause and remedy. The kernel's error alone names no line."""
        chip = wiring.chip
        match error:
            case FileNotFoundError():
                advice = "check board.linux.gpio_chip (gpiodetect lists the chips)"
                return f"{chip} does not exist; {advice}; the service sees chips only with systemd/climahub-gpio.conf"
            case PermissionError():
                advice = "add the user to the group of that file; for the service, install systemd/climahub-gpio.conf"
                return f"{chip}: this user has no permission to open it ({error.strerror}); {advice}"
        try:
            with self._gpiod.Chip(str(chip)) as opened:
                count = opened.get_info().num_lines
                missing = [number for number in wiring.lines if number >= count]
                infos = {number: opened.get_line_info(number) for number in wiring.lines if number < count}
        except (OSError, ValueError):
            return (
                f"{chip} cannot be used as a GPIO chip ({error}); check board.linux.gpio_chip (gpiodetect lists them)"
            )
        if missing:
            numbers = ", ".join(map(str, missing))
            return f"{chip} has no line {numbers}, only 0 to {count - 1}; check the lines in board.linux"
        held = [
            f"line {number} is in use by {info.consumer or 'the kernel'}" for number, info in infos.items() if info.used
        ]
        if held:
            advice = f"stop that program ({CONSUMER} is an agent that already runs), or use another line (board.linux)"
            return f"{chip}: {', '.join(held)}; {advice}"
        lines = ", ".join(map(str, wiring.lines))
        return f"{chip}: the lines {lines} cannot be requested ({error}); check board.linux and gpioinfo"


class GpioOutputs:
    """The relays, implementing `hal.interface.HvacOutputs`."""

    def __init__(self, wiring: RelayWiring, open_lines: Callable[[RelayWiring], GpioLines] = GpiodLines) -> None:
        """Store the wiring; the lines are requested with the first demand.

        Args:
            wiring: Assignment of lines to relays.
            open_lines: Requests the lines; replaced in tests.
        """
        self._wiring = wiring
        self._open_lines = open_lines
        self._lines: GpioLines | None = None

    @property
    def zones(self) -> Sequence[ZoneOutput]:
        """The zones with a relay."""
        return [
            ZoneOutput(relay.name, can_heat=relay.heat_line is not None, can_cool=relay.cool_line is not None)
            for relay in self._wiring.zones
        ]

    async def apply(self, demand: HvacDemand) -> None:
        """Set every line and read it back. Both are system calls of a few microseconds, so no thread is needed.

        Raises:
            ActuatorFault: A line did not follow, or the lines cannot be requested.
        """
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
            alone = RelayWiring(self._wiring.chip, (ZoneRelays("", line),), is_active_low=self._wiring.is_active_low)
            outputs = GpioOutputs(alone, self._open_lines)
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
            if self._lines is not None:
                self._lines.close()
            self._lines = None
            raise ActuatorFault(f"{self._wiring.chip}: {error.strerror}; the lines are requested again") from error
        wrong = sorted(line for line, on in values.items() if found.get(line) is not on)
        if wrong:
            text = f"{self._wiring.chip}: line {', '.join(map(str, wrong))} did not follow"
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
