"""Homes for `agent.sensors`: what their sensors show minute by minute, in a year of ordinary life, and with faults.

A fast model without a hub: rooms are temperatures that follow setpoints, weather and people; sensors have lag, noise
and resolution. What looks like a fault and is none happens too: open windows, sun and clouds, showers, a sauna, a
sensor carried outdoors or to another room, holidays, power cuts. Counts for itself; the judge is only asked.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence

import msgspec

from agent.sensors.calibration import Offset
from agent.sensors.judge import SensorJudge
from hal.interface import HUB, Quality, Reading, SensorKind
from hal.plausibility import CHIP_TEMPERATURE, PlausibilityCheck
from hal.sim.hub_case import HubCase

T, RH, P = SensorKind.TEMPERATURE, SensorKind.HUMIDITY, SensorKind.PRESSURE
CPU = "hwmon/cpu_thermal/temp1"
BOARD, BOARD_RH, BOARD_P = (f"i2c-1-0076/bme280/{each}" for each in ("temperature", "humidity", "pressure"))
PROBE, PIPE = (f"w1-28-00000a1b2c3{each}/ds18b20/temperature" for each in "de")
LIVING, BATH = "0x00158d0001a2b3c4", "0x00158d0001a2b3c5"
MINUTE_MS = 60_000
DAY_MIN = 1440
HEATED_HOURS = (6.0, 22.0)
HOT_WATER_HOURS = 0.7
PUMP_CYCLE_MIN, PUMP_ON_MIN = 60, 35
REPORT_K, HEARTBEAT_MIN = 0.3, 30
CLOUDED = 0.5
SATURATED = 100.0
REPORT_MIN = 5
"""The reporting interval: humidity and pressure are read so often, thermometers each minute."""

Raw = tuple[str, str, SensorKind, float]
"""Device, sensor, kind and value as measured."""

Twist = Callable[[list[Raw]], list[Raw]]
"""A fault: what it makes of the values of one minute."""


class Sensor:
    """What one sensor makes of its air."""

    __slots__ = ("_hold", "_noise", "_offset", "_rng", "_step", "value")

    def __init__(self, rng: random.Random, *, lag_min: float, noise: float, step: float, start: float) -> None:
        self._rng = rng
        self._hold = math.exp(-1.0 / lag_min)
        self._noise, self._step = noise, step
        self._offset = rng.gauss(0.0, 0.15)
        self.value = start

    def measure(self, air: float) -> float:
        """Return what it shows after a minute in this air."""
        self.value = air + (self.value - air) * self._hold
        seen = self.value + self._offset + self._rng.gauss(0.0, self._noise)
        return round(round(seen / self._step) * self._step, 4)


class Visit(msgspec.Struct):
    """Something that happens to one place for some minutes."""

    place: str
    left_min: int
    change_k: float
    lag_min: float = 1.0
    flickers: bool = False


class FleetHome:
    """One home with a hub in it.

    Attributes:
        minute: Since the start.
        is_quiet: Nobody is at home.
    """

    def __init__(self, seed: int, *, is_in_case: bool, is_declared: bool = True) -> None:
        """Make a home.

        Args:
            seed: Of everything.
            is_in_case: The board's sensor shares the hub's case; else it hangs on a cable.
            is_declared: And the configuration says so.
        """
        rng = self._rng = random.Random(seed)
        self.minute = rng.randrange(365) * DAY_MIN
        self.is_quiet = False
        self._setpoint_c, self._is_sauna = rng.uniform(19.0, 22.0), seed % 10 == 0
        self._air = dict.fromkeys((BOARD, PROBE, BATH), self._setpoint_c)
        self._extra = dict.fromkeys((BOARD, PROBE, LIVING, BATH, PIPE), 0.0)
        self._pipe_c, self._humid, self._bath_humid, self._hpa = 40.0, 45.0, 50.0, 1010.0
        self._visits: list[Visit] = []
        self._holiday_min = 0
        self._case = HubCase(case_k=rng.uniform(0.6, 1.3), case_lag_s=rng.choice([400.0, 1100.0, 2500.0]))
        self._is_in_case, self._load, self._load_min = is_in_case, 0.1, 0
        self._inside = self._case.steady(0.1)
        self._sensors = {
            BOARD: Sensor(rng, lag_min=2.0, noise=rng.uniform(0.006, 0.03), step=0.01, start=self._setpoint_c),
            PROBE: Sensor(rng, lag_min=1.5, noise=0.02, step=1 / 16, start=self._setpoint_c),
            PIPE: Sensor(rng, lag_min=1.0, noise=0.03, step=1 / 16, start=40.0),
            LIVING: Sensor(rng, lag_min=5.0, noise=0.02, step=0.01, start=self._setpoint_c),
            BATH: Sensor(rng, lag_min=4.0, noise=0.02, step=0.01, start=self._setpoint_c),
            BOARD_RH: Sensor(rng, lag_min=1.0, noise=0.08, step=0.01, start=45.0),
            BOARD_P: Sensor(rng, lag_min=1.0, noise=0.01, step=0.01, start=1010.0),
        }
        self._reported: dict[str, tuple[float, int]] = {}
        self.watch = FleetWatch(
            in_case=(BOARD,) if is_in_case and is_declared else (),
            rooms=((BOARD, LIVING), (PROBE,), (BATH,)),
        )

    def run(self, minutes: int, twist: Twist | None = None) -> Iterator[Sequence[Reading]]:
        """Live on; gives the judged readings of each minute."""
        for _ in range(minutes):
            values = self.advance()
            yield self.watch.judge(values if twist is None else twist(values), self.minute * MINUTE_MS)

    def advance(self) -> list[Raw]:
        """Return what the sensors measure after another minute."""
        self.minute += 1
        day, of_day = divmod(self.minute, DAY_MIN)
        if of_day == 0:
            self._plan_day()
        hour = of_day / 60.0
        season = math.cos((day % 365 - 15) / 365 * math.tau)
        outdoor_c = 10.0 - 11.0 * season + 4.0 * math.sin((hour - 9) / 24 * math.tau)
        self._move_air(hour, outdoor_c)
        self._visit(outdoor_c)
        return self._measure()

    # Life.

    def _plan_day(self) -> None:
        rng = self._rng
        self._holiday_min = max(0, self._holiday_min - DAY_MIN)
        if not self._holiday_min and rng.random() < 2 / 365:
            self._holiday_min = 14 * DAY_MIN
        self.is_quiet = self._holiday_min > 0
        if rng.random() < 1 / 60:
            self.minute += rng.choice([1, 10, 300])  # a power cut
        if self.is_quiet:
            return
        self._later = [
            (rng.randrange(360, 1380), kind)
            for kind, a_day in (("window", 1.0), ("shower", 1.3), ("sun", 0.5), ("draught", 0.3), ("stove", 0.1),
                                ("sauna", 0.15 if self._is_sauna else 0.0), ("outdoors", 0.02), ("moved", 0.02))
            for _ in range(int(a_day) + (rng.random() < a_day % 1))
        ]  # fmt: skip

    _later: Sequence[tuple[int, str]] = ()

    def _visit(self, outdoor_c: float) -> None:
        rng = self._rng
        if not self.is_quiet:
            of_day = self.minute % DAY_MIN
            for at_min, kind in self._later:
                if at_min == of_day:
                    self._begin(kind, outdoor_c)
        extra = self._extra
        for place in extra:
            extra[place] *= 0.9
        kept = []
        for visit in self._visits:
            visit.left_min -= 1
            wanted = (
                visit.change_k * (rng.random() < CLOUDED) if visit.flickers and self.minute % 3 == 0 else visit.change_k
            )
            extra[visit.place] = wanted + (extra[visit.place] / 0.9 - wanted) * math.exp(-1.0 / visit.lag_min)
            if visit.left_min > 0:
                kept.append(visit)
        self._visits = kept

    def _begin(self, kind: str, outdoor_c: float) -> None:
        rng = self._rng
        place = rng.choice([BOARD, PROBE, LIVING, BATH])
        cold_k = outdoor_c - self._setpoint_c
        match kind:
            case "window":
                self._visits.append(Visit(place, rng.randrange(5, 40), 0.6 * cold_k, lag_min=8.0))
            case "shower":
                self._bath_humid = 99.5
                self._visits.append(Visit(BATH, 25, 2.5, lag_min=10.0))
            case "sun":
                self._visits.append(Visit(place, rng.randrange(20, 120), 6.0, lag_min=6.0, flickers=True))
            case "draught":
                self._visits.append(Visit(place, 30, -1.5, lag_min=1.0, flickers=True))
            case "stove":
                self._visits.append(Visit(LIVING, 180, 6.0, lag_min=40.0))
            case "sauna":
                self._visits.append(Visit(BATH, 90, 45.0, lag_min=12.0))
            case "outdoors":
                self._visits.append(Visit(rng.choice([PROBE, LIVING]), rng.randrange(20, 180), cold_k, lag_min=0.01))
            case "moved":
                self._visits.append(Visit(rng.choice([BOARD, LIVING]), rng.randrange(600), rng.uniform(-4, 4), 0.01))

    # Physics.

    def _move_air(self, hour: float, outdoor_c: float) -> None:
        is_day = HEATED_HOURS[0] <= hour < HEATED_HOURS[1] and not self.is_quiet
        heated_c = self._setpoint_c if is_day else 12.0 if self.is_quiet else self._setpoint_c - 3.0
        floating_c = outdoor_c + 6.0
        wanted_c = max(heated_c, floating_c) + 0.25 * math.sin(self.minute / 6.0) * (heated_c > floating_c)
        for place, air_c in self._air.items():
            rises = wanted_c > air_c
            self._air[place] = air_c + (wanted_c - air_c) / (
                (90.0 if rises else 900.0) if not self.is_quiet else 3600.0
            )
        is_hot = is_day and heated_c > floating_c and self.minute % PUMP_CYCLE_MIN < PUMP_ON_MIN
        flow_c = 62.0 if hour < HOT_WATER_HOURS else 45.0 if is_hot else self._air[PROBE]
        self._pipe_c += (flow_c - self._pipe_c) * (0.4 if flow_c > self._pipe_c else 0.05)
        rng = self._rng
        self._humid += (45.0 - self._humid) * 0.001 + rng.gauss(0.0, 0.05)
        self._bath_humid += (self._humid - self._bath_humid) * 0.03
        self._hpa += (1010.0 - self._hpa) * 0.0002 + rng.gauss(0.0, 0.02)
        self._load_min -= 1
        if self._load_min <= 0:
            self._load = rng.choice([0.0, 0.05, 0.3, 0.6, 1.0]) if not self.is_quiet else 0.02
            self._load_min = rng.choice([10, 30, 60, 240, 720])
        self._inside = self._case.advance(self._inside, self._load, 60.0)

    def _measure(self) -> list[Raw]:
        sensors, extra, air = self._sensors, self._extra, self._air
        room_c = air[BOARD] + extra[BOARD]
        inside_c = room_c + self._inside.rise_k if self._is_in_case else room_c
        values: list[Raw] = [
            (HUB, CPU, T, round(self._inside.cpu_c(room_c) + self._rng.gauss(0.0, 0.3), 1)),
            (HUB, BOARD, T, sensors[BOARD].measure(inside_c)),
            (HUB, PROBE, T, sensors[PROBE].measure(air[PROBE] + extra[PROBE])),
            (HUB, PIPE, T, sensors[PIPE].measure(self._pipe_c)),
        ]
        self._report(values, LIVING, air[BOARD] + extra[LIVING])
        is_reported = self._report(values, BATH, air[BATH] + extra[BATH])
        if is_reported:
            values.append((BATH, "", RH, round(min(102.0, 1.01 * self._bath_humid), 2)))
        if self.minute % REPORT_MIN == 0:
            values.append((HUB, BOARD_RH, RH, sensors[BOARD_RH].measure(self._humid)))
            values.append((HUB, BOARD_P, P, sensors[BOARD_P].measure(self._hpa)))
        return values

    def _report(self, values: list[Raw], device: str, air_c: float) -> bool:
        """Report on a change and at a heartbeat, as Zigbee thermometers do; return whether it did."""
        value = self._sensors[device].measure(air_c)
        last = self._reported.get(device)
        if last is not None and abs(value - last[0]) < REPORT_K and self.minute - last[1] < HEARTBEAT_MIN:
            return False
        self._reported[device] = (value, self.minute)
        values.append((device, "", T, value))
        return True


class Episode(msgspec.Struct, frozen=True):
    """A sensor that was believed is doubted: in which of the home's minutes, and what is said of it."""

    minute: int
    text: str


class FleetWatch:
    """Judges readings as a hub does, and counts what it thinks of them.

    Attributes:
        judge_: The judge.
        episodes: When a sensor that was believed was not any more, and what was said.
        unconfirmed: Readings that had to be confirmed by the next ones.
    """

    def __init__(self, *, in_case: Sequence[str], rooms: Sequence[Sequence[str]]) -> None:
        offsets: dict[str, Offset] = {}
        self.judge_ = SensorJudge(
            in_case=frozenset(in_case), rooms=rooms, offsets=lambda: offsets, devices=dict[str, str]
        )
        self._checks: dict[tuple[str, str, SensorKind], PlausibilityCheck] = {}
        self._doubted: set[tuple[str, str, SensorKind]] = set()
        self.episodes: list[Episode] = []
        self.unconfirmed = 0

    def judge(self, values: Sequence[Raw], at_ms: int) -> list[Reading]:
        """Return the readings of these values."""
        judged = []
        for device, sensor, kind, value in values:
            key = (device, sensor, kind)
            check = self._checks.get(key)
            if check is None:
                limits = CHIP_TEMPERATURE if sensor == CPU else None
                check = self._checks[key] = PlausibilityCheck(kind, limits)
            quality, reason = check.check(value, at_ms)
            reading = self.judge_.judge(Reading(device, sensor, kind, value, at_ms, quality, reason))
            judged.append(reading)
            self._count(key, reading, value)
        return judged

    def _count(self, key: tuple[str, str, SensorKind], reading: Reading, value: float) -> None:
        if reading.quality is Quality.BAD:
            self.unconfirmed += 1
            return
        text = reading.reason or self.told(key, value)
        if text and key not in self._doubted:
            self._doubted.add(key)
            self.episodes.append(Episode(reading.at_ms // MINUTE_MS, f"{key[0] or key[1]}: {text}"))
        elif not text:
            self._doubted.discard(key)

    def told(self, key: tuple[str, str, SensorKind], value: float) -> str:
        """Return what is reported of a sensor that is believed; that a value over 100 % is one is no false alarm."""
        note = self.judge_.notes.get(key)
        return note.doubt if note is not None and not (key[2] is RH and value > SATURATED) else ""
