"""Runs a bench several times, and that of another revision by turns with it: A B A B. Prints JSON with medians.

What a busy machine adds, it adds to both: with a revision, each figure is shown before, after, and as the ratio of
their medians. Without one, each has its median and its range. The load of the machine stands beside them, from its
beginning and its end. A figure is any number of the bench's JSON, by its dotted name.

python tests/bench/paired.py bench_cli [--against REV] [--repeats N] [-- ARGUMENTS OF THE BENCH]
make bench-compare REV=HEAD~20 BENCH=bench_cli
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

TREE = Path(__file__).parents[2]

Figures = Mapping[str, float]


def figures_of(document: object, name: str = "") -> dict[str, float]:
    """Return the numbers of a JSON document by their dotted names."""
    if isinstance(document, Mapping):
        parts = list(document.items())
    elif isinstance(document, list):
        parts = [(str(number), each) for number, each in enumerate(document)]
    else:
        is_number = isinstance(document, int | float) and not isinstance(document, bool)
        return {name: float(document)} if is_number else {}  # type: ignore[arg-type] # a number
    found: dict[str, float] = {}
    for key, each in parts:
        found |= figures_of(each, f"{name}.{key}" if name else str(key))
    return found


def summary(runs: Sequence[Figures]) -> dict[str, object]:
    """Return the median and the range of each figure of several runs."""
    names = dict.fromkeys(name for run in runs for name in run)
    columns = {name: [run[name] for run in runs if name in run] for name in names}
    return {
        name: {"median": _rounded(statistics.median(column)), "range": [_rounded(min(column)), _rounded(max(column))]}
        for name, column in columns.items()
    }


def comparison(before: Sequence[Figures], after: Sequence[Figures]) -> dict[str, object]:
    """Return the medians of each figure that both revisions have, and the ratio of after to before."""
    common = [
        name for name in dict.fromkeys(name for run in after for name in run) if any(name in run for run in before)
    ]
    found: dict[str, object] = {}
    for name in common:
        old, new = (statistics.median([run[name] for run in runs if name in run]) for runs in (before, after))
        found[name] = {
            "before": _rounded(old),
            "after": _rounded(new),
            "ratio": round(new / old, 3) if old else None,
        }
    return found


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def run_bench(tree: Path, name: str, arguments: Sequence[str]) -> Figures:
    """Run a bench on the code of a tree; a bench that it does not have yet is this tree's."""
    script = tree / "tests" / "bench" / f"{name}.py"
    here = TREE / "tests" / "bench"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (tree, script.parent, here)))}
    done = subprocess.run(
        [sys.executable, script if script.exists() else here / script.name, *arguments],
        cwd=tree,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return figures_of(parsed(done.stdout))


def parsed(text: str) -> object:
    """Return the JSON that a bench has printed: one document, or one on each line."""
    try:
        return json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """Check a revision out beside this tree, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="climahub-bench-") as directory:
        tree = Path(directory) / "tree"
        subprocess.run(["git", "-C", TREE, "worktree", "add", "-q", "--detach", tree, revision], check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "-C", TREE, "worktree", "remove", "--force", tree], check=True)


def measure(name: str, against: str, repeats: int, arguments: Sequence[str]) -> dict[str, object]:
    """Run a bench and return its figures, with what they depend on."""
    load = [os.getloadavg()[0]]
    result: dict[str, object] = {
        "bench": name,
        "repeats": repeats,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
    after: list[Figures] = []
    if against:
        before: list[Figures] = []
        with checked_out(against) as tree:
            for _ in range(repeats):
                before.append(run_bench(tree, name, arguments))
                after.append(run_bench(TREE, name, arguments))
        result |= {"against": against, "figures": comparison(before, after)}
    else:
        after = [run_bench(TREE, name, arguments) for _ in range(repeats)]
        result["figures"] = summary(after)
    load.append(os.getloadavg()[0])
    return result | {"load_1min": [round(each, 1) for each in load]}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", help="the name of a file of this directory, such as bench_cli")
    parser.add_argument("--against", default="", metavar="REV", help="a revision, measured by turns with this tree")
    parser.add_argument("--repeats", type=int, default=3)
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    options = parser.parse_args(given[:end])
    print(json.dumps(measure(options.bench, options.against, options.repeats, given[end + 1 :]), indent=2))


if __name__ == "__main__":
    main()
