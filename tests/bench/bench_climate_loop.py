"""How late the control loop decides while 100,000 readings drain to the cloud, on a real loop and disk. Prints JSON.

The hub is a process of its own, the reference cloud another; the quotas of readings are lifted, so that the drain is as
fast as the machine. Decisions are asked for every 100 ms (`watched_hub`): what comes later than that is jitter.

python tests/bench/bench_climate_loop.py [--readings N]
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
import uuid
from pathlib import Path

import msgspec
from aiohttp import web

from agent.cloud import contract
from lab.refcloud.admin import NewDevice
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.contract import QUOTAS, Endpoint, EndpointQuota

SLICE = 1000
LIMIT = 4000
"""Telemetry requests a minute: more than the drain can use. Each place of the window is looked at, so a limit of
100,000 would measure the window."""


async def parent(readings: int) -> str:
    """Serve the cloud and run the hub; return what it printed."""
    cloud = ReferenceCloud(
        utc_ms=lambda: time.time_ns() // 1_000_000,
        monotonic_s=time.monotonic,
        rng=random.Random(1),
        new_id=lambda: str(uuid.uuid4()),
        quotas={**QUOTAS, Endpoint.TELEMETRY: EndpointQuota(limit=LIMIT, window_s=60)},
    )
    key = cloud.admin.provision(NewDevice(name="hub")).api_key
    runner = web.AppRunner(cloud.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        "--readings",
        str(readings),
        "--hub",
        url,
        "--key",
        key,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    await runner.cleanup()
    return said.decode()


async def hub(url: str, key: str, readings: int, directory: Path) -> None:
    """Run the hub until all is accepted."""
    lifted = msgspec.structs.replace(contract.QUOTAS[contract.Endpoint.TELEMETRY], limit=LIMIT)
    contract.QUOTAS = {**contract.QUOTAS, contract.Endpoint.TELEMETRY: lifted}  # before anybody else looks at it
    # They read the quotas when they are imported.
    from watched_hub import ZONES, watched_hub  # noqa: PLC0415

    from hal.interface import HUB, Reading, SensorKind  # noqa: PLC0415

    text = f'[cloud]\nbase_url = "{url}"\nbatch_linger_s = 0\n{ZONES}[port]\nlisten = []\n'
    text += "[storage]\nmemory_readings_max = 1000000\ncommit_interval_s = 0.1\n"
    async with watched_hub(text, directory, key=key, serve=False) as watched:
        running = watched.hub
        now_ms = running.environment.clock.monotonic_ms()
        began_s = time.perf_counter()
        for number in range(readings):
            value = 20.0 + number % 100 / 100
            running.telemetry.intake.offer(
                Reading(HUB, "bench", SensorKind.TEMPERATURE, value, now_ms - (readings - number)), is_reported=True
            )
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0.05)
        while running.telemetry.uplink.counts.accepted < readings:  # noqa: ASYNC110 - the hub has no event for it
            await asyncio.sleep(0.05)
        took_s = time.perf_counter() - began_s
        decisions, late_ms = len(watched.decided_s), watched.take_late_ms()
    print(
        json.dumps(
            {
                "readings": readings,
                "drained_in_s": round(took_s, 1),
                "decisions": decisions,
                "late_median_ms": round(late_ms[len(late_ms) // 2], 1),
                "late_p99_ms": round(late_ms[int(len(late_ms) * 0.99)], 1),
                "late_max_ms": round(late_ms[-1], 1),
            },
            indent=1,
        )
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readings", type=int, default=100_000)
    parser.add_argument("--hub", default="")
    parser.add_argument("--key", default="")
    options = parser.parse_args()
    if not options.hub:
        print(asyncio.run(parent(options.readings)), end="")
        return
    with tempfile.TemporaryDirectory(prefix="climahub-bench-") as directory:
        asyncio.run(hub(options.hub, options.key, options.readings, Path(directory)))


if __name__ == "__main__":
    main()
