"""The operator's commands against a running reference cloud, each as a person types it."""

import json
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.cli import exit_codes, root
from lab.cli.cloud import READY_MADE
from lab.cli.options import TOKEN_VARIABLE, URL_VARIABLE
from tests.integration.conftest import WAIT_S

Run = Callable[..., str]


@pytest.fixture(scope="module")
def cloud() -> Iterator[tuple[str, str]]:
    """A cloud in a process of its own: its URL and the token that it has made up."""
    command = [sys.executable, "-u", "-m", "agent", "cloud", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("listening on ").strip()
        process.stdout.readline()
        token = process.stdout.readline().partition("=")[2].strip()
        yield url, token
        process.terminate()
        _, told = process.communicate(timeout=WAIT_S)
    assert process.returncode == exit_codes.OK
    assert told == "stopped\n"


@pytest.fixture
def run(cloud: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    url, token = cloud
    monkeypatch.setenv(TOKEN_VARIABLE, token)

    def run(*words: str, code: int = exit_codes.OK) -> str:
        assert root.run(["cloud", *words, "--url", url]) == code
        captured = capsys.readouterr()
        return captured.out if code == exit_codes.OK else captured.err

    return run


def test_device_is_added_and_its_key_shown(run: Run, tmp_path: Path) -> None:
    key_file = tmp_path / "hub.key"
    key_file.touch(mode=0o644)
    assert str(key_file) in run("provision", "keyed", "--key-file", str(key_file))
    first = key_file.read_text()
    assert first.startswith("cs_dev_")
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    run("new-key", "keyed", "--key-file", str(key_file))
    assert key_file.read_text() != first
    device = next(each for each in json.loads(run("devices", "--json")) if each["name"] == "keyed")
    assert "cs_dev_" in run("new-key", device["device_id"])
    assert "keyed" in run("devices")
    assert "there is a device named 'keyed'" in run("provision", "keyed", code=exit_codes.FAILED)


def test_list_of_devices_shows_last_seen_and_problems(run: Run, cloud: tuple[str, str], tmp_path: Path) -> None:
    key_file = tmp_path / "hub.key"
    run("provision", "seen", "--key-file", str(key_file))
    device = next(each for each in json.loads(run("devices", "--json")) if each["name"] == "seen")
    assert (device["last_seen"], device["version"], device["problems"]) == (None, None, [])
    headers = {"Authorization": f"Bearer {key_file.read_text().strip()}", "User-Agent": "climahub/9.8.7"}
    headers["Content-Type"] = "application/json"
    run("command", "seen", "reboot", "--lifetime-s", "60")

    def ask(path: str, body: object = None) -> list[dict[str, str]]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(cloud[0] + path, data=data, headers=headers)
        with urllib.request.urlopen(request) as answer:
            found: list[dict[str, str]] = json.load(answer).get("commands", [])
            return found

    (command,) = ask("/v1/commands/pending")
    ask(
        "/v1/commands/ack",
        {"command_id": command["command_id"], "status": "failed", "error_message": "there is no logind"},
    )
    device = next(each for each in json.loads(run("devices", "--json")) if each["name"] == "seen")
    assert device["last_seen"].endswith("Z")
    assert (device["version"], device["problems"]) == ("9.8.7", ["reboot failed: there is no logind"])
    assert "reboot failed: there is no logind" in run("devices")


def test_the_address_may_come_from_the_environment(
    run: Run, cloud: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(URL_VARIABLE, cloud[0])
    assert root.run(["cloud", "devices"]) == exit_codes.OK
    assert "LAST SEEN" in capsys.readouterr().out


def test_settings_command(run: Run) -> None:
    run("provision", "set")
    assert "60" in run("settings", "set")
    assert "temperature, humidity" in run("settings", "set", "--sensors", "temperature,humidity")
    changed = ["--interval-s", "300", "--sensors", "temperature,humidity", "--timezone", "Europe/Berlin"]
    found = json.loads(run("settings", "set", *changed, "--json"))
    assert found["reporting_interval_seconds"] == 300
    assert found["enabled_sensors"] == ["temperature", "humidity"]
    assert found["timezone"] == "Europe/Berlin"
    assert "60" in run("settings", "set", "--interval-s", "5", code=exit_codes.FAILED)
    assert "there is no nobody" in run("settings", "nobody", code=exit_codes.FAILED)


def test_commands_command(run: Run) -> None:
    run("provision", "told")
    payload = '{"heat_setpoint_c": 21}'
    queued = json.loads(run("command", "told", "set_setpoint", "--payload", payload, "--lifetime-s", "60", "--json"))
    assert queued["payload"] == {"heat_setpoint_c": 21}
    assert queued["expires_ms"] - queued["created_ms"] == 60_000
    assert "set_setpoint  pending" in run("commands", "told")
    assert "queued" in run("command", "told", "reboot")
    assert "cannot be queued" in run("command", "told", "reboot", "--payload", "[1]", code=exit_codes.FAILED)
    assert "cannot be queued" in run("command", "told", "reboot", "--payload", "{", code=exit_codes.FAILED)


def test_firmware_command(run: Run, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"x" * 2048)
    assert "offered to beta" in run("publish", "1.0", str(image), "--batch", "beta", "--notes", "Quicker.")
    assert "1.0      2 KiB  beta     Quicker." in run("firmware")
    assert "offered to nobody" in run("offer", "1.0")
    run("provision", "updated")
    assert "STATUS" in run("updates", "updated")


def test_readings_and_statistics_commands(run: Run, cloud: tuple[str, str]) -> None:
    import asyncio  # noqa: PLC0415 - here only

    import aiohttp  # noqa: PLC0415

    key = json.loads(run("provision", "sender", "--json"))["api_key"]
    batch = {
        "readings": [{"sensor_type": "temperature", "value": 20.5, "timestamp": "2026-01-15T06:00:00.250Z"}],
    }

    async def send() -> int:
        async with aiohttp.ClientSession() as session:
            headers = {"Authorization": f"Bearer {key}"}
            async with session.post(f"{cloud[0]}/v1/telemetry", json=batch, headers=headers) as response:
                return response.status

    assert asyncio.run(send()) == 200
    expected = "sender  temperature  2026-01-15T06:00:00.250+00:00  20.5\n"
    assert run("readings") == expected
    assert run("readings", "--device", "sender") == expected
    run("provision", "silent")
    assert run("readings", "--device", "silent") == ""
    assert json.loads(run("readings", "--json"))["value"] == 20.5
    text = run("statistics")
    assert "sender  1 reading accepted in 1 batch: 1 stored, 0 duplicates, 0 conflicting" in text
    assert "sender  telemetry: " in text


def test_faults_command(run: Run, tmp_path: Path) -> None:
    run("faults", "off")
    assert run("faults", "show") == "no faults\n"
    run("faults", "on", "busy", "--endpoint", "telemetry", "--probability", "0.5")
    run("faults", "on", "refused", "--times", "3")
    first, second = run("faults", "show").splitlines()
    assert first.startswith("Status status=503 retry_after_s=30 ")
    assert first.endswith("telemetry, in 50% of requests")
    assert second == "Refused  everywhere, in 100% of requests, the next 3 times"
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps([{"fault": {"type": "SlowDrip", "piece_bytes": 10, "pause_s": 0.1}}]))
    assert "SlowDrip" in run("faults", "set", str(rules), "--seed", "4")
    assert run("faults", "show").count("\n") == 1
    rules.write_text("[{}]")
    assert "write a JSON list of rules" in run("faults", "set", str(rules), code=exit_codes.FAILED)
    for name in READY_MADE:
        run("faults", "on", name, "--times", "1")
    run("faults", "off")
    assert run("faults", "show") == "no faults\n"


def test_listen_command(run: Run) -> None:
    assert run("listening", "off") == "listening off\n"
    assert "listening  no" in run("statistics")
    assert run("listening", "on") == "listening on\n"


def test_missing_and_wrong_token(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text("wrong\n")
    refused = run("devices", "--token-file", str(token), code=exit_codes.NO_PERMISSION)
    assert "give the token that this cloud was started with" in refused
    monkeypatch.delenv(TOKEN_VARIABLE)
    assert TOKEN_VARIABLE in run("devices", code=exit_codes.NO_PERMISSION)


def test_commands_without_a_running_cloud(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "any")
    assert root.run(["cloud", "devices", "--url", "http://127.0.0.1:1"]) == exit_codes.UNAVAILABLE
    assert "check that the cloud runs at" in capsys.readouterr().err


def test_an_address_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "any")
    assert root.run(["cloud", "devices", "--url", "nonsense"]) == exit_codes.FAILED
    assert "give an address such as http://127.0.0.1:8080: not nonsense" in capsys.readouterr().err


def test_a_port_or_file_that_cannot_be_used_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert root.run(["cloud", "--port", str(port)]) == exit_codes.CANNOT_CREATE
    assert f"choose another address or port: 127.0.0.1:{port} cannot be opened" in capsys.readouterr().err
    file = tmp_path / "missing" / "cloud.db"
    assert root.run(["cloud", "--port", "0", "--db", str(file)]) == exit_codes.CANNOT_CREATE
    assert f"{file}: choose a file that can be written" in capsys.readouterr().err


def test_cloud_listens_on_loopback_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["cloud", "--host", "0.0.0.0", "--port", "0"]) == exit_codes.CONFIG
    assert "allow remote access" in capsys.readouterr().err


def test_help_names_the_group_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["cloud", "--help"]) == exit_codes.OK
    assert "provision" in capsys.readouterr().out
