"""The machine below the agent as a whole: its disk and supply. Builds its parts and runs them."""

import functools
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.host import Host
from agent.foundation.machine_monitor import MachineMonitor
from agent.foundation.system_info import Power
from agent.foundation.worker import Worker
from agent.machine.interruption import Interruptible
from agent.machine.supply import Supply
from agent.machine.supply_reader import SupplyReader
from hal.channels import FindsChannels
from hal.interface import Board


class MachineService:
    """What is known of the machine, and what is done about it.

    Attributes:
        monitor: Disk and power supply.
        supply: The battery.
    """

    def __init__(
        self,
        state_dir: Path,
        board: Board,
        *,
        power_off_percent: float,
        meter_cells: int,
        clock: Clock,
        host: Host,
        disk: Disk,
        worker: Worker,
        read_power: Callable[[], Power],
        flush: Callable[[], Awaitable[None]],
        add_fault: Callable[[str], None],
    ) -> None:
        """Build the parts; nothing runs yet.

        Args:
            state_dir: The state directory.
            board: Its channels are read.
            power_off_percent: See `Supply`, as for `host`, `flush` and `add_fault`.
            meter_cells: See `SupplyReader`.
            clock: Of the boot.
            host: The service manager and the machine.
            disk: Knows what can be wrong.
            worker: Runs what blocks.
            read_power: Returns what the kernel reports of the supply; blocks.
            flush: Writes what is in memory to the disk.
            add_fault: Records what has happened.
        """
        self._heating = Interruptible()
        self._is_interrupted_ever = power_off_percent > 0
        self.monitor = MachineMonitor(state_dir, disk=disk, worker=worker, read_power=read_power)
        self.supply = Supply(
            SupplyReader(board, clock, meter_cells=meter_cells) if isinstance(board, FindsChannels) else None,
            limit_percent=power_off_percent,
            clock=clock,
            host=host,
            flush=flush,
            heating=self._heating,
            add_fault=add_fault,
        )

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops to run, by the name under which their faults are shown."""
        return {"machine": self.monitor.run, "supply": self.supply.run}

    def heating(self, control: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """Return the loop of the control as it is to be run: one that ends before the machine is powered off."""
        return functools.partial(self._heating.run, control) if self._is_interrupted_ever else control
