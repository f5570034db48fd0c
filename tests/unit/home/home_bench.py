"""A home on two zones, without loops: a test moves the clock, the sensors and the control by hand."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.climate.fusion import SensorReading
from agent.climate.service import ClimateService
from agent.climate.settings import ClimateSettings, ZoneSettings
from agent.climate.short_cycle_protection import ShortCycleLimits
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.home.changes import HomeChange
from agent.home.home import Home
from agent.home.humidity import Channel
from agent.telemetry.intake import ChannelState
from hal.interface import HvacDemand, ZoneOutput

NOON_MS = 1_768_392_000_000
"""2026-01-14, 13:00 in Berlin, a Wednesday."""

TIMEZONE = "Europe/Berlin"
LIMITS = ShortCycleLimits(0.0, 0.0, 60)


class Clock:
    def __init__(self) -> None:
        self.boot_id = "boot 1"
        self.now_ms = 10_000_000
        self.utc: int | None = NOON_MS

    def monotonic_ms(self) -> int:
        return self.now_ms

    def utc_ms(self) -> int | None:
        return self.utc

    def advance(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)
        if self.utc is not None:
            self.utc += round(seconds * 1000)


class Outputs:
    zones = (ZoneOutput("living", can_cool=True), ZoneOutput("bath"))

    async def apply(self, demand: HvacDemand) -> None:
        """Nothing."""


class HomeBench:
    """One home over several processes.

    Attributes:
        heard: What the listener was told.
    """

    def __init__(self, directory: Path, *, living_sensor: str = "living") -> None:
        self.living_sensor = living_sensor
        self.directory = directory
        self.clock = Clock()
        self.disk = Disk()
        self.values_c: dict[str, float] = {"living": 19.4, "bath": 22.0}
        self.channels: dict[Channel, ChannelState] = {}
        self.devices: Mapping[str, str] = {}
        self.heard: list[HomeChange] = []
        self._ids = itertools.count(1)
        self.start()

    def start(self) -> None:
        """Begin a process: what is on the disk is in force."""
        self.climate = ClimateService(
            self.directory,
            settings=ClimateSettings(
                zones=(
                    ZoneSettings(zone_id="living", sensors=((self.living_sensor, 1.0),), can_cool=True, limits=LIMITS),
                    ZoneSettings(zone_id="bath", sensors=(("bath", 1.0),), limits=LIMITS),
                )
            ),
            outputs=Outputs(),
            readings=self.readings,
            timezone=lambda: TIMEZONE,
            clock=self.clock,
            disk=self.disk,
            worker=InlineWorker(),
        )
        self.home = Home(
            climate=self.climate,
            channels=self.channels,
            device_names=lambda: self.devices,
            clock=self.clock,
            new_id=lambda: f"h{next(self._ids)}",
        )
        self.step()

    def readings(self) -> Mapping[str, SensorReading]:
        return {name: SensorReading(value, self.clock.now_ms) for name, value in self.values_c.items()}

    def step(self) -> None:
        """Have the control decide, and the changes compared, as their loops do."""
        self.climate.control.step(self.climate.now(), self.readings(), ZoneInfo(TIMEZONE))
        self.home.changes.look()

    def advance(self, seconds: float) -> None:
        """Let time pass, then decide."""
        self.clock.advance(seconds)
        self.step()

    def listen(self) -> None:
        self.home.changes.on_change(self.heard.append)

    def take_heard(self) -> list[tuple[str, str, object, object, str]]:
        """Return what was told since the last call: kind, device, old, new, by."""
        heard = [(each.kind.value, each.device_id, each.old, each.new, each.by) for each in self.heard]
        self.heard.clear()
        return heard
