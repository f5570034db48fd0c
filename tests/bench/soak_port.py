"""Sends many generated requests to the whole API of a running hub; fails where an answer is a defect or undescribed.

    python tests/bench/soak_port.py --inputs 200000
    python tests/bench/soak_port.py --inputs 2000 --only "POST /v1/climate/{zone}"

Prints one JSON object for each operation, and a last one with the sum, the defects, and how late the hub's loop was.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.fuzz.port_fuzz import FuzzedHub, fuzz, fuzzed_hub, operations


def one(hub: FuzzedHub, name: str, examples: int, first_seed: int) -> dict[str, object]:
    """Try one operation; return what came of it."""
    began_s, failure, count = time.monotonic(), "", 0
    try:
        count = fuzz(hub, operations(hub)[name], examples=examples, first_seed=first_seed)
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        failure = f"{type(error).__name__}: {error}"[:2000]
    seconds = round(time.monotonic() - began_s, 1)
    return {"operation": name, "inputs": count, "seconds": seconds, "failure": failure}


def main() -> int:
    """Try all; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=200_000, help="in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", help="this operation; may be repeated")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, fuzzed_hub(Path(directory)) as hub:
        names = options.only or list(operations(hub))
        found = []
        for name in names:
            found.append(one(hub, name, options.inputs // len(names), options.seed))
            print(json.dumps(found[-1]), flush=True)
        problems = hub.take_problems()
        late_s_max = hub.late_s_max
    inputs = sum(int(str(each["inputs"])) for each in found)
    failed = [each["operation"] for each in found if each["failure"]]
    print(json.dumps({"inputs": inputs, "failed": failed, "problems": problems, "late_s_max": round(late_s_max, 3)}))
    return 1 if failed or problems else 0


if __name__ == "__main__":
    sys.exit(main())
