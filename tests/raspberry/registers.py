"""The BCM2837's GPIO controller as its registers show it, read from outside the machine: the witness. Pure.

Source of the registers: BCM2835 ARM Peripherals, chapter 6, "General Purpose I/O". They begin at 0x3f200000 as a
processor of the Raspberry Pi 3 sees them.

A line drives its relay only where the controller has it as an output. As an input it drives nothing: then the pull
resistor, or the relay board, decides.
"""

import enum
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

BASE = 0x3F200000
WORDS = 14
"""From GPFSEL0 to GPLEV0, so that one look shows both."""
LINES = 32
"""Those of the first bank: the header of the board has no others."""

_FUNCTIONS = 0x00
_LINES_PER_WORD = 10
_FUNCTION_BITS = 3
_OUTPUT = 0b001
_SET, _CLEAR, _LEVEL = 0x1C, 0x28, 0x34
_PULL, _PULL_CLOCK = 0x94, 0x98
_WRITE = re.compile(r"memory_region_ops_write .* addr 0x([0-9a-f]+) value 0x([0-9a-f]+) size 4")


class Driven(enum.Enum):
    """What the controller does to a line."""

    HIGH = "high"
    LOW = "low"
    NOT = "not driven"


@dataclass(frozen=True)
class Controller:
    """The controller at one moment.

    Attributes:
        functions: GPFSEL0 to GPFSEL5.
        levels: What the lines put out, or would as outputs: a bit each.
        pulls: What each line that was told so is pulled to: True is up.
        pull: The register that says to what the next lines are pulled.
    """

    functions: tuple[int, ...]
    levels: int
    pulls: tuple[tuple[int, bool | None], ...] = ()
    pull: int = 0

    def line(self, number: int) -> Driven:
        """Return what is done to a line."""
        word, place = divmod(number, _LINES_PER_WORD)
        if self.functions[word] >> place * _FUNCTION_BITS & 0b111 != _OUTPUT:
            return Driven.NOT
        return Driven.HIGH if self.levels >> number & 1 else Driven.LOW

    def after(self, address: int, value: int) -> "Controller":
        """Return the controller after a word was written to it."""
        match address - BASE:
            case offset if _FUNCTIONS <= offset < _FUNCTIONS + 4 * len(self.functions):
                word = (offset - _FUNCTIONS) // 4
                return replace(self, functions=(*self.functions[:word], value, *self.functions[word + 1 :]))
            case offset if offset == _SET:
                return replace(self, levels=self.levels | value)
            case offset if offset == _CLEAR:
                return replace(self, levels=self.levels & ~value)
            case offset if offset == _PULL:
                return replace(self, pull=value)
            case offset if offset == _PULL_CLOCK:
                way = {0b01: False, 0b10: True}.get(self.pull)
                told = {number: way for number in range(LINES) if value >> number & 1}
                return replace(self, pulls=tuple((dict(self.pulls) | told).items()))
        return self


def read(words: Sequence[int]) -> Controller:
    """Return the controller from `WORDS` words, read from `BASE` on."""
    return Controller(functions=tuple(words[:6]), levels=words[_LEVEL // 4])


def replay(start: Controller, log: Iterable[str]) -> Iterator[Controller]:
    """Return every state that the controller was in, from the emulator's log of writes to devices."""
    yield start
    for line in log:
        found = _WRITE.search(line)
        if found:
            address, value = (int(text, 16) for text in found.groups())
            if BASE <= address < BASE + 0x100:
                start = start.after(address, value)
                yield start
