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
        store: UpdateStore,
        staging: Staging,
        slots: Slots,
        image_installer: ImageInstaller,
        run_control: RunControl,
        config: OtaConfig,
        running: RunningRelease,
        context: UpdateContext,
        on_percent: OnPercent,
        reconcile: Callable[[], Awaitable[None]],
    ) -> None:
        """Prepare.

        Args:
            store: Where the present update stands.
            staging: Where the file lies.
            slots: Where an app goes.
            image_installer: Where an image goes.
            run_control: Waits.
            config: Table `[ota]`.
            running: Which release this is.
            context: What is around.
            on_percent: Told how far an image is.
            reconcile: Takes up what a restart of the machine that did not happen has left.
        """
        self._store = store
        self._staging = staging
        self._slots = slots
        self._image_installer = image_installer
        self._run_control = run_control
        self._config = config
        self._running = running
        self._context = context
        self._on_percent = on_percent
        self._reconcile = reconcile
        self._worker: Worker = running.worker
        self._maintenance_window = policy.parse_maintenance_window(config.maintenance_window)

    async def begin_verify(self) -> None:
        """Note that the file is verified next."""
        await self._store.advance(UpdateEvent.VERIFY)

    async def verify(self) -> None:
        """Read the whole file once more.

        Raises:
            BundleUntrusted: It is not what it must be.
            InstallFailed: It is gone, or no longer what had come.
        """
        offer = self._store.record.offer
        self._need_bundle()
        try:
            header = await self._worker.run(lambda: self._staging.verify(offer))
        except BundleDamaged as error:
            raise _of_disk(error) from error
        manifest = header.manifest
        await self._store.advance(
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
        offer = self._store.record.offer
        if not self._running.launcher:
            raise InstallFailed(NOT_LAUNCHED)
        self._need_bundle()
        try:
            if recovery.is_system_image(self._store.record):
                await self._image_installer.apply(offer, self._on_percent)
                await self._store.advance(UpdateEvent.INSTALLED)
                return
            placed = await self._worker.run(lambda: self._staging.install_app(offer))
        except BundleDamaged as error:
            raise _of_disk(error) from error
        await self._store.advance(UpdateEvent.INSTALLED, slot=placed.slot, digest=placed.digest)

    def _need_bundle(self) -> None:
        if not self._staging.has_bundle():
            raise InstallFailed("the file of the update is gone; it may be offered again")

    async def restart(self) -> None:
        """Restart into the release, when that may be; returns where it may not, or did not happen."""
        if why := self._wait_reason():
            self._run_control.block(why)
            await self._run_control.wait(RETRY_S)
            return
        if recovery.is_system_image(self._store.record):
            try:
                await self._image_installer.restart(self._context.fresh_sensors(), self._wait_reason)
            except HalError as error:
                self._run_control.block(str(error))
                await self._run_control.wait(RETRY_S)
            await self._reconcile()  # always: it is what counts the restarts
            return
        await self._store.advance(UpdateEvent.RESTART, fresh_sensors=self._context.fresh_sensors())
        record = self._store.record
        placed = InstalledRelease(record.slot, record.digest, record.offer.version, record.sequence)
        await self._worker.run(lambda: self._slots.begin_trial(placed, tries=self._config.trial_starts_max))
        _log.info("restarting into release %s", record.offer.version)
        self._running.restart()
        await asyncio.Event().wait()

    def _wait_reason(self) -> str:
        moment = policy.UpdateConditions(
            self._context.local_time(),
            self._context.is_metered(),
            self._store.record.is_paused,
            self._run_control.is_urgent,
        )
        return policy.reason_not_to_restart(moment, self._maintenance_window)


def _of_disk(error: BundleDamaged) -> InstallFailed:
    return InstallFailed(f"the file of the update was damaged on the disk ({error}); it may be offered again")
