"""A state directory that release 0.1.0 has filled opens without loss (tests/data/state_of_0_1_0/README.md)."""

import contextlib
import json
import logging
import shutil
import sqlite3
from pathlib import Path

import pytest

from agent.climate import service
from agent.climate.model import Mode
from agent.commands import factory_reset, reboot
from agent.commands.lifecycle import CommandState
from agent.foundation.clock_sources import ClockMemory
from agent.foundation.disk import Disk
from agent.foundation.exit_cause import ExitCause
from agent.foundation.simulated_boots import FILE_NAME as BOOTS_NAME
from agent.foundation.simulated_boots import SimulatedBoots
from agent.foundation.start_history import StartHistory
from agent.foundation.state_files import StateFiles
from agent.foundation.time_estimate import TimeSource
from agent.foundation.worker import InlineWorker
from agent.ota import launcher
from agent.ota.keyring import Keyring, TrustStore
from agent.ota.lifecycle import UpdateState
from agent.ota.store import UpdateStore
from agent.pairing.lifecycle import PairingStage
from hal.interface import HvacDemand, SensorKind, ZoneOutput
from hal.zigbee import radio_state
from hal.zigbee.network_ownership import NetworkPhase
from hal.zigbee.options import DATABASE_FILE, FILE_BYTES_MAX, NETWORK_FILE, SENSORS_FILE, STICK_FILE
from tests.integration.conftest import HubClock, MakeHub, TestNetwork, TestSensor, until

DATA = Path(__file__).parents[1] / "data" / "state_of_0_1_0"
WRITTEN_UTC_MS = 1_795_880_000_000
"""Shortly after it was written: tombstones, holds and commands end some time."""

PENDING, UNREGISTERED, DEAD_LETTERS_IAQ = 84, 33, [29.0, 30.0]
"""Readings that wait, how many of them are of the sensor without an identity, and the dead letters."""

COMMANDS = {
    "c-config": CommandState.ACKED,
    "c-diagnostics": CommandState.ACKED,
    "c-unknown": CommandState.ACKED,
    "c-reboot": CommandState.ACKED,
    "c-second": CommandState.DONE,
    "c-third": CommandState.DONE,
    "c-long": CommandState.EXECUTING,
    "c-reset": CommandState.RECEIVED,
}
SETTLED = {name for name, state in COMMANDS.items() if state is CommandState.ACKED}

BEDROOM, ATTIC = "0x000d6fb6e20fc614", "0x000d6f64829323e7"
CLIMATE = """[climate]
zones = [{ id = "living", sensors = ["sim/temperature"] }, { id = "bedroom", sensors = ["bedroom"] }]
"""


class Relays:
    """The outputs of the two zones; nothing is looked at."""

    zones = (ZoneOutput("living"), ZoneOutput("bedroom"))

    async def apply(self, demand: HvacDemand) -> None:
        """Do nothing."""


@pytest.fixture
def state(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Path:
    """Return a copy of the state directory."""
    caplog.set_level(logging.INFO)
    return Path(shutil.copytree(DATA / "state", tmp_path / "state"))


def assert_unharmed(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each file that was there is there, none was put aside, and nobody complained of one."""
    names = {path.name for path in state.iterdir()}
    assert {path.name for path in (DATA / "state").iterdir()} <= names
    assert not [name for name in names if "corrupt" in name]
    complaints = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert not [text for text in complaints if any(name in text for name in names)]


async def test_hub_opens_the_state_of_0_1_0(
    tmp_path: Path,
    state: Path,
    make_hub: MakeHub,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(service, "DECISION_INTERVAL_S", 0.01)
    monkeypatch.setattr("tests.integration.conftest.TestBoard.outputs", Relays())
    clock = HubClock()
    clock.off_ms = WRITTEN_UTC_MS - (clock.utc_ms() or 0)
    sensor = TestSensor("sim/temperature", SensorKind.TEMPERATURE, lambda: 19.0)
    running = make_hub(
        "http://127.0.0.1:9",
        sensors=[sensor],
        network=TestNetwork(BEDROOM, ATTIC),
        config_text=CLIMATE,
        clock=clock,
    )
    assert running.hub.config.storage.state_dir == state
    running.start()
    hub = running.hub
    await until(lambda: hub.telemetry.outbox and hub.commands.journal and hub.climate)

    assert hub.telemetry.outbox is not None
    stats = hub.telemetry.outbox.stats()
    assert stats.pending - len(running.committed) == PENDING
    assert (stats.unregistered, stats.unanchored, stats.dropped, stats.downsampled) == (UNREGISTERED, 0, 0, 0)
    assert [letter.value for letter in await hub.telemetry.outbox.dead_letters()] == DEAD_LETTERS_IAQ

    assert hub.commands.journal is not None
    commands = {record.command_id: record.state for record in await hub.commands.journal.recent()}
    assert commands.keys() == COMMANDS.keys()
    assert {name: commands[name] for name in SETTLED} == {name: COMMANDS[name] for name in SETTLED}
    assert {record.command_id for record in hub.commands.journal.open_commands()} == COMMANDS.keys() - SETTLED

    assert hub.climate is not None
    living, bedroom = (hub.climate.control.zones[zone].program for zone in ("living", "bedroom"))
    assert (living.mode, living.schedule, [hold.id for hold in living.holds]) == (Mode.AUTO, "week", ["holiday"])
    assert [block.heat_setpoint_c for block in living.schedules["week"].blocks] == [21.0, 17.0]
    assert (living.setpoints.heat_setpoint_c, living.eco.is_enabled, living.eco.heat_limit_c) == (20.5, True, 19.0)
    assert [(hold.id, hold.heat_setpoint_c) for hold in bedroom.holds] == [("guests", 19.0)]

    settings = hub.settings.current
    assert (settings.reporting_interval_seconds, settings.timezone) == (120, "Europe/Berlin")
    sensors = hub.pairing.queries.state.sensors
    assert {device: (record.stage, record.name) for device, record in sensors.items()} == {
        BEDROOM: (PairingStage.RELAYING, "bedroom"),
        ATTIC: (PairingStage.KEYED, "attic"),
    }
    assert sensors[BEDROOM].sensor_id == "00000000-0000-4000-8000-000000000002"
    assert sensors[ATTIC].key.startswith("cs_dev_")

    problems = [fault.text for fault in hub.status().faults]
    problems += [*hub.settings.problems, hub.commands.problem, hub.climate.file_problem]
    assert not [text for text in problems if text]
    await running.end()
    assert_unharmed(state, caplog)


async def test_update_record_is_kept(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    account, problem = launcher.load_with_problem(state)
    assert (account.good, account.floor, account.failed.version, problem) == ("base", 7, "0.2.0", "")
    store = UpdateStore(state, disk=Disk(), worker=InlineWorker())
    assert await store.load() == ""
    assert (store.record.state, store.record.offer.version) == (UpdateState.DOWNLOADING, "0.3.0")
    assert (store.record.is_paused, len(store.record.reports), len(store.record.downloads_utc_ms)) == (True, 3, 1)
    assert [refusal.version for refusal in store.record.refusals] == ["0.2.0"]
    keys = TrustStore(state, state.parent / "update-keys", Disk())
    assert keys.load(Keyring(), None) == ""
    assert (len(keys.keyring.added), keys.keyring.revoked, keys.keyring.floor) == (2, ("b62e867fa2f33afe",), 7)
    assert keys.keyring == store.record.keyring
    assert_unharmed(state, caplog)


def test_histories_and_barred_keys_are_kept(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock, disk = HubClock(), Disk()
    starts = StartHistory(state, state, disk=disk, clock=clock, version="1.0.0", boot_reason=lambda: "")
    starts.begin()
    assert [start.end for start in starts.records] == [ExitCause.KILLED, ExitCause.STOPPED, ExitCause.RUNNING]
    SimulatedBoots(state / BOOTS_NAME, clock, disk).boot()
    assert json.loads((state / BOOTS_NAME).read_bytes())["number"] == 2
    asked = json.loads((state / reboot.FILE_NAME).read_bytes())
    assert [each["command_id"] for each in asked] == ["c-reboot"]
    barred = factory_reset.read(state, disk)
    assert factory_reset.is_barred(barred, "cs_dev_" + "0" * 32)
    assert not factory_reset.is_barred(barred, "cs_dev_" + "1" * 32)
    known = ClockMemory(DATA / "run" / "clock", "a-boot").read()
    assert known is not None
    assert (known[0], known[1].source, known[1].utc_ms) == (1000, TimeSource.NTP, 1_790_000_061_000)
    assert_unharmed(state, caplog)


def test_radio_network_and_sensors_are_kept(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = StateFiles(state, Disk(), bytes_max=FILE_BYTES_MAX)
    network = radio_state.decode_network(files.read(NETWORK_FILE))
    assert network is not None
    assert (network.phase, network.settings.channel) == (NetworkPhase.FORMED, 15)
    assert len(network.backups) >= 1
    sensors = radio_state.decode_devices(files.read(SENSORS_FILE), "boot")
    assert {sensor.ieee for sensor in sensors.sensors} == {BEDROOM, ATTIC}
    assert all(sensor.is_interviewed and sensor.kinds for sensor in sensors.sensors)
    assert radio_state.decode_stick(files.read(STICK_FILE)) != radio_state.decode_stick(None)
    with contextlib.closing(sqlite3.connect(state / DATABASE_FILE)) as connection:
        assert connection.execute("SELECT count(*) FROM devices_v16").fetchone() == (3,)
    assert_unharmed(state, caplog)
