"""What must outlive everything beside the book: which keys are trusted, and which sequence is the floor.

Three files know of them: the keyring, its copy in the record of updates, and the launcher's account. What one has lost
it gets back from the others; nothing is ever taken away by a file that knows less.
"""

import asyncio
import logging
from collections.abc import Callable

from agent.errors import Corrupt, StorageFull
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker
from agent.ota.keyring import TrustStore
from agent.ota.keys import KeyChanges, read_key_changes
from agent.ota.launcher import BASE, LauncherState
from agent.ota.lifecycle import UpdateState
from agent.ota.slots import Slots
from agent.ota.store import UpdateStore

_log = logging.getLogger(__name__)

RETRY_S = 60.0
STOP_S_MAX = 2.0
"""The process is gone within 5 s; a disk that is slower than this leaves the start counted."""


class RedundantState:
    """Keys and floor of one hub, kept alike in all records."""

    def __init__(
        self,
        *,
        store: UpdateStore,
        trust_store: TrustStore,
        slots: Slots,
        disk: Disk,
        worker: Worker,
        fault: Callable[[str], None],
        is_unsigned_admitted: bool,
    ) -> None:
        """Prepare; nothing is read.

        Args:
            store: With the copy of the keyring.
            trust_store: The keyring.
            slots: With the launcher's account.
            disk: Reads the lists of releases.
            worker: For blocking work.
            fault: Told what is wrong.
            is_unsigned_admitted: Whether bundles that nobody signed are installed.
        """
        self._store = store
        self._trust_store = trust_store
        self._slots = slots
        self._disk = disk
        self._worker = worker
        self._fault = fault
        self._is_unsigned_admitted = is_unsigned_admitted

    async def load(self, block: Callable[[str], None]) -> LauncherState:
        """Read all records, as long as the disk needs for that; return the launcher's account.

        Args:
            block: Told why it takes so long.
        """
        while True:
            try:
                await self._load_keys()
                state = await self.read_launcher_state()
                await self.save(state.floor)
            except (StorageFull, OSError) as error:
                block(str(error))
                await asyncio.sleep(RETRY_S)
            else:
                return state

    async def _load_keys(self) -> None:
        """Learn which keys were added and revoked, from each record that knows."""

        def load() -> str:
            try:
                state = self._slots.read_state()
            except Corrupt:
                state = LauncherState()
            # A list that nobody signed must never become durable.
            is_signed = state.good != BASE and not self._is_unsigned_admitted
            return self._trust_store.load(
                self._store.record.keyring, self._slots.slot_path(state.good) if is_signed else None
            )

        try:
            if problem := await self._worker.run(load):
                self._fault(problem)
            await self._trust_store.settle(self._worker)
            await self._worker.run(self._trust_store.trusted_keys)
        except StorageFull as error:
            self._fault(str(error))
        for text in self._trust_store.problems:
            self._fault(text)

    async def adopt_keys(self, slot: str) -> None:
        """Take over what the release on trial says of keys; before it is committed, so that none is lost between.

        Raises:
            StorageFull: It cannot be written now.
            Corrupt: What it says cannot be read.
        """
        is_signed = bool(self._store.record.signer)
        trust = (
            await self._worker.run(lambda: read_key_changes(self._slots.slot_path(slot), self._disk))
            if is_signed
            else KeyChanges()
        )
        await self._worker.run(lambda: self._trust_store.apply_changes(trust))
        if trust != KeyChanges():
            _log.warning("keys: %d added, %d revoked by this release", len(trust.keys), len(trust.revoked))

    async def save(self, floor: int) -> None:
        """Remember the floor beside the keys, and keep the copy of both.

        Raises:
            StorageFull: It cannot be written now.
        """
        await self._worker.run(lambda: self._trust_store.raise_floor(floor))
        if self._store.record.keyring != self._trust_store.keyring:
            await self._store.save_keyring(self._trust_store.keyring)

    async def uncount_start(self, tries_max: int) -> None:
        """Have this start of a release on trial not count, since it ends in good order.

        Args:
            tries_max: How often the launcher may start an app; 0 for an image, whose starts it does not count.
        """
        try:
            async with asyncio.timeout(STOP_S_MAX):
                # Counted first: a hub that dies in between has one start less, never one more.
                await self._store.uncount_start()
                if tries_max:
                    await self._worker.run(lambda: self._slots.return_try(tries_max))
        except (TimeoutError, StorageFull, Corrupt) as error:
            _log.warning("this start counts against the release on trial: %s", error)

    async def read_launcher_state(self) -> LauncherState:
        """Read the launcher's account; begin a new one where it cannot be read; mend its floor.

        Raises:
            StorageFull: It cannot be written now.
        """
        record, floor = self._store.record, self._trust_store.keyring.floor
        if record.state is UpdateState.COMPLETED:
            floor = max(floor, record.sequence)
        state, problem = await self._worker.run(lambda: self._slots.read_or_rebuild(floor=floor))
        if state.floor < floor:
            state = await self._worker.run(lambda: self._slots.raise_floor(floor))
            problem = problem or f"the account of the slots had lost its floor; it is sequence {floor} again"
        if problem:
            self._fault(problem)
        return state
