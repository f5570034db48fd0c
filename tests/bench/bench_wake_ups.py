"""What a wake-up costs on this machine, whatever it is for: processor time of a process that does nothing else. JSON.

A timer that ends after a pause; the same with a hand-over to a thread and back; a timer without a pause, whose caches
are warm. The daemon's processor time is mostly the first two (docs/experiments/daemon.md).

python tests/bench/bench_wake_ups.py [--times N]
"""

import argparse
import asyncio
import json
import time

from agent.foundation.worker import ThreadWorker

PAUSE_S, NO_PAUSE_S = 1.5, 0.0005


async def timer_us(times: int, pause_s: float, worker: ThreadWorker | None = None) -> int:
    began_ns = time.process_time_ns()
    for _ in range(times):
        await asyncio.sleep(pause_s)
        if worker is not None:
            await worker.run(lambda: None)
    return round((time.process_time_ns() - began_ns) / times / 1000)


async def measure(times: int) -> dict[str, int]:
    worker = ThreadWorker("bench")
    try:
        return {
            "timer_us": await timer_us(times, PAUSE_S),
            "timer_and_hand_over_us": await timer_us(times, PAUSE_S, worker),
            "timer_without_pause_us": await timer_us(50 * times, NO_PAUSE_S),
        }
    finally:
        worker.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=40)
    print(json.dumps(asyncio.run(measure(parser.parse_args().times)), indent=2))
