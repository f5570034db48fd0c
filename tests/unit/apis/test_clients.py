"""The credential store over restarts, damage and power cuts: a revoked client never comes back."""

import itertools
import os
from pathlib import Path

import pytest

from agent.apis.client_records import NewClient
from agent.apis.clients import FILE_NAME, Clients
from agent.errors import StorageFull
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from tests.unit.power_cut import Cutter, PowerCut


class BootClock:
    boot_id = "boot-1"

    def monotonic_ms(self) -> int:
        return 0

    def utc_ms(self) -> int | None:
        return 1_790_000_000_000


def store(directory: Path, disk: Disk | None = None) -> Clients:
    return Clients(
        directory,
        clock=BootClock(),
        disk=disk or Disk(),
        worker=InlineWorker(),
        random_bytes=os.urandom,
        zones=("living",),
    )


async def loaded(directory: Path, disk: Disk | None = None) -> Clients:
    made = store(directory, disk)
    await made.load()
    return made


async def test_a_client_outlives_a_restart_and_a_revoked_one_does_not(tmp_path: Path) -> None:
    clients = await loaded(tmp_path)
    secret, made = await clients.add(NewClient("amps", "one", zones=("living",)))
    assert clients.find("amps", secret) == made.client
    clients = await loaded(tmp_path)
    assert clients.find("amps", secret) == made.client
    assert clients.find_id("amps", made.client.client_id) == made.client
    assert clients.find_id("aqara", made.client.client_id) is None
    assert await clients.revoke(made.client.client_id)
    assert not await clients.revoke(made.client.client_id)
    assert (await loaded(tmp_path)).find("amps", secret) is None


async def test_nothing_is_changed_before_the_file_was_read(tmp_path: Path) -> None:
    clients = store(tmp_path)
    with pytest.raises(StorageFull, match="has not been read yet"):
        await clients.add(NewClient("amps", "one"))
    with pytest.raises(StorageFull, match="has not been read yet"):
        await clients.revoke("acc_1")


async def test_only_the_service_may_read_the_file(tmp_path: Path) -> None:
    await (await loaded(tmp_path)).add(NewClient("amps", "one"))
    for name in (FILE_NAME, f"{FILE_NAME}.copy"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damages_file", [False, True], ids=["whole", "then damaged"])
async def test_power_cut_before_any_operation_revives_no_revoked_client(tmp_path: Path, damages_file: bool) -> None:
    cuts = 0
    for at in itertools.count(1):
        directory = tmp_path / f"{at}"
        directory.mkdir()
        valid: list[str] = []
        ended: list[str] = []
        try:
            clients = await loaded(directory, Disk(Cutter(at)))
            first, made = await clients.add(NewClient("amps", "one"))
            valid.append(first)
            second, _ = await clients.add(NewClient("amps", "two"))
            valid.append(second)
            # Until `revoke` returns, both are allowed.
            valid.remove(first)
            await clients.revoke(made.client.client_id)
            ended.append(first)
        except PowerCut:
            cuts += 1
        if damages_file and (directory / FILE_NAME).exists():
            (directory / FILE_NAME).write_bytes(b"\x00" * 10)
        after = await loaded(directory)
        assert not [secret for secret in ended if after.find("amps", secret)], at
        if not damages_file:
            assert all(after.find("amps", secret) for secret in valid), at
            assert after.problem == ""
        await after.add(NewClient("amps", "after"))
        if ended:
            break
    assert cuts >= 3 * 4  # three changes, each at least written, synced, renamed and synced
