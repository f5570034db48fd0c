"""One attempt at a download: requests what is missing, and writes verified bytes only.

`fetcher` decides when. Two pieces of 1 MiB at most are in memory: one arrives while the other is hashed and written on
the worker.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from http import HTTPStatus
from urllib.parse import quote

import aiohttp
import msgspec

from agent.cloud.client import UpdatesClient
from agent.cloud.contract import Endpoint
from agent.cloud.transport import STREAM_BUFFER_BYTES
from agent.errors import BundleDamaged, CloudUnavailable
from agent.foundation.worker import Worker
from agent.ota.bundle_format import BundleHeader
from agent.ota.manifest import CHUNK_BYTES, Offer
from agent.ota.ranges import RangeBody, UnusableResponse, parse_range
from agent.ota.staging import PartialBundle, Staging

RATE_PERIOD_S = 60.0
"""Period for the minimum rate: a DSL line may pause for seconds."""
PROGRESS_BYTES_MIN = 64 * 1024
"""An attempt that brings less counts as empty: a release would take hundreds of them, at five an hour."""


class UnverifiedTail(msgspec.Struct, frozen=True):
    """The incomplete last piece of an attempt: kept in memory, since it cannot be verified before it is complete."""

    offer: Offer
    offset: int
    data: bytes


class Downloader:
    """Downloads bundles for one hub.

    Attributes:
        has_advanced: The last attempt has brought `PROGRESS_BYTES_MIN` or more.
    """

    def __init__(
        self,
        client: UpdatesClient,
        staging: Staging,
        worker: Worker,
        *,
        rate_bytes_s_min: int,
        deadline_s: float,
        on_progress: Callable[[int], None],
    ) -> None:
        """Prepare.

        Args:
            client: The way to the cloud.
            staging: Where the bytes go.
            worker: Where they are hashed and written.
            rate_bytes_s_min: A slower server is left alone for this time, and tried again later.
            deadline_s: How long one attempt may take.
            on_progress: Told how many percent are there, each time that is more.
        """
        self._client = client
        self._staging = staging
        self._worker = worker
        self._rate_bytes_s_min = rate_bytes_s_min
        self._deadline_s = deadline_s
        self._on_progress = on_progress
        self._asks_for_whole = False
        self._tail: UnverifiedTail | None = None
        self.has_advanced = False

    async def attempt(self, offer: Offer) -> BundleHeader:
        """Download what is missing, with one request; return the header of the complete, durable file.

        Raises:
            BundleDamaged: Damaged bytes arrived. None was written; what was downloaded before is kept.
            BundleUntrusted: This hub must not install the bundle.
            StorageFull: No room.
            CloudUnavailable, Throttled, Unauthorized, Refused: Try again later; what was downloaded is kept.
        """
        part = await self._worker.run(lambda: self._staging.open_part(offer))
        verified = await self._worker.run(part.verify_existing)
        tail = b"" if self._asks_for_whole else self._tail_of(offer, verified)
        self.has_advanced = False
        if not part.is_complete:
            await self._worker.run(partial(part.write, tail))
            await self._continue(offer, part, verified + len(tail))
            if not part.is_complete:
                total = part.total_bytes or offer.size_bytes or "?"
                raise CloudUnavailable(
                    f"the server ended the download at byte {part.verified_bytes} of {total}; it continues there"
                )
        self._asks_for_whole, self._tail = False, None
        return await self._worker.run(part.finish)

    def _tail_of(self, offer: Offer, verified: int) -> bytes:
        """Return the unverified bytes of the last attempt, which follow the verified ones."""
        tail = self._tail
        return tail.data if tail is not None and (tail.offer, tail.offset) == (offer, verified) else b""

    async def _continue(self, offer: Offer, part: PartialBundle, start: int) -> None:
        """Make the request; record how the next one must continue, whatever ends this one."""
        asks_for_whole, self._asks_for_whole = self._asks_for_whole, False
        is_damaged = False
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._fetch(offer, part, start, asks_for_whole=asks_for_whole)
        except TimeoutError as error:
            raise CloudUnavailable(
                f"the download took longer than {self._deadline_s:.0f} s; it continues where it ended"
            ) from error
        except (UnusableResponse, BundleDamaged) as error:
            is_damaged = isinstance(error, BundleDamaged)
            # If the first bytes are of another file, no range ever fits: the whole file shows which one it is.
            self._asks_for_whole = start > 0 and not asks_for_whole
            raise
        finally:
            # An incomplete piece cannot be verified, so it is not written; a bad line may never bring a piece at once.
            offset, data = part.unverified
            self._tail = None if is_damaged else UnverifiedTail(offer, offset, data)
            reached = max(part.verified_bytes, offset + (0 if is_damaged else len(data)))
            self.has_advanced = part.is_complete or reached - start >= PROGRESS_BYTES_MIN

    async def _fetch(self, offer: Offer, part: PartialBundle, start: int, *, asks_for_whole: bool) -> None:
        # A range of a compressed file has other bytes.
        headers = {"Accept-Encoding": "identity"}
        if start and not asks_for_whole:
            headers["Range"] = f"bytes={start}-"
        tail = f"/{quote(offer.version, safe='')}"
        async with self._client.stream(Endpoint.OTA_DOWNLOAD, tail, headers) as response:
            is_whole = response.status == HTTPStatus.OK
            # A whole file may be another one than the partial file here.
            total = offer.size_bytes if is_whole else part.total_bytes or offer.size_bytes
            byte_range = parse_range(response.status, response.headers, requested=start, total=total)
            if is_whole and start:
                await self._worker.run(part.restart_from_zero)
            body = RangeBody(byte_range, wanted=0 if is_whole else start, total=total)
            await self._write_body(response, part, offer, body)

    async def _write_body(
        self, response: aiohttp.ClientResponse, part: PartialBundle, offer: Offer, body: RangeBody
    ) -> None:
        """Read the next piece while the previous one is written."""
        reported = -1
        writing: asyncio.Future[None] | None = None
        pending: list[bytes] = []
        try:
            async for gathered in self._read_pieces(response, pending, body):
                if writing is not None:
                    await writing
                if reported != (percent := _percent(part, offer)):
                    reported = percent
                    self._on_progress(percent)
                # Awaited in this function in each case.
                writing = asyncio.ensure_future(self._worker.run(partial(_write, part, gathered)))  # noqa: TID251
        finally:
            if writing is not None:
                await writing
            # What arrived before an interruption must not be requested again: there are five requests an hour.
            await self._worker.run(partial(_write, part, pending))

    async def _read_pieces(
        self, response: aiohttp.ClientResponse, pending: list[bytes], body: RangeBody
    ) -> AsyncIterator[list[bytes]]:
        """Yield the wanted bytes of the body, about `CHUNK_BYTES` at a time.

        Args:
            response: Has the body.
            pending: Holds the bytes that were not yielded yet, however this ends.
            body: Extracts the wanted bytes.

        Raises:
            CloudUnavailable: It is too slow.
        """
        now_s = asyncio.get_running_loop().time
        began_s, received = now_s(), 0
        async for data in response.content.iter_chunked(STREAM_BUFFER_BYTES):
            pending.append(body.feed(data))
            received += len(data)
            if sum(map(len, pending)) >= CHUNK_BYTES:
                gathered = pending.copy()
                pending.clear()
                yield gathered
            if (passed_s := now_s() - began_s) >= RATE_PERIOD_S:
                if received < self._rate_bytes_s_min * passed_s:
                    raise CloudUnavailable(
                        f"the download has {received / passed_s:.0f} bytes a second, less than"
                        f" {self._rate_bytes_s_min}; it continues later where it ended"
                    )
                began_s, received = now_s(), 0


def _write(part: PartialBundle, gathered: list[bytes]) -> None:
    for data in gathered:
        part.write(data)


def _percent(part: PartialBundle, offer: Offer) -> int:
    total = part.total_bytes or offer.size_bytes
    return min(100, 100 * part.verified_bytes // total) if total else 0
