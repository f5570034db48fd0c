"""Microseconds that a reading and a request cost the reference cloud, by layer.

Run: python tests/bench/bench_refcloud.py. One line of JSON for 1, 50 and 100 different instants in a batch of 100
readings: `take` is validation and the memory store after decoding, `api` the whole endpoint without HTTP, `http` client
and server together over loopback on one loop.
"""

import asyncio
import gzip
import itertools
import json
import random
import time
import uuid

import aiohttp
import msgspec
from aiohttp import web

from lab.refcloud.admin import NewDevice
from lab.refcloud.api import ApiRequest, DeviceApi
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.contract import QUOTAS, SENSOR_TYPES, Endpoint, EndpointQuota
from lab.refcloud.models import TelemetryBatch
from lab.refcloud.records import CloudDevice, DeviceKind
from lab.refcloud.rfc3339 import format_ms
from lab.refcloud.store import MemoryStore
from lab.refcloud.validation import to_columns

READINGS_A_BATCH = 100
BATCHES = 300
START_MS = 1_774_785_600_000


def batches(instants_a_batch: int) -> list[bytes]:
    rng = random.Random(1)
    clock = itertools.count(START_MS, 60_000)
    bodies = []
    for _ in range(BATCHES):
        per_instant = READINGS_A_BATCH // instants_a_batch
        readings = [
            {"sensor_type": SENSOR_TYPES[i % 2], "value": round(rng.uniform(15, 25), 2), "timestamp": format_ms(at_ms)}
            for at_ms in itertools.islice(clock, instants_a_batch)
            for i in range(per_instant)
        ]
        bodies.append(json.dumps({"readings": readings}).encode())
    return bodies


def us_a_reading(started_s: float) -> float:
    return round((time.perf_counter() - started_s) / BATCHES / READINGS_A_BATCH * 1e6, 3)


def bench_take(bodies: list[bytes]) -> float:
    decoded = [msgspec.json.decode(body, type=TelemetryBatch) for body in bodies]
    store = MemoryStore()
    started_s = time.perf_counter()
    for batch in decoded:
        store.add_readings(to_columns(batch, "hub", lambda _: False))
    return us_a_reading(started_s)


def bench_api(bodies: list[bytes]) -> float:
    telemetry = DeviceApi(MemoryStore()).endpoints[Endpoint.TELEMETRY]
    hub = CloudDevice(device_id="hub", kind=DeviceKind.HUB, name="hub", serial_number="1", batch="stable")
    started_s = time.perf_counter()
    for body in bodies:
        telemetry(ApiRequest(device=hub, now_ms=START_MS, body=body))
    return us_a_reading(started_s)


async def bench_http(bodies: list[bytes], *, is_packed: bool) -> dict[str, float]:
    cloud = ReferenceCloud(
        utc_ms=lambda: START_MS,
        monotonic_s=time.monotonic,
        rng=random.Random(1),
        new_id=lambda: str(uuid.uuid4()),
        quotas=dict.fromkeys(QUOTAS, EndpointQuota(10_000_000, 60)),
    )
    key = cloud.admin.provision(NewDevice(name="hub")).api_key
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    if is_packed:
        headers["Content-Encoding"] = "gzip"
        bodies = [gzip.compress(body, compresslevel=6) for body in bodies]
    runner = web.AppRunner(cloud.application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession(headers=headers) as session:
        started_s = time.perf_counter()
        for body in bodies:
            async with session.post(f"http://{host}:{port}/v1/telemetry", data=body) as response:
                assert response.status == 200, await response.text()
                await response.read()
        cost_us = us_a_reading(started_s)
    await runner.cleanup()
    return {"us_a_reading": cost_us, "us_a_request": round(cost_us * READINGS_A_BATCH, 1)}


def main() -> None:
    for instants in (1, 50, 100):
        bodies = batches(instants)
        report = {
            "instants_a_batch": instants,
            "take_us_a_reading": min(bench_take(bodies) for _ in range(3)),
            "api_us_a_reading": min(bench_api(bodies) for _ in range(3)),
            "http_plain": asyncio.run(bench_http(bodies, is_packed=False)),
            "http_gzip": asyncio.run(bench_http(bodies, is_packed=True)),
        }
        print(json.dumps(report))


if __name__ == "__main__":
    main()
