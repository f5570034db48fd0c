"""What a day of the hub costs its SD card: bytes that reach the device, with 50 sensors at 60 s. JSON; needs root.

A whole simulated hub works in virtual time on a private, loop-mounted ext4 with 4 KiB blocks, and its syncs are real.
What the kernel would do by its own timers is done at the virtual instants: the journal is committed each `commit=`
seconds of the mount, and what lies mapped in memory is written after 30 s (`vm.dirty_expire_centisecs`). Counted are
the sectors of the device, journal included, in MB (10^6 bytes) a day: "fresh" is the first hour after the start, from
its tenth minute on, when all sensors are registered, times 24; the last two thirds are "settled". What the minutes
before cost, once, is "start". `run_dir` is a tmpfs as on a hub.

Mounts: "default" is what an image of Raspberry Pi OS has, "tuned" is `noatime,commit=120` (docs/install.md). Reach:
160 and 45 MB a day, from the first hour.

python tests/bench/bench_card.py [--hours N] [--only NAME ...]
"""

import argparse
import asyncio
import contextlib
import ctypes
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, pairwise
from pathlib import Path
from unittest import mock

from agent.app import Hub
from lab.simulation import run as simulation_run
from lab.simulation.machine import PowerCut
from lab.simulation.options import HEATED, Options
from lab.simulation.virtual_loop import VirtualLoop

SECTOR_BYTES = 512
IMAGE_BYTES = 256 * 1024 * 1024
START_S = 600.0
FLUSH_S = 30.0
_WRITE_ALL = 7
"""SYNC_FILE_RANGE_WAIT_BEFORE, WRITE and WAIT_AFTER (sync_file_range(2))."""
MEMORY = Path("/dev/shm")

MOUNTS = {"default": ("relatime", 5.0), "tuned": ("noatime,commit=120", 120.0)}
WORK = {
    "outbox alone": '[port]\nhistory = "off"\n',
    "with climate and history": f"{HEATED}",
}


class Card:
    """A private ext4 whose timers are driven from outside."""

    def __init__(self, mount: Path, device: Path, commit_s: float) -> None:
        self.mount = mount
        self._device = device
        self._commit_s = commit_s

    def written_bytes(self) -> int:
        """Return the bytes written to the device so far (Documentation/block/stat.rst, field 7)."""
        return int((self._device / "stat").read_text().split()[6]) * SECTOR_BYTES

    def drive(self, call_later: Callable[..., object], state_dir: Path) -> None:
        """Do what the kernel's timers would, from now on."""

        def commit() -> None:
            # A sync of a file whose metadata has changed commits the journal with all that waits in it.
            _sync(state_dir.glob("*-wal"), os.fsync)
            call_later(self._commit_s, commit)

        def flush() -> None:
            _sync(chain(state_dir.glob("*.tally"), state_dir.glob("*-shm")), _write_back)
            call_later(FLUSH_S, flush)

        call_later(self._commit_s, commit)
        call_later(FLUSH_S, flush)


def _sync(paths: Iterator[Path], sync: Callable[[int], None]) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            sync(descriptor)
        finally:
            os.close(descriptor)


def _write_back(descriptor: int) -> None:
    """Write what lies dirty in memory, as the kernel does by itself: without a commit of the journal."""
    if ctypes.CDLL(None, use_errno=True).sync_file_range(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), _WRITE_ALL):
        raise OSError(ctypes.get_errno(), "sync_file_range")


@contextmanager
def private_card(directory: Path, options: str, commit_s: float) -> Iterator[Card]:
    """Mount an ext4 of its own."""
    image, mount = directory / "card.img", directory / "card"
    image.touch()
    os.truncate(image, IMAGE_BYTES)
    mount.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0", image], check=True)
    made = subprocess.run(["losetup", "-f", "--show", image], check=True, capture_output=True, text=True)
    loop = made.stdout.strip()
    try:
        subprocess.run(["mount", "-o", options, loop, mount], check=True)
        try:
            yield Card(mount, Path("/sys/block") / Path(loop).name, commit_s)
        finally:
            subprocess.run(["umount", mount], check=True)
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)
        image.unlink()
        mount.rmdir()


async def _record(hub: Hub) -> None:
    with contextlib.suppress(PowerCut):
        await hub.assembly.history.run()


def megabytes_a_day(card: Card, hours: int, text: str, *, with_history: bool) -> dict[str, float]:
    """Run a hub for so long and return what reaches the card."""
    start: list[int] = []
    hourly: list[int] = []

    class OnCard(simulation_run.Simulation):
        """A simulation whose state directory lies on the card; its run directory lies in memory."""

        def __init__(
            self, options: Options, scratch: Path, loop: VirtualLoop, *, on_violation: Callable[[str], None]
        ) -> None:
            super().__init__(options, scratch, loop, on_violation=on_violation)
            self.machine.state_dir = card.mount / "state"
            self.machine.state_dir.mkdir()

        async def run(self) -> None:
            """Run, and note what each hour costs."""
            recording: list[asyncio.Task[None]] = []

            def start_history() -> None:
                # A simulated hub serves nobody, and the loops that serve people record the history.
                if self._lifecycle.hub is not None:
                    recording.append(self._loop.create_task(_record(self._lifecycle.hub)))

            def note() -> None:
                hourly.append(card.written_bytes())
                self._loop.call_later(3600.0, note)

            card.drive(self._loop.call_later, self.machine.state_dir)
            began = card.written_bytes()
            self._loop.call_later(START_S, lambda: start.append(card.written_bytes() - began))
            self._loop.call_later(START_S, note)
            if with_history:
                self._loop.call_later(1.0, start_history)
            await super().run()
            for task in recording:
                task.cancel()

    options = Options(
        days=(hours * 3600.0 + START_S) / 86_400,
        sensors=50,
        faults="none",
        releases=False,
        calm_s=60.0,
        config_text=text,
    )
    with mock.patch.object(simulation_run, "Simulation", OnCard):
        verdict = simulation_run.simulate(options)
    if verdict.violations:
        raise SystemExit(f"not measured: {verdict.violations}")
    spent = [later - earlier for earlier, later in pairwise(hourly)]
    settled = spent[len(spent) // 3 :]
    return {
        "fresh": round(24 * spent[0] / 1e6, 1),
        "settled": round(24 * sum(settled) / len(settled) / 1e6, 1),
        "start, once": round(start[0] / 1e6, 1),
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--only", nargs="+", choices=[*MOUNTS], default=[*MOUNTS])
    arguments = parser.parse_args()
    results: dict[str, object] = {}
    for name in arguments.only:
        options, commit_s = MOUNTS[name]
        for work, text in WORK.items():
            memory = MEMORY if MEMORY.is_dir() else None
            try:
                with (
                    tempfile.TemporaryDirectory(prefix="climahub-bench-", dir=memory) as directory,
                    private_card(Path(directory), options, commit_s) as card,
                ):
                    results[f"{name}, {work}: MB a day"] = megabytes_a_day(
                        card, arguments.hours, text, with_history="history" in work
                    )
            except (OSError, subprocess.CalledProcessError) as error:
                results[f"{name}, {work}: MB a day"] = f"not measured: {error}"
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
