"""Measures comfort on the family of houses (`hal.sim.houses`): the hub's law beside hysteresis and TPI. Prints tables.

    python tests/bench/bench_comfort.py                               tuning half, three sensors, one seed
    python tests/bench/bench_comfort.py --half held-out --days 3 --seeds 1 2
    python tests/bench/bench_comfort.py --houses "floor pump" --habits continuous hourly --laws hub "hysteresis 0.3"

    python tests/bench/bench_comfort.py --half held-out --faults --days 0 --mornings 0 --seeds 1 2 --habits tenths
    python tests/bench/bench_comfort.py --half held-out --deaths 1 --days 0 --mornings 0 --habits "change 0.2 only"
    python tests/bench/bench_comfort.py --half held-out --windows --days 0 --mornings 0 --habits tenths

A row is one house in one weather: errors are means over the habits. Seed n takes the n-th winter weather unless
`--weathers` names them; houses with cooling get a row in summer as well. Columns: mean absolute error of the true air,
starts an hour of what costs (the shared source, else a room's own equipment), kWh used. A second table has the error
within reach: without the minutes in which no law could keep the setpoint (`lab.comfort.runner.minutes_within_reach`),
the same minutes for all laws, and beside it what is left with free starts, any level and a perfect sensor. Mornings
are those that full output from twelve hours before would make. `--faults` plants faults of equipment after
`--learning-days`.
`--deaths` lets sensors die after a week, in which none that works may be lost; its rows are by habit.
`--windows` opens windows after `--learning-days`, in each winter weather, and counts pauses on days without any window.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from itertools import product
from statistics import fmean, median

import msgspec

from hal.sim.house_design import HouseDesign
from hal.sim.houses import HOUSES
from hal.sim.sensor_habits import HABITS
from hal.sim.weather_patterns import PATTERNS, SUMMER_HEAT, WeatherPattern
from lab.comfort.control import settings_for
from lab.comfort.equipment_faults import TOLD_WITHIN_MINUTES, EquipmentFault, run_fault
from lab.comfort.mornings import run_mornings
from lab.comfort.open_windows import (
    NOTICED_WITHIN_MINUTES,
    OpeningResult,
    Quiet,
    QuietResult,
    Width,
    run_openings,
    run_quiet_days,
)
from lab.comfort.outdoor_sensor import Placement
from lab.comfort.runner import Case, ConstantResult, Law, controller_for, minutes_within_reach, run_constant
from lab.comfort.sensor_deaths import HOURS, minutes_allowed, run_deaths

HALF = 0.5
"""The goal of issue 16: the error beside that of hysteresis of 0.3 K."""

WINTERS = tuple(pattern for pattern in PATTERNS if pattern is not SUMMER_HEAT)


def designs(options: argparse.Namespace) -> list[HouseDesign]:
    """Return the chosen houses."""
    if options.houses:
        return [HOUSES[name] for name in options.houses]
    halves = {"tuning": (False,), "held-out": (True,), "all": (False, True)}[options.half]
    return [design for design in HOUSES.values() if design.is_held_out in halves]


def patterns(options: argparse.Namespace, design: HouseDesign, seed: int) -> list[WeatherPattern]:
    """Return the weathers of a house and seed."""
    if options.weathers:
        return [pattern for pattern in PATTERNS if pattern.name in options.weathers]
    winter = WINTERS[seed % len(WINTERS)]
    return [winter, SUMMER_HEAT] if design.is_cooled and not options.no_cooling else [winter]


def constant_rows(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Yield for each house, weather and seed what each law makes of a constant setpoint, as means over the habits."""
    habits = [habit for habit in HABITS if habit.name in options.habits]
    for design in designs(options) if options.days else ():
        for seed in options.seeds:
            for pattern in patterns(options, design, seed):
                results: dict[str, list[ConstantResult]] = {law: [] for law in options.laws}
                cases = [
                    Case(
                        design=design,
                        pattern=pattern,
                        habit=habit,
                        seed=seed,
                        warm_up_days=options.warm_up_days,
                        days=options.days,
                        outdoor=Placement(options.outdoor_sensor),
                    )
                    for habit in habits
                ]
                reach = None if options.no_reach else minutes_within_reach(cases[0])
                settings = settings_for(design, min_on_s=options.min_on_s)
                for case in cases:
                    for law in options.laws:
                        controller = controller_for(
                            Law(law),
                            case,
                            tick_s=options.tick_s,
                            settings=settings,
                            held_tolerance_k=options.tolerance_k,
                        )
                        results[law].append(run_constant(case, Law(law), controller, reach=reach))
                yield {
                    "house": design.name,
                    "weather": pattern.name,
                    "seed": seed,
                    "beyond_share": round(reach.beyond_share, 3) if reach else None,
                    "least_error_k": round(reach.error_k, 3) if reach else None,
                    "laws": {law: summary(each) for law, each in results.items()},
                }


def summary(results: Sequence[ConstantResult]) -> dict[str, float | None]:
    """Return the means of some results, and the sums of faults and minutes lost."""
    within_k = [result.reachable_error_k for result in results if result.reachable_error_k is not None]
    return {
        "reachable_error_k": round(fmean(within_k), 3) if within_k else None,
        "error_k": round(fmean(result.error_k for result in results), 3),
        "mean_k": round(fmean(result.mean_k for result in results), 3),
        "starts_per_h": round(fmean(result.starts_per_h for result in results), 2),
        "kwh_per_kkh": round(fmean(result.corrected_kwh for result in results), 2),
        "used_kwh": round(fmean(result.used_kwh for result in results), 1),
        "coldest_c": round(min(result.coldest_c for result in results), 1),
        "faults": sum(result.faults for result in results),
        "lost_minutes": sum(result.lost_minutes for result in results),
    }


def print_constant(rows: Sequence[dict[str, object]], laws: Sequence[str]) -> None:
    """Print error (K), starts an hour and kWh of each law; of the hub also false faults and minutes called lost."""
    print(f"{'constant setpoint':34s} " + " ".join(f"{law:>22s}" for law in laws) + "   hub: faults, lost min")
    for row in rows:
        by_law = msgspec.convert(row["laws"], dict[str, dict[str, float | None]])
        cells = [
            f"{each['error_k']:.2f} K {each['starts_per_h']:5.2f}/h {each['used_kwh']:5.1f}" for each in by_law.values()
        ]
        hub = by_law.get(Law.HUB, {})
        print(
            f"{row['house']!s:18s} {row['weather']!s:11s} {row['seed']!s:>3s} "
            + " ".join(f"{cell:>22s}" for cell in cells)
            + f"   {hub.get('faults', 0):.0f} {hub.get('lost_minutes', 0):.0f}",
            flush=True,
        )


def print_reach(rows: Sequence[dict[str, object]], laws: Sequence[str]) -> None:
    """Print the errors of the minutes in which the house can have its setpoint, and how often the goal is kept."""
    known_rows = [row for row in rows if row["beyond_share"] is not None]
    if known_rows:
        print(f"{'error within reach':34s} {'beyond':>7s} {'least':>7s} " + " ".join(f"{law:>15s}" for law in laws))
    for row in known_rows:
        errors_k = [law_errors_k(row, law)[1] for law in laws]
        cells = ["-" if each_k is None else f"{each_k:.2f} K" for each_k in errors_k]
        print(
            f"{row['house']!s:18s} {row['weather']!s:11s} {row['seed']!s:>3s} {row['beyond_share']:7.0%}"
            f" {row['least_error_k']:5.2f} K " + " ".join(f"{cell:>15s}" for cell in cells),
            flush=True,
        )
    if Law.HUB not in laws or Law.HYSTERESIS_03 not in laws:
        return
    for number, name in enumerate(("of all minutes", "within reach")):
        pairs = [(law_errors_k(row, Law.HUB)[number], law_errors_k(row, Law.HYSTERESIS_03)[number]) for row in rows]
        known = [(hub_k, other_k) for hub_k, other_k in pairs if hub_k is not None and other_k is not None]
        if not known:
            continue
        halved = sum(hub_k <= HALF * other_k for hub_k, other_k in known)
        worse = sum(hub_k > other_k for hub_k, other_k in known)
        print(f"error {name}: at most half of {Law.HYSTERESIS_03} in {halved} of {len(known)}, larger in {worse}")


def law_errors_k(row: dict[str, object], law: str) -> tuple[float | None, float | None]:
    """Return the error of a law in all minutes, and in those within reach."""
    result = msgspec.convert(row["laws"], dict[str, dict[str, float | None]])[law]
    return result["error_k"], result["reachable_error_k"]


def morning_rows(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Yield for each house and seed what the hub makes of its mornings, over all habits."""
    habits = [habit for habit in HABITS if habit.name in options.habits]
    for design in designs(options) if options.mornings else ():
        for seed in options.seeds:
            for pattern in patterns(options, design, seed):
                if pattern is SUMMER_HEAT:
                    continue
                results = [
                    run_mornings(
                        Case(
                            design=design,
                            pattern=pattern,
                            habit=habit,
                            seed=seed,
                            warm_up_days=options.learning_days,
                            days=options.mornings,
                            outdoor=Placement(options.outdoor_sensor),
                        )
                    )
                    for habit in habits
                ]
                counted = [morning for result in results for morning in result.counted]
                missed = [sum(numbers) for numbers in zip(*(each.late_and_early() for each in results), strict=True)]
                yield {
                    "house": design.name,
                    "weather": pattern.name,
                    "seed": seed,
                    "mornings": len(counted),
                    "by_sensor": sum(result.in_time(by_sensor=True) for result in results),
                    "by_air": sum(result.in_time(by_sensor=False) for result in results),
                    "missed": missed,
                    "median_min": median(morning.true_min for morning in counted) if counted else 0.0,
                    "overshoot_k": round(fmean(morning.overshoot_k for morning in counted), 2) if counted else 0.0,
                    "impossible": sum(not morning.is_possible for each in results for morning in each.mornings),
                    "faults": sum(result.faults for result in results),
                    "lost_minutes": sum(result.lost_minutes for result in results),
                    "starts_per_h": round(fmean(result.starts_per_h for result in results), 2),
                }


def print_mornings(rows: Sequence[dict[str, object]]) -> None:
    """Print how many mornings of those that the house can make were reached within ten minutes."""
    print(
        f"{'setback 17/21':34s} {'mornings':>8s} {'by sensor':>9s} {'by air':>6s} {'median':>8s} {'overshoot':>9s}"
        "   impossible, faults, lost min, starts/h"
    )
    missed: list[list[int]] = []
    for row in rows:
        print(
            f"{row['house']!s:18s} {row['weather']!s:11s} {row['seed']!s:>3s} {row['mornings']!s:>8s}"
            f" {row['by_sensor']!s:>9s} {row['by_air']!s:>6s} {row['median_min']!s:>4s} min {row['overshoot_k']!s:>6s}K"
            f"   {row['impossible']} {row['faults']} {row['lost_minutes']} {row['starts_per_h']}",
            flush=True,
        )
        missed.append(msgspec.convert(row["missed"], list[int]))
    if missed:
        late, early, unheated = (sum(numbers) for numbers in zip(*missed, strict=True))
        print(
            f"by the sensor {late} late, {early} early, {unheated} of them without any heat in the twelve hours before"
        )


def fault_rows(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Yield for each house, winter weather, seed and habit when the hub reports each planted fault."""
    for design in designs(options) if options.faults else ():
        for seed in options.seeds:
            for pattern in patterns(options, design, seed):
                if pattern is SUMMER_HEAT:
                    continue
                for habit in [habit for habit in HABITS if habit.name in options.habits]:
                    case = Case(
                        design=design, pattern=pattern, habit=habit, seed=seed, warm_up_days=options.learning_days
                    )
                    for fault in EquipmentFault:
                        result = run_fault(case, fault)
                        yield {
                            "house": design.name,
                            "weather": pattern.name,
                            "seed": seed,
                            "habit": habit.name,
                            "fault": fault.value,
                            "told_after_min": result.told_after_min,
                            "false_before": result.false_before,
                            "fallen_k": round(result.fallen_k, 2),
                        }


def print_faults(rows: Sequence[dict[str, object]], learning_days: int) -> None:
    """Print when each planted fault was reported, and how many problems were reported before it."""
    told = false = healthy = 0
    for row in rows:
        minutes = msgspec.convert(row["told_after_min"], int | None)
        told += minutes is not None and minutes <= TOLD_WITHIN_MINUTES
        if row["fault"] == EquipmentFault.VALVE:
            # The time before is the same for each fault.
            healthy += learning_days
            false += msgspec.convert(row["false_before"], int)
        print(
            f"{row['house']!s:18s} {row['weather']!s:11s} {row['seed']!s:>3s} {row['habit']!s:12s} {row['fault']!s:12s}"
            f" {'not reported' if minutes is None else f'{minutes} min':>12s}, {row['fallen_k']} K below",
            flush=True,
        )
    if rows:
        print(
            f"told within {TOLD_WITHIN_MINUTES} min: {told} of {len(rows)}; false before:"
            f" {false} in {healthy / 7:.1f} house-weeks"
        )


def death_rows(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Yield for each habit how its sensors were judged in a week of each house and seed, and how they died after it."""
    hours = HOURS[: options.deaths]
    for habit in HABITS if hours else ():
        if habit.name not in options.habits:
            continue
        results = [
            run_deaths(Case(design=design, pattern=pattern, habit=habit, seed=seed, warm_up_days=7), hours)
            for design in designs(options)
            for seed in options.seeds
            for pattern in patterns(options, design, seed)
        ]
        noticed = [minutes for result in results for minutes in result.noticed_min]
        known = [minutes for minutes in noticed if minutes is not None]
        allowed_min = minutes_allowed(habit)
        yield {
            "habit": habit.name,
            "house_weeks": len(results),
            "lost_minutes": sum(result.lost_minutes for result in results),
            "lost_in": sum(result.lost_minutes > 0 for result in results),
            "deaths": len(noticed),
            "allowed_min": allowed_min,
            "in_time": sum(minutes <= allowed_min for minutes in known),
            "not_noticed": len(noticed) - len(known),
            "median_min": median(known) if known else None,
            "worst_min": max(known, default=None),
        }


def print_deaths(rows: Sequence[dict[str, object]]) -> None:
    """Print how often working sensors were lost, and how soon dead ones were noticed."""
    print(f"{'dead sensors':18s} house-weeks  lost min (in)  deaths  in time (allowed)  median  worst  not within 8 h")
    for row in rows:
        print(
            f"{row['habit']!s:18s} {row['house_weeks']!s:>11s}  {row['lost_minutes']!s:>8s} ({row['lost_in']})"
            f"  {row['deaths']!s:>6s}  {row['in_time']!s:>7s} ({row['allowed_min']} min)  {row['median_min']!s:>6s}"
            f"  {row['worst_min']!s:>5s}  {row['not_noticed']}",
            flush=True,
        )


def window_rows(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Yield for each house, winter weather, seed and habit what the hub made of windows, and its false pauses."""
    winters = [pattern for pattern in WINTERS if not options.weathers or pattern.name in options.weathers]
    habits = [habit for habit in HABITS if habit.name in options.habits]
    for design in designs(options) if options.windows else ():
        for seed, pattern, habit in product(options.seeds, winters, habits):
            case = Case(
                design=design,
                pattern=pattern,
                habit=habit,
                seed=seed,
                warm_up_days=options.learning_days,
                outdoor=Placement(options.outdoor_sensor),
            )
            yield {
                "house": design.name,
                "weather": pattern.name,
                "seed": seed,
                "habit": habit.name,
                "openings": msgspec.to_builtins(list(run_openings(case))),
                "quiet": msgspec.to_builtins(run_quiet_days(case)),
            }


def print_windows(rows: Sequence[dict[str, object]]) -> None:
    """Print how soon windows were noticed by house, weather, habit and width, and the false pauses by kind of day."""
    if not rows:
        return
    print(
        f"{'windows':30s} noticed within {NOTICED_WITHIN_MINUTES} min, at all; median; minutes heated while open;"
        " median min until the pause is over after closing; coldest"
    )
    for key, width in product(("house", "weather", "habit", ""), Width):
        groups: dict[str, list[OpeningResult]] = {}
        for row in rows:
            openings = msgspec.convert(row["openings"], list[OpeningResult])
            groups.setdefault(str(row.get(key, "all")), []).extend(
                each for each in openings if each.opening.width is width
            )
        for name, results in groups.items():
            print_openings(f"{name:18s} {width.value:10s}", results)
    quiet = [each for row in rows for each in msgspec.convert(row["quiet"], list[QuietResult])]
    for kind in Quiet:
        days = [each for each in quiet if each.kind is kind]
        print(
            f"false pauses, {kind.value:10s} {sum(each.pauses for each in days)}"
            f" ({sum(each.paused_min for each in days)} min) in {sum(each.zone_days for each in days)} zone-days"
        )


def print_openings(title: str, results: Sequence[OpeningResult]) -> None:
    """Print one line of the windows' table."""
    noticed = [each.noticed_min for each in results if each.noticed_min is not None]
    resumed = [each.resumed_min for each in results if each.resumed_min is not None]
    print(
        f"{title:30s} {sum(minutes <= NOTICED_WITHIN_MINUTES for minutes in noticed)}, {len(noticed)} of {len(results)}"
        f"; {median(noticed) if noticed else '-'} min; {fmean(each.heated_min for each in results):.1f} min"
        f"; {median(resumed) if resumed else '-'} min; {min(each.coldest_c for each in results):.1f} °C",
        flush=True,
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=["tuning", "held-out", "all"], default="tuning")
    parser.add_argument("--houses", nargs="+", choices=list(HOUSES), help="in place of a half")
    parser.add_argument("--habits", nargs="+", default=["tenths", "change 0.2", "slow corner"], help="of the sensors")
    parser.add_argument("--weathers", nargs="+", choices=[pattern.name for pattern in PATTERNS])
    parser.add_argument(
        "--laws", nargs="+", choices=list(Law), default=[*Law][:4], help="the first four, without the slow oracle"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument(
        "--days", type=int, default=3, help="measured days of a constant setpoint, after others; 0 for none"
    )
    parser.add_argument("--warm-up-days", type=int, default=2, help="before those days of a constant setpoint")
    parser.add_argument(
        "--outdoor-sensor",
        choices=list(Placement),
        default=Placement.NONE,
        help="where it is; what breaks does so on the third day",
    )
    parser.add_argument(
        "--tick-s", type=float, default=10.0, help="between the hub's decisions at a constant setpoint, as a hub has"
    )
    parser.add_argument(
        "--min-on-s", type=float, help='of the rooms\' relays at a constant setpoint, also of "hysteresis 0.3 held"'
    )
    parser.add_argument("--tolerance-k", type=float, default=0.3, help='of "hysteresis 0.3 held", in place of 0.3 K')
    parser.add_argument("--mornings", type=int, default=3, help="measured mornings after a setback; 0 for none")
    parser.add_argument("--learning-days", type=int, default=4, help="before those mornings, faults, windows")
    parser.add_argument("--no-cooling", action="store_true", help="no rows in summer")
    parser.add_argument("--no-reach", action="store_true", help="not which minutes a house can keep: the slowest part")
    parser.add_argument("--deaths", type=int, default=0, help="of a sensor in each house, after a week: up to 3")
    parser.add_argument("--faults", action="store_true", help="plant faults of equipment too")
    parser.add_argument("--windows", action="store_true", help="open windows too")
    parser.add_argument("--json", action="store_true", help="JSON in place of tables")
    options = parser.parse_args()
    began_s = time.process_time()
    tables = {"constant": list(constant_rows(options)), "mornings": list(morning_rows(options))}
    tables["faults"] = list(fault_rows(options))
    tables["deaths"] = list(death_rows(options))
    tables["windows"] = list(window_rows(options))
    if options.json:
        print(json.dumps(tables, indent=1))
    else:
        print_constant(tables["constant"], options.laws)
        print_reach(tables["constant"], options.laws)
        print_mornings(tables["mornings"])
        print_faults(tables["faults"], options.learning_days)
        print_deaths(tables["deaths"])
        print_windows(tables["windows"])
        print(f"{time.process_time() - began_s:.0f} s of processor time")


if __name__ == "__main__":
    main()
