"""Reads what is sent to the local door, piece by piece; a sender that falls silent is not waited for."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

SILENT_S_MAX = 30.0
"""How long the next piece may take, from a process on this machine."""


async def chunks(request: web.Request) -> AsyncIterator[bytes]:
    """Yield the body in pieces.

    Raises:
        web.HTTPRequestTimeout: The sender fell silent.
    """
    while True:
        try:
            async with asyncio.timeout(SILENT_S_MAX):
                chunk = await request.content.readany()
        except TimeoutError:
            text = f'{{"error": "timeout", "message": "nothing more came for {SILENT_S_MAX:.0f} s"}}'
            raise web.HTTPRequestTimeout(text=text, content_type="application/json") from None
        if not chunk:
            return
        yield chunk
