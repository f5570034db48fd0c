"""The port under attack: lateness of control, who gets in, memory. Prints JSON.

A hub with a heated zone is a process of its own. Decisions are asked for every 100 ms (`watched_hub`): what comes later
than that is jitter. 200 clients listen to the event stream throughout; 10,000 wrong codes come from 250
addresses; then 500 connections whose heads never end. A second round shows whether memory grows. Reach: late by less
than 100 ms, nobody let in, memory back to where it was.

python tests/bench/bench_port.py [--slow N] [--listeners N] [--guesses N] [--rounds N] [--tls]
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import service

from tests.integration import port_attack
from tests.integration.port_attack import Target

CALM_S = 10.0
"""Before the attack, and after it until connections have ended."""
SLOW_S = 35.0
"""How long connections are held: twice the time after which the hub closes one without a head."""
CODES_AT_ONCE = 20
DISCARD = "http://127.0.0.1:9"


def memory_mib() -> float:
    """Return the resident memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


async def hub(directory: Path, listen: str) -> None:
    """Run a hub; speak with the parent over standard input and output, a line each."""
    from watched_hub import ZONES, watched_hub  # noqa: PLC0415 - the parent does without

    from agent.local.routes import Role  # noqa: PLC0415

    text = f'[cloud]\nbase_url = "{DISCARD}"\n{ZONES}[port]\nlisten = ["{listen}"]\nport = 0\n[storage]\n'
    async with watched_hub(text, directory, key="cs_dev_" + "A1b2" * 8, serve=True) as watched:
        running = watched.hub
        while not running.port.listeners.addresses:  # noqa: ASYNC110 - the hub has no event for it
            await asyncio.sleep(0.05)
        code, _ = await running.port.credentials.make_code(Role.OWNER)
        print(json.dumps({"url": running.port.listeners.addresses[0], "code": code}), flush=True)
        marks = []
        while await asyncio.to_thread(sys.stdin.readline):
            late_ms = watched.take_late_ms()
            marks.append(
                {
                    "rss_mib": round(memory_mib(), 1),
                    "decisions": len(late_ms) + 1,
                    "late_p99_ms": round(late_ms[int(len(late_ms) * 0.99)], 1),
                    "late_max_ms": round(late_ms[-1], 1),
                    "connections": running.port.listeners.connections,
                }
            )
            print(json.dumps(marks[-1]), flush=True)


class Hub:
    """The hub's process, as the parent sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the hub has no pipes")
        self._said, self._told = process.stdout, process.stdin

    async def read(self) -> dict[str, str]:
        answer: dict[str, str] = json.loads(await self._said.readline())
        return answer

    async def mark(self) -> dict[str, str]:
        """Return what the hub has measured since the last mark."""
        self._told.write(b"\n")
        return await self.read()

    async def end(self) -> None:
        self._told.close()
        await self._process.wait()


async def parent(options: argparse.Namespace) -> dict[str, object]:
    """Run the hub and attack it."""
    listen = "0.0.0.0" if options.tls else "127.0.0.1"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        "--hub",
        listen,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=service.environment(),
    )
    # The attackers are other machines: they must not take the hub's processor.
    os.nice(10)
    running = Hub(process)
    found = await running.read()
    target = Target(found["url"].replace("0.0.0.0", "127.0.0.1"))
    cookie = await port_attack.sign_in(target, found["code"])
    warm = asyncio.get_running_loop().create_task(port_attack.Listeners(target, 1, cookie).run())
    await asyncio.sleep(CALM_S)
    await port_attack.end([warm])
    before = await running.mark()
    rounds = [await attack(running, target, cookie, options) for _ in range(options.rounds)]
    await running.end()
    return {"before": before, "rounds": rounds}


async def attack(running: Hub, target: Target, cookie: str, options: argparse.Namespace) -> dict[str, object]:
    """Attack in every way at once, and wait until the hub is calm again."""
    spawn = asyncio.get_running_loop().create_task
    listeners = port_attack.Listeners(target, options.listeners, cookie)
    tasks = [spawn(listeners.run())]
    began_s = time.perf_counter()
    guessed = await port_attack.guess_codes(target, options.guesses, CODES_AT_ONCE)
    took_s = time.perf_counter() - began_s
    guessing = await running.mark()
    slow = port_attack.Slowloris(target, options.slow)
    tasks.append(spawn(slow.run()))
    await asyncio.sleep(SLOW_S)
    holding = await running.mark()
    await port_attack.end(tasks)
    await asyncio.sleep(CALM_S)
    return {
        "guesses_took_s": round(took_s, 1),
        "guesses": {str(status): count for status, count in sorted(guessed.items())},
        "let_in": guessed[200] + slow.answered,
        "slow_connections": {"opened": slow.opened, "closed_by_hub": slow.closed_by_hub},
        "listeners": {str(status): count for status, count in sorted(listeners.statuses.items())},
        "listened_kib": listeners.bytes // 1024,
        "guessing": guessing,
        "holding": holding,
        "after": await running.mark(),
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slow", type=int, default=500)
    parser.add_argument("--listeners", type=int, default=200)
    parser.add_argument("--guesses", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--hub", default="")
    options = parser.parse_args()
    if options.hub:
        with tempfile.TemporaryDirectory(prefix="climahub-bench-") as directory:
            asyncio.run(hub(Path(directory), options.hub))
        return
    print(json.dumps(asyncio.run(parent(options)), indent=1))


if __name__ == "__main__":
    main()
