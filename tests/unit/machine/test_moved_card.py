"""A card that is in another machine is noticed, and its key is withheld until a person or a new key decides."""

import asyncio
import errno
from pathlib import Path

import pytest

from agent.errors import ReadFailed, Rejected, StorageFull
from agent.foundation import durable_file
from agent.foundation.disk import Disk, Operation
from agent.foundation.system_info import MachineIds, machine_ids
from agent.foundation.worker import InlineWorker
from agent.machine.moved_card import (
    FILE_NAME,
    KeyMachine,
    MovedCard,
    elsewhere_of,
    guarded,
    is_moved,
    label_of,
    recorded_after,
)

KEY, OTHER_KEY = "cs_dev_" + "A1b2" * 8, "cs_dev_" + "Z9y8" * 8
SYSTEM, OTHER_SYSTEM = "0123456789abcdef" * 2, "fedcba9876543210" * 2
PI, OTHER_PI = MachineIds("10000000a1b2c3d4", SYSTEM), MachineIds("1000000099887766", SYSTEM)


class BadDisk(Disk):
    """A disk that can be full, or fail to read."""

    def __init__(self) -> None:
        super().__init__(lambda operation, _: self._hinder(operation))
        self.is_full = self.is_unreadable = False

    def _hinder(self, operation: Operation) -> None:
        if self.is_full and operation is Operation.WRITE:
            raise OSError(errno.ENOSPC, "No space left on device")

    def read(self, path: Path, *, bytes_max: int) -> bytes | None:
        if self.is_unreadable:
            raise ReadFailed("the card does not answer")
        return super().read(path, bytes_max=bytes_max)


def card_in(state: Path, ids: MachineIds, disk: Disk | None = None) -> MovedCard:
    """Return the card after a start in a machine."""
    card = MovedCard(state, ids, disk=disk or Disk(), worker=InlineWorker())
    card.load()
    return card


async def used(state: Path, ids: MachineIds, key: str | None = KEY, disk: Disk | None = None) -> MovedCard:
    """Return the card after a hub has run in a machine for long enough to write its file."""
    card = card_in(state, ids, disk)
    card.usable(key)
    task = asyncio.get_running_loop().create_task(card.run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return card


async def test_card_in_another_board_does_not_give_its_key_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert not (await used(tmp_path, PI)).is_moved
    assert card_in(tmp_path, PI).usable(KEY) == KEY
    card = card_in(tmp_path, OTHER_PI)
    assert [card.usable(KEY), card.usable(KEY), card.is_moved] == [None, None, True]
    assert [record.getMessage() for record in caplog.records if "copied or moved" in record.getMessage()] != []
    assert sum("copied or moved" in record.getMessage() for record in caplog.records) == 1, "once, not at each read"
    await used(tmp_path, OTHER_PI)
    assert card_in(tmp_path, OTHER_PI).usable(KEY) is None, "a restart decides nothing"
    assert card_in(tmp_path, PI).usable(KEY) == KEY, "back in its board, all is well"


async def test_a_person_confirms_that_it_was_moved(tmp_path: Path) -> None:
    await used(tmp_path, PI)
    card = card_in(tmp_path, OTHER_PI)
    card.usable(KEY)
    await card.confirm()
    assert (card.is_moved, card.usable(KEY)) == (False, KEY)
    assert card_in(tmp_path, OTHER_PI).usable(KEY) == KEY
    assert card_in(tmp_path, PI).usable(KEY) is None, "the board before is now the other one"
    with pytest.raises(Rejected, match="nothing to decide"):
        await card.confirm()


async def test_a_confirmation_that_is_not_on_the_disk_has_not_happened(tmp_path: Path) -> None:
    await used(tmp_path, PI)
    disk = BadDisk()
    card = card_in(tmp_path, OTHER_PI, disk)
    card.usable(KEY)
    disk.is_full = True
    with pytest.raises(StorageFull):
        await card.confirm()
    assert card.usable(KEY) is None


async def test_a_key_of_its_own_decides(tmp_path: Path) -> None:
    await used(tmp_path, PI)
    card = await used(tmp_path, OTHER_PI, OTHER_KEY)
    assert not card.is_moved
    assert card_in(tmp_path, OTHER_PI).usable(OTHER_KEY) == OTHER_KEY
    assert card_in(tmp_path, PI).usable(OTHER_KEY) is None


NOTHING = MachineIds()
REINSTALLED = MachineIds(PI.board_serial, OTHER_SYSTEM)
PC, OTHER_PC = MachineIds("", SYSTEM), MachineIds("", OTHER_SYSTEM)


@pytest.mark.parametrize(
    ("made_on", "here", "held"),
    [
        (PI, PI, False),
        (PI, OTHER_PI, True),
        (OTHER_PI, PI, True),
        (PI, REINSTALLED, False),
        (PC, OTHER_PC, True),
        (PC, PC, False),
        # A board that shows its serial number at one start only: the system decides.
        (PI, PC, False),
        (PI, OTHER_PC, True),
        # What is unknown proves nothing.
        (NOTHING, PI, False),
        (PI, NOTHING, False),
    ],
)
def test_a_record_is_held_where_it_was_made_on_another_machine(
    tmp_path: Path, made_on: MachineIds, here: MachineIds, held: bool
) -> None:
    label = card_in(tmp_path, made_on).machine
    assert not [secret for secret in (PI.board_serial, SYSTEM) if secret in label]
    assert card_in(tmp_path, here).is_elsewhere(label) is held
    assert elsewhere_of(None)(label) is False


def test_a_record_of_which_the_machine_is_not_known_is_not_held(tmp_path: Path) -> None:
    assert not card_in(tmp_path, PI).is_elsewhere("")


@pytest.mark.parametrize(
    ("made_on", "here", "held"), [(PI, PI, False), (PI, OTHER_PI, True), (PC, PC, False), (PC, OTHER_PC, True)]
)
def test_the_label_of_an_older_release_is_one_hash(
    tmp_path: Path, made_on: MachineIds, here: MachineIds, held: bool
) -> None:
    board, system = card_in(tmp_path, made_on).machine.split("/")
    assert card_in(tmp_path, here).is_elsewhere(board or system) is held


async def test_nothing_is_labelled_before_the_card_has_any_key_and_everything_afterwards(tmp_path: Path) -> None:
    card = card_in(tmp_path, PI)
    assert (card.label, label_of(card)(), label_of(None)()) == ("", "", "")
    card.usable(None)
    assert card.label == ""
    card.usable(KEY)
    assert card.label == card.machine == label_of(card)() != ""
    # A key that was taken away, that another board withholds, and that it cannot read: the records are a hub's.
    card.usable(None)
    assert card.label
    await used(tmp_path, PI)
    moved = card_in(tmp_path, OTHER_PI)
    assert moved.label == moved.machine != card.label
    for key in (KEY, None):
        moved.usable(key)
        assert moved.label == moved.machine


async def test_a_person_decides_about_what_is_held_once_the_key_is_decided_and_there_is_one(tmp_path: Path) -> None:
    await used(tmp_path, PI)
    card = card_in(tmp_path, OTHER_PI)
    card.usable(None)
    assert not card.has_key
    with pytest.raises(Rejected, match="give this hub a key first"):
        card.check_decidable()
    assert card.usable(KEY) is None
    with pytest.raises(Rejected, match="decide first whether the card was moved or copied"):
        card.check_decidable()
    await card.confirm()
    assert card.has_key
    card.check_decidable()


async def test_an_image_without_a_key_is_bound_to_nothing(tmp_path: Path) -> None:
    card = await used(tmp_path, PI, None)
    assert not (tmp_path / FILE_NAME).exists()
    assert guarded(card, lambda: None)() is None
    assert card_in(tmp_path, OTHER_PI).usable(KEY) == KEY
    assert guarded(None, lambda: KEY)() == KEY


async def test_neither_key_nor_machine_is_readable_in_the_file(tmp_path: Path) -> None:
    await used(tmp_path, PI)
    for path in (tmp_path / FILE_NAME, tmp_path / f"{FILE_NAME}{durable_file.COPY_SUFFIX}"):
        text = path.read_text()
        assert not [secret for secret in (KEY, PI.board_serial, PI.machine_id) if secret in text]


@pytest.mark.parametrize(
    ("recorded", "now", "moved"),
    [
        (KeyMachine("k", "b", "s"), KeyMachine("k", "b", "s"), False),
        (KeyMachine("k", "b", "s"), KeyMachine("k", "c", "s"), True),
        (KeyMachine("k", "b", "s"), KeyMachine("k", "b", "t"), False),  # A new system on the same board.
        (KeyMachine("k", "", "s"), KeyMachine("k", "", "t"), True),
        (KeyMachine("k", "b", "s"), KeyMachine("k", "", "t"), True),
        (KeyMachine("k", "b", "s"), KeyMachine("k", "", "s"), False),
        (KeyMachine("k", "b", ""), KeyMachine("k", "", "t"), False),  # Nothing to compare.
        (KeyMachine("k", "b", "s"), KeyMachine("other", "c", "t"), False),
        (KeyMachine(), KeyMachine("k", "b", "s"), False),
        (KeyMachine(), KeyMachine("", "b", "s"), False),
    ],
)
def test_the_serial_number_decides_and_the_machine_id_where_there_is_none(
    recorded: KeyMachine, now: KeyMachine, moved: bool
) -> None:
    assert is_moved(recorded, now) is moved


def test_what_a_machine_does_not_show_today_is_not_forgotten() -> None:
    assert recorded_after(KeyMachine("k", "b", "s"), KeyMachine("k", "", "t")) == KeyMachine("k", "b", "t")
    assert recorded_after(KeyMachine("k", "b", "s"), KeyMachine("other", "", "t")) == KeyMachine("other", "", "t")
    assert recorded_after(KeyMachine("k", "b", "s"), KeyMachine("other", "b", "t")) == KeyMachine("other", "b", "t")


async def test_a_disk_that_fails_takes_no_key_away_and_loses_no_record(tmp_path: Path) -> None:
    await used(tmp_path, PI)
    disk = BadDisk()
    disk.is_unreadable = True
    card = card_in(tmp_path, OTHER_PI, disk)
    assert card.usable(KEY) == KEY, "nothing proves that it was moved"
    task = asyncio.get_running_loop().create_task(card.run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert card_in(tmp_path, OTHER_PI).usable(KEY) is None, "the next start knows"


@pytest.mark.parametrize(("ids", "key", "then"), [(PI, KEY, KEY), (OTHER_PI, KEY, None), (OTHER_PI, None, None)])
async def test_a_file_that_the_disk_gives_late_counts_from_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ids: MachineIds, key: str | None, then: str | None
) -> None:
    monkeypatch.setattr(durable_file, "READ_RETRY_S", 0)
    await used(tmp_path, PI)
    disk = BadDisk()
    disk.is_unreadable = True
    card = card_in(tmp_path, ids, disk)
    assert card.usable(key) == key
    disk.is_unreadable = False
    task = asyncio.get_running_loop().create_task(card.run())
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert card_in(tmp_path, ids).usable(KEY) == then


def test_what_tells_machines_apart_is_read(tmp_path: Path) -> None:
    tree = tmp_path / "sys" / "firmware" / "devicetree" / "base"
    tree.mkdir(parents=True)
    (tmp_path / "machine-id").write_text(f"{SYSTEM}\n")
    (tree / "serial-number").write_bytes(b"10000000a1b2c3d4\0")
    run = tmp_path / "run"
    assert machine_ids(tmp_path, tmp_path / "sys", run) == PI
    (tree / "serial-number").write_bytes(b"0000000000000000\0")
    (tmp_path / "machine-id").write_text("uninitialized\n")
    assert machine_ids(tmp_path, tmp_path / "sys", run) == MachineIds()
    (tmp_path / "machine-id").write_text(f"{SYSTEM}\n")
    run.mkdir()
    (run / "machine-id").write_text(f"{OTHER_SYSTEM}\n")
    assert machine_ids(tmp_path, tmp_path / "sys", run) == MachineIds(), "one of this boot only says nothing"
