"""Reads a hub's files into a backup, while the hub runs or not. Changes nothing; all functions block.

Each JSON file is whole at any time (`agent.foundation.disk`). All of them are read again until none has changed
meanwhile, so they are of one moment. Databases are copied by SQLite's backup interface, each as of one commit.
"""

import contextlib
import grp
import pwd
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import msgspec

from agent.backup import contents
from agent.backup.archive import CONFIG_FILE_BYTES_MAX, DATABASE_BYTES_MAX, FILE_BYTES_MAX, ConfigFile
from agent.backup.errors import BackupRefused
from agent.errors import Corrupt
from agent.foundation.disk import Disk
from agent.foundation.durable_file import COPY_SUFFIX, add_checksum, strip_checksum

_SETTINGS = "settings.json"

ATTEMPTS_MAX = 20
"""Reading takes some milliseconds, and the busiest file is written every few seconds."""

DATABASE_BUSY_S = 10.0

CONFIG_DEPTH_MAX = 2
"""A file beside the configuration, or in a directory beside it."""

DEFAULT_SECRETS = ("api-key", "sensor-keys.toml")
"""Files of secrets that systemd reads for the service (LoadCredential= in systemd/climahub.service)."""


def read_state(state_dir: Path, disk: Disk) -> dict[str, bytes]:
    """Return the files and databases of a state directory that belong to a backup, by name.

    Raises:
        BackupRefused: The files kept changing.
        Corrupt, ReadFailed, OSError, sqlite3.Error: One cannot be read.
    """
    for _ in range(ATTEMPTS_MAX):
        before = _signatures(state_dir)
        found = {name: data for name in sorted(contents.FILES) if (data := _read_file(state_dir / name, disk))}
        if _signatures(state_dir) == before:
            break
    else:
        raise BackupRefused("try again in a moment: the hub kept writing its files")
    if settings := found.get(_SETTINGS):
        found[_SETTINGS] = _without_boards(settings)
    for name in sorted(contents.DATABASES):
        if (state_dir / name).is_file():
            found[name] = _copy_database(state_dir / name)
    return found


def read_config_files(
    config_file: Path, values: Mapping[str, object], disk: Disk
) -> tuple[dict[str, ConfigFile], list[Path]]:
    """Return the files that the configuration names and that lie beside it, by name; and those that lie elsewhere.

    Args:
        config_file: The configuration.
        values: Its values by dotted key.
        disk: Reads.

    Raises:
        Corrupt, ReadFailed: One cannot be read.
    """
    directory = config_file.parent.absolute()
    named = {value for value in values.values() if isinstance(value, Path)}
    named |= {directory / name for name in DEFAULT_SECRETS}
    found, elsewhere = {}, []
    # Keys whose releases are installed lie in a directory of their own (`ota.keys_dir`).
    for folder in {each for each in named if each.parent == directory and each.is_dir()} - _own_directories(values):
        named |= set(folder.iterdir())
    for path in sorted(each for each in named if each.is_file()):
        if not path.is_relative_to(directory) or len(path.relative_to(directory).parts) > CONFIG_DEPTH_MAX:
            elsewhere.append(path)
        elif path != config_file.absolute():
            found[str(path.relative_to(directory))] = read_config_file(path, disk)
    return found, elsewhere


def _own_directories(values: Mapping[str, object]) -> set[Path]:
    return {path for key in ("storage.state_dir", "storage.run_dir") if isinstance(path := values.get(key), Path)}


def read_config_file(path: Path, disk: Disk) -> ConfigFile:
    """Return a file with its permissions and owners.

    Raises:
        Corrupt, ReadFailed, OSError: It cannot be read.
    """
    status = path.stat()
    return ConfigFile(
        disk.read(path, bytes_max=CONFIG_FILE_BYTES_MAX) or b"",
        mode=status.st_mode & 0o777,
        user=_name(lambda: pwd.getpwuid(status.st_uid).pw_name),
        group=_name(lambda: grp.getgrgid(status.st_gid).gr_name),
    )


def _signatures(state_dir: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for name in contents.FILES:
        with contextlib.suppress(FileNotFoundError):
            status = (state_dir / name).stat()
            found[name] = status.st_ino, status.st_mtime_ns, status.st_size
    return found


def _read_file(path: Path, disk: Disk) -> bytes | None:
    """Return a file's content, or that of its last good copy."""
    try:
        data = disk.read(path, bytes_max=FILE_BYTES_MAX)
        if data is not None:
            strip_checksum(data)
    except Corrupt:
        data = None
        with contextlib.suppress(Corrupt):
            data = disk.read(path.with_name(path.name + COPY_SUFFIX), bytes_max=FILE_BYTES_MAX)
        if data is None:
            raise
        strip_checksum(data)
    return data


def _without_boards(settings: bytes) -> bytes:
    """Return the settings without the boards that local changes were made on: who restores a backup has decided."""
    with contextlib.suppress(msgspec.DecodeError):
        parts = msgspec.json.decode(strip_checksum(settings), type=dict[str, msgspec.Raw])
        if parts.pop("made_on", None) is not None:
            return add_checksum(msgspec.json.encode(parts))
    return settings


def _copy_database(path: Path) -> bytes:
    with (
        contextlib.closing(
            sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=DATABASE_BUSY_S)
        ) as db,
        contextlib.closing(sqlite3.connect(":memory:")) as copy,
    ):
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        (page_bytes,) = db.execute("PRAGMA page_size").fetchone()
        if pages * page_bytes > DATABASE_BYTES_MAX:
            raise BackupRefused(f"{path.name} has more than the {DATABASE_BYTES_MAX:,} bytes that a backup holds of it")
        db.backup(copy)
        return copy.serialize()


def _name(look_up: Callable[[], str]) -> str:
    try:
        return look_up()
    except KeyError:
        return ""
