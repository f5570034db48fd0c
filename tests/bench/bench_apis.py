"""What the four local APIs cost: memory of an idle hub, and how fast and late it is at 100 calls a second. Prints JSON.

Reach: at most 3 MiB idle; p99 of a status call under 20 ms at 100 a second; control late by less than 100 ms.

python tests/bench/bench_apis.py [--seconds N] [--rate N]

The hub is a process of its own; decisions are asked for every 100 ms (`watched_hub`). Each call is due at its time,
whether those before it have been answered or not, and its duration counts from then.
"""

import argparse
import asyncio
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import service

IDLE_S = 20.0
"""Before memory is read: the hub has made its keys and read its files."""
NO_CLOUD = "http://127.0.0.1:9"
APIS = ("aurra_home", "amps", "aqara", "aurra_facts")
HOMEKIT = "homekit"
"""No API of the port: it has a listener of its own, and no clients."""
TIERS = {"aurra_home": "enterprise"}
CLIENTS = 4
"""Of each API, which take turns: most have a limit of 120 calls a minute."""


Call = Callable[[], AbstractAsyncContextManager[aiohttp.ClientResponse]]


def memory_mib() -> float:
    """Return the resident memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


async def hub(directory: Path, apis: Sequence[str]) -> None:
    """Run a hub; speak with the parent over standard input and output, a line each."""
    from watched_hub import ZONES, watched_hub  # noqa: PLC0415 - the parent does without

    from agent.apis.client_records import NewClient  # noqa: PLC0415

    switched = "".join(f"{name} = true\n" for name in apis)
    if HOMEKIT in apis:
        switched += 'homekit_listen = ["127.0.0.1"]\nhomekit_port = 0\n'
    text = f'[cloud]\nbase_url = "{NO_CLOUD}"\n{ZONES}[port]\nport = 0\n[apis]\n{switched}[storage]\n'
    async with watched_hub(text, directory, key="cs_dev_" + "A1b2" * 8, serve=True) as watched:
        port = watched.hub.port
        while not port.listeners.addresses:  # noqa: ASYNC110 - the hub has no event for it
            await asyncio.sleep(0.05)
        made: dict[str, list[tuple[str, str]]] = {name: [] for name in apis if name != HOMEKIT}
        for name, number in itertools.product(made, range(CLIENTS)):
            if port.apis:
                wanted = NewClient(name, f"bench-{number}", tier=TIERS.get(name, ""))
                secret, record = await port.apis.clients.add(wanted)
                made[name].append((record.client.client_id, secret))
        print(json.dumps({"url": port.listeners.addresses[0], "clients": made}), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            late_ms = watched.take_late_ms()
            print(json.dumps({"rss_mib": round(memory_mib(), 1), "late_max_ms": round(late_ms[-1], 1)}), flush=True)


class Process:
    """A hub's process, as the parent sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the hub has no pipes")
        self._said, self._told = process.stdout, process.stdin

    @staticmethod
    async def start(apis: Sequence[str]) -> "Process":
        return Process(
            await asyncio.create_subprocess_exec(
                sys.executable,
                __file__,
                "--hub",
                ",".join(apis),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=service.environment(),
            )
        )

    async def read(self) -> dict[str, object]:
        answer: dict[str, object] = json.loads(await self._said.readline())
        return answer

    async def mark(self) -> dict[str, object]:
        """Return what the hub has measured since the last mark."""
        self._told.write(b"\n")
        return await self.read()

    async def end(self) -> None:
        self._told.close()
        await self._process.wait()


async def idle_mib(apis: Sequence[str]) -> float:
    """Return the memory of an idle hub on which these APIs are on."""
    process = await Process.start(apis)
    await process.read()
    await asyncio.sleep(IDLE_S)
    mark = await process.mark()
    await process.end()
    return float(str(mark["rss_mib"]))


async def durations_ms(call: Call, rate: float, seconds: float) -> tuple[list[float], int]:
    """Return how long each call took, in order of duration, and how many did not succeed."""
    took: list[float] = []
    failed = 0

    async def one(due_s: float) -> None:
        nonlocal failed
        async with call() as response:
            await response.read()
            failed += response.status != 200
        took.append((time.perf_counter() - due_s) * 1000)

    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due_s = began_s + number / rate
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            group.create_task(one(due_s))
    return sorted(took), failed


async def token_of(session: aiohttp.ClientSession, base: str, client_id: str, secret: str) -> str:
    """Return a token of AURRA Home."""
    body = {"client_id": client_id, "client_secret": secret, "grant_type": "client_credentials"}
    async with session.post(f"{base}/aurra-home/v1/auth/token", json=body) as response:
        return str((await response.json())["access_token"])


async def calls(rate: float, seconds: float) -> dict[str, object]:
    """Call the status of each API at a steady rate."""
    process = await Process.start(APIS)
    found = await process.read()
    base, clients = str(found["url"]), found["clients"]
    if not isinstance(clients, dict):
        raise TypeError("the hub made no clients")
    await asyncio.sleep(IDLE_S)
    results: dict[str, object] = {}
    async with aiohttp.ClientSession() as session:
        tokens = [await token_of(session, base, *each) for each in clients["aurra_home"]]
        devices = {"type": "GetAllDevicesWithSpaceRequest", "version": "v1", "msgId": "1", "data": None}
        secrets = {name: itertools.cycle([secret for _, secret in made]) for name, made in clients.items()}
        secrets["aurra_home"] = itertools.cycle(tokens)

        def bearer(name: str) -> dict[str, str]:
            return {"Authorization": f"Bearer {next(secrets[name])}"}

        asked: dict[str, Call] = {
            "aurra_home": lambda: session.get(
                f"{base}/aurra-home/v1/thermostat/living/status", headers=bearer("aurra_home")
            ),
            "amps": lambda: session.get(f"{base}/amps/hvac/living", headers=bearer("amps")),
            "aqara": lambda: session.post(f"{base}/aqara/open/api", json=devices, headers=bearer("aqara")),
            "aurra_facts": lambda: session.get(f"{base}/aurra/plan/status", headers=bearer("aurra_facts")),
        }
        for name, call in asked.items():
            await process.mark()
            took, failed = await durations_ms(call, rate, seconds)
            mark = await process.mark()
            results[name] = {
                "calls": len(took),
                "not_200": failed,
                "median_ms": round(took[len(took) // 2], 1),
                "p99_ms": round(took[int(len(took) * 0.99)], 1),
                "control_late_max_ms": mark["late_max_ms"],
                "rss_mib": mark["rss_mib"],
            }
    await process.end()
    return results


async def measure(rate: float, seconds: float) -> dict[str, object]:
    """Measure all."""
    without = await idle_mib(())
    more = {name: round(await idle_mib((name,)) - without, 1) for name in (*APIS, HOMEKIT)}
    idle = {"without": without, "more_with": more, "more_with_all": round(await idle_mib(APIS) - without, 1)}
    return {"load": os.getloadavg()[0], "idle_rss_mib": idle, "calls": await calls(rate, seconds)}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="at each API; limits are per minute")
    parser.add_argument("--rate", type=float, default=100.0, help="calls a second")
    parser.add_argument("--hub", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hub is not None:
        with tempfile.TemporaryDirectory(prefix="climahub-bench-") as directory:
            asyncio.run(hub(Path(directory), [name for name in options.hub.split(",") if name]))
        return
    print(json.dumps(asyncio.run(measure(options.rate, options.seconds)), indent=1))


if __name__ == "__main__":
    main()
