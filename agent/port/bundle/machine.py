"""What a support bundle takes from the machine: system, databases, files of the state directory, journal. Reads only.

Works where the agent is dead. Databases are summarised, never copied; of a file whose name is not known only the size
counts. Everything that is text goes through the scrubber. Must never wait for long: each source has its own limit.
"""

import contextlib
import json
import os
import re
import sqlite3
import stat
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent.config import Config
from agent.config.report import Shown, show_config
from agent.foundation import boot_trail, start_history, system_info
from agent.foundation.durable_file import strip_checksum
from agent.port.bundle.fields import filtered
from agent.port.bundle.packing import Member
from agent.port.bundle.scrub import Scrubber, secrets_in

DATABASES = ("outbox.db", "commands.db", "audit.db", "webhooks.db", "zigbee.db")
"""By name; a database that is not here is not looked into."""

FILES = (
    "starts.json",
    "boots.json",
    "settings.json",
    "relayed.json",
    "climate.json",
    "sensors.json",
    "actions.json",
    "actions-history.log",
    "spaces.json",
    "aqara-sensors.json",
    "amps-sandbox.json",
    "amps-sandbox-history.log",
    "webhooks.json",
    "update.json",
    "launcher.json",
    "keyring.json",
    "reboots.json",
    "credentials.json",
    "certificate.json",
    "commissioning.json",
    "data-usage.json",
    "storage-writes.json",
    "maintenance.json",
    "maintenance-alerts.json",
    "machines.json",
    "key-machine.json",
    "config-changes.json",
    "api-clients.json",
    "api-limits.json",
    "aurra-home.json",
    "aurra-home-keys.json",
    "aurra-home-readings.json",
    "homekit.json",
    "facts.db",
    "aurra-facts-settings.json",
    "simulated-boots.json",
    "zigbee-network.json",
    "zigbee-sensors.json",
    "zigbee-stick.json",
    "outbox.tally",
    "unprovisioned",
    "climahub.lock",
    *DATABASES,
)
_SUFFIX = re.compile(r"(\.copy|\.made|\.new|-wal|-shm|-journal|\.corrupt-[1-9])?$")

SECRET_FILES = (
    "relayed.json",
    "zigbee-network.json",
    "certificate.json",
    "api-clients.json",
    "aurra-home-keys.json",
    "homekit.json",
    "webhooks.json",
)
"""Their secrets must not leave in any text, so the scrubber looks for them."""
SECRET_FILE_BYTES_MAX = 4 * 1024 * 1024

SQLITE_S_MAX = 5.0
"""Of looking into one database."""
_SQLITE_STEP = 10_000

JOURNAL_LINES_MAX = 5000
JOURNAL_BYTES_MAX = 4 * 1024 * 1024
JOURNAL_S_MAX = 15.0
UNIT = "climahub"
JOURNALS = ("--namespace", f"+{UNIT}")
"""Options of journalctl for the machine's journal and the hub's own, where it has one (climahub-own-journal.conf)."""
_JOURNAL = ("--output", "short-iso", "--no-pager", "--quiet")
KERNEL_LINES_MAX = 20_000
KERNEL_BYTES_MAX = 256 * 1024
_KERNEL = re.compile(
    r"under.?voltage|throttl|mmc|EXT4-fs|I/O error|out of memory|oom-kill|watchdog|thermal|read-only", re.IGNORECASE
)
"""Lines of the kernel that may leave: power, card, memory, watchdog."""

DOCUMENT_BYTES_MAX = 1024 * 1024
PACKAGE = Path(__file__).parents[1]
SBOM_NAMES = ("sbom.json", "sbom.cdx.json", "sbom.spdx.json")
"""In the package of the agent, where its maker has put one there."""


class DatabaseSummary(msgspec.Struct, frozen=True):
    """A database in numbers.

    Attributes:
        log_bytes: Of its write-ahead log.
        schema: The number of its schema (`PRAGMA user_version`).
        is_sound: What `PRAGMA quick_check` finds; `None` where it was not finished.
        rows: By table.
    """

    file: str
    size_bytes: int
    log_bytes: int
    schema: int = 0
    is_sound: bool | None = None
    problem: str = ""
    rows: Mapping[str, int | None] = {}


class StateEntry(msgspec.Struct, frozen=True):
    """A file of the state directory whose name is known. `mode` in octal."""

    name: str
    size_bytes: int
    age_s: int | None
    mode: str


class StateListing(msgspec.Struct, frozen=True):
    """The state directory: files by their known names, and how much else there is."""

    known: list[StateEntry]
    others_count: int
    others_bytes: int


class Machine:
    """The machine and the state directory, as far as a bundle shows them."""

    def __init__(
        self,
        config: Config | None,
        scrubber: Scrubber,
        *,
        shown: Sequence[Shown] = (),
        utc_ms: int | None,
    ) -> None:
        """Prepare.

        Args:
            config: `None` where it cannot be used: then there is no state directory to look into.
            scrubber: Removes secrets.
            shown: The configuration with the origin of each value, where the file is at hand.
            utc_ms: The time, for the age of files; `None` where it is not known.
        """
        self._state = config.storage.state_dir if config else None
        self._shown = tuple(shown) or (show_config(config) if config else ())
        self._scrubber = scrubber
        self._utc_ms = utc_ms

    def members(self) -> Iterator[Member]:
        """Yield what the machine has to tell, the most important first."""
        yield self._document("system.json", self.system)
        yield self._document("config.json", lambda: list(self._shown))
        yield self._document("databases.json", self.databases)
        yield self._document("files.json", self.files)
        if (sbom := self._sbom()) is not None:
            yield Member("sbom.json", sbom.read_bytes, DOCUMENT_BYTES_MAX)
        yield Member("kernel.txt", self.kernel, KERNEL_BYTES_MAX, is_text=True)
        yield Member("journal.txt", self.journal, JOURNAL_BYTES_MAX, is_text=True)

    def trail_members(self) -> Iterator[Member]:
        """Yield the trails of boots and starts from their files, for a hub that does not answer."""
        yield self._document("boots.json", lambda: self._records(boot_trail.FILE_NAME, "boots"))
        yield self._document("starts.json", lambda: self._records(start_history.FILE_NAME, "starts"))

    def _document(self, name: str, make: Callable[[], Any]) -> Member:
        return document(name, make, self._scrubber)

    def system(self) -> Mapping[str, Any]:
        """Return memory, disk, temperatures, interfaces and the reason of the boot."""
        facts: dict[str, Any] = {
            "uptime_s": system_info.uptime_s(),
            "boot_reason": system_info.boot_reason(),
            "memory": system_info.memory(),
            "temperatures": system_info.temperatures(),
            "interfaces": system_info.interfaces(),
            "load": os.getloadavg(),
        }
        if self._state is not None:
            with contextlib.suppress(OSError):
                facts["disk"] = system_info.disk(self._state)
        return facts

    def databases(self) -> list[DatabaseSummary]:
        """Return a summary of each database that there is."""
        if self._state is None:
            return []
        return [summarise(self._state / name) for name in DATABASES if (self._state / name).is_file()]

    def files(self) -> StateListing:
        """Return the files of the state directory."""
        known, count, size = [], 0, 0
        for path in sorted(self._state.iterdir()) if self._state is not None else ():
            with contextlib.suppress(OSError):
                found = path.lstat()
                if _SUFFIX.sub("", path.name) in FILES:
                    age_s = None if self._utc_ms is None else max(0, round(self._utc_ms / 1000 - found.st_mtime))
                    known.append(StateEntry(path.name, found.st_size, age_s, f"{stat.S_IMODE(found.st_mode):o}"))
                else:
                    count, size = count + 1, size + found.st_size
        return StateListing(known, count, size)

    def _records(self, name: str, field: str) -> Any:  # noqa: ANN401 - a list of records
        if self._state is None:
            return []
        data = (self._state / name).read_bytes()
        kind = boot_trail.BootRecord if field == "boots" else start_history.StartRecord
        content = msgspec.json.decode(strip_checksum(data), type=dict[str, msgspec.Raw])
        return msgspec.json.decode(content.get(field, b"[]"), type=list[kind])  # type: ignore[valid-type] # at run time

    def journal(self) -> bytes:
        """Return the last lines of the unit's journal, scrubbed."""
        command = ("journalctl", *JOURNALS, "--unit", UNIT, "--lines", str(JOURNAL_LINES_MAX), *_JOURNAL)
        return self._scrubber.text(self._run(command)).encode()

    def kernel(self) -> bytes:
        """Return what the kernel's log says of power, card, memory and watchdog in this boot, scrubbed."""
        command = ("journalctl", "--dmesg", "--lines", str(KERNEL_LINES_MAX), *_JOURNAL)
        lines = [line for line in self._run(command).splitlines() if _KERNEL.search(line)]
        return self._scrubber.text("\n".join(lines)).encode()

    @staticmethod
    def _run(command: Sequence[str]) -> str:
        return run_program(command)

    @staticmethod
    def _sbom() -> Path | None:
        return next((path for name in SBOM_NAMES if (path := PACKAGE / name).is_file()), None)


def run_program(command: Sequence[str]) -> str:
    """Return what a program prints.

    Raises:
        OSError: It is not installed.
        subprocess.SubprocessError: It failed, or took longer than `JOURNAL_S_MAX`.
    """
    done = subprocess.run(command, capture_output=True, timeout=JOURNAL_S_MAX, check=True, stdin=subprocess.DEVNULL)  # noqa: S603 - fixed commands
    return done.stdout.decode(errors="replace")


def document(name: str, make: Callable[[], Any], scrubber: Scrubber) -> Member:
    """Return a member of JSON: the allowed fields of a document, without secrets."""

    def encode() -> bytes:
        return msgspec.json.format(msgspec.json.encode(scrubber.value(filtered(make()))), indent=1)

    return Member(name, encode, DOCUMENT_BYTES_MAX)


def summarise(path: Path) -> DatabaseSummary:
    """Return a database in numbers. Never changes it, and never waits for its writer."""
    size = path.stat().st_size
    log = path.with_name(path.name + "-wal")
    summary = DatabaseSummary(path.name, size, log.stat().st_size if log.is_file() else 0)
    end_s = time.monotonic() + SQLITE_S_MAX  # noqa: TID251 - bounds a read, decides nothing
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1.0)) as connection:
            connection.set_progress_handler(
                lambda: time.monotonic() > end_s,  # noqa: TID251 - as above
                _SQLITE_STEP,
            )
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows = {name: _count(connection, name) for name in tables if not name.startswith("sqlite_")}
            is_sound = connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.Error as error:
        return msgspec.structs.replace(summary, problem=type(error).__name__)
    return msgspec.structs.replace(summary, schema=schema, is_sound=is_sound, rows=rows)


def _count(connection: sqlite3.Connection, table: str) -> int | None:
    quoted = table.replace('"', '""')
    try:
        (count,) = connection.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()  # noqa: S608 - a name of its own schema
    except sqlite3.Error:
        return None
    return int(count)


def known_secrets(config: Config, environ: Mapping[str, str]) -> set[str]:
    """Return the secrets that this hub knows: keys of the hub, its sensors and its network, passwords of proxies.

    What cannot be read adds nothing: what does not know a secret cannot show it either.
    """
    found: set[str] = set(_passwords([config.cloud.proxy, config.cloud.base_url, *environ.values()]))
    if config.cloud.api_key_file is not None:
        found |= set(_lines(config.cloud.api_key_file))
    if config.relayed_sensors.sensor_keys_file is not None:
        with contextlib.suppress(ValueError):
            text = "\n".join(_lines(config.relayed_sensors.sensor_keys_file))
            found |= {key for key in tomllib.loads(text).values() if isinstance(key, str)}
    for name in SECRET_FILES:
        for path in (config.storage.state_dir / name, config.storage.state_dir / f"{name}.copy"):
            with contextlib.suppress(ValueError, RecursionError):
                found |= secrets_in(json.loads("\n".join(_lines(path)) or "null"))
    return found


def _lines(path: Path) -> Iterable[str]:
    try:
        with path.open("rb") as file:
            return file.read(SECRET_FILE_BYTES_MAX).decode(errors="replace").splitlines()
    except OSError:
        return ()


_URL_PASSWORD = re.compile(r"://[^\s/@:]*:([^\s/@]+)@")


def _passwords(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from _URL_PASSWORD.findall(text)
