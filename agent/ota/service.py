"""The updates of a hub: the entry point for the app and for people at the hub; builds and runs the parts.

`workflow` does the work. Must never hold up anything else.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from agent.cloud.client import UpdatesClient
from agent.cloud.contract import Endpoint
from agent.errors import Refused, Rejected, StorageFull, Transient, Unauthorized
from agent.foundation.staging_files import StagingFiles
from agent.ota.bundle_format import BundleHeader
from agent.ota.context import RunControl, UpdateContext
from agent.ota.fetcher import CheckOutcome
from agent.ota.image_installer import ImageInstaller
from agent.ota.installer import AppInstaller, Installer, InstallerParts
from agent.ota.keyring import TrustStore
from agent.ota.launcher import BASE, LauncherState
from agent.ota.lifecycle import StatusReport, UpdateEvent, UpdateState
from agent.ota.manifest import HubFacts, Offer, PayloadType
from agent.ota.redundant_state import RedundantState
from agent.ota.slots import Slots
from agent.ota.staging import PartialBundle, Staging, StagingLimits
from agent.ota.store import UpdateStore
from agent.ota.trial import Trial
from agent.ota.workflow import UpdateWorkflow

_log = logging.getLogger(__name__)

CHECK_S_MAX = 8.0
"""How long a person waits for the outcome of a check: less than the command waits for the hub."""

PROGRESS_INTERVAL_S = 10.0
"""Between two reports of progress: with the changes of state, well below the quota of 10 a minute."""
REPORT_RETRY_S = 30.0
"""Pause after a refused key, which `Connectivity` does not delay at once."""
ERROR_CHARACTERS_MAX = 500


class UpdateService:
    """The updates of one hub. `run` works; the other methods are for people at the hub.

    Attributes:
        context: The hub around the updates.
        run_control: Why nothing goes on, and whether the update is urgent.
        store: The record of the present update.
        trust_store: The trusted keys.
        staging: The files of bundles.
        image_installer: Knows which system runs.
    """

    def __init__(self, directory: Path, context: UpdateContext) -> None:
        """Prepare; nothing is read.

        Args:
            directory: The state directory.
            context: The hub.
        """
        self.context = context
        self.run_control = RunControl()
        config, disk, trees = context.config, context.disk, StagingFiles(directory, context.disk)
        self.store = UpdateStore(directory, disk=disk, worker=context.worker)
        self.trust_store = TrustStore(directory, config.keys_dir, disk)
        slots = Slots(trees, disk, running=context.running.slot)
        limits = StagingLimits(config.allow_unsigned, config.size_bytes_max, context.disk_free_bytes_min)
        self.staging = Staging(trees, slots, trust_store=self.trust_store, limits=limits, facts=self._hub_facts)
        self._redundant_state = RedundantState(context, store=self.store, trust_store=self.trust_store, slots=slots)
        parts = InstallerParts(
            context=context, store=self.store, slots=slots, staging=self.staging, redundant_state=self._redundant_state
        )
        app_installer = AppInstaller(parts)
        self.image_installer = ImageInstaller(parts, self.run_control)
        self._installers: Mapping[PayloadType, Installer] = {
            PayloadType.APP: app_installer,
            PayloadType.RAUC: self.image_installer,
        }
        self._workflow = UpdateWorkflow(
            context,
            store=self.store,
            run_control=self.run_control,
            staging=self.staging,
            redundant_state=self._redundant_state,
            installers=self._installers,
            compatibility_digest=self._compatibility_digest,
        )
        self._reporter = StatusReporter(self.store, context.client)
        self._is_running = False

    @property
    def is_unsigned_allowed(self) -> bool:
        """Whether unsigned bundles are installed."""
        return self.context.config.allow_unsigned

    @property
    def launcher_state(self) -> LauncherState:
        """The launcher's state, as last read."""
        return self._redundant_state.launcher_state

    @property
    def outcome(self) -> CheckOutcome:
        """Of the last check for an update."""
        return self._workflow.fetcher.outcome

    @property
    def trial(self) -> Trial:
        """Of the release that runs."""
        return self._workflow.trial

    @property
    def percent(self) -> int:
        """Progress of the present download or installation."""
        return self._workflow.percent

    async def run(self) -> None:
        """Work, until cancelled."""
        if problem := await self.store.load():
            self.context.report_fault(problem)
        if self.is_unsigned_allowed:
            self.context.report_fault(
                "UNSIGNED RELEASES ARE ALLOWED (ota.allow_unsigned): a checksum does not prove the origin"
            )
        await self._redundant_state.load(self.run_control)
        await self.image_installer.begin(is_record_lost=self.store.is_record_lost)
        await self._workflow.reconcile()
        await self.image_installer.count_start()
        self._is_running = True
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reporter.run())
            group.create_task(self.image_installer.keep_marked())
            group.create_task(self._workflow.run())

    async def stop(self) -> None:
        """Record that the process ends in good order. Call it before it ends."""
        await self._workflow.return_start()

    # For people at the hub.

    async def check_now(self) -> str:
        """Check the cloud at once, and install without the maintenance window; refused offers may be taken again.

        Returns:
            The outcome, for people; the state so far where the cloud takes longer than `CHECK_S_MAX`.
        """
        record, number = self.store.record, self.outcome.number
        await self.store.clear_refusals()
        self.run_control.expedite()
        if record.is_open:
            progress = self.run_control.blocked_reason or "it goes on"
            return f"release {record.offer.version} is {record.state} already; {progress}"
        timeout_s = CHECK_S_MAX if self._is_running else 0.0
        return await self._workflow.fetcher.wait_for_outcome(number, timeout_s)

    async def set_paused(self, is_paused: bool) -> None:
        """Pause updates: none begins or restarts the hub. Or let them continue."""
        await self.store.set_paused(is_paused)
        self.run_control.wake()

    async def roll_back(self) -> None:
        """Give up the release on trial.

        Raises:
            Rejected: None is on trial.
            StorageFull: It cannot be recorded now.
        """
        await self._workflow.roll_back("a technician rolled it back")

    async def reset(self) -> None:
        """End a download that does not go on, forget what was downloaded and refused, and check anew.

        Raises:
            Rejected: The update is past its download: it ends by itself, or is rolled back.
            StorageFull: It cannot be recorded now.
        """
        if self.run_control.is_receiving:
            raise Rejected("wait for the bundle that is being received")
        self._require_no_update()
        self.run_control.is_receiving = True
        try:
            await self._workflow.fetcher.interrupt_download()
            self._require_no_update()  # the download may have ended meanwhile
            if self.store.record.is_open:
                await self.store.advance(UpdateEvent.ABORT, reason="a technician reset it")
            await self.context.worker.run(self.staging.clear)
            await self.store.clear_refusals()
        finally:
            self.run_control.is_receiving = False
            self.run_control.reset()
            self.run_control.wake()

    async def install(self, pieces: AsyncIterator[bytes]) -> BundleHeader:
        """Receive a bundle that a technician has brought, and install it without the maintenance window.

        Raises:
            Rejected: An update is under way, or this hub must not install the bundle.
            StorageFull: No room.
        """
        worker = self.context.worker
        if self.run_control.is_receiving:
            raise Rejected("wait for the other bundle: one is being received already")
        self._require_no_update()
        self.run_control.is_receiving = True
        try:
            await self._workflow.fetcher.interrupt_download()
            self._require_no_update()  # the download may have ended meanwhile
            await worker.run(self.staging.clear)
            part: PartialBundle = await worker.run(lambda: self.staging.open_part(None))
            async for piece in pieces:
                await worker.run(lambda piece=piece: part.write(piece))  # type: ignore[misc]
            header = await worker.run(part.finish)
            offer = Offer(header.manifest.version, "", part.verified_bytes)
            await self.store.advance(UpdateEvent.SIDELOAD, offer=offer)
            self.run_control.is_urgent = True
        finally:
            self.run_control.is_receiving = False
            self.run_control.wake()
        return header

    def _require_no_update(self) -> None:
        state = self.store.record.state
        if self.store.record.is_open and state is not UpdateState.DOWNLOADING:
            raise Rejected(f"let the present update end first: one is under way already ({state})")

    # What bundles are compared with.

    def _hub_facts(self) -> HubFacts:
        config, running = self.context.config, self.context.running
        return HubFacts(
            model=config.model,
            machine=running.machine,
            python=running.python,
            launcher=running.launcher,
            floor=0,
            utc_ms=self.context.clock.utc_ms(),
            payload_types=tuple(each for each, installer in self._installers.items() if installer.is_set_up),
            may_repeat_floor=running.slot == BASE != self.launcher_state.good
            and not self._redundant_state.is_package_newer,
        )

    def _compatibility_digest(self) -> str:
        """Return a digest of what a refusal depends on, besides the bundle: once it changes, the refusal is void."""
        config, trusted = self.context.config, self.trust_store.trusted_keys()
        key_ids = sorted(each.hex() for each in trusted)
        return self._hub_facts().digest(*key_ids, config.size_bytes_max, config.allow_unsigned)


class StatusReporter:
    """Reports the state of an update to the cloud. Must never delay an update or make it fail.

    It sends the reports in the store, oldest first, until the cloud has them; of progress, only the newest.
    """

    def __init__(self, store: UpdateStore, client: UpdatesClient) -> None:
        self._store = store
        self._client = client
        self._changed = asyncio.Event()
        store.on_change(self._changed.set)

    async def run(self) -> None:
        """Work, until cancelled."""
        while True:
            self._changed.clear()
            if not self._store.record.reports:
                await self._changed.wait()
                continue
            await self._client.ready(Endpoint.OTA_STATUS)
            reports = self._store.record.reports  # newer progress may have replaced a report
            if reports:
                await self._send(reports[0])

    async def _send(self, report: StatusReport) -> None:
        try:
            await self._client.post_update_status(
                report.version,
                report.status,
                progress_percent=report.progress_percent,
                error_message=report.error_message[:ERROR_CHARACTERS_MAX],
            )
        except Refused as error:
            _log.warning("the cloud does not take that the update is %s: %s", report.status, error)
        except Unauthorized:
            await asyncio.sleep(REPORT_RETRY_S)
            return
        except Transient:
            return  # the link has put the endpoint off
        try:
            await self._store.mark_reported(report)
        except StorageFull:
            return
        if report.progress_percent is not None:
            await asyncio.sleep(PROGRESS_INTERVAL_S)
