"""A reader of the hub's facts: what it has read once is still there after every power cut, as it was.

Runs the store and the recorder of the hub itself (the API is not served in virtual time). Keeps its own account of what
it has read. Never helps the hub along.
"""

import asyncio
import random
from collections import Counter

from agent import app
from agent.errors import ClimahubError
from agent.facts.model import Fact, FactVersion
from agent.facts.retention import FactLimits
from agent.facts.service import FactService
from agent.facts.store import FactQuery, FactStore
from agent.facts.tables import FactFilter
from agent.home.fact_recorder import FactRecorder
from agent.home.fact_texts import HUB_TENANT
from lab.simulation.beside_hub import BesideHub, SimulatedHub, run_together

READ_S = 300.0
READ_MAX = 2000
"""Facts that are read at a time: more than a simulation makes."""


class FactReader(BesideHub):
    """The reader, and the store beside the hub."""

    def __init__(self, rng: random.Random, hub: SimulatedHub) -> None:
        """Prepare; the arguments are those of the base."""
        super().__init__(rng, hub)
        self._known: dict[str, Fact] = {}
        self._ended: set[str] = set()

    def forget(self) -> None:
        """The hub was reset: it has no facts any more."""
        self._known.clear()
        self._ended.clear()

    async def _serve(self, hub: app.Hub) -> None:
        environment = hub.environment
        facts = FactService(
            hub.config.storage.state_dir,
            clock=environment.clock,
            disk=environment.disk,
            worker=environment.worker,
            random_bits=self._rng.getrandbits,
            add_fault=lambda text: self._report("facts are kept", text),
            limits=FactLimits(disk_free_bytes_min=hub.config.storage.disk_free_bytes_min),
        )
        recorder = FactRecorder(hub.home.home, facts, clock=environment.clock)
        try:
            await run_together(facts.run(), recorder.run(), self._read(hub, facts))
        finally:
            await facts.close()

    async def _read(self, hub: app.Hub, facts: FactService) -> None:
        query = FactQuery(FactFilter((HUB_TENANT,)), READ_MAX, has_superseded=True)

        async def work(store: FactStore, utc_ms: int) -> list[FactVersion]:
            return await store.shown(query, utc_ms=utc_ms)

        while True:
            try:
                found = await facts.use(work)
            except ClimahubError:
                self._counts["reads of facts refused"] += 1
            else:
                if self._hub() is hub:
                    self._compare({each.fact.id: each for each in found})
            await asyncio.sleep(READ_S)

    def _compare(self, found: dict[str, FactVersion]) -> None:
        for fact_id, fact in list(self._known.items()):
            if fact_id not in found or found[fact_id].fact != fact:
                self._report("a fact is kept as it was", f"{fact_id} ({fact.text})")
                del self._known[fact_id]
            elif fact_id in self._ended and found[fact_id].valid_to_ms is None:
                self._report("the end of a fact is kept", f"{fact_id} ({fact.text})")
        heads = Counter(each.fact.subject for each in found.values() if each.fact.subject and each.is_current_at(2**62))
        for subject, number in heads.items():
            if number > 1:
                self._report("a chain of facts has one head", f"{subject} has {number}")
        self._counts["facts"] += len(found.keys() - self._known.keys())
        self._known |= {fact_id: each.fact for fact_id, each in found.items()}
        self._ended |= {fact_id for fact_id, each in found.items() if each.valid_to_ms is not None}
