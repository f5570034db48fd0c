"""The technician's port as `agent.app` sees it: builds its parts, and gives their loops.

Its failure must never touch heating: `agent.app` supervises its loops as any others,
and control waits for none of them.
"""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from aiohttp import web

from agent import __version__
from agent.config import Config
from agent.config.network import is_loopback
from agent.config.port_tables import ApisConfig
from agent.foundation import rfc3339
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker
from agent.local import port as local_port
from agent.local.log import LogEntry
from agent.local.port import PortReport
from agent.local.routes import Handler, Handlers, Role
from agent.local.status_builder import HubReports
from agent.port import api_clients, facts, homekit, monitoring, page_files, webhooks
from agent.port.announcement.records import ServiceRecord, services_of
from agent.port.announcement.service import Announcement
from agent.port.bundle import handler as bundle_handler
from agent.port.events import stream
from agent.port.events.stream import EventStream, hub_documents
from agent.port.http import unix_socket
from agent.port.http.access import CallerLookup, own_names
from agent.port.http.certificate import Certificate
from agent.port.http.endpoints import reachable_addresses, typed_addresses
from agent.port.http.gates import NetworkGate, user_name
from agent.port.http.interfaces import device_of, interface_addresses, interfaces
from agent.port.http.listeners import Listeners
from agent.port.http.server import application, runner_of
from agent.port.sign_in import handlers as sign_in_handlers
from agent.port.sign_in.access_report import report_entry
from agent.port.sign_in.audit import Audit, NumberedEntry
from agent.port.sign_in.credentials import Credentials

if TYPE_CHECKING:
    from agent.apis.assembly import ApiService
    from agent.port.checks.facts import PortState
    from agent.port.http.api_mount import MountedApis

IDLE_S_MAX = 15.0
"""How long a TCP connection may stay open without a request, and the head of a request without its end (slowloris)."""


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
            handlers: Returns the handlers of the components; called when a listener opens.
            reports: Builds the documents.
            readiness: The checks of `/readyz`, by name; each returns its problem.
            log: Returns the records that were added to the log since its last call.
            apis: The local APIs; `None` where all are switched off.
            add_fault: Shows a problem.
        """
        self._config = config.port
        self.apis = apis
        self._socket = config.local_api.socket
        self._names = own_names(os.uname().nodename, config.port.host_names)
        self._handlers_of_components = handlers
        self._clock = clock
        self._worker = worker
        self._reports = reports
        self._readiness = readiness
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
        self._bundle_handlers = bundle_handler.handlers(config, all_handlers=self.handlers, clock=clock)
        self.listeners = Listeners(
            config.port, make_runner=self._make_runner, tls=self.certificate.context, add_fault=add_fault
        )
        self.homekit = self._make_homekit(config.apis, add_fault=add_fault)
        self.announcement = Announcement(os.uname().nodename, services=self.services)

    def _make_certificate(self, config: Config, *, disk: Disk, add_fault: Callable[[str], None]) -> Certificate:
        return Certificate(
            config.port,
            config.storage.state_dir,
            names=lambda: [
                *sorted(self._names),
                *reachable_addresses(config.port.listen, interface_addresses, interfaces),
            ],
            clock=self._clock,
            disk=disk,
            worker=self._worker,
            add_fault=add_fault,
        )

    def _make_homekit(
        self, config: ApisConfig, *, add_fault: Callable[[str], None]
    ) -> "homekit.HomeKitListeners | None":
        if self.apis is None or self.apis.homekit is None:
            return None
        self.apis.homekit.audit_to(self.audit)
        return homekit.HomeKitListeners(self.apis.homekit, config, add_fault=add_fault)

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops, by the name under which their faults are shown."""
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "local API": lambda: unix_socket.serve(
                self._socket, self.handlers(), self.audit, self.callers, self._mounted_apis()
            ),
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
        """Return the handlers of the components and of the port itself."""
        return {**self._handlers_of_components(), **self._own_handlers()}

    def _own_handlers(self) -> Mapping[str, Handler]:
        user = user_name(os.geteuid())
        return {
            **page_files.handlers(self._worker),
            **local_port.handlers(self._report),
            **stream.handlers(self.events),
            **monitoring.handlers(
                self._readiness,
                status=self._reports.status,
                climate=self._reports.climate,
                zigbee=self._reports.zigbee,
            ),
            **monitoring.description_handlers(self.handlers),
            **self._bundle_handlers,
            **api_clients.handlers(self.apis, self._clock, self.credentials.session, self.typed_addresses),
            **facts.handlers(self.apis),
            **homekit.handlers(self.homekit, self.credentials.session),
            **webhooks.handlers(self.apis.webhooks if self.apis else None, self.credentials.session),
            **sign_in_handlers.handlers(self.credentials, self.audit, self._clock, service_user=user),
        }

    def state(self) -> "PortState":
        """Return what the checks look at."""
        from agent.port.checks.facts import PortState  # noqa: PLC0415 - an idle hub does without

        ends_ms, utc_ms = self.certificate.ends_ms, self._clock.utc_ms()
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

    def _mounted_apis(self) -> "MountedApis | None":
        if self.apis is None:
            return None
        from agent.port.http.api_mount import MountedApis  # noqa: PLC0415 - hubs without local APIs do without

        apis = self.apis
        return MountedApis(apis.faces, apis.limits, lambda: apis.is_ready)

    def _make_runner(self) -> web.AppRunner:
        gate = NetworkGate(self.callers, self._names, self.listeners.know)
        made = application(self.handlers(), gate, self.audit, self._mounted_apis())
        return runner_of(made, idle_s_max=IDLE_S_MAX)

    def typed_addresses(self) -> Sequence[str]:
        """Return what a person types into a browser."""
        return typed_addresses(self.listeners.open_endpoints, interface_addresses, interfaces)

    def _report(self) -> PortReport:
        ends_ms = self.certificate.ends_ms
        return PortReport(
            addresses=list(self.typed_addresses()),
            problems=list(self.listeners.problems),
            fingerprint=self.certificate.fingerprint,
            is_own_certificate=self.certificate.is_operators,
            certificate_ends=rfc3339.render_known(ends_ms),
        )
