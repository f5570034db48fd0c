"""Thermometers on 1-Wire: identity, features, common conversion, old kernels. Masters are trees in a folder."""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hal.channels import Channel
from hal.errors import ReadingImplausible, SensorUnavailable
from hal.linux.one_wire import BULK_AGE_S_MAX, CONVERSION_S_MAX, POLL_S, OneWire
from tests.unit.hal.linux.conftest import Machine, sources

WARM, COLD = "28-0000000000aa", "28-0000000000bb"


class Masters:
    """1-Wire on a made-up machine, with a clock that a test sets."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.now_ms = 1_000_000
        self.slept: list[float] = []
        self.on_sleep: Callable[[], None] = lambda: None
        self.one_wire = OneWire(machine.sys, monotonic_ms=lambda: self.now_ms, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.on_sleep()

    def channels(self) -> dict[str, Channel]:
        return {channel.address: channel for channel in self.one_wire.find()}

    @property
    def trigger(self) -> Path:
        return self.machine.sys / "devices" / "w1_bus_master1" / "therm_bulk_read"


@pytest.fixture
def masters(machine: Machine) -> Masters:
    machine.one_wire(WARM, temperature="21000")
    machine.one_wire(COLD, temperature="8000")
    return Masters(machine)


def test_a_thermometer_is_named_by_its_serial_number(masters: Masters) -> None:
    masters.machine.one_wire("10-0000000000cc", master=2, temperature="85000")
    masters.machine.one_wire("26-0000000000dd", temperature="1")
    found = masters.channels()
    assert {each.name: (each.bus, each.read()) for each in found.values()} == {
        f"w1-{WARM}/ds18b20/temperature": ("w1_bus_master1", 21.0),
        f"w1-{COLD}/ds18b20/temperature": ("w1_bus_master1", 8.0),
        "w1-10-0000000000cc/ds18s20/temperature": ("w1_bus_master2", 85.0),
    }


def test_case_a01_swapped_one_wire(masters: Masters) -> None:
    """The bus glitches and the kernel gives out its numbers the other way round: each name still is its chip."""
    machine, numbers = masters.machine, {WARM: 0, COLD: 1}

    def plug() -> None:
        for address, milli in ((WARM, "21000"), (COLD, "8000")):
            device = machine.one_wire(address)
            machine.hwmon(numbers[address], device, name="w1_slave_temp", temp1_input=milli)

    shutil.rmtree(machine.sys / "devices")
    plug()
    before = machine.board()
    shutil.rmtree(machine.sys / "devices")
    shutil.rmtree(machine.sys / "class" / "hwmon")
    numbers |= {WARM: 1, COLD: 0}
    plug()
    assert {each.channel.name: each.channel.read() for each in before.channels} == {
        f"w1-{WARM}/ds18b20/temperature": 21.0,
        f"w1-{COLD}/ds18b20/temperature": 8.0,
    }


def test_one_that_is_gone_says_so_and_is_found_at_another_master(masters: Masters) -> None:
    channel = masters.channels()[WARM]
    shutil.rmtree(masters.machine.sys / "devices" / "w1_bus_master1" / WARM)
    with pytest.raises(SensorUnavailable, match=f"{WARM}: the device is gone; plug it in"):
        channel.read()
    masters.machine.one_wire(WARM, master=2, temperature="22000")
    assert channel.read() == 22.0
    assert masters.channels()[WARM].bus == "w1_bus_master2"


def test_features_are_set_once_and_again_after_a_loss_of_power(masters: Masters) -> None:
    machine = masters.machine
    features = machine.one_wire(WARM, features="0") / "features"
    channel = masters.channels()[WARM]
    channel.read()
    assert features.read_text() == "3"
    features.write_text("1")
    channel.read()
    assert features.read_text() == "1"
    features.parent.rename(features.parent.with_name("gone"))
    features = machine.one_wire(WARM, temperature="1", features="0") / "features"
    channel.read()
    assert features.read_text() == "3"


def test_what_this_user_may_not_write_is_left(masters: Masters, monkeypatch: pytest.MonkeyPatch) -> None:
    features = masters.machine.one_wire(WARM, features="0") / "features"
    started = triggers(masters)
    # Tests may run as root, who may write everything.
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)
    assert masters.channels()[WARM].read() == 21.0
    assert (features.read_text(), started()) == ("0\n", 0)


def test_a_driver_that_takes_no_features_is_reported(
    masters: Masters, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    masters.machine.one_wire(WARM, features="0")

    def refuse(path: Path, text: str, encoding: str) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(Path, "write_text", refuse)
    assert masters.channels()[WARM].read() == 21.0
    assert "the driver takes no features (" in caplog.text


def test_a_coarse_resolution_is_reported_once(masters: Masters, caplog: pytest.LogCaptureFixture) -> None:
    masters.machine.one_wire(WARM, resolution="9")
    channel = masters.channels()[WARM]
    with caplog.at_level(logging.WARNING):
        channel.read()
        channel.read()
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "set it to 12 for steps of 0.06 °C: it is at 9 bits"
    ]


def triggers(masters: Masters) -> Callable[[], int]:
    """Return a function that tells how often a conversion was started since the last call."""
    masters.trigger.write_text("0")

    def count() -> int:
        was = masters.trigger.read_text()
        masters.trigger.write_text("0")
        return int(was == "trigger\n")

    return count


def test_all_thermometers_of_a_master_convert_at_once(masters: Masters) -> None:
    started, found = triggers(masters), masters.channels()
    assert (found[WARM].read(), started()) == (21.0, 1)
    assert (found[COLD].read(), started()) == (8.0, 0)
    # Each value is read once, and not when it is old.
    assert (found[COLD].read(), started()) == (8.0, 1)
    masters.now_ms += int(BULK_AGE_S_MAX * 1000)
    assert (found[WARM].read(), started()) == (21.0, 1)


@pytest.mark.parametrize(("ends_after", "polls"), [(3, 3), (None, round(CONVERSION_S_MAX / POLL_S))])
def test_the_end_of_a_conversion_is_awaited_and_not_for_ever(
    masters: Masters, monkeypatch: pytest.MonkeyPatch, ends_after: int | None, polls: int
) -> None:
    triggers(masters)
    write_text = Path.write_text
    monkeypatch.setattr(Path, "write_text", lambda path, _text, encoding: write_text(path, "-1", encoding))

    def poll() -> None:
        if len(masters.slept) == ends_after:
            masters.trigger.write_bytes(b"1")

    masters.on_sleep = poll
    assert masters.channels()[WARM].read() == 21.0
    assert len(masters.slept) == pytest.approx(polls, abs=1 if ends_after is None else 0)


def test_a_master_that_cannot_convert_for_all_leaves_it_to_each(
    masters: Masters, monkeypatch: pytest.MonkeyPatch
) -> None:
    triggers(masters)

    def refuse(path: Path, text: str, encoding: str) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "write_text", refuse)
    assert masters.channels()[WARM].read() == 21.0


def test_without_a_clock_and_for_one_thermometer_nothing_is_started(machine: Machine, masters: Masters) -> None:
    started = triggers(masters)
    [warm, _] = OneWire(machine.sys).find()
    assert (warm.read(), started()) == (21.0, 0)
    shutil.rmtree(machine.sys / "devices" / "w1_bus_master1" / COLD)
    (machine.sys / "bus" / "w1" / "devices" / COLD).unlink()
    assert (masters.channels()[WARM].read(), started()) == (21.0, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("72 01 4b 46 7f ff 0e 10 57 : crc=57 YES\n72 01 4b 46 7f ff 0e 10 57 t=23125", 23.125),
        ("72 01 : crc=57 NO\n72 01 t=23125", SensorUnavailable),
        ("72 01 : crc=57 YES\n72 01 t=warm", ReadingImplausible),
        ("", SensorUnavailable),
    ],
)
def test_kernels_without_the_attribute_give_a_text(
    machine: Machine, text: str, expected: float | type[Exception]
) -> None:
    machine.one_wire(WARM, w1_slave=text)
    [channel] = OneWire(machine.sys).find()
    if isinstance(expected, float):
        assert channel.read() == expected
    else:
        with pytest.raises(expected):
            channel.read()


def test_a_name_of_an_earlier_version_in_the_configuration_stays_the_name(masters: Masters) -> None:
    machine, old = masters.machine, f"hwmon/w1_slave_temp@{WARM}/temp1"
    assert sources(machine.board(old)) == [old, f"w1-{COLD}/ds18b20/temperature"]
    machine.hwmon(0, machine.i2c("0044"), name="sht3x", temp1_input="21340", humidity1_input="47210")
    assert sources(machine.board("hwmon/sht3x/temp1"))[2:] == ["hwmon/sht3x/temp1", "hwmon/sht3x/humidity1"]
    assert sources(machine.board("hwmon/sht3x@1-0044/humidity1"))[2:] == [
        "hwmon/sht3x@1-0044/temp1",
        "hwmon/sht3x@1-0044/humidity1",
    ]
    [renamed] = [each.channel for each in machine.board(old).channels if each.channel.name == old]
    assert renamed.aliases == (f"w1-{WARM}/ds18b20/temperature",)
