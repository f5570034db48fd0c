"""The kernel's messages about devices, on a pair of sockets; and a board that waits for them."""

import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.linux import board as board_module
from hal.linux import uevents
from hal.linux.uevents import DRAIN_MAX, Uevents, is_about_sensors, open_uevents
from tests.unit.hal.linux.conftest import Machine, sources

ADDED = b"add@/devices/w1_bus_master1/28-0a\0ACTION=add\0DEVPATH=/devices/x\0SUBSYSTEM=w1\0SEQNUM=7\0"
CHARGE = b"change@/devices/bat\0ACTION=change\0SUBSYSTEM=power_supply\0"
DISK = b"add@/devices/sda\0ACTION=add\0SUBSYSTEM=block\0"


def test_only_sensors_that_come_or_go_matter() -> None:
    assert is_about_sensors(ADDED)
    assert is_about_sensors(ADDED.replace(b"ACTION=add", b"ACTION=unbind").replace(b"=w1", b"=hwmon"))
    assert not is_about_sensors(CHARGE)
    assert not is_about_sensors(DISK)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message(message: bytes) -> None:
    assert is_about_sensors(message) in {True, False}


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Uevents, socket.socket]]:
    monkeypatch.setattr(uevents, "SETTLE_S", 0.0)
    kernel, hub = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    hub.setblocking(False)
    kernel.setblocking(False)
    listening = Uevents(lambda: hub)
    yield listening, kernel
    listening.close()
    hub.close()
    kernel.close()


async def test_a_message_ends_the_wait_and_those_after_it_are_one_with_it(pair: tuple[Uevents, socket.socket]) -> None:
    listening, kernel = pair
    for message in (CHARGE, DISK, ADDED, ADDED):
        kernel.send(message)
    await listening.wait(3600)
    assert listening._listener is not None
    with pytest.raises(BlockingIOError):
        listening._listener.recv(1)
    # Nothing is left that would end the next wait; the time does.
    await listening.wait(0.001)


class Failing:
    """A socket whose reads fail."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.closed = False

    def fileno(self) -> int:
        return -1

    def gettimeout(self) -> float:
        return 0.0

    def recv(self, _: int) -> bytes:
        raise OSError(self.number, "fails")

    def close(self) -> None:
        self.closed = True


async def test_an_overflow_is_a_message_and_another_error_leaves_it_to_the_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uevents, "SETTLE_S", 0.0)
    full = Failing(errno.ENOBUFS)
    await Uevents(lambda: full).wait(3600)  # type: ignore[arg-type, return-value]
    broken = Failing(errno.EBADF)
    listening = Uevents(lambda: broken)  # type: ignore[arg-type, return-value]
    await listening.wait(0.001)
    assert broken.closed
    await listening.wait(0.001)


async def test_where_listening_is_not_allowed_the_clock_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden:
        def __init__(self, *_: int) -> None:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", Forbidden)
    assert open_uevents() is None
    await Uevents().wait(0.001)


def test_a_real_listener_can_be_opened_or_is_refused() -> None:
    listener = open_uevents()
    if listener is not None:
        listener.close()


async def test_a_board_finds_what_a_message_announces(
    machine: Machine, pair: tuple[Uevents, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_module, "RESCAN_S", 3600.0)
    listening, kernel = pair
    board = machine.board(uevents=listening)
    changed = asyncio.ensure_future(board.channels_changed())
    machine.one_wire("28-0000000000aa", temperature="21000")
    # A storm: far more messages than are needed, of which the kernel may drop some.
    for _ in range(DRAIN_MAX):
        try:
            kernel.send(ADDED)
        except BlockingIOError:
            break
    await changed
    assert sources(board) == ["w1-28-0000000000aa/ds18b20/temperature"]
    await board.close()
