"""Factory reset: the command, the keys that are barred by it, and the erasing of the state directory.

Owns the file `unprovisioned`, which holds hashes, never keys. The file of the key belongs to the operator or to systemd
and may not be erasable, so the key is barred instead. Order: bar the key, erase everything else, mark it as erased. A
power cut after any step leaves a hub that does not connect and goes on erasing when it starts.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent.commands.handlers import CommandOutcome
from agent.commands.lifecycle import CommandRecord
from agent.commands.payloads import check_factory_reset
from agent.errors import ConfigInvalid, Corrupt, KeyMissing, ReadFailed, StorageFull
from agent.foundation import lock
from agent.foundation.disk import Disk, is_file_or_absent
from agent.foundation.durable_file import COPY_SUFFIX, add_checksum, strip_checksum
from agent.foundation.lenient_json import DECODE_ERRORS

_log = logging.getLogger(__name__)

FILE_NAME = "unprovisioned"
COPY_NAME = FILE_NAME + COPY_SUFFIX
FILE_BYTES_MAX = 64 * 1024

KEY_FILE_BYTES_MAX = 4096

BARRED_MAX = 500
"""Barred keys that are kept; the oldest is dropped first. No hub is reset this often in its life."""


class FactoryResetState(msgspec.Struct, frozen=True):
    """Content of the file.

    Attributes:
        barred: SHA-256 of each barred key, in hex, oldest first.
        is_erased: Whether the last reset is complete.
    """

    barred: tuple[str, ...] = ()
    is_erased: bool = True


def read(state_dir: Path, disk: Disk) -> FactoryResetState | None:
    """Return the state of factory state; `None` if there was none. Blocks.

    Raises:
        Corrupt: The file cannot be read. It is written atomically, so the disk is at fault.
        ReadFailed: The disk fails to read it now.
    """
    path, copy = state_dir / FILE_NAME, state_dir / COPY_NAME
    problem: Corrupt | ReadFailed | None = None
    try:
        found = _read_one(path, disk)
        if found is not None:
            return found
    except (Corrupt, ReadFailed) as error:
        problem = error
    try:
        found = _read_one(copy, disk)
    except (Corrupt, ReadFailed) as error:
        # Without either, it is not known which keys are barred.
        raise (problem or error) from error
    if found is not None:
        _log.error("%s; its copy is in force", problem or f"{path} is missing")
    elif problem is not None:
        raise problem
    return found


def _read_one(path: Path, disk: Disk) -> FactoryResetState | None:
    data = disk.read(path, bytes_max=FILE_BYTES_MAX)
    if data is None:
        return None
    advice = f"remove {FILE_NAME} and {COPY_NAME} if this hub may use its key"
    try:
        return msgspec.json.decode(strip_checksum(data), type=FactoryResetState)
    except (Corrupt, *DECODE_ERRORS) as error:
        raise Corrupt(f"{path} cannot be read ({error}); {advice}") from error


def is_barred(state: FactoryResetState | None, key: str) -> bool:
    """Tell whether a key was barred by a reset."""
    return state is not None and _sha256(key) in state.barred


def read_usable_key(state_dir: Path, disk: Disk, read_key: Callable[[], str]) -> str | None:
    """Return the hub's key; `None` if there is none, or if a reset barred it or is not finished. Blocks.

    Args:
        state_dir: Where the file `unprovisioned` is.
        disk: Reads it.
        read_key: Returns the operator's key.

    Raises:
        ConfigInvalid: The key's file is not valid, and there never was a reset: the setup of this hub is wrong.
    """
    try:
        state = read(state_dir, disk)
    except (Corrupt, ReadFailed) as error:
        _log.error("no key is used: %s", error)
        return None
    try:
        key = read_key()
    except ConfigInvalid as error:
        if state is None and not isinstance(error, KeyMissing):
            raise
        _log.debug("no new key yet: %s", error)
        return None
    if state is None:
        return key
    return None if is_barred(state, key) or not state.is_erased else key


def bar_key(state_dir: Path, disk: Disk, key: str) -> None:
    """Bar a key: the first step of a reset. Blocks.

    Raises:
        StorageFull: Nothing was changed.
    """
    try:
        before = read(state_dir, disk) or FactoryResetState()
    except Corrupt as error:
        _log.error("earlier resets are forgotten: %s", error)
        before = FactoryResetState()
    barred = (*(each for each in before.barred if each != _sha256(key)), _sha256(key))[-BARRED_MAX:]
    _write(state_dir, disk, FactoryResetState(barred, is_erased=False))


def finish_erasing(
    state_dir: Path, disk: Disk, *, key_file: Path | None, outlives: frozenset[str] = frozenset()
) -> bool:
    """Erase the state directory if a reset has begun; return whether one had. Blocks. No file may be open.

    Args:
        state_dir: Everything in it is removed but the lock and the file `unprovisioned`.
        disk: Removes.
        key_file: Removed if it holds a barred key and this process may do that.
        outlives: Names of further files that stay; they hold no secret.

    Raises:
        StorageFull, OSError: The disk refuses.
        Corrupt: See `read`.
    """
    state = read(state_dir, disk)
    if state is None or state.is_erased:
        return False
    for path in sorted(state_dir.iterdir()):
        if (path.is_symlink() or not path.is_dir()) and path.name not in {
            FILE_NAME,
            COPY_NAME,
            lock.FILE_NAME,
            *outlives,
        }:
            disk.remove(path)
    if key_file is not None:
        # A systemd credential or a file in /etc may not be removable; the key is barred anyway.
        with contextlib.suppress(OSError, Corrupt, ReadFailed):
            key = disk.read(key_file, bytes_max=KEY_FILE_BYTES_MAX) or b""
            if is_barred(state, key.decode(errors="replace").strip()):
                disk.remove(key_file)
    _write(state_dir, disk, FactoryResetState(state.barred, is_erased=True))
    _log.warning("factory reset complete: the hub waits for a new key")
    return True


def _write(state_dir: Path, disk: Disk, state: FactoryResetState) -> None:
    data = add_checksum(msgspec.json.format(msgspec.json.encode(state)))
    try:
        path = state_dir / FILE_NAME
        if not is_file_or_absent(path):
            disk.quarantine(path)
        disk.write(path, data)
        with contextlib.suppress(OSError, StorageFull):
            disk.write(state_dir / COPY_NAME, data)
    except OSError as error:
        raise StorageFull(f"the disk refused to write {state_dir / FILE_NAME} ({error.strerror})") from error


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class FactoryResetHandler:
    """The command `factory_reset`.

    It bars the key by one atomic write and restarts the agent, which calls `finish_erasing` before it opens a file.
    """

    def __init__(self, *, bar_key: Callable[[], Awaitable[None]], restart: Callable[[], None]) -> None:
        """Prepare.

        Args:
            bar_key: Bars the present key durably; raises `StorageFull`.
            restart: Ends this process of the hub; the next one erases the rest.
        """
        self._bar_key = bar_key
        self._restart = restart

    def check(self, payload: Mapping[str, Any]) -> None:
        """See `CommandHandler`: `{"confirm": true}` and nothing else."""
        check_factory_reset(payload)

    async def prepare(self) -> None:
        """See `CommandHandler`: always possible."""

    async def execute(self, record: CommandRecord) -> CommandOutcome:
        """See `CommandHandler`. Never returns: the process ends."""
        del record
        await self.reset()
        never: asyncio.Future[CommandOutcome] = asyncio.get_running_loop().create_future()
        return await never

    async def reset(self) -> None:
        """Bar the present key durably, and restart the hub, which erases the rest.

        Raises:
            StorageFull: Nothing has happened.
        """
        await self._bar_key()
        self._restart()

    async def reconcile(self, record: CommandRecord) -> CommandOutcome | None:
        """See `CommandHandler`: if the key had been barred, this journal would be gone."""
        del record
        return None
