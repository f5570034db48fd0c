"""The relayed sensors of the simulated house and the coordinator's small buffer: the schedule of reports.

All reports are generated in one order of time, so they do not depend on reads of the hub's own sensors. No asyncio
here: `hal.sim.network` waits.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heapreplace
from random import Random
from typing import Final

from hal.errors import ReadingImplausible, SensorUnavailable
from hal.interface import Reading, RelayedSensor, SensorKind
from hal.sim.faults import Fault
from hal.sim.house import House, Truth
from hal.sim.numerics import Fading, Noise, rng_for, stream_for
from hal.sim.sensors import ELEMENTS, Channel

_T, _H, _B = SensorKind.TEMPERATURE, SensorKind.HUMIDITY, SensorKind.BATTERY_LEVEL
MODELS: Final = (
    (_T, _H, _B),
    (_T, _H, _B),
    (_T, _H, _B, SensorKind.PRESSURE),
    (_T, _H, _B, SensorKind.SIGNAL_STRENGTH),
    (_T, _H, _B, SensorKind.IAQ),
)
"""Kinds measured by relayed sensors on the market; assigned in turn."""

LOCALLY_ADMINISTERED: Final = 0x02 << 56
GROUP_BIT: Final = 0x01 << 56
"""Bits of an EUI-64's first octet (IEEE 802, clause 8): invented addresses must be local and no group address."""

INTERVAL_TOLERANCE: Final = 0.001
"""Sleepy devices measure time with an RC oscillator or a cheap crystal."""

FADING_MS: Final = 20 * 60_000
FADING_DB: Final = 4.0
DRAIN_PERCENT_PER_DAY: Final = (0.05, 0.4)
BATTERY_REPLACED_AT_PERCENT: Final = 10.0
BATTERY_FULL_PERCENT: Final = 100.0
_DAY_MS: Final = 86_400_000


def fading_signal(noise: Noise, stream: int, mean_dbm: float) -> Truth:
    """Return the signal strength of a link: a mean and slow fading by moving people and doors."""
    fading = Fading(noise, stream, FADING_MS)
    return lambda at_ms: mean_dbm + FADING_DB * fading.at(at_ms)


def draining_battery(rng: Random) -> Truth:
    """Return the charge of a battery that drains evenly and is replaced when nearly empty."""
    span = BATTERY_FULL_PERCENT - BATTERY_REPLACED_AT_PERCENT
    used = rng.uniform(0.0, span)
    per_ms = rng.uniform(*DRAIN_PERCENT_PER_DAY) / _DAY_MS
    return lambda at_ms: BATTERY_FULL_PERCENT - (used + per_ms * at_ms) % span


class SimDevice:
    """One relayed sensor.

    Attributes:
        sensor: Its description for the agent.
        channels: Its elements, in the order of its kinds.
        interval_ms: Time between its reports.
        is_on_air: Whether it reports: it is in the network and configured, and its battery is not empty.
    """

    __slots__ = ("channels", "interval_ms", "is_on_air", "sensor")

    def __init__(self, sensor: RelayedSensor, channels: Sequence[Channel], interval_ms: int) -> None:
        self.sensor = sensor
        self.channels = tuple(channels)
        self.interval_ms = interval_ms
        self.is_on_air = True


def address_from(rng: Random) -> str:
    """Return an invented EUI-64."""
    return f"0x{(rng.getrandbits(64) | LOCALLY_ADMINISTERED) & ~GROUP_BIT:016x}"


def relayed_sensors(seed: int, count: int, rooms: Sequence[str]) -> tuple[RelayedSensor, ...]:
    """Return relayed sensors with `count` series in total; the last one has the remaining kinds.

    Args:
        seed: Determines their addresses.
        count: Total number of series.
        rooms: Their rooms, in turn; one sensor in seven is outdoors.
    """
    rng = rng_for(seed, "addresses")
    sensors: list[RelayedSensor] = []
    while count > 0:
        kinds = MODELS[len(sensors) % len(MODELS)][:count]
        count -= len(kinds)
        number = len(sensors) + 1
        room = "outside" if number % 7 == 0 and SensorKind.IAQ not in kinds else rooms[number % len(rooms)]
        address = address_from(rng)
        sensors.append(RelayedSensor(device=address, name=f"{room} {number}", kinds=kinds, ieee_address=address))
    return tuple(sensors)


class SimRadio:
    """All relayed sensors and the buffer in which their reports wait.

    Attributes:
        devices: The relayed sensors.
        waiting: Reports that were not fetched yet, oldest first.
        reports_dropped: How many the full buffer lost.
        readings_garbled: How many readings were refused by their checksum.
        due_ms: Time of the next report, in simulated time.
        sim_offset_ms: Simulated time minus the monotonic clock of the listening boot.
    """

    def __init__(
        self,
        house: House,
        *,
        seed: int,
        sensors: Iterable[RelayedSensor],
        interval_s: float,
        reports_together: bool = False,
        faults: Mapping[str, Sequence[Fault]],
        noise: Noise,
        reports_max: int,
    ) -> None:
        """Create the relayed sensors.

        Args:
            house: The house they measure.
            seed: Determines their intervals, errors and batteries.
            sensors: At least one, named "ROOM NUMBER".
            interval_s: Nominal time between two reports of a sensor.
            reports_together: Whether all report at the same instants, exactly so far apart.
            faults: Faults by the name of a sensor or of a series.
            noise: Noise of the simulation.
            reports_max: Capacity of the buffer.
        """
        self._house = house
        self._reports_max = reports_max
        self.waiting: deque[tuple[Reading, ...]] = deque()
        self.reports_dropped = 0
        self.readings_corrupted = 0
        self.sim_offset_ms = 0
        self.devices: list[SimDevice] = []
        self._schedule: list[tuple[int, int]] = []
        for number, sensor in enumerate(sensors):
            rng = rng_for(seed, f"device/{sensor.device}")
            interval_ms = round(interval_s * 1000 * rng.uniform(1 - INTERVAL_TOLERANCE, 1 + INTERVAL_TOLERANCE))
            channels = [
                Channel(
                    name=kind.value,
                    kind=kind,
                    truth=self._truth(sensor, kind, noise, rng),
                    noise=noise,
                    stream=stream_for(seed, f"{sensor.device}/{kind}"),
                    faults=[*faults.get(sensor.name, ()), *faults.get(f"{sensor.name}/{kind}", ())],
                )
                for kind in sensor.kinds
            ]
            first_ms = rng.randrange(1, interval_ms + 1)
            if reports_together:
                first_ms = interval_ms = round(interval_s * 1000)
            self.devices.append(SimDevice(sensor, channels, interval_ms))
            self._schedule.append((first_ms, number))
        heapify(self._schedule)
        self.due_ms = self._schedule[0][0]

    def collect(self, until_ms: int) -> None:
        """Generate all reports due until an instant of simulated time; a full buffer drops the oldest."""
        while self.due_ms <= until_ms:
            at_ms, number = self._schedule[0]
            device = self.devices[number]
            self._house.advance_to(at_ms)
            report = self._report(device, at_ms)
            if report:
                if len(self.waiting) >= self._reports_max:
                    self.waiting.popleft()
                    self.reports_dropped += 1
                self.waiting.append(report)
            heapreplace(self._schedule, (at_ms + device.interval_ms, number))
            self.due_ms = self._schedule[0][0]

    def _report(self, device: SimDevice, at_ms: int) -> tuple[Reading, ...]:
        """Return a device's report at an instant: all kinds except failing ones; empty for none."""
        if not device.is_on_air:
            return ()
        name = device.sensor.device
        boot_ms = at_ms - self.sim_offset_ms
        readings = []
        for channel in device.channels:
            try:
                if not channel.silence_s(at_ms):
                    value = channel.measure(at_ms)
                    readings.append(Reading(name, channel.name, channel.kind, value, boot_ms))
            except SensorUnavailable:
                continue
            except ReadingImplausible:
                self.readings_corrupted += 1
        return tuple(readings)

    def _truth(self, sensor: RelayedSensor, kind: SensorKind, noise: Noise, rng: Random) -> Truth:
        """Return the true value that a device's element measures."""
        room = sensor.name.rsplit(" ", 1)[0]
        match kind:
            case SensorKind.BATTERY_LEVEL:
                return draining_battery(rng)
            case SensorKind.SIGNAL_STRENGTH:
                return fading_signal(noise, rng.getrandbits(64), rng.uniform(-85.0, -50.0))
            case _:
                return self._house.probe(
                    "pressure" if kind is SensorKind.PRESSURE else f"{room}/{kind}", lag_s=ELEMENTS[kind].lag_s
                )
