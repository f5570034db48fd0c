"""Accelerometers of the hub's own, on the machines of zones: how strongly a machine vibrates while its zone runs.

Reads bursts of single values (the kernel's Documentation/ABI/testing/sysfs-bus-iio), some 10 to 100 of each axis a
second. That is too slow for the frequencies of a motor, so nothing is known of them: no velocity and no part. The RMS
of values at uneven moments is that of the vibration at whatever frequency, and a trend of it is all that is made of it.

Must never act on the equipment. What it learns is kept by `agent.maintenance.machine_watch`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from math import sqrt

import msgspec

from agent.foundation.clock import Clock
from agent.foundation.median import median
from agent.maintenance.machine_readings import G_MM_S2, VibrationPost, ZoneState
from agent.maintenance.machine_watch import ACCELEROMETER_NAME, MachineWatch
from hal.channels import ChannelReader, Quantity
from hal.errors import HalError

SAMPLES = 100
PAUSE_S = (0.005, 0.025)
"""A burst takes two to five seconds. Its pauses are uneven: even ones would see a frequency that is a multiple of
theirs as standing still."""

LOOK_S = 60.0
BURST_S = 600.0
"""One in ten minutes: a day of heating has its readings, and the bus is free."""

RUNS_S = 300.0
RESTS_S = 600.0
"""A machine runs steadily so long after its output went on; fans and pumps run on for some minutes after it."""

REST_BURSTS = 5
CLEAR_FACTOR = 1.5
"""What shakes less than this many times as much as at rest is no machine: road, washing machine, noise of the chip."""

BURST_S_MAX = 30.0
"""A bus that takes longer is in trouble, or busy."""

MODE_REST = 0

SILENT = (
    "check the zone's accelerometer, and its name in climate.zones against `climahub status`:"
    " it does not answer, so the machine is not watched"
)

Sample = tuple[float, ...]
"""The acceleration along each axis, in m/s²."""


class Mounted(msgspec.Struct, frozen=True):
    """What is known of one accelerometer since the hub was started.

    Attributes:
        mode: What its zone does; see `ZoneState.mode`.
        since_ms: Since when.
        burst_ms: When it was read last; `None` for never.
        rests_g: The last bursts at rest.
    """

    mode: int = MODE_REST
    since_ms: int = 0
    burst_ms: int | None = None
    rests_g: tuple[float, ...] = ()

    def with_mode(self, mode: int, now_ms: int) -> "Mounted":
        """Return what is known once its zone is seen to do something."""
        return self if mode == self.mode else msgspec.structs.replace(self, mode=mode, since_ms=now_ms)

    def is_due(self, now_ms: int) -> bool:
        """Return whether it is to be read now: its machine runs, or rests, for long enough."""
        steady_s = RESTS_S if self.mode == MODE_REST else RUNS_S
        is_steady = now_ms - self.since_ms >= steady_s * 1000
        return is_steady and (self.burst_ms is None or now_ms - self.burst_ms >= BURST_S * 1000)

    def with_burst(self, rms: float, now_ms: int) -> "Mounted":
        """Return what is known after a burst."""
        rests = (*self.rests_g, rms)[-REST_BURSTS:] if self.mode == MODE_REST else self.rests_g
        return msgspec.structs.replace(self, burst_ms=now_ms, rests_g=rests)

    def machine_g(self, rms: float) -> float | None:
        """Return how strongly its machine vibrates by a burst; `None` at rest, or where that does not clearly show."""
        if self.mode == MODE_REST or not self.rests_g:
            return None
        rest = median(self.rests_g)
        return sqrt(rms**2 - rest**2) if rms >= CLEAR_FACTOR * rest else None


def rms_g(samples: Sequence[Sample]) -> float:
    """Return the RMS of the acceleration over a burst in g, without what stays the same: that is gravity."""
    squares = 0.0
    for values in zip(*samples, strict=True):
        mean = sum(values) / len(values)
        squares += sum((value - mean) ** 2 for value in values) / len(values)
    return sqrt(squares) * 1000.0 / G_MM_S2


def axes_of(channels: Sequence[ChannelReader], name: str) -> Sequence[ChannelReader]:
    """Return the axes of the accelerometer with a name; none where it is not there."""
    known = [each for each in channels if each.channel.quantity is Quantity.ACCELERATION]
    return [each for each in known if each.channel.name.startswith(f"{name}/")]


async def read_burst(axes: Sequence[ChannelReader], pause: Callable[[], Awaitable[None]]) -> list[Sample]:
    """Return the values of a burst; none without an axis.

    Raises:
        HalError: An axis has no value now.
    """
    samples = []
    for _ in range(SAMPLES if axes else 0):
        samples.append(tuple([await each.read() for each in axes]))
        await pause()
    return samples


class Accelerometers:
    """Reads the accelerometers that the configuration names."""

    def __init__(
        self,
        zones: Mapping[str, str],
        *,
        channels: Callable[[], Sequence[ChannelReader]],
        states: Callable[[], Mapping[str, ZoneState]],
        machines: MachineWatch,
        clock: Clock,
        rng: random.Random,
        add_fault: Callable[[str], None],
        remove_fault: Callable[[str], None],
    ) -> None:
        """Prepare.

        Args:
            zones: The accelerometer of each zone that has one, by its id: the name of the chip, without the quantity.
            channels: Returns what the board measures now.
            states: Returns what the hub does in each zone, by id.
            machines: Keeps what is learned.
            clock: The clocks of the boot.
            rng: Of the pauses.
            add_fault: Records a fault for the technician.
            remove_fault: Removes it.
        """
        self._zones = zones
        self._channels = channels
        self._states = states
        self._machines = machines
        self._clock = clock
        self._rng = rng
        self._add_fault = add_fault
        self._remove_fault = remove_fault
        now_ms = clock.monotonic_ms()
        self._mounted = {zone_id: Mounted(since_ms=now_ms) for zone_id in zones}

    async def run(self) -> None:
        """Read each accelerometer from time to time."""
        while True:
            for zone_id, name in self._zones.items():
                await self._look(zone_id, name)
            await asyncio.sleep(LOOK_S)

    async def _look(self, zone_id: str, name: str) -> None:
        state, now_ms = self._states().get(zone_id, ZoneState()), self._clock.monotonic_ms()
        known = self._mounted[zone_id] = self._mounted[zone_id].with_mode(state.mode, now_ms)
        if not known.is_due(now_ms):
            return
        rms = await self._burst(zone_id, name)
        if self._states().get(zone_id, ZoneState()).mode != state.mode:
            # It went on or off in the meantime.
            return
        if rms is None:
            self._mounted[zone_id] = msgspec.structs.replace(known, burst_ms=now_ms)
            return
        known = self._mounted[zone_id] = known.with_burst(rms, now_ms)
        utc_ms, machine_g = self._clock.utc_ms(), known.machine_g(rms)
        if utc_ms is not None and machine_g is not None:
            post = VibrationPost(utc_ms, machine_g, 0.0)
            self._machines.add(zone_id, f"accelerometer {name}", post, ACCELEROMETER_NAME, is_own=True)

    async def _burst(self, zone_id: str, name: str) -> float | None:
        """Return the RMS of a burst in g; `None` where the accelerometer is not there or does not answer."""
        axes = axes_of(self._channels(), name)
        fault = f"{zone_id}: {SILENT}"
        try:
            async with asyncio.timeout(BURST_S_MAX):
                samples = await read_burst(axes, lambda: asyncio.sleep(self._rng.uniform(*PAUSE_S)))
        except (HalError, TimeoutError):
            samples = []
        (self._remove_fault if samples else self._add_fault)(fault)
        return rms_g(samples) if samples else None
