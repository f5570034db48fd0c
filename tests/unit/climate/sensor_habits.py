"""Sensors as people have them: habits of reporting, between a true temperature and what the controller is given."""

import math
import random

import msgspec

from agent.climate.controller import ClimateController
from agent.climate.fusion import SensorReading
from agent.climate.model import Setpoints
from agent.climate.settings import ClimateSettings, Emitter, ZoneSettings, pi_settings_for
from agent.climate.snapshot import ClimateSnapshot
from agent.foundation.clock import Now
from hal.interface import HvacAction

from .single_zone_home import House

DAY_MIN = 1440


class Habit(msgspec.Struct, frozen=True, kw_only=True):
    """When and how a sensor reports.

    Attributes:
        every_s: It reports at this interval; 0 for a sensor that reports on change only.
        change_k: It also reports when its value has changed by this much; 0 for never.
        apart_s: At least this long after its last report.
        lost_share: The share of its reports that is lost on the air.
        resolution_k: The step of its value.
        noise_k: The standard deviation of its noise.
        lag_s: The time in which it follows the air.
    """

    every_s: float = 0.0
    change_k: float = 0.0
    apart_s: float = 0.0
    lost_share: float = 0.0
    resolution_k: float = 0.01
    noise_k: float = 0.0
    lag_s: float = 0.0


class HabitualSensor:
    """A sensor with a habit.

    Attributes:
        reading: What the controller sees; `None` before the first report.
        is_dead: It reports no more.
    """

    def __init__(self, habit: Habit, seed: int) -> None:
        self.habit, self.is_dead = habit, False
        self.reading: SensorReading | None = None
        self._random = random.Random(seed)
        self._felt_c: float | None = None
        self._sent: tuple[int, float] | None = None

    def look(self, now_ms: int, air_c: float, dt_s: float) -> None:
        """Let some time pass at a true temperature."""
        habit = self.habit
        share = 1.0 if self._felt_c is None or not habit.lag_s else min(1.0, dt_s / habit.lag_s)
        before_c = air_c if self._felt_c is None else self._felt_c
        self._felt_c = before_c + share * (air_c - before_c)
        value_c = self._felt_c + self._random.gauss(0.0, habit.noise_k)
        value_c = round(round(value_c / habit.resolution_k) * habit.resolution_k, 4)
        if self.is_dead:
            return
        if self._sent is not None:
            since_s = (now_ms - self._sent[0]) / 1000
            is_due = bool(habit.every_s) and since_s >= habit.every_s
            has_changed = bool(habit.change_k) and abs(value_c - self._sent[1]) >= habit.change_k - 1e-9
            if not is_due and not (has_changed and since_s >= habit.apart_s):
                return
        is_first = self._sent is None
        self._sent = (now_ms, value_c)
        if is_first or self._random.random() >= habit.lost_share:
            self.reading = SensorReading(value_c, now_ms)


class HabitualHome:
    """A heated zone whose only sensor has a habit, minute by minute, in weather with days, nights and spells.

    Attributes:
        sensor: Its sensor.
        house: The true house.
        lost: For each time that a working sensor was called lost: when, in minutes, and why.
        noticed_min: When the death of the sensor was noticed; `None` before.
        error_k: The mean distance of the true temperature from the setpoint of 20 °C, without the first day.
    """

    def __init__(
        self, habit: Habit, house: House, *, emitter: Emitter = Emitter.RADIATOR, seed: int = 1, swing_k: float = 4.0
    ) -> None:
        zone = ZoneSettings(
            zone_id="z", sensors=(("t", 1.0),), law=pi_settings_for(emitter, is_shared=False, min_on_s=180.0)
        )
        self.control = ClimateController(ClimateSettings(zones=(zone,)), ClimateSnapshot(), Now("b", 0, None))
        program = msgspec.structs.replace(self.control.zones["z"].program, setpoints=Setpoints(20.0, 30.0))
        self.control.set_program("z", program)
        self.sensor, self.house = HabitualSensor(habit, seed), house
        self.minute = 0
        self.lost: list[tuple[int, str]] = []
        self.noticed_min: int | None = None
        self._outside_c, self._swing_k, self._spell_k = house.outside_c, swing_k, 0.0
        self._random = random.Random(seed)
        self._is_on = self._was_lost = False
        self._errors_k: list[float] = []

    @property
    def error_k(self) -> float:
        return sum(self._errors_k) / len(self._errors_k)

    def run(self, days: float) -> None:
        """Let some days pass."""
        for _ in range(round(days * DAY_MIN)):
            self.minute += 1
            self._spell_k += self._random.gauss(0.0, 0.12) - self._spell_k / (2 * DAY_MIN)
            day_k = self._swing_k * math.sin(2.0 * math.pi * self.minute / DAY_MIN)
            self.house.outside_c = self._outside_c + day_k + self._spell_k
            self.house.advance(is_on=self._is_on, dt_s=60.0)
            now = Now("b", self.minute * 60_000, None)
            self.sensor.look(now.now_ms, self.house.air_c, 60.0)
            reading = self.sensor.reading
            made = self.control.step(now, {} if reading is None else {"t": reading})
            self._is_on = made.demand.zones["z"] is HvacAction.HEAT
            is_lost = made.state.zones[0].lost_since_ms is not None
            if is_lost and not self._was_lost and not self.sensor.is_dead:
                self.lost.append((self.minute, made.reasons[0]))
            if is_lost and self.sensor.is_dead and self.noticed_min is None:
                self.noticed_min = self.minute
            self._was_lost = is_lost
            if self.minute > DAY_MIN:
                self._errors_k.append(abs(self.house.air_c - 20.0))
