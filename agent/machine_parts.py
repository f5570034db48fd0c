"""Builds what watches the machine below the agent, from the parts of a hub. Decides nothing."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from agent.commands.service import CommandService
from agent.config import Config
from agent.environment import Environment
from agent.foundation.machine_monitor import MachineMonitor
from agent.foundation.supervisor import Faults
from agent.health import Health
from agent.local.problem import Level
from agent.local.status_builder import HubReports
from agent.machine.interruption import Interruptible
from agent.machine.light import Condition
from agent.machine.panel import Panel
from agent.machine.service import MachineService
from agent.machine.storage_writes import StorageWritesLog
from agent.machine.supply import Supply
from agent.machine.supply_reader import SupplyReader
from agent.pairing.requests import JoinWindowRequest
from agent.pairing.service import PairingService
from hal.channels import FindsChannels
from hal.interface import HasButton, HasLed

CONDITIONS: Mapping[Level, Condition] = MappingProxyType(
    {Level.OK: Condition.WELL, Level.ATTENTION: Condition.ATTENTION, Level.FAULT: Condition.FAULT}
)


class HubParts(Protocol):
    """What of a hub is needed; what is built later is asked for later."""

    config: Config
    environment: Environment
    faults: Faults
    health: Health
    pairing: PairingService
    commands: CommandService
    reports: HubReports


def build_machine(hub: HubParts) -> MachineService:
    """Return what watches the machine of a hub."""
    config, environment = hub.config, hub.environment
    board, clock = environment.board, environment.clock
    heating = Interruptible()
    monitor = MachineMonitor(
        config.storage.state_dir,
        disk=environment.disk,
        worker=environment.worker,
        read_power=environment.read_power,
    )
    is_followed = isinstance(board, FindsChannels)
    supply = Supply(
        SupplyReader(board, clock, meter_cells=config.ups.meter_cells) if isinstance(board, FindsChannels) else None,
        limit_percent=config.ups.power_off_percent if is_followed else 0,
        clock=clock,
        host=environment.host,
        flush=lambda: hub.health.flush(),  # noqa: PLW0108 - it is built later
        heating=heating,
        add_fault=lambda text: hub.faults.add("supply", text),
        explain_stop=environment.starts.explain_stop if environment.starts else lambda _: None,
    )
    writes = StorageWritesLog(
        config.storage.state_dir,
        clock=clock,
        disk=environment.disk,
        worker=environment.worker,
        read=environment.read_writes,
    )
    panel = _panel(hub, supply)
    return MachineService(
        monitor,
        supply,
        panel,
        writes,
        heating,
        card=environment.card,
        reset=lambda: hub.commands.reset(),  # noqa: PLW0108 - it is built later
    )


def _panel(hub: HubParts, supply: Supply) -> Panel:
    board = hub.environment.board

    def condition() -> Condition:
        return Condition.ON_BATTERY if supply.is_on_battery else CONDITIONS[hub.reports.verdict().level]

    def is_pairing() -> bool:
        radio = hub.pairing.queries.radio
        return radio is not None and radio.radio.join_window_until_ms is not None

    return Panel(
        board.led if isinstance(board, HasLed) else None,
        board.button if isinstance(board, HasButton) else None,
        shows_status=hub.config.board.linux.status_led,
        condition=condition,
        is_pairing=is_pairing,
        pair=lambda: hub.pairing.actions.open_join_window(JoinWindowRequest(is_many=True)),
        reset=lambda: hub.commands.reset(),  # noqa: PLW0108 - it is built later
        now_ms=hub.environment.clock.monotonic_ms,
        add_fault=lambda text: hub.faults.add("button", text),
    )
