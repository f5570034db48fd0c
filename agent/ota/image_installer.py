"""System images: installed by RAUC, started by a restart of the machine, then marked good or left again.

Every step is in the store or in the launcher's state before its effect. `recovery` decides what an interruption meant.
The app that was good in the old system is not started in the new one (see `recovery.select_app_slot`).
"""

import asyncio
import logging
import re
from collections.abc import Callable

from agent.errors import BundleUntrusted, Corrupt, RebootFailed, StorageFull
from agent.ota import recovery
from agent.ota.context import RETRY_S, RunControl
from agent.ota.installer import BaseInstaller, InstallerParts
from agent.ota.launcher import BASE
from agent.ota.lifecycle import EventDetails, UpdateEvent, UpdateState
from agent.ota.recovery import Outcome, SystemBoot
from hal.errors import HalError, ImageRefused, InstallerLost
from hal.images import OnPercent, SlotMark, SlotSelector, SystemState, SystemUpdater

_log = logging.getLogger(__name__)

HANDOVERS_MAX = 5
"""Each writes the whole slot, and the writes of a card are limited."""
MARKS_MAX = 30
"""Minutes that an image waits for a boot loader that cannot be told: RAUC restarts in seconds."""
GRACE_S = 120.0
"""Time for the machine to go down: systemd gives stopping services 90 s (DefaultTimeoutStopSec)."""
RAUC_TEXT_CHARS_MAX = 300

_MISMATCH = re.compile(r"Compatible mismatch: Expected '([^']*)' but bundle manifest has '([^']*)'")
_UNTRUSTED = re.compile("signature verification failed|failed to verify signature|Invalid signature", re.IGNORECASE)
_FULL = re.compile("No space left|larger than|too large|does not fit", re.IGNORECASE)
_FORMAT = re.compile(r"[Bb]undle format '?(\w+)'? not allowed")


class ImageInstaller(BaseInstaller):
    """Installs system images. An `Installer`; besides, tells the boot loader which system is good (`keep_marked`).

    More than ten methods: those of `Installer`, and three for the boot loader, which share the state of the marks.

    Attributes:
        boot: The system that runs; its slot is empty while RAUC has not answered.
    """

    def __init__(self, parts: InstallerParts, run_control: RunControl) -> None:
        super().__init__(parts)
        self._block = run_control.block
        self.boot = SystemBoot("", parts.context.clock.boot_id)
        self._is_record_lost = False
        self._is_start_counted = False
        self._must_mark_active = False
        self._changed = asyncio.Event()

    @property
    def is_set_up(self) -> bool:
        """See `Installer`."""
        return self._context.system_updater is not None and self._context.system_updater.is_set_up

    @property
    def is_running_trial(self) -> bool:
        """See `Installer`."""
        return recovery.is_system_image(self._store.record) and recovery.is_new_system(self._store.record, self.boot)

    @property
    def needs_reboot_to_leave(self) -> bool:
        """See `Installer`."""
        return self.is_running_trial

    @property
    def _is_open(self) -> bool:
        return recovery.is_system_image(self._store.record) and self._store.record.is_open

    @property
    def _updater(self) -> SystemUpdater:
        if self._context.system_updater is None:
            raise InstallerLost("this machine has no RAUC any more; install it (docs/updates.md)")
        return self._context.system_updater

    # The boot loader, whatever the present update is.

    async def begin(self, *, is_record_lost: bool) -> None:
        """Find out which system runs; with a system image under way, wait until RAUC has answered.

        Args:
            is_record_lost: It is unknown what was under way: no system is marked good before the next start.
        """
        self._is_record_lost = is_record_lost
        if not self.is_set_up:
            return
        while True:
            try:
                await self._read_boot()
            except HalError as error:
                self._block(str(error))
                if not self._is_open:
                    return  # `keep_marked` tries again
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _read_boot(self) -> SystemState:
        state = await self._updater.state()
        self.boot = SystemBoot(state.boot_slot, self.boot.id)
        return state

    async def count_start(self) -> None:
        """Count this start of the agent, once, in a system on trial: the launcher counts the starts of apps only."""
        if self._is_open and self.is_running_trial and not self._is_start_counted:
            await self._store.advance(UpdateEvent.START_COUNTED)
            self._is_start_counted = True

    async def keep_marked(self) -> None:
        """Mark the system that runs as good, until the boot loader has it: it counts each start until then.

        Runs beside the workflow. A system that failed is left instead.
        """
        while self.is_set_up:
            self._changed.clear()
            try:
                await self._mark()
            except (HalError, StorageFull, Corrupt) as error:
                _log.warning("the boot loader could not be told which system runs: %s", error)
                await asyncio.sleep(RETRY_S)
            else:
                await self._changed.wait()

    async def _mark(self) -> None:
        if not self.boot.slot:
            await self._read_boot()
        record = self._store.record
        if recovery.is_failed_system(record, await self._context.worker.run(self._slots.read_state), self.boot):
            await self._leave_failed_system()
            return
        if not self.boot.slot or self._is_record_lost or (self._is_open and self.is_running_trial):
            return
        is_old_system = recovery.is_system_image(record) and not self.is_running_trial
        if self._must_mark_active or (is_old_system and record.state is UpdateState.FAILED and record.handovers):
            await self._updater.mark(SlotMark.ACTIVE, SlotSelector.BOOTED)
            self._must_mark_active = False
        await self._updater.mark(SlotMark.GOOD, SlotSelector.BOOTED)

    async def _leave_failed_system(self) -> None:
        """Leave a system that failed and runs again: after a power cut, or a boot loader that could not be told."""
        record = await self._store.advance(UpdateEvent.START_COUNTED)
        if record.starts > recovery.SYSTEM_LEAVES_MAX:
            self._block("see rauc status: a system runs that has failed, and the machine does not start the other one")
            return
        await self._leave(record.error)

    def _mark_active_later(self) -> None:
        """Have `keep_marked` tell the boot loader to start the system that runs."""
        self._must_mark_active = True
        self._changed.set()

    # The installer.

    def reconcile(self) -> Outcome:
        """See `Installer`."""
        return recovery.reconcile_image(self._store.record, self._redundant_state.launcher_state, self.boot)

    def find_fault(self) -> str:
        """See `Installer`."""
        return recovery.find_relapse(self._store.record, self.boot)

    async def settle(self) -> bool:
        """See `Installer`: makes the app of the system that runs the good one."""
        while not await self._take_back_restart():  # noqa: ASYNC110 - RAUC has no event for it
            await asyncio.sleep(RETRY_S)
        record, launcher = self._store.record, await self._context.worker.run(self._slots.read_state)
        is_failed = record.state is UpdateState.FAILED and not self.is_running_trial
        is_open = record.state in {UpdateState.APPLYING, UpdateState.READY, UpdateState.TRIAL}
        if self.boot.slot and (is_open or is_failed):
            slot = recovery.select_app_slot(record, launcher, self.boot)
            if launcher.good != slot:
                _log.warning("the system in slot %s runs: its app is %s", self.boot.slot, slot)
                await self._context.worker.run(lambda: self._slots.set_good_slot(slot))
        return True

    async def _take_back_restart(self) -> bool:
        """Take back a restart that did not happen; return whether the boot loader has it.

        Must come before the old system's app becomes the good one: a power cut would start it in the new system.
        """
        record = self._store.record
        if not self.boot.slot or self.is_running_trial or not record.restarts:
            return True
        if record.state is UpdateState.FAILED:
            self._mark_active_later()
        elif record.state is UpdateState.READY:
            try:
                await self._updater.mark(SlotMark.ACTIVE, SlotSelector.BOOTED)
            except HalError as error:
                self._block(str(error))
                return False
        return True

    async def install(self, on_percent: OnPercent) -> EventDetails:
        """See `Installer`. An installation that an earlier run began is waited for, or repeated."""
        offer = self._store.record.offer
        if not self._staging.has_image():
            await self._context.worker.run(lambda: self._staging.extract_image(offer))
        try:
            if not await self._was_installed(on_percent):
                await self._hand_over(on_percent)
        except ImageRefused as error:
            raise BundleUntrusted(explain_rauc_error(str(error))) from error
        await self._keep_old_system_active()
        return {}

    async def _was_installed(self, on_percent: OnPercent) -> bool:
        """Wait for an installation that an earlier run began; return whether this image is complete in its slot."""
        if not self._store.record.handovers or not (await self._updater.state()).is_installing:
            return False
        try:
            await self._updater.wait_until_finished(on_percent)
        except ImageRefused:
            return False  # refused again with a reason, if it was this image
        version = await self._updater.read_version(self._staging.image_path)
        slots = await self._updater.slots()
        return any(each.bundle_version == version and each.is_whole for each in slots if not each.is_booted)

    async def _hand_over(self, on_percent: OnPercent) -> None:
        if self._store.record.handovers >= HANDOVERS_MAX:
            raise BundleUntrusted(
                f"RAUC got the image {HANDOVERS_MAX} times and never finished its installation; see journalctl -u rauc"
            )
        state = await self._read_boot()
        if state.is_installing:
            raise InstallerLost("RAUC is installing something else; it waits for that")
        if not state.boot_slot:
            raise BundleUntrusted("see rauc status: RAUC does not know which system runs, so there is no way back")
        await self._store.advance(UpdateEvent.HANDED_OVER, boot_slot=state.boot_slot)
        await self._updater.install(self._staging.image_path, on_percent)

    async def _keep_old_system_active(self) -> None:
        """Have the old system started next: RAUC may have activated the new one, outside the maintenance window."""
        for _ in range(MARKS_MAX):
            try:
                await self._updater.mark(SlotMark.ACTIVE, SlotSelector.BOOTED)
            except HalError as error:
                self._block(str(error))
                await asyncio.sleep(RETRY_S)
            else:
                return
        raise BundleUntrusted("see rauc status: the image is installed, but the boot loader cannot be set")

    async def restart(self, find_block: Callable[[], str]) -> None:
        """See `Installer`: restarts the machine into the new system."""
        await self._context.before_reboot()
        if not self._may_restart(find_block):
            return
        self._must_mark_active = False
        await self._read_boot()  # a hub whose RAUC does not answer counts no restart
        launcher = await self._context.worker.run(self._slots.read_state)
        await self._store.advance(
            UpdateEvent.RESTART,
            fresh_sensors=self._context.fresh_sensors(),
            boot_id=self.boot.id,
            app_slot=launcher.good,
        )
        await self._context.worker.run(lambda: self._slots.set_good_slot(BASE))
        await self._updater.mark(SlotMark.ACTIVE, SlotSelector.OTHER)
        if self._may_restart(find_block):
            await self._reboot(f"release {self._store.record.offer.version}")

    def _may_restart(self, find_block: Callable[[], str]) -> bool:
        return self._store.record.state is UpdateState.READY and not find_block()

    async def _reboot(self, reason: str) -> None:
        try:
            await self._context.reboot(reason)
        except (RebootFailed, StorageFull) as error:
            self._block(str(error))
        await asyncio.sleep(GRACE_S)

    def find_trial_failure(self) -> str:
        """See `Installer`."""
        if not self.is_running_trial:
            return ""
        record, starts_max = self._store.record, self._context.config.trial_starts_max
        recorded = recovery.find_recorded_failure(record, self._redundant_state.launcher_state)
        return recorded or recovery.find_start_overrun(record, starts_max)

    async def commit(self) -> None:
        """See `Installer`."""
        # The mark comes first: with the floor raised and the system not marked, the boot loader could still go back.
        await self._updater.mark(SlotMark.GOOD, SlotSelector.BOOTED)
        await self._context.worker.run(lambda: self._slots.raise_floor(self._store.record.sequence))

    async def end_trial(self, reason: str, *, is_final: bool) -> None:
        """See `Installer`. In the new system it does not return; the old system then ends the update."""
        if self.is_running_trial and self._store.record.is_open:
            await self._leave(reason)
        record = self._store.record
        if record.handovers and self.is_set_up:
            try:
                await self._updater.mark(SlotMark.ACTIVE, SlotSelector.BOOTED)
            except HalError as error:
                _log.warning("the boot loader could not be told to stay with this system: %s", error)
                self._mark_active_later()
        if record.state in {UpdateState.READY, UpdateState.TRIAL} and (is_final or record.restarts):
            # The old system's app must not run in the new one: it is set only where the old system runs for certain.
            is_old_system = bool(self.boot.slot) or record.boot_id == self.boot.id
            good = record.app_slot if is_old_system else ""
            await self._context.worker.run(
                lambda: self._slots.record_failure(record.offer.version, record.sequence, reason, good=good)
            )

    async def _leave(self, reason: str) -> None:
        """Go back to the old system. Never returns: tries again until the machine goes down."""
        record = self._store.record
        try:
            await self._context.worker.run(
                lambda: self._slots.record_failure(record.offer.version, record.sequence, reason)
            )
        except (StorageFull, Corrupt) as error:
            _log.warning("the reason for going back could not be recorded for the old system: %s", error)
        while True:
            try:
                await self._updater.mark(SlotMark.ACTIVE, SlotSelector.OTHER)
                await self._updater.mark(SlotMark.BAD, SlotSelector.BOOTED)
            except HalError as error:
                self._block(f"going back, since {reason}: {error}")
                await asyncio.sleep(RETRY_S)
                continue
            await self._context.before_reboot()
            await self._reboot(f"going back from release {record.offer.version}")

    async def explain_failure(self, reason: str) -> str:
        """See `Installer`: the reason was recorded in the other system, complete."""
        return reason

    async def return_start(self) -> None:
        """See `Installer`: the starts stand in the store, which has it returned already."""


def explain_rauc_error(text: str) -> str:
    """Return what a technician can do about RAUC's reason for refusing an image, and that reason.

    Source: the messages of RAUC 1.8, from its tests and from real runs; an unknown one is passed on.
    """
    text = " ".join(text.split())[:RAUC_TEXT_CHARS_MAX]
    if found := _MISMATCH.search(text):
        return (
            f"publish the image for this hardware: it is for {found[2]!r}, and this machine is a {found[1]!r}"
            f" (compatible in RAUC's system.conf). RAUC reports: {text}"
        )
    if _UNTRUSTED.search(text):
        advice = "sign the image with a key whose certificate is in RAUC's keyring: RAUC does not trust its signature"
    elif _FULL.search(text):
        advice = "make the image smaller: it does not fit the machine's slot"
    elif _FORMAT.search(text):
        advice = "build the image in another format (bundle-formats): RAUC's system.conf does not allow this one"
    else:
        advice = "RAUC could not install the image"
    return f"{advice}. RAUC reports: {text or 'nothing'}"
