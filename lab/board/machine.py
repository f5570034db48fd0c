"""Looks at the machine itself: model, kernel, supply, clock, LEDs, GPIO chips, storage. Reads, and writes one file.

Every look returns its lines, and raises nothing: what fails on this board is what the report is for.
"""

import importlib
import importlib.metadata
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from agent import __version__
from agent.foundation import system_info
from agent.foundation.disk import Disk
from agent.machine.storage_writes import read_counter
from hal.linux.led import trigger_in_force
from lab.board.report import Section, spread

SYNCS = 20
PACKAGES = ("gpiod", "smbus2", "msgspec", "aiohttp")
TEXT_BYTES_MAX = 4096


def section(title: str, look: Callable[[], Iterator[str]]) -> Section:
    """Return what a look finds, up to where it fails, and how it fails."""
    lines: list[str] = []
    try:
        for line in look():
            lines.append(line)  # noqa: PERF402 - what comes before a failure is kept
    except Exception as error:  # noqa: BLE001 - how it fails on this board is what the report is for
        lines.append(f"! {type(error).__name__}: {error}")
    return Section(title, lines)


def sections(root: Path, directory: Path) -> Sequence[Section]:
    """Return all looks that need no address and change nothing.

    Args:
        root: `/` of the machine, or of a test.
        directory: Where syncs are timed.
    """
    sys, proc = root / "sys", root / "proc"
    return [
        section("machine", lambda: _machine(root)),
        section("supply and temperature", lambda: _supply(sys)),
        section("clock and watchdog", lambda: _clock(sys)),
        section("LEDs", lambda: _leds(sys)),
        section("GPIO chips", lambda: _gpio_chips(root / "dev")),
        section("storage", lambda: _storage(sys, proc, directory)),
    ]


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(TEXT_BYTES_MAX).decode(errors="replace").strip("\0\n ")
    except OSError:
        return ""


def _machine(root: Path) -> Iterator[str]:
    yield f"model: {_text(root / 'sys/firmware/devicetree/base/model') or 'not reported'}"
    versions = system_info.versions(root / "etc")
    yield f"system: {versions['system'] or 'not reported'}"
    yield f"kernel: {versions['kernel']}, {os.uname().machine}"
    yield f"python: {versions['python']}; climahub: {__version__}"
    for package in PACKAGES:
        try:
            yield f"{package}: {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            yield f"{package}: not installed"
    yield f"boot: {system_info.boot_reason(root / 'proc', root / 'sys')}, up {system_info.uptime_s(root / 'proc')} s"


def _supply(sys: Path) -> Iterator[str]:
    throttling = system_info.throttling(sys)
    if throttling is None:
        yield "throttling: cannot be known on this kernel"
    else:
        now, since_boot = throttling
        yield f"throttling: now {', '.join(now) or 'none'}; since the boot {', '.join(since_boot) or 'none'}"
    for name, celsius in system_info.temperatures(sys)["celsius"].items():
        yield f"{name}: {celsius:.1f} °C"
    for supply in sorted(sys.glob("class/power_supply/*")):
        told = (f"{name} {text}" for name in SUPPLY_FILES if (text := _text(supply / name)))
        yield f"{supply.name}: {', '.join(told)}"


SUPPLY_FILES = ("type", "scope", "online", "status", "capacity", "voltage_now", "current_now", "present")
"""Of a power supply; never its serial number."""


def _clock(sys: Path) -> Iterator[str]:
    for clock in sorted(sys.glob("class/rtc/rtc*")):
        yield f"{clock.name}: {_text(clock / 'name')}, battery {_text(clock / 'battery_voltage') or 'not reported'}"
    for watchdog in sorted(sys.glob("class/watchdog/watchdog*")):
        yield f"{watchdog.name}: {_text(watchdog / 'identity')}, {_text(watchdog / 'state') or 'state not reported'}"


def _leds(sys: Path) -> Iterator[str]:
    for led in sorted(sys.glob("class/leds/*")):
        may_write = os.access(led / "brightness", os.W_OK)
        yield (
            f"{led.name}: trigger {trigger_in_force(_text(led / 'trigger'))}, brightness {_text(led / 'brightness')} of"
            f" {_text(led / 'max_brightness')}, {'may be written' if may_write else 'may not be written by this user'}"
        )


def _gpio_chips(dev: Path) -> Iterator[str]:
    chips = sorted(dev.glob("gpiochip*"))
    if not chips:
        return
    gpiod: Any = importlib.import_module("gpiod")
    for chip in chips:
        try:
            with gpiod.Chip(str(chip)) as opened:
                info = opened.get_info()
                used = [opened.get_line_info(number) for number in range(info.num_lines)]
        except (OSError, ValueError) as error:
            yield f"{chip.name}: ! {error}"
            continue
        yield f"{chip.name}: {info.label}, {info.num_lines} lines"
        yield from (f"{chip.name} line {each.offset}: in use by {each.consumer}" for each in used if each.used)


def _storage(sys: Path, proc: Path, directory: Path) -> Iterator[str]:
    found = system_info.disk(directory, sys)
    free, total = (found[name] // 2**20 for name in ("free_bytes", "total_bytes"))
    yield f"{free} of {total} MiB free; wear: {found['wear'] or 'not reported'}"
    counter = read_counter(directory, "", 0, sys=sys, proc=proc)
    written = f"{counter.written_bytes // 2**20} MiB ({counter.source})" if counter else "not counted"
    yield f"written since the boot: {written}"
    disk, path, taken = Disk(), directory / "board-check.sync", []
    try:
        for number in range(SYNCS):
            began = time.perf_counter()
            disk.write(path, bytes([number]) * 4096)
            taken.append(time.perf_counter() - began)
    finally:
        disk.remove(path)
    yield f"4 KiB written, synced and renamed: {spread(taken)}"
