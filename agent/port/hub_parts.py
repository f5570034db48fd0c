"""The parts of a hub that checks and repairs look at and ask: values and components, wired by `agent.app`."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent.cloud.client import CloudClient
from agent.commands.service import CommandService
from agent.config import Config
from agent.foundation.clock import Clock, Timekeeper
from agent.foundation.disk import Disk
from agent.foundation.host import Host
from agent.foundation.start_history import StartHistory
from agent.foundation.worker import Worker
from agent.local.status_builder import HubReports
from agent.machine.service import MachineService
from agent.ota.service import UpdateService
from agent.pairing.service import PairingService
from agent.sensors.service import SensorsService
from agent.settings.sync import SettingsSync
from agent.telemetry.service import TelemetryService
from hal.interface import SensorNetwork

if TYPE_CHECKING:
    from agent.climate.service import ClimateService
    from agent.maintenance.service import MaintenanceService


class HubParts(msgspec.Struct, frozen=True, kw_only=True):
    """One hub.

    Attributes:
        config: In force.
        config_file: Where it was read; `None` where there is no file (a demo).
        file_at_start: Returns what the file held at the start, without the changes that were made at the hub.
        environ: Of the process.
        clock: The machine's clocks.
        timekeeper: How the time is known; `None` where it is always right.
        host: The service manager.
        disk: Reads and writes.
        worker: Runs what blocks on the disk.
        reports: Makes the documents of the local API.
        starts: Earlier processes and boots; `None` where there is one process only.
        client: The way to the cloud.
        rng: For the jitter of waits.
        telemetry: Readings.
        sensors: What is known of each sensor beyond its readings.
        settings: The device settings.
        commands: The cloud's commands.
        pairing: Sensors of the radio.
        network: The radio; `None` without one.
        updates: `None` where nothing can be updated.
        climate: `None` where the hub drives nothing.
        maintenance: Watches the heating; `None` where the hub drives nothing.
        machine: What watches the machine below the agent.
    """

    config: Config
    config_file: Path | None
    file_at_start: Callable[[], Config]
    environ: Mapping[str, str]
    clock: Clock
    timekeeper: Timekeeper | None
    host: Host
    disk: Disk
    worker: Worker
    reports: HubReports
    starts: StartHistory | None
    client: CloudClient
    rng: random.Random
    telemetry: TelemetryService
    sensors: SensorsService
    settings: SettingsSync
    commands: CommandService
    pairing: PairingService
    network: SensorNetwork | None
    updates: UpdateService | None
    climate: "ClimateService | None"
    maintenance: "MaintenanceService | None"
    machine: MachineService
