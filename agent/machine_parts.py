"""Builds what watches the machine below the agent, from the hub's environment and configuration. Decides nothing."""

from collections.abc import Awaitable, Callable

from agent.config import Config
from agent.environment import Environment
from agent.foundation.supervisor import Faults
from agent.machine.service import MachineService


def build_machine(
    config: Config, environment: Environment, faults: Faults, flush: Callable[[], Awaitable[None]]
) -> MachineService:
    """Return what watches the machine.

    Args:
        config: Of the hub.
        environment: Of the hub.
        faults: Receive what has happened.
        flush: Writes what is in memory to the disk; raises nothing.
    """
    return MachineService(
        config.storage.state_dir,
        environment.board,
        power_off_percent=config.ups.power_off_percent,
        meter_cells=config.ups.meter_cells,
        clock=environment.clock,
        host=environment.host,
        disk=environment.disk,
        worker=environment.worker,
        read_power=environment.read_power,
        flush=flush,
        add_fault=lambda text: faults.add("supply", text),
    )
