"""A trial over power cuts and a disk that refuses: the old values come back by themselves, a confirmed one stays."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.config.changes import ConfigChanges
from agent.errors import StorageFull
from agent.foundation.disk import Disk, Operation
from agent.foundation.worker import InlineWorker
from agent.port.config_store import FILE_NAME, ConfigStore

OLD: dict[str, Any] = {"log.level": "debug"}
NEW: dict[str, Any] = {"log.level": "debug", "cloud.proxy": "http://user:secret@proxy:3128", "port.listen": ["::1"]}


class PowerCut(BaseException):
    pass


class Power:
    """Cuts the power before an operation of the disk; counts them."""

    def __init__(self, cut_at: int = 0) -> None:
        self.cut_at = cut_at
        self.count = 0

    def __call__(self, operation: Operation, target: str) -> None:
        self.count += 1
        if self.count == self.cut_at:
            raise PowerCut


def process(directory: Path, power: Callable[[Operation, str], None] | None = None) -> ConfigStore:
    return ConfigStore(directory, disk=Disk(power) if power else Disk(), worker=InlineWorker())


async def with_old(directory: Path) -> None:
    directory.mkdir()  # noqa: ASYNC240 - a test may block
    store = process(directory)
    await store.start()
    await store.set_confirmed(OLD)


async def life(directory: Path, power: Power, *, is_confirmed: bool) -> tuple[bool, bool]:
    """Begin a trial, restart into it, perhaps confirm it; return whether each of both was done before the cut."""
    has_begun = has_confirmed = False
    try:
        store = process(directory, power)
        await store.start()
        await store.begin(NEW, trial_s=60, caller="")
        has_begun = True
        assert (await store.start()).in_force == NEW
        if is_confirmed:
            await store.confirm()
            has_confirmed = True
    except PowerCut:
        pass
    return has_begun, has_confirmed


@pytest.mark.parametrize("is_confirmed", [False, True])
async def test_a_power_cut_at_any_operation_of_a_trial(tmp_path: Path, is_confirmed: bool) -> None:
    await with_old(tmp_path / "count")
    power = Power()
    assert await life(tmp_path / "count", power, is_confirmed=is_confirmed) == (True, is_confirmed)
    assert power.count > 15
    for cut_at in range(1, power.count + 2):
        directory = tmp_path / str(cut_at)
        await with_old(directory)
        _, has_confirmed = await life(directory, Power(cut_at), is_confirmed=is_confirmed)
        in_force = [(await process(directory).start()).in_force for _ in range(3)]
        assert all(each in (OLD, NEW) for each in in_force)
        if has_confirmed:
            assert in_force == [NEW, NEW, NEW]
        elif not is_confirmed:
            # At most one process more has it on trial.
            assert in_force[1:] == [OLD, OLD]
        else:
            # The power was cut while the confirmation was being written: either, but for good.
            assert in_force[1] == in_force[2]


async def test_a_trial_that_starts_twice_is_undone_and_said_so(tmp_path: Path) -> None:
    store = process(tmp_path)
    await store.start()
    await store.begin(NEW, trial_s=60, caller="")
    assert (await store.start()).in_force == NEW
    after = await process(tmp_path).start()
    assert (after.in_force, after.trial) == ({}, None)
    assert "undone" in after.last_trial


async def test_a_disk_that_refuses_lets_no_trial_begin_and_none_start(tmp_path: Path) -> None:
    is_full = False

    def refuse(operation: Operation, target: str) -> None:
        if is_full:
            raise OSError(errno.ENOSPC, "No space left on device")

    store = process(tmp_path, refuse)
    await store.start()
    await store.set_confirmed(OLD)
    is_full = True
    with pytest.raises(StorageFull):
        await store.begin(NEW, trial_s=60, caller="")
    assert store.changes.trial is None
    is_full = False
    await store.begin(NEW, trial_s=60, caller="")
    is_full = True
    changes = await store.start()
    assert (changes.in_force, changes.trial) == (OLD, None)
    assert "not tried" in changes.last_trial
    assert store.problem


async def test_end_of_a_trial_applies_on_a_full_disk(tmp_path: Path) -> None:
    is_full = False

    def refuse(operation: Operation, target: str) -> None:
        if is_full:
            raise OSError(errno.ENOSPC, "No space left on device")

    store = process(tmp_path, refuse)
    await store.start()
    await store.begin(NEW, trial_s=60, caller="")
    await store.start()
    is_full = True
    with pytest.raises(StorageFull):
        await store.confirm()
    assert store.changes.trial is not None
    await store.roll_back("nobody confirmed it in time")
    assert (await store.start()).in_force == {}
    assert (await process(tmp_path).start()).in_force == {}
    # A process that finds it started, with a disk that is still full.
    again = process(tmp_path, refuse)
    assert (await again.start()).in_force == {}


async def test_what_cannot_be_read_leaves_the_file_of_the_configuration_alone_in_force(tmp_path: Path) -> None:
    await with_old(tmp_path / "a")
    for name in (FILE_NAME, f"{FILE_NAME}.copy"):
        (tmp_path / "a" / name).write_bytes(b'{"values":')
    store = process(tmp_path / "a")
    assert await store.start() == ConfigChanges()
    assert "the values of the configuration file are in force" in store.problem


async def test_file_is_private(tmp_path: Path) -> None:
    await with_old(tmp_path / "a")
    assert (tmp_path / "a" / FILE_NAME).stat().st_mode & 0o077 == 0


async def test_a_factory_reset_leaves_no_change(tmp_path: Path) -> None:
    await with_old(tmp_path / "a")
    store = process(tmp_path / "a")
    await store.start()
    for path in (tmp_path / "a").iterdir():
        path.unlink()
    store.forget()
    assert await store.start() == ConfigChanges()
