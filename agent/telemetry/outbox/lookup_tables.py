"""The outbox's lookup tables: boots with their UTC anchors, devices and series, each stored once and named by a number.

`LookupTables` works inside the outbox's transactions, on its worker. Reload it when a transaction that used it fails: a
number that was given out in it was never stored.

A boot is anchored once its clock is known to be right: ``utc = utc_at_zero + at_ms``, in integers. The timestamp of a
reading is therefore the same whenever it is computed, and a batch that is sent again carries identical timestamps. When
the clock turns out to be wrong later by more than `DRIFT_MS_MAX`, a new segment begins; earlier readings keep the old.
"""

import sqlite3
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import msgspec

from hal.interface import Reading, SensorKind

DRIFT_MS_MAX = 1000
"""A smaller difference is the jitter of NTP, which slews the monotonic clock along: no reason for a new segment."""

_MACHINES_SCHEMA = "CREATE TABLE IF NOT EXISTS machines (boot_id TEXT PRIMARY KEY, machine TEXT NOT NULL)"
"""On which machine a boot was, where that is known (`agent.telemetry.outbox.held`). Made with its first row, since an
outbox of an older release has none and is to be opened on a full disk too. By name: that release gives the number of a
boot that it has forgotten to another, and leaves this table alone."""

SCHEMA = """
CREATE TABLE boots (id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL UNIQUE);
CREATE TABLE anchors (boot INTEGER NOT NULL, from_ms INTEGER NOT NULL, utc_at_zero_ms INTEGER NOT NULL,
                      PRIMARY KEY (boot, from_ms)) WITHOUT ROWID;
CREATE TABLE devices (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE series (id INTEGER PRIMARY KEY, device INTEGER NOT NULL, kind TEXT NOT NULL, UNIQUE (device, kind));
"""


class UtcAnchor(msgspec.Struct, frozen=True, order=True):
    """One segment of a boot's timeline.

    Attributes:
        from_ms: The boot time from which it holds. The first segment of a boot also holds for everything before.
        utc_at_zero_ms: UTC, in milliseconds since 1970, of the boot time 0.
    """

    from_ms: int
    utc_at_zero_ms: int


class UtcAnchors:
    """The segments of every anchored boot. Pure."""

    def __init__(self) -> None:
        self._segments: dict[int, list[UtcAnchor]] = defaultdict(list)

    def add(self, boot: int, anchor: UtcAnchor) -> None:
        """Add a segment to a boot."""
        self._segments[boot].append(anchor)
        self._segments[boot].sort()

    def has(self, boot: int) -> bool:
        """Tell whether a boot is anchored."""
        return boot in self._segments

    def first(self, boot: int) -> UtcAnchor | None:
        """Return the first segment of a boot; `None` where it has none."""
        return self._segments[boot][0] if boot in self._segments else None

    def utc_ms(self, boot: int, at_ms: int) -> int:
        """Return the UTC of a boot time, in milliseconds since 1970.

        Raises:
            KeyError: The boot has no anchor.
        """
        if boot not in self._segments:
            raise KeyError(boot)
        segments = self._segments[boot]
        if len(segments) == 1:
            return segments[0].utc_at_zero_ms + at_ms
        index = bisect_right(segments, at_ms, key=lambda segment: segment.from_ms)
        return segments[max(index - 1, 0)].utc_at_zero_ms + at_ms

    def next_segment(self, boot: int, *, now_ms: int, utc_ms: int) -> UtcAnchor | None:
        """Return the segment that a synchronised clock begins; `None` while the present one is still right."""
        found = UtcAnchor(from_ms=now_ms, utc_at_zero_ms=utc_ms - now_ms)
        if boot not in self._segments:
            return found
        drift_ms = abs(found.utc_at_zero_ms - self._segments[boot][-1].utc_at_zero_ms)
        return found if drift_ms > DRIFT_MS_MAX else None


def machines(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the machine of each boot of which it is known, by the name of the boot."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'machines'").fetchone():
        return {}
    return dict(connection.execute("SELECT boot_id, machine FROM machines").fetchall())


def forget_machines(connection: sqlite3.Connection, boots: Iterable[int]) -> None:
    """Remove on which machine these boots were, and those of boots that an older release has forgotten."""
    if machines(connection):
        connection.executemany(
            "DELETE FROM machines WHERE boot_id = (SELECT boot_id FROM boots WHERE id = ?)", [(boot,) for boot in boots]
        )
        connection.execute("DELETE FROM machines WHERE boot_id NOT IN (SELECT boot_id FROM boots)")


class LookupTables:
    """Numbers for boots, devices and series, and back. Eleven methods: two or three for each of the four tables."""

    def __init__(self, connection: sqlite3.Connection, boot_id: str, label: Callable[[], str] = lambda: "") -> None:
        self._boot_id = boot_id
        self._label = label
        self.reload(connection)

    def reload(self, connection: sqlite3.Connection) -> None:
        """Read everything from the file again."""
        self._boots: dict[str, int] = dict(connection.execute("SELECT boot_id, id FROM boots").fetchall())
        self._is_labelled = self._boot_id in machines(connection)
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
            if kind in known_kinds:  # a newer agent may have stored kinds that this one does not have
                self._add_series(number, device, SensorKind(kind))

    def boot(self, connection: sqlite3.Connection) -> int:
        """Return the number of this boot; store the boot where it has none yet, and its machine once there is a key."""
        if self._boot_id not in self._boots:
            cursor = connection.execute("INSERT INTO boots (boot_id) VALUES (?)", (self._boot_id,))
            self._boots[self._boot_id] = int(cursor.lastrowid or 0)
        if not self._is_labelled and (machine := self._label()):
            connection.execute(_MACHINES_SCHEMA)
            connection.execute("INSERT INTO machines (boot_id, machine) VALUES (?, ?)", (self._boot_id, machine))
            self._is_labelled = True
        return self._boots[self._boot_id]

    @property
    def present_boot(self) -> int | None:
        """The number of this boot, where it has one already."""
        return self._boots.get(self._boot_id)

    def utc_ms(self, at_ms: int) -> int | None:
        """Return the UTC of a boot time of this boot; `None` while the boot is not anchored."""
        boot = self.present_boot
        return self.anchors.utc_ms(boot, at_ms) if boot is not None and self.anchors.has(boot) else None

    def boot_id(self, number: int) -> str:
        """Return the name of a boot; empty where it has been forgotten."""
        return next((name for name, boot in self._boots.items() if boot == number), "")

    def device(self, connection: sqlite3.Connection, name: str) -> int:
        """Return the number of a device; store the device where it has none yet."""
        if name not in self._devices:
            cursor = connection.execute("INSERT INTO devices (name) VALUES (?)", (name,))
            self._devices[name] = int(cursor.lastrowid or 0)
        return self._devices[name]

    def known_device(self, name: str) -> int | None:
        """Return the number of a device; `None` where it has none."""
        return self._devices.get(name)

    def series(self, connection: sqlite3.Connection, device: str, kind: SensorKind) -> int:
        """Return the number of a series; store the series where it has none yet."""
        number = self._series.get((device, kind))
        if number is None:
            row = (self.device(connection, device), kind.value)
            cursor = connection.execute("INSERT INTO series (device, kind) VALUES (?, ?)", row)
            number = int(cursor.lastrowid or 0)
            self._add_series(number, device, kind)
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
        """Return the boots without a stored reading or a gap, except the present one."""
        rows = connection.execute(
            "SELECT id FROM boots WHERE boot_id <> ? AND id NOT IN (SELECT boot FROM blobs)"
            " AND id NOT IN (SELECT boot FROM gaps)",
            (self._boot_id,),
        )
        return [number for (number,) in rows]

    def forget(self, connection: sqlite3.Connection, boots: Sequence[int]) -> None:
        """Remove boots from the file. Call `reload` after the commit."""
        forget_machines(connection, boots)
        connection.executemany("DELETE FROM anchors WHERE boot = ?", [(number,) for number in boots])
        connection.executemany("DELETE FROM boots WHERE id = ?", [(number,) for number in boots])

    def _add_series(self, number: int, device: str, kind: SensorKind) -> None:
        self._series[device, kind] = number
        self.names[number] = (device, kind)
