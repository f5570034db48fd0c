"""The machine below the agent as a whole: disk, supply, button and LED, wear of the storage. Runs its parts."""

import functools
from collections.abc import Awaitable, Callable, Mapping

from agent.foundation.machine_monitor import MachineMonitor
from agent.machine.interruption import Interruptible
from agent.machine.moved_card import MovedCard
from agent.machine.panel import BUTTON_ID, Panel
from agent.machine.storage_writes import StorageWritesLog
from agent.machine.supply import Supply


class MachineService:
    """What is known of the machine, and what is done about it.

    Attributes:
        monitor: Disk and power supply.
        supply: The battery.
        panel: Button and LED.
        writes: What is written to the storage each day.
        card: Notices that the card is in another machine; `None` where there is no card (a demo).
        reset: Resets the hub to its factory state, for a person who is at the hub.
    """

    def __init__(
        self,
        monitor: MachineMonitor,
        supply: Supply,
        panel: Panel,
        writes: StorageWritesLog,
        heating: Interruptible,
        *,
        card: MovedCard | None,
        reset: Callable[[], Awaitable[None]],
    ) -> None:
        """Take the parts; nothing runs yet.

        Args:
            monitor: Watches disk and power supply.
            supply: Follows the battery.
            panel: Follows the button, and shows the hub's state.
            writes: Counts what is written to the storage.
            heating: Ends the control of the home before the machine is powered off.
            card: Compares this machine with the one that the hub's key was first used on.
            reset: Resets the hub; raises `StorageFull`, and nothing has happened.
        """
        self.monitor = monitor
        self.supply = supply
        self.panel = panel
        self.writes = writes
        self.card = card
        self.reset = reset
        self._heating = heating

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops to run, by the name under which their faults are shown."""
        return {
            "machine": self.monitor.run,
            "supply": self.supply.run,
            "storage writes": self.writes.run,
            **({"card": self.card.run} if self.card else {}),
            **self.panel.loops(),
        }

    def heating(self, control: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """Return the loop of the control as it is to be run: one that ends before the machine is powered off."""
        return functools.partial(self._heating.run, control) if self.supply.limit_percent else control

    def confirming(self, confirm: Callable[[str], Awaitable[object]]) -> Callable[[str], Awaitable[object]]:
        """Return what records a person's confirmation: of the button's reset, or else by ``confirm``."""

        async def either(command_id: str) -> None:
            if command_id == BUTTON_ID:
                self.panel.confirm()
            else:
                await confirm(command_id)

        return either
