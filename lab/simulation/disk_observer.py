"""Tells the oracle what becomes durable in the hub's files: settings that a command changed, keys that were barred.

Reads the files as a stranger would, at each sync of their directory and at the beginning of each life. Must never ask
the agent.
"""

from collections.abc import Callable

import msgspec

from agent.foundation.disk import Operation
from lab.simulation.command_oracle import CommandOracle
from lab.simulation.machine import Machine

SETTINGS = "settings.json"
UNPROVISIONED = "unprovisioned"
OUTBOX = "outbox.db"


class _Settings(msgspec.Struct):
    applied: str = ""


class _Resets(msgspec.Struct):
    barred: list[str] = []


class DiskObserver:
    """Stands between the agent's disk and the machine."""

    def __init__(
        self,
        machine: Machine,
        oracle: CommandOracle,
        *,
        now_s: Callable[[], float],
        look_at_cloud: Callable[[], None],
        on_erased: Callable[[], None],
    ) -> None:
        """Begin.

        Args:
            machine: Lets operations happen, or not.
            oracle: Told of what is durable.
            now_s: Virtual seconds.
            look_at_cloud: Tells the oracle how the cloud holds the commands at this moment. An answer that drips ends
                seconds after the cloud has the ack, and the hub may act on its last byte.
            on_erased: Told when the outbox is erased.
        """
        self._machine = machine
        self._oracle = oracle
        self._now_s = now_s
        self._look_at_cloud = look_at_cloud
        self._on_erased = on_erased

    def on_operation(self, operation: Operation, target: str) -> None:
        """Let an operation happen, or not; note what it makes durable."""
        self._machine.on_operation(operation, target)
        if operation is Operation.FSYNC_DIRECTORY and target in {SETTINGS, UNPROVISIONED}:
            self.look()
        elif operation is Operation.REMOVE and target == OUTBOX:
            self._on_erased()

    def look(self) -> None:
        """Read what is on the disk."""
        settings = self._machine.state_dir / SETTINGS
        resets = self._machine.state_dir / UNPROVISIONED
        if settings.exists():
            applied = msgspec.json.decode(settings.read_bytes(), type=_Settings).applied
            is_time_known = self._machine.clock.utc_ms() is not None
            self._oracle.settings_durable(applied, self._now_s(), is_time_known=is_time_known)
        if resets.exists():
            self._look_at_cloud()
            self._oracle.keys_barred(len(msgspec.json.decode(resets.read_bytes(), type=_Resets).barred), self._now_s())
