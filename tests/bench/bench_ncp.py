"""The emulated stick and the real zigpy on it: connect, form, restart, join, reports a second, host CPU a report.

The stick runs in a process of its own, so that the host's CPU time is the host's alone. Prints one JSON object.
"""

import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bellows.ezsp
from bellows.zigbee.application import ControllerApplication

from lab.ncp.ezsp import VERSIONS

SENSORS = 10
REPORTS = 3000
WINDOW = 100
"""Reports under way; the stick keeps no more than 250 for a host."""
JOINS_PATIENCE_S = 30
FILES = (("--pty", "port"), ("--devices", "house.toml"), ("--control", "orders"))
STICK = "from lab.cli.ncp import ncp; ncp()"


class Joined:
    """Counts the sensors that zigpy has interviewed."""

    def __init__(self) -> None:
        self.devices: asyncio.Queue[Any] = asyncio.Queue()

    def device_initialized(self, device: Any) -> None:  # noqa: ANN401 - zigpy has no types
        if device.nwk != 0:
            self.devices.put_nowait(device)


def house() -> str:
    return "".join(f'[[device]]\nname = "s{number}"\nmodel = "climate"\nlatency_s = 0\n' for number in range(SENSORS))


async def order(path: Path, lines: list[str]) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    for line in lines:
        writer.write(line.encode() + b"\n")
        await reader.readline()
    writer.close()


def config(directory: Path) -> dict[str, Any]:
    return {
        "database_path": str(directory / "zigbee.db"),
        "device": {"path": str(directory / "port")},
        "topology_scan_enabled": False,
        "backup_enabled": False,
        "ota": {"enabled": False},
    }


async def connected_s(directory: Path) -> float:
    stick = bellows.ezsp.EZSP(ControllerApplication.SCHEMA(config(directory))["device"])
    begun_s = time.perf_counter()
    await stick.connect(use_thread=False)
    taken_s = time.perf_counter() - begun_s
    await stick.disconnect()
    return taken_s


async def started(directory: Path) -> tuple[ControllerApplication, float]:
    begun_s = time.perf_counter()
    app = await ControllerApplication.new(config(directory), auto_form=True)
    return app, time.perf_counter() - begun_s


async def measure(directory: Path) -> dict[str, float]:
    connect_s = statistics.median([await connected_s(directory) for _ in range(5)])
    app, form_s = await started(directory)
    await app.shutdown()
    app, restart_s = await started(directory)
    joined = Joined()
    app.add_listener(joined)
    await app.permit(254)
    joins_s = []
    devices = []
    async with asyncio.timeout(JOINS_PATIENCE_S):
        for number in range(SENSORS):
            begun_s = time.perf_counter()
            await order(directory / "orders", [f"press s{number}"])
            devices.append(await joined.devices.get())
            joins_s.append(time.perf_counter() - begun_s)
    received = 0
    all_received = asyncio.Event()

    def heard(event: object) -> None:
        nonlocal received
        received += 1
        if received % (WINDOW // 2) == 0:
            send(WINDOW // 2)
        if received == REPORTS:
            all_received.set()

    for device in devices:
        cluster = device.endpoints[1].temperature
        await cluster.bind()
        await cluster.configure_reporting("measured_value", 0, 3600, 1)
        cluster.on_event("attribute_report", heard)
    lines = [f"set s{count % SENSORS} temperature_c={10 + count // SENSORS * 0.01:.2f}" for count in range(REPORTS)]
    lines = [line.replace("=10.00", "=35.00") for line in lines]
    waiting = iter(lines)
    _, orders = await asyncio.open_unix_connection(directory / "orders")

    def send(count: int) -> None:
        orders.write("".join(f"{line}\n" for line in itertools.islice(waiting, count)).encode())

    begun_s, cpu_s = time.perf_counter(), time.process_time()
    send(WINDOW)
    await all_received.wait()
    wall_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - cpu_s
    orders.close()
    await app.shutdown()
    return {
        "connect_ms": round(connect_s * 1e3, 1),
        "form_and_start_ms": round(form_s * 1e3, 1),
        "restart_ms": round(restart_s * 1e3, 1),
        "join_to_initialised_ms": round(statistics.median(joins_s) * 1e3, 1),
        "reports_per_s": round(REPORTS / wall_s),
        "host_cpu_ms_per_report": round(cpu_s / REPORTS * 1e3, 2),
    }


def main() -> None:
    results = {}
    for version in VERSIONS:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            (directory / "house.toml").write_text(house())
            paths = [f"{option}={directory / file}" for option, file in FILES]
            command = [sys.executable, "-c", STICK, *paths, f"--version={version}"]
            stick = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            assert stick.stdout is not None
            try:
                stick.stdout.readline()
                stick.stdout.readline()
                results[f"v{version}"] = asyncio.run(measure(directory))
            finally:
                stick.terminate()
                stick.wait()
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
