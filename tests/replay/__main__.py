"""Power cuts on a recorded disk: updates on a real ext4, each crash state mounted, booted and brought to its end.

Prints JSON; exit 1 on anything that must not be. Needs root and qemu-storage-daemon (Debian: qemu-system-common).

python -m tests.replay [--count N] [--variants N] [--seed N] [--mount OPTIONS] [--twice N] [--planted] [--output FILE]
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from .campaign import Recording, Report, judged, quiet, record, record_recovery, replay, scratch, skip_reason, states_of
from .planted import BUGS
from .workload import scenarios

PROCESSES = os.cpu_count() or 1
AGAIN_STATES_MAX = 40
"""Of each recovery that is cut again."""


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


def twice(recording: Recording, *, recoveries: int, count: int | None) -> Report:
    """Cut the power while a hub recovers from a power cut."""
    states = states_of(recording, variants=2)
    recoveries, count = min(recoveries, count or recoveries), min(AGAIN_STATES_MAX, count or AGAIN_STATES_MAX)
    reports = []
    for number in range(recoveries):
        with scratch() as directory:
            first = states[(2 * number + 1) * len(states) // (2 * recoveries)]
            second = record_recovery(directory, recording, first)
            if second is not None:
                reports.append(replay(second, variants=1, states_max=count, processes=PROCESSES))
    return total(reports)


def total(reports: Sequence[Report]) -> Report:
    """Return several reports as one."""
    found: Counter[str] = Counter()
    for each in reports:
        found.update(each.found)
    return Report(
        sum(each.requests for each in reports),
        sum(each.flushes for each in reports),
        sum(each.states for each in reports),
        dict(found),
        tuple(finding for each in reports for finding in each.findings),
        round(sum(each.wall_s for each in reports), 1),
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, help="crash states of each tape at the most (all)")
    parser.add_argument("--variants", type=int, default=3, help="random parts of what follows each flush (3)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mount", default="", help="options of the file system, as data=writeback")
    parser.add_argument("--twice", type=int, default=0, help="of so many recoveries of each tape, cut the power again")
    parser.add_argument("--planted", action="store_true", help="look for planted bugs instead")
    parser.add_argument("--output", type=Path, help="write the JSON here as well")
    return parser.parse_args()


def played(options: argparse.Namespace) -> Iterator[tuple[str, Report]]:
    """Record and replay everything; yield the reports by name, and print a line of each."""
    for name, steps in scenarios().items():
        with scratch() as directory:
            recording = record(directory, steps, options=options.mount, seed=options.seed)
            yield shown(
                name,
                replay(recording, variants=options.variants, states_max=options.count, processes=PROCESSES),
            )
            if options.twice:
                yield shown(f"{name}, cut twice", twice(recording, recoveries=options.twice, count=options.count))


def shown(name: str, report: Report) -> tuple[str, Report]:
    print(f"{name}: {report.states} crash states, {report.found or 'all well'}", flush=True)
    return name, report


def main() -> int:
    options = arguments()
    quiet()
    if why := skip_reason():
        print(f"left out: {why}")
        return 0
    planted = {name: states_to_find(name) for name in BUGS} if options.planted else {}
    tapes = {} if options.planted else dict(played(options))
    all_tapes = total(list(tapes.values()))
    summary = Summary(
        options.mount,
        all_tapes.states,
        all_tapes.found.get("unbootable", 0) + all_tapes.found.get("unmountable", 0),
        sum(all_tapes.found.values()),
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
