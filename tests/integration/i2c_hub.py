"""The hub's board on the /dev/i2c-1 of a umockdev test bed, with unmodified smbus2: run with umockdev preloaded.

Answers each line of JSON with one: `{"search": true}` the names of the channels, `{"read": [names]}` their values or
why there is none. Chips that measure are not waited for, and time passes with each order, so that nothing is read from
a cache.
"""

import asyncio
import json
import sys
from pathlib import Path

from hal.channels import ChannelReader
from hal.errors import HalError
from hal.linux.board import LinuxBoard
from hal.linux.i2c.bus import SmbusPort
from hal.linux.i2c.chip_source import I2cChips


async def outcome(reader: ChannelReader) -> list[object]:
    try:
        return [await reader.read(), ""]
    except HalError as error:
        return [None, str(error)]


async def main() -> None:
    passed_ms = 0
    source = I2cChips(
        sysfs_root=Path("/sys"),
        open_port=lambda name: SmbusPort(Path("/dev") / name),
        now_ms=lambda: passed_ms,
        sleep=lambda _: None,
    )
    board = LinuxBoard(proc_root=Path("/nowhere"), sources=[source])
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        passed_ms += 120_000
        readers = {reader.channel.name: reader for reader in board.channels}
        answer: object = None
        if "search" in order:
            await board.search()
            answer = [reader.channel.name for reader in board.channels]
        if "read" in order:
            answer = [await outcome(readers[name]) for name in order["read"]]
        print(json.dumps(answer), flush=True)  # noqa: T201 - the answer
    await board.close()


asyncio.run(main())
