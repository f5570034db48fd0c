"""RAUC over D-Bus: the real service on a private bus, with slots that are files and a boot loader that is a script."""

import asyncio
import gc
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hal.errors import ImageRefused, InstallerLost
from hal.images import SlotMark, SlotSelector
from hal.linux.rauc import Rauc
from tests.integration.conftest import WAIT_S

from .rauc_bench import COMPATIBLE, RaucMachine, skip_reason

CONTENT = bytes(range(256)) * 4096


@pytest.fixture(scope="module", autouse=True)
def _can_be_tried(tmp_path_factory: pytest.TempPathFactory) -> None:
    if why := skip_reason(tmp_path_factory.mktemp("rauc")):
        pytest.skip(why)


@pytest.fixture
def machine(tmp_path: Path, bus: str) -> Iterator[RaucMachine]:
    root = tmp_path / "machine"
    root.mkdir()
    made = RaucMachine(root, bus)
    yield made
    made.stop(signal.SIGKILL)


async def test_a_good_image_is_installed_activated_and_marked_good(machine: RaucMachine) -> None:
    rauc = await machine.start()
    state = await rauc.state()
    assert (state.boot_slot, state.is_installing, state.last_error) == ("A", False, "")
    image = machine.image("3.0.0", content=CONTENT)
    assert await rauc.read_version(image) == "3.0.0"
    percents: list[int] = []
    await rauc.install(image, percents.append)
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert machine.content("B", len(CONTENT)) == CONTENT
    assert machine.boot()["primary"] == "A"
    await rauc.mark(SlotMark.ACTIVE, SlotSelector.OTHER)
    assert machine.boot()["primary"] == "B"
    (other,) = [slot for slot in await rauc.slots() if not slot.is_booted]
    assert (other.bundle_version, other.is_whole) == ("3.0.0", True)

    machine.stop()
    rauc = await machine.start("B")
    assert (await rauc.state()).boot_slot == "B"
    await rauc.mark(SlotMark.BAD, SlotSelector.BOOTED)
    assert machine.boot()["state-B"] == "bad"
    await rauc.mark(SlotMark.GOOD, SlotSelector.BOOTED)
    assert machine.boot()["state-B"] == "good"


@pytest.mark.parametrize(
    ("signer", "compatible", "says"),
    [("stranger", COMPATIBLE, "signature verification failed"), ("trusted", "kettle", "Compatible mismatch")],
    ids=["bad signature", "wrong hardware"],
)
async def test_bad_image_is_refused_with_raucs_message(
    machine: RaucMachine, signer: str, compatible: str, says: str
) -> None:
    rauc = await machine.start()
    image = machine.image("3.0.0", content=CONTENT, signer=signer, compatible=compatible)
    with pytest.raises(ImageRefused, match=says):
        await rauc.install(image, lambda _: None)
    assert says in (await rauc.state()).last_error
    assert machine.content("B", len(CONTENT)) == bytes(len(CONTENT))
    assert machine.boot()["primary"] == "A"


async def test_image_of_an_untrusted_signer_has_no_version(machine: RaucMachine) -> None:
    rauc = await machine.start()
    with pytest.raises(ImageRefused):
        await rauc.read_version(machine.image("3.0.0", content=CONTENT, signer="stranger"))


async def test_image_is_not_inspected_without_rauc(tmp_path: Path, bus: str) -> None:
    with pytest.raises(InstallerLost, match="systemctl status rauc"):
        await Rauc(bus_address=bus).read_version(tmp_path / "image.raucb")


async def test_installation_survives_its_caller_and_another_waits_for_it(machine: RaucMachine) -> None:
    rauc = await machine.start()
    image = machine.image("3.0.0", content=CONTENT)
    await rauc.wait_until_finished(lambda _: None)  # nothing is under way
    gate = machine.shut_gate()
    asked = asyncio.get_running_loop().create_task(rauc.install(image, lambda _: None))
    await machine.at_gate()
    with pytest.raises(InstallerLost, match="already"):
        await rauc.install(image, lambda _: None)
    asked.cancel()
    await asyncio.wait([asked])
    waiting = asyncio.get_running_loop().create_task(rauc.wait_until_finished(lambda _: None))
    gate.unlink()
    async with asyncio.timeout(WAIT_S):
        await waiting
    assert machine.content("B", len(CONTENT)) == CONTENT


async def test_crash_of_rauc_during_installation_is_noticed(machine: RaucMachine) -> None:
    rauc = await machine.start()
    image = machine.image("3.0.0", content=CONTENT)
    gate = machine.shut_gate()
    asked = asyncio.get_running_loop().create_task(rauc.install(image, lambda _: None))
    await machine.at_gate()
    machine.stop(signal.SIGKILL)
    with pytest.raises(InstallerLost, match="during an installation"):
        await asked
    gate.unlink()  # ends the handler that RAUC has left behind


async def test_lost_bus_during_installation_is_noticed(machine: RaucMachine, tmp_path: Path, bus: str) -> None:
    await machine.start()
    image = machine.image("3.0.0", content=CONTENT)
    gate = machine.shut_gate()
    writers: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = bus.partition("unix:path=")[2].partition(",")[0]
        there_reader, there_writer = await asyncio.open_unix_connection(path)
        writers.extend((writer, there_writer))
        await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer))

    async with await asyncio.start_unix_server(relay, tmp_path / "relay"):
        rauc = Rauc(bus_address=f"unix:path={tmp_path}/relay", config_files=[machine.config])
        asked = asyncio.get_running_loop().create_task(rauc.install(image, lambda _: None))
        await machine.at_gate()
        for writer in writers:
            writer.close()
        with pytest.raises(InstallerLost, match=r"bus went away|bus cannot be used"):
            async with asyncio.timeout(WAIT_S):
                await asked
    gate.unlink()
    await Rauc(bus_address=bus, config_files=[machine.config]).wait_until_finished(lambda _: None)


async def test_missing_rauc_is_reported(tmp_path: Path, bus: str) -> None:
    rauc = Rauc(bus_address=bus, config_files=[tmp_path / "system.conf"])
    assert not rauc.is_set_up
    (tmp_path / "system.conf").touch()
    assert rauc.is_set_up
    with pytest.raises(InstallerLost, match="systemctl status rauc"):
        await rauc.state()
    with pytest.raises(InstallerLost, match="is D-Bus running"):
        await Rauc(bus_address=f"unix:path={tmp_path}/nowhere").mark(SlotMark.GOOD, SlotSelector.BOOTED)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # dbus-fast leaves it to the collector to close the socket
async def test_bus_without_access_is_waited_for(closed_bus: str) -> None:
    for address in (closed_bus, "nonsense"):
        with pytest.raises(InstallerLost, match="is D-Bus running"):
            await Rauc(bus_address=address).state()
    await asyncio.sleep(0)
    gc.collect()
