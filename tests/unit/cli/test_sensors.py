"""`climahub sensors`: one line a device, with what a technician looks for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.cli import exit_codes, hub_client, root
from agent.cli.sensors import ROUTE, as_text
from agent.local.hardware import LiveSensorReport, LiveSensorsReport
from agent.local.zigbee import PairedSensor, RadioReport, ZigbeeReport

DEVICE = "0x00158d0000000001"
OWN = LiveSensorReport("", "hwmon/cpu/temp1", "temperature", 41.26, "°C", 0.0)
RELAYED = [
    LiveSensorReport(DEVICE, "", "temperature", 20.5, "°C", 30.0),
    LiveSensorReport(DEVICE, "", "humidity", 45.0, "%", 90.0),
    LiveSensorReport(DEVICE, "", "battery_level", 87.0, "%", 3600.0),
    LiveSensorReport(DEVICE, "", "signal_strength", -71.0, "dBm", 30.0),
]


def paired(**changes: Any) -> PairedSensor:  # noqa: ANN401
    plain = PairedSensor(
        device=DEVICE, name="attic", stage="relaying", problem="", sensor_id="id", about="maker model",
        is_online=True, is_sleepy=True, last_seen_age_s=5, lqi_last_hop=180, readings=[],
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


def radio(*sensors: PairedSensor) -> ZigbeeReport:
    return ZigbeeReport(RadioReport("up"), [*sensors], [], "")


def lines(*sensors: LiveSensorReport, of: ZigbeeReport | None = None) -> list[str]:
    return as_text(LiveSensorsReport([*sensors]), of or radio()).splitlines()


def test_a_device_is_one_line_with_values_age_battery_and_link() -> None:
    heading, own, relayed = lines(OWN, *RELAYED, of=radio(paired()))
    assert heading.split() == ["SENSOR", "VALUES", "AGE", "BATTERY", "LINK"]
    assert own.split() == ["hwmon/cpu/temp1", "temperature", "41.3", "°C", "now"]
    assert relayed.split() == ["attic", "20.5", "°C,", "45.0", "%", "30", "s", "87.0", "%", "LQI", "180"]


def test_without_the_radio_the_signal_counts_and_the_address_names_it() -> None:
    (_, relayed) = lines(*RELAYED)
    assert relayed.startswith(DEVICE)
    assert relayed.endswith("-71 dBm")


def test_a_device_that_has_not_reported_or_is_silent_is_there_too() -> None:
    silent = paired(is_online=False, lqi_last_hop=None, problem="no key")
    (_, line) = lines(of=radio(silent))
    assert line.split(maxsplit=3)[:3] == ["attic", "-", "-"]
    assert line.endswith("no key; silent: check its battery, then its distance from the hub")


def test_a_sensor_that_fails_says_why() -> None:
    failing = msgspec.structs.replace(OWN, value=None, problem="no answer within 2 s")
    assert lines(failing)[1].endswith("no answer within 2 s")
    assert lines() == ["this hub has no sensor"]


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    documents: dict[str, object] = {ROUTE: LiveSensorsReport([OWN]), "/v1/zigbee": radio()}
    fetch: Callable[[Path, str], bytes] = lambda _, route: msgspec.json.encode(documents[route])  # noqa: E731
    monkeypatch.setattr(hub_client, "fetch", fetch)
    assert root.run(["sensors"]) == exit_codes.OK
    assert "hwmon/cpu/temp1" in capsys.readouterr().out
    assert root.run(["sensors", "--json"]) == exit_codes.OK
    assert msgspec.json.decode(capsys.readouterr().out)["sensors"][0]["unit"] == "°C"
