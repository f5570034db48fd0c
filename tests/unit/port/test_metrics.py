"""The metrics: names and units that Prometheus' own checker accepts, bounded, and no word that must stay in the hub."""

import re
import shutil
import subprocess

import msgspec
import pytest

from agent.local.climate import ClimateReport, HeatSourceReport, ZoneReport
from agent.local.status import FaultReport, HubStatus, SensorReport
from agent.local.zigbee import MemberReport, PairedSensor, RadioReport, RouterReport, ZigbeeReport
from agent.port import metrics
from agent.port.metrics import SERIES_MAX, HubCollector, build_exposition
from hal.interface import SensorKind
from tests.unit.conftest import sensor

ZONE = ZoneReport(
    zone="living", room_c=20.25, sensors_used=2, sensor_problem="", mode="heat", heat_setpoint_c=21.0,
    cool_setpoint_c=26.0, setpoint_reason="schedule", label="day", until=None, setpoint_text="", is_eco=False,
    action="heat", duty=0.5, reason="", problem="", schedule="week", schedules=[], holds=[], rate_k_per_h=1.0,
    loss_k_per_h=0.2,
)  # fmt: skip
CLIMATE = ClimateReport([ZONE], HeatSourceReport("heat", 1, is_aux_on=False, is_pump_on=True), [], "Europe/Zurich")
NO_RADIO = ZigbeeReport(RadioReport("none"), [], [], "")


def paired(device: str = "0x01", name: str = "kitchen") -> PairedSensor:
    return PairedSensor(
        device=device, name=name, stage="registered", problem="", sensor_id="id", about="x", is_online=True,
        is_sleepy=True, last_seen_age_s=5, lqi_last_hop=200, readings=[],
    )  # fmt: skip


ZIGBEE = ZigbeeReport(
    RadioReport("running", join_window_left_s=30),
    [paired()],
    [],
    "",
    routers=[RouterReport("0x02", "plug", is_online=None, lqi_last_hop=None)],
    others=[MemberReport("0x03", "new", is_interviewed=False, is_online=False, lqi_last_hop=10)],
)


def scrape(status: HubStatus, climate: ClimateReport = CLIMATE, zigbee: ZigbeeReport = ZIGBEE) -> str:
    return build_exposition(HubCollector(lambda: status, lambda: climate, lambda: zigbee))().decode()


def of_every_kind() -> list[SensorReport]:
    return [sensor(sensor=f"sim/{kind.value}", kind=kind.value, value=50.0) for kind in SensorKind]


def test_every_kind_of_sensor_has_a_metric() -> None:
    assert set(metrics._KINDS) == {kind.value for kind in SensorKind}


def test_values_are_in_base_units(status: HubStatus) -> None:
    held = msgspec.structs.replace(status.outbox, held=5)
    text = scrape(msgspec.structs.replace(status, sensors=of_every_kind(), outbox=held))
    for line in (
        'climahub_sensor_temperature_celsius{device="",sensor="sim/temperature"} 50.0',
        'climahub_sensor_humidity_ratio{device="",sensor="sim/humidity"} 0.5',
        'climahub_sensor_pressure_pascals{device="",sensor="sim/pressure"} 5000.0',
        'climahub_sensor_readings_total{device="",kind="iaq",quality="good",sensor="sim/iaq"} 10.0',
        'climahub_build_info{board="sim",version="1.2.3"} 1.0',
        'climahub_cloud_quota_used_ratio{endpoint="telemetry"} 0.05',
        "climahub_cloud_link_up 1.0",
        "climahub_outbox_pending_readings 12.0",
        "climahub_outbox_held_readings 5.0",
        'climahub_zone_temperature_celsius{zone="living"} 20.25',
        'climahub_zone_action{action="heat",zone="living"} 1.0',
        'climahub_zone_action{action="off",zone="living"} 0.0',
        "climahub_heat_source_pump_on 1.0",
        'climahub_zigbee_device_online{device="0x01"} 1.0',
        "climahub_zigbee_join_window_open 1.0",
        'climahub_zigbee_sensor_info{device="0x01",name="kitchen"} 1.0',
    ):
        assert line in text.splitlines(), line
    assert "process_cpu_seconds_total " in text


def test_what_is_not_known_and_what_is_not_there_has_no_series(status: HubStatus) -> None:
    text = scrape(status, ClimateReport([], None, [], ""), NO_RADIO)
    assert "climahub_zone" not in text
    assert "climahub_zigbee" not in text
    assert "climahub_heat_source" not in text
    assert "climahub_clock_error_seconds" not in text
    assert 'climahub_sensor_age_seconds{device="0x01"' not in text
    assert 'climahub_zigbee_device_online{device="0x02"' not in scrape(status)


def test_promtool_accepts_the_metrics(status: HubStatus) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("install promtool (Debian: apt-get install prometheus)")
    faults = [FaultReport("outbox", "x", 2, 5), FaultReport("outbox", "y", 3, 5)]
    clock = msgspec.structs.replace(status.clock, error_s=0.1)
    text = scrape(msgspec.structs.replace(status, sensors=of_every_kind(), faults=faults, clock=clock))
    assert 'climahub_recent_faults{component="outbox"} 5.0' in text
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_number_of_series_is_bounded_and_none_appears_twice(status: HubStatus) -> None:
    many = [sensor(device=f"0x{number:04x}") for number in range(SERIES_MAX + 100)]
    text = scrape(msgspec.structs.replace(status, sensors=[*many, *many]))
    lines = [line for line in text.splitlines() if line.startswith("climahub_sensor_temperature_celsius{")]
    assert len(lines) == len(set(lines)) == SERIES_MAX


def test_a_label_is_one_short_line_without_a_secret(status: HubStatus) -> None:
    key = "cs_dev_" + "A1b2" * 8
    name = f'a "quoted"\nname {key} ' + "x" * 500
    text = scrape(status, zigbee=msgspec.structs.replace(ZIGBEE, sensors=[paired(name=name)]))
    assert key not in text
    (label,) = re.findall(r'climahub_zigbee_sensor_info{.*name="(.*)"}', text)
    assert label.startswith(r"a \"quoted\" name cs_dev_[redacted]")
    assert len(label) < 100
