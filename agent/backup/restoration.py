"""Puts a backup in place, whole or not at all, wherever the power fails.

Owns the directory `restore.ready` in the state directory. Order: everything is written to `restore.new` and synced; its
renaming is the point from which the restoration happens. Then the configuration's files are replaced, the configuration
itself last, and `placed` is written. From there on whoever comes first, this command or the hub at its start, moves the
state into its place; nobody else's file is left beside it. Until `placed`, a hub that starts is the old one, and does
not connect to the cloud, since its key may be the new one.
"""

import contextlib
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent.backup import contents
from agent.backup.archive import CONFIG_FILE_BYTES_MAX, Backup, ConfigFile
from agent.backup.errors import BackupRefused
from agent.errors import ClimahubError
from agent.foundation.disk import Disk
from agent.foundation.durable_file import COPY_SUFFIX, MARKER_SUFFIX
from agent.foundation.staging_files import StagingFiles

_log = logging.getLogger(__name__)

STAGED, READY = "restore.new", "restore.ready"
PLACED = "placed"
"""In `READY`: the configuration's files are in their places."""

PLAN = "plan.json"
PLAN_BYTES_MAX = 64 * 1024
_STATE, _CONFIG = "state", "config"
_MAIN = "config.toml"

_STAYS = {
    name + suffix
    for name in contents.STAYS | contents.ONLY_WHERE_MISSING
    for suffix in ("", COPY_SUFFIX, MARKER_SUFFIX)
}
_MARKER_TEXT = b"This hub was restored from a backup. Its commands may have been run already.\n"
_DIRECTORY_MODE = 0o700
_FILE_MODE = 0o600
_MODES = 0o775
"""What nobody else may change."""


class PlannedFile(msgspec.Struct, frozen=True):
    """A file of the configuration: its name, permissions and owners."""

    name: str
    mode: int
    user: str
    group: str


class Plan(msgspec.Struct, frozen=True):
    """What a restoration has to do, in `READY`.

    Attributes:
        config_sha256: Of the configuration, in hex.
        replaces_config: Whether that is another one than before: its presence then shows that it was replaced.
        config: The configuration; the name is that of the new machine.
        config_files: The files beside it.
        state: Names of all files in the state directory.
        made_utc_ms: When the backup was made.
    """

    config_sha256: str
    replaces_config: bool
    config: PlannedFile
    config_files: tuple[PlannedFile, ...]
    state: tuple[str, ...]
    made_utc_ms: int | None = None


def is_configured(state_dir: Path, config_file: Path) -> bool:
    """Tell whether a machine is a hub already: it has a configuration, or files that a hub has stored."""
    names = (contents.FILES | contents.DATABASES | contents.LEFT_OUT.keys()) - contents.STAYS
    return config_file.exists() or any((state_dir / name).exists() for name in names)


def stage(backup: Backup, state_dir: Path, config_file: Path, disk: Disk) -> None:
    """Write everything to the disk. When this returns, the restoration will happen; before, nothing has.

    Raises:
        BackupRefused: An interrupted restoration has to be finished first.
        StorageFull, OSError: The disk refuses; nothing has happened.
    """
    files = StagingFiles(state_dir, disk)
    if files.path(READY).exists():
        raise BackupRefused("finish the restoration that was interrupted first: climahub restore --resume")
    files.remove(STAGED)
    plan = Plan(
        config_sha256=_sha256(backup.config.content),
        replaces_config=_current_sha256(config_file, disk) != _sha256(backup.config.content),
        config=_planned(config_file.name, backup.config),
        config_files=tuple(_planned(name, each) for name, each in backup.config_files.items()),
        state=tuple(backup.state),
        made_utc_ms=backup.made_utc_ms,
    )
    files.path(STAGED).mkdir(mode=_DIRECTORY_MODE)
    for name, content in _staged_files(backup, plan):
        files.write_new(f"{STAGED}/{name}", iter([content]))
    _give_to_owner(files.path(STAGED), state_dir)
    files.sync(STAGED)
    files.rename(STAGED, READY)


def _planned(name: str, file: ConfigFile) -> PlannedFile:
    return PlannedFile(name, file.mode, file.user, file.group)


def _staged_files(backup: Backup, plan: Plan) -> Iterator[tuple[str, bytes]]:
    yield PLAN, msgspec.json.encode(plan)
    yield _MAIN, backup.config.content
    for name, file in backup.config_files.items():
        yield f"{_CONFIG}/{name}", file.content
    for name, content in backup.state.items():
        yield f"{_STATE}/{name}", content


def _give_to_owner(directory: Path, state_dir: Path) -> None:
    """Let the user who owns the state directory, and nobody else, read what was staged."""
    owner = state_dir.stat()
    for path in (directory, *directory.rglob("*")):
        path.chmod(_DIRECTORY_MODE if path.is_dir() else _FILE_MODE)
        if (owner.st_uid, owner.st_gid) != (path.stat().st_uid, path.stat().st_gid):
            os.chown(path, owner.st_uid, owner.st_gid)


def pending(state_dir: Path, disk: Disk) -> Plan | None:
    """Return the plan of a restoration that was staged and is not finished; `None` where there is none.

    Raises:
        Corrupt, ReadFailed: The plan cannot be read.
        BackupRefused: It is none.
    """
    data = disk.read(state_dir / READY / PLAN, bytes_max=PLAN_BYTES_MAX)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=Plan)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BackupRefused(f"remove {state_dir / READY} and restore again: its plan is damaged") from None


def is_of(plan: Plan, backup: Backup) -> bool:
    """Tell whether a plan is that of a backup: the same command was run again after an interruption."""
    wanted = backup.made_utc_ms, _sha256(backup.config.content)
    return (plan.made_utc_ms, plan.config_sha256) == wanted


def is_placed(plan: Plan, state_dir: Path, config_file: Path, disk: Disk) -> bool:
    """Tell whether the configuration's files are in their places, so that the state may follow."""
    if (state_dir / READY / PLACED).exists():
        return True
    return plan.replaces_config and _current_sha256(config_file, disk) == plan.config_sha256


def place_config(plan: Plan, state_dir: Path, config_file: Path, disk: Disk) -> None:
    """Replace the configuration's files, the configuration last.

    Raises:
        StorageFull, OSError: The disk refuses; call again.
    """
    ready = state_dir / READY
    config_file.parent.mkdir(parents=True, exist_ok=True)
    for planned in plan.config_files:
        target = config_file.parent / planned.name
        target.parent.mkdir(exist_ok=True)
        _place(target, (ready / _CONFIG / planned.name).read_bytes(), planned, disk)
    if _current_sha256(config_file, disk) != plan.config_sha256:
        _place(config_file, (ready / _MAIN).read_bytes(), plan.config, disk)
    disk.write(ready / PLACED, b"")


def _place(target: Path, content: bytes, planned: PlannedFile, disk: Disk) -> None:
    disk.write(target, content, is_secret=True)
    if os.geteuid() == 0:
        for owner in ({"user": planned.user}, {"group": planned.group}):
            # A machine without that user keeps the file to root alone.
            with contextlib.suppress(LookupError, ValueError):
                shutil.chown(target, **owner)
    target.chmod(planned.mode & _MODES)


def place_state(plan: Plan, state_dir: Path, disk: Disk) -> None:
    """Move the state into its place, after removing every file of another hub. No file there may be open.

    Raises:
        StorageFull, OSError: The disk refuses; call again.
    """
    files = StagingFiles(state_dir, disk)
    restored = set(plan.state)
    waiting = {name for name in restored if files.path(f"{READY}/{_STATE}/{name}").exists()}
    for path in sorted(state_dir.iterdir()):
        if path.name not in _STAYS | (restored - waiting) and (path.is_symlink() or not path.is_dir()):
            disk.remove(path)
    for name in sorted(waiting):
        if name not in contents.ONLY_WHERE_MISSING or not files.path(name).exists():
            files.rename(f"{READY}/{_STATE}/{name}", name)
    disk.write(state_dir / contents.COMMANDS_MARKER, _MARKER_TEXT)
    files.rename(READY, STAGED)
    files.remove(STAGED)


def finish(state_dir: Path, config_file: Path, disk: Disk) -> str:
    """Finish, at the start of a hub, what a power cut has interrupted. Raises nothing: a hub has to heat.

    Returns:
        Why this hub must not connect to the cloud, with the remedy; empty where all is well.
    """
    try:
        plan = pending(state_dir, disk)
        if plan is None:
            StagingFiles(state_dir, disk).remove(STAGED)
            return ""
        if is_placed(plan, state_dir, config_file, disk):
            place_state(plan, state_dir, disk)
            _log.warning("a restoration that was interrupted is complete")
            return ""
    except (ClimahubError, OSError) as error:
        problem = f" ({error})"
    else:
        problem = ""
    return (
        f"run sudo climahub restore --resume: a restoration was interrupted; until then the cloud is not used{problem}"
    )


def _current_sha256(config_file: Path, disk: Disk) -> str:
    data = disk.read(config_file, bytes_max=CONFIG_FILE_BYTES_MAX)
    return "" if data is None else _sha256(data)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
