"""The agent as a process, with its processor time by cause: `bench_daemon.py --causes` starts it in place of `agent`.

A cause is the function of the agent that a turn of the event loop goes on in, with all that it calls, and not one of
those that only wait. What is left of the main thread is the loop itself: waiting, timers, and looking after the
callbacks. Counting costs some 5 %.

python tests/bench/profiled_agent.py FILE FROM_S SECONDS run --config CONFIG
"""

import asyncio
import atexit
import json
import runpy
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

TREE = Path(__file__).parents[2]
OURS = (str(TREE / "agent"), str(TREE / "hal"))
WAITS = tuple(
    str(TREE / "agent" / "foundation" / name) for name in ("beat.py", "database.py", "signals.py", "worker.py")
)


class Causes:
    """Counts for a while."""

    def __init__(self, from_s: float, seconds: float) -> None:
        self._begins_ns = time.monotonic_ns() + int(from_s * 1e9)
        self._ends_ns = self._begins_ns + int(seconds * 1e9)
        self._began = self._ended = (0, 0, 0)
        self._spent_ns: Counter[str] = Counter()
        self._times: Counter[str] = Counter()

    def watch_loop(self) -> None:
        """Count each callback of the event loop from now on."""
        run = asyncio.Handle._run

        def counted(handle: asyncio.Handle) -> None:
            if not self._begins_ns <= time.monotonic_ns() < self._ends_ns:
                run(handle)
                return
            if not self._began[0]:
                self._began = now_ns()
            name, began_ns = cause_of(handle), time.thread_time_ns()
            run(handle)
            self._ended = now_ns()
            self._spent_ns[name] += self._ended[2] - began_ns
            self._times[name] += 1

        asyncio.Handle._run = counted  # type: ignore[method-assign, assignment]

    def report(self) -> object:
        """Return CPU s/h by cause, and how often an hour."""
        wall_ns, process_ns, main_ns = (end - begin for begin, end in zip(self._began, self._ended, strict=True))
        hours = wall_ns / 3.6e12
        spent_ns = self._spent_ns | {
            "the loop": main_ns - self._spent_ns.total(),
            "other threads": process_ns - main_ns,
        }
        return {
            name: {"cpu_s_per_hour": round(each_ns / 1e9 / hours, 3), "times": round(self._times[name] / hours)}
            for name, each_ns in sorted(spent_ns.items(), key=lambda each: -each[1])
        }


def now_ns() -> tuple[int, int, int]:
    """Return the time, and the processor time of the process and of this thread."""
    return time.monotonic_ns(), time.process_time_ns(), time.thread_time_ns()


def cause_of(handle: asyncio.Handle) -> str:
    """Return the innermost function of ours that a callback goes on in; of the library where none is."""
    callback = handle._callback  # type: ignore[attr-defined]
    waiting = getattr(getattr(callback, "__self__", None), "get_coro", lambda: None)()
    name = getattr(callback, "__qualname__", type(callback).__name__)
    while waiting is not None:
        frame: FrameType | None = getattr(waiting, "cr_frame", None)
        file = "" if frame is None else frame.f_code.co_filename
        if frame is not None and file.startswith(OURS) and file not in WAITS:
            name = frame.f_code.co_qualname
        waiting = getattr(waiting, "cr_await", None)
    return name


if __name__ == "__main__":
    _, file, from_s, seconds, *arguments = sys.argv
    causes = Causes(float(from_s), float(seconds))
    causes.watch_loop()
    atexit.register(lambda: Path(file).write_text(json.dumps(causes.report())))
    sys.argv = ["agent", *arguments]
    sys.path[0] = str(TREE)
    runpy.run_module("agent", run_name="__main__", alter_sys=True)
