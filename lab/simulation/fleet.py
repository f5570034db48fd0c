"""Many hubs against one reference cloud in one virtual world: what they ask of it, and what becomes of each.

Runs the same `Hub` as `climahub run`, once for each hub of the fleet. Must never let a hub know of another.
"""

import asyncio
import contextlib
import multiprocessing
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from aiohttp import web

from lab.refcloud import cloud, faults, middleware
from lab.refcloud.contract import Endpoint
from lab.refcloud.records import AcceptedReading
from lab.simulation import staged_rollout
from lab.simulation.fleet_hub import FleetHub
from lab.simulation.fleet_options import (
    CLOCK_UNKNOWN_S,
    INCIDENT_AT_S,
    LASTS_S,
    LATENCY_S_MAX,
    LOOK_S,
    REVOKED_SHARE,
    FleetOptions,
)
from lab.simulation.fleet_verdict import FleetPart, FleetVerdict, HubFailure, make_verdict
from lab.simulation.options import MachineFault, MachineFaultKind, Options
from lab.simulation.request_curve import RequestCurve
from lab.simulation.rollout import Publication, ReleaseKind, make_release
from lab.simulation.scenario import SIM_START_UTC_MS
from lab.simulation.virtual_loop import MemoryConnector, VirtualLoop


class Fleet:
    """The world of one simulation, or of a share of its hubs.

    Attributes:
        cloud: The cloud.
        hubs: By name.
        curve: The requests that arrived.
        throttled: How many of them were over quota.
        refused: How many had a refused key.
        rollout: Where the rollout stands.
    """

    def __init__(self, options: FleetOptions, numbers: range, scratch: Path, loop: VirtualLoop) -> None:
        """Provision the hubs.

        Args:
            options: The whole fleet.
            numbers: The hubs of this share.
            scratch: An empty directory.
            loop: Virtual time.
        """
        self._options = options
        self._loop = loop
        self._rng = random.Random(f"fleet {options.seed} {numbers.start}")
        self._connector_rng = random.Random(f"connections {options.seed} {numbers.start}")
        ids = random.Random(f"ids {options.seed} {numbers.start}")
        self.curve = RequestCurve()
        self.throttled = self.refused = 0
        self.cloud = cloud.ReferenceCloud(
            utc_ms=lambda: SIM_START_UTC_MS + int(loop.time() * 1000 + 0.5),
            monotonic_s=loop.time,
            rng=random.Random(f"keys {options.seed} {numbers.start}"),
            new_id=lambda: f"{ids.getrandbits(32):08x}-0000-4000-8000-{ids.getrandbits(48):012x}",
            on_readings=self._on_readings,
            on_request=self._on_request,
        )
        self.cloud.set_faults([faults.FaultRule(faults.LatencyUp(0.0, LATENCY_S_MAX), to_s=None)], seed=options.seed)
        self._runner = web.AppRunner(self.cloud.application(), access_log=None, handle_signals=False)
        self._publications = self._draw_publications()
        self.rollout = staged_rollout.Rollout()
        self.hubs: dict[str, FleetHub] = {}
        for number in numbers:
            name, directory = f"hub-{number:05}", scratch / str(number)
            directory.mkdir()
            self.hubs[name] = FleetHub(
                name,
                Options(seed=options.seed * 1_000_003 + number, sensors=options.sensors, days=options.days),
                loop=loop,
                scratch=directory,
                cloud=self.cloud,
                connect=self._connect,
                batch=f"stage-{staged_rollout.stage_of(number, options.hubs)}",
                publications=self._publications,
            )

    def _draw_publications(self) -> Sequence[Publication]:
        match self._options.scenario:
            case "rollout":
                kind = ReleaseKind.GOOD
            case "rollout-bad":
                kind = ReleaseKind.LATE
            case _:
                return ()
        return (Publication(float(INCIDENT_AT_S), kind, make_release("2.0.0", 2)),)

    def _connect(self) -> MemoryConnector:
        server = self._runner.server
        if server is None:
            raise RuntimeError("the cloud is not up")
        return MemoryConnector(server, self._connector_rng, latency_s_max=LATENCY_S_MAX)

    def _on_readings(self, name: str, readings: Sequence[AcceptedReading]) -> None:
        self.hubs[name].oracle.record_stored(readings, self._loop.time())

    def _on_request(self, name: str, endpoint: Endpoint, arrived_s: float, outcome: middleware.RequestOutcome) -> None:
        self.curve.count(endpoint, arrived_s)
        self.throttled += outcome.status == 429  # noqa: PLR2004 - HTTP
        self.refused += outcome.status == 401  # noqa: PLR2004
        if name in self.hubs:
            self.hubs[name].oracle.record_request(endpoint, arrived_s)

    async def run(self) -> None:
        """Run to the end."""
        await self._runner.setup()
        until_s = float(self._options.duration_s)
        try:
            async with asyncio.TaskGroup() as group:
                incident = group.create_task(self._incident())
                runs = [
                    group.create_task(hub.run(self._faults(), begins_s=self._jitter_s(), until_s=until_s))
                    for hub in self.hubs.values()
                ]
                await asyncio.wait(runs)
                incident.cancel()
        finally:
            await self._runner.cleanup()

    def _jitter_s(self) -> float:
        return self._rng.uniform(0.0, self._options.jitter_s)

    def _faults(self) -> Sequence[MachineFault]:
        scenario = self._options.scenario
        if scenario not in {"power-cut", "clock-unknown"}:
            return ()
        unsynchronised_s = self._rng.uniform(*(CLOCK_UNKNOWN_S if scenario == "clock-unknown" else (2.0, 8.0)))
        lasts_s = LASTS_S[scenario] + self._jitter_s()
        return (MachineFault(MachineFaultKind.POWER_CUT, float(INCIDENT_AT_S), lasts_s, unsynchronised_s),)

    async def _incident(self) -> None:
        """Do what happens to the cloud, and what its operator does."""
        await asyncio.sleep(INCIDENT_AT_S)
        match self._options.scenario:
            case "outage":
                self.cloud.listening = False
                await asyncio.sleep(LASTS_S["outage"])
                self.cloud.listening = True
            case "key-revoked":
                names = list(self.hubs)
                revoked = self._rng.sample(names, max(1, int(len(names) * REVOKED_SHARE)))
                keys = {name: self.cloud.admin.replace_key(self.hubs[name].device_id).api_key for name in revoked}
                await asyncio.sleep(LASTS_S["key-revoked"])
                for name, key in keys.items():
                    self.hubs[name].installed_key = key
            case "rollout" | "rollout-bad":
                await self._roll_out()
            case _:
                pass

    async def _roll_out(self) -> None:
        release = self._publications[0].release
        self.cloud.admin.publish(release.version, release.data)
        while not self.rollout.is_halted:
            self.cloud.admin.offer(release.version, [f"stage-{number}" for number in range(self.rollout.stage + 1)])
            await asyncio.sleep(LOOK_S)
            ends = [self._end_of(hub) for hub in self._offered()]
            self.rollout = staged_rollout.advance(
                self.rollout, offered=len(ends), succeeded=ends.count("completed"), failed=ends.count("failed")
            )
        self.cloud.admin.offer(release.version, [])

    def _offered(self) -> Sequence[FleetHub]:
        hubs = enumerate(self.hubs.values())
        count = len(self.hubs)
        return [hub for number, hub in hubs if staged_rollout.stage_of(number, count) <= self.rollout.stage]

    def _end_of(self, hub: FleetHub) -> str:
        posts = self.cloud.admin.ota_history(hub.device_id).posts
        return posts[-1].status if posts else ""

    def part(self) -> FleetPart:
        """Return what became of the hubs of this world."""
        hubs = list(self.hubs.values())
        counts = [hub.oracle.counts for hub in hubs]
        updates = [hub.rollout.counts([]) for hub in hubs]
        return FleetPart(
            seconds=self.curve.seconds,
            minutes=self.curve.endpoints,
            throttled=self.throttled,
            refused=self.refused,
            taken=sum(each.taken for each in counts),
            accepted=sum(each.accepted for each in counts),
            sent_again=sum(each.duplicates_sent for each in counts),
            crashes=sum(hub.crashes for hub in hubs),
            offered=len(self._offered()) if self._publications else 0,
            committed=sum(each.committed for each in updates),
            rolled_back=sum(each.rolled_back for each in updates),
            is_halted=self.rollout.is_halted,
            failures=[HubFailure(hub.name, hub.oracle.violations) for hub in hubs if hub.oracle.violations],
        )


def simulate_fleet(options: FleetOptions, *, jobs: int = 1) -> tuple[FleetVerdict, RequestCurve]:
    """Run one fleet in virtual time; return its verdict and its requests.

    Args:
        options: The fleet.
        jobs: Processes, each with a share of the hubs and a cloud of its own: hubs meet nowhere but in the cloud's
            count of requests, which is added up. A rollout needs one process: its operator looks at all hubs.

    Raises:
        BrokenProcessPool: A process was killed, probably for want of memory.
    """
    started_s = time.perf_counter()
    shares = [range(number, options.hubs, jobs) for number in range(jobs)]
    if jobs == 1:
        parts = [_simulate_share(options, shares[0])]
    else:
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("fork")) as pool:
            parts = list(pool.map(_simulate_share, [options] * jobs, shares))
    curve = RequestCurve()
    for part in parts:
        curve.add(part.seconds, part.minutes)
    return make_verdict(options, parts, curve, time.perf_counter() - started_s), curve


def _simulate_share(options: FleetOptions, numbers: range) -> FleetPart:
    memory = Path("/dev/shm")  # noqa: S108 - syncs are simulated, so the files may lie in memory
    scratch = Path(tempfile.mkdtemp(prefix="climahub-fleet-", dir=memory if memory.is_dir() else None))
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        fleet = Fleet(options, numbers, scratch, loop)
        loop.run_until_complete(fleet.run())
        return fleet.part()
    finally:
        with contextlib.suppress(RuntimeError):
            loop.close()
        asyncio.set_event_loop(None)
        shutil.rmtree(scratch, ignore_errors=True)
