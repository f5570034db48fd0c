"""What the port sends: documents, streams and errors as HTTP responses, each with the headers that protect a browser.

Errors have one shape, RFC 9457 problem details. Must never put a secret or a foreign text into a header.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from http import HTTPStatus
from types import MappingProxyType

import msgspec
from aiohttp import hdrs, web

from agent.errors import ClimahubError
from agent.foundation.supervisor import contain_failure
from agent.foundation.text import sanitize
from agent.local.access import SESSION_COOKIE
from agent.local.routes import Answer, ProblemDetails, RequestRefused, Stream

PROBLEM_TYPE = "application/problem+json"

UNREAD_S_MAX = 30.0
"""How long the caller of a stream may read nothing; what waits for it takes memory."""

CALLER_POLL_S = 1.0
"""How often a silent stream looks whether its caller is still there."""

PROTECTION = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self';"
            " worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
        "Server": "climahub",
    }
)
"""Of every response. Without `unsafe-inline`, a text that becomes markup by a defect still runs nothing."""

_encode = msgspec.json.Encoder().encode


async def protect(request: web.Request, response: web.StreamResponse) -> None:
    """Add the protecting headers to a response that is about to be sent."""
    del request
    response.headers.update(PROTECTION)
    response.headers.setdefault("Cache-Control", "no-store")


async def send(request: web.Request, answered: object, lasts: Callable[[], bool]) -> web.StreamResponse:
    """Return what a handler has returned, as a response; a stream has been sent by then.

    Args:
        request: The request.
        answered: What its handler has returned.
        lasts: Tells whether the caller is still admitted; where not, a stream ends.
    """
    if isinstance(answered, Stream):
        return await _send_stream(request, answered, lasts)
    if not isinstance(answered, Answer):
        return json_response(answered)
    body = answered.document if isinstance(answered.document, bytes) else _encode(answered.document)
    headers = {"Content-Type": answered.content_type, **answered.headers}
    response = web.Response(body=body, status=answered.status, headers=headers)
    if answered.session:
        response.set_cookie(SESSION_COOKIE, answered.session, httponly=True, samesite="Strict", secure=request.secure)
    elif answered.session is not None:
        response.del_cookie(SESSION_COOKIE, httponly=True, samesite="Strict", secure=request.secure)
    return response


def json_response(document: object, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """Return a document as a response; `bytes` are JSON already."""
    body = document if isinstance(document, bytes) else _encode(document)
    return web.Response(body=body, status=status, content_type="application/json")


def problem_response(refusal: RequestRefused) -> web.Response:
    """Return a refusal as problem details (RFC 9457): `detail` is for people, `error` for programs."""
    document = ProblemDetails(
        type=f"urn:climahub:problem:{refusal.code}",
        title=refusal.code.replace("_", " ").capitalize(),
        status=refusal.status,
        detail=str(refusal),
        error=refusal.code,
        retry_after_s=refusal.retry_after_s,
        tries_left=refusal.tries_left,
    )
    response = web.Response(body=_encode(document), status=refusal.status, content_type=PROBLEM_TYPE)
    if refusal.retry_after_s is not None:
        response.headers["Retry-After"] = str(refusal.retry_after_s)
    if refusal.status is HTTPStatus.UNAUTHORIZED:
        # RFC 9110, section 15.5.2. No browser asks for a bearer token with a dialogue of its own.
        response.headers["WWW-Authenticate"] = 'Bearer realm="climahub"'
    return response


async def _send_stream(request: web.Request, stream: Stream, lasts: Callable[[], bool]) -> web.StreamResponse:
    """Send a stream to its end. Where it fails, or the caller leaves or is no longer admitted, it breaks."""
    response = web.StreamResponse(headers={"Content-Type": stream.content_type})
    if stream.file_name:
        response.headers["Content-Disposition"] = f'attachment; filename="{stream.file_name}"'
    async with contextlib.aclosing(stream.chunks) as chunks:
        await response.prepare(request)
        if request.method == hdrs.METH_HEAD:
            return response
        is_gone = False
        try:
            with contain_failure(f"the stream {sanitize(request.path)}"):
                try:
                    await _send_chunks(request, response, chunks, lasts)
                except ConnectionError:
                    is_gone = True
        except ClimahubError:
            # The status has been sent: only a broken connection tells the caller that the content is not whole.
            is_gone = True
        if is_gone and request.transport is not None:
            request.transport.abort()
    return response


async def _send_chunks(
    request: web.Request,
    response: web.StreamResponse,
    chunks: AsyncGenerator[bytes, None],
    lasts: Callable[[], bool],
) -> None:
    """Send all chunks.

    Raises:
        ConnectionError: The caller has gone, which a silent stream would notice only at its next chunk, reads too
            slowly, or is no longer admitted.
    """
    loop = asyncio.get_running_loop()
    presence = asyncio.timeout(None)
    timer: asyncio.TimerHandle | None = None
    unread_since_s: float | None = None

    def look() -> None:
        nonlocal timer
        is_unread = unread_since_s is not None and loop.time() - unread_since_s > UNREAD_S_MAX
        if request.transport is None or request.transport.is_closing() or is_unread or not lasts():
            presence.reschedule(loop.time())
        else:
            timer = loop.call_later(CALLER_POLL_S, look)

    try:
        async with presence:
            look()
            async for chunk in chunks:
                # Waits only where the caller leaves more than 64 KiB unread.
                unread_since_s = loop.time()
                await response.write(chunk)
                unread_since_s = None
            await response.write_eof()
    except TimeoutError:
        if presence.expired():
            raise ConnectionResetError("the caller has gone") from None
        raise
    finally:
        if timer is not None:
            timer.cancel()
