"""The technician's port as a whole: builds its parts for one hub, and gives their loops and handlers.

`agent.app` makes one call here. Must decide nothing.
"""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from agent.foundation.clock import Clock
from agent.foundation.log_ring import LogRing
from agent.home.assembly import HomeAssembly
from agent.home.parts import NOT_WATCHED, HomeParts
from agent.local import boots as local_boots
from agent.local import calibration as local_calibration
from agent.local import climate as local_climate
from agent.local import commands as local_commands
from agent.local import log as local_log
from agent.local import maintenance as local_maintenance
from agent.local import status_builder
from agent.local import updates as local_updates
from agent.local import zigbee as local_zigbee
from agent.local.routes import Handlers
from agent.port import alerts, cloud_key, config_editor
from agent.port.checks.repairs import Repairs
from agent.port.checks.service import ChecksService
from agent.port.cloud_key import CloudKeyService
from agent.port.config_editor import ConfigEditor
from agent.port.hardware import handlers
from agent.port.hardware.identify import Identify
from agent.port.hardware.live_values import LiveValues
from agent.port.history import recorder
from agent.port.hub_parts import HubParts
from agent.port.service import PortService
from hal.channels import ScansBuses
from hal.interface import Led, Sensor, parts_of
from hal.radio import ScansEnergy

if TYPE_CHECKING:
    from agent.apis.assembly import ApiService
    from agent.port.hardware.runner import HardwareTestService

LEASE_BYTES = 16
"""Of what proves that a client has begun the running test."""


class PortAssembly:
    """All parts of one hub's port.

    Attributes:
        service: Listeners, sign-in, events and the audit trail.
        history: The values of the last days.
        hardware_tests: Tests of the outputs; `None` where the hub drives nothing.
        home: What every interface changes, and what APIs see.
        checks: What `climahub doctor` looks at.
        repairs: What may be repaired on request.
    """

    def __init__(
        self,
        hub: HubParts,
        *,
        clock: Clock,
        sensors: Callable[[], Sequence[Sensor]],
        led: Led | None,
        buses: ScansBuses | None,
        editor: ConfigEditor | None,
        log_ring: LogRing | None,
        readiness: Mapping[str, Callable[[], str]],
        interval_s: Callable[[], float],
        confirm_command: Callable[[str], Awaitable[object]],
        new_id: Callable[[], str],
        add_fault: Callable[[str], None],
        remove_fault: Callable[[str], None],
    ) -> None:
        """Build the parts; nothing listens yet.

        Args:
            hub: The hub's own parts.
            clock: Of the people at the port, for events, sessions and leases.
            sensors: Returns the hub's own.
            led: By which a person finds the hub; `None` without one.
            buses: Tells what answers on the machine's buses; `None` where it has none.
            editor: Changes the configuration; `None` where it cannot be shown.
            log_ring: The last log records; `None` where the process keeps none.
            readiness: The checks of `/readyz`, by name; each returns its problem.
            interval_s: Returns how often the hub's own sensors report.
            confirm_command: Records a person's confirmation of a command.
            new_id: Makes the id of a hold or a test.
            add_fault: Records a fault.
            remove_fault: Takes away a fault of this text that somebody has settled.
        """
        self._hub = hub
        self._clock = clock
        self._log_ring = log_ring
        self._confirm_command = confirm_command
        self._new_id = new_id
        self.home = self._build_home()
        self._live = LiveValues(
            sensors=sensors,
            own=hub.telemetry.own_sensors,
            known=hub.sensors,
            intake=hub.telemetry.intake,
            network=hub.network,
            buses=buses,
            clock=hub.clock,
        )
        self.history = recorder.build_history(hub, interval_s=interval_s)
        self._editor = editor
        self._cloud_key = CloudKeyService(hub.config, environ=hub.environ, disk=hub.disk, worker=hub.worker)
        self._identify = None if led is None else Identify(led)
        self.hardware_tests = self._build_hardware_tests()
        self.service = PortService(
            hub.config,
            clock=clock,
            disk=hub.disk,
            worker=hub.worker,
            handlers=self._handlers,
            reports=hub.reports,
            readiness=readiness,
            log=local_log.follow(log_ring, hub.clock.utc_ms),
            apis=self._build_apis(add_fault, remove_fault),
            add_fault=add_fault,
        )
        self.checks = ChecksService(hub, self.history, self.service.state)
        self.repairs = Repairs(hub, renew_certificate=self.service.certificate.renew, on_repaired=self.checks.forget)

    def _build_home(self) -> HomeAssembly:
        hub = self._hub
        machines = hub.maintenance.machines if hub.maintenance else None
        return HomeAssembly(
            HomeParts(
                climate=hub.climate,
                channels=hub.telemetry.intake.channels,
                pairing=hub.pairing.queries,
                board_name=hub.config.board.name,
                directory=hub.config.storage.state_dir,
                clock=hub.clock,
                disk=hub.disk,
                worker=hub.worker,
                new_id=self._new_id,
                offset_of=hub.sensors.offset,
                names_follow_spaces=hub.config.apis.names_follow_spaces,
                findings=lambda zone_id: hub.maintenance.findings().get(zone_id, ()) if hub.maintenance else (),
                alerts=hub.maintenance.alerts if hub.maintenance else None,
                observe_post=machines.add if machines else lambda *_: NOT_WATCHED,
            )
        )

    def _build_hardware_tests(self) -> "HardwareTestService | None":
        hub = self._hub
        if hub.climate is None:
            return None
        # Imported late, as the climate service.
        from agent.port.hardware.runner import HardwareTestService  # noqa: PLC0415

        return HardwareTestService(
            hub.config.storage.state_dir,
            climate=hub.climate,
            clock=hub.clock,
            port_clock=self._clock,
            disk=hub.disk,
            worker=hub.worker,
            new_id=self._new_id,
            new_lease=lambda: os.urandom(LEASE_BYTES).hex(),
            can_scan=any(isinstance(part, ScansEnergy) for part in parts_of(hub.network)),
        )

    def _build_apis(self, add_fault: Callable[[str], None], remove_fault: Callable[[str], None]) -> "ApiService | None":
        hub = self._hub
        if not hub.config.apis.any_on:
            return None
        # Imported late: a hub without local APIs does without.
        from agent.apis.assembly import build_service  # noqa: PLC0415

        return build_service(
            hub.config,
            home=self.home.home,
            clock=hub.clock,
            disk=hub.disk,
            worker=hub.worker,
            rng=hub.rng,
            random_bytes=os.urandom,
            new_id=self._new_id,
            add_fault=add_fault,
            remove_fault=remove_fault,
        )

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops beside those of `service`, by the name under which their faults are shown."""
        loops: dict[str, Callable[[], Awaitable[None]]] = {"history": self.history.run}
        if self._editor:
            loops["configuration"] = self._editor.run
        return loops

    def people_loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops that serve people, by the name under which their faults are shown."""
        blinking = {"identify": self._identify.run} if self._identify else {}
        return {**self.service.loops(), **blinking}

    def _handlers(self) -> Handlers:
        hub = self._hub
        return {
            **status_builder.handlers(hub.reports.status, hub.reports.verdict),
            **self.checks.handlers(),
            **self.repairs.handlers(),
            **local_boots.handlers(lambda: hub.starts.boots if hub.starts else ()),
            **local_commands.handlers(hub.reports.commands, self._confirm_command),
            **local_climate.handlers(hub.climate, lambda: self.home.home.thermostats),
            **local_maintenance.handlers(lambda: hub.maintenance),
            **alerts.handlers(self.service.apis, hub.maintenance),
            **local_zigbee.handlers(hub.pairing.actions, hub.reports.zigbee),
            **local_calibration.handlers(hub.sensors),
            **local_updates.handlers(hub.updates),
            **recorder.handlers(self.history),
            **handlers.handlers(self.hardware_tests, self._live, self._radio_channel, self._identify),
            **config_editor.handlers(self._editor),
            **cloud_key.handlers(self._cloud_key),
            **local_log.handlers(self._log_ring, hub.clock.utc_ms),
        }

    def _radio_channel(self) -> int:
        radio = self._hub.pairing.queries.radio
        return radio.radio.channel if radio else 0
