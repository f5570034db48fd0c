"""Relays on GPIO lines, through the kernel's character device (libgpiod): the outputs of a Raspberry Pi.

A line that nobody holds keeps what it was set to, or does not: the kernel promises nothing, and two kernels for the
same board differ (tests/raspberry). So the lines are switched off before they are given back, and once more after the
agent is gone (`climahub run --outputs-off`). Where the kernel makes a line an input again, its pull resistor keeps the
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
"""What the shared heat source of a home may have a line for."""


class ZoneRelays(msgspec.Struct, frozen=True):
    """The relays of one zone, by the numbers of their lines. One that opens a valve for both is named twice."""

    name: str
    heat_line: int | None = None
    cool_line: int | None = None


class RelayWiring(msgspec.Struct, frozen=True):
    """What hangs on which line.

    Attributes:
        chip: The character device.
        zones: The relays of the zones.
        heat_source: Lines of the shared heat source, by `HEAT_SOURCE_LINES`.
        is_active_low: Whether a relay pulls in when its line is low.
    """

    chip: Path
    zones: tuple[ZoneRelays, ...]
    heat_source: Mapping[str, int] = {}
    is_active_low: bool = False

    @property
    def lines(self) -> tuple[int, ...]:
        """All lines, each once."""
        numbers = [line for relay in self.zones for line in (relay.heat_line, relay.cool_line) if line is not None]
        return tuple(dict.fromkeys([*numbers, *self.heat_source.values()]))


class GpioLines(Protocol):
    """Lines that are held as outputs."""

    def set(self, values: Mapping[int, bool]) -> None:
        """Switch lines; may raise `OSError`."""
        ...

    def get(self) -> Mapping[int, bool]:
        """Read all lines back; may raise `OSError`."""
        ...

    def close(self) -> None:
        """Give the lines back."""
        ...


class GpiodLines:
    """Lines held through the Python package `gpiod` (libgpiod 2)."""

    def __init__(self, wiring: RelayWiring) -> None:
        """Take the lines, all off.

        Raises:
            ActuatorFault: The package is not installed, or the lines cannot be had.
        """
        try:
            self._gpiod = importlib.import_module("gpiod")
            line = importlib.import_module("gpiod.line")
        except ImportError as error:
            raise ActuatorFault("relays need the Python package gpiod: pip install 'climahub[gpio]'") from error
        self._on, self._off = line.Value.ACTIVE, line.Value.INACTIVE
        self._numbers: Sequence[int] = wiring.lines

        def take(bias: object) -> Any:  # noqa: ANN401 - a class of an optional package
            settings = self._gpiod.LineSettings(
                direction=line.Direction.OUTPUT, active_low=wiring.is_active_low, output_value=self._off, bias=bias
            )
            return self._gpiod.request_lines(str(wiring.chip), consumer=CONSUMER, config={wiring.lines: settings})

        try:
            try:
                # For the time when nobody drives it.
                self._request = take(line.Bias.PULL_UP if wiring.is_active_low else line.Bias.PULL_DOWN)
            except (OSError, ValueError):
                # Most chips without such resistors take no notice; others refuse, and relays work without.
                self._request = take(line.Bias.AS_IS)
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
        """Give the lines back."""
        self._request.release()

    def _refusal(self, wiring: RelayWiring, error: OSError | ValueError) -> str:
        """Say why the lines cannot be had and what to do; the kernel's word alone does not say which line it is."""
        chip = wiring.chip
        match error:
            case FileNotFoundError():
                advice = "check board.linux.gpio_chip (gpiodetect lists the chips)"
                return f"{chip} is not there; {advice}; the service sees chips only with systemd/climahub-gpio.conf"
            case PermissionError():
                advice = "it needs the group of that file, as a service through systemd/climahub-gpio.conf"
                return f"{chip}: this user may not open it ({error.strerror}); {advice}"
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
            f"line {number} is held by {info.consumer or 'the kernel'}" for number, info in infos.items() if info.used
        ]
        if held:
            advice = f"stop what holds it ({CONSUMER}: the agent runs already), or use another line (board.linux)"
            return f"{chip}: {', '.join(held)}; {advice}"
        lines = ", ".join(map(str, wiring.lines))
        return f"{chip}: the lines {lines} cannot be had ({error}); check board.linux and gpioinfo"


class GpioOutputs:
    """The relays, implementing `hal.interface.HvacOutputs`."""

    def __init__(self, wiring: RelayWiring, open_lines: Callable[[RelayWiring], GpioLines] = GpiodLines) -> None:
        """Prepare; the lines are taken with the first demand.

        Args:
            wiring: What hangs where.
            open_lines: Takes the lines; tests have their own.
        """
        self._wiring = wiring
        self._open_lines = open_lines
        self._lines: GpioLines | None = None

    @property
    def zones(self) -> Sequence[ZoneOutput]:
        """The zones that have a relay."""
        return [
            ZoneOutput(relay.name, can_heat=relay.heat_line is not None, can_cool=relay.cool_line is not None)
            for relay in self._wiring.zones
        ]

    async def apply(self, demand: HvacDemand) -> None:
        """Set every line and read it back; a system call of some microseconds, so no thread is needed.

        Raises:
            ActuatorFault: A line did not follow, or the lines cannot be had.
        """
        self._set(line_values(self._wiring, demand))

    def off(self) -> None:
        """Switch everything off. Where the lines cannot be had together, each that can be had alone.

        Raises:
            ActuatorFault: What is wrong with those that could not be switched off.
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
            # What is wrong with the chip is said once, not for each line.
            raise ActuatorFault("; ".join(dict.fromkeys(problems)))

    def close(self) -> None:
        """Switch everything off and give the lines back."""
        lines, self._lines = self._lines, None
        if lines is None:
            return
        try:
            lines.set(dict.fromkeys(self._wiring.lines, False))
        except OSError:
            # Nothing more can be done from here: the unit's ExecStopPost tries once more.
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
            raise ActuatorFault(f"{self._wiring.chip}: {error.strerror}; the lines are taken anew") from error
        wrong = sorted(line for line, on in values.items() if found.get(line) is not on)
        if wrong:
            text = f"{self._wiring.chip}: line {', '.join(map(str, wrong))} did not follow"
            raise ActuatorFault(f"{text}; check the relay board's supply and cable")


def line_values(wiring: RelayWiring, demand: HvacDemand) -> dict[int, bool]:
    """Return what each line has to be; lines of zones that are not named are off."""
    values = dict.fromkeys(wiring.lines, False)
    for relay in wiring.zones:
        action = demand.zones.get(relay.name, HvacAction.OFF)
        if action is HvacAction.HEAT and relay.heat_line is not None:
            values[relay.heat_line] = True
        if action is HvacAction.COOL and relay.cool_line is not None:
            values[relay.cool_line] = True
    heat_source = demand.heat_source or HeatSourceDemand()
    told = {
        "heat": heat_source.action is HvacAction.HEAT,
        "cool": heat_source.action is HvacAction.COOL,
        "stage2": heat_source.stage > 1,
        "aux": heat_source.is_aux_on,
        "pump": heat_source.is_pump_on,
        "fan": heat_source.is_fan_on,
        "valve": heat_source.is_valve_on,
    }
    for name, line in wiring.heat_source.items():
        values[line] = values[line] or told[name]
    return values
