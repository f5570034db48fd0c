"""The actions that have ended and made room in `actions.json`: a ring of records in `actions-history.log`.

Each action that makes room costs one record of the card, in place of a file with all of them. Must never decide what
becomes of an action: what is here has ended. A record that is damaged costs that one action of the history.
"""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation.disk import Disk
from agent.foundation.durable_file import add_checksum, strip_checksum
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.text import plural
from agent.foundation.worker import Worker
from agent.home.actions import HomeAction

_log = logging.getLogger(__name__)

RECORD_BYTES = 1024
"""Of one action; an ordinary one takes 600."""
HISTORY_MAX = 128
"""Actions in the ring; the oldest makes room. The file has 128 KiB at most."""
FILE_BYTES_MAX = HISTORY_MAX * RECORD_BYTES

TEXT_CHARACTERS = (160, 60, 0)
"""How much of a problem or note is kept where a record has no room for all of it."""


class ActionRecord(msgspec.Struct, frozen=True):
    """One record.

    Attributes:
        number: Counts the records ever written: its place in the ring, and the order of the history.
        action: What has ended.
    """

    number: int
    action: HomeAction


def encode(record: ActionRecord) -> bytes:
    """Return a record with its checksum, padded to `RECORD_BYTES`; texts that do not fit are cut."""
    data = add_checksum(msgspec.json.encode(record))
    for characters in TEXT_CHARACTERS:
        if len(data) <= RECORD_BYTES:
            break
        action = record.action
        cut = msgspec.structs.replace(action, problem=action.problem[:characters], note=action.note[:characters])
        data = add_checksum(msgspec.json.encode(ActionRecord(record.number, cut)))
    return data.ljust(RECORD_BYTES)


def decode(content: bytes) -> tuple[list[ActionRecord], int]:
    """Return the records of a file in the order of their numbers, and how many could not be read."""
    records, damaged = [], 0
    for offset in range(0, len(content), RECORD_BYTES):
        data = content[offset : offset + RECORD_BYTES].strip(b" \0")
        if not data:
            continue
        try:
            records.append(msgspec.json.decode(strip_checksum(data), type=ActionRecord))
        except (Corrupt, *DECODE_ERRORS):
            damaged += 1
    return sorted(records, key=lambda record: record.number), damaged


class ActionHistory:
    """The history of one hub.

    Attributes:
        problem: What was wrong with the file; empty where nothing was.
    """

    def __init__(self, path: Path, *, disk: Disk, worker: Worker) -> None:
        """Read and write nothing yet.

        Args:
            path: The file.
            disk: Reads and writes.
            worker: Runs what blocks.
        """
        self._path = path
        self._disk = disk
        self._worker = worker
        self._actions: dict[str, HomeAction] = {}
        self._next = 0
        self._is_read = False
        self.problem = ""

    @property
    def actions(self) -> Sequence[HomeAction]:
        """What is kept, in the order in which it made room."""
        return tuple(self._actions.values())

    def get(self, action_id: str) -> HomeAction | None:
        """Return one action; `None` where it is not here."""
        return self._actions.get(action_id)

    async def load(self) -> None:
        """Read the file. What cannot be read is missing in the history, and nothing else."""
        await self._worker.run(self._load)

    def _load(self) -> None:
        self._is_read, self.problem = True, ""
        try:
            content = self._disk.read(self._path, bytes_max=FILE_BYTES_MAX) or b""
        except Corrupt as error:
            content = b""
            self.problem = f"{error}; {self._disk.try_quarantine(self._path)}: the history of actions begins anew"
        except ReadFailed as error:
            content = b""
            self._is_read = False
            self.problem = f"{error}: the history of actions is not shown"
        records, damaged = decode(content)
        if damaged:
            self.problem = f"{self._path.name}: {plural(damaged, 'action')} of the history cannot be read"
        if self.problem:
            _log.warning("%s", self.problem)
        self._actions = {record.action.action_id: record.action for record in records}
        self._next = records[-1].number + 1 if records else 0

    async def add(self, actions: Collection[HomeAction]) -> None:
        """Add actions that have ended, durably; those that are here already stay as they are.

        Raises:
            StorageFull: The disk refuses; what is missing can be added again.
        """
        await self._worker.run(lambda: self._add(actions))

    def _add(self, actions: Collection[HomeAction]) -> None:
        if not self._is_read:
            self._load()
        if not self._is_read:
            # Put aside: it would be written over.
            self.problem = f"{self.problem}; {self._disk.try_quarantine(self._path)}"
            self._is_read = True
        new = [each for each in actions if each.action_id not in self._actions]
        while new:
            position = self._next % HISTORY_MAX
            run, new = new[: HISTORY_MAX - position], new[HISTORY_MAX - position :]
            self._write(position, [ActionRecord(self._next + index, each) for index, each in enumerate(run)])
            self._next += len(run)
            kept = [*self._actions.values(), *run][-HISTORY_MAX:]
            self._actions = {each.action_id: each for each in kept}

    def _write(self, position: int, records: Sequence[ActionRecord]) -> None:
        """Write records that lie behind one another in the ring."""
        data = b"".join(map(encode, records))
        try:
            self._disk.write_at(self._path, position * RECORD_BYTES, data, step_bytes=RECORD_BYTES)
        except Corrupt as error:
            raise StorageFull(f"{error}; {self._disk.try_quarantine(self._path)}") from error
        except OSError as error:
            raise StorageFull(f"the disk refused to write {self._path} ({error.strerror}); check the disk") from error
