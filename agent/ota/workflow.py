"""The workflow of an update: check, download, verify, install, restart, trial, commit or go back; one step at a time.

Each state is in the store before its effect. The pure files decide (`lifecycle`, `policy`, `recovery`); the installers
act. Must never block anything else: it works on a worker of its own, and nothing waits for it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from agent.errors import (
    BundleDamaged,
    BundleUntrusted,
    Corrupt,
    InstallFailed,
    Rejected,
    StorageFull,
    Unauthorized,
)
from agent.ota import lifecycle, policy
from agent.ota.context import RETRY_S, RunControl, UpdateContext
from agent.ota.download import Downloader
from agent.ota.fetcher import NOT_LAUNCHED, UpdateFetcher
from agent.ota.installer import Installer
from agent.ota.lifecycle import CLOUD_STATUS, PROGRESS_PERCENT, StatusReport, UpdateEvent, UpdateState
from agent.ota.manifest import Offer, PayloadType, is_same_version
from agent.ota.redundant_state import RedundantState
from agent.ota.staging import Staging
from agent.ota.store import UpdateStore
from agent.ota.trial import Trial, Verdict
from hal.errors import HalError

_log = logging.getLogger(__name__)

DISK_FAILURES_MAX = 3
"""Consecutive disk errors in one installation, before the update ends."""
FIRST_CHECK_S = 600.0
"""From a start to the first check at most; random, so that the hubs of a street do not check at once after a power
cut."""
STOP_S_MAX = 2.0
"""The process must be gone within 5 s; with a slower disk, the start stays counted."""

_INSTALLING = {UpdateState.DOWNLOADED, UpdateState.VERIFYING, UpdateState.APPLYING}


class UpdateWorkflow:
    """Runs the updates of one hub.

    Attributes:
        fetcher: Checks and downloads.
        trial: Of the release that runs.
        percent: Progress of the present download or installation.
    """

    def __init__(
        self,
        context: UpdateContext,
        *,
        store: UpdateStore,
        run_control: RunControl,
        staging: Staging,
        redundant_state: RedundantState,
        installers: Mapping[PayloadType, Installer],
        compatibility_digest: Callable[[], str],
    ) -> None:
        """Prepare; nothing is read.

        Args:
            context: The hub.
            store: Holds the record of the present update.
            run_control: Blocks and wakes the work.
            staging: Holds the bundle.
            redundant_state: The keys and the floor.
            installers: By payload type.
            compatibility_digest: Returns a digest of all that a refusal depends on, besides the bundle.
        """
        self._context = context
        self._config = context.config
        self._store = store
        self._run_control = run_control
        self._staging = staging
        self._redundant_state = redundant_state
        self._installers = installers
        self._compatibility_digest = compatibility_digest
        self._maintenance_window = policy.parse_maintenance_window(context.config.maintenance_window)
        self._has_checked = False
        self._disk_failures = 0
        self.trial = Trial(
            context.checks,
            context.fresh_sensors,
            healthy_s=context.config.trial_s,
            deadline_s=context.config.trial_deadline_s,
        )
        self.fetcher = UpdateFetcher(
            context,
            Downloader(
                context.client,
                staging,
                context.worker,
                rate_bytes_s_min=context.config.rate_bytes_s_min,
                deadline_s=context.config.download_deadline_s,
                on_progress=self._report_progress,
            ),
            store=store,
            run_control=run_control,
            compatibility_digest=compatibility_digest,
            discard=self._discard_unless_resumable,
        )
        self.percent = 0

    @property
    def _installer(self) -> Installer:
        return self._installers[self._store.record.payload_type]

    async def run(self) -> None:
        """Run the steps, until cancelled."""
        steps: Mapping[UpdateState, Callable[[], Awaitable[None]]] = {
            UpdateState.DOWNLOADING: self._download,
            UpdateState.DOWNLOADED: self._begin_verify,
            UpdateState.VERIFYING: self._verify,
            UpdateState.APPLYING: self._install,
            UpdateState.READY: self._restart,
            UpdateState.TRIAL: self._run_trial,
        }
        while True:
            self._run_control.begin_step()
            try:
                await steps.get(self._store.record.state, self._check)()
            except BundleUntrusted as error:
                await self._end(str(error), digest=await self._context.worker.run(self._compatibility_digest))
            except InstallFailed as error:
                await self._end(str(error), UpdateEvent.ABORT)
            except Corrupt as error:
                self._context.report_fault(str(error))
                await self._redundant_state.read_launcher_state()
                await self._run_control.wait(RETRY_S)
            except (StorageFull, HalError, Unauthorized) as error:
                self._run_control.block(str(error))
                await self._run_control.wait(RETRY_S)
            except OSError as error:
                await self._handle_disk_failure(error)
            else:
                self._disk_failures = 0

    async def _handle_disk_failure(self, error: OSError) -> None:
        """Wait for the disk to recover; end an update whose installation it fails again and again."""
        text = f"check the disk with fsck: it fails ({error.strerror or error})"
        self._run_control.block(text)
        self._disk_failures += 1
        if self._disk_failures >= DISK_FAILURES_MAX and self._store.record.state in _INSTALLING:
            self._disk_failures = 0
            await self._end(text, UpdateEvent.ABORT)
        await self._run_control.wait(RETRY_S)

    # From the cloud to a complete bundle.

    async def _check(self) -> None:
        """Check for an update, once that is due."""
        is_newer_offered, self.fetcher.has_newer_offer = self.fetcher.has_newer_offer, False
        if not self._run_control.is_urgent and not is_newer_offered:
            interval_s = self._config.check_interval_s
            pause_s = interval_s if self._has_checked else min(FIRST_CHECK_S, interval_s)
            await self._run_control.wait(pause_s * self._context.rng.uniform(0.5, 1.0))
        self._has_checked = True
        if not self._store.record.is_open and not self._run_control.is_receiving:
            await self.fetcher.check()

    async def _discard_unless_resumable(self, offer: Offer) -> None:
        """Remove what an earlier update left, unless the download of this offer can continue it."""
        is_resumable = lifecycle.is_resumable(self._store.record, offer)
        await self._context.worker.run(lambda: self._staging.clear(keep_part=is_resumable))

    async def _download(self) -> None:
        if self._run_control.is_receiving:
            await self._run_control.wait(RETRY_S)
        else:
            await self.fetcher.download()

    def _report_progress(self, percent: int) -> None:
        """Set the progress, and report it to the cloud every `PROGRESS_PERCENT`."""
        reported, self.percent = self.percent // PROGRESS_PERCENT, percent
        record, tens = self._store.record, percent // PROGRESS_PERCENT
        if tens != reported:
            status = CLOUD_STATUS[record.state]
            self._store.report_progress(StatusReport(record.offer.version, status, tens * PROGRESS_PERCENT))

    # From a complete bundle to the restart.

    async def _begin_verify(self) -> None:
        await self._store.advance(UpdateEvent.VERIFY)

    async def _verify(self) -> None:
        offer = self._store.record.offer
        self._require_bundle()
        try:
            header = await self._context.worker.run(lambda: self._staging.verify(offer))
        except BundleDamaged as error:
            raise _damaged_on_disk(error) from error
        manifest = header.manifest
        await self._store.advance(
            UpdateEvent.VERIFIED,
            sequence=manifest.sequence,
            signer=header.key_id,
            payload_type=manifest.payload_type,
        )

    async def _install(self) -> None:
        self.percent = 0
        if not self._context.running.launcher:
            raise InstallFailed(NOT_LAUNCHED)
        self._require_bundle()
        try:
            details = await self._installer.install(self._report_progress)
        except BundleDamaged as error:
            raise _damaged_on_disk(error) from error
        await self._store.advance(UpdateEvent.INSTALLED, **details)

    def _require_bundle(self) -> None:
        if not self._staging.has_bundle():
            raise InstallFailed("the file of the update is gone; the release may be offered again")

    async def _restart(self) -> None:
        await self.fetcher.check_again()
        if reason := self._reason_not_to_restart():
            self._run_control.block(reason)
            await self._run_control.wait(RETRY_S)
            return
        try:
            await self._installer.restart(self._reason_not_to_restart)
        except HalError as error:
            self._run_control.block(str(error))
            await self._run_control.wait(RETRY_S)
        await self.reconcile()  # in each case: it counts the restarts that did not happen

    def _reason_not_to_restart(self) -> str:
        conditions = policy.UpdateConditions(
            self._context.local_time(),
            self._context.is_metered(),
            self._store.record.is_paused,
            self._run_control.is_urgent,
        )
        return policy.reason_not_to_restart(conditions, self._maintenance_window)

    # The trial, and the end.

    async def _run_trial(self) -> None:
        """Run the trial of the release that runs, then commit it or go back."""
        await self._redundant_state.read_launcher_state()  # an earlier run may have recorded a failure there
        running, record = self._context.running, self._store.record
        verdict, reason = Verdict.FAILED, self._installer.find_trial_failure()
        if not reason and not is_same_version(running.version, record.offer.version):
            reason = f"it calls itself {running.version}, so that it would be offered and installed again and again"
        if not reason:
            verdict, reason = await self.trial.run(record.fresh_sensors)
        if verdict is Verdict.FAILED:
            await self._go_back(reason)
            return
        await self._installer.commit()
        await self._redundant_state.read_launcher_state()
        await self._store.advance(UpdateEvent.CONFIRMED)
        await self._redundant_state.save()
        self._reset()
        await self._context.worker.run(self._staging.clear)
        _log.info("release %s is confirmed", running.version)

    async def roll_back(self, reason: str) -> None:
        """Give up the release on trial, or the one that waits for its restart.

        Raises:
            Rejected: There is none.
            StorageFull: It cannot be recorded now.
        """
        if self._store.record.state not in {UpdateState.TRIAL, UpdateState.READY}:
            raise Rejected("no release is on trial: after a confirmed release, only a newer one can be installed")
        if self._installer.needs_reboot_to_leave:
            self.trial.abort_reason = reason  # a restart of the machine takes long, and the caller waits for an answer
        else:
            await self._go_back(reason)

    async def _go_back(self, reason: str) -> None:
        """End the trial, and restart into the previous release where the one on trial runs."""
        is_running = self._installer.is_running_trial
        await self._end(reason)
        if is_running:
            await self._restart_process()

    async def _end(self, reason: str, event: UpdateEvent = UpdateEvent.FAIL, digest: str = "") -> None:
        """End an update that failed; first for the launcher, so that the good release is the next to start."""
        self._context.report_fault(reason)
        await self._installer.end_trial(reason, is_final=event is UpdateEvent.FAIL)
        await self._redundant_state.read_launcher_state()
        if self._store.record.is_open:
            await self._store.advance(event, reason=reason, facts=digest)
        self._reset()
        await self._discard_unless_resumable(self._store.record.offer)

    async def reconcile(self) -> None:
        """Take up the update where an earlier run of the agent left it."""
        good, running = self._redundant_state.launcher_state.good, self._context.running
        if running.launcher and running.slot not in {good, self._redundant_state.launcher_state.trial}:
            reason = running.reason or f"slot {good} could not be started; slot {running.slot} runs"
            if self._redundant_state.is_package_newer:
                _log.info("%s", reason)
            else:
                self._context.report_fault(reason)
        if fault := self._installer.find_fault():
            self._context.report_fault(fault)
        while (outcome := self._installer.reconcile()) is not None:
            event, reason = outcome
            if event in {UpdateEvent.FAIL, UpdateEvent.ABORT}:
                await self._end(await self._installer.explain_failure(reason), event)
            else:
                await self._store.advance(event, app_slot=self._redundant_state.launcher_state.good)
            if event is UpdateEvent.RESUME:
                break
        if await self._installer.settle():
            await self._redundant_state.read_launcher_state()
            if self._redundant_state.launcher_state.good not in {good, running.slot}:
                # Only after a change: a slot that cannot be started would be tried for ever.
                await self._restart_process()
        if not self._store.record.is_open:
            await self._discard_unless_resumable(self._store.record.offer)

    async def return_start(self) -> None:
        """Return the start of the release on trial: a healthy one that ends in good order loses no start, a few times.

        Called while the process stops.
        """
        record = self._store.record
        is_on_trial = record.state is UpdateState.TRIAL and self._installer.is_running_trial
        has_returns_left = record.uncounted_starts < lifecycle.UNCOUNTED_STARTS_MAX
        if not is_on_trial or not self.trial.is_healthy or not has_returns_left:
            return
        try:
            async with asyncio.timeout(STOP_S_MAX):
                # Recorded first: a hub that dies in between has one start less, never one more.
                await self._store.uncount_start()
                await self._installer.return_start()
        except (TimeoutError, StorageFull, Corrupt) as error:
            _log.warning("this start counts against the release on trial: %s", error)

    async def _restart_process(self) -> None:
        self._context.running.restart()
        await asyncio.Event().wait()

    def _reset(self) -> None:
        self._run_control.reset()
        self.percent = 0


def _damaged_on_disk(error: BundleDamaged) -> InstallFailed:
    return InstallFailed(f"the file of the update was damaged on the disk ({error}); the release may be offered again")
