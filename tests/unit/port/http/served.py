"""A Unix socket that some handlers answer on."""

from pathlib import Path

from aiohttp import web

from agent.local.routes import Handlers
from agent.port.http import unix_socket
from agent.port.http.server import socket_runner


async def serve_handlers(path: Path, handlers: Handlers) -> None:
    """Answer on a socket until cancelled."""

    async def make_runner() -> web.AppRunner:
        return socket_runner(handlers)

    await unix_socket.serve(path, make_runner)
