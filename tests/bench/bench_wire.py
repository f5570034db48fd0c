"""How many bytes a reading takes on the wire, all HTTP headers of request and answer included. Prints JSON.

What 50 sensors of the simulated house give in two hours is sent by the real client through a counting proxy to the
reference cloud, over loopback and without TLS (which adds about 30 bytes to each of the two records of a request).
Reach: at most 40 bytes a reading with gzip.

python tests/bench/bench_wire.py [--sensors N]
"""

import argparse
import asyncio
import json
import logging
import random
import uuid
from collections.abc import Iterable

import aiohttp
from aiohttp import web

from agent.cloud.client import CloudClient, TelemetryClient
from agent.cloud.connectivity import Connectivity
from agent.cloud.quota import QuotaLedger
from agent.cloud.session import new_session, tcp_connector
from agent.foundation.clock import SystemClock
from lab.refcloud.admin import NewDevice
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.contract import Endpoint, EndpointQuota
from lab.refcloud.records import DeviceKind
from lab.simulation.options import Options
from lab.simulation.run import simulate

BATCHES_MAX = 60
"""As many as one minute's quota lets through."""

Batch = list[tuple[str, float, int, str | None]]


def batches_of_a_house(sensors: int) -> list[Batch]:
    """Return what the hub sends in two hours."""
    batches: list[Batch] = []
    post = TelemetryClient.post_telemetry

    async def noted(self: TelemetryClient, readings: Iterable[tuple[str, float, int, str | None]]) -> int | None:
        batch = list(readings)
        batches.append(batch)
        return await post(self, batch)

    TelemetryClient.post_telemetry = noted  # type: ignore[method-assign]
    try:
        simulate(Options(days=2 / 24, sensors=sensors, faults="none", calm_s=0.0))
    finally:
        TelemetryClient.post_telemetry = post  # type: ignore[method-assign]
    return batches[:BATCHES_MAX]


class Counter:
    """A TCP proxy that counts what it passes on."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.bytes = 0

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._pass, "127.0.0.1", 0)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            self.bytes += len(chunk)
            writer.write(chunk)
        writer.close()


async def count(batches: list[Batch], *, compress: bool) -> float:
    """Return the bytes a reading."""
    clock = SystemClock(trust_wall_clock=True)
    cloud = ReferenceCloud(
        utc_ms=lambda: clock.utc_ms() or 0,
        monotonic_s=lambda: clock.monotonic_ms() / 1000,
        rng=random.Random(1),
        new_id=lambda: str(uuid.uuid4()),
        quotas={endpoint: EndpointQuota(1000, 60) for endpoint in Endpoint},
    )
    hub = cloud.admin.provision(NewDevice(name="hub"))
    runner = web.AppRunner(cloud.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    counter = Counter(runner.addresses[0][1])
    server = await counter.serve()
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with new_session(tcp_connector(None), user_agent="climahub/0.1.0") as session:
        client = CloudClient(
            session,
            base_url=base_url,
            read_key=lambda: hub.api_key,
            clock=clock,
            connectivity=Connectivity(now_ms=clock.monotonic_ms, rng=random.Random(1)),
            ledger=QuotaLedger(None, clock.boot_id),
            request_timeout_s=10.0,
            compress=compress,
        )
        identities: dict[str, str] = {}
        for device in sorted({reading[3] for batch in batches for reading in batch if reading[3]}):
            made = cloud.admin.provision(NewDevice(name=device, kind=DeviceKind.SENSOR))
            identities[device] = await register(session, base_url, hub.api_key, made.api_key)
        counter.bytes = 0
        for batch in batches:
            readings = [
                (kind, value, utc_ms, identities[device] if device else None) for kind, value, utc_ms, device in batch
            ]
            await client.telemetry.post_telemetry(readings)
    server.close()
    await runner.cleanup()
    return counter.bytes / sum(map(len, batches))


async def register(session: aiohttp.ClientSession, base_url: str, hub_key: str, sensor_key: str) -> str:
    """Bind a sensor to the hub; return its id."""
    url, headers = f"{base_url}/v1/zigbee/register", {"Authorization": f"Bearer {hub_key}"}
    async with session.post(url, json={"sensor_api_key": sensor_key}, headers=headers) as answer:
        return str((await answer.json())["sensor_id"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sensors", type=int, default=50)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    batches = batches_of_a_house(options.sensors)
    results = {
        "readings": sum(map(len, batches)),
        "batches": len(batches),
        "bytes_per_reading_gzip": round(asyncio.run(count(batches, compress=True)), 1),
        "bytes_per_reading_plain": round(asyncio.run(count(batches, compress=False)), 1),
    }
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
