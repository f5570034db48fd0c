"""Notices a card that was copied, or moved to another board: two hubs must not use one key of the cloud.

Owns `key-machine.json`: hashes of the key and of the machine that the key was first used on, never the key itself. The
board's serial number decides, and the machine-id only where a board has none: a system that was installed anew is on
the same board (docs/decisions/0020-copied-card.md). What was recorded on another board and not sent yet is held back
until a person decides, also where the hub has a new key: each record carries the label of its machine. Before a card
has any key nothing is labelled: whoever prepares it on another board is asked nothing. Must never keep the hub from
heating: without the file, or on a disk that fails, the key is used.
"""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.errors import Rejected
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.signals import Signal
from agent.foundation.system_info import MachineIds
from agent.foundation.worker import Worker

_log = logging.getLogger(__name__)

FILE_NAME = "key-machine.json"
FILE_BYTES_MAX = 4096

NOT_MOVED = "there is nothing to decide: the hub's key is used on the machine that it was first used on"
NOTHING_HELD = "there is nothing to decide: what waits for the cloud was recorded on this board"
KEY_FIRST = "decide first whether the card was moved or copied: confirm-moved-card or reset-copied-card"
NO_KEY = "give this hub a key first (climahub setup): without one nothing is sent, and what is held back stays so"
_SEPARATOR = "/"

ReadKey = Callable[[], str | None]


class KeyMachine(msgspec.Struct, frozen=True):
    """Which machine a key was first used on: SHA-256 in hex, empty for what is not known.

    Attributes:
        key: Of the hub's key.
        board: Of the board's serial number.
        system: Of the machine-id.
    """

    key: str = ""
    board: str = ""
    system: str = ""

    @property
    def label(self) -> str:
        """What a record carries of the machine that it was made on; empty where the machine shows nothing."""
        return f"{self.board}{_SEPARATOR}{self.system}" if self.board or self.system else ""


def labelled(label: str) -> KeyMachine:
    """Return the machine of a label.

    That of an older release is one hash, of the serial number or of the machine-id, whichever the machine had: it is
    compared with what this one is recognised by.
    """
    board, separator, system = label.partition(_SEPARATOR)
    return KeyMachine("", board, system if separator else board)


def hashed(ids: MachineIds) -> KeyMachine:
    """Return what is recorded of a machine. The machine-id is confidential (machine-id(5)), so it is hashed too."""
    return KeyMachine("", _sha256(ids.board_serial), _sha256(ids.machine_id))


def is_moved(recorded: KeyMachine, now: KeyMachine) -> bool:
    """Tell whether a key that was first used on one machine is now on another; no by default, as nothing proves it."""
    return recorded.key == now.key != "" and is_elsewhere(recorded, now)


def is_elsewhere(recorded: KeyMachine, now: KeyMachine) -> bool:
    """Tell whether two machines differ, whatever the key; no by default."""
    if recorded.board and now.board:
        return recorded.board != now.board
    return bool(recorded.system and now.system) and recorded.system != now.system


def recorded_after(recorded: KeyMachine, now: KeyMachine) -> KeyMachine:
    """Return what is recorded once a key is used; what a machine does not report is kept where the key is the same."""
    if recorded.key != now.key:
        return now
    return KeyMachine(now.key, now.board or recorded.board, now.system or recorded.system)


def _sha256(text: str) -> str:
    return hashlib.sha256(f"climahub {text}".encode()).hexdigest() if text else ""


class MovedCard:
    """Compares the machine with the one that the key was first used on, and withholds the key where they differ.

    Attributes:
        is_moved: The key is withheld.
    """

    def __init__(self, state_dir: Path, ids: MachineIds, *, disk: Disk, worker: Worker) -> None:
        """Prepare; the file is read by `load`.

        Args:
            state_dir: Where the file is.
            ids: Of this machine.
            disk: Reads and writes the file.
            worker: Where writing blocks.
        """
        self._here = hashed(ids)
        self._seen = self._here
        self.is_moved = False
        self._recorded = KeyMachine()
        self._changed = Signal()
        self._store = JsonStore(
            state_dir / FILE_NAME,
            self._recorded,
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="a card that was copied or moved is not noticed at this start",
        )

    @property
    def machine(self) -> str:
        """What a record carries that was made under a key on this machine; empty where the machine shows nothing."""
        return self._here.label

    @property
    def label(self) -> str:
        """What a record carries that is made on this machine now: as `machine`, but empty before the card has any key.

        A key that is withheld, was taken away or cannot be read now counts: the records before it are a hub's.
        """
        return self._here.label if self._recorded.key else ""

    @property
    def has_key(self) -> bool:
        """Whether there is a key, though it may be withheld: without one nothing is sent."""
        return bool(self._seen.key)

    def is_elsewhere(self, label: str) -> bool:
        """Tell whether a record was made on another machine: then it is held back. No where nothing proves that."""
        return is_elsewhere(labelled(label), self._here)

    def load(self) -> None:
        """Read which machine the key was first used on. Blocks."""
        self._recorded = self._store.load()

    def usable(self, key: str | None) -> str | None:
        """Return the key where it may be used on this machine; `None` where the card was copied or moved.

        A key that is new to this card decides by itself: whoever gave it has given this machine a key of its own.
        """
        if key is None:
            self._seen, self.is_moved = self._here, False
            return None
        self._seen = msgspec.structs.replace(self._here, key=_sha256(key))
        was_moved, self.is_moved = self.is_moved, is_moved(self._recorded, self._seen)
        if self.is_moved:
            if not was_moved:
                _log.error(
                    "the card was copied or moved to another board, so the hub's key is not used; confirm the move or"
                    " give this hub a key of its own: climahub doctor --fix, or docs/fleet.md"
                )
            return None
        self._record(recorded_after(self._recorded, self._seen))
        return key

    def _record(self, value: KeyMachine) -> None:
        if value != self._recorded:
            self._recorded = value
            self._changed.set()

    async def confirm(self) -> None:
        """Use the key on this machine from now on: a person says that the card was moved, not copied.

        Raises:
            Rejected: It was not moved.
            StorageFull: It cannot be recorded, so nothing has changed.
        """
        if not self.is_moved:
            raise Rejected(NOT_MOVED)
        await self._store.commit(lambda _: self._seen)
        self._recorded, self.is_moved = self._seen, False
        _log.warning("a person has confirmed that the card was moved to this board: the hub's key is used")

    def check_decidable(self) -> None:
        """Check that a person may decide about what was recorded on another board.

        Raises:
            Rejected: The key is withheld: then `confirm` or a reset decides. Or there is none.
        """
        if self.is_moved:
            raise Rejected(KEY_FIRST)
        if not self._seen.key:
            raise Rejected(NO_KEY)

    async def run(self) -> None:
        """Write what has changed, until cancelled."""
        if self._store.is_unread:
            # A file that the disk gives late counts from the next start on: the key is in use by then.
            await self._store.retry_read(lambda _, found: found)
            found = self._store.value
            stays = is_moved(found, self._seen) or not self._seen.key
            self._recorded = found if stays else recorded_after(found, self._seen)
        while True:
            await self._store.apply(lambda _: self._recorded)
            await self._changed.wait()


def guarded(card: MovedCard | None, read_key: ReadKey) -> ReadKey:
    """Return what reads the hub's key as far as it may be used on this machine."""
    return read_key if card is None else lambda: card.usable(read_key())


def label_of(card: MovedCard | None) -> Callable[[], str]:
    """Return what gives the label of a record that is made now; see `MovedCard.label`."""
    return (lambda: "") if card is None else lambda: card.label


def elsewhere_of(card: MovedCard | None) -> Callable[[str], bool]:
    """Return what tells whether a record was made on another machine; see `MovedCard.is_elsewhere`."""
    return (lambda _: False) if card is None else card.is_elsewhere
