"""The keys and the version floor, kept in three files so that the loss of one loses neither.

`keyring.json`, its copy in `update.json`, and `launcher.json` repair each other. Must never remove a key, a revocation
or a floor because one file has less than the others.
"""

import asyncio
import logging

from agent.errors import Corrupt, StorageFull
from agent.ota.context import RETRY_S, RunControl, UpdateContext
from agent.ota.keyring import TrustStore
from agent.ota.keys import KeyChanges, read_key_changes
from agent.ota.launcher import BASE, LauncherState, is_newer, version_in
from agent.ota.lifecycle import UpdateState
from agent.ota.slots import Slots
from agent.ota.store import UpdateStore

_log = logging.getLogger(__name__)


class RedundantState:
    """The keys and the floor of one hub.

    Attributes:
        launcher_state: As last read.
        is_package_newer: The package runs because a person has upgraded it, not because the slot could not be started.
    """

    def __init__(self, context: UpdateContext, *, store: UpdateStore, trust_store: TrustStore, slots: Slots) -> None:
        self._context = context
        self._store = store
        self._trust_store = trust_store
        self._slots = slots
        self.launcher_state = LauncherState()
        self.is_package_newer = False

    async def load(self, run_control: RunControl) -> None:
        """Read and repair all files; try again for as long as the disk does not allow it."""
        while True:
            try:
                await self._load_keys()
                await self.read_launcher_state()
                await self.save()
            except (StorageFull, OSError) as error:
                run_control.block(str(error))
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _load_keys(self) -> None:
        """Load which keys were added and revoked, from all files that have it."""

        def load() -> str:
            try:
                launcher = self._slots.read_state()
            except Corrupt:
                launcher = LauncherState()
            # The list of an unsigned release must never become durable.
            is_signed = launcher.good != BASE and not self._context.config.allow_unsigned
            release = self._slots.slot_path(launcher.good) if is_signed else None
            return self._trust_store.load(self._store.record.keyring, release)

        try:
            if problem := await self._context.worker.run(load):
                self._context.report_fault(problem)
            await self._trust_store.settle(self._context.worker)
            await self._context.worker.run(self._trust_store.trusted_keys)
        except StorageFull as error:
            self._context.report_fault(str(error))
        for text in self._trust_store.problems:
            self._context.report_fault(text)

    async def adopt_keys(self, slot: str) -> None:
        """Add and revoke the keys that the release on trial lists. Call it before the release is committed.

        Raises:
            StorageFull: It cannot be written now.
            Corrupt: The list cannot be read.
        """
        changes = KeyChanges()
        if self._store.record.signer:
            changes = await self._context.worker.run(
                lambda: read_key_changes(self._slots.slot_path(slot), self._context.disk)
            )
        await self._context.worker.run(lambda: self._trust_store.apply_changes(changes))
        if changes != KeyChanges():
            _log.warning("keys: %d added, %d revoked by this release", len(changes.keys), len(changes.revoked))

    async def save(self) -> None:
        """Save the floor beside the keys, and the copy of both.

        Raises:
            StorageFull: It cannot be written now.
        """
        floor = self.launcher_state.floor
        await self._context.worker.run(lambda: self._trust_store.raise_floor(floor))
        if self._store.record.keyring != self._trust_store.keyring:
            await self._store.save_keyring(self._trust_store.keyring)

    async def read_launcher_state(self) -> None:
        """Read the launcher's state; write a new one where it cannot be read; repair its floor.

        Raises:
            StorageFull: It cannot be written now.
        """
        record, floor = self._store.record, self._trust_store.keyring.floor
        if record.state is UpdateState.COMPLETED:
            floor = max(floor, record.sequence)
        worker = self._context.worker
        state, problem = await worker.run(lambda: self._slots.read_or_rebuild(floor=floor))
        if state.floor < floor:
            state = await worker.run(lambda: self._slots.raise_floor(floor))
            problem = problem or f"launcher.json had lost its floor; it is sequence {floor} again"
        if problem:
            self._context.report_fault(problem)
        self.launcher_state = state
        running = self._context.running
        self.is_package_newer = running.slot == BASE != state.good and is_newer(
            running.version, await worker.run(lambda: version_in(self._slots.slot_path(state.good)))
        )
