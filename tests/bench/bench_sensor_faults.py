"""Measures how soon wrong sensors are found, and how often sensors that work are doubted. Prints JSON.

Each of twelve kinds of fault begins once in each home (`lab.simulation.sensor_fault_trials`). The same homes then live
a year in which nothing is broken (`lab.simulation.sensor_fleet`). `--homes 50 --days 365` takes half an hour of CPU.
`--only "frozen chip"` measures one kind.

A thermometer that freezes while its room is heated is found by control (`lab.simulation.heated_rooms`). `--room-days`
has as many rooms heated from October on in which all works; a day of one takes half a second of CPU.
"""

import argparse
import json
import time
from collections import Counter
from statistics import median, quantiles
from typing import Any

from lab.simulation import heated_rooms
from lab.simulation import sensor_fault_trials as trials
from lab.simulation.sensor_fleet import DAY_MIN, FleetHome

YEAR_DAYS = 365.0
GOAL_MIN = 15
FROZEN = "frozen while its room is heated"
WARMED = "warmed by the hub, and not named"
REPORTS_MIN = (1, 15)


def found(homes: int, only: str = "") -> dict[str, list[int | None]]:
    """Return after how many minutes each kind of fault, or only one, was found in each home; `None` for never."""
    result: dict[str, list[int | None]] = {}
    if only not in {FROZEN, WARMED}:
        names = [only] if only else list(trials.TRIALS)
        result = {name: [] for name in names}
        for seed in range(homes):
            home = trials.warmed_up(seed)
            for name in names:
                result[name].append(trials.found_after_min(home, name, seed))
    if only in {"", WARMED}:
        result[WARMED] = [trials.warmed_by_the_hub_min(seed) for seed in range(homes)]
    if only in {"", FROZEN}:
        for report_min in REPORTS_MIN:
            name = f"{FROZEN}, a report each {report_min} min"
            result[name] = [heated_rooms.frozen_min(seed, report_min=report_min) for seed in range(homes)]
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


def healthy(homes: int, days: int) -> dict[str, Any]:
    """Return what was wrongly doubted in homes in which all sensors work."""
    doubted: Counter[str] = Counter()
    readings = unconfirmed = 0
    for seed in range(homes):
        home = FleetHome(seed, is_in_case=seed % 2 == 0)
        readings += sum(len(each) for each in home.run(days * DAY_MIN))
        doubted.update(home.watch.episodes)
        unconfirmed += home.watch.unconfirmed
    years = homes * days / YEAR_DAYS
    return {
        "home_years": round(years, 2),
        "readings": readings,
        "false_alarms": sum(doubted.values()),
        "of_which": doubted.most_common(10),
        "readings_that_had_to_be_confirmed_per_home_year": round(unconfirmed / years, 1) if years else None,
    }


def heated(rooms: int, days: int) -> dict[str, Any]:
    """Return how often control took a thermometer that works to be stuck."""
    alarms = {seed: heated_rooms.false_alarms(seed, days) for seed in range(rooms)}
    return {
        "room_years": round(rooms * days / YEAR_DAYS, 2),
        "false_alarms": sum(map(len, alarms.values())),
        "at_minute_by_seed": {seed: minutes for seed, minutes in alarms.items() if minutes},
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--homes", type=int, default=5, help="(5)")
    parser.add_argument("--days", type=int, default=30, help="of the time without a fault (30)")
    parser.add_argument("--room-days", type=int, default=7, help="of heated rooms without a fault (7)")
    parser.add_argument("--only", choices=[*trials.TRIALS, WARMED, FROZEN], default="", help="one kind of fault")
    options = parser.parse_args()
    began_s = time.process_time()
    by_kind = found(options.homes, options.only)
    everything = [each for minutes in by_kind.values() for each in minutes]
    print(
        json.dumps(
            {
                "all": {**summary(everything), "goal_min": GOAL_MIN},
                "kinds": {name: summary(minutes) for name, minutes in by_kind.items()},
                "healthy": healthy(options.homes, options.days),
                "heated": heated(options.homes, options.room_days),
                "cpu_s": round(time.process_time() - began_s),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
