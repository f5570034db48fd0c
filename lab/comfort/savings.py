"""What a proposed schedule saves in simulated houses, by Energy Star's runtime method, beside what the hub promised.

    python -m lab.comfort.savings

The method (EPA, "ENERGY STAR Connected Thermostats: method to demonstrate field savings", 2016) compares the
heating demand of a period with that of a thermostat that keeps the comfort temperature, the 90th percentile of the
temperatures inside, all day. A day's demand is the hourly mean of inside minus outside above an offset, with the
offset at which the demand explains the days' run time best. What two schedules save against each other is that of one
baseline. EPA's own program, the package `thermostat`, is the yardstick of this file: `make energy-star`.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from math import inf
from statistics import fmean
from typing import Final

import msgspec

from agent.apis.aurra_home.optimization import OptimizeMode, propose
from agent.climate.model import Block, Schedule, ZoneProgram
from agent.climate.optimum_start import LearnedDynamics
from hal.sim.house_model import HouseModel
from hal.sim.houses import HOUSES
from hal.sim.sensor_habits import TENTHS
from hal.sim.weather_patterns import COLD_CLEAR
from lab.comfort.control import HubControl, Situation
from lab.comfort.runner import DAY_MINUTES, HEAT_SETPOINT_C, Case, ComfortHome

DAY_HOURS: Final = 24
HOUR_MINUTES: Final = 60

CORE_RUNTIME_H: Final = 0.5
"""A core heating day has at least so much run time (the method's section on core days)."""

COMFORT_SHARE: Final = 0.9
"""The comfort temperature is this quantile of the temperatures inside."""

OFFSETS_K: Final = tuple(step / 4 for step in range(-20, 61))
"""Where the offset is looked for first: sun and people warm a house by 15 K at most."""

FINE_OFFSETS_K: Final = tuple(step / 100 for step in range(-25, 26))
"""Where it is looked for then, around the best of those."""

WEEK: Final = Schedule(
    "week",
    (Block("Day", "06:00", "22:00", HEAT_SETPOINT_C, 28.0), Block("Night", "22:00", "06:00", 19.0, 28.0)),
)
LEARNING_DAYS: Final = 5
JUDGED_DAYS: Final = 7


class RuntimeDay(msgspec.Struct, frozen=True):
    """One day of a thermostat.

    Attributes:
        runtime_h: Hours of full output.
        inside_c: The mean of each hour.
        outside_c: Likewise.
    """

    runtime_h: float
    inside_c: tuple[float, ...]
    outside_c: tuple[float, ...]

    def demand_k(self, offset_k: float, inside_c: float | None = None) -> float:
        """Return the demand of the day; with a constant temperature inside, if one is given."""
        return fmean(
            max(0.0, (inner if inside_c is None else inside_c) - outer - offset_k)
            for inner, outer in zip(self.inside_c, self.outside_c, strict=True)
        )


def core_days(days: Sequence[RuntimeDay]) -> list[RuntimeDay]:
    """Return the core heating days."""
    return [day for day in days if day.runtime_h >= CORE_RUNTIME_H]


def offset_of(days: Sequence[RuntimeDay]) -> float:
    """Return the offset at which the demand explains the run time with the least squares."""
    coarse_k = min(OFFSETS_K, key=lambda offset_k: _squared_error(days, offset_k))
    return min((coarse_k + fine_k for fine_k in FINE_OFFSETS_K), key=lambda offset_k: _squared_error(days, offset_k))


def _squared_error(days: Sequence[RuntimeDay], offset_k: float) -> float:
    """Return what the demand leaves unexplained, where all days together have the run time that they had."""
    demands = [day.demand_k(offset_k) for day in days]
    total = sum(demands)
    if not total:
        return inf
    hours_per_k = sum(day.runtime_h for day in days) / total
    return sum((day.runtime_h - hours_per_k * demand) ** 2 for day, demand in zip(days, demands, strict=True))


def comfort_c(days: Sequence[RuntimeDay]) -> float:
    """Return the comfort temperature."""
    values = sorted(value for day in days for value in day.inside_c)
    at, share = divmod(COMFORT_SHARE * (len(values) - 1), 1.0)
    lower = values[int(at)]
    return lower + share * (values[min(int(at) + 1, len(values) - 1)] - lower)


def savings_share(days: Sequence[RuntimeDay], baseline_c: float | None = None) -> float:
    """Return which share of the run time of a constant temperature is saved.

    Args:
        days: Of the thermostat; at least one is a core heating day.
        baseline_c: The constant temperature, where it is not the days' own comfort temperature.

    Raises:
        ValueError: There is no core heating day.
    """
    core = core_days(days)
    if not core:
        raise ValueError("no core heating day")
    offset_k, at_c = offset_of(core), comfort_c(core) if baseline_c is None else baseline_c
    return 1.0 - sum(day.demand_k(offset_k) for day in core) / sum(day.demand_k(offset_k, at_c) for day in core)


class Judged(msgspec.Struct, frozen=True):
    """A proposal in one house.

    Attributes:
        promised: By the hub, as a share.
        by_method: By the runtime method.
        by_runtime: By the run time itself, in the same weather: what is true.
    """

    promised: float
    by_method: float
    by_runtime: float


def judge(name: str, mode: OptimizeMode) -> Judged:
    """Return how much a proposal saves in a house of one room."""
    case = Case(
        design=HOUSES[name], pattern=COLD_CLEAR, habit=TENTHS, seed=1, warm_up_days=LEARNING_DAYS, days=JUDGED_DAYS
    )
    before, learned, outside_c = _lived(case, WEEK)
    proposal = propose(WEEK, learned, mode, can_heat=True, outdoor_c=outside_c)
    after, _, _ = _lived(case, proposal.schedule)
    baseline_c = comfort_c(core_days(before))
    left = [1.0 - savings_share(days, baseline_c) for days in (before, after)]
    runtimes = [sum(day.runtime_h for day in days) for days in (before, after)]
    return Judged(proposal.savings_percent / 100.0, 1.0 - left[1] / left[0], 1.0 - runtimes[1] / runtimes[0])


def _lived(case: Case, schedule: Schedule) -> tuple[list[RuntimeDay], LearnedDynamics, float]:
    """Return the judged days of a house under the hub, what the hub had learned before them, and their mean outside."""
    (room,) = case.design.rooms
    program = ZoneProgram(schedules={"week": schedule}, schedule="week")
    control = HubControl(case.design, start_utc_ms=case.pattern.start_utc_ms, programs={room.name: program})
    home = ComfortHome(case, control)
    home.run(case.warm_up_days * DAY_MINUTES, HEAT_SETPOINT_C)
    learned = control.controller.zones[room.name].learned
    seen: list[tuple[float, float, float]] = []

    def look(house: HouseModel, _: Situation, calls: list[float]) -> None:
        seen.append((calls[0], house.air_c[0], house.outside_c))

    home.run(case.days * DAY_MINUTES, HEAT_SETPOINT_C, look)
    days = []
    for start in range(0, len(seen), DAY_MINUTES):
        minutes = seen[start : start + DAY_MINUTES]
        hours = [minutes[at : at + HOUR_MINUTES] for at in range(0, DAY_MINUTES, HOUR_MINUTES)]
        days.append(
            RuntimeDay(
                sum(call for call, _, _ in minutes) / HOUR_MINUTES,
                tuple(fmean(inside for _, inside, _ in hour) for hour in hours),
                tuple(fmean(outside for _, _, outside in hour) for hour in hours),
            )
        )
    return days, learned, fmean(outside for _, _, outside in seen)


def main() -> None:
    """Print what proposals save in simulated houses of one room."""
    parser = ArgumentParser(prog="python -m lab.comfort.savings", description=main.__doc__)
    parser.add_argument("--houses", nargs="+", default=["timber boiler", "bare brick", "old timber furnace"])
    lines = ["| House | mode | promised | runtime method | run time |", "|---|---|---|---|---|"]
    for name in parser.parse_args().houses:
        modes: tuple[OptimizeMode, ...] = ("balanced", "efficiency")
        for mode in modes:
            found = judge(name, mode)
            lines.append(f"| {name} | {mode} | {found.promised:.0%} | {found.by_method:.1%} | {found.by_runtime:.1%} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
