"""Two weeks of every house (`hal.sim.houses`) with every sensor habit; fails where a rule of safety was broken.

    python tests/bench/soak_houses.py                              234 pairs: 20 min of processor time
    python tests/bench/soak_houses.py --rounds 0 1 2 3             other weathers and programs: two months of each pair
    python tests/bench/soak_houses.py --houses "timber pump" --no-faults

In the first week all works: problems reported and working sensors called lost are false, and counted by house and by
habit. In the second everything goes wrong (`lab.comfort.house_weeks.PER_WEEK`). Weather and program rotate over the
pairs.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import msgspec

from hal.sim.houses import HOUSES
from hal.sim.sensor_habits import HABITS
from lab.comfort.house_weeks import WEEK_DAYS, HouseWeeks, pairs, run_pair


def print_false(results: Sequence[HouseWeeks], kind: str, name_of: Callable[[HouseWeeks], str]) -> None:
    """Print what was false in the weeks in which all worked."""
    names = list(dict.fromkeys(map(name_of, results)))
    print(f"\n{kind:20s} house-weeks  false problems (in)  lost min (in)  coldest")
    for name in names:
        own = [result for result in results if name_of(result) == name]
        problems = [len(result.false_problems) for result in own]
        lost = [result.lost_minutes for result in own]
        print(
            f"{name:20s} {len(own):11d}  {sum(problems):14d} ({sum(map(bool, problems))})"
            f"  {sum(lost):8d} ({sum(map(bool, lost))})  {min(result.coldest_c for result in own):.1f} °C"
        )


def main() -> int:
    """Run all; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, nargs="+", default=[0], help="which rotations of weathers and programs")
    parser.add_argument("--houses", nargs="+", choices=list(HOUSES), default=list(HOUSES))
    parser.add_argument("--habits", nargs="+", default=[habit.name for habit in HABITS], help="of the sensors")
    parser.add_argument("--count", type=int, help="only so many pairs, the first ones; all by default")
    parser.add_argument("--no-faults", action="store_true", help="only the weeks in which all works")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    began_s = time.monotonic()
    results = []
    with ProcessPoolExecutor(options.jobs) as pool:
        chosen = [pair for pair in pairs(options.rounds, options.houses) if pair.habit in options.habits]
        run = partial(run_pair, days=WEEK_DAYS if options.no_faults else 2 * WEEK_DAYS)
        for result in pool.map(run, chosen[: options.count]):
            results.append(result)
            if result.broken or result.false_problems or result.lost_minutes:
                print(json.dumps(msgspec.to_builtins(result)), flush=True)
    print_false(results, "house", lambda result: result.pair.house)
    print_false(results, "habit", lambda result: result.pair.habit)
    failed = [result for result in results if result.broken]
    rules: Counter[str] = Counter()
    for result in failed:
        rules.update(result.broken)
    print(
        f"\n{len(results)} pairs, {sum(result.steps for result in results)} decisions,"
        f" {sum(result.struck for result in results)} faults; rules broken in {len(failed)} pairs: {dict(rules)};"
        f" coldest {min(result.coldest_c for result in results)} °C; {time.monotonic() - began_s:.0f} s"
    )
    unheard = [result.coldest_unheard_c for result in results if result.coldest_unheard_c is not None]
    if unheard:
        print(f"coldest of rooms of which the hub knew nothing: {min(unheard)} °C, in {len(unheard)} pairs with such")
    if options.output:
        options.output.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    if failed:
        houses = " ".join(f'"{name}"' for name in dict.fromkeys(result.pair.house for result in failed))
        print(f"failed: python {sys.argv[0]} --houses {houses}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
