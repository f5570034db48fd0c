"""Checks the cloud for a release and downloads it, as far as quota, link and technician allow.

No failure on the way counts against the release: a server that answers 404 today may have the file tomorrow, a line
may damage bytes, and a cloud may publish again. A refusal (`BundleUntrusted`) follows only from the bundle's own bytes,
twice where a line could have damaged them. Otherwise the offer is dropped or the download waits.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec

from agent.cloud.contract import QUOTAS, Endpoint
from agent.errors import (
    BundleDamaged,
    BundleUntrusted,
    InstallFailed,
    Refused,
    Rejected,
    StorageFull,
    Transient,
    Unauthorized,
)
from agent.ota import policy
from agent.ota.context import RETRY_S, RunControl, UpdateContext
from agent.ota.download import Downloader
from agent.ota.lifecycle import UpdateEvent, UpdateState, find_refusal
from agent.ota.manifest import Offer, is_same_version, parse_offer
from agent.ota.ranges import UnusableResponse
from agent.ota.store import UpdateStore

EMPTY_ATTEMPT_PAUSE_S_MAX = 900.0
"""Between attempts that bring nothing; each pause is twice the previous one."""
DAMAGED_ATTEMPTS_MAX = 2
"""Times that the same part of a bundle arrives damaged before the bundle is refused: the line may damage it once."""
UNUSABLE_RESPONSES_MAX = 4
"""Consecutive responses that cannot be used, before the offer is dropped."""
OUTCOME_POLL_S = 0.1

NOT_LAUNCHED = "this hub was not started by the launcher (docs/updates.md), so nothing can be installed"
_TRY_LATER = "it is downloaded once it is offered again"


class CheckOutcome(msgspec.Struct, frozen=True):
    """The outcome of the last check for an update.

    Attributes:
        number: Counts the checks of this process; 0 before the first.
        text: For people.
        is_final: The check has ended.
    """

    number: int = 0
    text: str = ""
    is_final: bool = True


class UpdateFetcher:
    """Takes the cloud's offers, and downloads them.

    Attributes:
        outcome: Of the last check.
        has_newer_offer: An update was ended for a newer offer, which the next check takes at once.
    """

    def __init__(
        self,
        context: UpdateContext,
        downloader: Downloader,
        *,
        store: UpdateStore,
        run_control: RunControl,
        compatibility_digest: Callable[[], str],
        discard: Callable[[Offer], Awaitable[None]],
    ) -> None:
        """Prepare; nothing is requested.

        Args:
            context: The hub.
            downloader: Makes the requests.
            store: Holds the record of the present update.
            run_control: Blocks and wakes the work.
            compatibility_digest: Returns a digest of all that a refusal depends on, besides the bundle.
            discard: Removes what an earlier update left, unless the download of this offer can continue it.
        """
        self._context = context
        self._config = context.config
        self._client = context.client
        self._version = context.running.version
        self._downloader = downloader
        self._store = store
        self._run_control = run_control
        self._compatibility_digest = compatibility_digest
        self._discard = discard
        self._maintenance_window = policy.parse_maintenance_window(context.config.maintenance_window)
        self._checked_at_s = 0.0
        self._empty_attempts = 0
        self._damaged_attempts = 0
        self._unusable_responses = 0
        self._attempt_lock = asyncio.Lock()
        self._attempt_limit: asyncio.Timeout | None = None
        self.outcome = CheckOutcome()
        self.has_newer_offer = False

    async def check(self) -> None:
        """Check the cloud for an update, and take its offer."""
        record = self._store.record
        if record.is_paused:
            self._end_check("updates are paused; to continue: climahub update resume")
            return
        if not self._client.has_key:
            self._end_check("the cloud is not asked: this hub has no key")
        elif wait_s := self._client.wait_s(Endpoint.OTA_CHECK):
            is_quota = self._client.quotas[Endpoint.OTA_CHECK].wait_ms() > 0
            reason = "the quota of a minute is used up" if is_quota else self._client.connectivity.status.reason
            text = f"the cloud is asked in {wait_s:.0f} s: {reason}; to see the result: climahub update status"
            self.outcome = CheckOutcome(self.outcome.number + 1, text, is_final=False)
        await self._client.ready(Endpoint.OTA_CHECK)
        self._checked_at_s = asyncio.get_running_loop().time()
        try:
            offer = parse_offer(await self._client.check_update(self._version))
        except (Transient, Rejected) as error:
            is_transient = isinstance(error, Transient)
            self._run_control.block(f"the cloud could not be asked: {error}" if is_transient else str(error))
            self._end_check(self._run_control.blocked_reason)
            return
        self._run_control.blocked_reason = ""
        if offer is None or is_same_version(offer.version, self._version):
            self._end_check(f"the cloud offers nothing newer than {self._version}")
            return
        is_launched = bool(self._context.running.launcher)
        if refusal := find_refusal(record, offer, self._compatibility_digest()) if is_launched else NOT_LAUNCHED:
            self._run_control.block(f"release {offer.version} is not taken: {refusal}")
            self._end_check(self._run_control.blocked_reason)
            return
        if self._store.record.is_open or self._run_control.is_receiving:
            self._end_check("another update has begun meanwhile")
            return
        await self._discard(offer)
        await self._store.advance(UpdateEvent.OFFER, offer=offer)
        self._set_outcome(f"release {offer.version} is offered and will be downloaded")
        self._empty_attempts = self._damaged_attempts = self._unusable_responses = 0
        if not self._run_control.is_urgent:
            await self._run_control.wait(policy.spread_delay_s(self._context.phase, self._config.spread_s))

    async def wait_for_outcome(self, number: int, timeout_s: float) -> str:
        """Wait for the outcome of the check after number ``number``; return what is known by then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.outcome.number == number or not self.outcome.is_final:  # noqa: ASYNC110 - for a person
                    await asyncio.sleep(OUTCOME_POLL_S)
        known = "" if self.outcome.number == number else self.outcome.text
        return known or "the cloud is being asked; to see the result: climahub update status"

    def _set_outcome(self, text: str) -> None:
        self.outcome = CheckOutcome(self.outcome.number + 1, text)

    def _end_check(self, text: str) -> None:
        """End a check that leads to no update."""
        self._set_outcome(text)
        self._run_control.is_urgent = False

    async def download(self) -> None:
        """Download what is missing, with one request, when that may be made.

        Raises:
            BundleUntrusted: This hub must not install the bundle.
            InstallFailed: The bundle is not available now; it may be offered again.
            StorageFull: No room.
            Unauthorized: The cloud refuses the hub's key.
        """
        await self.check_again()
        if reason := self._reason_not_to_download():
            # Evaluated again and again: a link may become metered, a technician may pause updates.
            self._run_control.block(reason)
            await self._run_control.wait(RETRY_S)
            return
        await self._store.record_download(self._context.clock.utc_ms() or 0)
        try:
            await self._attempt()
        except Refused as error:
            raise InstallFailed(f"{error}; {_TRY_LATER}") from error
        except BundleDamaged as error:
            await self._handle_damage(error)
        except UnusableResponse as error:
            await self._handle_unusable(error)
        except StorageFull:
            raise
        except Transient as error:
            if self._downloader.has_advanced:
                self._damaged_attempts = self._unusable_responses = 0
            await self._pause_download(error)

    async def _attempt(self) -> None:
        """Make one request, unless a technician's bundle comes: the two must never write one file."""
        async with self._attempt_lock:
            if self._run_control.is_receiving:
                return
            try:
                async with asyncio.timeout(None) as self._attempt_limit:
                    await self._downloader.attempt(self._store.record.offer)
            except TimeoutError:
                return  # interrupted
            self._run_control.blocked_reason = ""
            await self._store.advance(UpdateEvent.DOWNLOADED)

    async def interrupt_download(self) -> None:
        """End a running request; return once it writes nothing. `RunControl.is_receiving` prevents the next."""
        limit = self._attempt_limit
        if self._attempt_lock.locked() and limit is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended
                limit.reschedule(asyncio.get_running_loop().time())
        async with self._attempt_lock:
            self._attempt_limit = None

    async def check_again(self) -> None:
        """Check again during an update that takes longer than the check interval.

        A download follows the newest offer. A release that waits for its maintenance window must not be started once it
        is withdrawn or replaced; one that a technician has brought is started in each case.

        Raises:
            InstallFailed: The release is not offered any more.
        """
        now_s, record = asyncio.get_running_loop().time(), self._store.record
        is_due = now_s - self._checked_at_s >= self._config.check_interval_s and not record.is_paused
        if record.is_sideloaded or not is_due or not self._client.has_key or self._client.wait_s(Endpoint.OTA_CHECK):
            return
        self._checked_at_s = now_s
        present = record.offer
        try:
            offer = parse_offer(await self._client.check_update(self._version))
        except (Transient, Rejected, Unauthorized):
            return  # the present offer may still be available
        if self._store.record.state is not record.state:
            return  # a person has brought a bundle, or rolled the release back
        if offer is None or find_refusal(self._store.record, offer, self._compatibility_digest()):
            raise InstallFailed(f"release {present.version} is not offered any more; {_TRY_LATER}")
        if (offer.version, offer.sha256) != (present.version, present.sha256):
            text = f"release {offer.version} is offered in the place of {present.version}"
            self._set_outcome(text)
            if record.state is not UpdateState.DOWNLOADING:
                self.has_newer_offer = True
                raise InstallFailed(f"{text}, before that was started")
            await self._store.advance(UpdateEvent.OFFER, offer=offer)

    async def _handle_damage(self, error: BundleDamaged) -> None:
        self._damaged_attempts = 1 if self._downloader.has_advanced else self._damaged_attempts + 1
        if self._damaged_attempts >= DAMAGED_ATTEMPTS_MAX:
            raise BundleUntrusted(f"{error} (it arrived so {self._damaged_attempts} times)") from error
        await self._pause_download(error)

    async def _handle_unusable(self, error: UnusableResponse) -> None:
        self._unusable_responses = 1 if self._downloader.has_advanced else self._unusable_responses + 1
        if self._unusable_responses >= UNUSABLE_RESPONSES_MAX:
            raise InstallFailed(f"{error}; {_TRY_LATER}") from error
        await self._pause_download(error)

    async def _pause_download(self, error: Exception) -> None:
        """Pause before the next attempt; the pauses grow while attempts bring nothing."""
        self._run_control.block(f"the download was interrupted and continues where it ended: {error}")
        if self._downloader.has_advanced:
            self._empty_attempts = 0
            return
        await self._run_control.wait(min(RETRY_S * 2**self._empty_attempts, EMPTY_ATTEMPT_PAUSE_S_MAX))
        self._empty_attempts += 1

    def _reason_not_to_download(self) -> str:
        if not self._client.has_key:
            return "no download: this hub has no key"
        self._restore_quota()
        quota = self._client.quotas[Endpoint.OTA_DOWNLOAD]
        if wait_ms := quota.wait_ms():
            reason = f"at most {QUOTAS[Endpoint.OTA_DOWNLOAD].limit} an hour"
            if quota.is_history_unknown:
                is_lost = self._store.is_record_lost
                reason += "; the count was lost" if is_lost else "; earlier ones count once the time is known"
            return f"no download {self._format_wait(wait_ms / 1000)} ({reason})"
        if wait_ms := self._client.connectivity.wait_ms(Endpoint.OTA_DOWNLOAD):
            reason = self._client.connectivity.status.reason or "the cloud has asked for a pause"
            return f"no download {self._format_wait(wait_ms / 1000)}: {reason}"
        conditions = policy.UpdateConditions(
            self._context.local_time(),
            self._context.is_metered(),
            self._store.record.is_paused,
            self._run_control.is_urgent,
        )
        return policy.reason_not_to_download(conditions, self._maintenance_window, self._config.metered)

    def _format_wait(self, wait_s: float) -> str:
        now = self._context.local_time()
        return policy.format_wait(wait_s, now and now + timedelta(seconds=wait_s), now)

    def _restore_quota(self) -> None:
        """Count the downloads before a restart of the machine, once the time is known."""
        quota, now_utc_ms = self._client.quotas[Endpoint.OTA_DOWNLOAD], self._context.clock.utc_ms()
        if now_utc_ms is None or self._store.is_record_lost or not quota.is_history_unknown:
            return
        # A download at an unknown time counts as made just now.
        quota.load_history(
            [max(0, now_utc_ms - at_ms) if at_ms else 0 for at_ms in self._store.record.downloads_utc_ms]
        )
