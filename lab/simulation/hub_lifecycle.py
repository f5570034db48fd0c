"""The boots and processes of the simulated hub: starts, faults of the machine, crashes, restarts.

Runs the same `Hub` as `climahub run`. Must never reach into a component to help it along.
"""

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import aiohttp
import msgspec

from agent import app
from agent.cloud.session import new_session
from agent.commands import factory_reset
from agent.config import Config
from agent.environment import Environment
from agent.errors import StorageFull
from agent.foundation.disk import Disk
from agent.telemetry.outbox.protocol import Outbox
from agent.telemetry.outbox.store import SqliteOutbox
from lab.simulation.machine import PROCESS_START_S, REBOOT_S, REBOOT_UNSYNCHRONISED_S, Machine, PowerCut
from lab.simulation.observers import DiskObserver
from lab.simulation.options import MachineFault, MachineFaultKind
from lab.simulation.request_exchange import exchange_requests
from lab.simulation.rollout import LATE_CRASH_S, ReleaseKind, Rollout, die_late, dies_late
from lab.simulation.virtual_loop import MemoryConnector, VirtualLoop

STOPPED_FOR_S = 20.0
"""How long the machine is down after it was stopped at an operation."""

STOPPED_UNSYNCHRONISED_S = 5.0
"""How long the boot after that is without UTC."""


class LifecycleListener(Protocol):
    """What the simulation does at the borders of a process."""

    def make_environment(self, session: aiohttp.ClientSession) -> Environment:
        """Return the environment of the next process."""
        ...

    def process_starts(self) -> None:
        """Note that a process is about to start."""
        ...

    def process_killed(self) -> None:
        """Note that the process was killed: what it still does reaches nothing."""
        ...

    def process_ended(self, hub: app.Hub) -> None:
        """Note that a process has ended, in good order or not."""
        ...


class HubLifecycle:
    """Boots the machine and runs one process of the hub after the other.

    Attributes:
        hub: The hub whose process runs; `None` between two processes.
        crashes: How many processes did not end in good order.
        struck: How often each kind of machine fault has struck.
    """

    def __init__(
        self,
        *,
        loop: VirtualLoop,
        machine: Machine,
        rollout: Rollout,
        disk_observer: DiskObserver,
        config: Config,
        listener: LifecycleListener,
        violate: Callable[[float, str, str], None],
        stop_by: MachineFaultKind,
        writes_bytes: bool = False,
    ) -> None:
        """Prepare.

        Args:
            loop: Virtual time.
            machine: The hardware.
            rollout: Chooses the release that starts.
            disk_observer: Sees every durable operation.
            config: The hub's configuration; its directories are those of the present process.
            listener: Told of the borders of processes.
            violate: Notes a broken promise: seconds, promise, detail.
            stop_by: What happens where the machine is to be stopped at an operation.
            writes_bytes: Whether requests and answers are written and parsed; else see `request_exchange`.
        """
        self._loop = loop
        self._machine = machine
        self._rollout = rollout
        self._disk_observer = disk_observer
        self._config = config
        self._listener = listener
        self._violate = violate
        self._stop_by = stop_by
        self._writes_bytes = writes_bytes
        self._connector: MemoryConnector | None = None
        self._stop: asyncio.Event | None = None
        self._crash: asyncio.Future[MachineFault] | None = None
        self._is_rebooting = False
        self._network_cuts = self._full_disks = 0
        self._release_kind = ReleaseKind.GOOD
        self.hub: app.Hub | None = None
        self.crashes = 0
        self.struck: Counter[str] = Counter()

    def restart(self) -> None:
        """End the process in good order; another one starts."""
        if self._stop is not None:
            self._stop.set()

    def reboot(self) -> None:
        """End the process in good order and boot the machine."""
        self._is_rebooting = True
        self.restart()

    def crash_if_down(self) -> None:
        """End the process where the machine was stopped at an operation of another task than the hub's own."""
        if self._crash is not None and not self._crash.done() and self._machine.is_down:
            self._crash.set_result(self._stopped())

    async def inject(self, faults: Sequence[MachineFault]) -> None:
        """Let the faults begin and end at their times."""
        changes = [(fault.at_s, True, fault) for fault in faults]
        changes += [(fault.at_s + fault.lasts_s, False, fault) for fault in faults]
        changes.sort(key=lambda change: change[:2])
        for at_s, begins, fault in changes:
            await asyncio.sleep(max(0.0, at_s - self._loop.time()))
            self._change(fault, begins=begins)

    def _change(self, fault: MachineFault, *, begins: bool) -> None:
        step = 1 if begins else -1
        match fault.kind:
            case MachineFaultKind.NETWORK_CUT:
                self._network_cuts += step
                if self._connector is not None:
                    self._set_network(self._connector)
            case MachineFaultKind.DISK_FULL:
                self._full_disks += step
                self._machine.is_disk_full = self._full_disks > 0
            case MachineFaultKind.PROCESS_KILLED | MachineFaultKind.POWER_CUT:
                if not begins or not self.crash(fault):
                    return
        self.struck[fault.kind.value] += begins

    def crash(self, fault: MachineFault) -> bool:
        """End the process by a fault; return false where the machine is left alone.

        That is one that is down or does not have UTC yet: a boot that never gets UTC keeps its readings for ever, which
        has a test of its own.
        """
        if self._crash is None or self._crash.done() or self._machine.clock.utc_ms() is None:
            return False
        if not self._is_anchored():
            return False
        self._crash.set_result(fault)
        return True

    def _is_anchored(self) -> bool:
        outbox = self.hub.telemetry.outbox if self.hub is not None else None
        return outbox is not None and not outbox.stats().unanchored

    def _set_network(self, connector: MemoryConnector) -> None:
        if self._network_cuts:
            connector.cut()
        else:
            connector.is_cut = False

    async def run(self, connect: Callable[[], MemoryConnector], until_s: float) -> None:
        """Run processes until the end.

        Args:
            connect: Returns the network of one process.
            until_s: The end, in virtual seconds.
        """
        while (left_s := until_s - self._loop.time()) > 0:
            fault = self._prepare_start() or await self._run_process(connect(), left_s)
            if fault is not None:
                self.crashes += 1
                await asyncio.sleep(fault.lasts_s)
            is_power_cut = fault is not None and fault.kind is MachineFaultKind.POWER_CUT
            if is_power_cut or self._is_rebooting:
                if not is_power_cut:
                    await asyncio.sleep(REBOOT_S)
                self._is_rebooting = False
                self._machine.start(unsynchronised_s=fault.unsynchronised_s if fault else REBOOT_UNSYNCHRONISED_S)
                self._rollout.boot()
            else:
                await asyncio.sleep(PROCESS_START_S)
                self._machine.restart()
        # What still closes its files does it after the end: a sweep tries the operations before it.
        self._machine.is_down = True

    def _prepare_start(self) -> MachineFault | None:
        """Do what the daemon and the launcher do before a start; return the power cut that came in between."""
        disk = Disk(self._disk_observer.on_operation)
        try:
            with contextlib.suppress(StorageFull):  # the key is barred then, and the next process tries again
                factory_reset.finish_erasing(self._machine.state_dir, disk, key_file=None)
            self._release_kind = self._rollout.start(disk)
        except PowerCut:
            stopped = self._stopped()
            self._machine.leave(is_power_cut=stopped.kind is MachineFaultKind.POWER_CUT, are_commits_synced=True)
            return stopped
        return None

    async def _run_process(self, connector: MemoryConnector, left_s: float) -> MachineFault | None:
        """Run one process; return the fault that ended it, or `None` where it ended in good order."""
        self._connector = connector
        self._set_network(connector)
        self._listener.process_starts()
        if self._release_kind is ReleaseKind.DEAD:
            await asyncio.sleep(1.0)
            return None
        self._stop = stop = asyncio.Event()
        self._crash = crash = self._loop.create_future()
        if dies_late(self._release_kind):
            self._loop.call_later(LATE_CRASH_S, die_late, crash, self._loop.time)
        async with new_session(connector, user_agent="climahub/simulation") as session:
            if not self._writes_bytes:
                exchange_requests(session, connector)
            self.hub = hub = app.Hub(self._process_config(), self._listener.make_environment(session))
            task = self._loop.create_task(hub.run(stop))
            await asyncio.wait({task, crash}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if crash.done():
                fault: MachineFault = crash.result()
            elif task.done() and not self._ended_well(task):
                fault = self._own_end(task)
            else:
                stop.set()
                await asyncio.wait({task})
                if self._ended_well(task):
                    self._end_process(hub)
                    return None
                fault = self._own_end(task)
            await self._kill(hub, task, fault)
        return fault

    def _process_config(self) -> Config:
        storage = msgspec.structs.replace(
            self._config.storage, state_dir=self._machine.state_dir, run_dir=self._machine.run_dir
        )
        return msgspec.structs.replace(self._config, storage=storage)

    def _ended_well(self, task: asyncio.Task[None]) -> bool:
        return self._stop is not None and self._stop.is_set() and task.exception() is None

    def _own_end(self, task: asyncio.Task[None]) -> MachineFault:
        """Judge a hub that ended without a stop: at the operation where the machine was stopped, or by a defect."""
        if not self._machine.is_down:
            error = task.exception()
            self._violate(self._loop.time(), "the hub keeps running", f"it ended: {type(error).__name__}: {error}")
        return self._stopped()

    def _stopped(self) -> MachineFault:
        """Return the fault of a machine that has stopped at its operation; it stops there once."""
        self._machine.stop_at = None
        return MachineFault(self._stop_by, self._loop.time(), STOPPED_FOR_S, STOPPED_UNSYNCHRONISED_S)

    async def _kill(self, hub: app.Hub, task: asyncio.Task[None], fault: MachineFault) -> None:
        outbox = hub.telemetry.outbox
        self._machine.is_down = True
        self._machine.leave(
            is_power_cut=fault.kind is MachineFaultKind.POWER_CUT, are_commits_synced=_are_commits_synced(outbox)
        )
        self._listener.process_killed()
        self._end_process(hub)
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        await _close_files(hub)

    def _end_process(self, hub: app.Hub) -> None:
        self.hub = None
        self._listener.process_ended(hub)

    async def close(self) -> None:
        """After a livelock: close what the hub still has open."""
        if self.hub is not None:
            await _close_files(self.hub)


def _are_commits_synced(outbox: Outbox | None) -> bool:
    if isinstance(outbox, SqliteOutbox):
        # A closed database has folded its log into the file, which syncs.
        with contextlib.suppress(sqlite3.ProgrammingError):
            return outbox.database.syncs_commits()
    return True


async def _close_files(hub: app.Hub) -> None:
    """Close a dead hub's files. The machine has left them behind, so what this writes reaches nothing."""
    if isinstance(hub.telemetry.outbox, SqliteOutbox):
        await hub.telemetry.outbox.database.close()
    await hub.commands.close()
