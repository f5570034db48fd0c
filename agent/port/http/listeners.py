"""The TCP listeners of the port: opens them, accepts connections within limits, and finds interfaces that appear later.

A listener that cannot be opened is a fault with a remedy, and is tried again. Must never end the hub, and never open an
endpoint without TLS that `agent.port.http.endpoints` wants with it.
"""

import asyncio
import contextlib
import errno
import functools
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent.config.port_tables import PortConfig
from agent.config.types import is_address
from agent.errors import ClimahubError, Defect
from agent.foundation.memory import give_back_memory
from agent.foundation.signals import Signal
from agent.foundation.supervisor import contain_failure
from agent.port.http.crowd import CONNECTIONS_MAX, TLS_CONNECTIONS_MAX, CountedConnection, Crowd
from agent.port.http.endpoints import Endpoint, endpoints_of, source_of, url
from agent.port.http.interfaces import interface_addresses
from agent.port.http.unix_socket import BACKLOG, wait_readable

if TYPE_CHECKING:
    from aiohttp import web

_log = logging.getLogger(__name__)

RETRY_S = 10.0
"""How often a listener that cannot be opened is tried again, and interfaces are looked for."""

HANDSHAKE_S_MAX = 10.0
"""How long a TLS handshake may take."""

UNACKNOWLEDGED_MS_MAX = 60_000
"""After this time the kernel drops a connection whose other end takes nothing more (tcp(7), TCP_USER_TIMEOUT)."""
KEEPALIVE_S = 60
"""A silent connection is probed after this time."""

TIDY_UP_S = 5.0
"""How long after a crowd its memory is given back: buffers of the last connections are freed by then."""

ACCEPT_PAUSE_S = 1.0
"""How long to wait when the process has no file descriptor left."""

_REMEDIES = {
    errno.EADDRINUSE: "choose another {port}: another program listens there",
    errno.EACCES: "choose a {port} of 1024 or more: this user may not open it",
    errno.EPERM: "choose addresses in place of an interface: this kernel binds none to a device for this user",
    errno.EADDRNOTAVAIL: "correct {listen}: this machine does not have that address",
}


class Listeners:
    """The TCP listeners. Their loop is `run`.

    Attributes:
        addresses: Where they listen now: "http://127.0.0.1:8480".
        problems: Why some do not, in words.
    """

    def __init__(
        self,
        config: PortConfig,
        *,
        make_runner: "Callable[[], Awaitable[web.AppRunner]]",
        tls: Callable[[], Awaitable[ssl.SSLContext]],
        add_fault: Callable[[str], None],
        addresses_of: Callable[[str], Sequence[str]] = interface_addresses,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            config: Where to listen.
            make_runner: Makes the HTTP server, when the first visitor comes: it is imported only then.
            tls: Returns the context with the certificate; raises `ClimahubError` where there is none.
            add_fault: Shows a problem, once.
            addresses_of: See `endpoints_of`.
        """
        self._config = config
        self._make_runner = make_runner
        self._tls = tls
        self._add_fault = add_fault
        self._addresses_of = addresses_of
        self._crowd_gone = Signal()
        self._plain = Crowd(CONNECTIONS_MAX, self._crowd_gone.set)
        self._tls_crowd = Crowd(TLS_CONNECTIONS_MAX, self._crowd_gone.set)
        self._runner: web.AppRunner | None = None
        self._starting = asyncio.Lock()
        self._open: dict[Endpoint, tuple[str, asyncio.Task[None]]] = {}
        self.problems: Sequence[str] = ()

    @property
    def addresses(self) -> Sequence[str]:
        """Where they listen now, for a person: "http://127.0.0.1:8480"."""
        return [address for address, _ in self._open.values()]

    @property
    def open_endpoints(self) -> Sequence[tuple[Endpoint, int]]:
        """What is open now, each with its port."""
        return [(endpoint, urlsplit(address).port or 0) for endpoint, (address, _) in self._open.items()]

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return self._plain.total + self._tls_crowd.total

    def know(self, protocol: asyncio.BaseProtocol | None) -> None:
        """Keep a connection when there are too many: somebody has signed in on it.

        Args:
            protocol: That of the HTTP server.
        """
        if protocol is not None:
            self._plain.know(protocol)
            self._tls_crowd.know(protocol)

    async def run(self) -> None:
        """Listen until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tidy_up())
                while True:
                    missing = await self._reconcile(group)
                    has_interfaces = any(not is_address(item) for item in self._config.listen)
                    if not (missing or self.problems or has_interfaces):
                        await asyncio.Event().wait()
                    await asyncio.sleep(RETRY_S)
        finally:
            self._open.clear()
            if self._runner is not None:
                runner, self._runner = self._runner, None
                await runner.cleanup()

    async def _tidy_up(self) -> None:
        """Give the memory of a crowd back to the system after it has gone: 13 MiB after 64 connections with TLS."""
        while True:
            await self._crowd_gone.wait()
            await asyncio.sleep(TIDY_UP_S)
            give_back_memory()

    async def _reconcile(self, group: asyncio.TaskGroup) -> Sequence[str]:
        """Open what is wanted and closed, close what is open and gone; return the interfaces that are not here."""
        wanted, missing = endpoints_of(self._config.listen, self._addresses_of)
        for endpoint in set(self._open) - set(wanted):
            _, task = self._open.pop(endpoint)
            _log.info("no longer listening on %s: the address is gone", endpoint.address)
            task.cancel()
        problems = []
        for endpoint in wanted:
            if endpoint not in self._open:
                try:
                    await self._listen(endpoint, group)
                except (OSError, ClimahubError) as error:
                    problems.append(f"the port cannot be opened on {endpoint.address}: {_remedy(error)}")
        for problem in problems:
            if problem not in self.problems:
                _log.warning("%s", problem)
                self._add_fault(problem)
        self.problems = problems
        return missing

    async def _listen(self, endpoint: Endpoint, group: asyncio.TaskGroup) -> None:
        """Open one endpoint.

        Raises:
            OSError: The system refuses.
            ClimahubError: There is no certificate.
        """
        context = await self._tls() if endpoint.is_tls else None
        listening = bind(endpoint, self._config.port)
        address = url(endpoint.address, listening.getsockname()[1], is_tls=endpoint.is_tls)
        accepting = group.create_task(self._accept(listening, context, group))
        # A task that is cancelled before its first step closes nothing itself.
        accepting.add_done_callback(lambda _: listening.close())
        self._open[endpoint] = address, accepting
        _log.info("the port listens on %s", address)

    async def _accept(self, listening: socket.socket, context: ssl.SSLContext | None, group: asyncio.TaskGroup) -> None:
        """Accept connections until cancelled. None is lost on the way: asyncio's own `sock_accept` may drop one."""
        await wait_readable(listening)
        await self._start_server()
        while True:
            try:
                connected, (host, *_) = listening.accept()
            except BlockingIOError:
                await wait_readable(listening)
                continue
            except ConnectionError:
                continue
            except OSError as error:
                _log.warning("no connection is accepted for %g s: %s", ACCEPT_PAUSE_S, error.strerror)
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            if made := self._admit(source_of(host), context):
                made.task = group.create_task(self._serve(made, connected, context))
                made.task.add_done_callback(functools.partial(_close_unmade, made, connected))
            else:
                connected.close()
            # A flood of connections must not keep the event loop from control.
            await asyncio.sleep(0)

    async def _start_server(self) -> None:
        """Make the HTTP server for the first visitor of any listener. Nobody is accepted before there is one."""
        async with self._starting:
            while self._runner is None:
                try:
                    with contain_failure("the HTTP server"):
                        runner = await self._make_runner()
                        await runner.setup()
                        self._runner = runner
                except ClimahubError as error:
                    _log.error("nobody is let in for %g s: %s", RETRY_S, error)
                    self._add_fault(str(error))
                    await asyncio.sleep(RETRY_S)

    def _admit(self, source: str, context: ssl.SSLContext | None) -> CountedConnection | None:
        if self._runner is None or self._runner.server is None:
            return None
        return (self._tls_crowd if context else self._plain).admit(source, self._runner.server)

    async def _serve(self, made: CountedConnection, connected: socket.socket, context: ssl.SSLContext | None) -> None:
        """Hand an accepted connection to the HTTP server, after the handshake of TLS. Its failure costs no other."""
        with contextlib.suppress(Defect), contain_failure("a connection"):
            try:
                await self._open_connection(made, connected, context)
            finally:
                if not made.is_made:
                    made.task = None
                    made.abort()

    async def _open_connection(
        self, made: CountedConnection, connected: socket.socket, context: ssl.SSLContext | None
    ) -> None:
        """Open a connection; one that breaks meanwhile is no failure."""
        keep_alive(connected)
        limit_s = HANDSHAKE_S_MAX if context else None
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: made, connected, ssl=context, ssl_handshake_timeout=limit_s, ssl_shutdown_timeout=limit_s
            )


def _close_unmade(made: CountedConnection, connected: socket.socket, _: asyncio.Task[None]) -> None:
    """Close what was accepted and became no connection, be it that its task never began."""
    if not made.is_made:
        connected.close()


def bind(endpoint: Endpoint, port: int) -> socket.socket:
    """Return a listening socket, bound to the device of the endpoint where it names one.

    Raises:
        OSError: The system refuses.
    """
    family = socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if endpoint.device:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, endpoint.device.encode())
        listening.bind((endpoint.address, port))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def keep_alive(connected: socket.socket) -> None:
    """Have the kernel end a connection whose other end is gone, or takes nothing more."""
    with contextlib.suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS_MAX)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)


def _remedy(error: Exception) -> str:
    """Return what to do about a listener that cannot be opened."""
    return remedy_of(error, listen="port.listen", port="port.port") if isinstance(error, OSError) else str(error)


def remedy_of(error: OSError, *, listen: str, port: str) -> str:
    """Return what to do about an address that cannot be opened.

    Args:
        error: Why.
        listen: The key of the configuration with the addresses.
        port: That with the port.
    """
    text = _REMEDIES.get(error.errno or 0, f"check {{listen}} and {{port}} ({error.strerror})")
    return text.format(listen=listen, port=port)
