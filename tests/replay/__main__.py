"""Power cuts on a recorded disk: updates on a real ext4, each crash state mounted, booted and brought to its end.

Prints JSON; exit 1 on anything that must not be. Needs root and qemu-storage-daemon (Debian: qemu-system-common).

python -m tests.replay [--count N] [--variants N] [--seed N] [--mount OPTIONS] [--planted] [--output FILE]
"""

import argparse
import logging
import os
import sys
from pathlib import Path

import msgspec

from .campaign import Report, judged, record, replay, scratch, states_of
from .planted import BUGS
from .tape import hindrance
from .workload import scenarios


class Summary(msgspec.Struct, frozen=True):
    """What the whole campaign has shown.

    Attributes:
        mount: Options of the file system, beside the defaults.
        states: Crash states in all.
        unbootable: Of those, without a whole release to start.
        findings: Everything that must not be.
        tapes: One by one.
        planted: Bugs, and how many crash states it took until each was found; -1 where it was not.
    """

    mount: str
    states: int
    unbootable: int
    findings: int
    tapes: dict[str, Report]
    planted: dict[str, int]


def states_to_find(name: str) -> int:
    """Return how many crash states it takes until a planted bug has shown all that it must; -1 where it does not."""
    bug = BUGS[name]
    missing = set(bug.kinds)
    with scratch() as directory:
        with bug.plant():
            recording = record(directory, scenarios()["downloaded"][:1], launcher_bugs=bug.launcher)
        states = states_of(recording, variants=1)
        for number, findings in enumerate(judged(recording, states), 1):
            missing -= {each.kind for each in findings}
            if not missing:
                return number
    return -1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, help="crash states of each tape at the most (all)")
    parser.add_argument("--variants", type=int, default=3, help="random parts of what follows each flush (3)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mount", default="", help="options of the file system, as data=writeback")
    parser.add_argument("--planted", action="store_true", help="look for planted bugs instead")
    parser.add_argument("--output", type=Path, help="write the JSON here as well")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    logging.disable(logging.CRITICAL)
    if why := hindrance():
        print(f"left out: {why}")
        return 0
    tapes: dict[str, Report] = {}
    planted: dict[str, int] = {}
    if options.planted:
        planted = {name: states_to_find(name) for name in BUGS}
    else:
        for name, steps in scenarios().items():
            with scratch() as directory:
                recording = record(directory, steps, options=options.mount, seed=options.seed)
                tapes[name] = replay(
                    recording, variants=options.variants, states_max=options.count, processes=os.cpu_count() or 1
                )
            print(f"{name}: {tapes[name].states} crash states, {tapes[name].found or 'all well'}", flush=True)
    summary = Summary(
        options.mount,
        sum(each.states for each in tapes.values()),
        sum(each.found.get("unbootable", 0) + each.found.get("unmountable", 0) for each in tapes.values()),
        sum(sum(each.found.values()) for each in tapes.values()),
        tapes,
        planted,
    )
    document = msgspec.json.format(msgspec.json.encode(summary))
    print(document.decode())
    if options.output:
        options.output.write_bytes(document)
    return 1 if summary.findings or -1 in planted.values() else 0


if __name__ == "__main__":
    sys.exit(main())
