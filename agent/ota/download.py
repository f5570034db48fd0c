"""One attempt at a download: what is there is kept, what is missing is asked for, nothing unverified is written.

Decides nothing about when; `room` does. Two pieces of 1 MiB are in memory at the most: one arrives while the other is
hashed and written on the worker.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from http import HTTPStatus
from urllib.parse import quote

import aiohttp
import msgspec

from agent.cloud.client import STREAM_BUFFER_BYTES, CloudClient
from agent.cloud.endpoints import Endpoint
from agent.errors import BundleDamaged, CloudUnavailable
from agent.foundation.worker import Worker
from agent.ota.bundle_format import BundleHeader
from agent.ota.manifest import CHUNK_BYTES, Offer
from agent.ota.ranges import RangeBody, UnusableResponse, parse_range
from agent.ota.staging import PartialBundle, Staging

RATE_PERIOD_S = 60.0
"""Over which the rate is judged: a DSL line may pause for seconds."""


PROGRESS_BYTES_MIN = 64 * 1024
"""An attempt that brings less has brought nothing: a release would take hundreds of them, five an hour."""


class UnverifiedTail(msgspec.Struct, frozen=True):
    """What an attempt has brought of a piece that is not whole yet: kept in memory, since it cannot be verified."""

    offer: Offer
    begins: int
    data: bytes


class Downloader:
    """Fetches bundles for one hub.

    Attributes:
        has_advanced: Whether the last attempt has brought more than was there before, and not only a little.
    """

    def __init__(
        self,
        client: CloudClient,
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
        """Fetch what is missing, with one request; return the header of the complete, durable file.

        Raises:
            BundleDamaged: What came is not what it must be. None of it was written; what was there before is kept.
            BundleUntrusted: This hub must not have the bundle.
            StorageFull: No room.
            CloudUnavailable, Throttled, Unauthorized, Refused: Try again later; what has come is kept.
        """
        part = await self._worker.run(lambda: self._staging.open_part(offer))
        verified = await self._worker.run(part.verify_existing)
        tail = b"" if self._asks_for_whole else self._tail_of(offer, verified)
        self.has_advanced = False
        if not part.is_complete:
            await self._worker.run(partial(part.write, tail))
            await self._continue(offer, part, verified + len(tail))
            if not part.is_complete:
                raise CloudUnavailable(
                    f"the server ended at byte {part.verified_bytes} of {part.total_bytes or offer.size_bytes or '?'};"
                    " the download goes on there"
                )
        self._asks_for_whole, self._tail = False, None
        return await self._worker.run(part.finish)

    def _tail_of(self, offer: Offer, verified: int) -> bytes:
        """Return what the last attempt has left behind the verified bytes."""
        tail = self._tail
        return tail.data if tail is not None and (tail.offer, tail.begins) == (offer, verified) else b""

    async def _continue(self, offer: Offer, part: PartialBundle, start: int) -> None:
        """Make the request; whatever ends it, know afterwards how to go on."""
        asks_for_whole, self._asks_for_whole = self._asks_for_whole, False
        is_damaged = False
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._fetch(offer, part, start, asks_for_whole=asks_for_whole)
        except TimeoutError as error:
            raise CloudUnavailable(
                f"the download took longer than {self._deadline_s:.0f} s; it goes on where it is"
            ) from error
        except (UnusableResponse, BundleDamaged) as error:
            is_damaged = isinstance(error, BundleDamaged)
            # Behind the first bytes of another file nothing ever fits: the whole shows which file it is.
            self._asks_for_whole = start > 0 and not asks_for_whole
            raise
        finally:
            # Less than a piece is not verified, so it is not written; but a line may never bring a piece at once.
            begins, data = part.unverified
            self._tail = None if is_damaged else UnverifiedTail(offer, begins, data)
            reached = max(part.verified_bytes, begins + (0 if is_damaged else len(data)))
            self.has_advanced = part.is_complete or reached - start >= PROGRESS_BYTES_MIN

    async def _fetch(self, offer: Offer, part: PartialBundle, start: int, *, asks_for_whole: bool) -> None:
        # Compressed, a file has other bytes, and so has each part of it.
        headers = {"Accept-Encoding": "identity"}
        if start and not asks_for_whole:
            headers["Range"] = f"bytes={start}-"
        tail = f"/{quote(offer.version, safe='')}"
        async with self._client.stream(Endpoint.OTA_DOWNLOAD, tail, headers) as response:
            is_whole = response.status == HTTPStatus.OK
            # A file that comes from its beginning may be another one than that of which a part is here.
            whole = offer.size_bytes if is_whole else part.total_bytes or offer.size_bytes
            span = parse_range(response.status, response.headers, asked=start, whole=whole)
            if is_whole and start:
                await self._worker.run(part.restart_from_zero)
            body = RangeBody(span, wanted=0 if is_whole else start, whole=whole)
            await self._take_all(response, part, offer, body)

    async def _take_all(
        self, response: aiohttp.ClientResponse, part: PartialBundle, offer: Offer, body: RangeBody
    ) -> None:
        """Read and write side by side."""
        told = -1
        writing: asyncio.Future[None] | None = None
        waiting: list[bytes] = []
        try:
            async for gathered in self._gathered(response, waiting, body):
                if writing is not None:
                    await writing
                if told != (percent := _percent(part, offer)):
                    told = percent
                    self._on_progress(percent)
                # Awaited in this function, come what may.
                writing = asyncio.ensure_future(self._worker.run(partial(_take, part, gathered)))  # noqa: TID251
        finally:
            if writing is not None:
                await writing
            # What came before it broke off must not be fetched again: one request of five an hour may bring little.
            await self._worker.run(partial(_take, part, waiting))

    async def _gathered(
        self, response: aiohttp.ClientResponse, waiting: list[bytes], body: RangeBody
    ) -> AsyncIterator[list[bytes]]:
        """Yield the body as it comes, about `CHUNK_BYTES` at a time.

        Args:
            response: Whose body it is.
            waiting: Holds what has come and was not yielded yet, however this ends.
            body: Cuts out what is wanted.

        Raises:
            CloudUnavailable: It comes too slowly.
        """
        now_s = asyncio.get_running_loop().time
        began_s, came = now_s(), 0
        async for data in response.content.iter_chunked(STREAM_BUFFER_BYTES):
            waiting.append(body.feed(data))
            came += len(data)
            if sum(map(len, waiting)) >= CHUNK_BYTES:
                gathered = waiting.copy()
                waiting.clear()
                yield gathered
            if (passed_s := now_s() - began_s) >= RATE_PERIOD_S:
                if came < self._rate_bytes_s_min * passed_s:
                    raise CloudUnavailable(
                        f"the download comes with {came / passed_s:.0f} bytes a second, less than"
                        f" {self._rate_bytes_s_min}; it goes on later where it is"
                    )
                began_s, came = now_s(), 0


def _take(part: PartialBundle, gathered: list[bytes]) -> None:
    for data in gathered:
        part.write(data)


def _percent(part: PartialBundle, offer: Offer) -> int:
    whole = part.total_bytes or offer.size_bytes
    return min(100, 100 * part.verified_bytes // whole) if whole else 0
