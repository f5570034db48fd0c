"""Throws many hostile inputs at every border of the agent; fails where anything but a refusal in words comes out.

    python tests/bench/soak_borders.py --examples 40000        # 1 M inputs in all, hours on a small machine
    python tests/bench/soak_borders.py --only "cloud answers"

Prints one JSON object for each border, and a last one with the sum.
"""

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.borders import BORDERS, rig


def one(name: str, examples: int, first: int) -> dict[str, object]:
    """Try one border; return what came of it."""
    border, count, began_s = BORDERS[name], 0, time.monotonic()
    with rig() as shared:

        @seed(first)
        @settings(
            max_examples=max(1, examples // border.cost),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        )
        @given(st.data())
        def take(data: st.DataObject) -> None:
            nonlocal count
            count += border.take(shared, data.draw(border.inputs)) or 1

        failure = ""
        try:
            take()
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            failure = f"{type(error).__name__}: {error}"[:300]
    return {"border": name, "inputs": count, "seconds": round(time.monotonic() - began_s, 1), "failure": failure}


def main() -> int:
    """Try all; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=40_000, help="for each border")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=sorted(BORDERS), action="append", help="this border; may be repeated")
    parser.add_argument("--output", type=Path, help="a file for the same in one piece")
    options = parser.parse_args()
    names = options.only or list(BORDERS)
    found = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for result in pool.map(one, names, [options.examples] * len(names), [options.seed] * len(names)):
            found.append(result)
            print(json.dumps(result), flush=True)
    failed = [str(result["border"]) for result in found if result["failure"]]
    whole = {"inputs": sum(int(str(result["inputs"])) for result in found), "failed": failed, "borders": found}
    if options.output:
        options.output.write_text(json.dumps(whole, indent=1))
    print(json.dumps({"inputs": whole["inputs"], "failed": failed}))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
