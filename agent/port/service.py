"""The technician's port as `agent.app` sees it: builds its parts, and gives their loops.

Its failure must never touch heating: `agent.app` supervises its loops as any others,
and control waits for none of them.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from agent import __version__
from agent.config import Config
from agent.config.network import is_loopback
from agent.config.port_tables import ApisConfig
from agent.errors import Defect
from agent.foundation import rfc3339
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.lazy_imports import import_server
from agent.foundation.supervisor import describe_error
from agent.foundation.worker import Worker
from agent.local.log import LogEntry
from agent.local.port import PortReport, sheet_address, sheet_addresses
from agent.local.routes import Handlers, Role
from agent.local.status_builder import HubReports
from agent.port.announcement.records import ServiceRecord, services_of
from agent.port.announcement.service import Announcement
from agent.port.bundle import handler as bundle_handler
from agent.port.events.stream import EventStream, hub_documents
from agent.port.http import unix_socket
from agent.port.http.access import CallerLookup, own_names
from agent.port.http.certificate import Certificate
from agent.port.http.endpoints import reachable_addresses, typed_addresses
from agent.port.http.interfaces import device_of, interface_addresses, interfaces
from agent.port.http.listeners import Listeners
from agent.port.sign_in.access_report import report_entry
from agent.port.sign_in.audit import Audit, NumberedEntry
from agent.port.sign_in.credentials import Credentials

if TYPE_CHECKING:
    from aiohttp import web

    from agent.apis.assembly import ApiService
    from agent.port.checks.facts import PortState
    from agent.port.homekit import HomeKitListeners


class PortService:
    """The port of one hub.

    Attributes:
        listeners: The TCP listeners.
        events: What is sent to those who listen.
        certificate: That of their TLS.
        audit: What callers have changed.
        credentials: Codes, sessions and tokens.
        apis: The local APIs; `None` where all are switched off.
        callers: Knows who has signed in.
        announcement: Tells the local network of it.
        homekit: Where HomeKit listens; `None` where it is switched off.
        clock: Of this boot.
        worker: Where writing blocks.
        names: The hub's own names.
        reports: Builds the documents.
        readiness: The checks of `/readyz`, by name.
        bundle_handlers: Those of the support bundle, which both servers share.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock,
        disk: Disk,
        worker: Worker,
        handlers: Callable[[], Handlers],
        reports: HubReports,
        readiness: Mapping[str, Callable[[], str]],
        log: Callable[[], Sequence[LogEntry]],
        apis: "ApiService | None",
        add_fault: Callable[[str], None],
    ) -> None:
        """Build the parts; nothing listens yet.

        Args:
            config: Where to listen, and where to keep what must outlive a restart.
            clock: Of this boot.
            disk: Keeps the certificate, credentials and the audit trail.
            worker: Where writing blocks.
            handlers: Returns the handlers of the components; called when the first visitor comes.
            reports: Builds the documents.
            readiness: The checks of `/readyz`, by name; each returns its problem.
            log: Returns the records that were added to the log since its last call.
            apis: The local APIs; `None` where all are switched off.
            add_fault: Shows a problem.
        """
        self._config = config.port
        self.apis = apis
        self._socket = config.local_api.socket
        self.names = own_names(os.uname().nodename, config.port.host_names)
        self._handlers_of_components = handlers
        self.clock = clock
        self.worker = worker
        self.reports = reports
        self.readiness = readiness
        self.events = EventStream(
            hub_documents(reports),
            {"log": log},
            now_ms=clock.monotonic_ms,
            # The start makes the run: a boot may have several.
            run_id=f"{clock.boot_id}-{clock.monotonic_ms()}",
        )
        self.audit = Audit(config.storage.state_dir, clock=clock, disk=disk, worker=worker)
        self.audit.on_entry(
            lambda entry: self.events.publish("audit", report_entry(NumberedEntry(None, entry)), Role.SERVICE)
        )
        self.credentials = Credentials(
            config.storage.state_dir,
            clock=clock,
            disk=disk,
            worker=worker,
            random_bytes=os.urandom,
            audit=self.audit,
            add_fault=add_fault,
        )
        self.callers: CallerLookup = self.credentials
        self.certificate = self._make_certificate(config, disk=disk, add_fault=add_fault)
        self.bundle_handlers = bundle_handler.handlers(config, all_handlers=self.handlers, clock=clock)
        self._loading = asyncio.Lock()
        self.listeners = Listeners(
            config.port, make_runner=self._network_server, tls=self.certificate.context, add_fault=add_fault
        )
        self.homekit = self._make_homekit(config.apis, add_fault=add_fault)
        self.announcement = Announcement(os.uname().nodename, services=self.services)

    def _make_certificate(self, config: Config, *, disk: Disk, add_fault: Callable[[str], None]) -> Certificate:
        return Certificate(
            config.port,
            config.storage.state_dir,
            names=lambda: [
                *sorted(self.names),
                *reachable_addresses(config.port.listen, interface_addresses, interfaces),
            ],
            clock=self.clock,
            disk=disk,
            worker=self.worker,
            add_fault=add_fault,
        )

    def _make_homekit(self, config: ApisConfig, *, add_fault: Callable[[str], None]) -> "HomeKitListeners | None":
        if self.apis is None or self.apis.homekit is None:
            return None
        from agent.port.homekit import HomeKitListeners  # noqa: PLC0415 - most hubs do without

        self.apis.homekit.audit_to(self.audit)
        return HomeKitListeners(self.apis.homekit, config, add_fault=add_fault)

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops, by the name under which their faults are shown."""
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "local API": lambda: unix_socket.serve(self._socket, self._socket_server),
            "events": self.events.run,
            "sign-in": self.credentials.run,
            "audit": self.audit.run,
        }
        if self.apis:
            loops |= self.apis.loops()
        if self._config.listen:
            loops |= {"port": self._listen, "port certificate": self.certificate.run}
        if self.homekit:
            loops["HomeKit port"] = self.homekit.run
        if self.homekit or any(not is_loopback(each) for each in self._config.listen):
            loops["announcement"] = self.announcement.run
        return loops

    def services(self) -> Sequence[ServiceRecord]:
        """Return what is announced in the local network."""
        own = services_of(
            self.listeners.open_endpoints,
            version=__version__,
            fingerprint=self.certificate.fingerprint,
            device_of=device_of,
        )
        return [*own, *(self.homekit.announced if self.homekit else ())]

    async def _listen(self) -> None:
        """Listen once it is known who may get in, so that a browser is not signed out by a restart."""
        await self.credentials.wait_until_loaded()
        if self.apis:
            await self.apis.wait_until_ready()
        await self.listeners.run()

    def handlers(self) -> Handlers:
        """Return the handlers of the components and of the port itself. Imports them all."""
        from agent.port.serving import own_handlers  # noqa: PLC0415 - nobody may ever visit

        return {**self._handlers_of_components(), **own_handlers(self)}

    def state(self) -> "PortState":
        """Return what the checks look at."""
        from agent.port.checks.facts import PortState  # noqa: PLC0415 - an idle hub does without

        ends_ms, utc_ms = self.certificate.ends_ms, self.clock.utc_ms()
        return PortState(
            tuple(each for each in self._config.listen if not is_loopback(each)),
            None if ends_ms is None or utc_ms is None else (ends_ms - utc_ms) / 1000,
            tuple(code.role.value for code in self.credentials.stored.codes),
            tuple(each for each in self._config.listen if is_loopback(each)),
        )

    async def close(self) -> None:
        """Write what the audit trail has in memory, after the loops have ended."""
        if self.apis:
            await self.apis.close()
        await self.audit.close()

    async def _network_server(self) -> "web.AppRunner":
        def make() -> "web.AppRunner":
            from agent.port.serving import make_network_runner  # noqa: PLC0415 - as above

            return make_network_runner(self)

        return await self._loaded(make)

    async def _socket_server(self) -> "web.AppRunner":
        def make() -> "web.AppRunner":
            from agent.port.serving import make_socket_runner  # noqa: PLC0415 - as above

            return make_socket_runner(self)

        return await self._loaded(make)

    async def _loaded(self, make: Callable[[], "web.AppRunner"]) -> "web.AppRunner":
        """Return a server that is made on a thread: a slow card must not hold up the event loop.

        Raises:
            Defect: It cannot be imported.
        """
        async with self._loading:
            try:
                await asyncio.to_thread(import_server)
                return await asyncio.to_thread(make)
            except (ImportError, SyntaxError) as error:
                text = f"install climahub again: the port cannot be loaded ({describe_error(error)})"
                raise Defect(text) from error

    def typed_addresses(self) -> Sequence[str]:
        """Return what a person types into a browser."""
        return typed_addresses(self.listeners.open_endpoints, interface_addresses, interfaces)

    def report(self) -> PortReport:
        """Return what the port says of itself."""
        ends_ms = self.certificate.ends_ms
        addresses = list(self.typed_addresses())
        return PortReport(
            addresses=addresses,
            problems=list(self.listeners.problems),
            fingerprint=self.certificate.fingerprint,
            is_own_certificate=self.certificate.is_operators,
            certificate_ends=rfc3339.render_known(ends_ms),
            name=os.uname().nodename,
            sheet_address=sheet_address(addresses),
            sheet_addresses=sheet_addresses(addresses),
        )
