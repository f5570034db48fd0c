"""The technician's port as a whole: builds its parts for one hub, and gives their loops and handlers.

`agent.app` makes one call here. Must decide nothing.
"""

import functools
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from agent.foundation.clock import Clock
from agent.foundation.log_ring import LogRing
from agent.home.assembly import HomeAssembly
from agent.home.parts import NOT_WATCHED, HomeParts
from agent.local import log as local_log
from agent.local.routes import Handlers
from agent.port.config_editor import ConfigEditor
from agent.port.history import recorder
from agent.port.hub_parts import HubParts
from agent.port.service import PortService
from hal.channels import ScansBuses
from hal.interface import Led, Sensor, parts_of
from hal.radio import ScansEnergy

if TYPE_CHECKING:
    from agent.apis.assembly import ApiService
    from agent.port.checks.repairs import Repairs
    from agent.port.checks.service import ChecksService
    from agent.port.cloud_key import CloudKeyService
    from agent.port.hardware.identify import Identify
    from agent.port.hardware.live_values import LiveValues
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
        hub: The hub's own parts.
        editor: Changes the configuration; `None` where it cannot be shown.
        identify: Lets the LED blink; `None` without one.
        log_ring: The last log records; `None` where the process keeps none.
        confirm_command: Records a person's confirmation of a command.
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
        self.hub = hub
        self._clock = clock
        self.log_ring = log_ring
        self.confirm_command = confirm_command
        self._new_id = new_id
        self.home = self._build_home()
        self.history = recorder.build_history(hub, interval_s=interval_s)
        self.editor = editor
        self.identify = None if led is None else self._build_identify(led)
        self._sensors, self._buses = sensors, buses
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

    def _build_home(self) -> HomeAssembly:
        hub = self.hub
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

    @staticmethod
    def _build_identify(led: Led) -> "Identify":
        from agent.port.hardware.identify import Identify  # noqa: PLC0415 - as above

        return Identify(led)

    def _build_hardware_tests(self) -> "HardwareTestService | None":
        hub = self.hub
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
        hub = self.hub
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
        if self.editor:
            loops["configuration"] = self.editor.run
        return loops

    def people_loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops that serve people, by the name under which their faults are shown."""
        blinking = {"identify": self.identify.run} if self.identify else {}
        return {**self.service.loops(), **blinking}

    def _handlers(self) -> Handlers:
        # Imported late, with the server: see there.
        from agent.port.serving import handlers_of_components  # noqa: PLC0415

        return handlers_of_components(self)

    @functools.cached_property
    def checks(self) -> "ChecksService":
        """What `climahub doctor` looks at."""
        from agent.port.checks.service import ChecksService  # noqa: PLC0415 - as above

        return ChecksService(self.hub, self.history, self.service.state)

    @functools.cached_property
    def repairs(self) -> "Repairs":
        """What may be repaired on request."""
        from agent.port.checks.repairs import Repairs  # noqa: PLC0415 - as above

        return Repairs(self.hub, renew_certificate=self.service.certificate.renew, on_repaired=self.checks.forget)

    @functools.cached_property
    def cloud_key(self) -> "CloudKeyService":
        """What stores a new key of the cloud."""
        from agent.port.cloud_key import CloudKeyService  # noqa: PLC0415 - as above

        hub = self.hub
        return CloudKeyService(hub.config, environ=hub.environ, disk=hub.disk, worker=hub.worker)

    @functools.cached_property
    def live(self) -> "LiveValues":
        """The present values of all sensors."""
        from agent.port.hardware.live_values import LiveValues  # noqa: PLC0415 - as above

        hub = self.hub
        return LiveValues(
            sensors=self._sensors,
            own=hub.telemetry.own_sensors,
            known=hub.sensors,
            intake=hub.telemetry.intake,
            network=hub.network,
            buses=self._buses,
            clock=hub.clock,
        )

    def radio_channel(self) -> int:
        """Return the channel of the hub's network; 0 while it is unknown."""
        radio = self.hub.pairing.queries.radio
        return radio.radio.channel if radio else 0
