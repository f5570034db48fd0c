"""The HTTP servers of the port with every handler behind them. Imported when the first visitor comes.

Nothing is answered before: `agent.port.http.listeners` and `agent.port.http.unix_socket` accept nobody until one of
these servers is made, whole, with the gate in front of the table of routes.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aiohttp import web

from agent.local import boots as local_boots
from agent.local import calibration as local_calibration
from agent.local import climate as local_climate
from agent.local import commands as local_commands
from agent.local import log as local_log
from agent.local import maintenance as local_maintenance
from agent.local import port as local_port
from agent.local import status_builder
from agent.local import updates as local_updates
from agent.local import zigbee as local_zigbee
from agent.local.routes import Handler, Handlers
from agent.port import alerts, api_clients, cloud_key, config_editor, facts, homekit, monitoring, page_files, webhooks
from agent.port.events import stream
from agent.port.hardware import handlers as hardware_handlers
from agent.port.history import recorder
from agent.port.http.gates import NetworkGate, user_name
from agent.port.http.server import application, runner_of, socket_runner
from agent.port.sign_in import handlers as sign_in_handlers

if TYPE_CHECKING:
    from agent.port.assembly import PortAssembly
    from agent.port.http.api_mount import MountedApis
    from agent.port.service import PortService

IDLE_S_MAX = 15.0
"""How long a TCP connection may stay open without a request, and the head of a request without its end (slowloris)."""


def make_network_runner(port: "PortService") -> web.AppRunner:
    """Return the server of all TCP listeners, not set up yet."""
    gate = NetworkGate(port.callers, port.names, port.listeners.know)
    made = application(port.handlers(), gate, port.audit, _mounted_apis(port))
    return runner_of(made, idle_s_max=IDLE_S_MAX)


def make_socket_runner(port: "PortService") -> web.AppRunner:
    """Return the server of the Unix socket, not set up yet."""
    return socket_runner(port.handlers(), port.audit, port.callers, _mounted_apis(port))


def _mounted_apis(port: "PortService") -> "MountedApis | None":
    if port.apis is None:
        return None
    from agent.port.http.api_mount import MountedApis  # noqa: PLC0415 - hubs without local APIs do without

    apis = port.apis
    return MountedApis(apis.faces, apis.limits, lambda: apis.is_ready)


def handlers_of_components(parts: "PortAssembly") -> Handlers:
    """Return the handlers of a hub's components, by the names of the table of routes."""
    hub = parts.hub
    return {
        **status_builder.handlers(hub.reports.status, hub.reports.verdict),
        **parts.checks.handlers(),
        **parts.repairs.handlers(),
        **local_boots.handlers(lambda: hub.starts.boots if hub.starts else ()),
        **local_commands.handlers(hub.reports.commands, parts.confirm_command),
        **local_climate.handlers(hub.climate, lambda: parts.home.home.thermostats),
        **local_maintenance.handlers(lambda: hub.maintenance),
        **alerts.handlers(parts.service.apis, hub.maintenance),
        **local_zigbee.handlers(hub.pairing.actions, hub.reports.zigbee),
        **local_calibration.handlers(hub.sensors),
        **local_updates.handlers(hub.updates),
        **recorder.handlers(parts.history),
        **hardware_handlers.handlers(parts.hardware_tests, parts.live, parts.radio_channel, parts.identify),
        **config_editor.handlers(parts.editor),
        **cloud_key.handlers(parts.cloud_key),
        **local_log.handlers(parts.log_ring, hub.clock.utc_ms),
    }


def own_handlers(port: "PortService") -> Mapping[str, Handler]:
    """Return the handlers of the port itself, by the names of the table of routes."""
    return {
        **page_files.handlers(port.worker),
        **local_port.handlers(port.report),
        **stream.handlers(port.events),
        **monitoring.handlers(
            port.readiness,
            status=port.reports.status,
            climate=port.reports.climate,
            zigbee=port.reports.zigbee,
        ),
        **monitoring.description_handlers(port.handlers),
        **port.bundle_handlers,
        **api_clients.handlers(port.apis, port.clock, port.credentials.session, port.typed_addresses),
        **facts.handlers(port.apis),
        **homekit.handlers(port.homekit, port.credentials.session),
        **webhooks.handlers(port.apis.webhooks if port.apis else None, port.credentials.session),
        **sign_in_handlers.handlers(port.credentials, port.audit, port.clock, service_user=user_name(os.geteuid())),
    }
