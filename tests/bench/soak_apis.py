"""Random requests through random APIs of one hub, compared with a model after each; fails at the first difference.

    python tests/bench/soak_apis.py --requests 10000 [--seed N]

Prints what was tried as JSON.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.integration.api_differential import Difference, driver


async def soak(requests: int, seed: int) -> dict[str, object]:
    """Try so many requests; return what came of them."""
    began_s, difference = time.monotonic(), ""
    with tempfile.TemporaryDirectory() as directory:
        async with driver(Path(directory), seed) as drive:
            try:
                for _ in range(requests):
                    await drive.step()
            except Difference as error:
                difference = str(error)
    tried = dict(sorted(drive.tally.commands.items()))
    seconds = round(time.monotonic() - began_s, 1)
    return {"requests": tried, "refused": drive.tally.refused, "seconds": seconds, "difference": difference}


def main() -> int:
    """Try; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = asyncio.run(soak(options.requests, options.seed))
    print(json.dumps(found, indent=1))
    return 1 if found["difference"] else 0


if __name__ == "__main__":
    sys.exit(main())
