"""The radio's files and backups."""

import json
from collections.abc import Mapping

import pytest

from hal.availability import ReportingRhythm
from hal.zigbee import radio_state
from hal.zigbee.network_ownership import NetworkPhase, NetworkSettings
from hal.zigbee.radio_state import DeviceRecord, DeviceTable, FileUnreadable, NetworkSnapshot, StickSnapshot

OURS = NetworkSettings(
    ieee="04cd15aabbccddee", extended_pan_id="1122334455667788", key="0a" * 16, pan_id=0x1A2B, channel=15
)


FOREIGN = NetworkSettings(ieee="0000000000000001", extended_pan_id="99" * 8, key="0b" * 16, pan_id=1, channel=11)


PLANNED = NetworkSettings(ieee="", extended_pan_id=OURS.extended_pan_id, key=OURS.key)


def backup_of(settings: NetworkSettings) -> dict[str, object]:
    return {
        "metadata": {"format": "zigpy/open-coordinator-backup", "version": 1, "source": "test"},
        "coordinator_ieee": settings.ieee,
        "pan_id": f"{settings.pan_id:04x}",
        "extended_pan_id": settings.extended_pan_id,
        "nwk_update_id": 0,
        "security_level": 5,
        "channel": settings.channel,
        "channel_mask": [settings.channel],
        "network_key": {"key": settings.key, "sequence_number": 0, "frame_counter": 7},
        "devices": [],
    }


def test_files_round_trip() -> None:
    network = radio_state.with_backup(NetworkSnapshot(NetworkPhase.PLANNED, PLANNED), OURS, backup_of(OURS))
    assert network.phase is NetworkPhase.FORMED
    again = radio_state.decode_network(radio_state.encode(network))
    assert again is not None
    assert (again.phase, again.settings) == (network.phase, network.settings)
    assert json.loads(bytes(again.backups[0])) == backup_of(OURS)
    assert radio_state.decode_network(None) is None
    assert radio_state.decode_stick(radio_state.encode(StickSnapshot("abc"))) == StickSnapshot("abc")
    assert radio_state.decode_stick(None) == StickSnapshot()


def test_last_seen_of_another_boot_is_dropped() -> None:
    sensor = DeviceRecord(
        "0x0000000000000001", 7, last_seen_ms=99, is_offline=True, rhythm=ReportingRhythm(max_interval_s=900)
    )
    data = radio_state.encode(DeviceTable("one", (sensor,), ("0x0000000000000002",)))
    assert radio_state.decode_devices(data, "one").sensors == (sensor,)
    other = radio_state.decode_devices(data, "two")
    assert other.sensors[0].last_seen_ms is None
    assert other.sensors[0].is_offline
    assert other.removed == ("0x0000000000000002",)
    assert radio_state.decode_devices(None, "two") == DeviceTable("two")


@pytest.mark.parametrize("data", [b"", b"\x00" * 64, b"[]", b'{"phase": "lost"}'])
def test_broken_file_is_reported_without_its_content(data: bytes) -> None:
    with pytest.raises(FileUnreadable):
        radio_state.decode_network(data)


def test_backups_are_bounded_and_the_oldest_is_dropped() -> None:
    network = NetworkSnapshot(NetworkPhase.PLANNED, OURS)
    for number in range(20):
        network = radio_state.with_backup(network, OURS, {**backup_of(OURS), "nwk_update_id": number})
    kept = [json.loads(bytes(backup))["nwk_update_id"] for backup in network.backups]
    assert kept == list(range(12, 20))


def test_restore_request_survives_a_power_cut() -> None:
    network = radio_state.with_restore_pending(None, backup_of(OURS))
    assert (network.phase, network.settings) == (NetworkPhase.RESTORING, OURS)
    before = radio_state.with_backup(NetworkSnapshot(NetworkPhase.PLANNED, FOREIGN), FOREIGN, backup_of(FOREIGN))
    assert len(radio_state.with_restore_pending(before, backup_of(OURS)).backups) == 2


@pytest.mark.parametrize(
    "change",
    [{"network_key": {"key": "5ec2e7", "sequence_number": 0, "frame_counter": 0}}, {"channel": 9}, {"pan_id": None}],
)
def test_a_bad_backup_is_refused_without_repeating_it(change: Mapping[str, object]) -> None:
    data = json.dumps({**backup_of(OURS), **change}).encode()
    with pytest.raises(ValueError, match="Open Coordinator Backup") as caught:
        radio_state.parse_backup(data)
    assert "5ec2e7" not in str(caught.value)
    with pytest.raises(ValueError, match="no JSON object"):
        radio_state.parse_backup(b"\xff")


def test_backup_contains_its_network() -> None:
    assert radio_state.parse_settings(backup_of(OURS)) == OURS
    assert radio_state.parse_backup(json.dumps(backup_of(OURS)).encode()) == backup_of(OURS)


def test_a_devices_file_of_the_first_release_opens_without_loss() -> None:
    stored = (
        b'{"boot_id": "one", "sensors": [{"ieee": "0x01", "nwk": 7, "heard_ms": 99, "promises": {"temperature": 900.0},'
        b' "ranks": {"temperature": 1}, "left_out": ["humidity is taken from endpoint 1"], "note": "not in the table",'
        b' "rhythm": {"promised_s": 900.0, "longest_s": 60.0, "doubted_s": 5.0}}]}'
    )
    (record,) = radio_state.decode_devices(stored, "one").sensors
    assert (record.last_seen_ms, record.max_intervals_s) == (99, {"temperature": 900.0})
    assert (record.unused, record.model_note) == (("humidity is taken from endpoint 1",), "not in the table")
    assert record.rhythm == ReportingRhythm(max_interval_s=900.0, longest_silence_s=60.0, outlier_s=5.0)
    again = json.loads(radio_state.encode(DeviceTable("one", (record,))))["sensors"][0]
    assert {"heard_ms", "promises", "left_out", "note"} <= again.keys()
    assert {"promised_s", "longest_s", "doubted_s"} <= again["rhythm"].keys()
