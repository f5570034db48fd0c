"""Small houses for mornings: an emitter, the air, inner and outer mass, weather, and a sensor in a case. Pure.

They share no code with `agent.climate.zone_model`, and have a node more: a model must prove itself on another one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import pi, sin
from random import Random
from statistics import fmean
from zoneinfo import ZoneInfo

from agent.climate.controller import ClimateController
from agent.climate.fusion import SensorReading
from agent.climate.model import Block, Schedule, ZoneProgram
from agent.climate.settings import ClimateSettings, ZoneSettings
from agent.climate.snapshot import ClimateSnapshot
from agent.foundation.clock import Now
from hal.interface import HvacAction

BERLIN = ZoneInfo("Europe/Berlin")
MIDNIGHT_MS = int(datetime(2026, 1, 12, 23, tzinfo=UTC).timestamp() * 1000)
WEEK = Schedule("w", (Block("Day", "06:00", "22:00", 21.0, 26.0), Block("Night", "22:00", "06:00", 17.0, 26.0)))
STEP_S = 30.0


@dataclass(frozen=True)
class House:
    """Heat capacities in MJ/K, conductances in W/K, power in W."""

    name: str
    power_w: float
    emitter_s: float
    air_mj: float = 1.0
    inner_mj: float = 5.0
    outer_mj: float = 6.0
    air_inner: float = 400.0
    air_outer: float = 450.0
    outer_out: float = 60.0
    air_out: float = 55.0
    radiant: float = 0.3


HOUSES = (
    House("timber", 4600.0, 700.0, inner_mj=2.0, outer_mj=1.5),
    House("brick", 7500.0, 2400.0, inner_mj=10.0, outer_mj=22.0, air_outer=500.0, outer_out=130.0, air_out=75.0),
    House("flat", 4500.0, 900.0, inner_mj=6.0, outer_mj=5.0),
    House("air", 11000.0, 120.0, air_mj=2.0, inner_mj=2.0, outer_mj=2.0, radiant=0.0),
    House("floor", 5200.0, 9000.0, radiant=0.5),
    House("panels", 5400.0, 420.0, inner_mj=4.0, radiant=0.4),
)


@dataclass
class Morning:
    """One morning: when 0.25 K below the target was reached, in minutes after it was due, and what followed.

    Attributes:
        sensor_min: By the sensor.
        air_min: By the air.
        over_k: The highest air temperature above the target.
        sag_k: The lowest one below it, from 45 min after it was due.
        kept_k: The mean distance from the target from half an hour to three hours after it was due.
        on_h: The hours of output since midnight.
    """

    sensor_min: float
    air_min: float
    over_k: float
    sag_k: float
    kept_k: float
    on_h: float


class Bench:
    """A house and its control."""

    def __init__(
        self,
        house: House,
        *,
        seed: int = 1,
        outside_c: float = -4.0,
        lag_s: float = 360.0,
        week: Schedule = WEEK,
        has_optimum_start: bool = True,
    ) -> None:
        self.house, self.week = house, week
        self.random = Random(seed)
        self.mean_out_c, self.lag_s = outside_c, lag_s
        self.at_s = 0.0
        self.emitted = 0.3
        self.air_c = self.inner_c = self.sensor_c = 21.0
        self.outer_c = 17.0
        self.on_s = 0.0
        self.has_optimum_start = has_optimum_start
        self.drift_c = 0.0
        self.settings = ClimateSettings(
            zones=(ZoneSettings(zone_id="z", sensors=(("s", 1.0),), has_optimum_start=has_optimum_start),)
        )
        self.control = ClimateController(self.settings, ClimateSnapshot(), self.now())
        self.control.set_program("z", ZoneProgram(schedules={"w": week}, schedule="w"))

    def now(self) -> Now:
        return Now("boot", 10_000_000 + round(self.at_s * 1000), MIDNIGHT_MS + round(self.at_s * 1000))

    def step(self) -> None:
        """Advance by one step."""
        house, hour = self.house, self.at_s / 3600 % 24
        if self.at_s % 86400 == 0:
            self.drift_c += self.random.gauss(0.0, 2.0) - 0.3 * self.drift_c
        out_c = self.mean_out_c + self.drift_c - 3.0 * sin((hour - 20.0) / 24 * 2 * pi + pi)
        gain_w = 150.0 + (900.0 * sin((hour - 8) / 9 * pi) if 8 < hour < 17 else 0.0)
        made = self.control.last
        is_on = made is not None and made.demand.zones["z"] is HvacAction.HEAT
        self.on_s += STEP_S if is_on else 0.0
        self.emitted += (is_on - self.emitted) * STEP_S / house.emitter_s
        heat_w = self.emitted * house.power_w
        to_inner = house.air_inner * (self.air_c - self.inner_c)
        to_outer = house.air_outer * (self.air_c - self.outer_c)
        air_w = heat_w * (1 - house.radiant) + gain_w - to_inner - to_outer - house.air_out * (self.air_c - out_c)
        self.air_c += air_w * STEP_S / house.air_mj / 1e6
        self.inner_c += (to_inner + heat_w * house.radiant / 2) * STEP_S / house.inner_mj / 1e6
        outer_w = to_outer + heat_w * house.radiant / 2 - house.outer_out * (self.outer_c - out_c)
        self.outer_c += outer_w * STEP_S / house.outer_mj / 1e6
        self.sensor_c += (self.air_c - self.sensor_c) * STEP_S / self.lag_s
        self.at_s += STEP_S
        value_c = round(self.sensor_c + self.random.gauss(0.0, 0.02), 1)
        now = self.now()
        self.control.step(now, {"s": SensorReading(value_c, now.now_ms)}, BERLIN)

    def run(self, until_s: float) -> None:
        """Run until a time."""
        while self.at_s < until_s:
            self.step()

    def mornings(self, count: int) -> Iterator[Morning]:
        """Yield the next mornings."""
        for _ in range(count):
            day = int(self.at_s // 86400)
            self.run(day * 86400)
            due_s = day * 86400 + 30 * 3600.0
            before_s = self.on_s
            self.run(due_s - 8 * 3600)
            sensor_min = air_min = 120.0
            over_k, sag_k = -9.0, 0.0
            kept: list[float] = []
            while self.at_s < due_s + 3 * 3600:
                self.step()
                minutes = (self.at_s - due_s) / 60
                sensor_min = minutes if sensor_min == 120 and self.sensor_c >= 20.75 and minutes > -240 else sensor_min
                air_min = minutes if air_min == 120 and self.air_c >= 20.75 and minutes > -240 else air_min
                if minutes > -60:
                    over_k = max(over_k, self.air_c - 21.0)
                if minutes > 30:
                    kept.append(self.air_c - 21.0)
                if minutes > 45:
                    sag_k = max(sag_k, 21.0 - self.air_c)
            yield Morning(sensor_min, air_min, over_k, sag_k, fmean(kept), (self.on_s - before_s) / 3600)
