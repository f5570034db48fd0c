"""`climahub sensors`: one line a device, with what a technician looks for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.cli import calibrate, exit_codes, hub_client, root
from agent.cli.sensor_table import as_text
from agent.cli.sensors import ROUTE
from agent.local.calibration import CalibrationReport
from agent.local.hardware import BinarySensorReport, BoardChannelReport, LiveSensorReport, LiveSensorsReport
from agent.local.zigbee import PairedSensor, RadioOutputReport, RadioReport, ZigbeeReport

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


def test_contacts_and_motion_sensors_say_what_they_see_beside_their_battery() -> None:
    contact = BinarySensorReport(DEVICE, "contact", is_active=True, text="open", age_s=12.0)
    motion = BinarySensorReport("0x02", "occupancy", is_active=None, text="silent", age_s=None)
    report = LiveSensorsReport([RELAYED[2]], binary=[contact, motion])
    _, window, other = as_text(report, radio(paired(name="window"))).splitlines()
    assert window.split() == ["window", "open", "12", "s", "87.0", "%", "LQI", "180"]
    assert other.split() == ["0x02", "silent", "-"]


def test_outputs_of_paired_devices_are_listed_with_what_they_do_when_the_hub_dies() -> None:
    outputs = [
        RadioOutputReport("zigbee-01/switch/1", "maker plug", "bath", is_on=True, goes_off_alone=True),
        RadioOutputReport("zigbee-02/valve/1", "", "attic", goes_off_alone=False, problem="pair the device"),
        RadioOutputReport("zigbee-03/switch/2", "maker relay"),
    ]
    text = as_text(LiveSensorsReport([]), msgspec.structs.replace(radio(), outputs=outputs))
    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "OUTPUT DRIVES NOW IF THE HUB DIES",
        "zigbee-01/switch/1 bath on goes off maker plug",
        "zigbee-02/valve/1 attic - stays on pair the device",
        "zigbee-03/switch/2 - - - maker relay",
    ]


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


def test_an_uncertain_or_doubted_sensor_says_so() -> None:
    warm = msgspec.structs.replace(OWN, value=21.0, measured=25.0, uncertainty=0.42, doubt="check its plug")
    assert " ".join(lines(warm)[1].split()[1:]) == "temperature 21.0 °C ±0.4 now check its plug"
    doubted = msgspec.structs.replace(RELAYED[0], doubt="check its plug")
    assert lines(doubted)[1].endswith("check its plug")


ROOM = BoardChannelReport(
    "i2c-1-0076/bme280/temperature", "temperature", 21.26, "°C", 0.0, "i2c-1", "0076", "bme280", "bmp280",
    uncertainty=0.3, primary="chosen (a sensor for rooms)",
)  # fmt: skip
PROBE = BoardChannelReport(
    "w1-28-0a/ds18b20/temperature", "temperature", 48.0, "°C", 5.0, "w1_bus_master1", "28-0a", "ds18b20", "w1_therm",
    doubt="check its plug",
)  # fmt: skip
GONE = BoardChannelReport(
    "i2c-1-0062/scd41/co2", "co2", None, "ppm", None, "i2c-1", "0062", "scd41", "climahub", "the device is gone"
)  # fmt: skip


def test_each_channel_of_a_board_has_bus_chip_and_driver_and_the_choice_is_explained() -> None:
    text = as_text(LiveSensorsReport([OWN, *RELAYED], [ROOM, PROBE, GONE]), radio(paired()))
    own, relayed, primary = (part.splitlines() for part in text.split("\n\n"))
    assert [line.split() for line in own] == [
        ["OWN", "VALUE", "AGE", "BUS", "CHIP", "DRIVER"],
        [ROOM.sensor, "21.3", "°C", "±0.3", "now", "i2c-1", "bme280", "bmp280"],
        [PROBE.sensor, "48.0", "°C", "5", "s", "w1_bus_master1", "ds18b20", "w1_therm", "check", "its", "plug"],
        [GONE.sensor, "-", "-", "i2c-1", "scd41", "climahub", "the", "device", "is", "gone"],
    ]
    assert relayed[1].startswith("attic")
    assert primary == ["The hub's own in the cloud:", f"  temperature: {ROOM.sensor}: chosen (a sensor for rooms)"]


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    documents: dict[str, object] = {ROUTE: LiveSensorsReport([OWN]), "/v1/zigbee": radio()}
    fetch: Callable[[Path, str], bytes] = lambda _, route: msgspec.json.encode(documents[route])  # noqa: E731
    monkeypatch.setattr(hub_client, "fetch", fetch)
    assert root.run(["sensors"]) == exit_codes.OK
    assert "hwmon/cpu/temp1" in capsys.readouterr().out
    assert root.run(["sensors", "--json"]) == exit_codes.OK
    assert msgspec.json.decode(capsys.readouterr().out)["sensors"][0]["unit"] == "°C"


@pytest.mark.parametrize(
    ("arguments", "request_body", "answer", "text"),
    [
        (["--reads", "21.4"], {"reads": 21.4}, ("temperature", 0.6, False), "+0.6 °C is added to its temperature"),
        (["--offset", "-2", "--kind", "humidity"], {"kind": "humidity", "offset": -2}, ("humidity", -2, False), "-2 %"),
        (["--from", "0x01"], {"take_from": "0x01"}, ("temperature", 0.6, False), "+0.6 °C"),
        (["--clear"], {"clear": True}, ("temperature", 0.0, False), "as it is measured"),
        (["--reads", "20"], {"reads": 20.0}, ("temperature", 0.0, True), "how much the hub warms it"),
    ],
)  # fmt: skip
def test_calibrate(
    arguments: list[str],
    request_body: dict[str, object],
    answer: tuple[str, float, bool],
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sent: list[dict[str, object]] = []

    def fetch(_: Path, route: str, *, method: str, content: bytes) -> bytes:
        assert (route, method) == (calibrate.ROUTE, "POST")
        sent.append(msgspec.json.decode(content))
        return msgspec.json.encode(CalibrationReport("", "attic", *answer))

    monkeypatch.setattr(hub_client, "fetch", fetch)
    assert root.run(["sensors", "calibrate", "attic", *arguments]) == exit_codes.OK
    plain = {"sensor": "attic", "kind": "", "reads": None, "offset": None, "take_from": "", "clear": False}
    assert sent == [plain | request_body]
    assert text in capsys.readouterr().out


def test_calibrate_wants_one_thing(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["sensors", "calibrate", "attic", "--clear", "--offset", "1"]) == exit_codes.USAGE
    assert root.run(["sensors", "--json", "calibrate", "attic", "--clear"]) == exit_codes.USAGE
    assert "give one of" in capsys.readouterr().err
