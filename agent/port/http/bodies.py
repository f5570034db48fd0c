"""Reads the body of a request, piece by piece or whole, within a size and a time."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

from aiohttp import web

from agent.local.routes import RequestRefused

SILENT_S_MAX = 30.0
"""How long the next piece of a body may take."""
BODY_S_MAX = 60.0
"""How long a whole body may take that is not a stream."""


async def read_body(request: web.Request, bytes_max: int) -> bytes:
    """Return the whole body.

    Raises:
        RequestRefused: It is larger than `bytes_max`, or says so (413), or does not come in time (408).
    """
    _check_size(request.content_length or 0, bytes_max)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S_MAX):
            async for chunk in chunks_of(request):
                body += chunk
                _check_size(len(body), bytes_max)
    except TimeoutError:
        raise _too_slow(f"the body took more than {BODY_S_MAX:.0f} s") from None
    return bytes(body)


def _check_size(size: int, bytes_max: int) -> None:
    if size > bytes_max:
        text = f"send less: the body of this request has at most {bytes_max} bytes"
        raise RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", text)


def _too_slow(what: str) -> RequestRefused:
    return RequestRefused(HTTPStatus.REQUEST_TIMEOUT, "timeout", f"send the request again: {what}")


async def chunks_of(request: web.Request) -> AsyncIterator[bytes]:
    """Yield the body piece by piece.

    Raises:
        RequestRefused: The sender went silent.
    """
    while True:
        try:
            async with asyncio.timeout(SILENT_S_MAX):
                chunk = await request.content.readany()
        except TimeoutError:
            raise _too_slow(f"nothing came for {SILENT_S_MAX:.0f} s") from None
        if not chunk:
            return
        yield chunk
