"""Measures how often the analysis of recordings names the right part of a bearing, and how often a wrong one.

On simulated motors (`lab.vibration.motor`) with seeds from 50,000 on, that the thresholds of `lab.vibration.analysis`
were not chosen on, at 12 kHz and at 3.2 kHz: each seed gives a healthy machine and one for each part. Prints JSON.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from lab.vibration.analysis import judge
from lab.vibration.bearings import Part
from lab.vibration.motor import LEVEL_MAX_DB, LEVEL_MIN_DB, motor
from lab.vibration.recording import Recording

FIRST_SEED = 50_000
RATES_HZ = (12_000, 3_200)
LEVEL_STEP_DB = 4
HEALTHY = "healthy"
NOTHING = "cannot be told"


def verdicts(machines: int, rate_hz: int) -> Iterator[tuple[str, str, float]]:
    """Yield of each recording the truth, what was reported, and the strength of the strikes (dB over the noise)."""
    for seed in range(FIRST_SEED, FIRST_SEED + machines):
        for fault in (None, *Part):
            made = motor(seed, fault, rate_hz=rate_hz)
            verdict, _ = judge(Recording(made.samples, rate_hz, "1", ("1",), None), made.shaft_hz, made.bearing)
            yield fault or HEALTHY, verdict.part or NOTHING, made.level_db


def figures(found: list[tuple[str, str, float]]) -> dict[str, Any]:
    """Return the figures of one sampling rate."""
    faulty = [each for each in found if each[0] != HEALTHY]
    healthy = [each for each in found if each[0] == HEALTHY]
    by_level = {}
    for low in range(int(LEVEL_MIN_DB), int(LEVEL_MAX_DB), LEVEL_STEP_DB):
        of_level = [each for each in faulty if low <= each[2] < low + LEVEL_STEP_DB]
        by_level[f"{low} to {low + LEVEL_STEP_DB} dB"] = {
            "of": len(of_level),
            "named_right": sum(truth == named for truth, named, _ in of_level),
        }
    return {
        "faulty": len(faulty),
        "named_right": sum(truth == named for truth, named, _ in faulty),
        "named_wrong": sum(named not in (truth, NOTHING) for truth, named, _ in faulty),
        "healthy": len(healthy),
        "named_on_healthy": sum(named != NOTHING for _, named, _ in healthy),
        "by_strength_of_the_strikes": by_level,
        "reported": {
            truth: dict(Counter(named for each, named, _ in found if each == truth)) for truth in (HEALTHY, *Part)
        },
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--machines", type=int, default=25, help="each healthy, and with a defect of each part")
    options = parser.parse_args()
    started = time.process_time()
    result: dict[str, Any] = {"machines": options.machines, "first_seed": FIRST_SEED}
    for rate_hz in RATES_HZ:
        result[f"{rate_hz} Hz"] = figures(list(verdicts(options.machines, rate_hz)))
    result["cpu_s_per_recording"] = round((time.process_time() - started) / (8 * options.machines), 2)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
