"""The real room, client, slots and launcher on the simulated machine, against the reference cloud, in virtual time."""

import asyncio
import contextlib
import itertools
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from agent.cloud.client import CloudClient
from agent.cloud.connectivity import Connectivity
from agent.cloud.quota import QuotaLedger
from agent.cloud.session import new_session
from agent.config import OtaConfig
from agent.foundation.disk import Disk, Operation
from agent.foundation.staging_files import announcer
from agent.foundation.worker import InlineWorker
from agent.ota import launcher
from agent.ota.context import RunningRelease, UpdateContext
from agent.ota.launcher import BASE
from agent.ota.lifecycle import UpdateState
from agent.ota.service import UpdateService
from hal.sim.images import SimMachine
from lab.refcloud.admin import NewDevice
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.contract import Endpoint
from lab.simulation.machine import Machine, PowerCut
from lab.simulation.rollout import SimulatedRelease, make_release, public_key_pem
from lab.simulation.virtual_loop import MemoryConnector, VirtualLoop

START_UTC_MS = 1_767_225_600_000
PORT = 8443
HOURS_MAX = 12
CRASH = """Traceback (most recent call last):
  File "agent/app.py", line 7, in <module>
    import gpiod
ModuleNotFoundError: No module named 'gpiod'
"""
"""What a dead release leaves."""
GOOD, NEXT = make_release("2.0.0", 2, chunks=2), make_release("3.0.0", 3)

CONFIG = OtaConfig(
    keys_dir=Path(),
    allow_unsigned=False,
    model="hub",
    check_interval_s=3600.0,
    spread_s=10.0,
    maintenance_window="always",
    metered="always",
    size_bytes_max=2**26,
    rate_bytes_s_min=1,
    download_deadline_s=3600.0,
    trial_s=30.0,
    trial_deadline_s=60.0,
    trial_starts_max=2,
)


class Bench:
    """One machine, one cloud, and what was seen."""

    def __init__(self, scratch: Path, loop: VirtualLoop, *, sick: set[str], dead: set[str]) -> None:
        self.loop = loop
        self.machine = Machine(scratch, now_ms=lambda: int(loop.time() * 1000), start_utc_ms=START_UTC_MS)
        self.keys_dir = scratch / "keys"
        self.keys_dir.mkdir()
        (self.keys_dir / "k.pub").write_bytes(public_key_pem())
        self.sick = sick
        self.dead = dead
        self.unbootable: list[str] = []
        self.boots: list[str] = []
        self.crashes = 0
        self.operations = 0
        self.is_done = False
        self.config: dict[str, object] = {}
        self.local: datetime | None = None
        self.is_metered = False
        self.is_cloud_down = False
        self.runner: web.AppRunner | None = None
        self.tasks: list[asyncio.Task[object]] = []
        self.connector: MemoryConnector | None = None
        self.requests: list[tuple[float, str]] = []
        self.stop_by_power = True
        self.images: SimMachine | None = None
        self.is_rebooting = False
        self.time_lost_s = 0.0
        self.reboots = 0
        self.restart = asyncio.Event()
        self.booted_at_s = 0.0
        self.faults: list[str] = []
        self.middlewares: list[Middleware] = []
        self.trees = {release.version: release.tree_files for release in (GOOD, NEXT)}
        ids = itertools.count()
        self.cloud = ReferenceCloud(
            utc_ms=lambda: START_UTC_MS + int(loop.time() * 1000),
            monotonic_s=loop.time,
            rng=random.Random(1),
            new_id=lambda: f"id-{next(ids)}",
            on_request=lambda _, endpoint, at_s, __: self.requests.append((at_s, endpoint.value)),
        )
        self.key = self.cloud.admin.provision(NewDevice(name="hub", batch="stable")).api_key
        self.device_id = self.cloud.admin.devices()[0].device_id

    def publish(self, release: SimulatedRelease) -> None:
        self.cloud.admin.publish(release.version, release.data, batches=["stable"])

    def take_images(self, *, activates: bool = False) -> SimMachine:
        """Make it a machine with two systems; the world may stop before an effect of the installer too."""
        self.images = SimMachine(
            "1.0.0",
            now_s=self.loop.time,
            announce=lambda what: self.machine.on_operation(Operation.COMMIT, what),
            is_dead=lambda version: version in self.dead,
            activates=activates,
        )
        return self.images

    async def before_reboot(self) -> None:
        """Wait as a hub does that does not know the time."""
        await asyncio.sleep(self.time_lost_s)

    async def last_end(self) -> str:
        """Say what the service manager says."""
        return "crashed exit code 1"

    async def reboot(self, reason: str) -> None:
        """Go down in good order, as the host does."""
        self.machine.on_operation(Operation.COMMIT, "reboot")
        assert reason
        self.is_rebooting = True
        self.reboots += 1
        self.restart.set()

    def boot(self) -> str:
        """Let the launcher choose; return the slot, after a stranger's look whether a whole release is there."""
        disk = Disk(self.machine.on_operation)
        slot = launcher.choose_slot(self.machine.state_dir, lambda _: None, announcer(disk))
        version = self.version_in(slot)
        if version not in {self.packaged, *self.trees}:
            self.unbootable.append(f"slot {slot} holds {version}")
        if slot != BASE and self.packaged != "1.0.0":
            self.unbootable.append(f"slot {slot} was made for another system than {self.packaged}")
        self.boots.append(version)
        return slot

    @property
    def packaged(self) -> str:
        """Version of what the system that runs has brought."""
        return self.images.version if self.images else "1.0.0"

    def version_in(self, slot: str) -> str:
        if slot == BASE:
            return self.packaged
        root = self.machine.state_dir / "slots" / slot
        found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        return next((version for version, tree in self.trees.items() if tree == found), "pieces")

    async def life(self, until: Callable[[UpdateService], bool]) -> None:
        """Boot and run until the release makes way, the world stops, or ``until`` holds."""
        slot = self.boot()
        version = self.version_in(slot)
        if version in self.dead:
            (self.machine.state_dir / f"crash-{slot}.txt").write_text(CRASH)
            await asyncio.sleep(1)
            return
        self.restart = restart = asyncio.Event()
        self.booted_at_s = self.loop.time()
        disk = Disk(self.machine.on_operation)
        assert self.runner is not None
        assert self.runner.server is not None
        self.connector = MemoryConnector(self.runner.server, random.Random(1), latency_s_max=0.001)
        async with new_session(self.connector, user_agent="t") as session:
            clock = self.machine.clock
            client = CloudClient(
                session, base_url=f"http://127.0.0.1:{PORT}", read_key=lambda: self.key, clock=clock,
                connectivity=Connectivity(now_ms=clock.monotonic_ms, rng=random.Random(1)),
                ledger=QuotaLedger(self.machine.run_dir / "quotas", clock.boot_id),
                request_timeout_s=30, compress=False,
            )  # fmt: skip

            async def well() -> str:
                return "it is sick" if version in self.sick else ""

            service = UpdateService(
                self.machine.state_dir,
                UpdateContext(
                    config=msgspec.structs.replace(CONFIG, keys_dir=self.keys_dir, **self.config),
                    running=RunningRelease(version, slot, 1, "simulated", "", restart.set, InlineWorker()),
                    client=client.updates, clock=clock, rng=random.Random(1), disk=disk, disk_free_bytes_min=0,
                    system_updater=self.images,
                    checks={"well": well}, fresh_sensors=lambda: 1, local_time=lambda: self.local,
                    is_metered=lambda: self.is_metered, before_reboot=self.before_reboot, reboot=self.reboot,
                    add_fault=self.faults.append, phase=0.5, last_end=self.last_end,
                ),
            )  # fmt: skip
            task = self.loop.create_task(service.run())
            self.connector.is_cut = self.is_cloud_down
            while not task.done() and not restart.is_set() and self.loop.time() < HOURS_MAX * 3600:
                await asyncio.wait([task], timeout=5.0)
                if until(service):
                    self.is_done = True
                    break
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                try:
                    await task
                except* PowerCut:
                    pass  # `run` sees that the machine is down; any other error is a defect

    async def run(self, until: Callable[[UpdateService], bool]) -> None:
        """Live, die, and live again."""
        application = self.cloud.application()
        application.middlewares.extend(self.middlewares)
        self.runner = runner = web.AppRunner(application, access_log=None, handle_signals=False)
        await runner.setup()
        try:
            while self.loop.time() < HOURS_MAX * 3600:
                with contextlib.suppress(PowerCut):
                    await self.life(until)
                is_rebooting, self.is_rebooting = self.is_rebooting, False
                if self.machine.is_down:
                    self.crashes += 1
                    self.machine.stop_at = None
                    self.machine.leave(is_power_cut=self.stop_by_power, are_commits_synced=True)
                    if self.stop_by_power:
                        self._power_on()
                    else:
                        self.machine.restart()
                elif is_rebooting:
                    self._power_on()
                elif self.is_done:
                    return
                await asyncio.sleep(10.0)
        finally:
            self.operations = self.machine.operations
            await runner.cleanup()

    def _power_on(self) -> None:
        self.machine.start(unsynchronised_s=1.0)
        if self.images:
            self.images.boot()


@contextlib.contextmanager
def bench(*, sick: tuple[str, ...] = (), dead: tuple[str, ...] = ()) -> Iterator[Bench]:
    scratch = Path(tempfile.mkdtemp(dir="/dev/shm"))
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        yield Bench(scratch, loop, sick=set(sick), dead=set(dead))
    finally:
        loop.close()
        asyncio.set_event_loop(None)
        shutil.rmtree(scratch)


def live(made: Bench, until: Callable[[UpdateService], bool]) -> UpdateService:
    """Run the machine until ``until`` holds; return the last service. Each start must have found a whole release."""
    services: list[UpdateService] = []

    def look(service: UpdateService) -> bool:
        services.append(service)
        return until(service)

    made.is_done = False
    made.loop.run_until_complete(made.run(look))
    assert made.unbootable == []
    assert made.is_done, (services[-1].store.record.state, services[-1].run_control.blocked_reason)
    return services[-1]


async def in_pieces(data: bytes) -> AsyncIterator[bytes]:
    """Yield a bundle as a technician's upload does."""
    for at in range(0, len(data), 65_536):
        yield data[at : at + 65_536]


def downloads(made: Bench) -> list[float]:
    """Return when a download was requested."""
    return [at_s for at_s, endpoint in made.requests if endpoint == Endpoint.OTA_DOWNLOAD]


def reported(made: Bench) -> list[str]:
    """Return the states that were reported to the cloud, oldest first."""
    return [post.status for post in made.cloud.admin.ota_history(made.device_id).posts]


def closed(state: UpdateState) -> Callable[[UpdateService], bool]:
    """Hold once the update has ended so and the cloud knows it."""
    return lambda service: service.store.record.state is state and not service.store.record.reports


def sweep_fails(simulate: Callable[[int | None], int]) -> bool:
    """Tell whether some point of a sweep shows that something is wrong.

    Args:
        simulate: Plays it with the world stopped at a point, or at none, and returns how many points there were.
    """
    points = simulate(None)
    for point in range(1, points + 1):
        try:
            simulate(point)
        except (AssertionError, ExceptionGroup):
            # The room itself may stumble over the damage.
            return True
    return False
