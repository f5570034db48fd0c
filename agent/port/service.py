"""The technician's port as `agent.app` sees it: builds its parts, and gives their loops.

Its failure must never touch heating: `agent.app` supervises its loops as any others,
and control waits for none of them.
"""

import platform
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from aiohttp import web

from agent.config.tables import PortConfig
from agent.errors import ConfigInvalid
from agent.local.routes import Handler, Handlers
from agent.port import monitoring, page_files, unix_socket
from agent.port.access import AuditTrail, CallerLookup, own_names
from agent.port.gates import NetworkGate
from agent.port.listeners import Listeners
from agent.port.server import application, runner_of

IDLE_S_MAX = 15.0
"""How long a TCP connection may stay open without a request, and the head of a request without its end (slowloris)."""


class PortService:
    """The port of one hub.

    Attributes:
        listeners: The TCP listeners.
        callers: Knows who has signed in; `None` where nobody can.
    """

    def __init__(
        self,
        config: PortConfig,
        *,
        socket: Path,
        handlers: Callable[[], Handlers],
        add_fault: Callable[[str], None],
        callers: CallerLookup | None = None,
        audit: AuditTrail | None = None,
    ) -> None:
        """Build the parts; nothing listens yet.

        Args:
            config: Where to listen.
            socket: The Unix socket.
            handlers: Returns the handlers of the components; called when a listener opens.
            add_fault: Shows a problem.
            callers: Knows who has signed in; without it nobody can on TCP.
            audit: Keeps what callers have changed.
        """
        self._config = config
        self._socket = socket
        self._handlers_of_components = handlers
        self.callers = callers
        self._audit = audit
        self.listeners = Listeners(config, make_runner=self._make_runner, tls=self._tls, add_fault=add_fault)

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops, by the name under which their faults are shown."""
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "local API": lambda: unix_socket.serve(self._socket, self.handlers(), self._audit)
        }
        if self._config.listen:
            loops["port"] = self.listeners.run
        return loops

    def handlers(self) -> Handlers:
        """Return the handlers of the components and of the port itself."""
        return {**self._handlers_of_components(), **self._own_handlers()}

    def _own_handlers(self) -> Mapping[str, Handler]:
        return {**page_files.handlers(), **monitoring.description_handlers(self.handlers)}

    def _make_runner(self) -> web.AppRunner:
        gate = NetworkGate(self.callers, own_names(platform.node(), self._config.host_names))
        return runner_of(application(self.handlers(), gate, self._audit), idle_s_max=IDLE_S_MAX)

    async def _tls(self) -> ssl.SSLContext:
        raise ConfigInvalid("this release listens on loopback and usb0 only")
