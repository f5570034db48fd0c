from pathlib import Path

import msgspec
import pytest

from agent.errors import RebootFailed
from agent.foundation.disk import Disk, Operation
from agent.foundation.host import Systemd, Unmanaged
from agent.foundation.simulated_boots import FILE_NAME, SimulatedBoots, SimulatedRebootHost


class Machine(msgspec.Struct):
    boot_id: str = "m1"
    now_ms: int = 5000

    def monotonic_ms(self) -> int:
        return self.now_ms

    def utc_ms(self) -> int | None:
        return 1_000_000 + self.now_ms


async def test_each_reboot_is_another_boot_with_time_from_zero(tmp_path: Path) -> None:
    machine, path, anew = Machine(), tmp_path / FILE_NAME, []
    boots = SimulatedBoots(path, machine, Disk())
    first = boots.clock
    assert (first.boot_id, first.monotonic_ms(), first.utc_ms()) == ("m1-0", 5000, 1_005_000)
    await SimulatedRebootHost({}, boots, restart=lambda: anew.append(1)).reboot("command c")
    assert anew == [1]
    machine.now_ms = 6000
    second = SimulatedBoots(path, machine, Disk()).clock
    assert (second.boot_id, second.monotonic_ms(), second.utc_ms()) == ("m1-1", 1000, 1_006_000)
    assert first.boot_id == "m1-0"


async def test_boot_of_the_machine_uses_its_own_time(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    SimulatedBoots(path, Machine(), Disk()).boot()
    clock = SimulatedBoots(path, Machine("m2", 300), Disk()).clock
    assert (clock.boot_id, clock.monotonic_ms()) == ("m2-1", 300)


def test_unreadable_boot_count_starts_at_zero(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"{")
    assert SimulatedBoots(tmp_path / FILE_NAME, Machine(), Disk()).clock.boot_id == "m1-0"


async def test_reboot_fails_where_the_disk_refuses(tmp_path: Path) -> None:
    def refuse(operation: Operation, target: str) -> None:
        raise OSError(30, "Read-only file system")

    host = SimulatedRebootHost({}, SimulatedBoots(tmp_path / FILE_NAME, Machine(), Disk(refuse)), restart=pytest.fail)
    with pytest.raises(RebootFailed, match="Read-only"):
        await host.reboot("command c")
    assert isinstance(host, Systemd)


async def test_unmanaged_machine_is_never_rebooted() -> None:
    host = Unmanaged()
    host.ready()
    host.alive("x")
    host.stopping()
    with pytest.raises(RebootFailed, match="is not restarted for command c"):
        await host.reboot("command c")
