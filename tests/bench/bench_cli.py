"""What commands that ask the hub cost: processor time and memory of one process each, from start to exit. Prints JSON.

The hub is a process of its own, with 50 sensors and two zones, on the simulated house; each command is started as on a
hub, with byte code, once by the socket and, for status, also by a configuration that has to be read. Medians of
`--repeats` by turns, so that a busy moment costs each the same. Reach: 0.1 CPU s for each but `doctor`, which checks
what it shows; of that, `doctor --help`.

python tests/bench/bench_cli.py [--repeats N] [--sensors N]
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import service
from bench_daemon import Cloud, write_configuration
from watched_hub import ZONES

COMMANDS = ("version", "status", "sensors", "climate", "doctor --help", "doctor")

START_S_MAX = 60.0

PROBE = """
import atexit, sys
from agent.__main__ import main
def report():
    with open("/proc/self/status") as status:
        print(next(line.split()[1] for line in status if line.startswith("VmHWM")), file=sys.stderr)
atexit.register(report)
main()
"""


async def serve(directory: Path, sensors: int, repeats: int) -> Mapping[str, object]:
    """Run a hub, and the commands beside it."""
    cloud = Cloud()
    runner, base_url = await cloud.start()
    configuration = await write_configuration(directory, base_url, cloud.cloud, sensors, with_port=True)
    configuration.write_text(configuration.read_text() + ZONES)
    program = [sys.executable, "-m", "agent"]
    hub = await asyncio.create_subprocess_exec(
        *program, "run", "--config", str(configuration), env=service.environment()
    )
    socket = directory / "run" / "status.sock"
    try:
        async with asyncio.timeout(START_S_MAX):
            while not socket.exists():  # noqa: ASYNC110 - the hub has no event for another process
                await asyncio.sleep(0.1)
        lines = {
            command: [*program, *command.split(), *(() if command == "version" else ("--socket", str(socket)))]
            for command in COMMANDS
        }
        lines["status --config FILE"] = [*program, "status", "--config", str(configuration)]
        return await asyncio.to_thread(measure, lines, repeats)
    finally:
        hub.terminate()
        await hub.wait()
        await runner.cleanup()


def measure(lines: Mapping[str, list[str]], repeats: int) -> Mapping[str, object]:
    """Return the medians of each command line."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in lines}
    for _ in range(repeats):
        for name, line in lines.items():
            found[name].append(once(line))
    return {
        name: {
            "cpu_ms": round(statistics.median(cpu_ms for cpu_ms, _ in runs)),
            "took_ms": round(statistics.median(took_ms for _, took_ms in runs)),
            "peak_rss_mib": peak_rss_mib(lines[name]),
        }
        for name, runs in found.items()
    }


def once(line: list[str]) -> tuple[float, float]:
    """Run a command; return its processor time and its duration in ms."""
    began_s = time.perf_counter()
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(line[0], line, environment(), file_actions=silent)
    _, _, used = os.wait4(pid, 0)
    return 1000 * (used.ru_utime + used.ru_stime), 1000 * (time.perf_counter() - began_s)


def peak_rss_mib(line: Sequence[str]) -> float:
    """Run a command and return its largest memory: what wait4(2) tells of it is at least that of this process."""
    done = subprocess.run(
        [line[0], "-c", PROBE, *line[3:]], env=environment(), capture_output=True, text=True, check=False
    )
    return round(int(done.stderr.split()[-1]) / 1024, 1)


def environment() -> dict[str, str]:
    """Return the environment of a command. Byte code is there on a hub: the package and each release bring it."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--sensors", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="climahub-bench-") as directory:
        found = asyncio.run(serve(Path(directory), options.sensors, options.repeats))
    print(json.dumps({"load_1min": round(os.getloadavg()[0], 1), "repeats": options.repeats, **found}, indent=2))


if __name__ == "__main__":
    main()
