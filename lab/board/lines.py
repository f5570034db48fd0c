"""Tries chosen spare lines of a GPIO chip, and a chosen LED: on explicit request only.

A line is driven high and low, read back, then released; whatever hangs on it is switched. So nothing is tried that was
not named, and no line that the kernel or a program uses, nor one with another task on a Raspberry Pi.
"""

import importlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

CONSUMER = "climahub board-check"

RESERVED = frozenset({0, 1, 2, 3, 14, 15})
"""Of a Raspberry Pi's header: the HAT's EEPROM, I2C and the serial console."""

BLINKS = 5
BLINK_S = 0.3


def try_lines(chip: str, numbers: Sequence[int], *, is_pi: bool) -> Iterator[str]:
    """Drive each line high and low and read it back; yield what was found.

    Args:
        chip: The chip's device.
        numbers: The lines that a person has named as spare.
        is_pi: Whether it is a Raspberry Pi's header.
    """
    gpiod: Any = importlib.import_module("gpiod")
    line: Any = importlib.import_module("gpiod.line")
    for number in numbers:
        if is_pi and number in RESERVED:
            yield f"line {number}: not tried, it has another task on this board"
            continue
        try:
            with gpiod.Chip(chip) as opened:
                info = opened.get_line_info(number)
            if info.used:
                yield f"line {number}: not tried, in use by {info.consumer}"
                continue
            yield f"line {number}: {', '.join(_try_line(gpiod, line, chip, number))}"
        except (OSError, ValueError) as error:
            yield f"line {number}: ! {error}"


def _try_line(gpiod: Any, line: Any, chip: str, number: int) -> Iterator[str]:  # noqa: ANN401 - an optional package
    driven = gpiod.LineSettings(direction=line.Direction.OUTPUT, output_value=line.Value.INACTIVE)
    request = gpiod.request_lines(chip, consumer=CONSUMER, config={number: driven})
    try:
        for word, value in (("low", line.Value.INACTIVE), ("high", line.Value.ACTIVE), ("low", line.Value.INACTIVE)):
            request.set_value(number, value)
            yield f"driven {word} {'follows' if request.get_value(number) == value else 'DOES NOT FOLLOW'}"
    finally:
        request.release()
    for word, bias, expected in (("up", line.Bias.PULL_UP, "ACTIVE"), ("down", line.Bias.PULL_DOWN, "INACTIVE")):
        settings = gpiod.LineSettings(direction=line.Direction.INPUT, bias=bias)
        request = gpiod.request_lines(chip, consumer=CONSUMER, config={number: settings})
        try:
            is_as_pulled = request.get_value(number) == getattr(line.Value, expected)
            yield f"pulled {word} {'follows' if is_as_pulled else 'is held by something'}"
        finally:
            request.release()


def blink(led: Path) -> Iterator[str]:
    """Blink a LED of /sys/class/leds and give it back; yield what was read back."""
    from hal.linux.led import trigger_in_force  # noqa: PLC0415 - only on request

    trigger, brightness = led / "trigger", led / "brightness"
    before, level = trigger_in_force(trigger.read_text()), brightness.read_text().strip()
    brightest = (led / "max_brightness").read_text().strip()
    try:
        trigger.write_text("none")
        for _ in range(BLINKS):
            brightness.write_text(brightest)
            yield f"on: reads {brightness.read_text().strip()} of {brightest}"
            time.sleep(BLINK_S)
            brightness.write_text("0")
            time.sleep(BLINK_S)
    finally:
        brightness.write_text(level)
        trigger.write_text(before)
    yield f"given back to {before}"
