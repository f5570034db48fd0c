"""The changes of the configuration on the disk (`config-changes.json`): loaded at each start of a hub.

Owns the order of a trial's writes. Must never keep a hub from starting: where nothing can be read, the file of the
configuration counts alone, and a trial that cannot be recorded as started does not start.
"""

import logging
from pathlib import Path

import msgspec

from agent.config import changes as transitions
from agent.config.changes import ConfigChanges
from agent.errors import Corrupt, StorageFull
from agent.foundation.disk import Disk
from agent.foundation.durable_file import strip_checksum
from agent.foundation.json_store import JsonStore
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.worker import Worker

_log = logging.getLogger(__name__)

FILE_NAME = "config-changes.json"
FILE_BYTES_MAX = 256 * 1024
"""As much as the configuration itself may have (`agent.config.reading.CONFIG_BYTES_MAX`)."""

_LOSS = "the values of the configuration file are in force, without the changes that were made at the hub"


def read_changes(state_dir: Path, disk: Disk) -> ConfigChanges:
    """Return the record as it is on the disk, and change nothing: for a hub whose agent is dead, or not asked.

    Raises:
        ReadFailed: The file cannot be read now, or this user may not read it.
        Corrupt: It is damaged.
    """
    data = disk.read(state_dir / FILE_NAME, bytes_max=FILE_BYTES_MAX)
    try:
        return ConfigChanges() if data is None else msgspec.json.decode(strip_checksum(data), type=ConfigChanges)
    except DECODE_ERRORS as error:
        raise Corrupt(f"{FILE_NAME} is damaged") from error


class ConfigStore:
    """The record and its file, over all hubs of one process."""

    def __init__(self, directory: Path, *, disk: Disk, worker: Worker) -> None:
        """Read and write nothing yet.

        Args:
            directory: The state directory.
            disk: Reads and writes.
            worker: Where both block.
        """
        self._store = JsonStore(
            directory / FILE_NAME,
            ConfigChanges(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss=_LOSS,
            # A proxy may hold a password.
            is_secret=True,
        )
        self._worker = worker
        self._is_loaded = False

    @property
    def changes(self) -> ConfigChanges:
        """The record in force."""
        return self._store.value

    @property
    def problem(self) -> str:
        """What is wrong with the file; empty where nothing is."""
        return self._store.problem or self._store.save_problem

    async def start(self) -> ConfigChanges:
        """Return the record for a hub that starts now; a new trial is recorded as started before this returns."""
        if not self._is_loaded:
            await self._worker.run(self._store.load)
            self._is_loaded = True
        before = self.changes.trial
        try:
            await self._store.commit(transitions.start)
        except StorageFull as error:
            if before is not None:
                # A trial that is not recorded as started could not undo itself.
                undone = transitions.start(self.changes).last_trial
                await self.roll_back(undone if before.has_started else f"the change was not tried: {error}")
        else:
            if before is not None and self.changes.trial is None:
                _log.warning("configuration: %s", self.changes.last_trial)
        return self.changes

    def forget(self) -> None:
        """Read the file again at the next start: a factory reset has removed it."""
        self._store.set_in_memory(ConfigChanges())
        self._is_loaded = False

    async def begin(self, values: dict[str, object], *, trial_s: int, caller: str) -> None:
        """Record a trial; it starts with the next hub.

        Raises:
            StorageFull: Nothing has changed.
        """
        await self._store.commit(lambda found: transitions.begin(found, values, trial_s=trial_s, caller=caller))

    async def set_confirmed(self, values: dict[str, object]) -> None:
        """Record values that need no trial.

        Raises:
            StorageFull: Nothing has changed.
        """
        await self._store.commit(lambda found: transitions.set_confirmed(found, values))

    async def confirm(self) -> None:
        """Confirm what is on trial.

        Raises:
            StorageFull: It is still on trial.
        """
        await self._store.commit(transitions.confirm)

    async def roll_back(self, reason: str) -> None:
        """Undo what is on trial. Where the disk refuses, the next process finds a started trial and undoes it, too."""
        _log.warning("configuration: %s", reason)
        await self._store.apply(lambda found: transitions.roll_back(found, reason))
