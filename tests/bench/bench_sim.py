"""Measures what the simulated house costs: a grid step, a read, a report, and a day of many series. Prints JSON."""

import argparse
import asyncio
import json
from collections.abc import Coroutine
from time import perf_counter, process_time
from typing import Any

import async_solipsism

from hal.interface import SensorKind
from hal.plausibility import PlausibilityCheck
from hal.sim import SimBoard, SimEnvironment, SimOptions

START_UTC_MS = 1_768_000_000_000
DAY_MS = 86_400_000


def in_virtual_time(main: Coroutine[Any, Any, dict[str, float]]) -> dict[str, float]:
    """Run `main` on a virtual loop."""
    loop = async_solipsism.EventLoop()
    try:
        result: dict[str, float] = loop.run_until_complete(main)
    finally:
        loop.close()
    return result


def measure_build() -> dict[str, float]:
    started_s = perf_counter()
    SimEnvironment(SimOptions(seed=1, start_utc_ms=START_UTC_MS, sensors_count=50))
    return {"build_ms": (perf_counter() - started_s) * 1e3}


def measure_step(days: int) -> dict[str, float]:
    world = SimEnvironment(SimOptions(seed=1, start_utc_ms=START_UTC_MS, sensors_count=50))
    started_s = process_time()
    world.house.advance_to(days * DAY_MS)
    return {"grid_step_us": (process_time() - started_s) / (days * 1440) * 1e6}


def measure_judge(count: int) -> dict[str, float]:
    judge = PlausibilityCheck(SensorKind.TEMPERATURE).check
    started_s = process_time()
    for i in range(count):
        judge(20.0 + i % 7 / 10, i * 60_000)
    return {"judge_us": (process_time() - started_s) / count * 1e6}


async def measure_board(hours: int, series: int) -> dict[str, float]:
    """Read the hub's sensors every minute and receive all reports; count only the time inside the board."""
    loop = asyncio.get_running_loop()
    options = SimOptions(seed=1, start_utc_ms=START_UTC_MS, sensors_count=series)
    board = SimBoard(SimEnvironment(options), monotonic_ms=lambda: round(loop.time() * 1000))
    network = board.network
    spent = {"house": 0.0, "read": 0.0, "receive": 0.0}
    counts = {"read": 0, "reports": 0, "readings": 0}
    end_s = loop.time() + hours * 3600

    async def sample() -> None:
        while loop.time() < end_s:
            started_s = process_time()
            board.environment.advance_to(round(loop.time() * 1000))
            advanced_s = process_time()
            for sensor in board.sensors:
                await sensor.read()
            spent["house"] += advanced_s - started_s
            spent["read"] += process_time() - advanced_s
            counts["read"] += len(board.sensors)
            await asyncio.sleep(60)

    async def relay() -> None:
        while network is not None and loop.time() < end_s:
            world = board.environment
            due_s = (world.radio.due_ms - world.radio.sim_offset_ms) / 1000 if world.radio else 0.0
            # The wait is the loop's cost, not the board's.
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            started_s = process_time()
            readings = await network.receive()
            spent["receive"] += process_time() - started_s
            counts["reports"] += len({reading.device for reading in readings})
            counts["readings"] += len(readings)

    async with asyncio.TaskGroup() as group:
        group.create_task(sample())
        group.create_task(relay())
    return {
        "series": float(series),
        "virtual_hours": float(hours),
        "readings": float(counts["read"] + counts["readings"]),
        "cpu_s": sum(spent.values()),
        "read_us": spent["read"] / counts["read"] * 1e6,
        "receive_us_per_report": spent["receive"] / max(1, counts["reports"]) * 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=20)
    parser.add_argument("--series", type=int, default=50)
    arguments = parser.parse_args()
    result = measure_build() | measure_step(days=5) | measure_judge(200_000)
    print(json.dumps(result | in_virtual_time(measure_board(arguments.hours, arguments.series)), indent=2))


if __name__ == "__main__":
    main()
