import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.foundation.host import Systemd


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        yield listening


def test_notifications_follow_the_sd_notify_protocol(manager: socket.socket) -> None:
    host = Systemd({"NOTIFY_SOCKET": manager.getsockname()})
    host.ready()
    host.alive("cloud up")
    host.stopping()
    assert [manager.recv(200) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1\nSTATUS=cloud up", b"STOPPING=1"]


def test_abstract_notify_socket_works() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0climahub-test-{os.getpid()}")
        Systemd({"NOTIFY_SOCKET": f"@climahub-test-{os.getpid()}"}).ready()
        assert listening.recv(200) == b"READY=1"


def test_nothing_is_sent_without_a_service_manager() -> None:
    host = Systemd({})
    host.ready()
    assert host.watchdog_s is None


def test_vanished_service_manager_is_no_error(tmp_path: Path) -> None:
    Systemd({"NOTIFY_SOCKET": str(tmp_path / "gone")}).alive("cloud up")


def test_full_notify_socket_never_blocks(manager: socket.socket) -> None:
    host = Systemd({"NOTIFY_SOCKET": manager.getsockname()})
    for _ in range(2000):
        host.alive("cloud up")


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_applies_only_to_the_named_process(environ: dict[str, str], watchdog_s: float | None) -> None:
    assert Systemd(environ).watchdog_s == watchdog_s
