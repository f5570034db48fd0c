"""The wiring of a hub: builds the components, connects them, runs their loops and ends them in order.

The only file that imports all components. Must decide nothing about readings, commands or heat. `Hub` takes everything
that touches the outside as an argument, so `climahub run`, the demo and a simulation run the same wiring.
"""

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from agent.cloud.boot_spread import first_requests_ms
from agent.cloud.client import CloudClient
from agent.cloud.connectivity import Connectivity
from agent.cloud.data_usage import DataUsageLog
from agent.commands.handlers import CommandHandler
from agent.commands.lifecycle import CommandType
from agent.commands.poll_interval import poll_interval_s
from agent.commands.service import CommandService, build_handlers
from agent.config import Config
from agent.diagnostics import diagnostic_sections
from agent.environment import Environment, phase_of
from agent.foundation.supervisor import Faults, cancel, supervise
from agent.health import Health
from agent.local.status import HubStatus
from agent.local.status_builder import HubReports
from agent.machine.moved_card import elsewhere_of, guarded, label_of
from agent.machine_parts import build_machine
from agent.maintenance_parts import build_maintenance
from agent.ota.context import UpdateContext
from agent.ota.service import UpdateService
from agent.pairing.service import PairingService
from agent.port.assembly import PortAssembly
from agent.port.config_editor import build_editor
from agent.port.hub_parts import HubParts
from agent.sensor_parts import build_air, build_sensors
from agent.settings.sync import SettingsSync, show_time
from agent.telemetry.sampling import SamplingSchedule
from agent.telemetry.service import TelemetryService
from hal.channels import ScansBuses
from hal.interface import parts_of
from hal.radio import ShowsTime

if TYPE_CHECKING:
    from agent.climate.service import ClimateService

CONTROL_INTERVAL_S = 60
"""How often the hub's own sensors are read where they control something. Reports to the cloud keep their interval."""


class Hub:
    """All components of one hub."""

    def __init__(self, config: Config, environment: Environment) -> None:
        """Build the components; nothing runs yet.

        Raises:
            ConfigInvalid: The configuration does not fit the board, or the key cannot be read.
        """
        self.config = config
        self.environment = environment
        self._port_clock = environment.port_clock or environment.clock
        clock, state = environment.clock, config.storage.state_dir
        self.faults = Faults(clock.monotonic_ms)
        for problem in environment.problems:
            self.faults.add("storage", problem)
        not_before_ms = first_requests_ms(clock.monotonic_ms(), environment.rng)
        self.connectivity = Connectivity(now_ms=clock.monotonic_ms, rng=environment.rng, not_before_ms=not_before_ms)
        self.client = self._client()
        self.usage = DataUsageLog(
            state,
            usages=self.client.data_usage.values,
            clock=clock,
            disk=environment.disk,
            worker=environment.worker,
        )
        self.settings = SettingsSync(
            state,
            disk=environment.disk,
            worker=environment.worker,
            client=self.client.settings,
            poll_interval_s=config.cloud.settings_poll_interval_s,
            rng=environment.rng,
            label=label_of(environment.card),
            is_elsewhere=elsewhere_of(environment.card),
        )
        self.pairing = PairingService(
            state,
            network=environment.board.network,
            keys=environment.sensor_keys,
            clock=clock,
            port_clock=self._port_clock,
            disk=environment.disk,
            worker=environment.worker,
            client=self.client.provisioning,
        )
        self.machine = build_machine(self)
        self.sensors = build_sensors(self)
        self.air = build_air(self)
        self.telemetry = self._telemetry()
        self.settings.on_change(lambda _: self.telemetry.sampler.schedule_changed())
        self.health: Health = self._health()
        self.commands: CommandService = self._commands()
        self.updates = self._updates()
        self.climate = self._climate()
        self.maintenance = build_maintenance(self)
        self.config_editor = build_editor(environment.running_config, self._port_clock, lambda: self.port.audit)
        self.reports: HubReports = self._reports()
        self.assembly = self._assembly()
        self.port, self.hardware_tests = self.assembly.service, self.assembly.hardware_tests
        self.port.credentials.on_use = self.commands.look_at_interval
        self.home = self.assembly.home

    def _assembly(self) -> PortAssembly:
        environment = self.environment
        return PortAssembly(
            self._parts(),
            clock=self._port_clock,
            sensors=lambda: (*environment.board.sensors, *self.air.sensors),
            led=self.machine.panel.led,
            buses=environment.board if isinstance(environment.board, ScansBuses) else None,
            editor=self.config_editor,
            log_ring=environment.log_ring,
            readiness=self.health.readiness_checks(self._interval_s),
            interval_s=self._interval_s,
            confirm_command=self.machine.confirming(self.commands.confirm),
            new_id=lambda: f"{environment.rng.getrandbits(32):08x}",
            add_fault=lambda text: self.faults.add("port", text),
            remove_fault=lambda text: self.faults.remove("port", text),
        )

    def _parts(self) -> HubParts:
        environment, running = self.environment, self.environment.running_config
        return HubParts(
            config=self.config,
            config_file=environment.config_file,
            file_at_start=lambda: running.resolve({}).config if running else self.config,
            environ=environment.environ,
            clock=environment.clock,
            timekeeper=environment.timekeeper,
            host=environment.host,
            disk=environment.disk,
            worker=environment.worker,
            reports=self.reports,
            starts=environment.starts,
            client=self.client,
            rng=environment.rng,
            telemetry=self.telemetry,
            sensors=self.sensors,
            settings=self.settings,
            commands=self.commands,
            pairing=self.pairing,
            network=environment.board.network,
            updates=self.updates,
            climate=self.climate,
            maintenance=self.maintenance,
            machine=self.machine,
        )

    def _client(self) -> CloudClient:
        cloud, environment = self.config.cloud, self.environment
        return CloudClient(
            environment.session,
            base_url=cloud.base_url,
            read_key=guarded(environment.card, environment.read_key),
            clock=environment.clock,
            connectivity=self.connectivity,
            ledger=environment.ledger,
            request_timeout_s=cloud.request_timeout_s,
            compress=cloud.gzip == "auto",
            timekeeper=environment.timekeeper,
            options=environment.options,
        )

    def _telemetry(self) -> TelemetryService:
        environment = self.environment
        return TelemetryService(
            self.config,
            board=environment.board,
            check_for=environment.check_for,
            client=self.client.telemetry,
            identities=self.pairing.identities,
            schedule=self._sampling_schedule,
            phase=phase_of(environment.read_key() or ""),
            clock=environment.clock,
            rng=environment.rng,
            disk=environment.disk,
            worker=environment.worker,
            add_fault=lambda text: self.faults.add("outbox", text),
            on_committed=environment.on_committed,
            on_memory_send=environment.on_memory_send,
            correct=lambda reading: self.air.judge(self.sensors.judge(reading)),
            derived=lambda: self.air.sensors,
            label=label_of(environment.card),
            is_elsewhere=elsewhere_of(environment.card),
        )

    def _commands(self) -> CommandService:
        config, environment = self.config, self.environment
        return CommandService(
            config.storage.state_dir,
            client=self.client.commands,
            clock=environment.clock,
            rng=environment.rng,
            disk=environment.disk,
            worker=environment.worker,
            handlers=self._handlers(),
            interval_s=self._poll_interval_s,
            config=config.commands,
            add_fault=lambda text: self.faults.add("commands", text),
            machine=environment.card.machine if environment.card else "",
            is_elsewhere=elsewhere_of(environment.card),
        )

    def _updates(self) -> UpdateService | None:
        running = self.environment.running
        if running is None:
            return None
        storage = self.config.storage
        return UpdateService(
            storage.state_dir,
            UpdateContext(
                config=self.config.ota,
                running=running,
                client=self.client.updates,
                clock=self.environment.clock,
                rng=self.environment.rng,
                disk=self.environment.disk,
                disk_free_bytes_min=storage.disk_free_bytes_min,
                system_updater=self.environment.installer,
                checks=self.health.checks(),
                fresh_sensors=lambda: self.health.fresh_sensors(self._interval_s()),
                local_time=self._local_time,
                is_metered=self._is_metered,
                before_reboot=self.health.wait_for_clock,
                reboot=self.health.reboot,
                add_fault=lambda text: self.faults.add("updates", text),
                phase=phase_of(self.environment.read_key() or ""),
                last_end=self.health.previous_end,
            ),
        )

    def _local_time(self) -> datetime | None:
        return self.settings.local_time(self.environment.clock.utc_ms())

    def _climate(self) -> "ClimateService | None":
        """Return the climate control where the configuration has zones.

        Raises:
            ConfigInvalid: The board has no output for a zone.
        """
        if not self.config.climate.zones:
            return None
        # Imported late: a hub that controls nothing saves 2 MiB.
        from agent.climate.assembly import build_climate  # noqa: PLC0415

        environment = self.environment
        return build_climate(
            self.config,
            outputs=environment.board.outputs,
            channels=self.telemetry.intake.channels,
            devices=self.pairing.queries.devices_by_name,
            network=environment.board.network,
            timezone=lambda: self.settings.current.timezone,
            clock=environment.clock,
            disk=environment.disk,
            worker=environment.worker,
            add_fault=lambda text: self.faults.add("climate", text),
        )

    def _handlers(self) -> Mapping[CommandType, CommandHandler]:
        environment = self.environment
        return build_handlers(
            self.config.storage.state_dir,
            settings=self.settings,
            sections=diagnostic_sections(
                status=self.status,
                client=self.client,
                state_dir=self.config.storage.state_dir,
                poll_interval_s=self._poll_interval_s,
                is_metered=self._is_metered,
                updates=lambda: self.updates,
                climate=lambda: self.climate,
                radio=lambda: self.reports.zigbee() if self.telemetry.receiver else None,
            ),
            flush=self.telemetry.flush,
            host=environment.host,
            read_key=environment.read_key,
            restart=environment.restart,
            is_volatile=lambda: self.commands.is_volatile,
            clock=environment.clock,
            disk=environment.disk,
            worker=environment.worker,
        )

    def _is_metered(self) -> bool:
        metered = self.config.cloud.metered
        return self.environment.is_metered() if metered == "auto" else metered == "yes"

    def _poll_interval_s(self) -> float:
        cloud = self.config.cloud
        since_s = (self.commands.arrived_s_ago, self.port.credentials.used_s_ago)
        active_s, idle_s = cloud.commands_poll_interval_s, cloud.commands_idle_poll_interval_s
        return poll_interval_s(since_s, active_s, idle_s, is_metered=self._is_metered())

    def _sampling_schedule(self) -> SamplingSchedule:
        settings = self.settings.current
        control_interval_s = CONTROL_INTERVAL_S if self.config.climate.zones else None
        return SamplingSchedule(settings.reporting_interval_seconds, self.settings.kinds, control_interval_s)

    def _interval_s(self) -> float:
        return self._sampling_schedule().interval_s

    def status(self) -> HubStatus:
        """Return the status document."""
        return self.reports.status()

    def reload_keys(self) -> None:
        """Use the keys as they are on the disk now.

        Raises:
            ConfigInvalid: The hub's own key cannot be read; the old one stays in use.
        """
        self.pairing.keys_changed()
        self.port.certificate.look_now()
        self.client.reload_key()

    def _loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops of all components, by the name under which their faults are shown."""
        environment = self.environment
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            **self.telemetry.loops(),
            **self.sensors.loops(),
            **self.air.loops(),
            **self.machine.loops(),
            "settings": self.settings.run,
            "data usage": self.usage.run,
            "commands": self.commands.run,
            "service manager": self.health.feed_watchdog,
        }
        if starts := environment.starts:
            loops["starts"] = lambda: starts.run(environment.worker)
        if self.updates:
            loops["updates"] = self.updates.run
        if self.climate:
            loops["climate"] = self.machine.heating(self.climate.run)
        if self.maintenance:
            loops |= self.maintenance.loops()
        if self.hardware_tests:
            loops["hardware tests"] = self.hardware_tests.run
        if environment.board.network is not None:
            loops |= self.pairing.loops(self.telemetry)
        for displays in (part for part in parts_of(environment.board.network) if isinstance(part, ShowsTime)):
            loops["display clock"] = functools.partial(show_time, displays, self._local_time)
        loops |= self.home.loops()
        if environment.serve:
            loops |= self.assembly.loops()
        return loops

    def _port_loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops that serve people, whose requests they also carry out."""
        return self.assembly.people_loops() if self.environment.serve else {}

    def _health(self) -> Health:
        environment = self.environment
        return Health(
            status=self.status,
            telemetry=self.telemetry,
            pairing=self.pairing.queries,
            climate=lambda: self.climate,
            cloud_state=lambda: self.connectivity.status.state,
            host=environment.host,
            starts=environment.starts,
            socket=self.config.local_api.socket if environment.serve else None,
        )

    def _reports(self) -> HubReports:
        environment = self.environment
        return HubReports(
            board=environment.board,
            clock=environment.clock,
            timekeeper=environment.timekeeper,
            starts=environment.starts,
            client=self.client,
            usage=self.usage.days,
            faults=self.faults,
            machine=self.machine,
            disk_free_bytes_min=self.config.storage.disk_free_bytes_min,
            telemetry=self.telemetry,
            sensors=self.sensors,
            settings=self.settings,
            commands=self.commands,
            pairing=self.pairing.queries,
            updates=self.updates,
            climate=self.climate,
            control_problem=self.health.control_problem,
            config_trial=self.config_editor.trial if self.config_editor else lambda: None,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then write everything in memory to the disk."""
        environment = self.environment
        run = functools.partial(
            supervise, faults=self.faults, now_ms=environment.clock.monotonic_ms, rng=environment.rng
        )
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(run(name, work), name=name, context=context)
                for loops, context in ((self._loops(), None), (self._port_loops(), environment.port_context))
                for name, work in loops.items()
            ]
            environment.host.ready()
            await stop.wait()
            environment.host.stopping()
            # Outputs go off and memory goes to the disk first: the process may not have long.
            await asyncio.gather(self.health.flush(), self._cancel(tasks))
        await self._end()

    async def _cancel(self, tasks: Sequence["asyncio.Task[None]"]) -> None:
        """End the loops, that of updates last: it records an orderly end."""
        await cancel([task for task in tasks if task.get_name() != "updates"])
        if self.updates:
            await self.updates.stop()
        await cancel(tasks)

    async def _end(self) -> None:
        """Stop listening, and write what has arrived until then to the disk."""
        async with contextlib.AsyncExitStack() as last:
            # The last one is called first. A failure does not keep the others from their end.
            last.push_async_callback(self.port.close)
            last.push_async_callback(self.usage.save)
            last.push_async_callback(self.machine.writes.save)
            last.push_async_callback(self.commands.close)
            last.push_async_callback(self.sensors.save)
            last.push_async_callback(self.air.save)
            if self.maintenance:
                last.push_async_callback(self.maintenance.save)
            last.push_async_callback(self.telemetry.close)
            last.push_async_callback(self.environment.board.close)
