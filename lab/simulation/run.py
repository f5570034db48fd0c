"""One simulation: wires cloud, hub, workloads and oracles, runs them in virtual time, and returns the verdict.

Runs the same `Hub` as `climahub run`. Must never reach into a component to help it along.
"""

import asyncio
import contextlib
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import aiohttp
from aiohttp import web

from agent import app, environment
from agent.cloud.quota import QuotaLedger
from agent.commands import factory_reset
from agent.config import Config, resolve_text
from agent.foundation.disk import Disk
from agent.foundation.text import plural
from agent.foundation.worker import InlineWorker
from agent.telemetry.outbox.protocol import OutboxLimits, OutboxStats
from agent.telemetry.outbox.store import open_outbox
from hal.interface import HUB, Reading
from lab.refcloud import cloud, middleware
from lab.refcloud.contract import Endpoint
from lab.refcloud.records import AcceptedReading
from lab.refcloud.store import MemoryStore
from lab.simulation import rollout
from lab.simulation.card_oracle import CardOracle
from lab.simulation.command_oracle import CommandCounts, CommandOracle
from lab.simulation.command_workload import CommandWorkload
from lab.simulation.hub_lifecycle import HubLifecycle
from lab.simulation.machine import Machine, SimulatedHost
from lab.simulation.observers import DiskObserver, SafetyMonitor
from lab.simulation.options import RATES, FaultProfile, MachineFault, Options, cloud_rules, draw_commands, draw_faults
from lab.simulation.pairing_harness import PairingCounts, PairingHarness
from lab.simulation.pairing_workload import ExpectedPairings
from lab.simulation.reading_oracle import ReadingOracle
from lab.simulation.scenario import Scenario, make_scenario, provision
from lab.simulation.verdict import RequestCounts, Verdict, reading_counts
from lab.simulation.virtual_loop import Livelock, MemoryConnector, VirtualLoop
from lab.simulation.visitors import VisitorContext, Visitors, make_visitors

BASE_URL = "http://127.0.0.1:8443"
"""No server has this address: `MemoryConnector` leads every connection to the reference cloud."""
PROVISIONING_S = 900.0
"""How long it takes until a person has installed a new key on a hub that was reset."""

HUB_KEY = "cs_dev_" + "rehearsal" + "0" * 23
"""Must not change: the hub's phase (`environment.phase_of`), and so the trace of every seed, depends on it."""


class Simulation:
    """One simulation: cloud, hub, workloads and oracles, and what each reports to another.

    Attributes:
        options: The options.
        cloud: The reference cloud.
        machine: The hub's hardware.
        scenario: The surroundings of the hub.
        commands: The oracle of commands.
        oracle: The oracle of readings.
        pairing: Workload and oracle of pairing.
        rollout: The releases.
        card_oracle: The oracle of records of another board; `None` where the card stays in its board.
        visitors: Those that come to the hub.
    """

    def __init__(
        self,
        options: Options,
        scratch: Path,
        loop: VirtualLoop,
        *,
        on_violation: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.options = options
        self._loop = loop
        self._scratch = scratch
        rng = random.Random(options.seed)
        self._rng = random.Random(rng.randrange(2**32))
        rates = RATES[options.faults]
        self.scenario: Scenario = make_scenario(options, rates, random.Random(rng.randrange(2**32)))
        self.duration_s = self.scenario.duration_s + options.calm_s
        self.machine = Machine(
            scratch, now_ms=self._now_ms, start_utc_ms=self.scenario.start_utc_ms,
            unsynchronised_s=options.unsynchronised_s,
        )  # fmt: skip
        self.machine.stop_at = options.stop_at
        drawn = draw_faults(random.Random(rng.randrange(2**32)), rates, until_s=self.scenario.duration_s)
        self._machine_faults: Sequence[MachineFault] = (
            drawn if options.machine_faults is None else options.machine_faults
        )
        self._zeros_utc_ms: dict[str, int] = {}
        self._connector_rng = random.Random(rng.randrange(2**32))
        self._latency_s_max = rates.latency_s_max
        drawn_commands = draw_commands(
            random.Random(rng.randrange(2**32)), rates.commands, until_s=self.scenario.duration_s
        )
        self._planned_commands = drawn_commands if options.commands is None else options.commands
        self._store = MemoryStore()
        self.cloud = self._make_cloud(random.Random(rng.randrange(2**32)), random.Random(rng.randrange(2**32)))
        self.cloud.set_faults(cloud_rules(rates, until_s=self.scenario.duration_s), seed=options.seed)
        device_of, sensor_keys = provision(self.cloud.admin, self.scenario.devices, hub_key=HUB_KEY)
        expected = ExpectedPairings()
        self.oracle = ReadingOracle(device_of, expected.roots, on_violation=on_violation)
        self.commands = CommandOracle(violate=self.oracle.violate, boots=lambda: self.machine.boots)
        hub_id = next(device_id for device_id, device in device_of.items() if device == HUB)
        self._command_workload = CommandWorkload(
            self.cloud, self._store, self.commands, device_id=hub_id, api_key=HUB_KEY, now_s=loop.time
        )
        self._disk_observer = DiskObserver(
            self.machine, self.commands, now_s=loop.time,
            report_cloud_states=self._command_workload.report_states, on_erased=self._on_erased,
        )  # fmt: skip
        self.pairing = self._make_pairing(device_of, sensor_keys, expected)
        self._installed_key, self._is_key_on_its_way = HUB_KEY, False
        self._runner = web.AppRunner(self.cloud.application(), access_log=None, handle_signals=False)
        publications = rollout.draw_publications(
            random.Random(rng.randrange(2**32)), rates.releases * options.releases, until_s=self.scenario.duration_s
        )
        self.rollout = rollout.Rollout(
            publications, cloud=self.cloud, machine=self.machine, keys_dir=scratch / "keys",
            restart=self._restart, violate=lambda promise, text: self.oracle.violate(loop.time(), promise, text),
        )  # fmt: skip
        self._config = self._make_config()
        self._safety = SafetyMonitor(self._config.climate, now_ms=self._now_ms, violate=self.oracle.violate)
        self._lifecycle = HubLifecycle(
            loop=loop,
            machine=self.machine,
            rollout=self.rollout,
            disk_observer=self._disk_observer,
            config=self._config,
            listener=self,
            violate=self.oracle.violate,
            stop_by=options.stop_by,
            writes_bytes=options.writes_bytes,
        )
        self.card_oracle = CardOracle(self.oracle, device_of, key=HUB_KEY) if options.card_moves_per_day else None
        self.visitors = self._make_visitors()

    def _make_visitors(self) -> Visitors:
        found = VisitorContext(
            hub=lambda: self._lifecycle.hub,
            now_s=self._loop.time,
            crashes=lambda: self._lifecycle.crashes,
            restart=self._restart,
            on_power_cut=self._crash_if_down,
            violate=self.oracle.violate,
            machine=self.machine,
            cut_power=self._lifecycle.crash,
            give_new_key=self._provision_anew,
            is_key_on_its_way=lambda: self._is_key_on_its_way,
            expect_reset=self.commands.expect_reset,
        )
        return make_visitors(self.options, found, self.card_oracle, moves_until_s=self.scenario.duration_s)

    def _make_pairing(
        self, device_of: Mapping[str, str], keys: Mapping[str, str], expected: ExpectedPairings
    ) -> PairingHarness:
        return PairingHarness(
            self.options,
            self.scenario,
            ids={device: device_id for device_id, device in device_of.items()},
            keys=keys,
            expected=expected,
            store=self._store,
            now_s=self._loop.time,
            hub=lambda: self._lifecycle.hub,
            on_power_cut=self._crash_if_down,
            violate=self.oracle.violate,
        )

    def _make_cloud(self, ids: random.Random, rng: random.Random) -> cloud.ReferenceCloud:
        return cloud.ReferenceCloud(
            utc_ms=lambda: self.scenario.start_utc_ms + self._now_ms(),
            monotonic_s=self._loop.time,
            rng=rng,
            new_id=lambda: f"{ids.getrandbits(32):08x}-0000-4000-8000-{ids.getrandbits(48):012x}",
            store=self._store,
            on_readings=self._on_readings,
            on_request=self._on_request,
        )

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1000 + 0.5)

    def _make_config(self) -> Config:
        text = self.options.cloud_text(BASE_URL) + self.rollout.config_text + self.options.config_text
        return resolve_text(text, file="simulation", directory=self._scratch, environ={}).config

    def _on_readings(self, name: str, readings: Sequence[AcceptedReading]) -> None:
        del name
        if self.card_oracle is not None:
            self.card_oracle.record_stored(readings, self._loop.time())
        self.oracle.record_stored(readings, self._loop.time())
        self.pairing.record_stored(readings)
        self._check_kept()

    def _on_request(self, name: str, endpoint: Endpoint, arrived_s: float, outcome: middleware.RequestOutcome) -> None:
        del name, outcome
        self.oracle.record_request(endpoint, arrived_s)
        if self.card_oracle is not None:
            self.card_oracle.record_request(arrived_s)
        if endpoint in {Endpoint.COMMANDS_PENDING, Endpoint.COMMANDS_ACK}:
            self._command_workload.report_states()

    def _on_committed(self, readings: Sequence[Reading]) -> None:
        if self.card_oracle is not None:
            self.card_oracle.record_committed(readings, self.machine.utc_of(0))
        self.oracle.record_committed(readings, self.machine.utc_of(0), self._loop.time())
        self._check_kept()

    def _on_memory_send(self, readings: Sequence[Reading]) -> None:
        self.oracle.record_memory_send(readings, self.machine.utc_of(0), self._loop.time())

    def _on_erased(self) -> None:
        if self.card_oracle is not None:
            self.card_oracle.record_erased()
        self.oracle.record_erased()
        self._command_workload.forget_relisted()
        if self.visitors.integrator is not None:
            self.visitors.integrator.forget()
        if not self._is_key_on_its_way:
            self._is_key_on_its_way = True
            self._loop.call_later(PROVISIONING_S, self._provision_anew)

    def _on_reboot(self, reason: str) -> None:
        if reason.startswith("command "):
            # Not only at the end of a request: the cloud has an ack before its slow response has arrived.
            self._command_workload.report_states()
            self.commands.record_reboot(reason.removeprefix("command "), self._loop.time())
        self._lifecycle.reboot()

    def _crash_if_down(self) -> None:
        self._lifecycle.crash_if_down()

    def _restart(self) -> None:
        self._lifecycle.restart()

    async def run(self) -> None:
        """Run to the end, and close the accounts."""
        await self._runner.setup()
        for publication in self.rollout.publications:
            self._loop.call_at(publication.at_s, self.rollout.publish, publication)
        try:
            async with asyncio.TaskGroup() as group:
                others = [
                    group.create_task(self._lifecycle.inject(self._machine_faults)),
                    group.create_task(self._command_workload.run(self._planned_commands, until_s=self.duration_s)),
                ]
                if self.pairing.workload is not None:
                    others.append(group.create_task(self.pairing.workload.run(until_s=self.scenario.duration_s)))
                others += [group.create_task(each) for each in self.visitors.runs()]
                await self._lifecycle.run(self._connect, self.duration_s)
                for other in others:
                    other.cancel()
            await self._audit()
        finally:
            await self._runner.cleanup()

    def _check_kept(self) -> None:
        """Check safety, after everything that moves readings."""
        hub = self._lifecycle.hub
        if hub is not None and hub.telemetry.outbox is not None:
            stats = hub.telemetry.outbox.stats()
            given_up = stats.downsampled + stats.dropped + stats.dead_letters
            self.oracle.check_kept(stats.pending, given_up, self._loop.time())

    def _provision_anew(self) -> None:
        self._command_workload.give_new_key()
        self._installed_key = self._command_workload.api_key
        self._is_key_on_its_way = False
        if self.card_oracle is not None:
            self.card_oracle.record_key(self._installed_key)

    def _connect(self) -> MemoryConnector:
        server = self._runner.server
        if server is None:
            raise RuntimeError("the cloud is not up")
        return MemoryConnector(server, self._connector_rng, latency_s_max=self._latency_s_max)

    def process_starts(self) -> None:
        """Note the boot's zero, and what the disk holds."""
        self._zeros_utc_ms[self.machine.clock.boot_id] = self.machine.utc_of(0)
        self._disk_observer.read_files()

    def process_killed(self) -> None:
        """Note that the outputs fall off."""
        self._safety.record_kill()

    def process_ended(self, hub: app.Hub) -> None:
        """Close the process's account of readings."""
        bad = sum(state.bad for state in hub.telemetry.intake.channels.values())
        left_out = hub.telemetry.receiver.skipped if hub.telemetry.receiver else 0
        self.oracle.record_process_end(
            judged_bad=bad,
            uncommitted=hub.telemetry.intake.uncommitted,
            left_out=left_out,
            unreported=hub.telemetry.sampler.unreported_count,
        )
        self.pairing.cancel_request()

    def break_off(self) -> None:
        """End before the end, and close what the hub still has open: there is no audit, and no account is closed."""
        self.machine.is_down = True
        self._loop.wind_up()
        self._loop.run_until_complete(self._lifecycle.close())
        self.final_stats = OutboxStats(0, 0, 0, 0, 0, None, 0, 0, 0, 0)
        self.command_counts = CommandCounts()
        self.pairing_counts = PairingCounts()

    def make_environment(self, session: aiohttp.ClientSession) -> environment.Environment:
        """Return the environment of the next process."""
        machine, disk = self.machine, Disk(self._disk_observer.on_operation)
        return environment.Environment(
            board=self._safety.wrap(self.scenario.board(machine, self.oracle)),
            clock=machine.clock,
            rng=random.Random(self._rng.randrange(2**32)),
            disk=disk,
            worker=InlineWorker(),
            session=session,
            ledger=QuotaLedger(machine.run_dir / "quotas", machine.clock.boot_id),
            read_key=lambda: factory_reset.read_usable_key(machine.state_dir, Disk(), lambda: self._installed_key),
            sensor_keys=self.pairing.sensor_keys,
            host=SimulatedHost(self._on_reboot),
            check_for=environment.check_for,
            is_metered=lambda: False,
            serve=False,
            on_committed=self._on_committed,
            on_memory_send=self._on_memory_send,
            restart=self._restart,
            running=self.rollout.running(),
            installer=self.rollout.images,
            card=self.visitors.insert_card(disk),
        )

    async def _audit(self) -> None:
        """Open the files that are left on the disk from outside, and close the accounts."""
        limits = OutboxLimits(2**40, 0, 2**30)
        outbox, _ = await open_outbox(
            self.machine.state_dir, boot_id="audit", limits=limits, worker=InlineWorker(), disk=Disk()
        )
        oracle, now_s = self.oracle, self._loop.time()
        gaps, letters = await outbox.gaps(), await outbox.dead_letters()
        self.final_stats = stats = outbox.stats()
        await outbox.close()
        oracle.check_kept(stats.pending, stats.downsampled + stats.dropped + stats.dead_letters, now_s)
        oracle.deduct_given_up(gaps, letters, self._zeros_utc_ms)
        if oracle.outstanding > stats.pending:
            oracle.counts.lost = max(oracle.counts.lost, oracle.outstanding - stats.pending)
            oracle.violate(now_s, "nothing lost", f"nowhere: {plural(oracle.counts.lost, 'reading')}")
        oracle.check_stored_once(self._store.readings_count(), now_s)
        oracle.check_delivered(now_s, self.scenario.start_utc_ms)
        oracle.check_account(now_s)
        if self.visitors.integrator is not None:
            self.visitors.integrator.close()
        self._command_workload.report_states()
        self.command_counts = self.commands.close(now_s)
        self.pairing_counts = self.pairing.close(
            now_s, state_dir=self.machine.state_dir, devices=self.cloud.admin.devices()
        )

    def verdict(self, wall_s: float) -> Verdict:
        """Return the outcome."""
        virtual_s = self._loop.time()
        return Verdict(
            seed=self.options.seed,
            board=self.options.board,
            faults_profile=self.options.faults,
            sensors=self.scenario.sensors,
            virtual_s=virtual_s,
            wall_s=round(wall_s, 3),
            virtual_hours_per_wall_s=round(virtual_s / 3600 / wall_s, 2),
            readings=reading_counts(self.oracle, self.final_stats),
            commands=self.command_counts,
            pairing=self.pairing_counts,
            updates=self.rollout.counts([device.device_id for device in self.cloud.admin.devices()]),
            requests=RequestCounts(self.oracle.requests, self.oracle.over_quota),
            crashes=self._lifecycle.crashes,
            durable_operations=self.machine.operations,
            faults=dict(self._lifecycle.struck) | dict(self.cloud.statistics().faults) | dict(self.visitors.faults()),
            apis=self.visitors.api_counts(),
            violations=self.oracle.violations,
            warnings=self.scenario.warnings,
        )


def simulate(
    options: Options,
    *,
    at_operation: Callable[[Machine], bool] | None = None,
    until_broken: Collection[str] = (),
) -> Verdict:
    """Run one simulation in virtual time and return its verdict.

    Args:
        options: What the simulation has to do.
        at_operation: Called before each durable operation; true cuts the power there. `options.stop_at` by default.
        until_broken: The simulation ends once each of these promises was broken: for a bug that has to be found.

    Raises:
        RecordingInvalid: The recording or its map cannot be used.
    """
    memory = Path("/dev/shm")  # noqa: S108 - syncs are simulated, so the files may lie in memory
    scratch = Path(tempfile.mkdtemp(prefix="climahub-simulation-", dir=memory if memory.is_dir() else None))
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    started_s = time.perf_counter()
    machine: Machine | None = None
    kept = set(until_broken)

    def stop(_: object = None) -> None:
        loop.stop()

    def note(promise: str) -> None:
        if promise in kept:
            kept.remove(promise)
            if not kept and loop.is_running():  # not after a livelock, which has ended it
                stop()

    try:
        simulation = Simulation(options, scratch, loop, on_violation=note)
        machine = simulation.machine
        if at_operation:
            machine.is_cut_now = lambda: at_operation(machine)
        run = loop.create_task(simulation.run())
        run.add_done_callback(stop)
        try:
            loop.run_forever()
        except Livelock as error:
            simulation.oracle.violate(loop.time(), "time passes", str(error))
        run.remove_done_callback(stop)
        if run.done():
            run.result()
        else:
            simulation.break_off()
        return simulation.verdict(time.perf_counter() - started_s)
    finally:
        with contextlib.suppress(RuntimeError):
            loop.close()
        asyncio.set_event_loop(None)
        shutil.rmtree(machine.scratch if machine else scratch, ignore_errors=True)


__all__ = ["FaultProfile", "Options", "simulate"]
