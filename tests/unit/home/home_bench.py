"""A home on two zones, without loops: a test moves the clock, the sensors and the control by hand."""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import msgspec

from agent.climate.fusion import SensorReading
from agent.climate.service import ClimateService
from agent.climate.settings import ClimateSettings, ZoneSettings
from agent.climate.short_cycle_protection import ShortCycleLimits
from agent.foundation.clock import Clock as FoundationClock
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.home.changes import HomeChange
from agent.home.home import Home
from agent.home.humidity import Channel
from agent.home.parts import HomeParts
from agent.pairing.lifecycle import PairingRecord, PairingStage, PairingState
from agent.pairing.service import PairingQueries
from agent.telemetry.intake import ChannelState
from hal.interface import HUB, HvacDemand, Quality, Reading, SensorKind, ZoneOutput
from hal.radio import SensorLink

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


class Pairing:
    """Sensors of a radio, as a test wants them."""

    def __init__(self) -> None:
        self.state = PairingState()
        self.links: list[SensorLink] = []
        self.network_names: Mapping[str, str] = {}
        self.problem = ""

    @property
    def radio(self) -> "Pairing":
        return self

    @property
    def queries(self) -> PairingQueries:
        return cast("PairingQueries", self)

    def pair(self, device: str, name: str = "", *, is_online: bool | None = True, **changes: object) -> None:
        record = PairingRecord(device, PairingStage.RELAYING, name=name)
        self.state = PairingState({**self.state.sensors, device: msgspec.structs.replace(record, **changes)})
        self.links = [link for link in self.links if link.device != device]
        self.links.append(SensorLink(device, "ACME", "TH-1", is_online, lqi_last_hop=200))

    def devices_by_name(self) -> Mapping[str, str]:
        return {record.name: record.device for record in self.state.sensors.values()}

    def problem_of(self, _: PairingRecord) -> str:
        return self.problem


def make_home(
    climate: ClimateService,
    clock: FoundationClock,
    directory: Path,
    *,
    disk: Disk | None = None,
    channels: Mapping[Channel, ChannelState] | None = None,
    pairing: Pairing | None = None,
    new_id: Callable[[], str] | None = None,
    names_follow_spaces: bool = False,
) -> Home:
    """Return a home over a climate control."""
    ids = itertools.count(1)
    parts = HomeParts(
        climate=climate,
        channels={} if channels is None else channels,
        pairing=(pairing or Pairing()).queries,
        board_name="sim",
        directory=directory,
        clock=clock,
        disk=disk or Disk(),
        worker=InlineWorker(),
        new_id=new_id or (lambda: f"h{next(ids)}"),
        names_follow_spaces=names_follow_spaces,
    )
    return Home(parts)


class HomeBench:
    """One home over several processes.

    Attributes:
        heard: What the listener was told.
    """

    def __init__(self, directory: Path, *, living_sensor: str = "living") -> None:
        self.living_sensor = living_sensor
        self.directory = directory
        self.zone_ids: tuple[str, ...] = ("living", "bath")
        self.clock = Clock()
        self.disk = Disk()
        self.values_c: dict[str, float] = {"living": 19.4, "bath": 22.0}
        self.channels: dict[Channel, ChannelState] = {}
        self.pairing = Pairing()
        self.heard: list[HomeChange] = []
        self._ids = itertools.count(1)
        self.start()

    def start(self) -> None:
        """Begin a process: what is on the disk is in force."""
        living = ZoneSettings(zone_id="living", sensors=((self.living_sensor, 1.0),), can_cool=True, limits=LIMITS)
        bath = ZoneSettings(zone_id="bath", sensors=(("bath", 1.0),), limits=LIMITS)
        self.climate = ClimateService(
            self.directory,
            settings=ClimateSettings(zones=tuple(each for each in (living, bath) if each.zone_id in self.zone_ids)),
            outputs=Outputs(),
            readings=self.readings,
            timezone=lambda: TIMEZONE,
            clock=self.clock,
            disk=self.disk,
            worker=InlineWorker(),
        )
        self.home = make_home(
            self.climate,
            self.clock,
            self.directory,
            disk=self.disk,
            channels=self.channels,
            pairing=self.pairing,
            new_id=lambda: f"h{next(self._ids)}",
        )
        self.step()

    def readings(self) -> Mapping[str, SensorReading]:
        return {name: SensorReading(value, self.clock.now_ms) for name, value in self.values_c.items()}

    def step(self) -> None:
        """Have the control decide, and the changes compared, as their loops do."""
        self.climate.control.step(self.climate.now(), self.readings(), ZoneInfo(TIMEZONE))
        self.home.changes.look()
        self.home.changes.look_for_devices()

    def advance(self, seconds: float) -> None:
        """Let time pass, then decide."""
        self.clock.advance(seconds)
        self.step()

    def report(
        self, kind: SensorKind, value: float, device: str = HUB, sensor: str = "t", quality: Quality = Quality.GOOD
    ) -> None:
        """Have a sensor report a value."""
        reading = Reading(device, sensor, kind, value, self.clock.now_ms, quality)
        self.channels[device, sensor, kind] = ChannelState(latest=reading)

    def listen(self) -> None:
        self.home.changes.on_change(self.heard.append)

    def take_heard(self) -> list[tuple[str, str, object, object, str]]:
        """Return what was told since the last call: kind, device, old, new, by."""
        heard = [(each.kind.value, each.device_id, each.old, each.new, each.by) for each in self.heard]
        self.heard.clear()
        return heard
