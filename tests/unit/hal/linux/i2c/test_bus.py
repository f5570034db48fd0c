"""A bus that fails: each fault is an error that names bus, address, chip and remedy, and passes by itself."""

import errno
import os
from typing import NoReturn

import pytest

from hal.channels import Quantity
from hal.errors import SensorUnavailable
from hal.linux.i2c.bus import REFUSALS, TRANSFERS_MAX, I2cBus, SmbusPort
from hal.linux.i2c.chip import Exchange, Transfer
from hal.linux.i2c.chip_reader import ChipReader
from hal.linux.i2c.known_chips import CHIPS
from tests import emulated_chips as emulated
from tests.unit.hal.linux.i2c.conftest import BY_NAME, Bench

NAMES = sorted(BY_NAME)


def first_value(bench: Bench, name: str) -> float:
    """The first value of a chip that may want to be asked twice."""
    reader = bench.reader(name)
    try:
        return reader.read(BY_NAME[name].quantities[0])
    except SensorUnavailable as error:
        if "wait" not in str(error):
            raise
        return reader.read(BY_NAME[name].quantities[0])


def reading_of(reader: ChipReader, name: str, quantity: Quantity) -> float | None:
    """The value of a channel, of a chip that may want to be asked twice; `None` where it is unavailable."""
    for _ in range(2):
        try:
            return reader.read(quantity)
        except SensorUnavailable as error:
            if "wait" not in str(error):
                return None
    pytest.fail(f"{name} is never ready")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENXIO, "check its wiring and supply"),
        (errno.EREMOTEIO, "check its wiring and supply"),
        (errno.ETIMEDOUT, "disconnect the devices on this bus one by one"),
        (errno.EIO, "check the cable"),
        (errno.EBUSY, "no action is needed: a driver of the kernel"),
        (errno.EACCES, "let the agent's user into the group i2c"),
        (errno.ENODEV, "plug the adapter in again"),
        (errno.EPROTO, "see the kernel's log"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_a_fault_names_bus_address_chip_and_remedy_and_passes(
    bench: Bench, name: str, number: int, advice: str
) -> None:
    address = emulated.ALL[name][0]
    bench.plug(name)
    reader = bench.reader(name)
    bench.wire.fault = number
    with pytest.raises(SensorUnavailable) as caught:
        reader.read(BY_NAME[name].quantities[0])
    assert str(caught.value).startswith(f"i2c-1 {address:#04x} ({name}): {advice}")
    assert os.strerror(number) in str(caught.value)
    bench.wire.fault = None
    assert first_value(bench, name) is not None
    assert bench.opened == (1 if number in REFUSALS else 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_cable_pulled_at_any_byte_gives_an_error_or_the_right_value(bench: Bench, name: str) -> None:
    """The lines are pulled up: what is still being read is 0xFF. A value that is made of that must not come out."""
    quantities = BY_NAME[name].quantities
    bench.plug(name)
    healthy = bench.reader(name)
    right = [reading_of(healthy, name, quantity) for quantity in quantities]
    for pulled_at in range(200):
        bench.wire.chips.clear()
        bench.plug(name)
        bench.wire.bytes_done, bench.wire.fault = 0, ("pulled", pulled_at)
        reader = bench.reader(name)
        values = [reading_of(reader, name, quantity) for quantity in quantities]
        assert values in (right, [None] * len(quantities)), f"pulled after {pulled_at} bytes"
        is_whole, bench.wire.fault = bench.wire.bytes_done < pulled_at, None
        bench.now_ms += 60_000
        bench.plug(name)
        assert first_value(bench, name) is not None
        if is_whole:
            return
    pytest.fail("a measurement of more than 200 bytes")


@pytest.mark.parametrize("name", ["sht3x", "sht4x", "shtc3", "scd4x", "scd30", "htu21"])
def test_a_bad_checksum_at_any_byte_is_no_value(bench: Bench, name: str) -> None:
    for at in range(18):
        chip = bench.plug(name)
        chip.bad_checksum_at = at
        with pytest.raises(SensorUnavailable, match="checksum of word"):
            first_value(bench, name)
        chip.bad_checksum_at = None
        assert first_value(bench, name) is not None


@pytest.mark.parametrize("name", NAMES)
def test_a_short_read_is_an_error(bench: Bench, name: str) -> None:
    bench.plug(name)
    whole = bench.wire.transfer
    bench.wire.transfer = lambda address, write, count: whole(address, write, count)[: max(0, count - 1)]
    with pytest.raises(SensorUnavailable, match=r"check the cable.* of [0-9]+ bytes were read"):
        first_value(bench, name)


def test_an_exchange_that_never_ends_is_given_up(bench: Bench) -> None:
    def endless() -> Exchange[None]:
        while True:
            yield Transfer()

    with pytest.raises(SensorUnavailable, match=f"more than {TRANSFERS_MAX} transfers"):
        bench.bus.run(0x10, endless())


def test_no_measurement_needs_half_of_the_transfers_that_are_allowed(bench: Bench) -> None:
    for name in NAMES:
        bench.plug(name)
        bench.wire.transfers.clear()
        first_value(bench, name)
        assert len(bench.wire.transfers) < TRANSFERS_MAX / 2, name


def test_a_bus_that_cannot_be_opened_says_what_to_do() -> None:
    def refuse() -> NoReturn:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    bus = I2cBus("i2c-1", refuse, lambda _: None)
    with pytest.raises(SensorUnavailable, match=r"i2c-1 0x76 .*climahub sensors scan has the line for config.txt"):
        bus.run(0x76, BY_NAME["bme280"]().measure(), "bme280")


def test_one_fault_counts_for_all_channels_of_a_chip_for_a_second(bench: Bench) -> None:
    bench.plug("bme280")
    reader = bench.reader("bme280")
    bench.wire.fault = errno.ETIMEDOUT
    for quantity in BY_NAME["bme280"].quantities:
        with pytest.raises(SensorUnavailable, match="disconnect the devices"):
            reader.read(quantity)
    assert len(bench.wire.transfers) == 1
    bench.wire.fault = None
    bench.now_ms += 1_000
    assert reader.read(BY_NAME["bme280"].quantities[0]) == 25.08


def test_an_exchanged_chip_is_set_up_by_its_own_calibration(bench: Bench) -> None:
    bench.plug("bme280")
    reader = bench.reader("bme280")
    [temperature, *_] = BY_NAME["bme280"].quantities
    assert reader.read(temperature) == 25.08
    del bench.wire.chips[0x76]
    bench.now_ms += 60_000
    with pytest.raises(SensorUnavailable, match="check its wiring"):
        reader.read(temperature)
    bench.plug("bme280").registers[0x88:0x8A] = (27_404).to_bytes(2, "little")
    bench.now_ms += 60_000
    assert reader.read(temperature) == pytest.approx(25.58, abs=0.02)


def test_one_measurement_serves_all_channels_for_five_seconds(bench: Bench) -> None:
    bench.plug("bme280")
    reader = bench.reader("bme280")
    for _ in range(2):
        for quantity in BY_NAME["bme280"].quantities:
            reader.read(quantity)
    assert len([1 for _, write, _ in bench.wire.transfers if write[:1] == b"\xf4"]) == 1
    bench.now_ms += 5_000
    reader.read(BY_NAME["bme280"].quantities[0])
    assert len([1 for _, write, _ in bench.wire.transfers if write[:1] == b"\xf4"]) == 2


def test_the_package_asks_for_the_address_before_each_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    """I2C_RDWR alone would take an address that a driver of the kernel is bound to."""
    port = SmbusPort.__new__(SmbusPort)
    port._smbus2, port._constants = pytest.importorskip("smbus2"), pytest.importorskip("smbus2.smbus2")
    port._bus = type("Bus", (), {"fd": 7})
    asked = []

    def ioctl(fd: int, request: int, _: object) -> int:
        asked.append((fd, request))
        if request == port._constants.I2C_SLAVE:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        return 2

    monkeypatch.setattr("fcntl.ioctl", ioctl)
    with pytest.raises(OSError, match="busy"):
        port.transfer(0x76, b"\xd0", 1)
    assert asked == [(7, 0x0703)]


def test_every_chip_has_a_name_of_its_own() -> None:
    assert len(BY_NAME) == len(CHIPS)
