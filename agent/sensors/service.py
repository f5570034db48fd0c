"""Right values of sensors: judges each reading, keeps offsets and what was learned, and takes calibrations.

Owns `sensors.json`. Must never cost a reading: where judging fails, the reading is used as it was measured.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from agent.errors import Defect, SettingInvalid, UnknownSensor
from agent.foundation import rfc3339
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.lenient_json import decode_leniently
from agent.foundation.supervisor import contain_failure
from agent.foundation.worker import Worker
from agent.sensors import calibration
from agent.sensors.calibration import Calibration, Offset, key_of
from agent.sensors.judge import NOTES_MAX, SensorJudge, SensorNote
from agent.sensors.self_heating import SelfHeating
from hal.bounded_table import BoundedTable
from hal.interface import HUB, Reading, SensorKind
from hal.plausibility import clamp_reading

FILE_NAME = "sensors.json"
FILE_BYTES_MAX = 256 * 1024
"""512 offsets with their authors take 60 KiB, 16 learned sensors 24 KiB."""

SAVE_INTERVAL_S = 6 * 3600.0
"""What a quarter of a day has taught may be lost with the power; a card wears with each write."""

READS_AGE_MS_MAX = 3_600_000
"""A sensor that reports on change may be silent for so long; after that its value is not the present one."""


class CalibrationChange(msgspec.Struct, frozen=True):
    """What a person wants of one sensor; one of the four.

    Attributes:
        reads: The true value now.
        offset: What is added to each value.
        take_from: The sensor whose offset is taken over, such as the one that was replaced.
        clear: Nothing is added any more, and what was learned is forgotten.
    """

    reads: float | None = None
    offset: float | None = None
    take_from: str = ""
    clear: bool = False

    @property
    def is_one(self) -> bool:
        """Whether it is exactly one of them."""
        return (self.reads is not None) + (self.offset is not None) + bool(self.take_from) + self.clear == 1


class Calibrated(msgspec.Struct, frozen=True):
    """A sensor after its calibration.

    Attributes:
        device: Empty for one of the hub's own.
        sensor: Its name.
        kind: What it measures.
        offset: What is added to each value now.
        is_learned: The value was learned from instead: the sensor is in the hub's case.
    """

    device: str
    sensor: str
    kind: SensorKind
    offset: float
    is_learned: bool = False


class SensorsService:
    """The judgement of all sensors of one hub."""

    def __init__(
        self,
        directory: Path,
        *,
        in_case: Sequence[str],
        rooms: Sequence[Sequence[str]],
        devices: Callable[[], Mapping[str, str]],
        clock: Clock,
        disk: Disk,
        worker: Worker,
    ) -> None:
        """Read the file. Blocks.

        Args:
            directory: Of `sensors.json`.
            in_case: See `SensorJudge`.
            rooms: See `SensorJudge`.
            devices: Returns the relayed devices, by name.
            clock: Dates an offset.
            disk: Reads and writes the file.
            worker: Runs what blocks.
        """
        self._devices = devices
        self._clock = clock
        self._store: JsonStore[Calibration] = JsonStore(
            directory / FILE_NAME,
            Calibration(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="sensors are used without their offsets, and self-heating is learned anew",
            decode=_decode,
        )
        self._in_case = frozenset(in_case)
        self._judge = SensorJudge(
            in_case=self._in_case,
            rooms=rooms,
            offsets=lambda: self._store.value.offsets,
            devices=devices,
        )
        self._judge.learned.update(self._store.load().self_heating)
        self._unjudged = BoundedTable[tuple[str, str, SensorKind], None](NOTES_MAX)
        self.defect = ""
        """Why a reading was not judged, if so: a defect of the judgement."""

    @property
    def problem(self) -> str:
        """What is wrong with the file, or with the judgement; empty where nothing is."""
        return self._store.save_problem or self._store.problem or self.defect

    def judge(self, reading: Reading) -> Reading:
        """Return a reading as the hub uses it."""
        key = (reading.device, reading.sensor, reading.kind)
        if key in self._unjudged.entries:
            return clamp_reading(reading)
        try:
            with contain_failure("the judgement of sensors"):
                return self._judge.judge(reading)
        except Defect as error:
            self._unjudged.put(key, None)
            self.defect = f"report this: {reading.sensor or reading.device} is used as it measures: {error}"
        return clamp_reading(reading)

    def present(self, sensor: str, kind: SensorKind, value: float) -> tuple[float, SensorNote | None]:
        """Return the corrected value of one of the hub's own sensors that was just read, and what is known of it."""
        return self._judge.present(sensor, kind, value, self._clock.monotonic_ms())

    def offset(self, device: str, sensor: str, kind: SensorKind) -> Offset | None:
        """Return what is added to each value of a sensor, and who set it; `None` where nothing is."""
        return self._store.value.offsets.get(key_of(device, sensor, kind))

    def note(self, device: str, sensor: str, kind: SensorKind) -> SensorNote | None:
        """Return what is known of the last reading of a sensor; `None` before the first."""
        return self._judge.notes.get((device, sensor, kind))

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops to run, by the name under which their faults are shown."""
        return {"sensors": self.run}

    async def run(self) -> None:
        """Read a file that the disk did not give at the start, and save what was learned now and then."""
        if self._store.is_unread:
            await self._store.retry_read(_merge)
            for name, learned in self._store.value.self_heating.items():
                self._judge.learned.setdefault(name, learned)
        while True:
            await asyncio.sleep(SAVE_INTERVAL_S)
            await self.save()

    async def save(self) -> None:
        """Save what was learned, as far as the disk allows."""
        if any(each.is_learned for each in self._learned().values()):
            await self._store.apply(lambda present: calibration.with_learned(present, self._learned()))

    def _learned(self) -> Mapping[str, SelfHeating]:
        return {name: each for name, each in self._judge.learned.items() if name in self._in_case}

    async def calibrate(
        self, sensor: str, kind: SensorKind | None, change: CalibrationChange, *, by: str
    ) -> Calibrated:
        """Change the calibration of one sensor; it is durable when this returns.

        Args:
            sensor: Its name, or the address of a relayed one.
            kind: What it measures; by default that of one of the hub's own, else the temperature.
            change: What is wanted.
            by: Who wants it.

        Raises:
            UnknownSensor: There is no such sensor, or it has not reported.
            SettingInvalid: The change is not possible.
            StorageFull: The disk refuses; nothing has changed.
        """
        if not change.is_one:
            raise SettingInvalid("give one of: the true value, an offset, a sensor to take the offset from, clear")
        device, name, kind, note = self._find(sensor, kind)
        key = key_of(device, name, kind)
        is_in_case = name in self._in_case and kind is SensorKind.TEMPERATURE
        if change.reads is not None and is_in_case and self._is_present(note):
            room_c = calibration.checked_value(kind, change.reads)
            if self._judge.enter(name, room_c):
                await self._store.commit(lambda present: calibration.with_learned(present, self._learned()))
                return Calibrated(device, name, kind, note.offset, is_learned=True)
        value = self._wanted(sensor, kind, change, note)
        offset = Offset(value, by, rfc3339.render(now_ms) if (now_ms := self._clock.utc_ms()) is not None else "")
        if change.clear:
            self._judge.forget_learned(name)
        await self._store.commit(
            lambda present: (
                calibration.without_learned(calibration.with_offset(present, key, None), name)
                if change.clear
                else calibration.with_offset(present, key, offset)
            )
        )
        return Calibrated(device, name, kind, value)

    def _wanted(self, sensor: str, kind: SensorKind, change: CalibrationChange, note: SensorNote) -> float:
        if change.clear:
            return 0.0
        if change.offset is not None:
            return calibration.checked(kind, change.offset)
        if change.reads is not None:
            if not self._is_present(note):
                raise SettingInvalid(f"wait until {sensor} reports: its last value is too old to compare with")
            true_value = calibration.checked_value(kind, change.reads)
            return calibration.offset_for(kind, true_value, shown=note.value, present=note.offset)
        return calibration.checked(kind, self._offset_of(change.take_from, kind))

    def _offset_of(self, other: str, kind: SensorKind) -> float:
        offsets = self._store.value.offsets
        for device, name in ((self._devices().get(other, other), ""), (HUB, other)):
            if (found := offsets.get(key_of(device, name, kind))) is not None:
                return found.value
        raise UnknownSensor(f"look up its address (climahub zigbee): no offset for {kind.value} is kept of {other}")

    def _is_present(self, note: SensorNote) -> bool:
        return self._clock.monotonic_ms() - note.at_ms <= READS_AGE_MS_MAX

    def _find(self, sensor: str, kind: SensorKind | None) -> tuple[str, str, SensorKind, SensorNote]:
        device = self._devices().get(sensor, sensor)
        for (owner, name, measured), note in self._judge.notes.items():
            is_own = owner == HUB and name == sensor and kind in {None, measured}
            if is_own or (owner == device and owner != HUB and measured is (kind or SensorKind.TEMPERATURE)):
                return owner, name, measured, note
        wanted = f" for {kind.value}" if kind else ""
        raise UnknownSensor(
            f"look up its name (climahub sensors): no sensor {sensor}{wanted} with an offset has reported since the"
            " start of the agent"
        )


def _merge(present: Calibration, found: Calibration) -> Calibration:
    return Calibration({**found.offsets, **present.offsets}, {**found.self_heating, **present.self_heating})


def _decode(data: bytes, left_out: list[str]) -> Calibration:
    found, lost = decode_leniently(data, Calibration)
    sound = calibration.sound(found)
    damaged = [key for key in found.offsets if key not in sound.offsets]
    damaged += [name for name in found.self_heating if name not in sound.self_heating]
    left_out += [*lost, *(f"{name}: impossible numbers" for name in damaged)]
    return sound
