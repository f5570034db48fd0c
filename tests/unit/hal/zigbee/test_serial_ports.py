"""The stick among the serial ports."""

import pytest

pytest.importorskip("serial")
from hal.zigbee import options, serial_ports
from hal.zigbee.serial_ports import SerialPort

SKYCONNECT = SerialPort("/dev/ttyUSB0", "/dev/serial/by-id/sky", 0x10C4, 0xEA60, "Nabu Casa SkyConnect v1.0")


SONOFF_P = SerialPort("/dev/ttyUSB1", "", 0x10C4, 0xEA60, "ITead Sonoff Zigbee 3.0 USB Dongle Plus")


SONOFF_E = SerialPort("/dev/ttyACM0", "", 0x1A86, 0x55D4, "ITEAD SONOFF Zigbee 3.0 USB Dongle Plus V2")


CONBEE = SerialPort("/dev/ttyACM1", "", 0x1CF1, 0x0030, "dresden elektronik ConBee II")


CONSOLE = SerialPort("/dev/ttyS0", "", 0, 0, "")


METER = SerialPort("/dev/ttyUSB7", "", 0x10C4, 0xEA60, "Silicon Labs CP2102 USB to UART")


@pytest.mark.parametrize(
    ("port", "adapter"),
    [
        (SKYCONNECT, "ezsp"),
        (SONOFF_P, "znp"),
        (SONOFF_E, "ezsp"),
        (CONBEE, "deconz"),
        (CONSOLE, None),
        (METER, None),
    ],
)
def test_sticks_are_known_by_their_identity(port: SerialPort, adapter: str | None) -> None:
    assert serial_ports.identify(port) == adapter


def test_the_one_stick_is_found_by_its_stable_name() -> None:
    found, steps = serial_ports.find_stick("auto", [CONSOLE, METER, SKYCONNECT])
    assert found is not None
    assert (found.path, found.adapter) == ("/dev/serial/by-id/sky", "ezsp")
    assert [step.endswith("no known Zigbee stick") for step in steps] == [True, False, True]


@pytest.mark.parametrize(
    ("adapter", "seen", "words"),
    [
        ("auto", [], "no stick was found"),
        ("auto", [CONSOLE], "no stick was found"),
        ("auto", [SKYCONNECT, CONBEE], "2 Zigbee sticks"),
        ("znp", [SKYCONNECT], "no stick was found"),
    ],
)
def test_no_or_several_sticks_are_reported(adapter: options.Adapter, seen: list[SerialPort], words: str) -> None:
    found, steps = serial_ports.find_stick(adapter, seen)
    assert found is None
    assert steps
    assert words in serial_ports.not_found_text(steps)


def test_configured_port_is_used() -> None:
    assert serial_ports.resolve_port("/dev/x", "/dev/ttyACM1", "auto", [CONBEE]).adapter == "deconz"
    assert serial_ports.resolve_port("/dev/x", "/dev/ttyACM1", "znp", [CONBEE]).adapter == "znp"
    assert serial_ports.resolve_port("/tmp/pty", "/dev/pts/3", "auto", [CONBEE]).adapter == "ezsp"
