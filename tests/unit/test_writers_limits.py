"""Every writer keeps within its reader's limit: each file of the state directory, filled as far as anybody can fill it.

A file that its reader refuses is put aside at the next start, and all that stood in it is gone.
"""

import random
from pathlib import Path
from typing import Any, cast

import pytest

from agent.cloud.client import SettingsClient
from agent.commands import factory_reset
from agent.foundation.disk import Disk
from agent.foundation.staging_files import StagingFiles
from agent.foundation.state_files import StateFiles
from agent.foundation.worker import InlineWorker
from agent.ota import launcher, lifecycle
from agent.ota import store as update_store
from agent.ota.lifecycle import StatusReport, UpdateEvent
from agent.ota.manifest import VERSION_CHARS_MAX, Offer
from agent.ota.slots import InstalledRelease, Slots
from agent.pairing import store as pairing_store
from agent.pairing.actions import KEY_CHARACTERS_MAX
from agent.pairing.lifecycle import JoinWindow, PairingRecord, PairingStage, PairingState
from agent.pairing.transitions import NAME_CHARACTERS_MAX, REMOVED_MAX, SENSORS_MAX
from agent.settings.model import DeviceSettings, Location, SettingsDocument
from agent.settings.sync import SettingsSync
from hal.zigbee import radio_state
from hal.zigbee.network_ownership import NetworkPhase, NetworkSettings
from hal.zigbee.options import FILE_BYTES_MAX, NETWORK_FILE
from hal.zigbee.radio_state import NetworkSnapshot

WIDE = "\N{FIRE}"
"""Four bytes of UTF-8, twelve of ASCII with escapes."""
ENDLESS = (WIDE + '"\\\n\x1b') * 20_000
LONGEST_VERSION = "9" * VERSION_CHARS_MAX
NETWORK = NetworkSettings("00" * 8, "11" * 8, "22" * 16, 7, 15)


async def test_update_record_with_the_longest_failures_fits(tmp_path: Path) -> None:
    book = update_store.UpdateStore(tmp_path, disk=Disk(), worker=InlineWorker())
    await book.load()
    for number in range(2 * lifecycle.REFUSALS_MAX):
        offer = Offer(LONGEST_VERSION[:-2] + f"{number:02}", "ab" * 32, 2**40)
        await book.advance(UpdateEvent.OFFER, offer=offer)
        await book.advance(UpdateEvent.FAIL, reason=ENDLESS)
        book.report_progress(StatusReport(LONGEST_VERSION, f"word {number}", 10, ENDLESS))
    await book.set_paused(is_paused=True)
    again = update_store.UpdateStore(tmp_path, disk=Disk(), worker=InlineWorker())
    assert await again.load() == ""
    assert again.record.refusals == book.record.refusals[-len(again.record.refusals) :]
    assert again.record.is_paused
    assert again.record.refusals[-1].version.endswith("31")


async def test_oversized_record_of_an_older_release_is_read_and_shrunk(tmp_path: Path) -> None:
    # What a hub of 0.1 had after an offer of 70,000 characters.
    long = "9." + "9" * 70_000
    text = f'{{"state":"idle","posts":[{{"version":"{long}","status":"failed"}}],"is_held":true}}'
    (tmp_path / update_store.FILE_NAME).write_text(text)
    book = update_store.UpdateStore(tmp_path, disk=Disk(), worker=InlineWorker())
    assert await book.load() == ""
    assert book.record.is_paused
    await book.advance(UpdateEvent.OFFER, offer=Offer("2.0.0"))
    again = update_store.UpdateStore(tmp_path, disk=Disk(), worker=InlineWorker())
    assert await again.load() == ""
    assert again.record.is_paused
    assert again.record.offer.version == "2.0.0"


def test_launcher_state_with_the_longest_failure_fits(tmp_path: Path) -> None:
    slots = Slots(StagingFiles(tmp_path, Disk()), Disk(), running="base")
    slots.begin_trial(InstalledRelease("a", "ab" * 32, LONGEST_VERSION, 2**53), tries=3)
    slots.end_trial(ENDLESS)
    assert launcher.load(tmp_path).failed.version == LONGEST_VERSION
    slots.record_failure(LONGEST_VERSION, 7, ENDLESS)
    assert launcher.load(tmp_path).failed.sequence == 7


async def test_pairing_state_with_the_most_sensors_fits(tmp_path: Path) -> None:
    def record(number: int, stage: PairingStage) -> PairingRecord:
        return PairingRecord(
            f"0x{number:016x}",
            stage,
            name=WIDE * NAME_CHARACTERS_MAX,
            key="k" * KEY_CHARACTERS_MAX,
            sensor_id=f"{WIDE * 200}{number}",
            serial_number=WIDE * 200,
            ieee_address=f"0x{number:016x}",
            about=WIDE * 500,
            problem=WIDE * 2000,
        )

    sensors = {
        each.device: each
        for each in (
            record(number, PairingStage.REMOVED if number < REMOVED_MAX else PairingStage.KEYED)
            for number in range(REMOVED_MAX + SENSORS_MAX)
        )
    }
    book = pairing_store.PairingStore(tmp_path, disk=Disk(), worker=InlineWorker())
    await book.commit(lambda _: PairingState(sensors, JoinWindow("boot", 1)))
    again = pairing_store.PairingStore(tmp_path, disk=Disk(), worker=InlineWorker())
    assert again.file_problem == ""
    assert {each.sensor_id for each in again.state.sensors.values()} == {each.sensor_id for each in sensors.values()}
    assert {each.key for each in again.state.sensors.values()} == {"k" * KEY_CHARACTERS_MAX}


@pytest.mark.parametrize("devices", [10, 12_000])
def test_backups_of_the_largest_network_fit(tmp_path: Path, devices: int) -> None:
    files = StateFiles(tmp_path, Disk(), bytes_max=FILE_BYTES_MAX)
    kept = NetworkSnapshot(NetworkPhase.PLANNED, NETWORK)
    for number in range(10):
        backup = {"number": number, "devices": [{"ieee": "ab" * 8, "nwk": "1234", "more": [1] * 20}] * devices}
        kept = radio_state.with_backup(kept, NETWORK, backup)
        files.write(NETWORK_FILE, radio_state.encode(kept), is_secret=True)
    found = radio_state.decode_network(StateFiles(tmp_path, Disk(), bytes_max=FILE_BYTES_MAX).read(NETWORK_FILE))
    assert found is not None
    assert b'"number": 9' in bytes(found.backups[-1])


def test_oversized_backup_is_refused() -> None:
    backup: Any = {"devices": [[1] * 1000] * 3000}
    with pytest.raises(ValueError, match="too large to be kept"):
        radio_state.with_backup(NetworkSnapshot(NetworkPhase.PLANNED, NETWORK), NETWORK, backup)


def test_list_of_barred_keys_at_its_limit_fits(tmp_path: Path) -> None:
    for number in range(factory_reset.BARRED_MAX + 5):
        factory_reset.bar_key(tmp_path, Disk(), f"key {number}")
    found = factory_reset.read(tmp_path, Disk())
    assert factory_reset.is_barred(found, f"key {factory_reset.BARRED_MAX + 4}")
    assert not factory_reset.is_barred(found, "key 1")


async def test_settings_with_the_most_unknown_keys_fit(tmp_path: Path) -> None:
    def make() -> SettingsSync:
        return SettingsSync(
            tmp_path,
            disk=Disk(),
            worker=InlineWorker(),
            client=cast("SettingsClient", None),
            poll_interval_s=1.0,
            rng=random.Random(1),
        )

    sync = make()
    location = Location(-89.123456789, -179.123456789, WIDE * 200)
    settings = DeviceSettings(3600, ("temperature",), location, "UTC", {"more": [ENDLESS] * 3})
    pending = {"timezone": "UTC", "location": {"name": WIDE * 200}}
    await sync._put_in_force(lambda _: SettingsDocument(settings, pending, "c" * 256))
    assert make().pending == pending
    assert make().problems == []
