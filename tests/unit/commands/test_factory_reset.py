"""A factory reset bars the key first and erases everything else, wherever the power fails."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.commands import factory_reset
from agent.commands.factory_reset import FactoryResetHandler
from agent.commands.lifecycle import CommandRecord, CommandState
from agent.errors import CommandInvalid, ConfigInvalid
from agent.foundation.disk import Disk
from agent.foundation.lock import FILE_NAME as LOCK_NAME

from .conftest import until

KEY, NEW_KEY = ("cs_dev_" + letter * 32 for letter in "ab")


def executing(type_: str, payload: Any = None, **changes: Any) -> CommandRecord:  # noqa: ANN401 (any JSON)
    record = CommandRecord("c1", type_, "boot-1", 0, CommandState.EXECUTING, payload, started_boot_id="boot-1")
    return msgspec.structs.replace(record, **changes)


async def test_factory_reset_bars_the_key_before_it_restarts() -> None:
    did: list[str] = []

    async def bar() -> None:
        did.append("bar")

    handler = FactoryResetHandler(bar_key=bar, restart=lambda: did.append("anew"))
    with pytest.raises(CommandInvalid):
        handler.check({})
    task = asyncio.get_running_loop().create_task(handler.execute(executing("factory_reset", {"confirm": True})))
    await until(lambda: len(did) == 2)
    assert did == ["bar", "anew"]
    assert not task.done()
    assert await handler.reconcile(executing("factory_reset")) is None
    task.cancel()
    await handler.reset()
    assert did == ["bar", "anew"] * 2


def operators(path: Path) -> str:
    if not path.exists():
        raise ConfigInvalid("there is no key")
    return path.read_text()


def test_a_barred_key_is_never_used_again_and_a_new_one_is(tmp_path: Path) -> None:
    disk, key_file = Disk(), tmp_path / "key"
    key_file.write_text(KEY)
    state = tmp_path / "state"
    state.mkdir()

    def usable() -> str | None:
        return factory_reset.read_usable_key(state, disk, lambda: operators(key_file))

    assert usable() == KEY
    factory_reset.bar_key(state, disk, KEY)
    assert usable() is None
    key_file.write_text(NEW_KEY)
    assert usable() is None  # not before everything is erased
    assert factory_reset.finish_erasing(state, disk, key_file=key_file)
    assert key_file.exists()  # it is not the barred one
    assert usable() == NEW_KEY
    key_file.write_text(KEY)
    assert usable() is None
    key_file.unlink()
    assert usable() is None


def test_factory_reset_erases_all_but_the_lock_and_the_hashes(tmp_path: Path) -> None:
    disk, state, key_file = Disk(), tmp_path / "state", tmp_path / "key"
    state.mkdir()
    key_file.write_text(KEY + "\n")
    for name in ("outbox.db", "outbox.db-wal", "settings.json", "commands.db", "commands.db.corrupt-1", LOCK_NAME):
        (state / name).write_text("x")
    assert not factory_reset.finish_erasing(state, disk, key_file=key_file)
    assert (state / "outbox.db").exists()
    factory_reset.bar_key(state, disk, KEY)
    factory_reset.bar_key(state, disk, KEY)
    assert factory_reset.finish_erasing(state, disk, key_file=key_file)
    assert sorted(path.name for path in state.iterdir()) == sorted(
        [LOCK_NAME, factory_reset.FILE_NAME, factory_reset.COPY_NAME]
    )
    assert KEY not in (state / factory_reset.FILE_NAME).read_text()
    assert not key_file.exists()
    assert not factory_reset.finish_erasing(state, disk, key_file=None)


def test_listed_files_survive_a_factory_reset(tmp_path: Path) -> None:
    for name in ("keep", "go"):
        (tmp_path / name).write_text("x")
    factory_reset.bar_key(tmp_path, Disk(), KEY)
    assert factory_reset.finish_erasing(tmp_path, Disk(), key_file=None, outlives=frozenset({"keep"}))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["keep", factory_reset.FILE_NAME, factory_reset.COPY_NAME]
    )


def test_power_cut_at_any_step_of_a_factory_reset_leaves_no_connecting_hub(tmp_path: Path) -> None:
    class Cut(BaseException): ...

    for point in range(1, 100):
        state = tmp_path / str(point)
        state.mkdir()
        for name in ("outbox.db", "relayed.json", "settings.json"):
            (state / name).write_text("x")
        left = [point]

        def on_operation(operation: object, target: str, left: list[int] = left) -> None:
            left[0] -= 1
            if not left[0]:
                raise Cut

        try:
            factory_reset.bar_key(state, Disk(on_operation), KEY)
            factory_reset.finish_erasing(state, Disk(on_operation), key_file=None)
        except Cut:
            has_begun = (state / factory_reset.FILE_NAME).exists()
            assert (factory_reset.read_usable_key(state, Disk(), lambda: KEY) is None) == has_begun
            factory_reset.finish_erasing(state, Disk(), key_file=None)
            left_over = {path.name for path in state.iterdir() if not path.name.endswith(".new")}
            assert (left_over - {factory_reset.COPY_NAME} == {factory_reset.FILE_NAME}) == has_begun
        else:
            assert point > 10
            return
    pytest.fail("it never ended")


def test_unreadable_list_of_barred_keys_bars_every_key(tmp_path: Path) -> None:
    (tmp_path / factory_reset.FILE_NAME).write_bytes(b"\xff not json")
    assert factory_reset.read_usable_key(tmp_path, Disk(), lambda: KEY) is None
    factory_reset.bar_key(tmp_path, Disk(), KEY)
    assert factory_reset.read_usable_key(tmp_path, Disk(), lambda: NEW_KEY) is None


@pytest.mark.parametrize("damage", [None, b"", b"\xff not json", b'{"sha256":"' + b"0" * 64 + b'","barred":[]}'])
def test_lost_list_of_barred_keys_is_restored_from_its_copy(
    tmp_path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    factory_reset.bar_key(tmp_path, Disk(), KEY)
    factory_reset.finish_erasing(tmp_path, Disk(), key_file=None)
    path = tmp_path / factory_reset.FILE_NAME
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    assert factory_reset.read_usable_key(tmp_path, Disk(), lambda: KEY) is None
    assert "its copy is in force" in caplog.text
    (tmp_path / factory_reset.COPY_NAME).write_bytes(b"{")
    assert factory_reset.read_usable_key(tmp_path, Disk(), lambda: KEY) is None
    assert "no key is used" in caplog.text


def test_key_is_barred_even_where_something_else_has_the_files_name(tmp_path: Path) -> None:
    (tmp_path / factory_reset.FILE_NAME).mkdir()
    factory_reset.bar_key(tmp_path, Disk(), KEY)
    assert factory_reset.is_barred(factory_reset.read(tmp_path, Disk()), KEY)
