"""The long campaign: a simulation for each of many seeds, one process a core. A line a seed; exit 1 on any violation.

python tests/bench/soak_simulation.py --count 100 --days 3 --sensors 50
python tests/bench/soak_simulation.py --pairing --count 50 --faults harsh
"""

import argparse
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import get_args

import msgspec

from lab.simulation.options import PAIRING, FaultProfile, Options
from lab.simulation.rollout import UpdateCounts
from lab.simulation.run import simulate
from lab.simulation.verdict import Verdict


class Result(msgspec.Struct, frozen=True):
    """What one campaign found."""

    seeds: int
    days: float | None
    sensors: int
    faults_profile: str
    readings_taken: int
    readings_lost: int
    crashes: int
    sensors_joined: int
    sensors_relayed: int
    sensors_paired_twice: int
    sensors_lost: int
    updates: UpdateCounts
    virtual_hours_per_wall_s: float
    failed_seeds: list[int]


def summed(counts: Iterable[UpdateCounts]) -> UpdateCounts:
    totals: Counter[str] = Counter()
    for each in counts:
        totals.update(msgspec.structs.asdict(each))
    return UpdateCounts(**totals)


def one(seed: int, *, first: int, days: float, sensors: int, faults: FaultProfile, pairing: bool) -> Verdict:
    options = PAIRING if pairing else Options(days=days, sensors=sensors)
    # One seed of each campaign writes and parses HTTP.
    return simulate(msgspec.structs.replace(options, seed=seed, faults=faults, writes_bytes=seed == first))


def line(verdict: Verdict) -> str:
    readings, pairing, updates = verdict.readings, verdict.pairing, verdict.updates
    told = "passed" if not verdict.violations else f"FAILED: {verdict.violations[0]}"
    return (
        f"seed {verdict.seed:>4}: {readings.taken:>8,} taken, {readings.lost} lost, {verdict.crashes:>3} crashes,"
        f" {pairing.relayed}/{pairing.joined} sensors relayed, {pairing.paired_twice} twice, {pairing.lost} lost,"
        f" {updates.committed} releases committed, {updates.rolled_back} rolled back, {updates.bricked} bricked,"
        f" {verdict.virtual_hours_per_wall_s:>6.1f} h/s, {told}"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--count", type=int, default=100, help="how many seeds (100)")
    parser.add_argument("--days", type=float, default=3.0, help="how long each (3)")
    parser.add_argument("--sensors", type=int, default=50, help="series (50)")
    parser.add_argument("--faults", choices=get_args(FaultProfile), default="default")
    parser.add_argument("--pairing", action="store_true", help="fifty sensors to pair, for six hours each")
    parser.add_argument("--output", type=Path, help="write the JSON here as well")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    logging.disable(logging.CRITICAL)
    work = partial(
        one,
        first=options.first,
        days=options.days,
        sensors=options.sensors,
        faults=options.faults,
        pairing=options.pairing,
    )
    verdicts = []
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        for verdict in pool.map(work, range(options.first, options.first + options.count)):
            print(line(verdict), flush=True)
            verdicts.append(verdict)
    result = Result(
        seeds=options.count,
        days=PAIRING.days if options.pairing else options.days,
        sensors=PAIRING.sensors if options.pairing else options.sensors,
        faults_profile=options.faults,
        readings_taken=sum(verdict.readings.taken for verdict in verdicts),
        readings_lost=sum(verdict.readings.lost for verdict in verdicts),
        crashes=sum(verdict.crashes for verdict in verdicts),
        sensors_joined=sum(verdict.pairing.joined for verdict in verdicts),
        sensors_relayed=sum(verdict.pairing.relayed for verdict in verdicts),
        sensors_paired_twice=sum(verdict.pairing.paired_twice for verdict in verdicts),
        sensors_lost=sum(verdict.pairing.lost for verdict in verdicts),
        updates=summed(verdict.updates for verdict in verdicts),
        virtual_hours_per_wall_s=round(
            sum(verdict.virtual_s for verdict in verdicts) / 3600 / sum(verdict.wall_s for verdict in verdicts), 2
        ),
        failed_seeds=[verdict.seed for verdict in verdicts if verdict.violations],
    )
    document = msgspec.json.format(msgspec.json.encode(result))
    print(document.decode())
    if options.output:
        options.output.write_bytes(document)
    return 1 if result.failed_seeds else 0


if __name__ == "__main__":
    sys.exit(main())
