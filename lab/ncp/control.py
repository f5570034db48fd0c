"""The hand that presses the buttons: orders in words, one a line, on a Unix socket; one line of JSON answers each.

list
press NAME
set NAME QUANTITY=VALUE ...      VALUE may be `none`: the marker that says "no value"
report NAME
unplug NAME | plug NAME
fault WORDS                      as `lab.ncp.serial_port` reads them
"""

import asyncio
import contextlib
import shlex
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec

from hal.errors import HalError
from lab.ncp import serial_port
from lab.ncp.coordinator import JoinOutcome
from lab.ncp.server import EmulatorServer

CONTROL_LINE_BYTES_MAX = 4096
_OWNER_ONLY = 0o600


class ControlCommandInvalid(HalError):
    """A control command that is not understood, or names something that does not exist."""


class ControlReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The reply to a control command.

    Attributes:
        ok: Whether it was carried out.
        outcome: The outcome, or the reason why it was not carried out.
        devices: For `list`: each device, with its model and its place in the network.
    """

    ok: bool
    outcome: str = ""
    devices: Sequence[Mapping[str, str | int | bool]] = ()


def run_command(server: EmulatorServer, line: str) -> ControlReply:
    """Carry out one control command. The reply reports a mistake."""
    try:
        words = shlex.split(line)
        verb = _VERBS.get(words[0] if words else "")
        if verb is None:
            raise ControlCommandInvalid(f"use one of {', '.join(_VERBS)}: there is no order {line!r}")
        return verb(server, words[1:])
    except KeyError as error:
        return ControlReply(ok=False, outcome=f"there is no {error.args[0]!r}")
    except (HalError, ValueError) as error:
        return ControlReply(ok=False, outcome=str(error))


@contextlib.asynccontextmanager
async def serve_control(server: EmulatorServer, path: Path) -> AsyncIterator[None]:
    """Serve control commands on a socket that only this user can open.

    Raises:
        OSError: The socket cannot be made.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ValueError):
            while line := await reader.readline():
                answer = run_command(server, line.decode(errors="replace").strip())
                writer.write(msgspec.json.encode(answer) + b"\n")
                await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(serve, sock=_bound(path), limit=CONTROL_LINE_BYTES_MAX):
        try:
            yield
        finally:
            _remove(path)


def _bound(path: Path) -> socket.socket:
    _remove(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(_OWNER_ONLY)
    return listener


def _remove(path: Path) -> None:
    """Remove a socket, and nothing else that has its name."""
    if path.is_socket():
        path.unlink()


def _list(server: EmulatorServer, words: Sequence[str]) -> ControlReply:
    _expect(words, 0, "list")
    radio_medium = server.emulator.radio_medium
    return ControlReply(ok=True, devices=[_described(server, name) for name in radio_medium.names])


def _described(server: EmulatorServer, name: str) -> Mapping[str, str | int | bool]:
    node = server.emulator.radio_medium.node(name)
    return {
        "name": name,
        "eui64": node.eui64,
        "model": node.model.name,
        "address": f"0x{node.address:04x}",
        "is_powered": node.is_powered,
    }


def _press(server: EmulatorServer, words: Sequence[str]) -> ControlReply:
    _expect(words, 1, "press NAME")
    outcome = server.press(words[0])
    return ControlReply(ok=outcome is JoinOutcome.JOINED, outcome=outcome.value)


def _set(server: EmulatorServer, words: Sequence[str]) -> ControlReply:
    if len(words) < 2:  # noqa: PLR2004 - the name and one value
        raise ControlCommandInvalid("write: set NAME QUANTITY=VALUE ...")
    values: dict[str, float | None] = {}
    for word in words[1:]:
        quantity, _, value = word.partition("=")
        try:
            values[quantity] = None if value == "none" else float(value)
        except ValueError:
            raise ControlCommandInvalid(
                f"write {quantity}=NUMBER, or {quantity}=none for no value: found {word}"
            ) from None
    server.set_values(words[0], values)
    return ControlReply(ok=True)


def _report(server: EmulatorServer, words: Sequence[str]) -> ControlReply:
    _expect(words, 1, "report NAME")
    server.report_all(words[0])
    return ControlReply(ok=True)


def _unplug(server: EmulatorServer, words: Sequence[str]) -> ControlReply:
    _expect(words, 1, "unplug NAME")
    server.unplug(words[0])
    return ControlReply(ok=True)


def _plug(server: EmulatorServer, words: Sequence[str]) -> ControlReply:
    _expect(words, 1, "plug NAME")
    server.plug(words[0])
    return ControlReply(ok=True)


def _fault(server: EmulatorServer, words: Sequence[str]) -> ControlReply:
    _expect(words, 1, "fault NAME=AMOUNT")
    server.inject(serial_port.parse(words[0]))
    return ControlReply(ok=True)


def _expect(words: Sequence[str], count: int, usage: str) -> None:
    if len(words) != count:
        raise ControlCommandInvalid(f"write: {usage}")


_VERBS: Mapping[str, Callable[[EmulatorServer, Sequence[str]], ControlReply]] = MappingProxyType(
    {
        "list": _list,
        "press": _press,
        "set": _set,
        "report": _report,
        "unplug": _unplug,
        "plug": _plug,
        "fault": _fault,
    }
)
