from pathlib import Path

import msgspec

from agent.apis.aurra_home.records import (
    ALERTS_MAX,
    FILE_BYTES_MAX,
    LINKS_MAX,
    READINGS_BYTES_MAX,
    READINGS_MAX,
    AlertRecord,
    AurraRecords,
    ReadingRecord,
    ReadingSet,
    RecordSet,
    VoiceLink,
    with_alert,
    with_link,
    with_posted,
    with_readings,
)
from agent.apis.aurra_home.wire import ACTION_CHARACTERS_MAX, ISSUE_CHARACTERS_MAX, NAME_CHARACTERS_MAX
from agent.foundation.disk import Disk
from agent.foundation.lenient_json import decode_leniently
from agent.foundation.secret_hash import SecretHash
from agent.foundation.worker import InlineWorker

HASH = SecretHash("0" * 32, "0" * 64)


def alert(number: int = 0) -> AlertRecord:
    return AlertRecord(f"alt_{number}", "living", "acc_1", "x", 0.8, "y", "high", False, 1_790_000_000_000)


def link(zone_id: str = "living", platform: str = "Alexa", client_id: str = "acc_1") -> VoiceLink:
    return VoiceLink(zone_id, platform, client_id, HASH)


def reading(number: int = 0) -> ReadingRecord:
    values = {
        "timestamp": "2025-04-22T14:33:10.123456Z",
        "amplitude": 0.4212345,
        "frequency": 58.71234,
        "duration_ms": 1,
    }
    return ReadingRecord(f"rdg_{number:08d}", "living-room", "vibration", "acc_0123456789abcdef", values)


def test_the_oldest_make_room() -> None:
    records = RecordSet()
    for number in range(ALERTS_MAX + 3):
        records = with_alert(records, alert(number))
    assert (len(records.alerts), records.alerts[0].alert_id) == (ALERTS_MAX, "alt_3")
    readings = with_readings(ReadingSet(), [reading(number) for number in range(READINGS_MAX + 3)])
    assert (len(readings.readings), readings.readings[0].reading_id) == (READINGS_MAX, "rdg_00000003")
    for number in range(LINKS_MAX + 3):
        records = with_link(records, link(f"zone-{number}"))
    assert (len(records.links), records.links[0].zone_id) == (LINKS_MAX, "zone-3")


def test_a_client_pushes_out_nothing_of_others() -> None:
    records = with_alert(RecordSet(), alert(0))
    for number in range(1, 2 * ALERTS_MAX):
        records = with_alert(records, msgspec.structs.replace(alert(number), client_id="acc_2"))
    assert (len(records.alerts), records.alerts[0]) == (ALERTS_MAX, alert(0))
    loud = [msgspec.structs.replace(reading(number), client_id="acc_2") for number in range(2 * READINGS_MAX)]
    readings = with_readings(ReadingSet((reading(),)), loud)
    assert (len(readings.readings), readings.readings[0]) == (READINGS_MAX, reading())


async def test_readings_that_wait_for_the_disk_push_out_nothing_of_others(tmp_path: Path) -> None:
    kept = AurraRecords(tmp_path, disk=Disk(), worker=InlineWorker())
    kept.add_reading(reading())
    for number in range(READINGS_MAX):
        kept.add_reading(msgspec.structs.replace(reading(number), client_id="acc_2"))
    assert (len(kept.readings), kept.readings[0]) == (READINGS_MAX, reading())


def test_a_link_takes_the_place_of_the_one_before() -> None:
    records = with_link(with_link(RecordSet(), link()), link(client_id="acc_2"))
    assert [each.client_id for each in records.links] == ["acc_2"]
    assert len(with_link(records, link(platform="GoogleAssistant")).links) == 2


def test_the_longest_records_fit_their_files() -> None:
    longest = AlertRecord(
        "alt_00000000", "z" * 64, "acc_0123456789abcdef", "\u00e4" * ISSUE_CHARACTERS_MAX, 0.8123456789,
        "\u00e4" * ACTION_CHARACTERS_MAX, "critical", True, 1_790_000_000_000,
        "\u00e4" * 64, True, "\u00e4" * 64, 1_790_000_000_000,
    )  # fmt: skip
    records = RecordSet((longest,) * ALERTS_MAX, (link("z" * 64, "GoogleAssistant"),) * LINKS_MAX)
    for number in range(8):
        records = with_posted(records, f"zone-{number}", "\u00e4" * NAME_CHARACTERS_MAX)
    assert len(msgspec.json.encode(records)) < FILE_BYTES_MAX
    assert len(msgspec.json.encode(ReadingSet((reading(),) * READINGS_MAX))) < READINGS_BYTES_MAX


def test_the_files_are_read_as_they_were_written() -> None:
    records = with_posted(with_link(with_alert(RecordSet(), alert()), link()), "living", "Winter")
    assert decode_leniently(msgspec.json.encode(records), RecordSet) == (records, [])
    readings = ReadingSet((reading(),))
    assert decode_leniently(msgspec.json.encode(readings), ReadingSet) == (readings, [])
