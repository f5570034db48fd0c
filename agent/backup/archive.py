"""The content of a backup: the hub's files as one value, and that value as bytes. Pure.

Decoding trusts nothing but the shape: names and sizes are checked, and nothing is unpacked beyond its limit.
"""

import re
import zlib

import msgspec

from agent.backup import contents
from agent.backup.errors import BackupRefused

FORMAT = 1
"""Raised when a restoration of an older release would do the wrong thing; new fields with defaults need no raise."""

UNPACKED_BYTES_MAX = 96 * 1024 * 1024
"""Facts have 16 MiB, the audit trail and zigpy's database a few, every other file less than 4 MiB."""

FILE_BYTES_MAX = 4 * 1024 * 1024
DATABASE_BYTES_MAX = 48 * 1024 * 1024
CONFIG_FILE_BYTES_MAX = 256 * 1024
CONFIG_FILES_MAX = 32

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
_CONFIG_NAME = re.compile(rf"(?:{_NAME}/)?{_NAME}")


class ConfigFile(msgspec.Struct, frozen=True):
    """The configuration, or a file beside it that it names: a key, a certificate.

    Attributes:
        content: Of all but the configuration, a secret.
        mode: Its permissions.
        user: Its owner by name; empty where there is no name.
        group: Its group by name; empty where there is no name.
    """

    content: bytes
    mode: int = 0o600
    user: str = ""
    group: str = ""


class Backup(msgspec.Struct, frozen=True):
    """A hub. Secret as a whole.

    Attributes:
        format: See `FORMAT`.
        version: Of the agent that made it.
        made_utc_ms: When; `None` where the hub did not know the time.
        config: The configuration file.
        config_files: By name, in the directory of the configuration or one directory below it.
        state: By name, in the state directory; databases as SQLite stores them.
    """

    format: int
    version: str
    made_utc_ms: int | None
    config: ConfigFile
    config_files: dict[str, ConfigFile] = {}
    state: dict[str, bytes] = {}


def pack(backup: Backup) -> bytes:
    """Return the compressed bytes of a backup.

    Raises:
        BackupRefused: It is larger than a restoration accepts.
    """
    check(backup)
    packed = msgspec.msgpack.encode(backup)
    if len(packed) > UNPACKED_BYTES_MAX:
        raise BackupRefused(f"this hub's files have {len(packed):,} bytes; a backup holds {UNPACKED_BYTES_MAX:,}")
    return zlib.compress(packed)


def unpack(data: bytes) -> Backup:
    """Return the backup in compressed bytes.

    Raises:
        BackupRefused: They are no backup that this release can restore.
    """
    inflater = zlib.decompressobj()
    try:
        packed = inflater.decompress(data, UNPACKED_BYTES_MAX + 1)
        is_whole = inflater.eof and not inflater.unused_data and len(packed) <= UNPACKED_BYTES_MAX
        shown = msgspec.msgpack.decode(packed, type=_Format) if is_whole else None
        if shown is not None and shown.format > FORMAT:
            raise BackupRefused(
                f"install climahub {shown.version[:40]} or newer: this release cannot restore format {shown.format}"
            )
        backup = msgspec.msgpack.decode(packed, type=Backup) if is_whole else None
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        backup = None
    if backup is None:
        raise BackupRefused("make another backup: this file is none that can be unpacked")
    check(backup)
    return backup


class _Format(msgspec.Struct):
    format: int
    version: str


def check(backup: Backup) -> None:
    """Check names and sizes.

    Raises:
        BackupRefused: A file has another name or more bytes than a hub's own.
    """
    allowed = contents.FILES | contents.DATABASES
    for name, data in backup.state.items():
        limit = DATABASE_BYTES_MAX if name in contents.DATABASES else FILE_BYTES_MAX
        if name not in allowed or len(data) > limit:
            raise BackupRefused(f"{name[:40]!r} is no file of a hub's state, or larger than {limit:,} bytes")
    if len(backup.config_files) > CONFIG_FILES_MAX or len(backup.config.content) > CONFIG_FILE_BYTES_MAX:
        raise BackupRefused("the configuration has more files or bytes than a hub's")
    for name, file in backup.config_files.items():
        if not _CONFIG_NAME.fullmatch(name) or len(file.content) > CONFIG_FILE_BYTES_MAX:
            raise BackupRefused(
                f"{name[:40]!r} is no file of a configuration, or larger than {CONFIG_FILE_BYTES_MAX:,} bytes"
            )
