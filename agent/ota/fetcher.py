"""Asks the cloud for a release and fetches it, as far as quota, link and people let it.

What goes wrong on the way is never held against the release: a server that says 404 today may have it tomorrow, bytes
may change on the way, and a cloud may publish anew. Only what its own bytes have shown, twice where a line could have
changed them, ends in a refusal (`BundleUntrusted`); for the rest the offer is let go, or the download waits.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec

from agent.cloud.client import CloudClient
from agent.cloud.endpoints import QUOTAS, Endpoint
from agent.config import OtaConfig
from agent.errors import BundleDamaged, BundleUntrusted, InstallFailed, Refused, Rejected, StorageFull, Transient
from agent.foundation.clock import Clock
from agent.ota import policy, versions
from agent.ota.context import UpdateContext
from agent.ota.download import Downloader
from agent.ota.lifecycle import UpdateEvent, UpdateState, find_refusal
from agent.ota.manifest import Offer
from agent.ota.offer import parse_offer
from agent.ota.ranges import UnusableResponse
from agent.ota.run_control import RunControl, format_wait
from agent.ota.store import UpdateStore

RETRY_S = 60.0
"""Between looks at a wait_reason that nobody announces (the time of day)."""
EMPTY_ATTEMPT_PAUSE_S_MAX = 900.0
"""Between attempts that bring nothing; each pause is twice the one before."""
DAMAGED_ATTEMPTS_MAX = 2
"""Times that the same place of a bundle comes damaged before it is the bundle that is: once may be the line."""
OUTCOME_POLL_S = 0.1
UNUSABLE_RESPONSES_MAX = 4
"""Answers in a row that cannot be put in their place before the offer is let go."""

NOT_LAUNCHED = "this hub was not started by the launcher (docs/updates.md), so nothing can be installed"


class CheckOutcome(msgspec.Struct, frozen=True):
    """What the last question to the cloud has brought.

    Attributes:
        number: Counts the questions since this life began; 0 before the first.
        text: In words, for people.
        is_final: No more comes of this question.
    """

    number: int = 0
    text: str = ""
    is_final: bool = True


class UpdateFetcher:
    """The way from the cloud to a complete file.

    Attributes:
        outcome: Of the last question to the cloud.
    """

    def __init__(
        self,
        client: CloudClient,
        downloader: Downloader,
        *,
        store: UpdateStore,
        run_control: RunControl,
        config: OtaConfig,
        context: UpdateContext,
        clock: Clock,
        version: str,
        is_launched: bool,
        facts: Callable[[], str],
        may_begin: Callable[[], bool],
        drop: Callable[[Offer], Awaitable[None]],
    ) -> None:
        """Prepare; nothing is asked.

        Args:
            client: The way to the cloud.
            downloader: Fetches.
            store: Where the present update stands.
            run_control: Waits, and knows whether a person has asked.
            config: Table `[ota]`.
            context: What is around.
            clock: For the account of downloads over restarts of the machine.
            version: Of the release that runs.
            is_launched: Whether anything can be installed.
            facts: Tells what a refusal depends on, beside the bundle.
            may_begin: Tells whether no other update has begun, which a person may have brought meanwhile.
            drop: Removes what an earlier update has left, unless this offer can go on with it.
        """
        self._client = client
        self._downloader = downloader
        self._store = store
        self._run_control = run_control
        self._config = config
        self._context = context
        self._clock = clock
        self._version = version
        self._is_launched = is_launched
        self._facts = facts
        self._may_begin = may_begin
        self._drop = drop
        self._maintenance_window = policy.parse_maintenance_window(config.maintenance_window)
        self._asked_at_s = 0.0
        self._fruitless = 0
        self._damages = 0
        self._unusable = 0
        self.outcome = CheckOutcome()

    async def check(self) -> None:
        """Ask the cloud, and take its offer."""
        record = self._store.record
        if record.is_paused:
            self._settle("updates are held; climahub update resume ends that")
            return
        if not self._client.has_key:
            self._settle("the cloud is not asked: this hub has no key")
        elif wait_s := self._client.wait_s(Endpoint.OTA_CHECK):
            is_quota = self._client.quotas[Endpoint.OTA_CHECK].wait_ms() > 0
            why = "the quota of a minute is used up" if is_quota else self._client.connectivity.status.reason
            text = f"the cloud is asked in {wait_s:.0f} s: {why}; climahub update status shows what comes of it"
            self.outcome = CheckOutcome(self.outcome.number + 1, text, is_final=False)
        await self._client.ready(Endpoint.OTA_CHECK)
        self._asked_at_s = asyncio.get_running_loop().time()
        try:
            offer = parse_offer(await self._client.check_update(self._version))
        except (Transient, Rejected) as error:
            self._run_control.block(f"the cloud was not asked: {error}" if isinstance(error, Transient) else str(error))
            self._settle(self._run_control.blocked_reason)
            return
        self._run_control.blocked_reason = ""
        if offer is None or versions.is_same_version(offer.version, self._version):
            self._settle(f"the cloud offers nothing newer than {self._version}")
            return
        why = find_refusal(record, offer, self._facts()) if self._is_launched else NOT_LAUNCHED
        if why:
            self._run_control.block(f"release {offer.version} is not taken: {why}")
            self._settle(self._run_control.blocked_reason)
            return
        if not self._may_begin():
            self._settle("another update has begun meanwhile")
            return
        await self._drop(offer)
        await self._store.advance(UpdateEvent.OFFER, offer=offer)
        self._say(f"release {offer.version} is offered and will be fetched")
        self._fruitless = self._damages = self._unusable = 0
        if not self._run_control.is_urgent:
            await self._run_control.wait(policy.spread_delay_s(self._context.phase, self._config.spread_s))

    async def wait_for_outcome(self, number: int, timeout_s: float) -> str:
        """Wait for what comes of the question after number ``number``; return what is known by then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.outcome.number == number or not self.outcome.is_final:  # noqa: ASYNC110 - for a person
                    await asyncio.sleep(OUTCOME_POLL_S)
        known = "" if self.outcome.number == number else self.outcome.text
        return known or "the cloud is being asked; climahub update status shows what comes of it"

    def _say(self, text: str) -> None:
        self.outcome = CheckOutcome(self.outcome.number + 1, text)

    def _settle(self, text: str) -> None:
        """End a question that leads to nothing."""
        self._say(text)
        self._run_control.is_urgent = False

    async def download(self) -> None:
        """Fetch what is missing, with one request, when that may be made.

        Raises:
            BundleUntrusted: This hub must not have the bundle.
            InstallFailed: It cannot be had now; it may be offered again.
            StorageFull: No room.
            Unauthorized: The cloud refuses the hub's key.
        """
        await self._ask_again()
        if why := self._wait_reason():
            # Looked at again and again, since a link may turn metered, or a person may say something.
            self._run_control.block(why)
            await self._run_control.wait(RETRY_S)
            return
        await self._store.record_download(self._clock.utc_ms() or 0)
        try:
            await self._downloader.attempt(self._store.record.offer)
        except Refused as error:
            raise InstallFailed(f"{error}; it is fetched once it is offered again") from error
        except BundleDamaged as error:
            await self._damaged(error)
        except UnusableResponse as error:
            await self._useless(error)
        except StorageFull:
            raise
        except Transient as error:
            if self._downloader.has_advanced:
                self._damages = self._unusable = 0
            await self._broken_off(error)
        else:
            self._run_control.blocked_reason = ""
            await self._store.advance(UpdateEvent.DOWNLOADED)

    async def _ask_again(self) -> None:
        """While a download takes longer than a question's interval: fetch what is offered now, not what was then.

        Raises:
            InstallFailed: Nothing is offered any more.
        """
        now_s, is_paused = asyncio.get_running_loop().time(), self._store.record.is_paused
        is_due = now_s - self._asked_at_s >= self._config.check_interval_s
        if is_paused or not is_due or not self._client.has_key or self._client.wait_s(Endpoint.OTA_CHECK):
            return
        self._asked_at_s = now_s
        present = self._store.record.offer
        try:
            offer = parse_offer(await self._client.check_update(self._version))
        except (Transient, Rejected):
            return  # what was offered may still be had
        if self._store.record.state is not UpdateState.DOWNLOADING:
            return  # a person has brought a file meanwhile
        if offer is None or find_refusal(self._store.record, offer, self._facts()):
            raise InstallFailed(f"release {present.version} is not offered any more; it is fetched once it is again")
        if (offer.version, offer.sha256) != (present.version, present.sha256):
            self._say(f"release {offer.version} is offered in the place of {present.version}")
            await self._store.advance(UpdateEvent.OFFER, offer=offer)

    async def _damaged(self, error: BundleDamaged) -> None:
        self._damages = 1 if self._downloader.has_advanced else self._damages + 1
        if self._damages >= DAMAGED_ATTEMPTS_MAX:
            raise BundleUntrusted(f"{error} (it came so {self._damages} times)") from error
        await self._broken_off(error)

    async def _useless(self, error: UnusableResponse) -> None:
        self._unusable = 1 if self._downloader.has_advanced else self._unusable + 1
        if self._unusable >= UNUSABLE_RESPONSES_MAX:
            raise InstallFailed(f"{error}; it is fetched once it is offered again") from error
        await self._broken_off(error)

    async def _broken_off(self, error: Exception) -> None:
        """Wait before the next attempt, the longer the less the last ones have brought."""
        self._run_control.block(f"the download broke off, and goes on where it is: {error}")
        if self._downloader.has_advanced:
            self._fruitless = 0
            return
        await self._run_control.wait(min(RETRY_S * 2**self._fruitless, EMPTY_ATTEMPT_PAUSE_S_MAX))
        self._fruitless += 1

    def _wait_reason(self) -> str:
        if not self._client.has_key:
            return "no download: this hub has no key"
        self._recall()
        if wait_ms := self._client.quotas[Endpoint.OTA_DOWNLOAD].wait_ms():
            limit = QUOTAS[Endpoint.OTA_DOWNLOAD].limit
            why = "five an hour" if limit == 5 else f"{limit} an hour"  # noqa: PLR2004 - in words
            if self._client.quotas[Endpoint.OTA_DOWNLOAD].is_history_unknown:
                why += (
                    "; the count was lost"
                    if self._store.is_record_lost
                    else "; earlier ones count once the time is known"
                )
            return f"no download {self._until(wait_ms / 1000)} ({why})"
        if wait_ms := self._client.connectivity.wait_ms(Endpoint.OTA_DOWNLOAD):
            reason = self._client.connectivity.status.reason or "the cloud has asked for a pause"
            return f"no download {self._until(wait_ms / 1000)}: {reason}"
        moment = policy.UpdateConditions(
            self._context.local_time(),
            self._context.is_metered(),
            self._store.record.is_paused,
            self._run_control.is_urgent,
        )
        return policy.reason_not_to_download(moment, self._maintenance_window, self._config.metered)

    def _until(self, wait_s: float) -> str:
        now = self._context.local_time()
        return format_wait(wait_s, now and now + timedelta(seconds=wait_s), now)

    def _recall(self) -> None:
        """After a restart of the machine, count what was asked for before it, as soon as the time is known."""
        quota, now_utc_ms = self._client.quotas[Endpoint.OTA_DOWNLOAD], self._clock.utc_ms()
        if now_utc_ms is None or self._store.is_record_lost or not quota.is_history_unknown:
            return
        # A request without a time was made an unknown while ago: it counts as made just now.
        quota.load_history(
            [max(0, now_utc_ms - at_ms) if at_ms else 0 for at_ms in self._store.record.downloads_utc_ms]
        )
