"""The recording of nine rooms, whole, without faults and with harsh ones: all of it accepted, once. Prints JSON.

Among the harsh faults are factory resets, which erase what waits: there, accepted and erased make what was taken.

python tests/bench/bench_recording.py RECORDING.csv [--days N]
"""

import argparse
import json
import logging
from pathlib import Path

import msgspec

from lab.simulation.options import Options
from lab.simulation.run import simulate

MAP = Path(__file__).parents[1] / "data" / "house-zigbee-9rooms.toml"
DEFAULT = Path(__file__).parents[3] / "shared" / "data" / "house-zigbee-9rooms.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path, nargs="?", default=DEFAULT)
    parser.add_argument("--days", type=float, default=None, help="only so many days of it")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if not options.recording.exists():
        print(json.dumps({"not measured": "the recording is not here; name it"}))
        return
    results = {}
    for faults in ("none", "harsh"):
        verdict = simulate(
            Options(board="replay", recording=options.recording, map=MAP, days=options.days, faults=faults)
        )
        results[faults] = msgspec.to_builtins(verdict)
        readings = verdict.readings
        if verdict.violations or readings.accepted + readings.erased + readings.pending != readings.taken:
            raise SystemExit(
                f"{faults}: {readings.taken} taken, {readings.accepted} accepted, {readings.erased} erased"
            )
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
