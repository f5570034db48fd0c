"""What facts cost a card: bytes of the file and of the device for each fact and for a year, and the time of a search.

A year of a home with eight zones: setpoints, holds and schedules change 60 times a day, written once a minute as the
recorder does it, by 20 commits a day; and a client that stores 10 facts a day, one commit each. Device bytes are the
sectors that a private, loop-mounted ext4 with 4 KiB blocks writes, journal included, which needs root; without it they
are left out. Prints JSON.

python tests/bench/bench_facts.py [--days N]
"""

import argparse
import asyncio
import json
import random
import subprocess
import tempfile
from pathlib import Path
from time import perf_counter

from bench_outbox import private_ext4, written_bytes

from agent.facts.model import FactDraft, Tenant
from agent.facts.retention import FactLimits
from agent.facts.store import FILE_NAME, FactQuery, FactStore, open_fact_store
from agent.facts.tables import FactFilter
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker

ZERO_UTC_MS = 1_767_225_600_000
DAY_MS = 86_400_000
MIB = 2**20
COMMITS_A_DAY = 20
CHANGES_A_COMMIT = 3
CLIENT_FACTS_A_DAY = 10
ZONES = tuple(f"room {number}" for number in range(8))
HUB, CLIENT = Tenant("hub"), Tenant("acc_client")


async def opened(directory: Path, *, may_index: bool = True) -> FactStore:
    store, _ = await open_fact_store(
        directory,
        limits=FactLimits(bytes_max=1 << 30, client_facts_max=1 << 20, disk_free_bytes_min=0),
        random_bits=random.Random(1).getrandbits,
        worker=InlineWorker(),
        disk=Disk(),
        may_index=may_index,
    )
    return store


async def fill(store: FactStore, days: int) -> int:
    """Store what a home and a client write in some days; return how many facts."""
    rng, count = random.Random(2), 0
    for day in range(days):
        for commit in range(COMMITS_A_DAY):
            utc_ms = ZERO_UTC_MS + day * DAY_MS + commit * (DAY_MS // COMMITS_A_DAY)
            drafts = [draft(rng.choice(ZONES), rng, utc_ms) for _ in range(CHANGES_A_COMMIT)]
            await store.record(HUB, drafts, utc_ms=utc_ms)
            count += len(drafts)
            if commit < CLIENT_FACTS_A_DAY:
                text = f"Anna said on day {day} that {rng.choice(ZONES)} is too {rng.choice(('warm', 'cold'))}"
                await store.add(CLIENT, FactDraft(text, author="api:aurra_facts/anna"), utc_ms=utc_ms + 1)
                count += 1
    return count


def draft(zone: str, rng: random.Random, utc_ms: int) -> FactDraft:
    text = f"{zone}: setpoints: heat to {rng.randrange(180, 240) / 10} °C, cool to {rng.randrange(250, 290) / 10} °C."
    return FactDraft(text, "setpoints", "hub", "hub", subject=f"{zone}/setpoints", zone=zone, valid_from_ms=utc_ms)


async def measure_search(store: FactStore, days: int) -> dict[str, float]:
    query = FactQuery(FactFilter((CLIENT, HUB)), 10)
    utc_ms = ZERO_UTC_MS + days * DAY_MS
    times = {}
    for name, asked in (("now", query), ("then", FactQuery(query.chosen, 10, as_of_ms=utc_ms - days * DAY_MS // 2))):
        began_s = perf_counter()
        found = await store.found(asked, "What are the setpoints of room 3?", utc_ms=utc_ms)
        times[f"search_{name}_ms"] = round((perf_counter() - began_s) * 1000, 1)
        assert found
    began_s = perf_counter()
    shown = await store.shown(query, utc_ms=utc_ms)
    times["list_ms"] = round((perf_counter() - began_s) * 1000, 1)
    began_s = perf_counter()
    chain = await store.chain([HUB.owner], shown[0].fact.id)
    times["timeline_ms"] = round((perf_counter() - began_s) * 1000, 1)
    times["timeline_facts"] = len(chain)
    return times


async def measure(directory: Path, days: int, *, may_index: bool) -> dict[str, float]:
    """Fill a store; return what it costs."""
    store = await opened(directory, may_index=may_index)
    began_s = perf_counter()
    count = await fill(store, days)
    seconds = perf_counter() - began_s
    searched = await measure_search(store, days)
    await store.close()
    size = (directory / FILE_NAME).stat().st_size
    return {
        "facts": count,
        "file_bytes_a_fact": round(size / count),
        "file_mib_a_year": round(size / days * 365 / MIB, 2),
        "facts_a_second": round(count / seconds),
        **searched,
    }


def measure_device(directory: Path, days: int) -> dict[str, float]:
    """Count what reaches the device."""
    with private_ext4(directory) as (mount, stat):
        before = written_bytes(stat)
        result = asyncio.run(measure(mount, days, may_index=True))
        written = written_bytes(stat) - before
    return {
        "device_bytes_a_fact": round(written / result["facts"]),
        "device_mib_a_year": round(written / days * 365 / MIB, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    days = parser.parse_args().days
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        for label, may_index in (("with FTS5", True), ("without", False)):
            (Path(name) / label).mkdir()
            results[label] = asyncio.run(measure(Path(name) / label, days, may_index=may_index))
        try:
            results["device"] = measure_device(Path(name), min(days, 60))
        except (OSError, subprocess.CalledProcessError) as error:
            results["device"] = f"not measured: {error}"
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
