"""The two types of values that only the radio has."""

import pytest

from agent.config.types import NotAllowed, radio_channel, serial_port


@pytest.mark.parametrize("value", ["none", "auto", "/dev/ttyUSB0", "socket://192.168.1.5:6638"])
def test_valid_serial_ports(value: str) -> None:
    assert serial_port().read(value) == value


@pytest.mark.parametrize("value", ["", "ttyUSB0", "/dev/x\0", 5, None, "http://x"])
def test_invalid_serial_ports_are_refused(value: object) -> None:
    with pytest.raises(NotAllowed):
        serial_port().read(value)


@pytest.mark.parametrize("value", [0, 11, 26])
def test_valid_zigbee_channels(value: int) -> None:
    assert radio_channel().read(value) == value


@pytest.mark.parametrize("value", [1, 10, 27, -1, True, 11.0, "15"])
def test_invalid_zigbee_channels_are_refused(value: object) -> None:
    with pytest.raises(NotAllowed):
        radio_channel().read(value)
