"""One suite for every `Store`."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import Corrupt
from lab.refcloud.contract import SensorType
from lab.refcloud.models import DeviceSettings, Location
from lab.refcloud.records import (
    CloudCommand,
    CloudCredential,
    CloudDevice,
    CloudFirmware,
    CloudSettings,
    CommandState,
    DeviceKind,
    OtaHistory,
    OtaStatusPost,
    ReadingTally,
    ReadingVerdict,
    command_shelf,
)
from lab.refcloud.store import MemoryStore, ReadingColumns, ReadingKey, SqliteStore, Store

RECORDS: list[Any] = [
    CloudDevice("d", DeviceKind.SENSOR, "kitchen", "s-1", "stable", hub_id="h", ieee_address="0x0", latitude=1.5),
    CloudCredential("ab", "d", is_revoked=True),
    CloudSettings("d", DeviceSettings(location=Location(name="attic"), enabled_sensors=("iaq",))),
    CloudCommand(
        "c", "d", "reboot", 1, 2, payload={"delay_seconds": 5}, state=CommandState.FAILED, result={"a": [None]}
    ),
    CloudCommand("c2", "d", "reboot", 1, 2),
    CloudFirmware("1.2", "ab", 3, "notes", ("stable",), 5),
    OtaHistory("d", posts=(OtaStatusPost(1, "2", "failed", is_legal=False, error_message="x"),), posts_total=1),
    ReadingTally("d", batches=1, stored=2, duplicates=3, conflicting=4),
]


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "cloud.db")
    yield store
    store.close()


def command(name: str, state: CommandState = CommandState.PENDING) -> CloudCommand:
    return CloudCommand(name, "hub", "reboot", created_ms=0, expires_ms=1, state=state)


def columns(*rows: tuple[str, SensorType, int, float]) -> ReadingColumns:
    device_ids, sensor_types, at_ms, values = ([*column] for column in zip(*rows, strict=True))
    return ReadingColumns(device_ids, sensor_types, at_ms, values)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_stored_records_are_returned(store: Store, record: ReadingTally) -> None:
    assert store.get(type(record), record.key) is None
    store.put(record)
    assert store.get(type(record), record.key) == record
    assert list(store.shelf(type(record), record.shelf)) == [record]


def test_kinds_of_records_are_separate(store: Store) -> None:
    store.put(ReadingTally("d"))
    assert store.get(OtaHistory, "d") is None
    assert not store.shelf(OtaHistory, "")


def test_index_keeps_its_order_and_a_record_has_one_place(store: Store) -> None:
    def names(*, is_pending: bool) -> list[str]:
        return [kept.command_id for kept in store.shelf(CloudCommand, command_shelf("hub", is_pending=is_pending))]

    for name in ("b", "a", "c", "d"):
        store.put(command(name))
    store.put(command("b"))
    assert names(is_pending=True) == ["b", "a", "c", "d"]
    store.put(command("c", CommandState.ACKED))
    store.put(command("a", CommandState.FAILED))
    assert names(is_pending=True) == ["b", "d"]
    assert names(is_pending=False) == ["c", "a"]


def test_first_value_of_a_reading_is_kept(store: Store) -> None:
    stored, duplicate, conflicting = ReadingVerdict.STORED, ReadingVerdict.DUPLICATE, ReadingVerdict.CONFLICTING
    first = columns(("d", "iaq", 1, 5.0), ("d", "iaq", 1, 5.0), ("d", "iaq", 1, 6.0), ("d", "iaq", 2, 6.0))
    assert store.add_readings(first) == [stored, duplicate, conflicting, stored]
    second = columns(("d", "iaq", 2, 6.0), ("d", "humidity", 1, 5.0), ("e", "iaq", 1, 7.0))
    assert store.add_readings(second) == [duplicate, stored, stored]
    assert store.readings_count() == 4
    assert [(r.device_id, r.sensor_type, r.at_ms, r.value) for r in store.readings(None, 99)] == [
        ("d", "humidity", 1, 5.0),
        ("d", "iaq", 1, 5.0),
        ("d", "iaq", 2, 6.0),
        ("e", "iaq", 1, 7.0),
    ]


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["iaq", "humidity"]),
        st.integers(-3, 9),
        st.floats(0, 2, allow_nan=False),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, limit=st.integers(1, 7))
def test_pages_hold_every_reading_once_in_order(
    tmp_path: Path, rows: list[tuple[str, SensorType, int, float]], limit: int
) -> None:
    (tmp_path / "cloud.db").unlink(missing_ok=True)
    for store in (MemoryStore(), SqliteStore(tmp_path / "cloud.db")):
        store.add_readings(columns(*rows))
        first_values: dict[tuple[str, str, int], float] = {}
        for device_id, sensor_type, at_ms, value in rows:
            first_values.setdefault((device_id, sensor_type, at_ms), value)
        pages, after = [], None
        while page := store.readings(after, limit):
            assert len(page) <= limit
            pages += page
            after = ReadingKey(page[-1].device_id, page[-1].sensor_type, page[-1].at_ms)
        assert [((r.device_id, r.sensor_type, r.at_ms), r.value) for r in pages] == sorted(first_values.items())
        store.close()


def test_images_are_stored(store: Store) -> None:
    store.put_image("1", b"0123456789")
    assert store.image("1", 0, 10) == b"0123456789"
    assert store.image("1", 3, 5) == b"34"
    with pytest.raises(KeyError):
        store.image("2", 0, 1)


def test_committed_transaction_is_kept(store: Store) -> None:
    with store.transaction():
        store.put(ReadingTally("d"))
        store.add_readings(columns(("d", "iaq", 1, 5.0)))
    assert store.get(ReadingTally, "d") is not None
    assert len(store.readings(None, 9)) == 1


class TestSqlite:
    def test_everything_survives_a_restart(self, tmp_path: Path) -> None:
        first = SqliteStore(tmp_path / "cloud.db")
        for record in RECORDS:
            first.put(record)
        first.add_readings(columns(("d", "iaq", -1, 0.1)))
        first.put_image("1", b"image")
        first.close()
        second = SqliteStore(tmp_path / "cloud.db")
        for record in RECORDS:
            assert second.get(type(record), record.key) == record
        assert [r.value for r in second.readings(None, 9)] == [0.1]
        assert second.image("1", 0, 5) == b"image"
        second.close()

    def test_failed_transaction_changes_nothing(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "cloud.db")

        def fail_in_the_middle() -> None:
            with store.transaction():
                store.put(ReadingTally("d"))
                raise KeyError

        with pytest.raises(KeyError):
            fail_in_the_middle()
        assert store.get(ReadingTally, "d") is None
        store.put(ReadingTally("d"))
        store.close()

    def test_file_that_is_no_store_is_refused_and_unchanged(self, tmp_path: Path) -> None:
        text = tmp_path / "text.db"
        text.write_bytes(b"no database, but long enough to be taken for one" * 100)
        other = tmp_path / "other.db"
        connection = sqlite3.connect(other)
        connection.execute("CREATE TABLE mine (a)")
        connection.close()
        newer = tmp_path / "newer.db"
        connection = sqlite3.connect(newer)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        for path in (text, other, newer):
            with pytest.raises(Corrupt, match="use another file"):
                SqliteStore(path)
        assert text.read_bytes().startswith(b"no database")
