"""Corrects each reading and doubts sensors that are wrong. No clock, no I/O: a reading brings its time.

A doubted sensor's good readings become suspect: they go to the cloud and are shown, control does without them. A bad
reading stays bad. Must never change a value that it does not understand: not a number, out of range, of another kind.
"""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Final

import msgspec

from agent.config.primary import is_machine_part
from agent.foundation.median import median
from agent.sensors import doubts, self_heating
from agent.sensors.calibration import OFFSET_MAX, Offset, key_of
from agent.sensors.doubts import STEADY_GAP_MS, ErraticDetector, JumpDetector, Liveliness, StuckBitDetector
from agent.sensors.load_steps import LoadStepDetector
from agent.sensors.neighbours import NeighbourDetector
from agent.sensors.self_heating import SelfHeating
from hal.bounded_table import BoundedTable
from hal.interface import HUB, Quality, Reading, SensorKind
from hal.plausibility import clamp_reading

PROCESSOR_CHIPS: Final = ("cpu", "coretemp", "k10temp", "k8temp", "x86_pkg_temp", "soc", "zenpower", "acpitz")
"""Prefixes of the chips whose temperature is the processor's, the best first."""

PROCESSOR_AGE_MS_MAX: Final = 15 * 60_000
"""A processor whose temperature is older is not known."""

REFERENCE_AGE_MS_MAX: Final = 30 * 60_000
"""A sensor that reports on change may be silent this long and still show the room."""

PAIR_AGE_MS_MAX: Final = 15 * 60_000
"""A humidity is recomputed with a temperature of the same chip that is not older."""

WATCH_INTERVAL_MS: Final = 4 * 60_000
WATCH_CHANGES_MIN: Final = 8
WATCH_FACTOR_MIN: Final = 0.04
WATCH_DEVIATIONS: Final = 3.0
"""A sensor that is not named in `sensors.in_case` follows the processor all the same: after so many changes of the load
the learned factor is above the minimum by so many deviations. Looked at less often than the others, it costs more.
Sharp steps of the load show it sooner (`load_steps`), and not by how much."""

OWN_SENSORS_MAX: Final = 256
RELAYED_MAX: Final = 1024
"""Sensors that are judged; what comes beyond is only corrected. No board lists more (`hal.linux.inventory`), and no hub
pairs more (`agent.pairing.transitions`), so that there are others only after some are gone."""

SILENT_MS_MIN: Final = 3_600_000
"""A sensor that has been silent for so long makes room for another, the one that is silent longest first. What was
learned of its self-heating stays if it is known to be in the case."""

NOTES_MAX: Final = (OWN_SENSORS_MAX + RELAYED_MAX) * 3
"""Three kinds are judged. A relayed device that makes up names of sensors is one of the devices, with any number."""

_SATURATED: Final = 100.0
_JUDGED: Final = frozenset({SensorKind.TEMPERATURE, SensorKind.HUMIDITY, SensorKind.PRESSURE})


class SensorNote(msgspec.Struct, frozen=True):
    """What is known of the last reading of one sensor.

    Attributes:
        measured: The value before any correction.
        value: The value as it is used.
        at_ms: When it was measured.
        offset: The calibration offset in it.
        rise_k: What was taken off for the warmth of the hub; `None` for a sensor that is not in the case.
        uncertainty: Of the corrected value, 95 %; `None` where nothing is corrected.
        doubt: Why the sensor is doubted, with the remedy; empty where it is not.
    """

    measured: float
    value: float
    at_ms: int
    offset: float = 0.0
    rise_k: float | None = None
    uncertainty: float | None = None
    doubt: str = ""


class _Thermometer:
    """The detectors of one sensor of the hub's own."""

    __slots__ = ("before", "bits", "erratic", "jump", "load_steps", "value", "watched_ms")

    def __init__(self) -> None:
        self.jump, self.erratic = JumpDetector(), ErraticDetector()
        self.bits: StuckBitDetector | None = StuckBitDetector()
        self.load_steps = LoadStepDetector()
        self.value: float | None = None
        self.before: float | None = None
        self.watched_ms: int | None = None


class SensorJudge:
    """Judges the sensors of one hub in the order of their readings.

    Attributes:
        learned: The self-heating of each sensor that is in the case, and of those that are watched.
    """

    def __init__(
        self,
        *,
        in_case: frozenset[str],
        rooms: Sequence[Sequence[str]],
        offsets: Callable[[], Mapping[str, Offset]],
        devices: Callable[[], Mapping[str, str]],
    ) -> None:
        """Know nothing yet.

        Args:
            in_case: Names of the hub's own thermometers that share its case.
            rooms: The sensors of each room, by the names that the configuration gives them.
            offsets: Returns the offsets, by `key_of`.
            devices: Returns the relayed devices, by name.
        """
        self._in_case = in_case
        self._case_chips = {_chip(name): name for name in in_case}
        self._rooms = tuple(tuple(names) for names in rooms)
        self._room_names = frozenset(name for names in rooms for name in names)
        self._offsets = offsets
        self._devices = devices
        self._own_at_ms: dict[str, int] = {}
        self._relayed_at_ms: dict[str, int] = {}
        self._own: dict[str, _Thermometer] = {}
        self._relayed: dict[str, tuple[JumpDetector, ErraticDetector]] = {}
        self._chips: dict[str, dict[SensorKind, Liveliness]] = {}
        self._neighbours = NeighbourDetector()
        self._processor: tuple[int, str, float, int] | None = None
        self._pairs: dict[str, tuple[float, float, float, int]] = {}
        self._latest: dict[str, tuple[float, int]] = {}
        self.learned: dict[str, SelfHeating] = {}
        self._notes = BoundedTable[tuple[str, str, SensorKind], SensorNote](NOTES_MAX)

    @property
    def notes(self) -> Mapping[tuple[str, str, SensorKind], SensorNote]:
        """What is known of each sensor, by device, sensor and kind."""
        return self._notes.entries

    def judge(self, reading: Reading) -> Reading:
        """Return a reading as the hub uses it: corrected, and suspect where its sensor is doubted."""
        value = reading.value
        if reading.kind not in _JUDGED or not isfinite(value):
            return reading
        if not self._is_judged(reading):
            return reading if reading.quality is Quality.BAD else self._correct(clamp_reading(reading))[0]
        doubt = self._doubt_own(reading) if reading.device == HUB else self._doubt_relayed(reading)
        if reading.quality is Quality.BAD:
            return msgspec.structs.replace(reading, reason=doubt) if doubt else reading
        told = doubt or _told(reading)
        clamped = clamp_reading(reading)
        corrected, offset, rise_k, uncertainty = self._correct(clamped)
        note = SensorNote(
            value, corrected.value, reading.at_ms, offset, rise_k, uncertainty, told or self._watched(reading)
        )
        self._notes.put((reading.device, reading.sensor, reading.kind), note)
        if doubt:
            return msgspec.structs.replace(corrected, quality=Quality.SUSPECT, reason=doubt)
        if corrected.quality is Quality.GOOD and corrected.kind is SensorKind.TEMPERATURE:
            self._latest[corrected.sensor if corrected.device == HUB else corrected.device] = (
                corrected.value,
                corrected.at_ms,
            )
        return corrected

    def present(self, sensor: str, kind: SensorKind, value: float, at_ms: int) -> tuple[float, SensorNote | None]:
        """Return the corrected value of one of the hub's own sensors that is read between its readings."""
        note = self.notes.get((HUB, sensor, kind))
        if kind not in _JUDGED or not isfinite(value):
            return value, note
        corrected, *_ = self._correct(clamp_reading(Reading(HUB, sensor, kind, value, at_ms)))
        return corrected.value, note

    def enter(self, sensor: str, room_c: float) -> bool:
        """Learn from the temperature of the room; return whether the sensor is in the case and can learn now."""
        pair, state = self._pairs.get(_chip(sensor)), self.learned.get(sensor)
        if sensor not in self._in_case or pair is None or state is None:
            return False
        self.learned[sensor] = self_heating.enter(state, board_c=pair[0], room_c=room_c)
        return True

    def forget_learned(self, sensor: str) -> None:
        """Begin anew with what is known of a sensor in the case."""
        if sensor in self.learned:
            self.learned[sensor] = SelfHeating()

    # Who is judged.

    def _is_judged(self, reading: Reading) -> bool:
        """Return whether there is room for a sensor, after one that is gone may have been forgotten."""
        is_own = reading.device == HUB
        known, name = (self._own_at_ms, reading.sensor) if is_own else (self._relayed_at_ms, reading.device)
        if name not in known and len(known) >= (OWN_SENSORS_MAX if is_own else RELAYED_MAX):
            silent = min(known, key=known.__getitem__)
            if reading.at_ms - known[silent] < SILENT_MS_MIN:
                return False
            del known[silent]
            self._forget(silent, is_own=is_own)
        known[name] = reading.at_ms
        return True

    def _forget(self, name: str, *, is_own: bool) -> None:
        self._latest.pop(name, None)
        if is_own:
            self._own.pop(name, None)
            self._neighbours.forget(name)
            if not any(_chip(other) == _chip(name) for other in self._own_at_ms):
                self._chips.pop(_chip(name), None)
            if name not in self._in_case:
                self.learned.pop(name, None)
        else:
            self._relayed.pop(name, None)
        for key in list(self.notes):
            if (key[0] == HUB) is is_own and name in key[:2]:
                self._notes.remove(key)

    # What is doubted.

    def _doubt_own(self, reading: Reading) -> str:
        name, value, at_ms = reading.sensor, reading.value, reading.at_ms
        if reading.kind is SensorKind.TEMPERATURE:
            if is_machine_part(name):
                self._follow_processor(name, value, at_ms)
                return ""
            doubt = self._doubt_thermometer(name, value, at_ms)
        else:
            doubt = ""
        chips = self._chips.setdefault(_chip(name), {})
        channel = chips.get(reading.kind)
        if channel is None:
            channel = chips[reading.kind] = Liveliness()
        channel.observe(value, at_ms)
        if not doubt and channel.run:
            fresh = [each for each in chips.values() if at_ms - each.at_ms <= PAIR_AGE_MS_MAX]
            doubt = doubts.frozen_reason(fresh)
            if doubt:
                for each in fresh:
                    each.is_frozen = True
        return doubt

    def _doubt_thermometer(self, name: str, value: float, at_ms: int) -> str:
        known = self._own.get(name)
        if known is None:
            known = self._own[name] = _Thermometer()
        if known.value is not None and value != known.value:
            known.before = known.value
        known.value = value
        found = doubts.power_up_reason(value, known.before) if _is_ds18b20(name) else ""
        found = self._neighbours.observe(name, value, at_ms) or found
        if name in self._room_names:
            # Not a pipe's: its true values jump too.
            jump, erratic = known.jump.observe(value, at_ms), known.erratic.observe(value, at_ms)
            found = found or jump or erratic or self._stuck_bit(known, value, at_ms)
        self._learn(name, known, value, at_ms)
        return found

    def _stuck_bit(self, known: _Thermometer, value: float, at_ms: int) -> str:
        if known.bits is not None and not doubts.is_on_grid(value):
            known.bits = None
        return "" if known.bits is None else known.bits.observe(value, at_ms)

    def _doubt_relayed(self, reading: Reading) -> str:
        if reading.kind is not SensorKind.TEMPERATURE:
            return ""
        found = self._relayed.get(reading.device)
        if found is None:
            found = self._relayed[reading.device] = JumpDetector(), ErraticDetector()
        jump, erratic = found[0].observe(reading.value, reading.at_ms), found[1].observe(reading.value, reading.at_ms)
        return jump or erratic

    def _watched(self, reading: Reading) -> str:
        """Return that a sensor which is not said to be in the case is warmed all the same; it is reported, no more."""
        known = self._own.get(reading.sensor) if reading.device == HUB else None
        if known is None or reading.sensor in self._in_case:
            return ""
        text = "name it in sensors.in_case, or move it away from the hub: it gets warmer whenever the processor works"
        state = self.learned.get(reading.sensor)
        if state is not None and state.changes >= WATCH_CHANGES_MIN:
            best = state.hypotheses[state.best]
            if best.factor - WATCH_DEVIATIONS * best.factor_var**0.5 >= WATCH_FACTOR_MIN:
                return f"{text}, by {best.rise_k:.1f} K now"
        return text if known.load_steps.is_warmed else ""

    # What is corrected.

    def _correct(self, reading: Reading) -> tuple[Reading, float, float | None, float | None]:
        """Return a reading with the right value, its offset, the rise in the case that was taken off, and its doubt."""
        name, kind = reading.sensor, reading.kind
        offset = self._offset(reading.device, name, kind)
        value = reading.value
        rise_k = uncertainty = None
        if reading.device == HUB and kind is SensorKind.TEMPERATURE and name in self._in_case:
            correction = self_heating.correct(self.learned.get(name, SelfHeating()), value)
            if correction is not None:
                rise_k, uncertainty = value - correction.value_c, correction.uncertainty_k
                self._pairs[_chip(name)] = (value, correction.value_c + offset, uncertainty, reading.at_ms)
                value = correction.value_c
        elif reading.device == HUB and kind is SensorKind.HUMIDITY:
            pair = self._pairs.get(_chip(name))
            if pair is not None and abs(reading.at_ms - pair[3]) <= PAIR_AGE_MS_MAX:
                value = self_heating.humidity_at(value, measured_c=pair[0], room_c=pair[1])
                colder = self_heating.humidity_at(reading.value, measured_c=pair[0], room_c=pair[1] - pair[2])
                uncertainty = colder - value
        value += offset
        if kind is SensorKind.HUMIDITY:
            value = min(_SATURATED, max(0.0, value))
        if value != reading.value:
            value = round(value, 4)
            reading = msgspec.structs.replace(reading, value=value)
        return reading, offset, rise_k, uncertainty

    def _offset(self, device: str, name: str, kind: SensorKind) -> float:
        offsets = self._offsets()
        offset = offsets.get(key_of(device, name, kind)) if offsets else None
        return 0.0 if offset is None or kind not in OFFSET_MAX else offset.value

    # What is learned.

    def _follow_processor(self, name: str, value: float, at_ms: int) -> None:
        chip = name.split("/")[1].lower()
        rank = next((index for index, prefix in enumerate(PROCESSOR_CHIPS) if chip.startswith(prefix)), None)
        if rank is None:
            return
        known = self._processor
        if known is None or (rank, name) <= known[:2] or at_ms - known[3] > PROCESSOR_AGE_MS_MAX:
            self._processor = (rank, name, value, at_ms)

    def _learn(self, name: str, known: _Thermometer, value: float, at_ms: int) -> None:
        is_in_case, processor = name in self._in_case, self._processor
        if processor is None or at_ms - processor[3] > PROCESSOR_AGE_MS_MAX:
            return
        last_ms = known.watched_ms
        if not is_in_case and at_ms - processor[3] <= STEADY_GAP_MS:
            known.load_steps.observe(value, processor[2], at_ms)
        if not is_in_case and last_ms is not None and at_ms - last_ms < WATCH_INTERVAL_MS:
            return
        known.watched_ms = at_ms
        state = self.learned.get(name, SelfHeating())
        dt_s = 0.0 if last_ms is None else (at_ms - last_ms) / 1000
        state = self_heating.advance(state, board_c=value, cpu_c=processor[2], dt_s=dt_s)
        reference_c = self._reference_c(name, at_ms) if is_in_case else None
        if reference_c is not None:
            state = self_heating.compare(state, board_c=value, reference_c=reference_c)
        self.learned[name] = state

    def _reference_c(self, name: str, at_ms: int) -> float | None:
        """Return the temperature of the room by its other sensors; `None` without any."""
        devices = self._devices()
        others = {devices.get(other, other) for names in self._rooms if name in names for other in names}
        values = [
            self._latest[other][0]
            for other in others - self._in_case
            if other in self._latest and at_ms - self._latest[other][1] <= REFERENCE_AGE_MS_MAX
        ]
        return median(values) if values else None


def _told(reading: Reading) -> str:
    if reading.kind is SensorKind.HUMIDITY and reading.value > _SATURATED:
        return f"let it dry, and replace it if this stays: it measures {reading.value:.1f} %; 100 % is used"
    return ""


def _chip(name: str) -> str:
    return name.rpartition("/")[0]


def _is_ds18b20(name: str) -> bool:
    return "ds18b20" in name or "w1_slave" in name
