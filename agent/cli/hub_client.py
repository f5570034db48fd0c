"""Asks the hub on this machine, over its Unix socket."""

import contextlib
import http.client
import socket
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from agent.errors import ClimahubError
from agent.foundation.decoding import UNREADABLE
from agent.foundation.foreign_text import harmless, harmless_value, spelt

T = TypeVar("T")

ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""A thousand sensors take half a megabyte."""

TEXT_CHARACTERS_MAX = 1024
"""Of one text in an answer, as far as it is shown on a terminal."""

TIMEOUT_S = 5.0


_SAID_NO = {
    http.client.BAD_REQUEST,
    http.client.NOT_FOUND,
    http.client.CONFLICT,
    http.client.REQUEST_ENTITY_TOO_LARGE,
    http.client.UNPROCESSABLE_ENTITY,
    http.client.INTERNAL_SERVER_ERROR,
    http.client.SERVICE_UNAVAILABLE,
}


class _Error(msgspec.Struct):
    message: str


class NoAnswer(ClimahubError):
    """The hub does not answer; the message says why and what to do."""


class NotAllowed(ClimahubError):
    """This user may not ask."""


class Refused(ClimahubError):
    """The hub says no; the message says why."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("hub", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def fetch(
    path: Path,
    what: str = "/v1/status",
    *,
    method: str = "GET",
    content: bytes | BinaryIO | None = None,
    timeout_s: float | None = None,
) -> bytes:
    """Return a document of the hub as JSON.

    Args:
        path: The hub's socket.
        what: Which document.
        method: "GET", or "POST" for what changes something.
        content: What goes with it; a file is read piece by piece.
        timeout_s: How long to wait for an answer; `None` for `TIMEOUT_S`.

    Raises:
        NoAnswer: Nobody listens there, or what came is no answer of a hub.
        NotAllowed: The socket belongs to somebody else.
        Refused: The hub does not do that now.
    """
    timeout_s = TIMEOUT_S if timeout_s is None else timeout_s
    connection = _UnixConnection(path, timeout_s)
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            # A hub that refuses a file says so before it has read all of it.
            connection.request(method, what, body=content)
        response = connection.getresponse()
        answer = response.read(ANSWER_BYTES_MAX + 1)
    except PermissionError as error:
        raise NotAllowed(f"this user may not open {path}; try sudo, or join the group of the socket") from error
    except FileNotFoundError as error:
        raise NoAnswer(f"the hub does not run here: there is no socket {path}") from error
    except ConnectionRefusedError as error:
        raise NoAnswer(f"the hub has stopped: nobody listens on {path}") from error
    except TimeoutError as error:
        raise NoAnswer(f"the hub hangs: no answer on {path} within {timeout_s:g} s") from error
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"no usable answer on {path} ({error})") from error
    finally:
        connection.close()
    if response.status in _SAID_NO and (said := _said(answer)):
        raise Refused(said)
    if response.status != http.client.OK or len(answer) > ANSWER_BYTES_MAX:
        raise NoAnswer(f"what listens on {path} is no hub: status {response.status}, {len(answer)} bytes")
    return answer


def _said(body: bytes) -> str:
    """Return the hub's own words; empty where this is no hub."""
    try:
        return harmless(msgspec.json.decode(body, type=_Error).message, characters_max=TEXT_CHARACTERS_MAX)
    except UNREADABLE:
        return ""


def as_json(body: bytes) -> str:
    """Return a document as it came, for a terminal: what might move its cursor is spelt, as JSON allows."""
    return spelt(body.decode(errors="replace"))


def decode(body: bytes, model: type[T]) -> T:
    """Return a document as values, their texts harmless. Fields that a newer hub has added are passed over.

    Raises:
        NoAnswer: It is no such document of a version that this program knows.
    """
    try:
        return msgspec.convert(harmless_value(msgspec.json.decode(body), characters_max=TEXT_CHARACTERS_MAX), model)
    except UNREADABLE as error:
        raise NoAnswer(f"the hub's answer is not understood ({error}); are hub and command of one version?") from error
