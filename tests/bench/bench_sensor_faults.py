"""Measures how soon wrong sensors are found, and how often sensors that work are doubted. Prints JSON.

Each of twelve kinds of fault begins once in each home (`lab.simulation.sensor_fault_trials`). `--only "frozen chip"`
measures one kind.

The same homes live a year in which nothing is broken (`lab.simulation.sensor_fleet`): half a minute of CPU each, on as
many processors as `--jobs` says. `--only none` leaves faults out; `--first 25 --homes 25` is the second half of fifty.

A thermometer that freezes while its room is heated is found by control (`lab.simulation.heated_rooms`). `--room-days`
has as many rooms heated from October on in which all works; a day of one takes half a second of CPU.

`--neighbour-shares 0.1 0.2` measures stuck bits only, with each of these values of `BIT_NEIGHBOUR_SHARE`; without a
fault only the probe is judged then.
"""

import argparse
import gc
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from statistics import median, quantiles
from typing import Any, NamedTuple

from agent.sensors import doubts
from agent.sensors.doubts import StuckBitDetector
from lab.simulation import heated_rooms
from lab.simulation import sensor_fault_trials as trials
from lab.simulation.sensor_fleet import DAY_MIN, MINUTE_MS, PROBE, Episode, FleetHome

YEAR_DAYS = 365.0
GOAL_MIN = 15
FROZEN = "frozen while its room is heated"
WARMED = "warmed by the hub, and not named"
STUCK_BIT = "stuck bit"
NONE = "none"
REPORTS_MIN = (1, 15)


def found(homes: range, only: str = "") -> dict[str, list[int | None]]:
    """Return after how many minutes each kind of fault, or only one, was found in each home; `None` for never."""
    result: dict[str, list[int | None]] = {}
    if only not in {FROZEN, WARMED, NONE}:
        names = [only] if only else list(trials.TRIALS)
        result = {name: [] for name in names}
        for seed in homes:
            home = trials.warmed_up(seed)
            for name in names:
                result[name].append(trials.found_after_min(home, name, seed))
    if only in {"", WARMED}:
        result[WARMED] = [trials.warmed_by_the_hub_min(seed) for seed in homes]
    if only in {"", FROZEN}:
        for report_min in REPORTS_MIN:
            name = f"{FROZEN}, a report each {report_min} min"
            result[name] = [heated_rooms.frozen_min(seed, report_min=report_min) for seed in homes]
    return result


def summary(minutes: list[int | None]) -> dict[str, Any]:
    """Return the figures of one kind, or of all."""
    known = sorted(each for each in minutes if each is not None)
    tenth = quantiles(known, n=10)[-1] if len(known) > 1 else None
    return {
        "median_min": median(known) if known else None,
        "p90_min": tenth,
        "never": len(minutes) - len(known),
        "of": len(minutes),
    }


class Year(NamedTuple):
    """What was wrongly doubted in one home in which all sensors work; figures for `healthy`."""

    seed: int
    readings: int
    unconfirmed: int
    episodes: list[Episode]


def lived(seed: int, days: int) -> Year:
    """Return what one home comes to."""
    home = FleetHome(seed, is_in_case=seed % 2 == 0)
    readings = sum(len(each) for each in home.run(days * DAY_MIN))
    return Year(seed, readings, home.watch.unconfirmed, home.watch.episodes)


def healthy(homes: range, days: int, jobs: int) -> dict[str, Any]:
    """Return what was wrongly doubted in homes in which all sensors work. Each home is reported when it has lived."""
    years = []
    # Nothing here is garbage in cycles; looking for it costs a quarter of the time.
    with ProcessPoolExecutor(max_workers=jobs, initializer=gc.disable) as pool:
        for year in pool.map(partial(lived, days=days), homes):
            years.append(year)
            print(f"home {year.seed}: {year.readings} readings, {year.episodes}", file=sys.stderr, flush=True)
    home_years = len(homes) * days / YEAR_DAYS
    unconfirmed = sum(year.unconfirmed for year in years)
    return {
        "home_years": round(home_years, 2),
        "readings": sum(year.readings for year in years),
        "false_alarms": sum(len(year.episodes) for year in years),
        "by_seed": {year.seed: [(each.minute, each.text) for each in year.episodes] for year in years if year.episodes},
        "readings_that_had_to_be_confirmed_per_home_year": round(unconfirmed / home_years, 1) if home_years else None,
    }


def heated(rooms: range, days: int) -> dict[str, Any]:
    """Return how often control took a thermometer that works to be stuck."""
    alarms = {seed: heated_rooms.false_alarms(seed, days) for seed in rooms}
    return {
        "room_years": round(len(rooms) * days / YEAR_DAYS, 2),
        "false_alarms": sum(map(len, alarms.values())),
        "at_minute_by_seed": {seed: minutes for seed, minutes in alarms.items() if minutes},
    }


def stuck_bits(homes: range, days: int, shares: Sequence[float]) -> list[dict[str, Any]]:
    """Return how soon stuck bits are found with each `BIT_NEIGHBOUR_SHARE`, and in which homes without one one is."""
    alarms: dict[float, list[int]] = {share: [] for share in shares}
    for seed in homes:
        home, detectors = FleetHome(seed, is_in_case=seed % 2 == 0), {each: StuckBitDetector() for each in shares}
        for _ in range(days * DAY_MIN):
            value = next(value for _, name, _, value in home.advance() if name == PROBE)
            for share, detector in detectors.items():
                doubts.BIT_NEIGHBOUR_SHARE = share  # type: ignore[misc]
                if detector.observe(value, home.minute * MINUTE_MS) and seed not in alarms[share]:
                    alarms[share].append(seed)
    made = []
    for share in shares:
        doubts.BIT_NEIGHBOUR_SHARE = share  # type: ignore[misc]
        made.append({"share": share, **summary(found(homes, STUCK_BIT)[STUCK_BIT]), "false_alarms_in": alarms[share]})
    return made


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--homes", type=int, default=5, help="(5)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first home (0)")
    parser.add_argument("--jobs", type=int, default=1, help="homes without a fault that live at the same time (1)")
    parser.add_argument("--days", type=int, default=30, help="of the time without a fault (30)")
    parser.add_argument("--room-days", type=int, default=7, help="of heated rooms without a fault (7)")
    parser.add_argument("--only", choices=[*trials.TRIALS, WARMED, FROZEN, NONE], default="", help="one kind of fault")
    parser.add_argument("--neighbour-shares", type=float, nargs="*", default=(), metavar="SHARE", help="see above")
    options = parser.parse_args()
    homes = range(options.first, options.first + options.homes)
    if options.neighbour_shares:
        print(json.dumps(stuck_bits(homes, options.days, options.neighbour_shares), indent=1))
        return
    by_kind = found(homes, options.only)
    everything = [each for minutes in by_kind.values() for each in minutes]
    print(
        json.dumps(
            {
                "all": {**summary(everything), "goal_min": GOAL_MIN},
                "kinds": {name: summary(minutes) for name, minutes in by_kind.items()},
                "healthy": healthy(homes, options.days, options.jobs),
                "heated": heated(homes, options.room_days),
                "cpu_s": round(sum(os.times()[:4])),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
