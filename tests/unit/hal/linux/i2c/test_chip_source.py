"""Finding chips: by id, at known addresses only, never where the kernel has a driver or on a PC's management bus."""

import asyncio
import errno
import threading

import pytest

from hal.channels import KINDS
from hal.errors import SensorUnavailable
from hal.linux.board import LinuxBoard
from hal.linux.i2c.known_chips import CHIPS, chips_by_address
from tests import emulated_chips as emulated
from tests.unit.hal.linux.i2c.conftest import BY_NAME, Bench


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_each_chip_is_found_at_each_of_its_addresses_and_taken_for_no_other(bench: Bench, name: str) -> None:
    for address in BY_NAME[name].addresses:
        bench.wire.chips.clear()
        bench.plug(name, address)
        found = bench.source().find("i2c-1")
        assert [channel.name for channel in found] == [
            f"i2c-1-{address:04x}/{name}/{quantity}" for quantity in BY_NAME[name].quantities
        ]
        assert {channel.driver for channel in found} == {"climahub"}


def test_names_bus_address_and_kind(bench: Bench) -> None:
    bench.plug("bme680")
    channels = {channel.name: channel for channel in bench.source().find("i2c-1")}
    pressure = channels["i2c-1-0077/bme680/pressure"]
    assert (pressure.bus, pressure.address, pressure.chip) == ("i2c-1", "0077", "bme680")
    assert (pressure.kind, pressure.unit) == (KINDS[pressure.quantity], "hPa")
    assert channels["i2c-1-0077/bme680/gas_resistance"].kind is None
    assert pressure.read() == pytest.approx(987.12, abs=0.011)


def test_a_line_expander_is_never_written_to(bench: Bench) -> None:
    """One byte on the bus would switch its relays. It can have 0x20 to 0x27 and 0x38 to 0x3F."""
    expanders = {address: emulated.LineExpander() for address in (*range(0x20, 0x28), *range(0x38, 0x40))}
    bench.wire.chips.update(expanders)
    bench.source().find("i2c-1")
    assert [expander.written for expander in expanders.values()] == [[]] * len(expanders)
    assert not set(expanders) & set(chips_by_address())


def test_a_multiplexer_at_the_address_of_an_shtc3_is_never_written_to(bench: Bench) -> None:
    mux = bench.wire.chips[0x70] = emulated.LineExpander()
    assert bench.source().find("i2c-1") == []
    assert mux.written == []


@pytest.mark.parametrize("chip", CHIPS)
def test_what_identifies_a_chip_changes_no_register(bench: Bench, chip: type) -> None:
    """A chip of registers at the address: only a register's number may be written, or a command without argument."""
    for address in chip.addresses:  # type: ignore[attr-defined]
        other = emulated.RegisterChip({})
        bench.wire.chips = {address: other}
        bench.source().find("i2c-1")
        assert [written for written in other.written if written[0] not in {0xFC, 0xF3, 0x20, 0xE4, 0xD1}] == []


def test_an_address_of_the_kernel_is_left_alone(bench: Bench) -> None:
    bench.plug("bme280")
    bench.bind(0x76, "bmp280")
    assert bench.source().find("i2c-1") == []
    assert [address for address, _, _ in bench.wire.transfers if address == 0x76] == []


def test_a_driver_that_is_bound_later_takes_the_address_over(bench: Bench) -> None:
    bench.plug("bme280")
    source = bench.source()
    assert len(source.find("i2c-1")) == 3
    bench.bind(0x76, "bmp280")
    assert source.find("i2c-1") == []


def test_a_chip_that_answers_is_not_asked_again_who_it_is(bench: Bench) -> None:
    bench.plug("bme280")
    source = bench.source()
    [channel, *_] = source.find("i2c-1")
    assert channel.read() == 25.08
    bench.wire.transfers.clear()
    assert len(source.find("i2c-1")) == 3
    assert [address for address, _, _ in bench.wire.transfers if address == 0x76] == []


def test_an_exchanged_chip_is_never_read_as_the_other(bench: Bench) -> None:
    bench.plug("sht4x", 0x44)
    source = bench.source()
    [temperature, humidity] = source.find("i2c-1")
    bench.plug("sht3x", 0x44)
    for channel in (temperature, humidity):
        with pytest.raises(SensorUnavailable):
            channel.read()
    assert [channel.chip for channel in source.find("i2c-1")] == ["sht3x", "sht3x"]


def test_a_chip_that_comes_back_is_read_on_by_the_old_channel(bench: Bench) -> None:
    chip = bench.plug("bme280")
    source = bench.source()
    [channel, *_] = source.find("i2c-1")
    del bench.wire.chips[0x76]
    with pytest.raises(SensorUnavailable, match="check its wiring"):
        channel.read()
    assert source.find("i2c-1") == []
    bench.wire.chips[0x76] = chip
    bench.now_ms += 60_000
    assert channel.read() == 25.08
    assert len(source.find("i2c-1")) == 3


def test_adapters_that_swap_their_numbers_are_never_read_as_the_other(bench: Bench) -> None:
    """Two adapters on USB, whose numbers are given out in turn, each with the same chip."""
    wires = {
        "1-1": emulated.EmulatedBus({0x76: emulated.bme280()}),
        "1-2": emulated.EmulatedBus({0x62: emulated.scd4x()}),
    }
    ports = {"i2c-11": "1-1", "i2c-12": "1-2"}
    for bus, port in ports.items():
        bench.add_usb_bus(int(bus.removeprefix("i2c-")), port)
    source = bench.source(lambda name: wires[ports[name]])
    [temperature, *_] = source.find("i2c-11")
    assert temperature.name == "usb-1-1-0076/bme280/temperature"
    assert temperature.read() == 25.08
    devices = bench.sysfs_root / "bus" / "i2c" / "devices"
    for bus in ports:
        (devices / bus).unlink()
    ports = {"i2c-11": "1-2", "i2c-12": "1-1"}
    for bus, port in ports.items():
        (devices / bus).symlink_to(
            bench.sysfs_root / "devices" / "usb1" / port / ("i2c-11" if port == "1-1" else "i2c-12")
        )
    with pytest.raises(SensorUnavailable, match="plug usb-1-1 in again: i2c-11 is another adapter now"):
        temperature.read()
    fresh = bench.source(lambda name: wires[ports[name]])
    assert [channel.name for channel in fresh.find("i2c-11")][:1] == ["usb-1-2-0062/scd4x/co2"]
    assert [channel.name for channel in fresh.find("i2c-12")][:1] == ["usb-1-1-0076/bme280/temperature"]


def test_the_device_file_of_an_adapter_that_is_gone_is_closed(bench: Bench) -> None:
    """The kernel's removal of an adapter waits for that, and with it the USB hub (drivers/i2c/i2c-core-base.c)."""
    bench.add_usb_bus(11, "1-1")
    bench.plug("bme280")
    source = bench.source()
    [temperature, *_] = source.find("i2c-11")
    (bench.sysfs_root / "bus" / "i2c" / "devices" / "i2c-11").unlink()
    source.release("i2c-11")
    assert bench.wire.closed == 1
    source.bus("i2c-11").run(0x76, source.chip_at("i2c-11", 0x76).identify())  # type: ignore[union-attr]
    with pytest.raises(SensorUnavailable, match="plug usb-1-1 in again"):
        temperature.read()
    assert bench.wire.closed == 2


def test_a_bus_that_hangs_is_searched_at_one_address_only(bench: Bench) -> None:
    bench.wire.fault = errno.ETIMEDOUT
    with pytest.raises(SensorUnavailable, match="disconnect the devices"):
        bench.source().find("i2c-1")
    assert len(bench.wire.transfers) == 1


def test_a_failed_transfer_at_one_address_hides_no_other_chip(bench: Bench) -> None:
    bench.plug("bme280")
    whole = bench.wire.transfer

    def transfer(address: int, write: bytes, count: int) -> bytes:
        if address == 0x40:
            raise OSError(errno.EIO, "Input/output error")
        return bytes(whole(address, write, count))

    bench.wire.transfer = transfer
    assert len(bench.source().find("i2c-1")) == 3


@pytest.mark.parametrize(
    ("name", "is_searched"),
    [
        ("bcm2835 (i2c@7e804000)", True),
        ("DesignWare I2C adapter", True),
        ("i2c-gpio", True),
        ("i2c-1-mux (chan_id 0)", True),
        ("SMBus I801 adapter at efa0", False),
        ("NVIDIA i2c adapter 1 at 1:00.0", False),
        ("i915 gmbus dpb", False),
        ("AMDGPU DM i2c hw bus 0", False),
        ("fef04500.i2c HDMI", False),
    ],
)
def test_buses_of_memory_modules_and_displays_are_not_searched(bench: Bench, name: str, is_searched: bool) -> None:
    bench.add_bus(7, name)
    assert list(bench.source().buses()) == ["i2c-1", *(["i2c-7"] if is_searched else [])]


def test_without_the_package_no_bus_is_searched(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert bench.source().buses() == ()


async def test_a_board_reads_them_beside_the_kernel_s_own(bench: Bench) -> None:
    bench.plug("bme280")
    bench.plug("scd30")
    board = LinuxBoard(sysfs_root=bench.sysfs_root, proc_root=bench.sysfs_root / "proc", sources=[bench.source()])
    try:
        assert list(board.channels) == []
        await board.channels_changed()
        assert [(sensor.name, await sensor.read()) for sensor in board.sensors][:1] == [
            ("i2c-1-0061/scd30/temperature", pytest.approx(27.2, abs=0.1))
        ]
        assert len(board.sensors) == 5
        assert [(each.channel.name, await each.read()) for each in board.channels if each.channel.kind is None] == [
            ("i2c-1-0061/scd30/co2", pytest.approx(439.09, abs=0.01))
        ]
    finally:
        await board.close()


async def test_a_bus_that_hangs_in_the_kernel_delays_neither_the_loop_nor_another_bus(bench: Bench) -> None:
    """Not by the clock: while the one read hangs for good, everything else goes on to its end."""
    bench.add_bus(2)
    bench.plug("bme280")
    release = threading.Event()
    hanging = emulated.EmulatedBus({0x76: emulated.bme280()})
    board = LinuxBoard(
        sysfs_root=bench.sysfs_root,
        proc_root=bench.sysfs_root / "proc",
        sources=[bench.source(lambda name: hanging if name == "i2c-2" else bench.open())],
    )
    try:
        await board.channels_changed()
        sensors = {sensor.name: sensor for sensor in board.sensors}
        whole = hanging.transfer

        def hang(address: int, write: bytes, read_bytes: int) -> bytes:
            release.wait()
            return whole(address, write, read_bytes)

        hanging.transfer = hang  # type: ignore[method-assign]
        stuck = asyncio.ensure_future(sensors["i2c-2-0076/bme280/temperature"].read())
        for _ in range(20):
            assert await sensors["i2c-1-0076/bme280/temperature"].read() == 25.08
            bench.now_ms += 60_000
        assert not stuck.done()
        release.set()
        assert await stuck == 25.08
    finally:
        release.set()
        await board.close()


def test_a_bus_that_is_gone_is_let_go_while_another_bus_is_searched(bench: Bench) -> None:
    bench.plug("bme280")
    source = bench.source()
    searched: list[int] = []

    class Name(str):
        """A bus; as soon as it is compared with another one, the thread of that one has found chips."""

        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            searched.append(len(source.find(f"i2c-{len(searched) + 2}")))
            return str.__eq__(self, other)

    assert len(source.find("i2c-1")) == 3
    source.release(Name("i2c-1"))
    assert searched
    assert set(source._readers) == {f"i2c-{number + 2}" for number in range(len(searched))}
