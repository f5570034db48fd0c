"""The client of the local API: finds the hub's socket, sends a request, and explains a missing answer."""

import contextlib
import functools
import http.client
import os
import re
import socket
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar
from urllib.parse import quote

import click
import msgspec

from agent.cli import exit_codes, lines
from agent.default_paths import DEFAULT_CONFIG, DEFAULT_SOCKET, keeps_default_socket
from agent.errors import ClimahubError
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.text import escape, escape_lines, sanitize, sanitize_value
from agent.local.access import SESSION_COOKIE

if TYPE_CHECKING:
    from agent.local.zigbee import ZigbeeReport

T = TypeVar("T")

ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""A thousand sensors take half a megabyte."""

TEXT_CHARACTERS_MAX = 1024
"""Of one text in an answer, as far as a terminal shows it."""

PIECE_BYTES = 64 * 1024
"""Of a stream, at once."""

_FILE_NAME = re.compile(r'filename="([A-Za-z0-9._-]{1,100})"')

TIMEOUT_S = 5.0

SESSION_VARIABLE = "CLIMAHUB_SESSION"
"""Environment variable with the session of the person for whom a command asks: the serial console sets it."""

SOCKET_VARIABLE = "CLIMAHUB_SOCKET"
"""Environment variable with the socket of commands that name neither socket nor configuration."""

RADIO_TIMEOUT_S = 60.0
"""Restoring a network restarts the stick."""


_FILE = click.Path(dir_okay=False, path_type=Path)

config_option = click.option(
    "--config", "config_file", type=_FILE, help=f"Take the socket from this configuration [{DEFAULT_CONFIG}]."
)
socket_option = click.option("--socket", "socket_path", type=_FILE, help="Use this socket.")


class NoAnswer(ClimahubError):
    """The hub does not answer. The message names the reason."""


class NotAllowed(ClimahubError):
    """This user may not open the socket."""


class RequestRefused(ClimahubError):
    """The hub refuses the request. The message is the hub's own."""


class HubAnswer(msgspec.Struct, frozen=True):
    """The body of an answer and its headers, by names that are compared without case."""

    body: bytes
    headers: Message


class _Problem(msgspec.Struct):
    """Problem details (RFC 9457), as far as they are shown."""

    detail: str


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("hub", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def fetch(
    path: Path,
    route: str = "/v1/status",
    *,
    method: str = "GET",
    content: bytes | BinaryIO | None = None,
    timeout_s: float | None = None,
) -> bytes:
    """Send one request to the hub and return the JSON of its answer; parameters and errors are those of `exchange`."""
    session = os.environ.get(SESSION_VARIABLE)
    return exchange(path, route, method=method, content=content, timeout_s=timeout_s, session=session).body


def exchange(
    path: Path,
    route: str,
    *,
    method: str = "GET",
    content: bytes | BinaryIO | None = None,
    timeout_s: float | None = None,
    session: str | None = None,
) -> HubAnswer:
    """Send one request to the hub and return its answer.

    Args:
        path: The hub's socket.
        route: The path of the request.
        method: The HTTP method.
        content: The body; a file is read piece by piece.
        timeout_s: How long to wait for an answer; `None` for `TIMEOUT_S`.
        session: The session of the person for whom the command asks.

    Raises:
        NoAnswer: No process listens there, or the answer is not that of a hub.
        NotAllowed: This user may not open the socket.
        RequestRefused: The hub refuses.
    """
    headers = _session_header(session)
    timeout_s = TIMEOUT_S if timeout_s is None else timeout_s
    connection = _UnixConnection(path, timeout_s)
    try:
        with _explained(path, timeout_s, is_change=method != "GET"):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                # A hub may refuse a file before it has read all of it.
                connection.request(method, route, body=content, headers=headers)
            response = connection.getresponse()
            answer = response.read(ANSWER_BYTES_MAX + 1)
    finally:
        connection.close()
    if response.status >= http.client.BAD_REQUEST and (message := _refusal_message(answer)):
        raise RequestRefused(message)
    if response.status != http.client.OK or len(answer) > ANSWER_BYTES_MAX:
        raise NoAnswer(f"the process on {path} is not a hub: status {response.status}, {len(answer)} bytes")
    return HubAnswer(answer, response.headers)


@contextlib.contextmanager
def _explained(path: Path, timeout_s: float, *, is_change: bool = False) -> Iterator[None]:
    """Raise the errors of a connection as `NotAllowed` and `NoAnswer`; one that changes something may still do it."""
    try:
        yield
    except PermissionError as error:
        raise NotAllowed(f"use sudo, or join the group of {path}: this user may not open it") from error
    except FileNotFoundError as error:
        raise NoAnswer(f"the hub does not run here: there is no socket {path}") from error
    except ConnectionRefusedError as error:
        what = "the hub has stopped: no process listens on" if path.is_socket() else "name the hub's socket: it is not"
        raise NoAnswer(f"{what} {path}") from error
    except TimeoutError as error:
        what = f"no answer on {path} within {timeout_s:g} s"
        if is_change:
            # It answers once the change is on the disk.
            text = f"look whether it was done before you repeat it, it may still be: {what}; the hub or its disk hangs"
            raise NoAnswer(text) from error
        raise NoAnswer(f"the hub hangs: {what}") from error
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"no usable answer on {path} ({error})") from error


def download(path: Path, route: str, write: Callable[[bytes], object], *, timeout_s: float) -> str:
    """Fetch a stream from the hub and pass it on piece by piece; return the file name that the hub gives it.

    Args:
        path: The hub's socket.
        route: The path of the request.
        write: Receives each piece.
        timeout_s: How long to wait for the next piece.

    Raises:
        NoAnswer, NotAllowed, RequestRefused: As `fetch`; `NoAnswer` also where the stream has no end.
    """
    connection = _UnixConnection(path, timeout_s)
    try:
        with _explained(path, timeout_s):
            connection.request("GET", route, headers=_session_header(os.environ.get(SESSION_VARIABLE)))
            response = connection.getresponse()
            piece = response.read(PIECE_BYTES)
        if response.status != http.client.OK:
            raise RequestRefused(_refusal_message(piece) or f"the hub refuses: status {response.status}")
        while piece:
            write(piece)
            with _explained(path, timeout_s):
                piece = response.read(PIECE_BYTES)
        found = _FILE_NAME.search(response.headers.get("Content-Disposition", ""))
        return found[1] if found else ""
    finally:
        connection.close()


def _session_header(session: str | None) -> dict[str, str]:
    return {} if session is None else {"Cookie": f"{SESSION_COOKIE}={session}"}


def _refusal_message(body: bytes) -> str:
    """Return the hub's message; empty where the answer is not that of a hub."""
    try:
        return sanitize(msgspec.json.decode(body, type=_Problem).detail, characters_max=TEXT_CHARACTERS_MAX)
    except DECODE_ERRORS:
        return ""


def as_json(body: bytes) -> str:
    """Return a document as it came, safe for a terminal: control characters are escaped, as JSON allows."""
    return escape(body.decode(errors="replace"))


def show(body: bytes, model: type[T], as_text: Callable[[T], str], *, is_json: bool) -> None:
    """Print a document: as it came, or as a text that is folded on a terminal.

    Raises:
        NoAnswer: See `decode`.
    """
    if is_json:
        click.echo(as_json(body))
    else:
        lines.echo(as_text(decode(body, model)))


def decode(body: bytes, model: type[T]) -> T:
    """Return a document as values with harmless texts. Fields that a newer hub has added are ignored.

    Raises:
        NoAnswer: The document has another form than this version expects.
    """
    try:
        return msgspec.convert(sanitize_value(msgspec.json.decode(body), characters_max=TEXT_CHARACTERS_MAX), model)
    except DECODE_ERRORS as error:
        text = f"use the climahub of the hub's own version: its answer is not understood ({error})"
        raise NoAnswer(text) from error


def advice(config_file: Path | None) -> str:
    """Return what to do where no hub answers.

    Args:
        config_file: The configuration that the user named; `None` for the service's.
    """
    start = "" if config_file is None else f", or climahub run --config {config_file}"
    return (
        "what to do next:\n"
        f"  is it started?        systemctl status climahub{start}\n"
        "  why did it stop?      journalctl -u climahub -n 50\n"
        f"  is it configured?     climahub config check {config_file or DEFAULT_CONFIG}\n"
        "  is it elsewhere?      climahub status --config FILE, or --socket PATH"
    )


def run_on_hub(
    act: Callable[[Path], int | None],
    config_file: Path | None,
    socket_path: Path | None,
    *,
    without_hub: Callable[[], bool] = lambda: False,
) -> int:
    """Run one action against the hub and return the exit code.

    Args:
        act: Asks on the given socket and prints the answer; returns an exit code where it is not always 0.
        config_file: The configuration that names the socket, where the user gave one.
        socket_path: The socket itself, where the user gave one.
        without_hub: Shows from the disk what it can, where no hub answers; returns whether that was anything.
    """
    try:
        return act(socket_path or socket_of(config_file)) or exit_codes.OK
    except NoAnswer as error:
        if socket_path is None and without_hub():
            click.echo(escape_lines(f"! {error}"), err=True)
            return exit_codes.OK
        click.echo(escape_lines(f"{error}\n{advice(config_file)}"), err=True)
        return exit_codes.NO_DAEMON
    except NotAllowed as error:
        click.echo(escape_lines(str(error)), err=True)
        return exit_codes.NO_PERMISSION


json_option = click.option("--json", "as_json", is_flag=True, help="Print the document as the hub gives it.")


def on_hub(ask: Callable[..., int | None]) -> Callable[..., int]:
    """Give a command the options that find the socket, and explain where there is no answer."""

    @config_option
    @socket_option
    @functools.wraps(ask)
    def wrapped(*, config_file: Path | None, socket_path: Path | None, **given: Any) -> int:  # noqa: ANN401
        return run_on_hub(lambda path: ask(path, **given), config_file, socket_path)

    return wrapped


def socket_of(config_file: Path | None) -> Path:
    """Return the socket that a configuration or the environment names; without them, the service's default."""
    if config_file is None and (named := os.environ.get(SOCKET_VARIABLE)):
        return Path(named)
    if config_file is None and _keeps_default_socket():
        return DEFAULT_SOCKET
    from agent.config import resolve  # noqa: PLC0415 - where the socket is known, a command does without

    return resolve(config_file or DEFAULT_CONFIG, environ=os.environ).config.local_api.socket


def _keeps_default_socket() -> bool:
    """Tell whether the service's configuration names no other socket, as far as this user may read it."""
    try:
        return keeps_default_socket(DEFAULT_CONFIG.read_text(encoding="utf-8"))
    except OSError:
        return True
    except UnicodeDecodeError:
        return False


class ZigbeeClient:
    """The Zigbee part of the local API of the hub on this machine."""

    def __init__(self, socket_path: Path) -> None:
        """Prepare; `socket_path` is the hub's socket."""
        self._path = socket_path

    def get(self, route: str = "/v1/zigbee") -> bytes:
        """Return a document.

        Raises:
            NoAnswer, NotAllowed, RequestRefused: See `fetch`.
        """
        return fetch(self._path, route, timeout_s=RADIO_TIMEOUT_S if route.endswith("backup") else None)

    def report(self) -> "ZigbeeReport":
        """Return the radio and its sensors.

        Raises:
            NoAnswer: Also where hub and command are of different versions.
        """
        from agent.local.zigbee import ZigbeeReport  # noqa: PLC0415 - other commands do without

        return decode(self.get(), ZigbeeReport)

    def scan(self) -> bytes:
        """Return the energy on the radio's channels; raises as `get`."""
        return fetch(self._path, "/v1/tests/radio-scan", method="POST", timeout_s=RADIO_TIMEOUT_S)

    def post(self, route: str, content: Any = None) -> None:  # noqa: ANN401 (any JSON)
        """Send a request below `/v1/zigbee`.

        Raises:
            NoAnswer, NotAllowed, RequestRefused: See `fetch`.
        """
        body = content if isinstance(content, bytes) else msgspec.json.encode(content)
        fetch(self._path, f"/v1/zigbee/{route}", method="POST", content=body, timeout_s=RADIO_TIMEOUT_S)

    def post_sensor(self, sensor: str, action: str, content: Any = None) -> None:  # noqa: ANN401 (any JSON)
        """Send a request about one sensor, given by name or address; raises as `post`."""
        self.post(f"sensors/{quote(sensor, safe='')}/{action}", content)


def with_zigbee_client(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command its client and the options that find the socket; explain where there is no answer."""

    @config_option
    @socket_option
    @functools.wraps(command)
    def wrapped(*, config_file: Path | None, socket_path: Path | None, **given: Any) -> int:  # noqa: ANN401
        return run_on_hub(lambda path: command(ZigbeeClient(path), **given), config_file, socket_path)

    return wrapped
