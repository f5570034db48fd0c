"""Whatever lies in the state directory, and whatever the disk does: the hub starts, heats, and says what is missing.

Each file with three damages on disks that work and do not, and a part of the rest (marked slow); `make soak` does all.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import app, config, daemon, environment
from agent.climate import service
from agent.climate.model import Block, Schedule, ZoneProgram
from agent.commands import factory_reset
from agent.commands.payloads import IncomingCommand
from agent.foundation import durable_file
from agent.foundation.clock import SystemClock
from agent.foundation.disk import Disk, allow_operation
from agent.foundation.shutdown import StopDeadline
from agent.foundation.simulated_boots import FILE_NAME as BOOTS_NAME
from agent.foundation.simulated_boots import SimulatedBoots
from agent.foundation.state_files import StateFiles
from agent.local.routes import Caller, Role
from agent.ota import launcher
from agent.ota.keyring import Keyring, TrustStore
from agent.pairing.lifecycle import PairingRecord, PairingStage, PairingState
from agent.reloading import ReloadableConfig
from hal.interface import HvacAction, HvacDemand, SensorKind, ZoneOutput
from hal.zigbee import radio_state
from hal.zigbee.network_ownership import NetworkPhase, NetworkSettings
from hal.zigbee.options import FILE_BYTES_MAX, NETWORK_FILE, SENSORS_FILE, STICK_FILE
from hal.zigbee.radio_state import load_devices
from tests.integration.conftest import KEY, WAIT_S, TestNetwork, TestSensor, until
from tests.integration.damage import DAMAGES, DISKS, FAILED_READS, FILES, BadDisk, break_reads

WARM = ZoneProgram(
    schedules={
        "week": Schedule("week", (Block("Day", "06:00", "22:00", 27.0, 29.0), Block("N", "22:00", "06:00", 26.0, 29.0)))
    },
    schedule="week",
)
"""What the zone was told: a default of 20 °C would be lost comfort."""

TECHNICIAN = Caller("session 1", Role.OWNER, "127.0.0.1")

HANG_S = 300
"""No start takes as long, however slow the machine; a read that waits for a pipe would for ever."""


class Relays:
    """What they were told last."""

    zones = (ZoneOutput("living"),)

    def __init__(self) -> None:
        self.demand = HvacDemand()

    async def apply(self, demand: HvacDemand) -> None:
        self.demand = demand

    @property
    def heats(self) -> bool:
        return self.demand.zones.get("living") is HvacAction.HEAT


class Board:
    """A cold room and its relay."""

    name = "sim"

    def __init__(self) -> None:
        self.sensors = [TestSensor("T1", SensorKind.TEMPERATURE, lambda: 15.0)]
        self.network = TestNetwork("far")
        self.outputs = Relays()

    async def close(self) -> None:
        """Nothing to close."""


class Life:
    """One life of a hub in this process, the way the daemon makes it."""

    def __init__(self, directory: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
        key_file = directory / "key"
        key_file.write_text(KEY)
        key_file.chmod(0o600)
        (directory / "hub.toml").write_text(
            '[cloud]\nbase_url = "http://127.0.0.1:9"\napi_key_file = "key"\n'
            "[port]\nlisten = []\n"
            '[storage]\nstate_dir = "state"\nrun_dir = "run"\ncommit_interval_s = 0.1\n'
            '[clock]\ntrust = "system"\n[climate]\nrelay_min_on_s = 0\nrelay_min_off_s = 0\n'
            'zones = [{ id = "living", sensors = ["T1"] }]\n'
        )
        self.board = Board()
        self.hubs: list[app.Hub] = []
        restarts = self

        class Hub(app.Hub):
            def __init__(self, *arguments: Any) -> None:  # noqa: ANN401
                super().__init__(*arguments)
                restarts.hubs.append(self)

        monkeypatch.setattr(app, "Hub", Hub)
        monkeypatch.setattr(environment, "make_board", lambda *_: self.board)
        settings = config.load(directory / "hub.toml", environ={})
        monkeypatch.setattr(daemon, "Disk", lambda: disk)
        # Ends the process where a stop takes too long; this one is pytest's.
        monkeypatch.setattr(StopDeadline, "start", lambda _: None)
        daemon._make_directories(settings.storage.state_dir, settings.storage.run_dir)
        self._restarts = daemon._Restarts(
            ReloadableConfig(directory / "hub.toml", settings, {}), {launcher.VERSION_VARIABLE: "1"}
        )
        self._task = asyncio.get_running_loop().create_task(self._restarts.run())

    @property
    def hub(self) -> app.Hub:
        return self.hubs[-1]

    async def heats(self) -> None:
        await until(lambda: self._task.done() or self.board.outputs.heats)
        assert not self._task.done(), "the hub has ended"

    def said(self) -> str:
        """All that a technician is shown."""
        hub, climate = self.hub, self.hub.climate
        status = hub.status()
        return "\n".join(
            [
                *(fault.text for fault in status.faults),
                *status.settings.problems,
                status.outbox.problem,
                climate.file_problem if climate else "",
                hub.commands.problem,
            ]
        )

    def program(self) -> ZoneProgram:
        assert self.hub.climate is not None
        return self.hub.climate.control.zones["living"].program

    async def end(self) -> None:
        self._restarts.stop()
        async with asyncio.timeout(WAIT_S):
            await self._task


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what waits for minutes wait for less."""
    monkeypatch.setattr(service, "DECISION_INTERVAL_S", 0.01)
    monkeypatch.setattr(service, "SNAPSHOT_DELAY_S", 0.0)
    monkeypatch.setattr(durable_file, "READ_RETRY_S", 0.02)
    for module in (
        "agent.telemetry.service.OUTBOX_RETRY_S",
        "agent.commands.service.RETRY_S",
        "agent.ota.workflow.RETRY_S",
    ):
        monkeypatch.setattr(module, 0.05)


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """Interrupt a call that hangs."""

    def hangs(*_: object) -> None:
        raise AssertionError("something hangs")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(HANG_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory whose state a hub has filled."""
    directory: Path = tmp_path_factory.mktemp("used")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(service, "DECISION_INTERVAL_S", 0.01)
        monkeypatch.setattr(service, "SNAPSHOT_DELAY_S", 0.0)
        asyncio.run(_fill(directory, monkeypatch))
    for name in FILES:
        assert (directory / "state" / name).is_file(), name
    return directory


async def _fill(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, disk = directory / "state", Disk()
    state.mkdir()
    factory_reset.bar_key(state, disk, "cs_dev_" + "0" * 32)
    factory_reset.finish_erasing(state, disk, key_file=None, outlives=environment.OUTLIVES_RESET)
    launcher.store(state, launcher.LauncherState(floor=7), lambda *_: None)
    SimulatedBoots(state / BOOTS_NAME, SystemClock(trust_wall_clock=True), disk).boot()
    files = StateFiles(state, disk, bytes_max=FILE_BYTES_MAX)
    network = radio_state.NetworkSnapshot(NetworkPhase.FORMED, NetworkSettings("00" * 8, "11" * 8, "22" * 16, 7, 15))
    files.write(NETWORK_FILE, radio_state.encode(network), is_secret=True)
    files.write(
        SENSORS_FILE, radio_state.encode(radio_state.DeviceTable("boot", removed=("0x" + "1" * 16,))), is_secret=False
    )
    files.write(STICK_FILE, radio_state.encode(radio_state.StickSnapshot("fingerprint")), is_secret=False)
    keys = TrustStore(state, directory, disk)
    keys.load(Keyring(), None)
    keys.raise_floor(7)
    life = Life(directory, disk, monkeypatch)
    await life.heats()
    hub = life.hub
    assert hub.climate is not None
    assert hub.updates is not None
    hub.climate.set_program("living", WARM)
    await hub.settings.change({"reporting_interval_seconds": 600})
    await hub.pairing._store.commit(
        lambda _: PairingState({"far": PairingRecord("far", PairingStage.RELAYING, name="attic", sensor_id="s-1")})
    )
    await until(lambda: hub.commands.journal and hub.telemetry.outbox and hub.telemetry.outbox.stats().committed)
    assert hub.commands.journal is not None
    await hub.commands.journal.add(
        [IncomingCommand("c-1", "reboot", {"delay_seconds": 600}, None, "")], hub.commands._now()
    )
    await until(lambda: (state / "climate.json").exists() and b"27.0" in (state / "climate.json").read_bytes())
    await hub.updates.set_paused(is_paused=True)
    await hub.port.credentials.make_code(Role.OWNER)
    hub.port.audit.record(TECHNICIAN, "filled", "", "200")
    await life.end()


CASES = [(name, damage, disk) for name in FILES for damage in DAMAGES for disk in DISKS]
STRIDE = int(os.environ.get("CLIMAHUB_STRIDE", "9"))
"""Every so many of the rest only: all of them take minutes (`CLIMAHUB_STRIDE=1`, which `make soak` sets)."""
QUICK = [
    (name, list(DAMAGES)[(5 * number + 3 * turn) % len(DAMAGES)], list(DISKS)[(number + turn) % len(DISKS)])
    for number, name in enumerate(FILES)
    for turn in range(3)
]
"""Each file with three damages, each damage with some files, on all disks by turns."""


UNMISSED = {
    *((name, damage) for name in ("simulated-boots.json",) for damage in ("missing", "flipped")),
    ("audit.db", "missing"),
}
"""A count without a checksum, for boards without hardware; and a trail of which nothing is left to miss."""


def read_as_radio(files: StateFiles) -> None:
    load_devices(files, "boot")
    for name in (NETWORK_FILE, STICK_FILE):
        with contextlib.suppress(OSError):
            files.read(name)


async def judge(
    directory: Path,
    template: Path,
    case: tuple[str, str, str],
    monkeypatch: pytest.MonkeyPatch,
    log: pytest.LogCaptureFixture,
) -> None:
    """Start a hub on a damaged copy of a used directory; it heats, and says what is the matter."""
    name, damage, disk_name = case
    shutil.copytree(template / "state", directory / "state")
    DAMAGES[damage](directory / "state" / name)
    disk = BadDisk(DISKS[disk_name], {name: FAILED_READS.get(damage, 0)})
    break_reads(disk, monkeypatch)
    life = Life(directory, disk, monkeypatch)
    try:
        await life.heats()
        if name.startswith("zigbee"):
            # What the radio does with them, it does on a thread of its own, once there is a stick.
            await asyncio.to_thread(read_as_radio, StateFiles(directory / "state", disk, bytes_max=FILE_BYTES_MAX))
        life.hub.port.audit.record(TECHNICIAN, "judged", "", "200")
        if (name, damage) not in UNMISSED:
            await until(lambda: name in life.said() or name in log.text)
        assert life.program().schedules == WARM.schedules
        if disk_name != "running":
            await until(lambda: "climate.json" in life.said())
        assert "failed and is restarted" not in log.text, log.text
    finally:
        disk.on_operation = allow_operation
        await life.end()


@pytest.mark.parametrize("case", QUICK, ids="-".join)
async def test_hub_heats_and_reports_each_damaged_file(
    tmp_path: Path,
    template: Path,
    case: tuple[str, str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await judge(tmp_path, template, case, monkeypatch, caplog)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case not in QUICK][::STRIDE], ids="-".join)
async def test_hub_heats_with_any_damage_of_its_files(
    tmp_path: Path,
    template: Path,
    case: tuple[str, str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await judge(tmp_path, template, case, monkeypatch, caplog)
