"""The journal forgets nothing that a delivery may meet, and is never larger than allowed."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.commands import journal as module
from agent.commands.journal import (
    FILE_NAME,
    JOURNAL_LOST_MESSAGE,
    RECORD_UNREADABLE_MESSAGE,
    CommandJournal,
    open_journal,
)
from agent.commands.lifecycle import TOMBSTONE_MS, CommandEvent, CommandState
from agent.commands.payloads import IncomingCommand
from agent.errors import Corrupt, StorageFull
from agent.foundation.clock import Now
from agent.foundation.disk import Disk, Operation
from agent.foundation.worker import InlineWorker

NOON_MS = 1_774_785_600_000
NOW = Now("boot-1", 5000, NOON_MS)


def at(after_ms: int, *, is_known: bool = True) -> Now:
    return Now("boot-1", 5000 + after_ms, NOON_MS + after_ms if is_known else None)


def arrivals(*ids: str, expires_utc_ms: int | None = None) -> list[IncomingCommand]:
    return [
        IncomingCommand(command_id, "diagnostics", {"sections": ["memory"]}, expires_utc_ms, "") for command_id in ids
    ]


async def opened(directory: Path, *, disk: Disk | None = None, pending_max: int = 100) -> CommandJournal:
    journal, _ = await open_journal(
        directory, pending_commands_max=pending_max, worker=InlineWorker(), disk=disk or Disk()
    )
    return journal


async def reopened(journal: CommandJournal) -> CommandJournal:
    directory = journal._database.path.parent
    await journal.close()
    return await opened(directory)


async def settle(journal: CommandJournal, command_id: str, now: Now = NOW) -> None:
    await journal.advance(command_id, CommandEvent.REFUSE, now, error_message="no")
    await journal.advance(command_id, CommandEvent.SETTLED, now)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[CommandJournal]:
    made = await opened(tmp_path)
    yield made
    await made.close()


async def test_order_and_states_survive_a_restart(journal: CommandJournal) -> None:
    assert await journal.add(arrivals("b", "a", "c", "a"), NOW) == 3
    await journal.advance("a", CommandEvent.BEGIN, NOW)
    journal = await reopened(journal)
    assert [(each.command_id, each.state) for each in journal.open_commands()] == [
        ("b", CommandState.RECEIVED),
        ("a", CommandState.EXECUTING),
        ("c", CommandState.RECEIVED),
    ]
    assert journal.get("a") == journal.open_commands()[1]
    assert journal.open_commands()[0].payload == {"sections": ["memory"]}
    await journal.close()


async def test_repeated_delivery_changes_nothing(journal: CommandJournal) -> None:
    await journal.add(arrivals("a", "b"), NOW)
    await settle(journal, "a")
    assert await journal.add(arrivals("a", "b"), NOW) == 0
    journal = await reopened(journal)
    assert await journal.add(arrivals("b", "a"), NOW) == 0
    assert [each.command_id for each in journal.open_commands()] == ["b"]
    await journal.close()


async def test_a_tombstone_is_kept_for_two_days(journal: CommandJournal) -> None:
    await journal.add(arrivals("a", "x", "y"), NOW)
    await settle(journal, "a")
    await settle(journal, "x", at(TOMBSTONE_MS - 1))
    assert await journal.add(arrivals("a"), at(TOMBSTONE_MS - 1)) == 0
    await settle(journal, "y", at(TOMBSTONE_MS))
    assert await journal.add(arrivals("a", "x"), at(TOMBSTONE_MS)) == 1


async def test_repeatedly_listed_tombstone_is_read_once(
    journal: CommandJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journal.add(arrivals("a"), NOW)
    await settle(journal, "a")
    assert await journal.add(arrivals("a"), NOW) == 0
    with monkeypatch.context() as patched:
        patched.setattr(journal._database, "run", None)
        assert await journal.add(arrivals("a"), NOW) == 0
    assert await journal.add(arrivals("a", "b"), NOW) == 1


async def test_a_tombstone_outlives_its_command(journal: CommandJournal) -> None:
    later_ms = 30 * TOMBSTONE_MS
    await journal.add(arrivals("a", expires_utc_ms=NOON_MS + later_ms), NOW)
    await settle(journal, "a")
    assert await journal.add(arrivals("a", "b"), at(later_ms)) == 1


async def test_tombstone_made_without_the_time_ages_once_it_is_known(journal: CommandJournal) -> None:
    await journal.add(arrivals("a", "b", "c"), NOW)
    await settle(journal, "a", at(0, is_known=False))
    await settle(journal, "b", at(TOMBSTONE_MS))
    assert await journal.add(arrivals("a"), at(TOMBSTONE_MS + 1)) == 0
    await settle(journal, "c", at(2 * TOMBSTONE_MS + 1))
    assert await journal.add(arrivals("a"), at(2 * TOMBSTONE_MS + 1)) == 1


async def test_the_number_of_tombstones_is_bounded(journal: CommandJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOMBSTONES_MAX", 3)
    for number in range(6):
        await journal.add(arrivals(str(number)), NOW)
        await settle(journal, str(number))
    assert [each.command_id for each in await journal.recent()] == ["5", "4", "3"]


async def test_commands_above_the_limit_stay_in_the_cloud(tmp_path: Path) -> None:
    journal = await opened(tmp_path, pending_max=2)
    assert await journal.add(arrivals("a", "b", "c"), NOW) == 2
    assert await journal.add(arrivals("a", "b", "c"), NOW) == 0
    assert journal.deferred_count == 2
    await settle(journal, "a")
    assert await journal.add(arrivals("b", "c"), NOW) == 1
    await journal.close()


async def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    is_full = [False]

    def on_operation(operation: Operation, target: str) -> None:
        if is_full[0]:
            raise OSError(28, "No space left on device")

    journal = await opened(tmp_path, disk=Disk(on_operation))
    await journal.add(arrivals("a"), NOW)
    is_full[0] = True
    with pytest.raises(StorageFull):
        await journal.advance("a", CommandEvent.BEGIN, NOW)
    with pytest.raises(StorageFull):
        await journal.confirm("a", NOW)
    with pytest.raises(StorageFull):
        await journal.add(arrivals("b"), NOW)
    is_full[0] = False
    (record,) = journal.open_commands()
    assert (record.state, record.is_confirmed) == (CommandState.RECEIVED, False)
    assert (await journal.advance("a", CommandEvent.BEGIN, NOW)).attempts == 1
    await journal.close()


async def test_confirmation_survives_a_restart_and_is_refused_for_a_begun_command(journal: CommandJournal) -> None:
    await journal.add(arrivals("a"), NOW)
    await journal.confirm("a", NOW)
    journal = await reopened(journal)
    assert journal.open_commands()[0].is_confirmed
    await journal.advance("a", CommandEvent.BEGIN, NOW)
    for command_id in ("a", "b"):
        with pytest.raises(KeyError):
            await journal.confirm(command_id, NOW)
    await journal.close()


async def test_replaced_journal_refuses_the_commands_listed_next_only(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"nonsense" * 1000)
    journal, aside = await open_journal(tmp_path, pending_commands_max=9, worker=InlineWorker(), disk=Disk())
    assert aside == tmp_path / f"{FILE_NAME}.corrupt-1"
    journal = await reopened(journal)  # the doubt survives a restart
    await journal.add(arrivals("old"), NOW)
    await journal.add(arrivals("old", "new"), NOW)
    assert [(each.command_id, each.problem) for each in journal.open_commands()] == [
        ("old", JOURNAL_LOST_MESSAGE),
        ("new", ""),
    ]
    await journal.close()


async def test_empty_listing_ends_the_refusal_after_a_replaced_journal(tmp_path: Path) -> None:
    (tmp_path / f"{FILE_NAME}.corrupt-1").write_bytes(b"put aside, and then the power went")
    journal = await opened(tmp_path)
    await journal.add([], NOW)
    journal = await reopened(journal)
    await journal.add(arrivals("new"), NOW)
    assert journal.open_commands()[0].problem == ""
    await journal.close()


@pytest.mark.parametrize(
    "record",
    [
        "{",
        b"\xff",
        "[]",
        5,
        "",
        '{"command_id":"x"}',
        '{"command_id":"b","type":"","received_boot":"","received_ms":0}',
        '{"command_id":"a","type":"x","received_boot":"","received_ms":0,"state":"dreaming"}',
        '{"command_id":"a","type":"x","received_boot":"","received_ms":0,"payload":' + "[" * 900 + "]" * 900 + "}",
    ],
)
async def test_unreadable_record_is_refused_alone(journal: CommandJournal, record: object) -> None:
    await journal.add(arrivals("a", "b", "c"), NOW)
    await settle(journal, "c")
    await journal.close()
    with contextlib.closing(sqlite3.connect(journal._database.path)) as connection, connection:
        connection.execute(
            "UPDATE commands SET record = ? WHERE command_id != 'b'", (record if record is not None else "",)
        )
    found, aside = await open_journal(
        journal._database.path.parent, pending_commands_max=9, worker=InlineWorker(), disk=Disk()
    )
    assert aside is None
    first, second = found.open_commands()
    assert (first.command_id, first.state, first.problem) == ("a", CommandState.RECEIVED, RECORD_UNREADABLE_MESSAGE)
    assert (second.command_id, second.problem) == ("b", "")
    assert [each.command_id for each in await found.recent()] == ["c", "b", "a"]
    await settle(found, "a")
    assert [each.command_id for each in found.open_commands()] == ["b"]
    await found.close()


async def test_unrepresentable_expiry_of_an_older_release_is_kept(journal: CommandJournal) -> None:
    for utc_ms in (-62_135_600_400_000, 253_402_318_799_000, 2**63 - 1):
        command_id = str(utc_ms)
        await journal.add(arrivals(command_id, expires_utc_ms=utc_ms), NOW)
        await settle(journal, command_id)
    assert len(await journal.recent()) == 3


async def test_journal_of_a_newer_schema_is_quarantined(journal: CommandJournal) -> None:
    await journal.close()
    with sqlite3.connect(journal._database.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    _, aside = found = await open_journal(
        journal._database.path.parent, pending_commands_max=9, worker=InlineWorker(), disk=Disk()
    )
    assert aside is not None
    await found[0].close()


async def test_failure_to_replace_a_broken_journal_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: CommandJournal, connection: sqlite3.Connection) -> None:
        raise Corrupt("no luck")

    monkeypatch.setattr(CommandJournal, "_load", broken)
    with pytest.raises(Corrupt, match="no luck"):
        await opened(tmp_path)


async def test_journal_is_retired_only_where_its_copy_is_complete(journal: CommandJournal) -> None:
    await journal.add(arrivals("a", "b"), NOW)
    count = journal.change_count
    await settle(journal, "a")
    assert not await journal.retire(count)
    await settle(journal, "b")
    assert await journal.retire(journal.change_count)
    with pytest.raises(StorageFull, match="try again"):
        await journal.add(arrivals("c"), NOW)
    assert journal.refused_since_ms is None


async def test_listeners_are_called_after_durable_changes_only(journal: CommandJournal) -> None:
    heard: list[int] = []
    journal.on_change(lambda: heard.append(len(journal.open_commands())))
    await journal.add(arrivals("a", "b"), NOW)
    await journal.add(arrivals("a"), NOW)
    await settle(journal, "a")
    assert heard == [2, 2, 1]


async def test_missing_journal_is_told_apart_from_a_first_one(tmp_path: Path) -> None:
    async def opened() -> CommandJournal:
        journal, aside = await open_journal(tmp_path, pending_commands_max=5, worker=InlineWorker(), disk=Disk())
        assert aside is None
        return journal

    first = await opened()
    assert not first.replaces_missing
    await first.close()
    again = await opened()
    assert not again.replaces_missing
    await again.close()
    for is_empty in (False, True):
        (tmp_path / FILE_NAME).unlink()
        if is_empty:
            (tmp_path / FILE_NAME).touch()
        lost = await opened()
        assert lost.replaces_missing
        arrivals = [IncomingCommand("c-1", "reboot", {}, None, "")]
        await lost.add(arrivals, Now("boot", 1, None))
        (record,) = lost.open_commands()
        assert "may have been run" in record.problem
        await lost.close()
