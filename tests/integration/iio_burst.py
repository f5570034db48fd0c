"""Reads a burst of an accelerometer as the hub does, from the /sys of a umockdev test bed; run by umockdev-run.

Prints the names of the axes and the RMS in g. The chip is shaken along x by rewriting its raw value between two reads:
from its resting value to an amplitude above it, and back.
"""

import asyncio
import itertools
import json
import sys
from pathlib import Path

from agent.maintenance.accelerometers import axes_of, read_burst, rms_g
from hal.linux.board import LinuxBoard

RAW_X = Path("/sys/bus/iio/devices/iio:device0/in_accel_x_raw")


async def main(name: str, amplitude: int) -> None:
    board = LinuxBoard(proc_root=Path("/nowhere"))
    await board.search()
    axes, resting = axes_of(board.channels, name), int(await asyncio.to_thread(RAW_X.read_text))
    shifts = itertools.cycle((amplitude, 0))

    async def shake() -> None:
        await asyncio.to_thread(RAW_X.write_text, f"{resting + next(shifts)}\n")

    rms = rms_g(await read_burst(axes, shake))
    print(json.dumps([[each.channel.name for each in axes], rms]))  # noqa: T201 - the answer
    await board.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
