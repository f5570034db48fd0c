import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Never, TypeAlias

import msgspec
import pytest

from agent.cli import exit_codes, hub_client, root
from agent.cli.status import as_text, machine_line
from agent.local.status import HubStatus, MachineReport, UpsReport, UsageDayReport, UsageReport

Hub: TypeAlias = tuple[Path, list[bytes]]
"""Its socket, and the answer that it is to give."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """Answer one request on a Unix socket with whatever is put into `answers`."""
    path = tmp_path / "status.sock"
    answers: list[bytes] = []
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(answers[0])

    thread = threading.Thread(target=serve)
    thread.start()
    yield path, answers
    thread.join()
    server.close()


def answer(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_status_screen(hub: Hub, status: HubStatus, capsys: pytest.CaptureFixture[str]) -> None:
    path, answers = hub
    answers.append(answer(msgspec.json.encode(status)))
    assert root.run(["status", "--socket", str(path)]) == exit_codes.OK
    assert "NO PROBLEMS" in capsys.readouterr().out


def test_what_the_link_costs_and_what_went_wrong_last_are_shown(status: HubStatus) -> None:
    usage = UsageReport([UsageDayReport("2026-11-28", 90, 42_400, 1_240_000)], 2_500_000, 75_000_000)
    link = msgspec.structs.replace(status.link, usage=usage, last_error="no route", last_error_age_s=90)
    text = as_text(msgspec.structs.replace(status, link=link))
    assert "data      today 42 kB sent, 1.2 MB received; at this rate 2.5 MB a day, 75.0 MB a month" in text
    assert "last error 1 min 30 s ago: no route" in text
    down = msgspec.structs.replace(link, state="down", usage=UsageReport())
    text = as_text(msgspec.structs.replace(status, link=down))
    assert "data " not in text
    assert "last error" not in text


@pytest.mark.parametrize(
    ("machine", "line"),
    [
        (MachineReport(), ""),
        (MachineReport(ups=UpsReport(is_mains_on=True, charge_percent=55)), "on mains, battery 55 %"),
        (
            MachineReport(ups=UpsReport(is_mains_on=False, charge_percent=40, minutes_left=25)),
            "on battery, battery 40 %, about 25 min left",
        ),
        (MachineReport(ups=UpsReport()), "no signal of the mains, battery not read"),
        (MachineReport(written_bytes_per_day=64 * 1024 * 1024), "64 MiB written to the storage a day"),
    ],
)
def test_battery_and_storage_are_one_line(status: HubStatus, machine: MachineReport, line: str) -> None:
    assert machine_line(machine) == line
    shown = as_text(msgspec.structs.replace(status, machine=machine))
    assert (f"machine   {line}\n" in shown) == bool(line)


def test_json_is_printed_unchanged(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    path, answers = hub
    answers.append(answer(b'{"of":"a newer hub"}'))
    assert root.run(["status", "--json", "--socket", str(path)]) == exit_codes.OK
    assert capsys.readouterr().out == '{"of":"a newer hub"}\n'


def test_socket_of_a_configuration_is_used(
    hub: Hub, status: HubStatus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, answers = hub
    answers.append(answer(msgspec.json.encode(status)))
    config = tmp_path / "hub.toml"
    config.write_text(f'[cloud]\nbase_url = "https://cloud.example"\n[local_api]\nsocket = "{path}"\n')
    assert root.run(["status", "--config", str(config)]) == exit_codes.OK
    assert "climahub 1.2.3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (answer(b"no", "404 Not Found"), "is not a hub: status 404"),
        (answer(b'{"version": 1}'), "is not understood"),
        (b"SSH-2.0-OpenSSH\r\n", "no usable answer"),
        (b"", "no usable answer"),
    ],
)
def test_other_server_on_the_socket_is_reported(
    hub: Hub, raw: bytes, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, answers = hub
    answers.append(raw)
    assert root.run(["status", "--socket", str(path)]) == exit_codes.NO_DAEMON
    text = capsys.readouterr().err
    assert told in text
    assert "what to do next" in text


def test_missing_socket_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["status", "--socket", str(tmp_path / "none")]) == exit_codes.NO_DAEMON
    assert "the hub does not run here" in capsys.readouterr().err


def test_default_socket_is_the_services(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("agent.cli.hub_client.DEFAULT_CONFIG", tmp_path / "none.toml")
    monkeypatch.setattr("agent.cli.hub_client.DEFAULT_SOCKET", tmp_path / "none.sock")
    assert root.run(["status"]) == exit_codes.NO_DAEMON
    assert "none.sock" in capsys.readouterr().err


def test_stale_socket_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "status.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    assert root.run(["status", "--socket", str(path)]) == exit_codes.NO_DAEMON
    assert "the hub has stopped" in capsys.readouterr().err
    file = tmp_path / "hub.toml"
    file.touch()
    assert root.run(["status", "--socket", str(file)]) == exit_codes.NO_DAEMON
    assert f"name the hub's socket: it is not {file}" in capsys.readouterr().err


def test_hanging_hub_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hub_client, "TIMEOUT_S", 0.02)
    path = tmp_path / "status.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(str(path))
        silent.listen()
        assert root.run(["status", "--socket", str(path)]) == exit_codes.NO_DAEMON
        assert "the hub hangs" in capsys.readouterr().err
        # A change may still be made: nobody is to believe that it was not.
        assert root.run(["climate", "set", "--heat", "21", "--socket", str(path)]) == exit_codes.NO_DAEMON
    assert "look whether it was done" in capsys.readouterr().err


def test_socket_without_permission_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Root may open everything, so the refusal is made up.
    def refuse(*_: object) -> Never:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(hub_client._UnixConnection, "connect", refuse)
    assert root.run(["status", "--socket", str(tmp_path / "s")]) == exit_codes.NO_PERMISSION
    assert "use sudo" in capsys.readouterr().err
