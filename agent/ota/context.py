"""What every part of the updates shares: the hub around them, the release that runs, and the pace of the work.

Values and one wake-up event. Must never do I/O.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import msgspec

from agent.cloud.client import UpdatesClient
from agent.config import OtaConfig
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker
from hal.images import SystemUpdater

_log = logging.getLogger(__name__)

RETRY_S = 60.0
"""Pause before the work tries again what is blocked: nothing announces that a disk, RAUC or the time of day changed."""

Check = Callable[[], Awaitable[str]]
"""Returns what is wrong with one part of the hub; an empty text where nothing is."""


class RunningRelease(msgspec.Struct, frozen=True):
    """The release that this process runs.

    Attributes:
        version: Of this program.
        slot: The slot that the launcher started: "a", "b" or "base".
        launcher: Version of the launcher; 0 without a launcher, and then nothing can be installed.
        reason: Why the launcher started the package although a slot is confirmed; empty where it did not.
        machine: As `uname -m` prints it.
        python: Tag of the interpreter.
        restart: Ends this process in good order, so that the service manager starts the launcher again.
        worker: Hashes and unpacks bundles, which takes long: must not be the worker that stores readings.
    """

    version: str
    slot: str
    launcher: int
    machine: str
    python: str
    restart: Callable[[], None]
    worker: Worker
    reason: str = ""


async def _unknown_end() -> str:
    return ""


class UpdateContext(msgspec.Struct, frozen=True, kw_only=True):
    """The hub, as its updates see it.

    Attributes:
        config: Table `[ota]`.
        running: The release that runs.
        client: The cloud's client.
        clock: Expiry of bundles, and the download quota over a restart of the machine.
        rng: Jitter.
        disk: Reads and writes the state files.
        disk_free_bytes_min: Free space that an update leaves.
        system_updater: Installs system images; `None` on a machine that cannot.
        checks: Health checks of a trial, by name; the cloud is not among them.
        fresh_sensors: Returns how many sensors deliver.
        local_time: Returns the time in the hub's time zone; `None` while it is unknown.
        is_metered: Returns whether the link is paid by volume.
        before_reboot: Waits, for a limited time, until a restart of the machine leaves no reading without its time.
        reboot: Restarts the machine, for a reason; raises `RebootFailed`.
        add_fault: Records a fault.
        phase: Of this hub among its neighbours, from 0 up to 1.
        last_end: Returns how the previous process ended, by the service manager; empty where that is unknown.
    """

    config: OtaConfig
    running: RunningRelease
    client: UpdatesClient
    clock: Clock
    rng: random.Random
    disk: Disk
    disk_free_bytes_min: int
    system_updater: SystemUpdater | None
    checks: Mapping[str, Check]
    fresh_sensors: Callable[[], int]
    local_time: Callable[[], datetime | None]
    is_metered: Callable[[], bool]
    before_reboot: Callable[[], Awaitable[None]]
    reboot: Callable[[str], Awaitable[None]]
    add_fault: Callable[[str], None]
    phase: float
    last_end: Callable[[], Awaitable[str]] = _unknown_end

    @property
    def worker(self) -> Worker:
        """The worker for blocking work of the updates."""
        return self.running.worker

    def report_fault(self, text: str) -> None:
        """Log a fault and record it."""
        _log.warning("updates: %s", text)
        self.add_fault(text)


class RunControl:
    """How the work goes on: why it is blocked, and whether a person is waiting for it.

    Attributes:
        is_urgent: A person asked for the update: the maintenance window does not apply.
        is_receiving: A person's bundle is being received: nothing else may write bundle files.
        blocked_reason: Why nothing goes on at the moment; empty where it does.
    """

    def __init__(self) -> None:
        self._wake_event = asyncio.Event()
        self.is_urgent = False
        self.is_receiving = False
        self.blocked_reason = ""

    def expedite(self) -> None:
        """Make the update urgent, and wake the work."""
        self.is_urgent = True
        self._wake_event.set()

    def wake(self) -> None:
        """Have all conditions evaluated again: something has changed."""
        self._wake_event.set()

    def begin_step(self) -> None:
        """Forget earlier wake-ups: this step evaluates all conditions."""
        self._wake_event.clear()

    def block(self, reason: str) -> None:
        """Set why nothing goes on."""
        if reason != self.blocked_reason:
            _log.info("updates: %s", reason)
        self.blocked_reason = reason

    def reset(self) -> None:
        """Forget urgency and block: the update has ended."""
        self.is_urgent = False
        self.blocked_reason = ""

    async def wait(self, seconds: float) -> None:
        """Wait until `wake`, for ``seconds`` at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake_event.wait()
        except TimeoutError:
            return
