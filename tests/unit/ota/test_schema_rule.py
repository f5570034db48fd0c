"""What a release on trial has written stays readable by the one before (docs/updates.md): a newer writer is played by
adding to every object, table and row that this release writes.
"""

import contextlib
import json
import os
import random
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from agent.climate import requests
from agent.climate.model import Block, Hold, LastScheduledBlock, Schedule, Setpoints, ZoneProgram
from agent.climate.requests import PutScheduleRequest
from agent.climate.sensor_validation import ValidationState
from agent.climate.service import FILE_NAME as CLIMATE_FILE
from agent.climate.service import ClimateService
from agent.climate.settings import ClimateSettings, HeatSourceKind, HeatSourceSettings, ZoneSettings
from agent.climate.short_cycle_protection import ShortCycleState
from agent.climate.snapshot import ClimateSnapshot, ZoneSnapshot
from agent.cloud.client import SettingsClient
from agent.commands import factory_reset, journal
from agent.commands.factory_reset import FactoryResetState
from agent.commands.payloads import IncomingCommand
from agent.foundation.clock import Now
from agent.foundation.disk import Disk
from agent.foundation.state_files import StateFiles
from agent.foundation.worker import InlineWorker
from agent.maintenance import alert_service, machine_drift, machine_watch
from agent.maintenance import service as maintenance
from agent.maintenance.alerts import Alert, AlertState, Answer, Mute, Verdict
from agent.maintenance.assessment import ZoneRecord
from agent.maintenance.drift import Drift, Sign
from agent.maintenance.imm_filter import Mode
from agent.maintenance.indicators import DayInProgress
from agent.maintenance.machine_assessment import BandDay, MachineDrift, MachineRecord
from agent.maintenance.machine_readings import Channel, MachineIndicator
from agent.maintenance.pipe_readings import PipeChannel, PipeIndicator, Steady
from agent.maintenance.pipe_record import PipeBandDay, PipeDrift, PipeRecord
from agent.ota import keyring, launcher
from agent.ota import store as update_store
from agent.ota.keyring import Keyring
from agent.ota.lifecycle import RefusedOffer, StatusReport, UpdateRecord, UpdateState
from agent.ota.manifest import Offer
from agent.pairing import store as pairing_store
from agent.pairing.lifecycle import JoinWindow, PairingStage, PairingState
from agent.pairing.lifecycle import PairingRecord as Sensor
from agent.settings import sync
from agent.settings.model import DeviceSettings, Location, SettingsDocument
from agent.telemetry.outbox import store
from agent.telemetry.outbox.protocol import Lane, OutboxLimits
from agent.telemetry.outbox.store import SqliteOutbox
from hal.interface import HUB, HvacDemand, Reading, SensorKind, ZoneOutput
from hal.zigbee import radio_state
from hal.zigbee.network_ownership import NetworkPhase, NetworkSettings
from hal.zigbee.options import NETWORK_FILE, SENSORS_FILE, STICK_FILE
from hal.zigbee.radio_state import DeviceRecord, DeviceTable, NetworkSnapshot, RadioFiles, StickSnapshot, load_devices

NOW = Now("boot", 5000, 1_774_785_600_000)
ADDED = "added_by_a_newer_release"
OPEN_MAPS = frozenset(
    {
        "sensors",
        "zones",
        "schedules",
        "beliefs",
        "pending",
        "made_on",
        "unknown",
        "payload",
        "promises",
        "ranks",
        "binary",
        "exercised_utc_ms",
        "restarts",
    }
)
"""Members whose keys are data, so that a newer release has nothing to add there."""


def added_to(value: object, name: str = "") -> object:
    """Return a JSON value in which each object has a member more."""
    if isinstance(value, list):
        return [added_to(each) for each in value]
    if not isinstance(value, dict):
        return value
    more = {} if name in OPEN_MAPS else {ADDED: {"deep": [1]}}
    return {key: added_to(each, key) for key, each in value.items()} | more


# One of each file, filled so that no object in it is missing.

WEEK = Schedule("week", (Block("Day", "06:00", "22:00", 21.0, 26.0), Block("Night", "22:00", "06:00", 18.0, 27.0)))
CLIMATE = ClimateSnapshot(
    "boot",
    4000,
    {"living": ZoneSnapshot(ZoneProgram(schedules={"week": WEEK}, schedule="week",
                                holds=(Hold("h", heat_setpoint_c=22.0),),
                                last=LastScheduledBlock(Setpoints(21.0, 26.0), "Day", ("hall",))),
                        relay=ShortCycleState(False, 1, (1,)))},
    ShortCycleState(False, 1), ShortCycleState(False, 2), ShortCycleState(False, 3),
    {"hall": ValidationState(20.5, 3000)},
)  # fmt: skip
SETTINGS = SettingsDocument(DeviceSettings(600, location=Location(52.5, 13.4)), {"timezone": "Europe/Berlin"}, "c-1",
                            {"timezone": "a" * 64})  # fmt: skip
KEYRING = Keyring(("aa" * 32,), ("bb" * 8,), 2)
UPDATE = UpdateRecord(
    UpdateState.DOWNLOADING, Offer("2.0.0", "ab" * 32, 5), reports=(StatusReport("2.0.0", "downloading", 10),),
    refusals=(RefusedOffer("1.9.0", "", "damaged", "facts"),), is_paused=True,
    keyring=KEYRING, downloads_utc_ms=(1_774_785_600_000,),
)  # fmt: skip
PAIRING = PairingState(
    {"T1": Sensor("T1", PairingStage.REGISTERED, sensor_id="s-1", kinds=(SensorKind.TEMPERATURE,))},
    JoinWindow("boot", 9000),
)
MODE = Mode((3.6, 0.1), (0.1, 0.0, 0.2))
DRIFT = Drift(
    30, MODE.state, MODE.covariance, 1.1, 0.2, (Sign(0.1, 1.2, 0.2, 0.3),), (3.6,), 0.1, 40.0, 5, 6, MODE, 0.4
)
PIPE_DRIFT = machine_drift.Drift((machine_drift.Baseline(2, (3.6,), 0.9),), 1.5, 5, ((0.1, 1.2),), ((3.5, 3.6),), 6)
MAINTENANCE = maintenance.MaintenanceFile(
    {"living": ZoneRecord((("hall", "0x1"),), DayInProgress(began_utc_ms=1), DRIFT, DRIFT, is_outdoor_missing=True,
                          warmth_curve=bytes(12), run_time_curve=bytes(24),
                          pipes=PipeRecord(("s", "r"), 1, Steady(60.0, 1.0, 50.0, 41.0),
                                           (PipeBandDay(PipeChannel.SPREAD, 7, 3, -1.5),),
                                           drifts=(PipeDrift(PipeIndicator.SPREAD, PIPE_DRIFT, 0.3),)))},
    {"living/warmth": 8},
)  # fmt: skip
ALERTS = AlertState(
    (Alert("alt_1", "living", "warmth", "less heat", "31 % more", "check", 0.9, 7, 6, 8, "anna"),),
    (Mute("living", "warmth", 0.2),),
    (Answer("living", "warmth", Verdict.SERVICED, "new filter", "anna", 8, 0.9, "31 % more", (1.0, 2.0), 6),),
)
MACHINE_DRIFT = machine_drift.Drift((machine_drift.Baseline(2, (3.6,), 0.9),), 1.5, 5, ((0.1, 1.2),), ((3.5, 3.6),), 6)
MACHINES = machine_watch.MachineFile(
    (MachineRecord("living", "c", 1, 2, 3, 50.0, (BandDay(Channel.CURRENT, 7, 1, 1, (1.5,)),),
                   (MachineDrift(MachineIndicator.CURRENT, MACHINE_DRIFT, 0.3),)),),
    {"living/current": 8},
)  # fmt: skip
ACCOUNT = launcher.LauncherState(
    good="a", trial="b", trial_version="3.0.0", trial_sequence=3, tries_left=1, digest_a="aa", digest_b="bb",
    failed=launcher.FailedRelease("1.0.0", 1, "sick", is_damaged=True), floor=2,
)  # fmt: skip
NETWORK = NetworkSnapshot(NetworkPhase.FORMED, NetworkSettings("00" * 8, "11" * 8, "22" * 16, 7, 15))
SENSORS = DeviceTable(
    "boot",
    (DeviceRecord("0x" + "0" * 16, 5, kinds=(SensorKind.TEMPERATURE,), binary={"of a newer release": True}),),
    ("0x" + "1" * 16,),
)


class Clock:
    boot_id = "boot"

    def monotonic_ms(self) -> int:
        return 5000

    def utc_ms(self) -> int | None:
        return NOW.utc_ms


class Outputs:
    zones = (ZoneOutput("living"),)

    async def apply(self, demand: HvacDemand) -> None:
        """Nothing."""


def read_climate(directory: Path) -> object:
    service = ClimateService(
        directory,
        settings=ClimateSettings(
            zones=(ZoneSettings(zone_id="living", sensors=(("living", 1.0),)),),
            heat_source=HeatSourceSettings(kind=HeatSourceKind.BOILER),
        ),
        outputs=Outputs(), readings=dict, timezone=lambda: "UTC", clock=Clock(), disk=Disk(), worker=InlineWorker(),
    )  # fmt: skip
    return service.control.zones["living"].program


def read_settings(directory: Path) -> object:
    # The client is not asked while the file is read.
    read = sync.SettingsSync(
        directory, disk=Disk(), worker=InlineWorker(), client=cast("SettingsClient", None), poll_interval_s=1.0,
        rng=random.Random(1),
    )  # fmt: skip
    return read._saved


async def read_maintenance(directory: Path) -> object:
    watched = maintenance.MaintenanceService(
        directory, evidence=tuple, models={}, alerts=maintenance_alerts(directory),
        clock=Clock(), disk=Disk(), worker=InlineWorker(),
    )  # fmt: skip
    await watched._store.load_patiently()
    return watched._store.value


def maintenance_alerts(directory: Path) -> alert_service.MaintenanceAlerts:
    return alert_service.MaintenanceAlerts(
        directory, clock=Clock(), disk=Disk(), worker=InlineWorker(), new_id=str, add_fault=print, remove_fault=print
    )


async def read_alerts(directory: Path) -> object:
    alerts = maintenance_alerts(directory)
    await alerts.load()
    return alerts.state


async def read_machines(directory: Path) -> object:
    watch = machine_watch.MachineWatch(
        directory, states=dict, models={}, clock=Clock(), disk=Disk(), worker=InlineWorker()
    )
    await watch.load()
    return watch._store.value


async def read_update(directory: Path) -> object:
    store = update_store.UpdateStore(directory, disk=Disk(), worker=InlineWorker())
    await store.load()
    return store.record


def read_keyring(directory: Path) -> object:
    keys = keyring.TrustStore(directory, directory, Disk())
    keys.load(Keyring(), None)
    return keys.keyring


def store_of(directory: Path) -> StateFiles:
    return StateFiles(directory, Disk(), bytes_max=2**20)


DOCUMENTS: dict[str, tuple[bytes, object, Callable[[Path], object]]] = {
    CLIMATE_FILE: (msgspec.json.encode(CLIMATE), CLIMATE.zones["living"].program, read_climate),
    sync.FILE_NAME: (msgspec.json.encode(SETTINGS), SETTINGS, read_settings),
    update_store.FILE_NAME: (msgspec.json.encode(UPDATE), UPDATE, read_update),
    pairing_store.FILE_NAME: (
        msgspec.json.encode({"version": pairing_store.VERSION, "sensors": PAIRING.sensors, "window": PAIRING.window}),
        PAIRING,
        lambda directory: pairing_store.PairingStore(directory, disk=Disk(), worker=InlineWorker()).state,
    ),
    factory_reset.FILE_NAME: (
        msgspec.json.encode(FactoryResetState(("ab",), is_erased=False)),
        FactoryResetState(("ab",), is_erased=False),
        lambda directory: factory_reset.read(directory, Disk()),
    ),
    machine_watch.FILE_NAME: (msgspec.json.encode(MACHINES), MACHINES, read_machines),
    maintenance.FILE_NAME: (msgspec.json.encode(MAINTENANCE), MAINTENANCE, read_maintenance),
    alert_service.FILE_NAME: (msgspec.json.encode(ALERTS), ALERTS, read_alerts),
    keyring.FILE_NAME: (msgspec.json.encode(KEYRING), KEYRING, read_keyring),
    launcher.STATE_FILE: (launcher.encode(ACCOUNT), ACCOUNT, launcher.load),
    NETWORK_FILE: (radio_state.encode(NETWORK), NETWORK, lambda directory: RadioFiles(store_of(directory)).network()),
    STICK_FILE: (
        radio_state.encode(StickSnapshot("print")),
        StickSnapshot("print"),
        lambda directory: RadioFiles(store_of(directory)).stick(),
    ),
    SENSORS_FILE: (radio_state.encode(SENSORS), SENSORS, lambda directory: load_devices(store_of(directory), "boot")),
}


async def read_by(read: Callable[[Path], object], directory: Path) -> object:
    found = read(directory)
    return await found if isinstance(found, Awaitable) else found


@pytest.mark.parametrize("is_newer", [False, True], ids=["own", "of a newer release"])
@pytest.mark.parametrize("name", DOCUMENTS)
async def test_a_document_is_read_whatever_a_newer_release_has_added(
    tmp_path: Path, name: str, *, is_newer: bool
) -> None:
    data, content, read = DOCUMENTS[name]
    document: Any = json.loads(data)
    (tmp_path / name).write_text(json.dumps(added_to(document) if is_newer else document))
    assert await read_by(read, tmp_path) == content
    assert set(os.listdir(tmp_path)) <= {name, f"{name}.copy", f"{name}.made"}  # noqa: PTH208 - nothing was put aside


def test_a_misspelt_field_in_an_order_is_refused_all_the_same() -> None:
    order = msgspec.json.encode(PutScheduleRequest(WEEK))
    assert requests.decode(order) == PutScheduleRequest(WEEK)
    for misspelt in (
        order.replace(b'"label"', b'"days_":[],"label"', 1),
        order.replace(b'"blocks"', b'"block":[],"blocks"'),
        order.replace(b'"schedule"', b'"followed":true,"schedule"'),
    ):
        with pytest.raises(msgspec.ValidationError, match="unknown field"):
            requests.decode(misspelt)


# Databases.


def grow(path: Path) -> None:
    """Do to a database what a newer release of the same schema version may: more columns with defaults, one table."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {ADDED} TEXT NOT NULL DEFAULT 'x'")
        connection.execute(f"CREATE TABLE {ADDED} (id INTEGER PRIMARY KEY, body TEXT)")
        connection.execute(f"INSERT INTO {ADDED} VALUES (1, 'x')")
        if "commands" in tables:
            for seq, record in connection.execute("SELECT seq, record FROM commands").fetchall():
                grown = json.dumps(added_to(json.loads(record)))
                connection.execute("UPDATE commands SET record = ? WHERE seq = ?", (grown, seq))
        connection.commit()


async def open_outbox(directory: Path, *, used_bytes_max: int = 2**30) -> tuple[SqliteOutbox, Path | None]:
    limits = OutboxLimits(used_bytes_max=used_bytes_max, disk_free_bytes_min=0, dead_letters_max=9)
    return await store.open_outbox(directory, boot_id="boot", limits=limits, worker=InlineWorker(), disk=Disk())


async def fill(outbox: SqliteOutbox, first_ms: int) -> None:
    """Go through everything that writes: readings of the hub and a held one, an anchor, a dead letter, a gap."""
    kind = SensorKind.TEMPERATURE
    await outbox.anchor(now_ms=first_ms, utc_ms=1_774_785_600_000 + 2 * first_ms)
    await outbox.append([Reading(HUB, "t", kind, 20.0, first_ms + n) for n in range(3)], is_registered=lambda _: True)
    await outbox.append([Reading(f"T{first_ms}", "t", kind, 20.0, first_ms)], is_registered=lambda _: False)
    (item,) = await outbox.claim(Lane.FRESH, 1)
    await outbox.move_to_dead_letters(item, "refused")
    await outbox.drop_unregistered(f"T{first_ms}")
    await outbox.maintain()


async def test_an_outbox_that_a_newer_release_has_grown_works_on(tmp_path: Path) -> None:
    outbox, _ = await open_outbox(tmp_path)
    await fill(outbox, 1000)
    await outbox.close()
    grow(tmp_path / store.FILE_NAME)
    outbox, aside = await open_outbox(tmp_path)
    assert aside is None
    await fill(outbox, 900_000)
    assert len(await outbox.dead_letters()) == 2
    assert sum(gap.lost for gap in await outbox.gaps()) == 2
    assert outbox.stats().dead_letters == 2
    assert len(await outbox.claim(Lane.BACKLOG, 10)) == 3
    await outbox.close()


async def open_journal(directory: Path) -> tuple[journal.CommandJournal, Path | None]:
    return await journal.open_journal(directory, pending_commands_max=9, worker=InlineWorker(), disk=Disk())


async def test_a_journal_that_a_newer_release_has_grown_works_on(tmp_path: Path) -> None:
    commands, _ = await open_journal(tmp_path)
    await commands.add([IncomingCommand("c-1", "reboot", {"delay": 1}, None, "")], NOW)
    (before,) = commands.open_commands()
    await commands.close()
    grow(tmp_path / journal.FILE_NAME)
    commands, aside = await open_journal(tmp_path)
    assert aside is None
    kept = msgspec.structs.replace(commands.open_commands()[0], payload=before.payload)
    assert kept == before
    assert (
        await commands.add(
            [IncomingCommand("c-1", "reboot", {}, None, ""), IncomingCommand("c-2", "reboot", {}, None, "")], NOW
        )
        == 1
    )
    assert [each.command_id for each in await commands.recent()] == ["c-2", "c-1"]
    await commands.close()


@pytest.mark.parametrize(("name", "opened"), [(store.FILE_NAME, open_outbox), (journal.FILE_NAME, open_journal)])
async def test_a_database_of_a_higher_schema_version_is_put_aside_whole(
    tmp_path: Path,
    name: str,
    opened: Callable[[Path], Awaitable[tuple[SqliteOutbox | journal.CommandJournal, Path | None]]],
) -> None:
    store, _ = await opened(tmp_path)
    await store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / name)) as connection:
        connection.execute(f"CREATE TABLE {ADDED} (body TEXT)")
        connection.execute(f"INSERT INTO {ADDED} VALUES ('precious')")
        connection.execute("PRAGMA user_version = 99")
        connection.commit()
    store, aside = await opened(tmp_path)
    assert aside == tmp_path / f"{name}.corrupt-1"
    with contextlib.closing(sqlite3.connect(aside)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)
        assert connection.execute(f"SELECT body FROM {ADDED}").fetchall() == [("precious",)]
    await store.close()
