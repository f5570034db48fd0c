"""One attempt at a download: what is there is kept, what is missing is asked for, nothing unverified is written.

Decides nothing about when; `room` does. Two pieces of 1 MiB are in memory at the most: one arrives while the other is
hashed and written on the worker.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from http import HTTPStatus
from urllib.parse import quote

import aiohttp

from agent.cloud.client import STREAM_BUFFER_BYTES, CloudClient
from agent.cloud.endpoints import Endpoint
from agent.errors import CloudUnavailable
from agent.foundation.worker import Worker
from agent.ota.header import Header
from agent.ota.intake import Intake, Part
from agent.ota.manifest import CHUNK_BYTES, Offer

RATE_WINDOW_S = 60.0
"""Over which the rate is judged: a DSL line may pause for seconds."""

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(?:\d{1,18}|\*)", re.ASCII)


class Downloader:
    """Fetches bundles for one hub."""

    def __init__(
        self,
        client: CloudClient,
        intake: Intake,
        worker: Worker,
        *,
        rate_bytes_s_min: int,
        deadline_s: float,
        on_progress: Callable[[int], None],
    ) -> None:
        """Prepare.

        Args:
            client: The way to the cloud.
            intake: Where the bytes go.
            worker: Where they are hashed and written.
            rate_bytes_s_min: A slower server is left alone for this time, and tried again later.
            deadline_s: How long one attempt may take.
            on_progress: Told how many percent are there, each time that is more.
        """
        self._client = client
        self._intake = intake
        self._worker = worker
        self._rate_bytes_s_min = rate_bytes_s_min
        self._deadline_s = deadline_s
        self._on_progress = on_progress

    async def attempt(self, offer: Offer) -> Header:
        """Fetch what is missing, with one request; return the header of the complete, durable file.

        Raises:
            BundleUntrusted: What came is not what it must be; none of that was written.
            StorageFull: No room.
            CloudUnavailable, Throttled, Unauthorized, Refused: Try again later; what has come is kept.
        """
        part = await self._worker.run(lambda: self._intake.part(offer))
        start = await self._worker.run(part.reopen)
        if not offer.size_bytes or start < offer.size_bytes:
            try:
                async with asyncio.timeout(self._deadline_s):
                    part = await self._fetch(offer, part, start)
            except TimeoutError as error:
                raise CloudUnavailable(
                    f"the download took longer than {self._deadline_s:.0f} s; it goes on where it is"
                ) from error
        return await self._worker.run(part.finish)

    async def _fetch(self, offer: Offer, part: Part, start: int) -> Part:
        headers = {"Range": f"bytes={start}-"} if start else {}
        if start and offer.sha256:
            # What the reference cloud and object storage give as a tag; where it is another one, the answer is whole.
            headers["If-Range"] = f'"{offer.sha256}"'
        tail = f"/{quote(offer.version, safe='')}"
        async with self._client.stream(Endpoint.OTA_DOWNLOAD, tail, headers) as response:
            if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or (
                response.status == HTTPStatus.PARTIAL_CONTENT and _start_of(response) != start
            ):
                await self._worker.run(self._intake.forget)
                raise CloudUnavailable("the server has another part of the download than was asked for; begin anew")
            if response.status == HTTPStatus.OK and start:
                await self._worker.run(self._intake.forget)
                part = await self._worker.run(lambda: self._intake.part(offer))
            await self._take_all(response, part, offer)
        return part

    async def _take_all(self, response: aiohttp.ClientResponse, part: Part, offer: Offer) -> None:
        """Read and write side by side."""
        told = -1
        writing: asyncio.Future[None] | None = None
        waiting: list[bytes] = []
        try:
            async for gathered in self._gathered(response, waiting):
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

    async def _gathered(self, response: aiohttp.ClientResponse, waiting: list[bytes]) -> AsyncIterator[list[bytes]]:
        """Yield the body as it comes, about `CHUNK_BYTES` at a time.

        Args:
            response: Whose body it is.
            waiting: Holds what has come and was not yielded yet, however this ends.

        Raises:
            CloudUnavailable: It comes too slowly.
        """
        now_s = asyncio.get_running_loop().time
        began_s, came = now_s(), 0
        async for data in response.content.iter_chunked(STREAM_BUFFER_BYTES):
            waiting.append(data)
            came += len(data)
            if sum(map(len, waiting)) >= CHUNK_BYTES:
                gathered = waiting.copy()
                waiting.clear()
                yield gathered
            if (passed_s := now_s() - began_s) >= RATE_WINDOW_S:
                if came < self._rate_bytes_s_min * passed_s:
                    raise CloudUnavailable(
                        f"the download comes with {came / passed_s:.0f} bytes a second, less than"
                        f" {self._rate_bytes_s_min}; it goes on later where it is"
                    )
                began_s, came = now_s(), 0


def _take(part: Part, gathered: list[bytes]) -> None:
    for data in gathered:
        part.take(data)


def _percent(part: Part, offer: Offer) -> int:
    whole = part.whole_bytes or offer.size_bytes
    return min(100, 100 * part.size_bytes // whole) if whole else 0


def _start_of(response: aiohttp.ClientResponse) -> int | None:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None
