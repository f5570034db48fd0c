"""`python -m lab.board`: checks this board and prints one report to send back. See docs/hardware.md."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lab.board import buses, lines, machine
from lab.board.report import Section, as_text

ROOT = Path("/")
HEADER = """\
climahub board check. No names, addresses of networks, serial numbers or keys are in it: read it, then send it to the
people who make climahub, with what is connected to the board and what you expected. Stop the hub before (systemctl stop
climahub): two programs that read one chip disturb each other.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="make board-check BOARD_ARGS=", description=__doc__)
    made.add_argument("--lines", default="", help="spare GPIO lines to drive, such as 5,6: nothing may be connected")
    made.add_argument("--chip", default="/dev/gpiochip0", help="the chip of these lines")
    made.add_argument("--led", default="", help="a LED of /sys/class/leds to blink")
    made.add_argument("--output", type=Path, help="write the report to this file as well")
    made.add_argument("--directory", type=Path, help="where syncs are timed, on the disk of the hub")
    return made


async def check(options: argparse.Namespace, root: Path = ROOT) -> str:
    """Return the report of a board."""
    sections: list[Section] = []
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        sections += machine.sections(root, Path(directory))
    board = buses.board_of(root)
    try:
        sections += await buses.sections(board)
    finally:
        await board.close()
    if options.lines:
        numbers = [int(word) for word in options.lines.split(",")]
        is_pi = (root / "sys/firmware/devicetree/base/model").exists()
        sections.append(machine.section("lines", lambda: lines.try_lines(options.chip, numbers, is_pi=is_pi)))
    if options.led:
        sections.append(machine.section("LED", lambda: lines.blink(root / "sys/class/leds" / options.led)))
    return HEADER + "\n" + as_text(sections)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the board, print the report, and return the exit code."""
    options = parser().parse_args(arguments)
    report = asyncio.run(check(options))
    sys.stdout.write(report)
    if options.output:
        options.output.write_text(report, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
