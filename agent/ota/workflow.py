"""From a complete file to the restart into what it brings: verified once more, put into its slot, started next.

Each step is in the book before its effect. A file that was whole when it came and is not any more is the disk's doing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from agent.config import OtaConfig
from agent.errors import BundleDamaged, InstallFailed
from agent.foundation.worker import Worker
from agent.ota import policy, recovery
from agent.ota.context import UpdateContext
from agent.ota.fetcher import NOT_LAUNCHED, RETRY_S
from agent.ota.image_installer import ImageInstaller
from agent.ota.lifecycle import UpdateEvent
from agent.ota.run_control import RunControl
from agent.ota.running import RunningRelease
from agent.ota.slots import InstalledRelease, Slots
from agent.ota.staging import Staging
from agent.ota.store import UpdateStore
from hal.errors import HalError
from hal.images import OnPercent

_log = logging.getLogger(__name__)


class InstallSteps:
    """The steps of one hub."""

    def __init__(
        self,
        *,
        book: UpdateStore,
        intake: Staging,
        slots: Slots,
        imaging: ImageInstaller,
        pace: RunControl,
        config: OtaConfig,
        running: RunningRelease,
        hub: UpdateContext,
        on_percent: OnPercent,
        reconcile: Callable[[], Awaitable[None]],
    ) -> None:
        """Prepare.

        Args:
            book: Where the present update stands.
            intake: Where the file lies.
            slots: Where an app goes.
            imaging: Where an image goes.
            pace: Waits.
            config: Table `[ota]`.
            running: Which release this is.
            hub: What is around.
            on_percent: Told how far an image is.
            reconcile: Takes up what a restart of the machine that did not happen has left.
        """
        self._book = book
        self._intake = intake
        self._slots = slots
        self._imaging = imaging
        self._pace = pace
        self._config = config
        self._running = running
        self._hub = hub
        self._on_percent = on_percent
        self._reconcile = reconcile
        self._worker: Worker = running.worker
        self._window = policy.parse_maintenance_window(config.window)

    async def begin_verify(self) -> None:
        """Note that the file is verified next."""
        await self._book.advance(UpdateEvent.VERIFY)

    async def verify(self) -> None:
        """Read the whole file once more.

        Raises:
            BundleUntrusted: It is not what it must be.
            InstallFailed: It is gone, or no longer what had come.
        """
        offer = self._book.record.offer
        self._need_bundle()
        try:
            header = await self._worker.run(lambda: self._intake.verify(offer))
        except BundleDamaged as error:
            raise _of_disk(error) from error
        manifest = header.manifest
        await self._book.advance(
            UpdateEvent.VERIFIED, sequence=manifest.sequence, signer=header.key_id, payload_type=manifest.payload_type
        )

    async def apply(self) -> None:
        """Put the release where it can be started from.

        Raises:
            BundleUntrusted: It is not what it must be.
            InstallFailed: It is gone, no longer what had come, or nothing can be installed here.
            StorageFull: No room.
            InstallerLost: Of an image: try again later.
            OSError: The disk fails.
        """
        offer = self._book.record.offer
        if not self._running.launcher:
            raise InstallFailed(NOT_LAUNCHED)
        self._need_bundle()
        try:
            if recovery.is_system_image(self._book.record):
                await self._imaging.apply(offer, self._on_percent)
                await self._book.advance(UpdateEvent.PLACED)
                return
            placed = await self._worker.run(lambda: self._intake.place(offer))
        except BundleDamaged as error:
            raise _of_disk(error) from error
        await self._book.advance(UpdateEvent.PLACED, slot=placed.slot, digest=placed.digest)

    def _need_bundle(self) -> None:
        if not self._intake.has_bundle():
            raise InstallFailed("the file of the update is gone; it may be offered again")

    async def restart(self) -> None:
        """Restart into the release, when that may be; returns where it may not, or did not happen."""
        if why := self._hindrance():
            self._pace.hindered(why)
            await self._pace.pause(RETRY_S)
            return
        if recovery.is_system_image(self._book.record):
            try:
                await self._imaging.restart(self._hub.fresh_sensors(), self._hindrance)
            except HalError as error:
                self._pace.hindered(str(error))
                await self._pace.pause(RETRY_S)
            await self._reconcile()  # always: it is what counts the restarts
            return
        await self._book.advance(UpdateEvent.RESTART, fresh_sensors=self._hub.fresh_sensors())
        record = self._book.record
        placed = InstalledRelease(record.slot, record.digest, record.offer.version, record.sequence)
        await self._worker.run(lambda: self._slots.arm(placed, tries=self._config.trial_starts_max))
        _log.info("restarting into release %s", record.offer.version)
        self._running.restart()
        await asyncio.Event().wait()

    def _hindrance(self) -> str:
        moment = policy.UpdateConditions(
            self._hub.local_time(), self._hub.is_metered(), self._book.record.is_held, self._pace.is_urgent
        )
        return policy.reason_not_to_restart(moment, self._window)


def _of_disk(error: BundleDamaged) -> InstallFailed:
    return InstallFailed(f"the file of the update was damaged on the disk ({error}); it may be offered again")
