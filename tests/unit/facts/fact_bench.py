"""A fact store in a directory, and the words of tests for it."""

import random
from collections.abc import Sequence
from pathlib import Path

from agent.facts.model import FactDraft, FactVersion, Tenant
from agent.facts.retention import FactLimits
from agent.facts.store import FactQuery, FactStore, open_fact_store
from agent.facts.tables import FactFilter
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker

HUB = Tenant("hub")
ANNA = Tenant("anna")
BERT = Tenant("bert")
NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000


async def open_store(
    directory: Path, *, limits: FactLimits | None = None, disk: Disk | None = None, may_index: bool = True
) -> FactStore:
    store, _ = await open_fact_store(
        directory,
        limits=limits or FactLimits(disk_free_bytes_min=0),
        random_bits=random.Random(1).getrandbits,
        worker=InlineWorker(),
        disk=disk or Disk(),
        may_index=may_index,
    )
    return store


def asked(*tenants: Tenant, limit: int = 1000, zones: tuple[str, ...] | None = None) -> FactQuery:
    return FactQuery(FactFilter(tenants, zones=zones), limit, has_superseded=True)


async def add(store: FactStore, tenant: Tenant, text: str, *, utc_ms: int = NOW_MS) -> str:
    version = await store.add(tenant, FactDraft(text), utc_ms=utc_ms)
    return version.fact.id


async def texts(store: FactStore, *tenants: Tenant, utc_ms: int = NOW_MS) -> list[str]:
    return texts_of(await store.shown(asked(*tenants), utc_ms=utc_ms))


def texts_of(versions: Sequence[FactVersion]) -> list[str]:
    return [version.fact.text for version in versions]
