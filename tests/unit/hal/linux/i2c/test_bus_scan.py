"""What a scan says of each bus: who reads what, and what would be needed; it writes to no unknown device."""

import asyncio
import errno
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from hal.channels import BusDevice
from hal.linux import board as board_module
from hal.linux.board import LinuxBoard
from hal.linux.bus_scan import LAST_ADDRESS, MachineBuses
from hal.linux.i2c.chip_source import BUSES_MAX
from tests import emulated_chips as emulated
from tests.unit.hal.linux.i2c.conftest import Bench


def buses_of(bench: Bench, *, has_device_file: bool = True) -> MachineBuses:
    dev = bench.sysfs_root / "dev"
    dev.mkdir(exist_ok=True)
    if has_device_file:
        (dev / "i2c-1").touch()
    return MachineBuses(bench.source(), sysfs_root=bench.sysfs_root, dev_root=dev)


def be_a_pi(bench: Bench) -> None:
    model = bench.sysfs_root / "firmware" / "devicetree" / "base" / "model"
    model.parent.mkdir(parents=True)
    model.write_text("Raspberry Pi 4 Model B Rev 1.4\0")


def one_wire(root: Path, *, is_read: bool) -> None:
    master = root / "devices" / "w1_bus_master1"
    thermometer = master / "28-00000a1b2c3d"
    thermometer.mkdir(parents=True)
    (thermometer / "id").touch()
    if is_read:
        (thermometer / "temperature").touch()
    (root / "bus" / "w1" / "devices").mkdir(parents=True)
    (root / "bus" / "w1" / "devices" / "w1_bus_master1").symlink_to(master)


def test_a_known_chip_a_bound_one_and_an_unknown_one(bench: Bench) -> None:
    be_a_pi(bench)
    bench.plug("bme280")
    bench.bind(0x44, "sht3x")
    bench.wire.chips[0x23] = bench.wire.chips[0x31] = emulated.RegisterChip({})
    scan = buses_of(bench).scan("i2c-1")
    assert scan.problem == ""
    assert scan.name == "bcm2835 (i2c@7e804000)"
    assert list(scan.devices) == [
        BusDevice(
            "0023",
            advice="if it is one of these, add its line to /boot/firmware/config.txt and restart:"
            " BH1750 (light): dtoverlay=i2c-sensor,bh1750,addr=0x23",
        ),
        BusDevice("0031", advice="see its data sheet: the hub cannot read it, a driver of the kernel may"),
        BusDevice("0044", "sht3x", "sht3x"),
        BusDevice(
            "0076",
            "bme280",
            "climahub",
            "nothing is needed; the kernel's driver would take it over by dtoverlay=i2c-sensor,bme280,addr=0x76",
        ),
    ]


def test_lines_of_config_txt_are_for_a_pi_only_and_name_another_bus(bench: Bench) -> None:
    bench.plug("bme280")
    bench.add_bus(3)
    buses = buses_of(bench)
    assert [device.advice for device in buses.scan("i2c-1").devices] == ["nothing is needed"]
    be_a_pi(bench)
    (bench.sysfs_root / "dev" / "i2c-3").touch()
    assert "addr=0x76,i2c3" in buses.scan("i2c-3").devices[0].advice


def test_nothing_is_written_where_no_known_chip_can_be(bench: Bench) -> None:
    expanders = {address: emulated.LineExpander() for address in (*range(0x20, 0x28), *range(0x38, 0x40), 0x70)}
    bench.wire.chips.update(expanders)
    scan = buses_of(bench).scan("i2c-1")
    assert len(scan.devices) == len(expanders)
    assert "expander" in scan.devices[0].advice
    assert "multiplexer" in scan.devices[-1].advice
    assert [expander.written for expander in expanders.values()] == [[]] * len(expanders)
    assert 0x69 not in {address for address, _, _ in bench.wire.transfers}


def test_a_chip_that_is_being_read_is_not_asked_who_it_is(bench: Bench) -> None:
    bench.plug("bme280")
    source = bench.source()
    source.find("i2c-1")
    bench.wire.transfers.clear()
    dev = bench.sysfs_root / "dev"
    dev.mkdir()
    (dev / "i2c-1").touch()
    scan = MachineBuses(source, sysfs_root=bench.sysfs_root, dev_root=dev).scan("i2c-1")
    assert [device.chip for device in scan.devices] == ["bme280"]
    assert 0x76 not in {address for address, _, _ in bench.wire.transfers}


def test_a_bus_that_cannot_be_searched_says_what_to_do(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "modprobe i2c-dev" in buses_of(bench, has_device_file=False).scan("i2c-1").problem
    buses = buses_of(bench)
    bench.wire.fault = errno.ETIMEDOUT
    assert "disconnect the devices on this bus" in buses.scan("i2c-1").problem
    bench.wire.fault = errno.EACCES
    assert "group i2c" in buses.scan("i2c-1").problem
    bench.add_bus(20, "fef04500.i2c HDMI")
    assert buses.scan("i2c-20").problem.startswith("not searched")
    for number in range(21, 21 + BUSES_MAX):
        bench.add_bus(number)
    last = f"i2c-{20 + BUSES_MAX}"
    assert buses.scan(last).problem == f"disconnect another adapter: {BUSES_MAX} buses are searched at most"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert buses.scan("i2c-1").problem == "pip install 'climahub[i2c]'"
    assert "pip install" in buses.missing()[-1]


def test_a_bus_that_hangs_half_way_keeps_what_was_found(bench: Bench) -> None:
    bench.plug("max17048")
    whole = bench.wire.transfer

    def transfer(address: int, write: bytes, count: int) -> bytes:
        if address == LAST_ADDRESS:
            raise OSError(errno.ETIMEDOUT, "Connection timed out")
        return bytes(whole(address, write, count))

    bench.wire.transfer = transfer
    scan = buses_of(bench).scan("i2c-1")
    assert [device.chip for device in scan.devices] == ["max17048"]
    assert "disconnect" in scan.problem


def test_a_pi_without_its_buses_is_told_the_lines_of_config_txt(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (tmp_path / "bus" / "i2c" / "devices" / "i2c-1" / "name").unlink()
    (tmp_path / "bus" / "i2c" / "devices" / "i2c-1").rmdir()
    buses = buses_of(bench)
    assert buses.missing() == []
    be_a_pi(bench)
    i2c, wire = buses.missing()
    assert "dtparam=i2c_arm=on" in i2c
    assert "dtoverlay=w1-gpio,gpiopin=4" in wire
    assert buses.buses() == []


@pytest.mark.parametrize(("is_read", "driver", "advice"), [(True, "w1_therm", ""), (False, "", "modprobe w1-therm")])
def test_thermometers_on_1_wire(bench: Bench, is_read: bool, driver: str, advice: str) -> None:
    one_wire(bench.sysfs_root, is_read=is_read)
    buses = buses_of(bench)
    assert buses.buses() == ["i2c-1", "w1_bus_master1"]
    [device] = buses.scan("w1_bus_master1").devices
    assert (device.address, device.chip, device.driver) == ("28-00000a1b2c3d", "ds18b20", driver)
    assert advice in device.advice


async def test_a_board_scans_all_its_buses_and_waits_for_none_that_hangs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.plug("bme280")
    bench.add_bus(2)
    release = threading.Event()

    class Buses(MachineBuses):
        def scan(self, bus: str):  # type: ignore[no-untyped-def] # noqa: ANN202
            if bus == "i2c-2":
                release.wait()
            return super().scan(bus)

        def missing(self) -> Sequence[str]:
            release.wait()
            return super().missing()

    monkeypatch.setattr(board_module, "SCAN_S_MAX", 0.5)
    dev = bench.sysfs_root / "dev"
    dev.mkdir()
    (dev / "i2c-1").touch()
    buses = Buses(bench.source(), sysfs_root=bench.sysfs_root, dev_root=dev)
    board = LinuxBoard(sysfs_root=bench.sysfs_root, proc_root=bench.sysfs_root, buses=buses)
    try:
        found = await board.scan_buses()
        while not found.buses[0].devices:  # a busy machine
            found = await board.scan_buses()
        assert [device.chip for device in found.buses[0].devices] == ["bme280"]
        assert "disconnect the devices" in found.buses[1].problem
        assert found.missing == ()
    finally:
        release.set()
        await asyncio.sleep(0)
        await board.close()


async def test_a_board_that_nobody_may_ask_shows_no_bus(bench: Bench) -> None:
    board = LinuxBoard(sysfs_root=bench.sysfs_root, proc_root=bench.sysfs_root)
    assert (await board.scan_buses()).buses == ()
    await board.close()
