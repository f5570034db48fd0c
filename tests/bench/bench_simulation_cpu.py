"""What a virtual hour of the whole hub costs in processor time, and where it goes. Prints JSON.

Samples the stack each millisecond of processor time and counts the innermost frame that belongs to a part. Shares move
less than milliseconds on a busy machine; compare milliseconds with those of another revision, by turns:

python tests/bench/bench_simulation_cpu.py [--days N] [--sensors N] [--faults none|default|harsh] [--profile coarse]
make bench-compare REV=HEAD~20 BENCH=bench_simulation_cpu
"""

import argparse
import json
import logging
import signal
import time
from collections import Counter
from types import FrameType

from lab.simulation.options import Options
from lab.simulation.run import simulate

SAMPLE_S = 0.001

PARTS = (
    ("transport", ("/aiohttp/", "/yarl/", "/multidict/", "lab/simulation/request_exchange")),
    ("loop", ("/asyncio/", "/async_solipsism/", "lab/simulation/virtual_loop")),
    ("sqlite and files", ("agent/telemetry/outbox/", "agent/foundation/database", "agent/foundation/disk")),
    ("codec", ("agent/cloud/contract", "agent/cloud/compression", "agent/foundation/lenient_json", "rfc3339")),
    ("cloud", ("lab/refcloud/",)),
    ("oracles", ("lab/simulation/",)),
    ("simulated house", ("hal/",)),
    ("hub", ("agent/",)),
)
"""By a piece of the file's path; the first that fits."""


def part_of(path: str) -> str:
    """Return the part that a source file belongs to; empty for none: then its caller's counts."""
    return next((part for part, pieces in PARTS if any(piece in path for piece in pieces)), "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=0.5)
    parser.add_argument("--sensors", type=int, default=50)
    parser.add_argument("--faults", choices=("none", "default", "harsh"), default="default")
    parser.add_argument("--profile", choices=("installed", "coarse"), default="installed")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    counts: Counter[str] = Counter()
    parts: dict[str, str] = {}

    def sample(_number: int, frame: FrameType | None) -> None:
        while frame is not None:
            path = frame.f_code.co_filename
            if path not in parts:
                parts[path] = part_of(path)
            if parts[path]:
                counts[parts[path]] += 1
                return
            frame = frame.f_back

    signal.signal(signal.SIGPROF, sample)
    began_s = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_S, SAMPLE_S)
    verdict = simulate(Options(days=given.days, sensors=given.sensors, faults=given.faults, profile=given.profile))
    signal.setitimer(signal.ITIMER_PROF, 0.0)
    hours = verdict.virtual_s / 3600
    result = {
        "cpu_ms_per_virtual_hour": round((time.process_time() - began_s) * 1000 / hours, 1),
        "percent": {part: round(100 * count / counts.total(), 1) for part, count in counts.most_common()},
        "violations": len(verdict.violations),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
