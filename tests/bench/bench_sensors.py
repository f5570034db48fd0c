"""What the hub's own sensors cost: 50 channels that are read each minute and searched for each 45 s. Prints JSON.

A made-up sysfs of 10 1-Wire thermometers, 10 SHT3x (hwmon) and 10 BME280 (IIO): 60 channels, of which 50 are read and
the rest disabled. Reading and searching run as in the hub (`LinuxBoard`, `Sampler`, plausibility checks), without
the pauses; a file of a made-up tree costs what one of sysfs costs without its bus. Memory is the difference of two
processes, one with a machine without sensors. Reach: at most +2 MiB and +0.5 s of CPU an
hour, and the event loop, which controls, late by less than 100 ms while buses hang.

python tests/bench/bench_sensors.py
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from agent.environment import check_for
from agent.foundation.clock import SystemClock
from agent.telemetry.intake import Intake
from agent.telemetry.sampling import Sampler, SamplingSchedule
from hal.interface import SensorKind
from hal.linux.board import RESCAN_S, LinuxBoard

CHANNELS = 50
CHIPS_OF_A_SORT = 10
ROUNDS = 60
"""Of reading: an hour at 60 s."""

HOUR_S = 3600.0
STEP_S = 0.01


class Registered:
    """Identities without any relayed sensor."""

    registered_devices: tuple[str, ...] = ()

    def is_registered(self, device: str) -> bool:
        return not device

    def is_relayed(self, device: str) -> bool:
        return not device

    def record_acceptance(self, devices: Iterable[str]) -> None:
        """Nothing is sent."""

    def sensor_id(self, device: str) -> str | None:
        return device


def write(directory: Path, **attributes: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in attributes.items():
        (directory / name).write_text(f"{text}\n")
    return directory


def device(sysfs: Path, path: str, bus: str) -> Path:
    directory = sysfs / "devices" / path
    directory.mkdir(parents=True)
    (sysfs / "bus" / bus / "devices").mkdir(parents=True, exist_ok=True)
    (directory / "subsystem").symlink_to(sysfs / "bus" / bus)
    return directory


def make_machine(sysfs: Path) -> None:
    for number in range(CHIPS_OF_A_SORT):
        address = f"28-0000000000{number:02x}"
        slave = write(device(sysfs, f"w1_bus_master1/{address}", "w1"), temperature="21000", features="3")
        (sysfs / "bus" / "w1" / "devices" / address).symlink_to(slave)
        chip = device(sysfs, f"platform/soc/i2c-{number}/{number}-0044", "i2c")
        hwmon = write(chip / f"hwmon/hwmon{number}", name="sht3x", temp1_input="21340", humidity1_input="47210")
        (hwmon / "device").symlink_to(chip)
        (sysfs / "class" / "hwmon").mkdir(parents=True, exist_ok=True)
        (sysfs / "class" / "hwmon" / hwmon.name).symlink_to(hwmon)
        chip = device(sysfs, f"platform/soc/i2c-{number}/{number}-0076", "i2c")
        values = {"in_temp_input": "20940", "in_humidityrelative_input": "42402", "in_pressure_input": "100.234"}
        iio = write(chip / f"iio:device{number}", name="bme280", **values)
        (sysfs / "bus" / "iio" / "devices").mkdir(parents=True, exist_ok=True)
        (sysfs / "bus" / "iio" / "devices" / iio.name).symlink_to(iio)


async def measure(sysfs: Path) -> dict[str, float]:
    clock = SystemClock()
    board = LinuxBoard(sysfs_root=sysfs, proc_root=sysfs / "proc", monotonic_ms=clock.monotonic_ms)
    intake = Intake(
        commit_interval_s=1e9,
        readings_max=10_000,
        identities=Registered(),
        on_committed=lambda _: None,
        on_all_durable=lambda: None,
        now_ms=clock.monotonic_ms,
    )
    sensors = [(sensor, check_for(sensor)) for sensor in board.sensors[:CHANNELS]]
    first = {sensor.kind: sensor.name for sensor, _ in reversed(sensors)}
    sampler = Sampler(
        sensors,
        primary={kind: first[kind] for kind in SensorKind if kind in first},
        intake=intake,
        clock=clock,
        schedule=lambda: SamplingSchedule(60, None),
        phase=0.0,
    )

    async def read_all() -> None:
        async with asyncio.TaskGroup() as background:
            sampler.sample(background)

    await read_all()
    began_s = time.process_time()
    for _ in range(ROUNDS):
        await read_all()
    read_s = time.process_time() - began_s
    began_s = time.process_time()
    for _ in range(ROUNDS):
        await board.search()
    search_s = (time.process_time() - began_s) / ROUNDS
    late_ms = await lateness_ms(read_all, files_to_hang(sysfs))
    await board.close()
    return {
        "channels": len(sensors),
        "late_ms_max_while_buses_hang": late_ms,
        "read_us": round(read_s / ROUNDS / max(1, len(sensors)) * 1e6),
        "search_ms": round(search_s * 1000, 2),
        "read_cpu_s_an_hour": round(read_s / ROUNDS * HOUR_S / 60, 3),
        "search_cpu_s_an_hour": round(search_s * HOUR_S / RESCAN_S, 3),
        "rss_kib": rss_kib(),
    }


def files_to_hang(sysfs: Path) -> list[Path]:
    return [*sysfs.glob("devices/platform/soc/i2c-[0-2]/*/iio*/in_temp_input")]


async def lateness_ms(read_all: Callable[[], Awaitable[None]], pipes: list[Path]) -> float:
    """Return how late the event loop is at most while three buses hang: their files are pipes that nobody writes."""
    for pipe in pipes:
        pipe.unlink()
        os.mkfifo(pipe)
    reading, late_s = asyncio.ensure_future(read_all()), 0.0
    while not reading.done():
        began_s = time.perf_counter()
        await asyncio.sleep(STEP_S)
        late_s = max(late_s, time.perf_counter() - began_s - STEP_S)
    for pipe in pipes:
        os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))
    return round(late_s * 1000, 1)


def rss_kib() -> int:
    """Return what is resident of this process now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sysfs", type=Path, help="measure in this process, on this tree")
    sysfs = parser.parse_args().sysfs
    if sysfs is not None:
        print(json.dumps(asyncio.run(measure(sysfs))))
        return
    with tempfile.TemporaryDirectory() as directory:
        full, empty = Path(directory) / "full", Path(directory) / "empty"
        make_machine(full)
        empty.mkdir()
        results = {
            name: json.loads(subprocess.check_output([sys.executable, __file__, "--sysfs", str(tree)]))
            for name, tree in (("full", full), ("empty", empty))
        }
    found, none = results["full"], results["empty"]
    found["memory_kib"] = found.pop("rss_kib") - none["rss_kib"]
    found["cpu_s_an_hour"] = round(
        sum(found[part] - none[part] for part in ("read_cpu_s_an_hour", "search_cpu_s_an_hour")), 3
    )
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
