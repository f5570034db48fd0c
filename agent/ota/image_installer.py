"""Images of the whole system: handed to the installer, started by a restart of the machine, marked good, or left again.

Every step is in the book or in the launcher's account before its effect. `image` decides; the room calls. The app that
was good in the old system is not started in the new one, which brings its own: see `image.app_slot_of`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from agent.errors import BundleUntrusted, Corrupt, RebootFailed, StorageFull
from agent.foundation.worker import Worker
from agent.ota import recovery
from agent.ota.launcher import BASE, LauncherState
from agent.ota.lifecycle import UpdateEvent, UpdateState
from agent.ota.manifest import Offer
from agent.ota.recovery import SystemBoot
from agent.ota.slots import Slots
from agent.ota.staging import Staging
from agent.ota.store import UpdateStore
from hal.errors import HalError, ImageRefused, InstallerLost
from hal.images import OnPercent, SlotMark, SlotSelector, SystemState, SystemUpdater

_log = logging.getLogger(__name__)

HANDOVERS_MAX = 5
"""Each writes the whole slot anew, which a card does not bear for ever."""
MARKS_MAX = 30
"""Minutes for which a boot loader that cannot be told may hold an image up: RAUC restarts in seconds."""
GRACE_S = 120.0
"""How long a host may take to go down: systemd gives stopping services 90 s (DefaultTimeoutStopSec)."""
RETRY_S = 60.0


class ImageInstaller:
    """The images of one hub.

    Attributes:
        boot: What runs; its slot is empty where that is not known.
    """

    def __init__(
        self,
        installer: SystemUpdater | None,
        *,
        store: UpdateStore,
        slots: Slots,
        staging: Staging,
        worker: Worker,
        boot_id: str,
        before_reboot: Callable[[], Awaitable[None]],
        reboot: Callable[[str], Awaitable[None]],
        block: Callable[[str], None],
    ) -> None:
        """Prepare; nothing is asked.

        Args:
            installer: Of this machine; `None` where there can be none.
            store: Where the present update stands.
            slots: For the launcher's account.
            staging: Where the image comes from.
            worker: For blocking work.
            boot_id: Of this boot.
            before_reboot: Waits, for a while, until a restart costs nothing.
            reboot: Asks the machine to restart, for a reason; raises `RebootFailed`.
            block: Told why nothing goes on at the moment.
        """
        self._installer = installer
        self._store = store
        self._slots = slots
        self._staging = staging
        self._worker = worker
        self._before_reboot = before_reboot
        self._reboot = reboot
        self._block = block
        self.boot = SystemBoot("", boot_id)
        self._is_record_lost = False
        self._is_counted = False
        self._must_stay = False
        self._has_news = asyncio.Event()

    @property
    def is_set_up(self) -> bool:
        """Whether this machine takes images."""
        return self._installer is not None and self._installer.is_set_up

    @property
    def is_new_system(self) -> bool:
        """Whether the system of the present image runs."""
        return recovery.is_system_image(self._store.record) and recovery.is_new_system(self._store.record, self.boot)

    async def begin(self, *, is_record_lost: bool) -> None:
        """Learn which system runs; where an image is under way, no step is taken before that is known.

        Args:
            is_record_lost: What was under way is not known, the book being lost: no system is marked good in this life.
        """
        self._is_record_lost = is_record_lost
        if not self.is_set_up:
            return
        while True:
            try:
                await self._learn()
            except HalError as error:
                self._block(str(error))
                if not self._is_under_way:
                    return  # `keep` goes on
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _learn(self) -> SystemState:
        state = await self._asked.state()
        self.boot = SystemBoot(state.boot_slot, self.boot.id)
        return state

    async def count_start(self) -> None:
        """Count this life, once, where its system is on trial: the launcher counts the starts of apps only."""
        if self._is_under_way and self.is_new_system and not self._is_counted:
            await self._store.advance(UpdateEvent.START_COUNTED)
            self._is_counted = True

    async def keep(self) -> None:
        """Tell the boot loader of the system that runs, again until it knows: it counts each start until then.

        Runs beside the work. Ends with the machine where a system runs that has failed.
        """
        while self.is_set_up:
            self._has_news.clear()
            try:
                await self._tell()
            except (HalError, StorageFull, Corrupt) as error:
                _log.warning("the boot loader could not be told of the system that runs: %s", error)
                await asyncio.sleep(RETRY_S)
            else:
                await self._has_news.wait()

    async def _tell(self) -> None:
        if not self.boot.slot:
            await self._learn()
        record = self._store.record
        if recovery.is_failed_system(record, await self._worker.run(self._slots.read_state), self.boot):
            await self._leave_again()
            return
        if not self.boot.slot or self._is_record_lost or (self._is_under_way and self.is_new_system):
            return
        is_given_up = recovery.is_system_image(record) and record.state is UpdateState.FAILED and not self.is_new_system
        if self._must_stay or (is_given_up and record.handovers):
            await self._asked.mark(SlotMark.ACTIVE, SlotSelector.BOOTED)
            self._must_stay = False
        await self._asked.mark(SlotMark.GOOD, SlotSelector.BOOTED)

    async def _leave_again(self) -> None:
        """Leave a system that has failed, and was started all the same: by a power cut, or since nobody was told."""
        record = await self._store.advance(UpdateEvent.START_COUNTED)
        if record.starts > recovery.LEAVES_MAX:
            self._block("a system runs that has failed, and the machine does not start the other one; see rauc status")
            return
        await self.leave(record.error)

    @property
    def _is_under_way(self) -> bool:
        return recovery.is_system_image(self._store.record) and self._store.record.is_open

    def failure(self, account: LauncherState, starts_max: int) -> str:
        """Return why the system that runs must be left, where that is known from earlier lives; else nothing."""
        if not self.is_new_system:
            return ""
        record = self._store.record
        return recovery.recorded_failure(record, account) or recovery.find_start_overrun(record, starts_max)

    async def settle(self) -> None:
        """Make the boot loader and the launcher's account fit the system that runs: which app is the good one in it."""
        while not await self._stays():  # noqa: ASYNC110 - RAUC has no event for it
            await asyncio.sleep(RETRY_S)
        record, account = self._store.record, await self._worker.run(self._slots.read_state)
        is_over = record.state not in {UpdateState.APPLYING, UpdateState.READY, UpdateState.TRIAL}
        if not self.boot.slot or (is_over and (record.state is not UpdateState.FAILED or self.is_new_system)):
            return
        wanted = recovery.select_app_slot(record, account, self.boot)
        if account.good != wanted:
            _log.warning("the system in slot %s runs: its app is %s", self.boot.slot, wanted)
            await self._worker.run(lambda: self._slots.set_good_slot(wanted))

    async def _stays(self) -> bool:
        """Take back a restart that did not happen; tell whether the boot loader knows.

        Before the old system's app is the good one again: a power cut would start it in the new system.
        """
        record = self._store.record
        if not self.boot.slot or self.is_new_system or not record.restarts:
            return True
        if record.state is UpdateState.FAILED:
            self._stay_later()
        elif record.state is UpdateState.READY:
            try:
                await self._asked.mark(SlotMark.ACTIVE, SlotSelector.BOOTED)
            except HalError as error:
                self._block(str(error))
                return False
        return True

    def _stay_later(self) -> None:
        """Have the boot loader told to stay with the system that runs; `keep` does it."""
        self._must_stay = True
        self._has_news.set()

    async def apply(self, offer: Offer, on_percent: OnPercent) -> None:
        """Have the image installed. Done once before and broken off, it is waited for, or done again.

        Raises:
            BundleUntrusted: It was refused.
            InstallerLost: Try again later.
            StorageFull: Make room.
        """
        if not self._staging.has_image():
            await self._worker.run(lambda: self._staging.extract_image(offer))
        try:
            if not await self._was_finished(on_percent):
                await self._hand_over(on_percent)
        except ImageRefused as error:
            raise BundleUntrusted(recovery.explain_rauc_error(str(error))) from error
        await self._stay()

    async def _stay(self) -> None:
        """Have the old system started next: an installer that makes the new one the next does so before the window."""
        for _ in range(MARKS_MAX):
            try:
                await self._asked.mark(SlotMark.ACTIVE, SlotSelector.BOOTED)
            except HalError as error:
                self._block(str(error))
                await asyncio.sleep(RETRY_S)
            else:
                return
        raise BundleUntrusted("the image is installed, but the boot loader takes no word; see rauc status")

    async def _hand_over(self, on_percent: OnPercent) -> None:
        if self._store.record.handovers >= HANDOVERS_MAX:
            raise BundleUntrusted(
                f"the image was handed to RAUC {HANDOVERS_MAX} times and never came to its end; see journalctl -u rauc"
            )
        state = await self._learn()
        if state.is_installing:
            raise InstallerLost("RAUC is installing something else; let it end")
        if not state.boot_slot:
            raise BundleUntrusted(
                "RAUC does not know which system runs, so there would be no way back; see rauc status"
            )
        await self._store.advance(UpdateEvent.HANDED_OVER, boot_slot=state.boot_slot)
        await self._asked.install(self._staging.image_path, on_percent)

    async def _was_finished(self, on_percent: OnPercent) -> bool:
        """Wait for what an earlier life has begun; tell whether that was this image, and is whole."""
        if not self._store.record.handovers or not (await self._asked.state()).is_installing:
            return False
        try:
            await self._asked.wait_until_finished(on_percent)
        except ImageRefused:
            return False  # refused again, with the reason, where it was this image
        version = await self._asked.read_version(self._staging.image_path)
        slots = await self._asked.slots()
        return any(each.bundle_version == version and each.is_whole for each in slots if not each.is_booted)

    async def restart(self, fresh_sensors: int, wait_reason: Callable[[], str]) -> None:
        """Restart the machine into the new system; returns where it did not go down: see `settle`.

        Args:
            fresh_sensors: What the trial is measured against.
            wait_reason: Why the machine must not restart now; a person may say so at any time.

        Raises:
            InstallerLost: The boot loader could not be told.
            StorageFull: It could not be noted.
        """
        await self._before_reboot()
        if not self._is_wanted(wait_reason):
            return
        self._must_stay = False
        await self._learn()  # so that a hub whose RAUC does not answer counts no restart
        account = await self._worker.run(self._slots.read_state)
        await self._store.advance(
            UpdateEvent.RESTART, fresh_sensors=fresh_sensors, boot_id=self.boot.id, app_slot=account.good
        )
        await self._worker.run(lambda: self._slots.set_good_slot(BASE))
        await self._asked.mark(SlotMark.ACTIVE, SlotSelector.OTHER)
        if self._is_wanted(wait_reason):
            await self._ask_for_restart(f"release {self._store.record.offer.version}")

    def _is_wanted(self, wait_reason: Callable[[], str]) -> bool:
        return self._store.record.state is UpdateState.READY and not wait_reason()

    async def commit(self) -> None:
        """Make the system on trial the good one, and with it the floor.

        Raises:
            InstallerLost: The boot loader could not be told.
        """
        # In this order: a floor without the mark would be a hub that is done with a system it may lose again.
        await self._asked.mark(SlotMark.GOOD, SlotSelector.BOOTED)
        await self._worker.run(lambda: self._slots.raise_floor(self._store.record.sequence))

    async def leave(self, reason: str) -> None:
        """Go back to the old system, which tells why.

        Does not return: asks for the restart, and tells the boot loader, again and again until the machine goes down.
        """
        record = self._store.record
        try:
            await self._worker.run(lambda: self._slots.record_failure(record.offer.version, record.sequence, reason))
        except (StorageFull, Corrupt) as error:
            _log.warning("the old system will not know why: %s", error)
        while True:
            try:
                await self._asked.mark(SlotMark.ACTIVE, SlotSelector.OTHER)
                await self._asked.mark(SlotMark.BAD, SlotSelector.BOOTED)
            except HalError as error:
                self._block(f"going back, since {reason}: {error}")
                await asyncio.sleep(RETRY_S)
                continue
            await self._before_reboot()
            await self._ask_for_restart(f"going back from release {record.offer.version}")

    async def give_up(self, reason: str) -> None:
        """End an image while the old system runs; the caller closes the book."""
        record = self._store.record
        if record.handovers and self.is_set_up:
            try:
                await self._asked.mark(SlotMark.ACTIVE, SlotSelector.BOOTED)
            except HalError as error:
                _log.warning("the boot loader could not be told to stay with this system: %s", error)
                self._stay_later()
        if record.state in {UpdateState.READY, UpdateState.TRIAL}:
            # Where nobody can say which system runs, the app of the old one is no choice, unless nothing was restarted.
            is_known = bool(self.boot.slot) or record.boot_id == self.boot.id
            good = record.app_slot if is_known else ""
            await self._worker.run(
                lambda: self._slots.record_failure(record.offer.version, record.sequence, reason, good=good)
            )

    @property
    def _asked(self) -> SystemUpdater:
        if self._installer is None:
            raise InstallerLost("this machine has no RAUC any more; install it (docs/updates.md)")
        return self._installer

    async def _ask_for_restart(self, reason: str) -> None:
        try:
            await self._reboot(reason)
        except (RebootFailed, StorageFull) as error:
            self._block(str(error))
        await asyncio.sleep(GRACE_S)
