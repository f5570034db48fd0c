"""What sending a backlog costs in processor time, beside a bare loop that does the same work. Prints JSON.

The bare loop does what no catch-up can leave out: it reads blobs with sqlite3, inflates and decodes them with msgspec,
encodes batches of 100 with their timestamps, compresses them with gzip, posts them with aiohttp and removes what was
accepted, eight blobs a commit. It keeps no quota and survives no error. Both send the same backlog, which the outbox
has stored, to a reference cloud in another process. Counted is the processor time of the whole process while all but
the first few batches are sent. The quota is 60 requests a second in place of a minute, so its window has the real size.
Reach: the hub takes at most 1.3 times the processor time of the bare loop.

python tests/bench/bench_catch_up_cpu.py [--readings N] [--commit READINGS] [--profile FILE]
"""

import argparse
import asyncio
import cProfile
import json
import random
import sqlite3
import sys
import tempfile
import time
import uuid
import zlib
from http import HTTPStatus
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web

from agent.cloud import contract
from lab.refcloud.admin import NewDevice
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.contract import QUOTAS, Endpoint, EndpointQuota

WINDOW_S = 1
"""Of the quota of telemetry, in place of a minute."""

FIRST_READINGS = 2000
"""Sent before the measurement begins: connection, trial of gzip, imports."""

BLOBS_A_COMMIT = 8
SENSORS = 50
BOOT_AT_MS = 1_768_000_000_000


async def parent(readings: int, commit: int, mode: str, profile: str) -> dict[str, float]:
    """Serve the cloud, and send the backlog from another process; return what it measured."""
    cloud = ReferenceCloud(
        utc_ms=lambda: time.time_ns() // 1_000_000,
        monotonic_s=time.monotonic,
        rng=random.Random(1),
        new_id=lambda: str(uuid.uuid4()),
        quotas={**QUOTAS, Endpoint.TELEMETRY: EndpointQuota(limit=QUOTAS[Endpoint.TELEMETRY].limit, window_s=WINDOW_S)},
    )
    key = cloud.admin.provision(NewDevice(name="hub")).api_key
    runner = web.AppRunner(cloud.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    arguments = ("--readings", str(readings), "--commit", str(commit), "--profile", profile)
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, *arguments, "--send", mode, url, key, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    await runner.cleanup()
    if process.returncode:
        raise SystemExit(process.returncode)
    found: dict[str, float] = json.loads(said)
    return found


async def store(directory: Path, readings: int, commit: int) -> None:
    """Make a backlog as the hub makes it during an outage: what its sensors report, a commit every few seconds."""
    from agent.foundation.disk import Disk  # noqa: PLC0415 - the quotas are changed before
    from agent.foundation.worker import InlineWorker  # noqa: PLC0415
    from agent.telemetry.outbox.protocol import OutboxLimits  # noqa: PLC0415
    from agent.telemetry.outbox.store import open_outbox  # noqa: PLC0415
    from hal.interface import HUB, Reading, SensorKind  # noqa: PLC0415

    limits = OutboxLimits(used_bytes_max=2**30, disk_free_bytes_min=0, dead_letters_max=100)
    outbox, _ = await open_outbox(directory, boot_id="before", limits=limits, worker=InlineWorker(), disk=Disk())
    await outbox.anchor(now_ms=0, utc_ms=BOOT_AT_MS)
    rng, kinds = random.Random(1), (SensorKind.TEMPERATURE, SensorKind.HUMIDITY)
    made = [
        Reading(HUB, "", kinds[number % len(kinds)], round(20.0 + rng.gauss(0.0, 1.0), 2), number * 60_000 // SENSORS)
        for number in range(readings)
    ]
    for start in range(0, readings, commit):
        await outbox.append(made[start : start + commit], is_registered=lambda _: True)
    await outbox.close()


class Stopwatch:
    """Counts the processor time of this process per reading, after the first ones."""

    def __init__(self, profile: str) -> None:
        self._profile = cProfile.Profile() if profile else None
        self._path = profile
        self._began: tuple[float, int] | None = None

    def note(self, accepted: int) -> None:
        """Begin once enough have been accepted."""
        if self._began is None and accepted >= FIRST_READINGS:
            self._began = time.process_time(), accepted
            if self._profile is not None:
                self._profile.enable()

    def us_a_reading(self, accepted: int) -> float:
        """Return microseconds of processor time for each reading since the beginning."""
        if self._began is None:
            raise ValueError(f"{accepted} readings were accepted; more than {FIRST_READINGS} are needed")
        spent_s = time.process_time() - self._began[0]
        if self._profile is not None:
            self._profile.disable()
            self._profile.dump_stats(self._path)
        return spent_s * 1e6 / (accepted - self._began[1])


async def send_bare(url: str, key: str, directory: Path, readings: int, watch: Stopwatch) -> float:
    """Send the backlog with nothing but the libraries."""
    decode = msgspec.json.Decoder(tuple[list[int], list[int], list[float]]).decode
    connection = sqlite3.connect(directory / "outbox.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    kinds = dict(connection.execute("SELECT id, kind FROM series").fetchall())
    accepted = last = 0
    delivered: list[tuple[int]] = []
    waiting: list[tuple[str, int, float]] = []
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        while accepted < readings:
            rows = connection.execute("SELECT seq, first_ms, data FROM blobs WHERE seq > ? ORDER BY seq", (last,))
            while len(waiting) < contract.READINGS_MAX and (row := rows.fetchone()):
                last, first_ms, data = row
                delivered.append((last,))
                for series, offset_ms, value in zip(*decode(zlib.decompress(data)), strict=True):
                    waiting.append((kinds[series], BOOT_AT_MS + first_ms + offset_ms, value))
            rows.close()
            batch, waiting = waiting[: contract.READINGS_MAX], waiting[contract.READINGS_MAX :]
            encoded = msgspec.json.encode(
                contract.TelemetryRequest(
                    [
                        contract.TelemetryReading(kind, value, contract.format_timestamp(utc_ms), None)
                        for kind, utc_ms, value in batch
                    ]
                )
            )
            body = zlib.compress(encoded, 6, wbits=31)
            async with session.post(f"{url}/v1/telemetry", data=body, headers=headers) as response:
                answer = await response.read()
                if response.status != HTTPStatus.OK:
                    raise RuntimeError(f"the cloud answered {response.status}: {answer.decode()}")
                accepted += msgspec.json.decode(answer)["accepted"]
            if len(delivered) >= BLOBS_A_COMMIT:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("DELETE FROM blobs WHERE seq = ?", delivered)
                connection.execute("COMMIT")
                delivered.clear()
            watch.note(accepted)
            await asyncio.sleep(WINDOW_S / 50)
    spent = watch.us_a_reading(accepted)
    connection.close()
    return spent


async def send_hub(url: str, key: str, directory: Path, readings: int, watch: Stopwatch) -> float:
    """Send the backlog with the whole hub."""
    from watched_hub import ZONES, watched_hub  # noqa: PLC0415

    from agent.telemetry import uplink  # noqa: PLC0415

    uplink.CATCH_UP_SPREAD_S = 0.0
    text = f'[cloud]\nbase_url = "{url}"\n{ZONES}[port]\nlisten = []\nhistory = "off"\n[storage]\n'
    async with watched_hub(text, directory, key=key, serve=False, tick_s=10.0) as watched:
        telemetry = watched.hub.telemetry
        while (accepted := telemetry.uplink.counts.accepted) < readings:
            watch.note(accepted)
            await asyncio.sleep(0.2)
        return watch.us_a_reading(accepted)


async def send(mode: str, url: str, key: str, options: argparse.Namespace) -> float:
    """Store and send a backlog; return its cost."""
    lifted = msgspec.structs.replace(contract.QUOTAS[contract.Endpoint.TELEMETRY], window_s=WINDOW_S)
    # Before anybody else looks at it: others read the quotas when they are imported.
    contract.QUOTAS = {**contract.QUOTAS, contract.Endpoint.TELEMETRY: lifted}
    with tempfile.TemporaryDirectory(prefix="climahub-bench-") as name:
        state = Path(name) / "state"
        state.mkdir()
        await store(state, options.readings, options.commit)
        watch = Stopwatch(options.profile)
        if mode == "bare":
            return await send_bare(url, key, state, options.readings, watch)
        return await send_hub(url, key, Path(name), options.readings, watch)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readings", type=int, default=40_000)
    parser.add_argument("--commit", type=int, default=8, help="readings in a stored blob: 50 sensors report 8 in 10 s")
    parser.add_argument("--profile", default="", metavar="FILE", help="where to write the hub's cProfile")
    parser.add_argument("--send", nargs=3, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send:
        mode, url, key = options.send
        print(json.dumps({"us": asyncio.run(send(mode, url, key, options))}))
        return
    spent = {}
    for mode, profile in (("bare", ""), ("hub", options.profile)):
        spent[mode] = asyncio.run(parent(options.readings, options.commit, mode, profile))["us"]
    result = {f"{mode}_cpu_us_per_reading": round(each, 2) for mode, each in spent.items()}
    print(json.dumps(result | {"hub_to_bare": round(spent["hub"] / spent["bare"], 2)}, indent=2))


if __name__ == "__main__":
    main()
