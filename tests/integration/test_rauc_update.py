"""A release that is an image: built and signed by the command, installed by the room through the real RAUC."""

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from agent.cli.root import run
from agent.cloud.client import UpdatesClient
from agent.config import OtaConfig
from agent.foundation.disk import Disk
from agent.foundation.worker import ThreadWorker
from agent.ota import launcher, trial
from agent.ota.context import RunningRelease, UpdateContext
from agent.ota.lifecycle import UpdateState
from agent.ota.service import UpdateService
from hal.images import SlotMark, SlotSelector, SystemUpdater

from .conftest import WAIT_S, until
from .rauc_bench import COMPATIBLE, RaucMachine, skip_reason

CONTENT = bytes(range(256)) * 8192
PIECE_BYTES = 100_000


@pytest.fixture(scope="module", autouse=True)
def _can_be_tried(tmp_path_factory: pytest.TempPathFactory) -> None:
    if why := skip_reason(tmp_path_factory.mktemp("rauc")):
        pytest.skip(why)


class Clock:
    """Of one boot."""

    def __init__(self, boot_id: str) -> None:
        self.boot_id = boot_id

    def monotonic_ms(self) -> int:
        return 0

    def utc_ms(self) -> int | None:
        return None


class Hub:
    """A hub on the machine with the real RAUC: one life after another."""

    def __init__(self, directory: Path, bus: str) -> None:
        for name in ("machine", "state", "keys"):
            (directory / name).mkdir()
        self.directory = directory
        self.machine = RaucMachine(directory / "machine", bus)
        self.is_healthy = True
        self.trial_deadline_s = WAIT_S
        self.reboots: list[str] = []
        self.restarted = asyncio.Event()

    def bundle(self, image: Path) -> Path:
        """Make a release of an image, as an operator does."""
        key, unsigned, signed = (self.directory / name for name in ("release", "unsigned", "signed.bundle"))
        words = ["--sequence", "3", "--model", "hub", "--version", "3.0.0"]
        assert run(["bundle", "keygen", str(key)]) == 0
        assert run(["bundle", "build", "--rauc", str(image), *words, str(unsigned)]) == 0
        assert run(["bundle", "sign", "--key", f"{key}.key", str(unsigned), str(signed)]) == 0
        (self.directory / "keys" / "release.pub").write_bytes(Path(f"{key}.pub").read_bytes())
        return signed

    @contextlib.asynccontextmanager
    async def life(self, version: str, installer: SystemUpdater, boot_id: str) -> AsyncIterator[UpdateService]:
        """Let the agent of a system run."""
        config = OtaConfig(
            keys_dir=self.directory / "keys", allow_unsigned=False, model="hub", check_interval_s=3600.0, spread_s=1.0,
            maintenance_window="02:00-03:00", metered="always", size_bytes_max=2**26, rate_bytes_s_min=1,
            download_deadline_s=60.0, trial_s=0.1, trial_deadline_s=self.trial_deadline_s, trial_starts_max=2,
        )  # fmt: skip
        worker = ThreadWorker("slow")
        machine, python = ("x86_64", "cpython-311")

        async def never(_: object) -> None:
            """The cloud is away: reports wait."""
            await asyncio.Event().wait()

        async def well() -> str:
            return "" if self.is_healthy else "it is sick"

        async def reboot(reason: str) -> None:
            self.reboots.append(reason)

        updates = UpdateService(
            self.directory / "state",
            UpdateContext(
                config=config,
                running=RunningRelease(version, "base", 1, machine, python, self.restarted.set, worker),
                client=cast("UpdatesClient", SimpleNamespace(ready=never)), clock=Clock(boot_id), rng=random.Random(1),
                disk=Disk(), disk_free_bytes_min=0, system_updater=installer,
                checks={"well": well}, fresh_sensors=lambda: 1, is_metered=lambda: False,
                before_reboot=lambda: asyncio.sleep(0), reboot=reboot,
                local_time=lambda: datetime(2026, 1, 1, 12, tzinfo=UTC), add_fault=lambda _: None,
                phase=0.0,
            ),
        )  # fmt: skip
        task = asyncio.get_running_loop().create_task(updates.run())
        await until(lambda: updates.image_installer.boot.slot or task.done())
        yield updates
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        worker.close()


@pytest.fixture
def hub(tmp_path: Path, bus: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(trial, "CHECK_INTERVAL_S", 0.02)
    made = Hub(tmp_path, bus)
    yield made
    made.machine.stop(signal.SIGKILL)


async def pieces(path: Path) -> AsyncIterator[bytes]:
    data = await asyncio.to_thread(path.read_bytes)
    for at in range(0, len(data), PIECE_BYTES):
        yield data[at : at + PIECE_BYTES]


async def installed(hub: Hub, updates: UpdateService, image: Path) -> None:
    """Bring the image on a stick, and wait for the restart of the machine."""
    await updates.install(pieces(hub.bundle(image)))
    await until(lambda: hub.reboots or updates.store.record.state is UpdateState.FAILED)


async def test_a_good_image_becomes_the_system(hub: Hub) -> None:
    rauc = await hub.machine.start("A")
    async with hub.life("1.0.0", rauc, "boot-1") as updates:
        await installed(hub, updates, hub.machine.image("3.0.0", content=CONTENT))
        assert updates.store.record.error == ""
        assert updates.percent == 100
    assert hub.machine.content("B", len(CONTENT)) == CONTENT
    assert hub.machine.boot()["primary"] == "B"
    assert hub.reboots == ["release 3.0.0"]

    hub.machine.stop()
    rauc = await hub.machine.start("B")
    (hub.machine.root / "boot" / "state-B").write_text("tried")
    async with hub.life("3.0.0", rauc, "boot-2") as updates:
        await until(lambda: updates.store.record.state is UpdateState.COMPLETED)
    assert hub.machine.boot()["state-B"] == "good"
    assert launcher.load(hub.directory / "state").floor == 3
    await until(lambda: not list((hub.directory / "state").glob("*.raucb")))


async def test_unhealthy_image_is_rolled_back(hub: Hub) -> None:
    rauc = await hub.machine.start("A")
    async with hub.life("1.0.0", rauc, "boot-1") as updates:
        await installed(hub, updates, hub.machine.image("3.0.0", content=CONTENT))
    hub.machine.stop()
    rauc = await hub.machine.start("B")
    hub.is_healthy, hub.trial_deadline_s = False, 0.3
    async with hub.life("3.0.0", rauc, "boot-2"):
        await until(lambda: len(hub.reboots) == 2)
    assert hub.machine.boot() == {"primary": "A", "state-A": "good", "state-B": "bad"}
    hub.machine.stop()
    rauc = await hub.machine.start("A")
    async with hub.life("1.0.0", rauc, "boot-3") as updates:
        await until(lambda: updates.store.record.state is UpdateState.FAILED)
        assert "it is sick" in updates.store.record.error
        await until(lambda: (SlotMark.GOOD, SlotSelector.BOOTED) in rauc.marks)
    assert launcher.load(hub.directory / "state").floor == 0


@pytest.mark.parametrize(
    ("signer", "compatible", "says"),
    [
        ("stranger", COMPATIBLE, "RAUC does not trust its signature"),
        ("trusted", "kettle", f"it is for 'kettle', and this machine is a '{COMPATIBLE}'"),
    ],
    ids=["bad signature", "wrong hardware"],
)
async def test_refusal_of_rauc_is_explained(hub: Hub, signer: str, compatible: str, says: str) -> None:
    rauc = await hub.machine.start("A")
    async with hub.life("1.0.0", rauc, "boot-1") as updates:
        image = hub.machine.image("3.0.0", content=CONTENT, signer=signer, compatible=compatible)
        await installed(hub, updates, image)
        assert says in updates.store.record.error
        assert [refusal.version for refusal in updates.store.record.refusals] == ["3.0.0"]
    assert hub.reboots == []
    assert hub.machine.content("B", len(CONTENT)) == bytes(len(CONTENT))
    assert hub.machine.boot()["primary"] == "A"
