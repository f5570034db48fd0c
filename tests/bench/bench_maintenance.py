"""Predictive maintenance in the daemon: memory, and processor time a minute, with eight zones over some weeks.

python tests/bench/bench_maintenance.py [--days 30]

The goal is at most 3 MiB and 0.2 CPU s a minute. What the daemon has without it, such as the worker and the JSON of
its state, is imported before and not counted.
"""

import argparse
import importlib
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker

MODULES = tuple(
    f"agent.maintenance.{name}"
    for name in ("calibration", "alert_service", "service", "pipe_readings", "pipe_calibration")
)
ZONES = 8
START_UTC_MS = 1_767_225_600_000
MIB = 1024 * 1024


class Minutes:
    """A clock of whole minutes."""

    boot_id = "bench"

    def __init__(self) -> None:
        self.minute = 0

    def monotonic_ms(self) -> int:
        return self.minute * 60_000

    def utc_ms(self) -> int | None:
        return START_UTC_MS + self.monotonic_ms()


def import_the_rest() -> None:
    """Import what the modules import beside themselves."""
    script = "import sys; [__import__(name) for name in sys.argv[1:]]; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", script, *MODULES], check=True, capture_output=True, text=True)
    for name in shown.stdout.split():
        if name not in sys.modules and not name.startswith("agent.maintenance"):
            importlib.import_module(name)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it, and print what it takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=30, metavar="N", help="[default: %(default)s]")
    days = parser.parse_args(arguments).days
    import_the_rest()
    tracemalloc.start()
    calibration, alert_service, service, pipe_readings, pipe_calibration = map(importlib.import_module, MODULES)
    clock = Minutes()

    def evidence() -> list[object]:
        is_on = clock.minute % 30 < 20
        pair = pipe_readings.PipePair(50.0, 41.0, ("supply", "return"))
        return [
            service.ZoneEvidence(
                f"zone-{number}", {"own": ""}, 20.0, 5.0 + clock.minute // 1440 % 5, float(is_on), pair=pair
            )
            for number in range(ZONES)
        ]

    with tempfile.TemporaryDirectory() as directory:
        shared = {"clock": clock, "disk": Disk(), "worker": InlineWorker()}
        alerts = alert_service.MaintenanceAlerts(
            Path(directory),
            new_id=lambda: "1",
            add_fault=lambda _: None,
            remove_fault=lambda _: None,
            **shared,
        )
        maintenance = service.MaintenanceService(
            Path(directory),
            evidence=evidence,
            models=calibration.MODELS,
            pipe_models=pipe_calibration.PIPE_MODELS,
            alerts=alerts,
            **shared,
        )
        kept, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        samples = []
        for clock.minute in range(days * 1440):
            begun = time.process_time()
            maintenance.sample()
            samples.append(time.process_time() - begun)
        begun = time.process_time()
        maintenance.findings()
        asked = time.process_time() - begun
        tracemalloc.start()
        for clock.minute in range(days * 1440, (days + 2) * 1440):
            maintenance.sample()
        running = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    sys.stdout.write(
        f"{ZONES} zones, {days} days: {sum(samples) / len(samples) * 1000:.2f} ms of CPU a minute, the longest"
        f" {max(samples) * 1000:.1f} ms; {asked * 1000:.1f} ms to be asked for the findings;"
        f" code and models {max(kept, most) / MIB:.2f} MiB, state {running / MIB:.2f} MiB at most\n"
    )


if __name__ == "__main__":
    main()
