"""The unprovisioned state: which keys this hub must not use any more, and the erasing that a factory reset has begun.

Owns the file `unprovisioned`. It holds hashes, never keys: the key's own file belongs to the operator or to systemd and
may not be erasable, so the key is barred instead. Order: bar the key, erase everything else, say that it is erased. A
power cut after any step leaves a hub that does not connect and that goes on erasing when it starts.
"""

import contextlib
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

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
"""Keys that are remembered; the oldest makes room. A hub is hardly reset as often in its life."""


class FactoryResetState(msgspec.Struct, frozen=True):
    """Content of the file.

    Attributes:
        barred: SHA-256 of each key that was given up, in hex, oldest first.
        is_erased: Whether the last reset is complete.
    """

    barred: tuple[str, ...] = ()
    is_erased: bool = True


def read(state_dir: Path, disk: Disk) -> FactoryResetState | None:
    """Return what is known of resets; `None` where there was none. Blocks.

    Raises:
        Corrupt: The file cannot be read. It is written atomically, so the disk is at fault.
        ReadFailed: The disk does not give it now.
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
        # Without either, nobody knows which keys are barred.
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


def is_barred(resets: FactoryResetState | None, key: str) -> bool:
    """Tell whether a key was given up in a reset."""
    return resets is not None and _sha256(key) in resets.barred


def read_usable_key(state_dir: Path, disk: Disk, read_key: Callable[[], str]) -> str | None:
    """Return the hub's key; `None` where it has none: nobody gave it one, it is lost, or a reset took it. Blocks.

    Args:
        state_dir: Where the file of this module lies.
        disk: Reads it.
        read_key: Returns the operator's key.

    Raises:
        ConfigInvalid: The key's file holds none, and never was a reset: a mistake was made when this hub was set up.
    """
    try:
        resets = read(state_dir, disk)
    except (Corrupt, ReadFailed) as error:
        _log.error("no key is used: %s", error)
        return None
    try:
        key = read_key()
    except ConfigInvalid as error:
        if resets is None and not isinstance(error, KeyMissing):
            raise
        _log.debug("no new key yet: %s", error)
        return None
    if resets is None:
        return key
    return None if is_barred(resets, key) or not resets.is_erased else key


def bar(state_dir: Path, disk: Disk, key: str) -> None:
    """Give up the key: the first step of a reset. Blocks.

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


def finish(state_dir: Path, disk: Disk, *, key_file: Path | None, outlives: frozenset[str] = frozenset()) -> bool:
    """Erase what a reset has left, if one has begun; return whether one had. Blocks. No file may be open.

    Args:
        state_dir: Everything in it goes but the lock and the file of this module.
        disk: Removes.
        key_file: Removed where it holds a barred key and this process may do that.
        outlives: Names of further files that stay; they hold no secret.

    Raises:
        StorageFull, OSError: The disk refuses.
        Corrupt: See `read`.
    """
    resets = read(state_dir, disk)
    if resets is None or resets.is_erased:
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
        # A credential of systemd or a file in /etc cannot be removed; the key is barred all the same.
        with contextlib.suppress(OSError, Corrupt, ReadFailed):
            key = disk.read(key_file, bytes_max=KEY_FILE_BYTES_MAX) or b""
            if is_barred(resets, key.decode(errors="replace").strip()):
                disk.remove(key_file)
    _write(state_dir, disk, FactoryResetState(resets.barred, is_erased=True))
    _log.warning("factory reset complete: the hub waits for a new key")
    return True


def _write(state_dir: Path, disk: Disk, resets: FactoryResetState) -> None:
    data = add_checksum(msgspec.json.format(msgspec.json.encode(resets)))
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
