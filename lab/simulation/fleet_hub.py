"""One hub of a simulated fleet: machine, house, the real `Hub`, and an oracle of its readings.

Shares loop and cloud with the other hubs. Must never reach into a component to help it along.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp

from agent import app, environment
from agent.cloud.quota import QuotaLedger
from agent.commands import factory_reset
from agent.config import Config, resolve_text
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.telemetry.outbox.protocol import OutboxLimits
from agent.telemetry.outbox.store import open_outbox
from hal.interface import HUB, Reading
from lab.refcloud.admin import NewDevice
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.records import DeviceKind
from lab.simulation.command_oracle import CommandOracle
from lab.simulation.hub_lifecycle import HubLifecycle
from lab.simulation.machine import Machine, SimulatedHost
from lab.simulation.observers import DiskObserver
from lab.simulation.options import RATES, MachineFault, MachineFaultKind, Options
from lab.simulation.reading_oracle import ReadingOracle
from lab.simulation.rollout import Publication, Rollout
from lab.simulation.scenario import SimScenario
from lab.simulation.virtual_loop import MemoryConnector, VirtualLoop

BASE_URL = "http://127.0.0.1:8443"
"""No server has this address: `MemoryConnector` leads every connection to the reference cloud."""

NTP_S = (2.0, 8.0)
"""How long after the agent's start the time of a boot is known, with a network."""


class FleetHub:
    """One hub.

    Attributes:
        name: As the cloud calls it.
        device_id: Its id in the cloud.
        oracle: Judges its readings.
        installed_key: The key that is on the hub.
        rollout: Watches its release.
    """

    def __init__(
        self,
        name: str,
        options: Options,
        *,
        loop: VirtualLoop,
        scratch: Path,
        cloud: ReferenceCloud,
        connect: Callable[[], MemoryConnector],
        batch: str,
        publications: Sequence[Publication],
    ) -> None:
        """Provision a hub that is not running yet.

        Args:
            name: As the cloud calls it.
            options: Its house.
            loop: Virtual time.
            scratch: An empty directory.
            cloud: The one cloud of the fleet.
            connect: Returns the network of one process.
            batch: Its batch, for releases.
            publications: The releases that may reach it; none: updates are off.
        """
        self.name = name
        self._options = options
        self._loop = loop
        self._scratch = scratch
        self._connect = connect
        self._rng = random.Random(f"hub {options.seed}")
        self._house = SimScenario(options, RATES["none"], self._rng)
        made = cloud.admin.provision(NewDevice(name=name, batch=batch))
        self.device_id, self.installed_key = made.device.device_id, made.api_key
        device_of = {self.device_id: HUB}
        self._sensor_keys = {}
        for device in self._house.devices:
            sensor = cloud.admin.provision(NewDevice(name=f"{name}/{device}", kind=DeviceKind.SENSOR))
            device_of[sensor.device.device_id] = device
            self._sensor_keys[device] = sensor.api_key
        self.oracle = ReadingOracle(device_of)
        self._zeros_utc_ms: dict[str, int] = {}
        self._machine = Machine(
            scratch, now_ms=self._now_ms, start_utc_ms=self._house.start_utc_ms,
            unsynchronised_s=self._rng.uniform(*NTP_S),
        )  # fmt: skip
        self.rollout = Rollout(
            publications, cloud=cloud, machine=self._machine, keys_dir=scratch / "keys",
            restart=self._restart, violate=lambda promise, text: self.oracle.violate(loop.time(), promise, text),
        )  # fmt: skip
        commands = CommandOracle(violate=self.oracle.violate, boots=lambda: self._machine.boots)
        self._observer = DiskObserver(
            self._machine, commands, now_s=loop.time,
            report_cloud_states=lambda: None, on_erased=self.oracle.record_erased,
        )  # fmt: skip
        self._lifecycle = HubLifecycle(
            loop=loop,
            machine=self._machine,
            rollout=self.rollout,
            disk_observer=self._observer,
            config=self._config(),
            listener=self,
            violate=self.oracle.violate,
            stop_by=MachineFaultKind.POWER_CUT,
        )

    def _config(self) -> Config:
        text = f'[cloud]\nbase_url = "{BASE_URL}"\n{self.rollout.config_text}{self._options.config_text}'
        return resolve_text(text, file="simulation", directory=self._scratch, environ={}).config

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1000 + 0.5)

    def _restart(self) -> None:
        self._lifecycle.restart()

    @property
    def crashes(self) -> int:
        """Processes that did not end in good order."""
        return self._lifecycle.crashes

    async def run(self, faults: Sequence[MachineFault], *, begins_s: float, until_s: float) -> None:
        """Boot, live through the faults, and close the account.

        Args:
            faults: Of the machine.
            begins_s: When the power comes on for the first time.
            until_s: The end, in virtual seconds.
        """
        await asyncio.sleep(begins_s)
        self._machine.start(unsynchronised_s=self._rng.uniform(*NTP_S))
        injector = self._loop.create_task(self._lifecycle.inject(faults))
        await self._lifecycle.run(self._connect, until_s)
        injector.cancel()
        await self._audit()

    async def _audit(self) -> None:
        limits = OutboxLimits(2**40, 0, 2**30)
        outbox, _ = await open_outbox(
            self._machine.state_dir, boot_id="audit", limits=limits, worker=InlineWorker(), disk=Disk()
        )
        oracle, now_s = self.oracle, self._loop.time()
        gaps, letters, stats = await outbox.gaps(), await outbox.dead_letters(), outbox.stats()
        await outbox.close()
        oracle.check_kept(stats.pending, stats.downsampled + stats.dropped + stats.dead_letters, now_s)
        oracle.deduct_given_up(gaps, letters, self._zeros_utc_ms)
        oracle.check_delivered(now_s, self._house.start_utc_ms)
        oracle.check_account(now_s)

    def process_starts(self) -> None:
        """Note the boot's zero."""
        self._zeros_utc_ms[self._machine.clock.boot_id] = self._machine.utc_of(0)

    def process_killed(self) -> None:
        """Note nothing: the house of a fleet's hub is not heated by it."""

    def process_ended(self, hub: app.Hub) -> None:
        """Close the process's account of readings."""
        self.oracle.record_process_end(
            judged_bad=sum(state.bad for state in hub.telemetry.intake.channels.values()),
            uncommitted=hub.telemetry.intake.uncommitted,
            left_out=hub.telemetry.receiver.skipped if hub.telemetry.receiver else 0,
            unreported=hub.telemetry.sampler.unreported_count,
        )

    def make_environment(self, session: aiohttp.ClientSession) -> environment.Environment:
        """Return the environment of the next process."""
        machine = self._machine
        return environment.Environment(
            board=self._house.board(machine, self.oracle),
            clock=machine.clock,
            rng=random.Random(self._rng.randrange(2**32)),
            disk=Disk(self._observer.on_operation),
            worker=InlineWorker(),
            session=session,
            ledger=QuotaLedger(machine.run_dir / "quotas", machine.clock.boot_id),
            read_key=lambda: factory_reset.read_usable_key(machine.state_dir, Disk(), lambda: self.installed_key),
            sensor_keys=self._sensor_keys,
            host=SimulatedHost(lambda _: self._lifecycle.reboot()),
            check_for=environment.check_for,
            is_metered=lambda: False,
            serve=False,
            on_committed=self._on_committed,
            on_memory_send=self._on_memory_send,
            restart=self._restart,
            running=self.rollout.running(),
            installer=self.rollout.images,
        )

    def _on_committed(self, readings: Sequence[Reading]) -> None:
        self.oracle.record_committed(readings, self._machine.utc_of(0), self._loop.time())

    def _on_memory_send(self, readings: Sequence[Reading]) -> None:
        self.oracle.record_memory_send(readings, self._machine.utc_of(0), self._loop.time())
