"""The updates of a hub: asks, fetches, verifies, installs, tries, commits or goes back; one step after another.

Every state is in the book before its effect. Decides by the pure files (`lifecycle`, `policy`, `health`); keeps their
decisions in time. Must never hold up anything else: it works on a thread of its own, and nothing waits for it.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

from agent.cloud.client import CloudClient
from agent.config import OtaConfig
from agent.errors import (
    BundleUntrusted,
    Corrupt,
    InstallFailed,
    Rejected,
    StorageFull,
    Unauthorized,
)
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.staging_files import StagingFiles
from agent.ota import crash_report, lifecycle, recovery, versions
from agent.ota.context import UpdateContext
from agent.ota.download import Downloader
from agent.ota.fetcher import RETRY_S, UpdateFetcher
from agent.ota.header import BundleHeader
from agent.ota.health import Verdict
from agent.ota.image_installer import ImageInstaller
from agent.ota.keyring import TrustStore
from agent.ota.launcher import BASE, LauncherState
from agent.ota.lifecycle import (
    CLOUD_STATUS,
    PROGRESS_PERCENT,
    UNCOUNTED_STARTS_MAX,
    StatusReport,
    UpdateEvent,
    UpdateState,
    reconcile_app,
)
from agent.ota.manifest import HubFacts, Offer, PayloadType
from agent.ota.redundant_state import RedundantState
from agent.ota.reporting import StatusReporter
from agent.ota.run_control import RunControl
from agent.ota.running import RunningRelease
from agent.ota.sideload import Sideload
from agent.ota.slots import Slots
from agent.ota.staging import Staging, StagingLimits
from agent.ota.store import UpdateStore
from agent.ota.trial import Trial
from agent.ota.workflow import InstallSteps
from hal.errors import HalError
from hal.images import SystemUpdater

_log = logging.getLogger(__name__)

DISK_FAILURES_MAX = 3
"""Times in a row that the disk breaks one installation before that is let go."""
CHECK_S_MAX = 8.0
"""How long a person waits for what comes of a question to the cloud: less than the command waits for the hub."""
FIRST_CHECK_S = 600.0
"""After a start; less at random, so that the hubs of a street do not ask together when its power is back."""

_INSTALLING = {UpdateState.DOWNLOADED, UpdateState.VERIFYING, UpdateState.APPLYING}


class UpdateService:
    """The room. `run` works; the other methods are for people at the hub.

    Attributes:
        running: Which release this is.
        store: Where the present update stands.
        trust_store: Which keys it trusts.
        run_control: What hinders it, and whether it is urgent.
        fetcher: The way from the cloud.
        trial: The trial of the release that runs.
        percent: How much of the present download is there.
    """

    def __init__(
        self,
        directory: Path,
        *,
        config: OtaConfig,
        running: RunningRelease,
        client: CloudClient,
        clock: Clock,
        rng: random.Random,
        disk: Disk,
        disk_free_bytes_min: int,
        installer: SystemUpdater | None,
        context: UpdateContext,
    ) -> None:
        """Prepare; nothing is read.

        Args:
            directory: The state directory.
            config: Table `[ota]`.
            running: Which release this is.
            client: The way to the cloud.
            clock: For the expiry of bundles.
            rng: For jitter.
            disk: For the book and the keys.
            disk_free_bytes_min: What an update leaves to everybody else.
            installer: Of images of the whole system; `None` where there can be none.
            context: What is around.
        """
        self._config = config
        self.running = running
        self._clock = clock
        self._rng = rng
        self._context = context
        self._worker = running.worker
        self._disk = disk
        self.slots = Slots(StagingFiles(directory, disk), disk, running=running.slot)
        rules = StagingLimits(config.allow_unsigned, config.size_bytes_max, disk_free_bytes_min)
        self.run_control = RunControl()
        self.trust_store = TrustStore(directory, config.keys_dir, disk)
        self.staging = Staging(
            StagingFiles(directory, disk), self.slots, trust_store=self.trust_store, rules=rules, facts=self._facts
        )
        self.store = UpdateStore(directory, disk=disk, worker=self._worker)
        self._redundant_state = RedundantState(
            store=self.store,
            trust_store=self.trust_store,
            slots=self.slots,
            disk=disk,
            worker=self._worker,
            fault=self._fault,
            is_unsigned_admitted=config.allow_unsigned,
        )
        self.image_installer = ImageInstaller(
            installer,
            store=self.store,
            slots=self.slots,
            staging=self.staging,
            worker=self._worker,
            boot_id=clock.boot_id,
            before_reboot=context.before_reboot,
            reboot=context.reboot,
            block=self.run_control.block,
        )
        self.trial = Trial(
            context.checks, context.fresh_sensors, healthy_s=config.trial_s, deadline_s=config.trial_deadline_s
        )
        self._reporter = StatusReporter(self.store, client)
        self.fetcher = UpdateFetcher(
            client,
            Downloader(
                client,
                self.staging,
                self._worker,
                rate_bytes_s_min=config.rate_bytes_s_min,
                deadline_s=config.download_deadline_s,
                on_progress=self._progressed,
            ),
            store=self.store,
            run_control=self.run_control,
            config=config,
            context=context,
            clock=clock,
            version=running.version,
            is_launched=bool(running.launcher),
            facts=self._measured_by,
            may_begin=self._may_begin,
            drop=self._drop,
        )
        self._installing = InstallSteps(
            store=self.store,
            staging=self.staging,
            slots=self.slots,
            image_installer=self.image_installer,
            run_control=self.run_control,
            config=config,
            running=running,
            context=context,
            on_percent=self._progressed,
            reconcile=self._reconcile,
        )
        self._sideload = Sideload(
            store=self.store, staging=self.staging, worker=self._worker, run_control=self.run_control
        )
        self._has_checked = False
        self._is_running = False
        self._disk_failures = 0
        self.percent = 0
        self.launcher_state = LauncherState()

    @property
    def is_unsigned_admitted(self) -> bool:
        """Whether bundles that nobody signed are installed."""
        return self._config.allow_unsigned

    def _facts(self) -> HubFacts:
        running = self.running
        return HubFacts(
            model=self._config.model,
            machine=running.machine,
            python=running.python,
            launcher=running.launcher,
            floor=0,
            utc_ms=self._clock.utc_ms(),
            payload_types=tuple(PayloadType) if self.image_installer.is_set_up else (PayloadType.APP,),
            may_repeat_floor=running.slot == BASE != self.launcher_state.good,
        )

    async def run(self) -> None:
        """Work, until cancelled."""
        if problem := await self.store.load():
            self._fault(problem)
        if self.is_unsigned_admitted:
            self._fault("UNSIGNED RELEASES ARE ADMITTED (ota.allow_unsigned): a checksum proves no origin")
        self.launcher_state = await self._redundant_state.load(self.run_control.block)
        await self.image_installer.begin(is_record_lost=self.store.is_record_lost)
        await self._reconcile()
        await self.image_installer.count_start()
        self._is_running = True
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reporter.run())
            group.create_task(self.image_installer.keep())
            group.create_task(self._work())

    async def stopping(self) -> None:
        """Be told that the hub ends in good order: for a release that is well, this start does not count, so often."""
        record, state = self.store.record, self.launcher_state
        is_app, is_image = state.trial == self.running.slot, self.image_installer.is_new_system
        is_on_trial = record.state is UpdateState.TRIAL and (is_app or is_image)
        if not is_on_trial or not self.trial.is_healthy or record.uncounted_starts >= UNCOUNTED_STARTS_MAX:
            return
        await self._redundant_state.uncount_start(self._config.trial_starts_max if is_app else 0)

    # For people at the hub.

    async def check_now(self) -> str:
        """Ask the cloud at once, and take what it offers without waiting for a window; refusals are forgotten.

        Returns:
            What came of it, in words; what is known so far, where the cloud takes longer than `CHECK_S_MAX`.
        """
        record, before = self.store.record, self.fetcher.outcome.number
        await self.store.clear_refusals()
        self.run_control.expedite()
        if record.is_open:
            progress = self.run_control.blocked_reason or "it goes on"
            return f"release {record.offer.version} is {record.state} already; {progress}"
        return await self.fetcher.wait_for_outcome(before, CHECK_S_MAX if self._is_running else 0.0)

    async def set_paused(self, is_paused: bool) -> None:
        """Keep updates from beginning, or let them."""
        await self.store.set_paused(is_paused)
        self.run_control.wake()

    async def roll_back(self) -> None:
        """Give up the release on trial.

        Raises:
            Rejected: None is on trial.
            StorageFull: It cannot be noted now.
        """
        if self.store.record.state not in {UpdateState.TRIAL, UpdateState.READY}:
            raise Rejected("no release is on trial: a release that has proved itself is followed by a newer one only")
        reason = "a technician rolled it back"
        if self.image_installer.is_new_system:
            self.trial.abort_reason = reason  # the machine takes its time, and who asked wants an answer
        else:
            await self._give_up(reason)

    async def install(self, pieces: AsyncIterator[bytes]) -> BundleHeader:
        """Take in a bundle that somebody has brought: see `Delivery.take_in`."""
        return await self._sideload.receive(pieces)

    # The work.

    async def _work(self) -> None:
        steps: Mapping[UpdateState, Callable[[], Awaitable[None]]] = {
            UpdateState.DOWNLOADING: self._download,
            UpdateState.DOWNLOADED: self._installing.begin_verify,
            UpdateState.VERIFYING: self._installing.verify,
            UpdateState.APPLYING: self._apply,
            UpdateState.READY: self._installing.restart,
            UpdateState.TRIAL: self._try,
        }
        while True:
            self.run_control.begin_step()
            try:
                await steps.get(self.store.record.state, self._check)()
            except BundleUntrusted as error:
                await self._failed(str(error), facts=await self._worker.run(self._measured_by))
            except InstallFailed as error:
                await self._failed(str(error), UpdateEvent.ABORT)
            except Corrupt as error:
                self._fault(str(error))
                await self._read_launcher_state()
                await self.run_control.wait(RETRY_S)
            except (StorageFull, HalError, Unauthorized) as error:
                self.run_control.block(str(error))
                await self.run_control.wait(RETRY_S)
            except OSError as error:
                await self._disk_failed(error)
            else:
                self._disk_failures = 0

    async def _disk_failed(self, error: OSError) -> None:
        """Wait for a disk that may recover; an installation that it breaks again and again is let go."""
        text = f"the disk fails ({error.strerror or error}); check it with fsck"
        self.run_control.block(text)
        self._disk_failures += 1
        if self._disk_failures >= DISK_FAILURES_MAX and self.store.record.state in _INSTALLING:
            self._disk_failures = 0
            await self._failed(text, UpdateEvent.ABORT)
        await self.run_control.wait(RETRY_S)

    async def _check(self) -> None:
        """Ask the cloud, when it is time to."""
        if not self.run_control.is_urgent:
            pause_s = self._config.check_interval_s if self._has_checked else FIRST_CHECK_S
            await self.run_control.wait(min(pause_s, self._config.check_interval_s) * self._rng.uniform(0.5, 1.0))
        self._has_checked = True
        if self._may_begin():
            await self.fetcher.check()

    def _may_begin(self) -> bool:
        return not self.store.record.is_open and not self._sideload.is_receiving

    async def _drop(self, offer: Offer) -> None:
        is_resumable = lifecycle.is_resumable(self.store.record, offer)
        await self._worker.run(lambda: self.staging.clear(keep_part=is_resumable))

    async def _download(self) -> None:
        if self._sideload.is_receiving:
            await self.run_control.wait(RETRY_S)
        else:
            await self.fetcher.download()

    def _measured_by(self) -> str:
        """Return what a refusal depends on, beside the bundle: once it has changed, the refusal is void."""
        config, trusted = self._config, self.trust_store.trusted_keys()
        return self._facts().digest(
            *sorted(each.hex() for each in trusted), config.size_bytes_max, config.allow_unsigned
        )

    def _progressed(self, percent: int) -> None:
        """Note how far a download or an installation is, and tell it every `PROGRESS_PERCENT`."""
        told, self.percent = self.percent // PROGRESS_PERCENT, percent
        record, tens = self.store.record, percent // PROGRESS_PERCENT
        if tens != told:
            self.store.report_progress(
                StatusReport(record.offer.version, CLOUD_STATUS[record.state], tens * PROGRESS_PERCENT)
            )

    async def _apply(self) -> None:
        self.percent = 0
        await self._installing.apply()

    async def _try(self) -> None:
        """Look at this release, which is on trial, until it has proved itself or failed."""
        await self._read_launcher_state()  # which may know of a failure that this life has noted itself
        verdict, reason = (
            Verdict.FAILED,
            self.image_installer.failure(self.launcher_state, self._config.trial_starts_max),
        )
        if not versions.is_same_version(self.running.version, self.store.record.offer.version):
            reason = reason or (
                f"it calls itself {self.running.version}, so that it would be offered and installed over and over"
            )
        if not reason:
            verdict, reason = await self.trial.run(self.store.record.fresh_sensors)
        if verdict is Verdict.FAILED:
            await self._give_up(reason)
            return
        if self.image_installer.is_new_system:
            await self.image_installer.commit()
        else:
            await self._redundant_state.adopt_keys(self.running.slot)
            await self._worker.run(self.slots.commit)
        await self._read_launcher_state()
        await self.store.advance(UpdateEvent.CONFIRMED)
        await self._redundant_state.save(self.launcher_state.floor)
        self._ended()
        await self._worker.run(self.staging.clear)
        _log.info("release %s has proved itself", self.running.version)

    async def _give_up(self, reason: str) -> None:
        """Go back from a release that runs on trial, or is about to."""
        is_running = self.launcher_state.trial == self.running.slot
        await self._failed(reason)
        if is_running:
            self.running.restart()
            await asyncio.Event().wait()

    async def _failed(self, reason: str, event: UpdateEvent = UpdateEvent.FAIL, facts: str = "") -> None:
        """End an update. First in the launcher's account: the next start is the good release whatever happens."""
        self._fault(reason)
        if self.image_installer.is_new_system and self.store.record.is_open:
            await self.image_installer.leave(reason)  # the old system closes the book
        if recovery.is_system_image(self.store.record):
            await self.image_installer.give_up(reason)
        elif self.launcher_state.trial:
            await self._worker.run(lambda: self.slots.end_trial(reason))
        await self._read_launcher_state()
        if self.store.record.is_open:
            await self.store.advance(event, reason=reason, facts=facts)
        self._ended()
        await self._forget()

    async def _forget(self) -> None:
        """Remove what was downloaded, but for what may be gone on with once it is offered again."""
        record = self.store.record
        is_resumable = lifecycle.is_resumable(record, record.offer)
        await self._worker.run(lambda: self.staging.clear(keep_part=is_resumable))

    async def _reconcile(self) -> None:
        """Take up what the last life left."""
        state, slot = self.launcher_state, self.running.slot
        if self.running.launcher and slot not in {state.good, state.trial}:
            self._fault(f"slot {state.good} could not be started; slot {slot} runs")
        if text := recovery.find_relapse(self.store.record, self.image_installer.boot):
            self._fault(text)
        while (found := self._found()) is not None:
            event, reason = found
            if event in {UpdateEvent.FAIL, UpdateEvent.ABORT}:
                await self._failed(await self._with_last_words(reason), event)
            else:
                await self.store.advance(event, app_slot=self.launcher_state.good)
            if event is UpdateEvent.RESUME:
                break
        if recovery.is_system_image(self.store.record):
            await self.image_installer.settle()
            await self._read_launcher_state()
            if self.launcher_state.good not in {state.good, slot}:
                # Only where it has changed: a slot that cannot be started would be tried for ever.
                self.running.restart()
                await asyncio.Event().wait()
        if not self.store.record.is_open:
            await self._forget()

    async def _with_last_words(self, reason: str) -> str:
        """Return why a release failed, with what its processes have left, where it is one that was started."""
        record = self.store.record
        if (
            recovery.is_system_image(record)
            or not record.slot
            or record.state not in {UpdateState.READY, UpdateState.TRIAL}
        ):
            return reason
        crash = await self._worker.run(lambda: crash_report.read(self.slots.directory, record.slot, self._disk))
        return crash_report.add_crash_report(reason, await self._context.last_end(), crash)

    def _found(self) -> tuple[UpdateEvent, str] | None:
        record = self.store.record
        if recovery.is_system_image(record):
            return recovery.reconcile_image(record, self.launcher_state, self.image_installer.boot)
        return reconcile_app(record, self.launcher_state, self.running.slot)

    async def _read_launcher_state(self) -> None:
        self.launcher_state = await self._redundant_state.read_launcher_state()

    def _fault(self, text: str) -> None:
        _log.warning("updates: %s", text)
        self._context.add_fault(text)

    def _ended(self) -> None:
        self.run_control.is_urgent = False
        self.run_control.blocked_reason = ""
        self.percent = 0
