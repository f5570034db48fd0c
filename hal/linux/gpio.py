"""Relays on GPIO lines, through the kernel's character device (libgpiod).

A released line keeps its last value or does not: the kernel specifies nothing, and two kernels for the same board
differ (tests/raspberry). Therefore the lines are switched off before they are released, and once more after the agent
has ended (`climahub run --outputs-off`). If the kernel makes a released line an input, its pull resistor keeps the
relay off.
"""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from hal.errors import ActuatorFault
from hal.linux.output_lines import RelayWiring

CONSUMER = "climahub"


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
            return self._gpiod.request_lines(wiring.device, consumer=CONSUMER, config={wiring.lines: settings})

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

    def advice(self, error: OSError) -> str:  # noqa: ARG002 - as in `OutputLines`
        """See `OutputLines`."""
        return "the lines are requested again"

    def _refusal(self, wiring: RelayWiring, error: OSError | ValueError) -> str:
        """Return the message for a failed request: cause and remedy. The kernel's error alone names no line."""
        chip = wiring.device
        match error:
            case FileNotFoundError():
                advice = "check board.linux.gpio_chip (gpiodetect lists the chips)"
                return f"{chip} does not exist; {advice}; the service sees chips only with systemd/climahub-gpio.conf"
            case PermissionError():
                advice = "add the user to the group of that file; for the service, install systemd/climahub-gpio.conf"
                return f"{chip}: this user has no permission to open it ({error.strerror}); {advice}"
        try:
            with self._gpiod.Chip(chip) as opened:
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
