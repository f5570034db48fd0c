"""What the radio decides without any I/O: the stick, the port, the pauses, the files."""

import json
from collections.abc import Mapping

import pytest

pytest.importorskip("serial")

from hal.zigbee import network_ownership, options, radio_state, serial_ports
from hal.zigbee.availability import ReportingRhythm
from hal.zigbee.network_ownership import NetworkPhase, NetworkSettings, OwnershipDecision
from hal.zigbee.radio_state import DeviceRecord, DeviceTable, FileUnreadable, NetworkSnapshot, StickSnapshot
from hal.zigbee.serial_ports import SerialPort

OURS = NetworkSettings(
    ieee="04cd15aabbccddee", extended_pan_id="1122334455667788", key="0a" * 16, pan_id=0x1A2B, channel=15
)
MOVED = NetworkSettings(ieee=OURS.ieee, extended_pan_id=OURS.extended_pan_id, key=OURS.key, pan_id=0x3333, channel=25)
FOREIGN = NetworkSettings(ieee="0000000000000001", extended_pan_id="99" * 8, key="0b" * 16, pan_id=1, channel=11)
OTHER_STICK = NetworkSettings(ieee="04cd150000000000", extended_pan_id=OURS.extended_pan_id, key=OURS.key)
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


@pytest.mark.parametrize(
    ("stick", "phase", "ours", "expected"),
    [
        (None, None, None, OwnershipDecision.FORM),
        (FOREIGN, None, None, OwnershipDecision.REFUSE),
        (None, NetworkPhase.PLANNED, PLANNED, OwnershipDecision.FORM),
        (OURS, NetworkPhase.PLANNED, PLANNED, OwnershipDecision.FORM),
        (FOREIGN, NetworkPhase.PLANNED, PLANNED, OwnershipDecision.REFUSE),
        (None, NetworkPhase.FORMED, OURS, OwnershipDecision.RESTORE),
        (OURS, NetworkPhase.FORMED, OURS, OwnershipDecision.USE),
        (MOVED, NetworkPhase.FORMED, OURS, OwnershipDecision.USE),
        (OTHER_STICK, NetworkPhase.FORMED, OURS, OwnershipDecision.REFUSE),
        (FOREIGN, NetworkPhase.FORMED, OURS, OwnershipDecision.REFUSE),
        (None, NetworkPhase.RESTORING, OURS, OwnershipDecision.RESTORE),
        (OURS, NetworkPhase.RESTORING, OURS, OwnershipDecision.RESTORE),
        (FOREIGN, NetworkPhase.RESTORING, OURS, OwnershipDecision.RESTORE),
    ],
)
def test_what_is_done_with_a_stick(
    stick: NetworkSettings | None, phase: NetworkPhase | None, ours: NetworkSettings | None, expected: OwnershipDecision
) -> None:
    for has_sensors in (False, True):
        chosen = network_ownership.decide(
            stick, phase=phase, own=ours, remembered="", has_sensors=has_sensors, takes_over=False
        )
        assert chosen is expected


@pytest.mark.parametrize(
    ("remembered", "has_sensors", "takes_over", "expected"),
    [
        ("", False, True, OwnershipDecision.USE),
        (network_ownership.fingerprint(FOREIGN.extended_pan_id), False, False, OwnershipDecision.FORM),
        (network_ownership.fingerprint(FOREIGN.extended_pan_id), True, False, OwnershipDecision.USE),
        (network_ownership.fingerprint(OURS.extended_pan_id), True, False, OwnershipDecision.REFUSE),
    ],
)
def test_a_stick_with_a_network_on_a_hub_without_one(
    remembered: str, has_sensors: bool, takes_over: bool, expected: OwnershipDecision
) -> None:
    chosen = network_ownership.decide(
        FOREIGN, phase=None, own=None, remembered=remembered, has_sensors=has_sensors, takes_over=takes_over
    )
    assert chosen is expected


def test_a_refusal_names_the_stick_the_loss_and_the_choices() -> None:
    text = network_ownership.refusal_text(FOREIGN, port="/dev/stick", sensors=12, has_network=True)
    for words in ("/dev/stick", "0x0001", "channel 11", "12 sensors", "blank one", "climahub zigbee restore"):
        assert words in text
    assert "take_over" in network_ownership.refusal_text(FOREIGN, port="/dev/stick", sensors=0, has_network=False)
    assert FOREIGN.key not in text


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
def test_none_or_too_many(adapter: options.Adapter, seen: list[SerialPort], words: str) -> None:
    found, steps = serial_ports.find_stick(adapter, seen)
    assert found is None
    assert steps
    assert words in serial_ports.not_found_text(steps)


def test_a_named_port() -> None:
    assert serial_ports.resolve_port("/dev/x", "/dev/ttyACM1", "auto", [CONBEE]).adapter == "deconz"
    assert serial_ports.resolve_port("/dev/x", "/dev/ttyACM1", "znp", [CONBEE]).adapter == "znp"
    assert serial_ports.resolve_port("/tmp/pty", "/dev/pts/3", "auto", [CONBEE]).adapter == "ezsp"


def test_files_come_back_as_they_were() -> None:
    network = radio_state.with_backup(NetworkSnapshot(NetworkPhase.PLANNED, PLANNED), OURS, backup_of(OURS))
    assert network.phase is NetworkPhase.FORMED
    again = radio_state.decode_network(radio_state.encode(network))
    assert again is not None
    assert (again.phase, again.settings) == (network.phase, network.settings)
    assert json.loads(bytes(again.backups[0])) == backup_of(OURS)
    assert radio_state.decode_network(None) is None
    assert radio_state.decode_stick(radio_state.encode(StickSnapshot("abc"))) == StickSnapshot("abc")
    assert radio_state.decode_stick(None) == StickSnapshot()


def test_sensors_of_another_boot_were_not_heard_in_this_one() -> None:
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
def test_a_broken_file_is_told_without_its_content(data: bytes) -> None:
    with pytest.raises(FileUnreadable):
        radio_state.decode_network(data)


def test_backups_are_bounded_and_the_oldest_makes_room() -> None:
    network = NetworkSnapshot(NetworkPhase.PLANNED, OURS)
    for number in range(20):
        network = radio_state.with_backup(network, OURS, {**backup_of(OURS), "nwk_update_id": number})
    kept = [json.loads(bytes(backup))["nwk_update_id"] for backup in network.backups]
    assert kept == list(range(12, 20))


def test_a_restore_is_a_choice_that_outlives_a_power_cut() -> None:
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


def test_a_backup_tells_its_network() -> None:
    assert radio_state.parse_settings(backup_of(OURS)) == OURS
    assert radio_state.parse_backup(json.dumps(backup_of(OURS)).encode()) == backup_of(OURS)
