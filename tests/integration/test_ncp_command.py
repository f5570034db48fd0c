"""`climahub ncp` as a process, and orders over its socket."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("bellows")

from click.testing import CliRunner

from agent.cli import exit_codes
from lab.cli.ncp import ncp
from lab.ncp import control, server
from lab.ncp.serial_port import PortUnusable
from tests.integration.conftest import WAIT_S

HOUSE = """
[[device]]
name = "bedroom"
model = "climate"

[[device]]
name = "living room"
model = "router"
"""
ORDINARY = "import sys; from lab.cli.ncp import ncp; sys.exit(ncp(standalone_mode=False))"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    path = tmp_path / "house.toml"
    path.write_text(HOUSE)
    return path


@contextlib.contextmanager
def process(directory: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", ORDINARY, *arguments]
    started = subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield started
    finally:
        started.kill()
        started.communicate(timeout=WAIT_S)


def test_command_serves_executes_orders_and_saves_its_files(tmp_path: Path, house: Path) -> None:
    wanted = ["--pty", "port", "--devices", house.name, "--control", "orders", "--state", "st", "--sensors", "se"]
    with process(tmp_path, *wanted, "--faults", "corrupt=0.01") as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "serial port port, EZSP v13\n"
        running.stdout.readline()
        assert (tmp_path / "port").is_symlink()
        assert (tmp_path / "orders").stat().st_mode & 0o777 == 0o600
        said = CliRunner().invoke(ncp, ["say", str(tmp_path / "orders"), "list"])
        assert [device["name"] for device in json.loads(said.output)["devices"]] == ["bedroom", "living room"]
        refused = CliRunner().invoke(ncp, ["say", str(tmp_path / "orders"), "press", "bedroom"], standalone_mode=False)
        assert refused.return_value == exit_codes.FAILED
        running.send_signal(signal.SIGTERM)
        assert running.wait(WAIT_S) == 0
    assert json.loads((tmp_path / "st").read_bytes())["factory_eui64"].startswith("04:cd:15:")
    assert set(json.loads((tmp_path / "se").read_bytes())["nodes"]) == {"bedroom", "living room"}
    assert not (tmp_path / "port").exists()
    assert not (tmp_path / "orders").exists()


def test_missing_files_are_reported(tmp_path: Path, house: Path) -> None:
    runner = CliRunner()
    assert "--pty and --devices" in runner.invoke(ncp, []).output
    assert "does not exist" in runner.invoke(ncp, ["--pty", "x", "--devices", str(tmp_path / "none")]).output
    assert "start a stick with --control" in str(runner.invoke(ncp, ["say", str(tmp_path / "none"), "list"]).exception)
    taken = tmp_path / "taken"
    taken.write_text("precious")
    outcome = runner.invoke(ncp, ["--pty", str(taken), "--devices", str(house)])
    assert isinstance(outcome.exception, PortUnusable)
    assert taken.read_text() == "precious"


async def test_orders_and_their_errors(tmp_path: Path) -> None:
    setup = server.EmulatorFiles(device_file=HOUSE, device_file_name="house")
    kept: list[bytes] = []
    stick = server.build_server(
        setup, link=tmp_path / "port", faults=(), keep_stick=kept.append, keep_devices=kept.append
    )
    stick.open()
    try:
        for line in (
            "set bedroom temperature_c=21.5 humidity_percent=none",
            'unplug "living room"',
            'plug "living room"',
            "report bedroom",
            "fault corrupt=0",
        ):
            assert control.run_command(stick, line) == control.ControlReply(ok=True), line
        for line in (
            "",
            "dance",
            "press",
            "press nobody",
            "set bedroom",
            "set bedroom x=1",
            "set bedroom humidity_percent=x",
            "fault earthquake",
            "list all",
            'press "',
            "report",
            "unplug",
            "plug",
            "fault",
        ):
            answer = control.run_command(stick, line)
            assert not answer.ok, line
            assert answer.outcome
        assert control.run_command(stick, "press bedroom").outcome == "no open network is in range"
    finally:
        stick.close()
    assert len(kept) == 2
