"""The connections of the port: what is no HTTP is answered in the shape of all errors.

Must not fill the log: aiohttp itself writes a traceback for each line that is no HTTP, with its bytes, and for each
caller that leaves a stream.
"""

import logging
from http import HTTPStatus

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from agent.local.routes import RequestRefused
from agent.port.http.responses import PROTECTION, problem_response

_log = logging.getLogger(__name__)


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
        response = problem_response(RequestRefused(HTTPStatus.BAD_REQUEST, "not_understood", text))
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
        return _Server(made.request_handler, request_factory=made.request_factory, loop=made._loop, **made._kwargs)  # noqa: SLF001 - aiohttp has no other way to choose the connection
