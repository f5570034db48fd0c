"""Random histories of facts, each in the store and in a reference model; fails where a view or a chain differs.

    python tests/bench/soak_facts.py --histories 100000
    python tests/bench/soak_facts.py --histories 1 --first 4711

Prints one JSON object; what differs is in `failed`, by seed.
"""

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.unit.facts.histories import open_memory, play

FAILURES_MAX = 10


def main() -> int:
    """Play all; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    began_s, failed, changes, views = time.monotonic(), [], 0, 0
    connection = open_memory()
    for seed in range(options.first, options.first + options.histories):
        try:
            history = play(seed, connection)
        except AssertionError as error:
            failed.append({"seed": seed, "problem": str(error)[:500]})
            connection.close()
            connection = open_memory()
            if len(failed) == FAILURES_MAX:
                break
        else:
            changes += history.changes
            views += history.views
    with contextlib.closing(connection):
        result = {
            "histories": options.histories,
            "changes": changes,
            "views": views,
            "failed": failed,
            "seconds": round(time.monotonic() - began_s, 1),
        }
    print(json.dumps(result))
    if options.output:
        options.output.write_text(json.dumps(result, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
