"""Where HomeKit listens, what is announced of it, and the handlers of the local API for it.

It listens on `apis.homekit_listen` and nowhere else. The protocol encrypts by itself, so there is no TLS. Must never be
a fault of heating: what cannot be opened is a problem with a remedy, and is tried again.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING

from agent.config.port_tables import ApisConfig
from agent.foundation.supervisor import contain_failure
from agent.local.homekit import HomeKitReport, HomeKitUnpaired, NewHomeKitCode
from agent.local.routes import Caller, Handler, LocalRequest, RequestRefused
from agent.port.announcement.records import ServiceRecord
from agent.port.http.endpoints import Endpoint, endpoints_of
from agent.port.http.gates import user_name
from agent.port.http.interfaces import device_of, interface_addresses
from agent.port.http.listeners import RETRY_S, bind, keep_alive, remedy_of
from agent.port.sign_in.handlers import may_make_secret

if TYPE_CHECKING:
    from agent.apis.homekit.service import HomeKitService

SERVICE_TYPE = "_hap._tcp"
OFF = "set apis.homekit = true in the configuration first: HomeKit is switched off"


class HomeKitListeners:
    """The listeners of HomeKit. Their loop is `run`.

    Attributes:
        problems: Why some are not open, in words.
    """

    def __init__(
        self,
        homekit: "HomeKitService",
        config: ApisConfig,
        *,
        add_fault: Callable[[str], None],
        addresses_of: Callable[[str], Sequence[str]] = interface_addresses,
    ) -> None:
        """Prepare; nothing listens.

        Args:
            homekit: Takes the connections.
            config: Where to listen.
            add_fault: Shows a problem, once.
            addresses_of: See `endpoints_of`.
        """
        self.homekit = homekit
        self._config = config
        self._add_fault = add_fault
        self._addresses_of = addresses_of
        self._open: dict[Endpoint, asyncio.Server] = {}
        self.problems: Sequence[str] = ()

    @property
    def open_endpoints(self) -> Sequence[tuple[Endpoint, int]]:
        """What is open now, each with its port."""
        return [(endpoint, server.sockets[0].getsockname()[1]) for endpoint, server in self._open.items()]

    @property
    def announced(self) -> Sequence[ServiceRecord]:
        """What is announced in the local network, only on the interfaces on which it listens."""
        txt = tuple(f"{name}={value}" for name, value in self.homekit.announcement.items())
        found: dict[str, ServiceRecord] = {}
        for endpoint, port in self.open_endpoints:
            if txt and not ip_address(endpoint.address).is_loopback:
                device = endpoint.device or device_of(endpoint.address)
                found.setdefault(device, ServiceRecord(SERVICE_TYPE, port, device, txt))
        return [found[""]] if "" in found else sorted(found.values())

    async def run(self) -> None:
        """Listen until cancelled."""
        try:
            while True:
                with contain_failure("opening HomeKit"):
                    await self._reconcile()
                await asyncio.sleep(RETRY_S)
        finally:
            for server in self._open.values():
                server.close()
            self._open.clear()

    async def _reconcile(self) -> None:
        """Open what is wanted and closed, close what is open and gone. Without the library nothing is opened."""
        wanted: Sequence[Endpoint] = ()
        if self.homekit.is_installed:
            wanted, _ = endpoints_of(self._config.homekit_listen, self._addresses_of)
        for endpoint in set(self._open) - set(wanted):
            self._open.pop(endpoint).close()
        problems = []
        for endpoint in wanted:
            if endpoint in self._open:
                continue
            try:
                listening = bind(endpoint, self._config.homekit_port)
            except OSError as error:
                remedy = remedy_of(error, listen="apis.homekit_listen", port="apis.homekit_port")
                problems.append(f"HomeKit cannot be opened on {endpoint.address}: {remedy}")
                continue
            # Connections inherit it (socket(7)).
            keep_alive(listening)
            loop = asyncio.get_running_loop()
            self._open[endpoint] = await loop.create_server(self.homekit.make_connection, sock=listening)
        for problem in problems:
            if problem not in self.problems:
                self._add_fault(problem)
        self.problems = problems


def handlers(listeners: HomeKitListeners | None, session: Callable[[str], Caller | None]) -> Mapping[str, Handler]:
    """Return the handlers.

    Args:
        listeners: Of HomeKit; `None` where it is switched off.
        session: Returns the caller of a session cookie.
    """

    def known() -> "HomeKitService":
        if listeners is None:
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", OFF)
        return listeners.homekit

    async def get_homekit(_: LocalRequest) -> HomeKitReport:
        if listeners is None:
            return HomeKitReport(is_on=False, problem="", addresses=[], controllers=[], code_left_s=None)
        homekit = listeners.homekit
        return HomeKitReport(
            is_on=True,
            problem=homekit.problem or "; ".join(listeners.problems),
            addresses=[_typed(endpoint.address, port) for endpoint, port in listeners.open_endpoints],
            controllers=[each.id[:8].upper() for each in homekit.record.controllers],
            code_left_s=homekit.code_left_s or None,
        )

    async def make_homekit_code(request: LocalRequest) -> NewHomeKitCode:
        if not may_make_secret(request.caller, session(request.session), user_name(os.geteuid())):
            text = "use sudo, or sign in as owner on the page: this caller may not make a setup code"
            raise RequestRefused(HTTPStatus.FORBIDDEN, "forbidden", text)
        homekit = known()
        return NewHomeKitCode(homekit.new_code(), homekit.code_left_s)

    async def unpair_homekit(_: LocalRequest) -> HomeKitUnpaired:
        return HomeKitUnpaired(await known().unpair())

    return {each.__name__: each for each in (get_homekit, make_homekit_code, unpair_homekit)}


def _typed(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
