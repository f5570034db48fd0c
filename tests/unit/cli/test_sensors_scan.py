"""`climahub sensors scan`: asks the running hub, else the buses, and says for each device who reads it."""

from pathlib import Path

import msgspec
import pytest

from agent.cli import exit_codes, hub_client, root, sensors_scan
from agent.cli.hub_client import NoAnswer
from agent.cli.sensors_scan import ROUTE, as_text
from hal.channels import BusDevice, BusScan, MachineScan

FOUND = MachineScan(
    [
        BusScan("i2c-1", "bcm2835 (i2c@7e804000)", [BusDevice("0076", "bme280", "climahub"), BusDevice("0023")]),
        BusScan("i2c-2", "HDMI", problem="not searched"),
        BusScan("w1_bus_master1", "1-Wire"),
    ],
    ["add dtparam=i2c_arm=on"],
)


def test_as_text() -> None:
    assert as_text(FOUND).splitlines() == [
        "i2c-1  bcm2835 (i2c@7e804000)",
        "  0x76  bme280, read by climahub",
        "  0x23  unknown, read by nobody",
        "i2c-2  HDMI",
        "  ! not searched",
        "w1_bus_master1  1-Wire",
        "  nothing answers: check the wiring and supply of a sensor that should be here",
        "! add dtparam=i2c_arm=on",
    ]
    assert as_text(MachineScan()) == "this machine shows no I2C or 1-Wire bus"


def test_a_running_hub_is_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fetch(_: Path, route: str, *, method: str, timeout_s: float) -> bytes:
        assert (route, method) == (ROUTE, "POST")
        assert timeout_s > 15
        return msgspec.json.encode(FOUND)

    monkeypatch.setattr(hub_client, "fetch", fetch)
    monkeypatch.setattr(sensors_scan, "scan_here", lambda: pytest.fail("two programs would speak with one chip"))
    assert root.run(["sensors", "scan"]) == exit_codes.OK
    assert "bme280, read by climahub" in capsys.readouterr().out
    assert root.run(["sensors", "scan", "--json"]) == exit_codes.OK
    assert msgspec.json.decode(capsys.readouterr().out)["buses"][0]["devices"][0]["chip"] == "bme280"


def test_without_a_hub_the_buses_are_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fetch(*_: object, **__: object) -> bytes:
        raise NoAnswer("nobody listens")

    monkeypatch.setattr(hub_client, "fetch", fetch)
    monkeypatch.setattr(sensors_scan, "scan_here", lambda: FOUND)
    assert root.run(["sensors", "scan"]) == exit_codes.OK
    assert "bme280" in capsys.readouterr().out


def test_this_machine_can_be_asked() -> None:
    assert all(bus.bus for bus in sensors_scan.scan_here().buses)
