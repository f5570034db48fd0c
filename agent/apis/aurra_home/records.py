"""What AURRA Home clients have sent: readings, alerts, links of voice platforms, and schedules to follow.

Owns `aurra-home.json` (on the disk before it is answered) and `aurra-home-readings.json` (a reading a minute must not
wear the card: written every quarter of an hour and at a stop, so a power cut costs the readings since then). The oldest
of the client that has the most make room. Must never hold a token of a voice platform, only its hash.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent.foundation.disk import Disk
from agent.foundation.fair_share import without_surplus
from agent.foundation.json_store import JsonStore
from agent.foundation.secret_hash import SecretHash
from agent.foundation.worker import Worker

FILE_NAME = "aurra-home.json"
FILE_BYTES_MAX = 256 * 1024
"""A hundred alerts with the longest texts of four bytes a character take 220 KiB; ordinary ones 30."""
READINGS_FILE_NAME = "aurra-home-readings.json"
READINGS_BYTES_MAX = 256 * 1024
"""512 readings take 100 KiB."""

READINGS_MAX = 512
"""Over eight hours of one device that sends one a minute."""
ALERTS_MAX = 64
LINKS_MAX = 24
"""Three platforms for each of eight zones."""

SAVE_S = 900.0


class ReadingRecord(msgspec.Struct, frozen=True):
    """One reading.

    Attributes:
        reading_id: As it was answered.
        zone_id: Of which zone.
        kind: "vibration" or "energy".
        client_id: Who sent it.
        values: The body.
    """

    reading_id: str
    zone_id: str
    kind: str
    client_id: str
    values: dict[str, Any]


class AlertRecord(msgspec.Struct, frozen=True):
    """One alert.

    Attributes:
        is_dispatched: A technician was asked for; whom to send is the operator's to decide.
        client_name: Of the client when it sent the alert; empty for one of an older version.
        is_resolved: Somebody has resolved it.
        resolved_by: Who.
        resolved_utc_ms: When; `None` where the hub did not know the time.
    """

    alert_id: str
    zone_id: str
    client_id: str
    issue: str
    confidence: float
    action: str
    priority: str
    is_dispatched: bool
    made_utc_ms: int | None
    client_name: str = ""
    is_resolved: bool = False
    resolved_by: str = ""
    resolved_utc_ms: int | None = None


class VoiceLink(msgspec.Struct, frozen=True):
    """The link of a zone to a voice platform, with the hash of its token."""

    zone_id: str
    platform: str
    client_id: str
    token: SecretHash


class RecordSet(msgspec.Struct, frozen=True):
    """The content of the first file.

    Attributes:
        alerts: The oldest first.
        links: One for each zone and platform.
        posted: The name of the schedule that was posted last, by zone.
    """

    alerts: tuple[AlertRecord, ...] = ()
    links: tuple[VoiceLink, ...] = ()
    posted: dict[str, str] = {}


class ReadingSet(msgspec.Struct, frozen=True):
    """The content of the second file, the oldest first."""

    readings: tuple[ReadingRecord, ...] = ()


def with_alert(records: RecordSet, made: AlertRecord) -> RecordSet:
    """Return the records with one more alert; the oldest of the client that has the most makes room."""
    alerts = without_surplus((*records.alerts, made), ALERTS_MAX, _client_of)
    return msgspec.structs.replace(records, alerts=alerts)


def with_resolved(records: RecordSet, alert_id: str, by: str, utc_ms: int | None) -> RecordSet:
    """Return the records with an alert resolved; unchanged where there is none, or it is resolved already."""
    alerts = tuple(
        msgspec.structs.replace(each, is_resolved=True, resolved_by=by, resolved_utc_ms=utc_ms)
        if each.alert_id == alert_id and not each.is_resolved
        else each
        for each in records.alerts
    )
    return msgspec.structs.replace(records, alerts=alerts)


def with_link(records: RecordSet, made: VoiceLink) -> RecordSet:
    """Return the records with a link, in place of that of the same zone and platform; the oldest makes room."""
    others = [each for each in records.links if (each.zone_id, each.platform) != (made.zone_id, made.platform)]
    return msgspec.structs.replace(records, links=(*others, made)[-LINKS_MAX:])


def with_posted(records: RecordSet, zone_id: str, name: str) -> RecordSet:
    """Return the records with the schedule that was posted last for a zone."""
    return msgspec.structs.replace(records, posted={**records.posted, zone_id: name})


def with_readings(readings: ReadingSet, made: Sequence[ReadingRecord]) -> ReadingSet:
    """Return the readings with some more; the oldest of the client that has the most make room."""
    return ReadingSet(without_surplus((*readings.readings, *made), READINGS_MAX, _client_of))


def _client_of(record: AlertRecord | ReadingRecord) -> str:
    return record.client_id


class AurraRecords:
    """The records of one hub. Their loop is `run`."""

    def __init__(self, state_dir: Path, *, disk: Disk, worker: Worker) -> None:
        """Prepare; nothing is known before `run` has read the files."""
        self.store = JsonStore(
            state_dir / FILE_NAME,
            RecordSet(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="alerts and voice links of AURRA Home clients are lost",
            is_secret=True,
        )
        self._readings = JsonStore(
            state_dir / READINGS_FILE_NAME,
            ReadingSet(),
            disk=disk,
            worker=worker,
            bytes_max=READINGS_BYTES_MAX,
            loss="readings of AURRA Home clients are lost",
        )
        self._pending: tuple[ReadingRecord, ...] = ()
        """Not on the disk yet."""
        self._loaded = asyncio.Event()

    @property
    def value(self) -> RecordSet:
        """Alerts, links and posted schedules."""
        return self.store.value

    @property
    def readings(self) -> tuple[ReadingRecord, ...]:
        """The readings, the oldest first."""
        return with_readings(self._readings.value, self._pending).readings

    async def run(self) -> None:
        """Read the files, then write new readings from time to time, and at the end."""
        await self.store.load_patiently()
        self._loaded.set()
        await self._readings.load_patiently()
        try:
            while True:
                await asyncio.sleep(SAVE_S)
                await self._save()
        finally:
            await self._save()

    async def wait_until_loaded(self) -> None:
        """Wait until alerts, links and posted schedules have been read."""
        await self._loaded.wait()

    def add_reading(self, made: ReadingRecord) -> None:
        """Keep a reading. The disk gets it soon."""
        self._pending = with_readings(ReadingSet(self._pending), [made]).readings

    async def _save(self) -> None:
        pending = self._pending
        if pending:
            # Where the disk refuses, they stay in memory, and it gets them later.
            await self._readings.apply(lambda stored: with_readings(stored, pending))
            self._pending = tuple(each for each in self._pending if each not in pending)
