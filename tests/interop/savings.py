"""Holds the runtime method of `lab.comfort.savings` against EPA's own program (`energy_star.py`), on made-up homes.

python tests/interop/savings.py PYTHON_OF_THE_PROGRAM
"""

import itertools
import json
import random
import subprocess
import sys
from pathlib import Path

from lab.comfort.savings import RuntimeDay, comfort_c, core_days, offset_of, savings_share

HOMES = 40
DAYS = 120
DIFFERENCE_K = 0.02
DIFFERENCE_SHARE = 0.0003


def made_up_home(seed: int) -> list[RuntimeDay]:
    """Return a heating season: weather, setbacks, sun, and a run time that follows them with some scatter."""
    rng = random.Random(seed)
    free_k, hours_per_k, night_c = rng.uniform(-1.0, 6.0), rng.uniform(0.2, 0.9), rng.uniform(15.0, 20.5)
    outside_c, days = rng.uniform(-5.0, 8.0), []
    for _ in range(DAYS):
        outside_c = 0.8 * outside_c + 0.2 * rng.uniform(-10.0, 19.0)
        outer = tuple(outside_c + rng.uniform(-3.0, 3.0) for _ in range(24))
        inner = tuple((night_c if hour < 6 else 21.0) + rng.gauss(0.0, 0.3) for hour in range(24))
        demand_k = sum(max(0.0, a - b - free_k) for a, b in zip(inner, outer, strict=True)) / 24
        days.append(RuntimeDay(max(0.0, hours_per_k * demand_k + rng.gauss(0.0, 0.4)), inner, outer))
    return days


def main() -> int:
    homes = [made_up_home(seed) for seed in range(HOMES)]
    asked = [
        {
            "runtime_h": [day.runtime_h for day in days],
            "inside_c": list(itertools.chain.from_iterable(day.inside_c for day in days)),
            "outside_c": list(itertools.chain.from_iterable(day.outside_c for day in days)),
        }
        for days in homes
    ]
    program = [sys.argv[1], "-W", "ignore", str(Path(__file__).with_name("energy_star.py"))]
    answer = subprocess.run(program, input=json.dumps(asked), stdout=subprocess.PIPE, text=True, check=True)
    differences = []
    for days, theirs in zip(homes, json.loads(answer.stdout), strict=True):
        core = core_days(days)
        ours = {"offset_k": offset_of(core), "comfort_c": comfort_c(core), "savings_share": savings_share(days)}
        differences.append({key: abs(value - theirs[key]) for key, value in ours.items()})
    largest = {key: max(difference[key] for difference in differences) for key in differences[0]}
    found = ", ".join(f"{key} {value:.5f}" for key, value in largest.items())
    print(f"{HOMES} homes of {DAYS} days; largest differences: {found}")
    allowed = {"offset_k": DIFFERENCE_K, "comfort_c": DIFFERENCE_K, "savings_share": DIFFERENCE_SHARE}
    # A home without an answer is no number, and no smaller than anything.
    return 0 if all(each[key] <= most for each in differences for key, most in allowed.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
