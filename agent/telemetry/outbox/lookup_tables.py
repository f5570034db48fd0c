"""The outbox's small tables: boots with their anchors, devices and series, interned as numbers.

Works inside the outbox's transactions, on its worker. Must be reloaded when a transaction that used it fails, since a
number handed out in it was never stored.
"""

import sqlite3
from collections.abc import Sequence

from agent.telemetry.outbox.anchors import UtcAnchor, UtcAnchors
from hal.interface import Reading, SensorKind

SCHEMA = """
CREATE TABLE boots (id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL UNIQUE);
CREATE TABLE anchors (boot INTEGER NOT NULL, from_ms INTEGER NOT NULL, utc_at_zero_ms INTEGER NOT NULL,
                      PRIMARY KEY (boot, from_ms)) WITHOUT ROWID;
CREATE TABLE devices (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE series (id INTEGER PRIMARY KEY, device INTEGER NOT NULL, kind TEXT NOT NULL, UNIQUE (device, kind));
"""


class LookupTables:
    """Numbers for names, and back."""

    def __init__(self, connection: sqlite3.Connection, boot_id: str) -> None:
        self._boot_id = boot_id
        self.reload(connection)

    def reload(self, connection: sqlite3.Connection) -> None:
        """Read everything from the file again."""
        self._boots: dict[str, int] = dict(connection.execute("SELECT boot_id, id FROM boots").fetchall())
        anchors = UtcAnchors()
        for boot, from_ms, utc_at_zero_ms in connection.execute("SELECT boot, from_ms, utc_at_zero_ms FROM anchors"):
            anchors.add(boot, UtcAnchor(from_ms, utc_at_zero_ms))
        self.anchors = anchors
        self._devices: dict[str, int] = dict(connection.execute("SELECT name, id FROM devices").fetchall())
        self._series: dict[tuple[str, SensorKind], int] = {}
        self.names: dict[int, tuple[str, SensorKind]] = {}
        rows = connection.execute(
            "SELECT series.id, devices.name, kind FROM series JOIN devices ON devices.id = device"
        ).fetchall()
        known_kinds = {kind.value for kind in SensorKind}
        for number, device, kind in rows:
            if kind in known_kinds:  # a newer agent may have left kinds that this one does not know
                self._remember(number, device, SensorKind(kind))

    def boot(self, connection: sqlite3.Connection) -> int:
        """Return the number of this boot."""
        if self._boot_id not in self._boots:
            cursor = connection.execute("INSERT INTO boots (boot_id) VALUES (?)", (self._boot_id,))
            self._boots[self._boot_id] = int(cursor.lastrowid or 0)
        return self._boots[self._boot_id]

    @property
    def present_boot(self) -> int | None:
        """The number of this boot, where it has one already."""
        return self._boots.get(self._boot_id)

    def boot_id(self, number: int) -> str:
        """Return the name of a boot; empty where it is gone."""
        return next((name for name, boot in self._boots.items() if boot == number), "")

    def device(self, connection: sqlite3.Connection, name: str) -> int:
        """Return the number of a device."""
        if name not in self._devices:
            cursor = connection.execute("INSERT INTO devices (name) VALUES (?)", (name,))
            self._devices[name] = int(cursor.lastrowid or 0)
        return self._devices[name]

    def known_device(self, name: str) -> int | None:
        """Return the number of a device that has one."""
        return self._devices.get(name)

    def series(self, connection: sqlite3.Connection, device: str, kind: SensorKind) -> int:
        """Return the number of a series."""
        number = self._series.get((device, kind))
        if number is None:
            row = (self.device(connection, device), kind.value)
            cursor = connection.execute("INSERT INTO series (device, kind) VALUES (?, ?)", row)
            number = int(cursor.lastrowid or 0)
            self._remember(number, device, kind)
        return number

    def series_of(self, connection: sqlite3.Connection, readings: Sequence[Reading]) -> list[int]:
        """Return the number of the series of each reading."""
        numbers = self._series
        try:
            return [numbers[reading.device, reading.kind] for reading in readings]
        except KeyError:
            return [self.series(connection, reading.device, reading.kind) for reading in readings]

    def add_anchor(self, connection: sqlite3.Connection, anchor: UtcAnchor) -> None:
        """Add a segment to this boot."""
        boot = self.boot(connection)
        connection.execute(
            "INSERT INTO anchors (boot, from_ms, utc_at_zero_ms) VALUES (?, ?, ?)",
            (boot, anchor.from_ms, anchor.utc_at_zero_ms),
        )
        self.anchors.add(boot, anchor)

    def old_boots(self, connection: sqlite3.Connection) -> list[int]:
        """Return the boots that no stored reading, no gap and no running agent refers to."""
        rows = connection.execute(
            "SELECT id FROM boots WHERE boot_id <> ? AND id NOT IN (SELECT boot FROM blobs)"
            " AND id NOT IN (SELECT boot FROM gaps)",
            (self._boot_id,),
        )
        return [number for (number,) in rows]

    def forget(self, connection: sqlite3.Connection, boots: Sequence[int]) -> None:
        """Remove boots from the file; to be followed by `reload` once that is committed."""
        connection.executemany("DELETE FROM anchors WHERE boot = ?", [(number,) for number in boots])
        connection.executemany("DELETE FROM boots WHERE id = ?", [(number,) for number in boots])

    def _remember(self, number: int, device: str, kind: SensorKind) -> None:
        self._series[device, kind] = number
        self.names[number] = (device, kind)
