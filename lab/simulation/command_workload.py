"""The cloud's operator: queues commands, lists executed ones again by mistake, and gives a reset hub a new key.

Works on the reference cloud only; receives nothing from the hub.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET

from lab.refcloud.admin import NewCommand
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.contract import Refusal
from lab.refcloud.records import CloudCommand, CommandState
from lab.refcloud.store import Store
from lab.simulation.command_oracle import CommandOracle
from lab.simulation.options import PlannedCommand

SEEN_S = 60.0
"""How often it checks whether a command that it will list again is closed."""


class CommandWorkload:
    """Queues the planned commands.

    Attributes:
        device_id: The hub.
        api_key: Its key.
    """

    def __init__(
        self,
        cloud: ReferenceCloud,
        store: Store,
        oracle: CommandOracle,
        *,
        device_id: str,
        api_key: str,
        now_s: Callable[[], float],
    ) -> None:
        self._cloud = cloud
        self._store = store
        self._oracle = oracle
        self._now_s = now_s
        self.device_id = device_id
        self.api_key = api_key
        self._resets = 0
        self._relisted: dict[str, CloudCommand] = {}

    async def run(self, commands: Sequence[PlannedCommand], *, until_s: float) -> None:
        """Queue each command at its time."""
        async with asyncio.TaskGroup() as group:
            for planned in commands:
                await asyncio.sleep(max(0.0, planned.at_s - self._now_s()))
                new = NewCommand(
                    type=planned.type,
                    payload=UNSET if planned.payload is None else planned.payload,
                    lifetime_ms=int(planned.lifetime_s * 1000),
                )
                try:
                    command = self._cloud.admin.queue_command(self.device_id, new)
                except Refusal:
                    continue  # too many commands are pending: the cloud's own limit
                self._oracle.record_issued(command, planned, self._now_s())
                if planned.relisted_after_s is not None:
                    group.create_task(self._relist(command.command_id, planned.relisted_after_s, until_s=until_s))

    def report_states(self) -> None:
        """Report the cloud's states of the open commands to the oracle."""
        for command_id in self._oracle.open_ids():
            command = self._store.get(CloudCommand, command_id)
            if command is not None:
                self._oracle.record_state(command, self._now_s())

    def forget_relisted(self) -> None:
        """Close the commands that were listed again: an erased hub would execute them twice."""
        self._resets += 1
        for command in self._relisted.values():
            self._store.put(command)
        self._relisted.clear()

    def give_new_key(self) -> None:
        """Revoke the hub's key and make a new one, which a person installs on the hub."""
        self.api_key = self._cloud.admin.replace_key(self.device_id).api_key

    async def _relist(self, command_id: str, after_s: float, *, until_s: float) -> None:
        """Open a command again some time after it was closed, unless the hub was erased since."""
        resets = self._resets
        while (
            command := self._store.get(CloudCommand, command_id)
        ) is not None and command.state is CommandState.PENDING:
            await asyncio.sleep(SEEN_S)
            if self._now_s() > until_s:
                return
        self.report_states()
        await asyncio.sleep(after_s)
        if command is not None and command.state is not CommandState.EXPIRED and self._resets == resets:
            self._relisted[command_id] = command
            self._store.put(msgspec.structs.replace(command, state=CommandState.PENDING, closed_ms=None))
