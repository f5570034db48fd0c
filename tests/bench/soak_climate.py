"""Years of heated homes with faults of sensors, relays, power and clock; fails where a rule of safety was broken."""

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec

from lab.simulation.heating_year import HeatingYear, YearVerdict


def one(seed: int, days: int) -> YearVerdict:
    """Run one year."""
    return HeatingYear(seed, days).run()


def main() -> int:
    """Run all; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="how many seeds")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.count)
    verdicts = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for verdict in pool.map(one, seeds, [options.days] * len(seeds)):
            verdicts.append(msgspec.to_builtins(verdict) | {"is_clean": verdict.is_clean})
            print(json.dumps(verdicts[-1]), flush=True)
    if options.output:
        options.output.write_text(json.dumps(verdicts, indent=1))
    failed = [verdict["seed"] for verdict in verdicts if not verdict["is_clean"]]
    if failed:
        print(f"failed: python {sys.argv[0]} --first {failed[0]} --count 1 --days {options.days}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
