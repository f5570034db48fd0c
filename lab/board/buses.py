"""Looks at every bus and channel as the hub does: what answers, what is read, how long it takes."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from agent.cli.sensors_scan import as_text
from hal.errors import HalError
from hal.linux.board import LinuxBoard
from hal.linux.bus_scan import MachineBuses
from hal.linux.i2c.chip_source import find_i2c_chips
from lab.board.machine import section
from lab.board.report import Section, spread

READS = 3
READ_S_MAX = 10.0
PULSE_S = 0.01
"""How often the loop is looked at while the channels are read: control waits for no bus."""


def now_ms() -> int:
    """Return boot time."""
    return time.monotonic_ns() // 1_000_000


def board_of(root: Path) -> LinuxBoard:
    """Return the board as the hub makes it, without relays."""
    chips = find_i2c_chips(sysfs_root=root / "sys", now_ms=now_ms, dev_root=root / "dev")
    return LinuxBoard(
        sysfs_root=root / "sys",
        proc_root=root / "proc",
        sources=[chips],
        buses=MachineBuses(chips, sysfs_root=root / "sys", dev_root=root / "dev"),
        monotonic_ms=now_ms,
    )


async def sections(board: LinuxBoard) -> Sequence[Section]:
    """Return what answers on the buses, and each channel with its values."""
    began = time.perf_counter()
    found = as_text(await board.scan_buses()).splitlines()
    took_s = time.perf_counter() - began
    await board.search()
    late: list[float] = []
    pulse = asyncio.get_running_loop().create_task(_pulse(late))
    try:
        channels = [line async for line in _channels(board)]
        # So that there is a look where everything was read at once.
        await asyncio.sleep(2 * PULSE_S)
    finally:
        pulse.cancel()
    return [
        Section("buses", [*found, f"scanned in {took_s:.1f} s"]),
        Section("channels", [*channels, *(f"! {each}" for each in board.unsupported_sensors)]),
        section("event loop while the channels were read", lambda: _lateness(late)),
    ]


async def _pulse(late: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(PULSE_S)
        late.append(max(0.0, time.perf_counter() - began - PULSE_S))


def _lateness(late: Sequence[float]) -> Iterator[str]:
    yield f"late by {spread(late)}"


async def _channels(board: LinuxBoard) -> AsyncIterator[str]:
    for reader in board.channels:
        values, taken, problem = [], [], ""
        for _ in range(READS):
            began = time.perf_counter()
            try:
                async with asyncio.timeout(READ_S_MAX):
                    values.append(f"{await reader.read():g}")
            except HalError as error:
                problem = str(error)
            except TimeoutError:
                problem = f"no answer in {READ_S_MAX:g} s"
            taken.append(time.perf_counter() - began)
        channel = reader.channel
        what = f"{', '.join(values)} {channel.unit}" if values else f"! {problem}"
        yield f"{channel.name} ({channel.driver or 'driver not reported'}): {what}; {spread(taken)}"
