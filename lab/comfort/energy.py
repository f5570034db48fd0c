"""Compares the energy of two laws as if both had kept the same mean temperature and left the same heat in the house.

    python -m lab.comfort.energy --half held-out --seeds 1 2

prints the hub's energy beside that of hysteresis of 0.3 K at a constant setpoint, house by house. A law that keeps a
room 0.05 K warmer uses more for it, and one that ends with a pulse leaves heat in floor and walls, which the next day
saves: each is up to some per cent in three days, and no merit of a law.
"""

import sys
from argparse import ArgumentParser
from itertools import product
from typing import Final

from hal.sim.house_design import HouseDesign
from hal.sim.houses import HOUSES
from hal.sim.sensor_habits import TENTHS
from hal.sim.weather_patterns import PATTERNS, SUMMER_HEAT, WeatherPattern
from lab.comfort.runner import Case, ConstantResult, Law, controller_for, run_constant

RAISED_K: Final = 0.5
"""The other law is run once more this far from the setpoint, to see what a kelvin costs this house in this weather. A
multiple of the steps of the sensors: else its thresholds would lie elsewhere between them."""

WINTERS: Final = tuple(pattern for pattern in PATTERNS if pattern is not SUMMER_HEAT)


def energy_share(result: ConstantResult, other: ConstantResult, raised: ConstantResult) -> float:
    """Return the energy of a law as share of what another one would have used at the same mean temperature.

    Args:
        result: Of the law.
        other: Of the other one, in the same house and weather.
        raised: Of the other one when it is asked for another temperature.
    """
    moved_k = raised.mean_k - other.mean_k
    per_k = (raised.settled_kwh - other.settled_kwh) / moved_k if moved_k else 0.0
    return result.settled_kwh / (other.settled_kwh + per_k * (result.mean_k - other.mean_k))


def weathers(design: HouseDesign, seed: int) -> tuple[WeatherPattern, ...]:
    """Return the weathers of a house and seed: one winter, and summer where it can be cooled."""
    winter = WINTERS[seed % len(WINTERS)]
    return (winter, SUMMER_HEAT) if design.is_cooled else (winter,)


def row(case: Case) -> str:
    """Return a line of the table: energy as used, how much warmer the room was, and energy at the same mean."""
    hub = run_constant(case, Law.HUB, controller_for(Law.HUB, case))
    other = run_constant(case, Law.HYSTERESIS_03)
    raised = run_constant(case, Law.HYSTERESIS_03, raised_k=RAISED_K)
    used = hub.used_kwh / other.used_kwh - 1.0
    warmer_k = hub.mean_k - other.mean_k
    share = energy_share(hub, other, raised) - 1.0
    name = f"{case.design.name:18s} {case.pattern.name:11s} {case.seed:3d}"
    return f"{name} {used:+8.1%} {warmer_k:+8.2f} K {share:+12.1%}\n"


def main() -> None:
    """Print the hub's energy beside that of hysteresis of 0.3 K."""
    parser = ArgumentParser(prog="python -m lab.comfort.energy", description=main.__doc__)
    parser.add_argument("--half", choices=["tuning", "held-out"], default="tuning")
    parser.add_argument("--houses", nargs="+", choices=list(HOUSES), help="in place of a half")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--days", type=int, default=3, help="measured, after two others")
    options = parser.parse_args()
    half = [design.name for design in HOUSES.values() if design.is_held_out is (options.half == "held-out")]
    sys.stdout.write(f"{'energy':34s} {'as used':>8s} {'warmer by':>10s} {'at its mean':>12s}\n")
    for name, seed in product(options.houses or half, options.seeds):
        for pattern in weathers(HOUSES[name], seed):
            case = Case(design=HOUSES[name], pattern=pattern, habit=TENTHS, seed=seed, days=options.days)
            sys.stdout.write(row(case))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
