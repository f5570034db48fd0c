"""The interface of what installs a release, and its implementation for apps, which the launcher starts from slots.

`image_installer` is the other implementation. The workflow calls one of them, by the payload type of the bundle. Every
step is in the store or in the launcher's state before its effect.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from agent.errors import Corrupt, StorageFull
from agent.foundation.disk import Disk
from agent.foundation.text import sanitize
from agent.ota.context import UpdateContext
from agent.ota.lifecycle import EventDetails, UpdateEvent, UpdateState
from agent.ota.recovery import Outcome, reconcile_app
from agent.ota.redundant_state import RedundantState
from agent.ota.slots import InstalledRelease, Slots, crash_file_name
from agent.ota.staging import Staging
from agent.ota.store import UpdateStore
from hal.images import OnPercent

_log = logging.getLogger(__name__)

CRASH_BYTES_MAX = 64 * 1024
CRASH_LINES_MAX = 3
CRASH_LINE_CHARS_MAX = 160
"""Three lines and the reason fit the 500 characters of an error message to the cloud."""


class Installer(Protocol):
    """Installs releases of one payload type, starts their trial, and commits or removes them.

    One method for each step of the workflow that depends on the payload type, hence more than ten.
    """

    @property
    def is_set_up(self) -> bool:
        """Whether this hub can install such releases."""
        ...

    @property
    def is_running_trial(self) -> bool:
        """Whether the release on trial is what runs."""
        ...

    @property
    def needs_reboot_to_leave(self) -> bool:
        """Whether going back from what runs takes a restart of the machine."""
        ...

    def reconcile(self) -> Outcome:
        """Return what happened to the update since its record was written."""
        ...

    def find_fault(self) -> str:
        """Return a fault of what was started, for people; empty for none."""
        ...

    async def settle(self) -> bool:
        """Make the launcher's state fit what runs; return whether it must be read again."""
        ...

    async def install(self, on_percent: OnPercent) -> EventDetails:
        """Install the complete bundle; return the details of `UpdateEvent.INSTALLED`.

        Args:
            on_percent: Called with the progress.

        Raises:
            BundleUntrusted: It must not be installed.
            BundleDamaged: The file was damaged since it was complete.
            InstallFailed: It could not be installed; it may be offered again.
            StorageFull: No room.
            InstallerLost: RAUC does not answer; try again later.
            OSError: The disk fails.
        """
        ...

    async def restart(self, find_block: Callable[[], str]) -> None:
        """Restart into the installed release. Returns only where that did not happen: reconcile then.

        Args:
            find_block: Returns why the hub must not restart now; empty where it may.

        Raises:
            StorageFull: The restart could not be recorded.
            InstallerLost: The boot loader could not be told.
        """
        ...

    def find_trial_failure(self) -> str:
        """Return why the trial has failed before any check; empty where it has not."""
        ...

    async def commit(self) -> None:
        """Make the release on trial the good one, and raise the floor.

        Raises:
            StorageFull: It could not be written.
            Corrupt: The release's list of keys cannot be read.
            InstallerLost: The boot loader could not be told.
        """
        ...

    async def end_trial(self, reason: str, *, is_final: bool) -> None:
        """Make the previous release the next to start. Does not return where that takes a restart of the machine.

        Args:
            reason: Why.
            is_final: The release must not be installed again.
        """
        ...

    async def explain_failure(self, reason: str) -> str:
        """Return the reason of a failed trial with what the release left behind."""
        ...

    async def return_start(self) -> None:
        """Give the release on trial one start back, since this one ended in good order."""
        ...


class InstallerParts(msgspec.Struct, frozen=True, kw_only=True):
    """What every installer works with.

    Attributes:
        context: The hub around the updates.
        store: The record of the present update.
        slots: The two slots of apps.
        staging: The files of bundles.
        redundant_state: The launcher's state, the keys and the version floor.
    """

    context: UpdateContext
    store: UpdateStore
    slots: Slots
    staging: Staging
    redundant_state: RedundantState


class BaseInstaller:
    """The parts of an installer, by the names that its methods use."""

    def __init__(self, parts: InstallerParts) -> None:
        """Prepare; nothing is read."""
        self._context = parts.context
        self._store = parts.store
        self._slots = parts.slots
        self._staging = parts.staging
        self._redundant_state = parts.redundant_state


class AppInstaller(BaseInstaller):
    """Installs apps into the two slots. An `Installer`, with one method for each of its steps."""

    is_set_up = True
    needs_reboot_to_leave = False

    @property
    def is_running_trial(self) -> bool:
        """See `Installer`."""
        return self._redundant_state.launcher_state.trial == self._context.running.slot

    def reconcile(self) -> Outcome:
        """See `Installer`."""
        return reconcile_app(self._store.record, self._redundant_state.launcher_state, self._context.running.slot)

    def find_fault(self) -> str:
        """See `Installer`: the launcher has no faults of its own kind."""
        return ""

    async def settle(self) -> bool:
        """See `Installer`: the launcher's state always fits."""
        return False

    async def install(self, on_percent: OnPercent) -> EventDetails:
        """See `Installer`: takes seconds, and reports no progress."""
        del on_percent
        offer = self._store.record.offer
        installed = await self._context.worker.run(lambda: self._staging.install_app(offer))
        return {"slot": installed.slot, "digest": installed.digest}

    async def restart(self, find_block: Callable[[], str]) -> None:
        """See `Installer`. Never returns."""
        del find_block
        await self._store.advance(UpdateEvent.RESTART, fresh_sensors=self._context.fresh_sensors())
        record, config = self._store.record, self._context.config
        installed = InstalledRelease(record.slot, record.digest, record.offer.version, record.sequence)
        await self._context.worker.run(lambda: self._slots.begin_trial(installed, tries=config.trial_starts_max))
        _log.info("restarting into release %s", record.offer.version)
        self._context.running.restart()
        await asyncio.Event().wait()

    def find_trial_failure(self) -> str:
        """See `Installer`: the launcher counts the starts."""
        return ""

    async def commit(self) -> None:
        """See `Installer`: its keys first, so that none is lost in between."""
        await self._redundant_state.adopt_keys(self._context.running.slot)
        await self._context.worker.run(self._slots.commit)

    async def end_trial(self, reason: str, *, is_final: bool) -> None:
        """See `Installer`."""
        del is_final
        if self._redundant_state.launcher_state.trial:
            await self._context.worker.run(lambda: self._slots.end_trial(reason))

    async def explain_failure(self, reason: str) -> str:
        """See `Installer`: the end of its last process, and its crash report."""
        record = self._store.record
        if not record.slot or record.state not in {UpdateState.READY, UpdateState.TRIAL}:
            return reason
        directory, disk = self._slots.directory, self._context.disk
        crash = await self._context.worker.run(lambda: read_crash_report(directory, record.slot, disk))
        return add_crash_report(reason, await self._context.last_end(), crash)

    async def return_start(self) -> None:
        """See `Installer`."""
        starts_max = self._context.config.trial_starts_max
        await self._context.worker.run(lambda: self._slots.return_try(starts_max))


def read_crash_report(directory: Path, slot: str, disk: Disk) -> str:
    """Return what the release in a slot wrote when it crashed; empty for nothing. Blocks.

    Args:
        directory: The state directory.
        slot: Of the release.
        disk: Reads.
    """
    with contextlib.suppress(Corrupt, StorageFull, OSError):
        data = disk.read(directory / crash_file_name(slot), bytes_max=CRASH_BYTES_MAX)
        return (data or b"").decode("utf-8", "replace")
    return ""


def add_crash_report(reason: str, end: str, crash: str) -> str:
    """Return why a release failed, with how its last process ended and its crash report.

    Args:
        reason: From the launcher or the trial.
        end: From the service manager ("crashed, exit code 1"); empty where it is unknown.
        crash: Written by `bundle_builder.ENTRY_SOURCE` or by the interpreter (faulthandler).
    """
    lines = [line.strip() for line in crash.splitlines() if line.strip()]
    # The last line of a traceback names the error; the interpreter names it in the first line.
    chosen = lines[:CRASH_LINES_MAX] if crash.startswith("Fatal Python error") else lines[-CRASH_LINES_MAX:]
    output = " | ".join(sanitize(line, characters_max=CRASH_LINE_CHARS_MAX) for line in chosen)
    ending = f"its last process ended: {end}" if end else ""
    return "; ".join(filter(None, (reason, ending, f"its last output: {output}" if output else "")))
