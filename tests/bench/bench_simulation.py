"""How fast the whole hub runs in virtual time. Prints JSON.

python tests/bench/bench_simulation.py [--days N] [--sensors N] [--faults none|default|harsh]
"""

import argparse
import json
import logging

from lab.simulation.options import Options
from lab.simulation.run import simulate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=float, default=2.0)
    parser.add_argument("--sensors", type=int, default=50)
    parser.add_argument("--faults", choices=("none", "default", "harsh"), default="default")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    results = {}
    for sensors in sorted({15, options.sensors}):
        verdict = simulate(Options(days=options.days, sensors=sensors, faults=options.faults))
        results[f"hours_per_wall_s_{sensors}_sensors"] = verdict.virtual_hours_per_wall_s
        results[f"violations_{sensors}_sensors"] = len(verdict.violations)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
