"""The serial console on a pseudo terminal, at a running hub and beside a dead one."""

import asyncio
import contextlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent import environment
from agent.config.hardware_tables import BoardConfig
from agent.foundation.clock import Clock
from agent.local.routes import Role
from hal.interface import Board
from tests.integration.conftest import WAIT_S, until
from tests.integration.port_rig import PortRig, open_port, radio_board
from tests.integration.serial_cable import Cable, laptop_line, open_console

needs_lrzsz = pytest.mark.skipif(not shutil.which("sz") or not shutil.which("rz"), reason="needs lrzsz")


@contextlib.asynccontextmanager
async def signed_in(
    tmp_path: Path,
    role: Role,
    *,
    cwd: Path | None = None,
    make_board: Callable[[BoardConfig, Clock], Board] = environment.make_board,
) -> AsyncIterator[tuple[PortRig, Cable]]:
    """Run a hub and a console in a directory, and sign in there."""
    async with (
        open_port(tmp_path, make_board=make_board) as rig,
        open_console("--socket", rig.socket, cwd=cwd) as cable,
    ):
        await cable.expect("\ncode: ")
        cable.type(await rig.make_code(role))
        await cable.expect(f"signed in as {role.value}")
        await cable.expect("climahub> ")
        yield rig, cable


async def test_a_person_signs_in_sees_the_state_and_signs_out(tmp_path: Path) -> None:
    async with signed_in(tmp_path, Role.SERVICE) as (port, cable):
        cable.type("status")
        assert "on board sim" in await cable.expect("settings +a report every")
        await cable.expect("climahub> ")
        cable.type("bye")
        await cable.expect("signed out")
        async with port.socket_session() as client, client.get("/v1/access") as response:
            assert (await response.json())["sessions"] == []
        assert cable.process.wait(WAIT_S) == 0


async def test_a_wrong_code_is_refused_and_a_right_one_works_afterwards(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, open_console("--socket", port.socket) as cable:
        code = await port.make_code(Role.VIEWER)
        await cable.expect("\ncode: ")
        cable.type("AAAA-BBBB-CCCC-DDDD")
        await cable.expect("check the code")
        await cable.expect("\ncode: ")
        cable.type(code.lower())
        await cable.expect("signed in as viewer")


async def test_the_hub_checks_the_role_of_each_command(tmp_path: Path) -> None:
    async with signed_in(tmp_path, Role.VIEWER) as (_, cable):
        cable.type("climate set --mode off")
        await cable.expect("viewer may not")
        cable.type("relay list")
        await cable.expect("sign in as service")
        cable.type("port code --new")
        await cable.expect("may not")


async def test_an_owner_makes_a_code_at_the_console(tmp_path: Path) -> None:
    async with signed_in(tmp_path, Role.OWNER) as (_, cable):
        cable.type("port code --role viewer")
        await cable.expect("[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}")


async def test_files_and_other_programs_are_out_of_reach(tmp_path: Path) -> None:
    async with signed_in(tmp_path, Role.OWNER) as (_, cable):
        for line in (
            "status --socket /tmp/other.sock",
            "status --config=/etc/shadow",
            "zigbee backup /tmp/stolen",
            "update install /tmp/bundle",
            "run",
            "config show /etc/shadow",
            "bundle keygen",
            "console",
            "$(reboot)",
        ):
            cable.type(line)
            answer = await cable.expect("climahub> ")
            assert "console" in answer, line
        cable.type("status; reboot")
        await cable.expect("type|unexpected|Error|Usage")


async def test_noise_on_the_line_costs_only_the_line(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, open_console("--socket", port.socket) as cable:
        await cable.expect("\ncode: ")
        cable.type("\xff\xfe\x00\x01" * 20)
        cable.type("x" * 5_000)
        await cable.expect("\ncode: ")
        cable.type(await port.make_code(Role.OWNER))
        await cable.expect("signed in as owner")
        cable.type('version "')
        await cable.expect("close the quotation mark")
        cable.type("version")
        await cable.expect(r"climahub \d")


async def test_lines_come_back_from_history_and_the_code_does_not(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, open_console("--socket", port.socket) as cable:
        code = await port.make_code(Role.OWNER)
        await cable.expect("\ncode: ")
        cable.type(code)
        await cable.expect("climahub> ")
        cable.type("version")
        await cable.expect("climahub> ")
        cable.type("\x1b[A")
        assert "version" in await cable.expect(r"climahub \d")
        cable.type("\x1b[A\x1b[A\x1b[A\x1b[A")
        assert code not in await cable.expect(r"climahub \d")


async def test_beside_a_dead_agent_the_code_still_opens_the_console(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        code = await port.make_code(Role.SERVICE)
    config = tmp_path / "config.toml"
    config.write_text('[cloud]\nbase_url = "http://127.0.0.1:9"\n[storage]\nstate_dir = "state"\nrun_dir = "run"\n')
    async with open_console("--config", config, "--socket", port.socket) as cable:
        await cable.expect("\ncode: ")
        cable.type("AAAA-BBBB-CCCC-DDDD")
        await cable.expect("wrong")
        await cable.expect("\ncode: ")
        cable.type(code)
        await cable.expect("signed in as service")
        await cable.expect("the agent does not answer")
        cable.type("status")
        await cable.expect("the hub does not run here|the hub has stopped")


async def test_beside_an_agent_without_a_usable_configuration_the_console_answers(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("nonsense")
    async with open_console("--config", config, "--socket", tmp_path / "none.sock") as cable:
        await cable.expect("\ncode: ")
        cable.type("AAAA-BBBB-CCCC-DDDD")
        await cable.expect("type the code once more")
        await cable.expect("\ncode: ")


async def test_code_of_the_directory_that_it_was_started_in_is_not_run(tmp_path: Path) -> None:
    planted = tmp_path / "elsewhere" / "agent"
    planted.mkdir(parents=True)
    (planted / "__init__.py").touch()
    (planted / "__main__.py").write_text("print('planted')")
    async with signed_in(tmp_path, Role.VIEWER, cwd=planted.parent) as (_, cable):
        cable.type("version")
        await cable.expect(r"climahub \d")


async def test_ctrl_c_does_not_shorten_the_wait_after_a_wrong_code(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, open_console("--socket", port.socket) as cable:
        await cable.expect("\ncode: ")
        cable.type("AAAA-BBBB-CCCC-DDDD")
        await cable.expect("check the code|make a code")
        cable.type("\x03\x03")
        await asyncio.sleep(0.5)
        cable.type("\x03")
        assert "code: " not in cable.seen
        await cable.expect("code: ")


async def receive(device: str, output: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "receive", device, "--output", output,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


def names_in(bundle: Path) -> list[str]:
    if bundle.suffix == ".zip":
        return zipfile.ZipFile(bundle).namelist()
    unpacked = subprocess.run(["zstd", "-dc", bundle], check=True, capture_output=True).stdout
    (bundle.parent / "bundle.tar").write_bytes(unpacked)
    with tarfile.open(bundle.parent / "bundle.tar") as tar:
        return tar.getnames()


@pytest.mark.parametrize(("rate", "damage"), [(115_200, 0.0), (115_200, 0.0005), (921_600, 0.001)])
async def test_the_support_bundle_leaves_through_a_bad_cable(tmp_path: Path, rate: int, damage: float) -> None:
    output = tmp_path / "laptop"
    output.mkdir()
    async with signed_in(tmp_path, Role.SERVICE) as (_, cable):
        cable.type("send")
        await cable.expect("Waiting ...")
        with laptop_line() as (far_end, device):
            async with cable.pumped(far_end, rate=rate, damage=damage):
                process = await receive(device, output)
                said, _ = await process.communicate()
                assert process.returncode == 0, said.decode()
        cable.type("version")
        await cable.expect(r"climahub \d")
    (bundle,) = output.iterdir()
    assert any("manifest" in name for name in names_in(bundle))


async def test_a_broken_transfer_resumes(tmp_path: Path) -> None:
    output = tmp_path / "laptop"
    output.mkdir()
    async with signed_in(tmp_path, Role.SERVICE) as (_, cable):
        cable.type("send")
        await cable.expect("Waiting ...")
        with laptop_line() as (far_end, device):
            async with cable.pumped(far_end, rate=57_600, damage=0.0):
                process = await receive(device, output)
                await until(lambda: any(part.stat().st_size > 2_000 for part in output.glob("*.part")))
                process.kill()
                await process.wait()
                (part,) = output.iterdir()
                kept = part.stat().st_size
                process = await receive(device, output)
                said, _ = await process.communicate()
                assert process.returncode == 0, said.decode()
        cable.type("")
        await cable.expect("climahub> ")
    (bundle,) = output.iterdir()
    assert bundle.stat().st_size > kept
    assert any("manifest" in name for name in names_in(bundle))


async def receive_by_zmodem(cable: Cable, output: Path) -> Path:
    """Take what the console sends by the laptop's own rz; return the file."""
    with laptop_line() as (far_end, device):
        async with cable.pumped(far_end, rate=921_600, damage=0.0):
            with open(device, "r+b", buffering=0) as line:  # noqa: ASYNC230, PTH123 - a terminal
                process = await asyncio.create_subprocess_exec(
                    "rz", "--binary", "--quiet", cwd=output, stdin=line, stdout=line
                )
                assert await process.wait() == 0
    cable.type("")
    await cable.expect("climahub> ")
    (received,) = output.iterdir()  # noqa: ASYNC240 - a directory of a test
    return received


@needs_lrzsz
async def test_the_support_bundle_leaves_by_zmodem(tmp_path: Path) -> None:
    output = tmp_path / "laptop"
    output.mkdir()
    async with signed_in(tmp_path, Role.SERVICE) as (_, cable):
        cable.type("send zmodem")
        await cable.expect("collecting")
        bundle = await receive_by_zmodem(cable, output)
    assert any("manifest" in name for name in names_in(bundle))


@needs_lrzsz
async def test_the_backup_of_the_network_leaves_by_zmodem(tmp_path: Path) -> None:
    output = tmp_path / "laptop"
    output.mkdir()
    async with signed_in(tmp_path, Role.OWNER, make_board=radio_board) as (port, cable):
        cable.type("send backup zmodem")
        await cable.expect("keep it secret")
        backup = await receive_by_zmodem(cable, output)
        assert backup.read_bytes() == await port.hub.pairing.actions.backup()
    assert backup.name == "climahub-zigbee-backup.json"


async def test_the_backup_of_the_network_leaves_by_the_binary_way_and_is_secret(tmp_path: Path) -> None:
    output = tmp_path / "laptop"
    output.mkdir()
    async with signed_in(tmp_path, Role.OWNER, make_board=radio_board) as (port, cable):
        cable.type("send backup")
        await cable.expect("Waiting ...")
        with laptop_line() as (far_end, device):
            async with cable.pumped(far_end, rate=115_200, damage=0.0):
                process = await receive(device, output)
                said, _ = await process.communicate()
                assert process.returncode == 0, said.decode()
        (backup,) = output.iterdir()
        assert backup.read_bytes() == await port.hub.pairing.actions.backup()
    assert backup.stat().st_mode & 0o077 == 0


async def test_the_backup_is_the_owners_and_needs_a_radio(tmp_path: Path) -> None:
    async with signed_in(tmp_path, Role.SERVICE) as (_, cable):
        cable.type("send backup")
        await cable.expect("sign in as owner \\(type bye\\): service may not take the Zigbee network's backup")
        cable.type("send backup backup")
        await cable.expect("type send, send backup")
        cable.type("send /etc/shadow")
        await cable.expect("type send, send backup")
    async with signed_in(tmp_path, Role.OWNER) as (_, cable):
        cable.type("send backup")
        await cable.expect("this hub has no radio")
        await cable.expect("climahub> ")
