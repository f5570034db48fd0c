"""The connections of the port: what is no HTTP is answered in the shape of all errors.

Must not fill the log: aiohttp itself writes a traceback for each line that is no HTTP, with its bytes, for each caller
that leaves a stream, and for an `Expect` header that is no text.
"""

import logging
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from agent.local.routes import RequestRefused
from agent.port.http.responses import PROTECTION, problem_response

_log = logging.getLogger(__name__)

_CONTINUE = "100-continue"
"""The one expectation that RFC 9110 defines (section 10.1.1)."""


class _Connection(RequestHandler):
    """One connection."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what aiohttp's parser refuses; leave other errors to aiohttp.

        Raises:
            ConnectionError: The caller has gone; aiohttp ends the connection.
        """
        if isinstance(exc, ConnectionError):
            raise exc
        if not isinstance(exc, HttpProcessingError) or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        _log.debug("%s sends what is no HTTP: %s", request.remote, type(exc).__name__)
        text = f"correct the request: it is no HTTP that this hub understands ({type(exc).__name__})"
        return _refusal(HTTPStatus.BAD_REQUEST, text)


def _refusal(status: HTTPStatus, text: str) -> web.Response:
    """Return an answer that no route gives. The connection ends after it: what follows is not understood either."""
    response = problem_response(RequestRefused(status, "not_understood", text))
    response.headers.update(PROTECTION)
    response.force_close()
    return response


class _Server(web.Server):
    """Makes the connections."""

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application on such connections."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            """Refuse an unknown expectation, which aiohttp would refuse before any middleware, in words of its own."""
            if request.headers.get(hdrs.EXPECT, _CONTINUE).lower() != _CONTINUE:
                text = f"leave out the header Expect, or send `Expect: {_CONTINUE}`: this hub knows no other"
                return _refusal(HTTPStatus.EXPECTATION_FAILED, text)
            return await made.request_handler(request)

        return _Server(handle, request_factory=made.request_factory, loop=made._loop, **made._kwargs)  # noqa: SLF001 - aiohttp has no other way to choose the connection
