"""Rooms heated by the hub's control after one thermometer that works or freezes: when it is taken to be stuck.

A fast model without a hub: air, walls and an emitter. Rooms differ in emitter, losses, power, sensor and habits.
"""

import math
import random
from collections.abc import Iterator

import msgspec

from agent.climate.controller import ClimateController
from agent.climate.fusion import SensorReading
from agent.climate.model import Setpoints
from agent.climate.settings import ClimateSettings, Emitter, ZoneSettings, pi_settings_for
from agent.climate.snapshot import ClimateSnapshot
from agent.foundation.clock import Now
from hal.interface import HvacAction

DAY_MIN = 1440
KNOWN_DAYS = 3
FROZEN_DAYS = 2
SETPOINT_C, SETBACK_C = 20.0, 17.0
MORNING_MIN, NIGHT_MIN, EVENING_MIN = 6 * 60, 22 * 60, 17 * 60
OCTOBER, WINTER = 274, (320, 410)
"""Days of a year, and of the next one: the first of October; the middle of November to that of February."""

AIR_J_PER_K, WALL_J_PER_K, AIR_TO_WALL_W_PER_K = 1.2e6, 1.2e7, 220.0
EMITTERS = {Emitter.RADIATOR: (6e4, 40.0), Emitter.FLOOR: (8e6, 120.0), Emitter.AIR: (1e4, 60.0)}
"""Heat capacity in J/K, and what it gives to the room in W/K."""


class Thermometer(msgspec.Struct, frozen=True):
    """A thermometer.

    Attributes:
        step_k: Its resolution.
        noise_k: Standard deviation of one reading.
        lag_min: Time constant.
        report_min: It reports so often.
        report_k: And only if it has changed by this, or half an hour has passed; 0 for each time.
    """

    step_k: float = 0.1
    noise_k: float = 0.0
    lag_min: float = 0.1
    report_min: int = 1
    report_k: float = 0.0


class HeatedRoom:
    """One room, minute by minute.

    Attributes:
        minute: Since the start.
        is_stuck: Control takes the thermometer to be stuck.
        frozen_c: What the thermometer shows whatever the room has; `None` while it works.
    """

    def __init__(
        self, seed: int, thermometer: Thermometer, emitter: Emitter, *, first_day: int, has_setback: bool
    ) -> None:
        """Make a room; all else follows from the seed.

        Args:
            seed: Of the room and its weather.
            thermometer: By which it is heated.
            emitter: What heats it.
            first_day: Of the year.
            has_setback: It is kept cooler at night.
        """
        rng = self._rng = random.Random(f"room/{seed}")
        law = pi_settings_for(emitter, is_shared=False, min_on_s=180.0)
        zone = ZoneSettings(zone_id="z", sensors=(("t", 1.0),), law=law, emitter=emitter.value)
        self._control = ClimateController(ClimateSettings(zones=(zone,)), ClimateSnapshot(), Now("b", 0, None))
        self._thermometer, self._first_day, self._has_setback = thermometer, first_day, has_setback
        self._emitter_j_per_k, self._emitter_w_per_k = EMITTERS[emitter]
        self._loss_w_per_k = rng.uniform(15.0, 40.0)
        self._power_w = (30.0 + self._loss_w_per_k) * rng.uniform(34.0, 60.0)
        self._air_c = self._wall_c = self._emitter_c = self._felt_c = 19.5
        self._weather_k, self._cloud, self._window_min = 0.0, 0.5, 0
        self._observed: dict[str, SensorReading] = {}
        self._is_on = self.is_stuck = False
        self.frozen_c: float | None = None
        self.minute = -1
        self._set(SETPOINT_C)

    def run(self, minutes: int) -> Iterator[None]:
        """Live on, a minute at a time."""
        for _ in range(minutes):
            self.minute += 1
            self._live()
            self._report()
            made = self._control.step(self._now(), self._observed)
            self._is_on = made.demand.zones["z"] is HvacAction.HEAT
            self.is_stuck = made.state.zones[0].stuck_sensor.is_stuck
            yield

    def _now(self) -> Now:
        return Now("b", self.minute * 60_000, None)

    def _set(self, setpoint_c: float) -> None:
        program = self._control.zones["z"].program
        self._control.set_program("z", msgspec.structs.replace(program, setpoints=Setpoints(setpoint_c, 30.0)))

    def _live(self) -> None:
        rng = self._rng
        day, of_day = divmod(self.minute, DAY_MIN)
        hour = of_day / 60.0
        if of_day == 0:
            self._cloud = rng.random()
        if self._has_setback and of_day in {MORNING_MIN, NIGHT_MIN}:
            self._set(SETPOINT_C if of_day == MORNING_MIN else SETBACK_C)
        if self._window_min == 0 and MORNING_MIN <= of_day < NIGHT_MIN and rng.random() < 1 / 900:
            self._window_min = rng.randrange(5, 30)
        self._window_min = max(0, self._window_min - 1)
        self._weather_k += -self._weather_k / 4000.0 + rng.gauss(0.0, 0.08)
        season = math.cos(((self._first_day + day) % 365 - 15) / 365 * math.tau)
        outdoor_c = 10.0 - 10.0 * season + 3.0 * math.sin((hour - 9.0) / 24.0 * math.tau) + self._weather_k
        sun_w = 900.0 * max(0.0, math.sin((hour - 8.0) / 9.0 * math.pi)) * self._cloud * (1.3 - season) / 2.0
        people_w = 150.0 if EVENING_MIN <= of_day < NIGHT_MIN else 0.0
        loss_w_per_k = 30.0 + (120.0 if self._window_min else 0.0)
        given_w = self._emitter_w_per_k * (self._emitter_c - self._air_c)
        wall_w = AIR_TO_WALL_W_PER_K * (self._air_c - self._wall_c)
        self._emitter_c += 60.0 * ((self._power_w if self._is_on else 0.0) - given_w) / self._emitter_j_per_k
        gain_w = given_w + sun_w + people_w - wall_w - loss_w_per_k * (self._air_c - outdoor_c)
        self._air_c += 60.0 * gain_w / AIR_J_PER_K
        self._wall_c += 60.0 * (wall_w - self._loss_w_per_k * (self._wall_c - outdoor_c)) / WALL_J_PER_K
        self._felt_c += (self._air_c - self._felt_c) * (1.0 - math.exp(-1.0 / self._thermometer.lag_min))

    def _report(self) -> None:
        thermometer = self._thermometer
        if self.minute % thermometer.report_min:
            return
        if self.frozen_c is None:
            seen_c = self._felt_c + self._rng.gauss(0.0, thermometer.noise_k)
            shown_c = round(seen_c / thermometer.step_k) * thermometer.step_k
        else:
            shown_c = self.frozen_c
        now, last = self._now(), self._observed.get("t")
        is_old = last is None or now.now_ms - last.at_ms >= 30 * 60_000
        if last is None or is_old or abs(shown_c - last.value_c) >= thermometer.report_k:
            self._observed = {"t": SensorReading(shown_c, now.now_ms)}


def varied_room(seed: int) -> HeatedRoom:
    """Return one of many rooms in which all works."""
    rng = random.Random(f"varied/{seed}")
    step_k = rng.choice([0.01, 1 / 16, 0.1, 0.1, 0.5])
    thermometer = Thermometer(
        step_k=step_k,
        noise_k=step_k * rng.choice([0.0, 0.2, 1.0]),
        lag_min=rng.choice([0.5, 3.0, 10.0]),
        report_min=rng.choice([1, 1, 5, 15]),
        report_k=rng.choice([0.0, 0.0, 0.3]),
    )
    emitter = rng.choice([Emitter.RADIATOR, Emitter.RADIATOR, Emitter.FLOOR, Emitter.AIR])
    return HeatedRoom(seed, thermometer, emitter, first_day=OCTOBER, has_setback=rng.random() < 1 / 2)


def frozen_min(seed: int, *, report_min: int) -> int | None:
    """Return after how many minutes a thermometer is found that froze below its setpoint in winter; `None` for never.

    It reports each so many minutes, before and after.
    """
    rng, thermometer = random.Random(seed), Thermometer(report_min=report_min)
    room = HeatedRoom(seed, thermometer, Emitter.RADIATOR, first_day=rng.randrange(*WINTER), has_setback=False)
    for _ in room.run(KNOWN_DAYS * DAY_MIN + rng.randrange(DAY_MIN)):
        pass
    room.frozen_c = SETPOINT_C - rng.uniform(0.4, 1.2)
    begun_min = room.minute
    for _ in room.run(FROZEN_DAYS * DAY_MIN):
        if room.is_stuck:
            return room.minute - begun_min
    return None


def false_alarms(seed: int, days: int) -> list[int]:
    """Return the minutes at which a thermometer that works was taken to be stuck."""
    room, found, was_stuck = varied_room(seed), [], False
    for _ in room.run(days * DAY_MIN):
        if room.is_stuck and not was_stuck:
            found.append(room.minute)
        was_stuck = room.is_stuck
    return found
