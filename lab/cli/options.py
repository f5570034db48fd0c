"""Options and helpers that several commands share: the board, signals, access to the admin API."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import click
import msgspec
from click.shell_completion import CompletionItem

from agent.errors import Rejected, Unauthorized
from agent.foundation.text import escape, escape_lines
from lab.refcloud.admin_client import AdminClient

_REPLAY = "replay:"
SENSORS_MIN = 7
"""The simulated hub has one sensor of each kind."""


class BoardChoice(msgspec.Struct, frozen=True):
    """A board as the command line names it; `recording` is that of a replay."""

    name: str
    recording: Path | None = None


def _parse(context: click.Context, parameter: click.Parameter, value: str) -> BoardChoice:
    """Return the choice. A missing file is reported here, before anything is started."""
    if value == "sim":
        return BoardChoice("sim")
    path = Path(value.removeprefix(_REPLAY))
    if not value.startswith(_REPLAY) or value == _REPLAY:
        problem = f'found "{value}"; allowed are sim and replay:FILE'
    elif not path.is_file():
        problem = f"check the path: {path} does not exist"
    else:
        return BoardChoice("replay", path)
    raise click.BadParameter(problem, context, parameter)


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the two names, but not the file name after `replay:`."""
    del context, parameter
    return [CompletionItem(name) for name in ("sim", _REPLAY) if name.startswith(incomplete)]


board_option = click.option(
    "--board",
    default="sim",
    show_default=True,
    metavar="sim|replay:FILE",
    callback=_parse,
    shell_complete=_complete,
    help="A simulated house, or a recording of one.",
)
map_option = click.option(
    "--map",
    "map_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Which column of the recording is which sensor (TOML).",
)


def check_map(board: BoardChoice, map_file: Path | None) -> None:
    """Refuse a replay without a map, and a map without a replay.

    Raises:
        UsageError: One is there without the other.
    """
    if board.name == "replay" and map_file is None:
        raise click.UsageError("add --map FILE: a recording needs its map (docs/recordings.md)")
    if board.name != "replay" and map_file is not None:
        raise click.UsageError("add --board replay:FILE: --map belongs to a recording")


def check_house(board: BoardChoice, sensors: int | None) -> None:
    """Refuse a size of the simulated house together with a recording, which has its own sensors.

    Raises:
        UsageError: Both are there.
    """
    if board.name == "replay" and sensors is not None:
        raise click.UsageError("leave --sensors out: a recording has the sensors that its map names")


def on_signals(stop: Callable[[], None]) -> None:
    """Call ``stop`` on the running loop at SIGINT and SIGTERM, also where a shell ignores them (`&`)."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)


DEFAULT_URL = "http://127.0.0.1:8080"
TOKEN_VARIABLE = "CLIMAHUB_ADMIN_TOKEN"  # noqa: S105 - a name, not a token

URL_VARIABLE = "CLIMAHUB_CLOUD_URL"

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

token_option = click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help=f"File with the admin token. [default: the environment variable {TOKEN_VARIABLE}]",
)
url_option = click.option(
    "--url",
    default=DEFAULT_URL,
    show_default=True,
    envvar=URL_VARIABLE,
    show_envvar=True,
    help="Where the cloud listens.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def admin_options(command: F) -> F:
    """Add the options that every operator's command has: `url`, `token_file` and `as_json`."""
    return url_option(token_option(json_option(command)))


def find_token(token_file: Path | None) -> str:
    """Return the admin token: from the file, from the environment, or an empty text."""
    return read_secret(token_file, TOKEN_VARIABLE)


def read_secret(file: Path | None, variable: str) -> str:
    """Return the secret that stands alone in a file, else that of an environment variable, or an empty text.

    Raises:
        Rejected: The file holds no text; the message never holds the content.
        OSError: The file cannot be read.
    """
    if file is None:
        return os.environ.get(variable, "")
    try:
        return file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise Rejected(f"name another file: {file} holds no text") from error


def ask(url: str, token_file: Path | None, work: Callable[[AdminClient], Awaitable[T]]) -> T:
    """Run one operation on a running cloud.

    Raises:
        Unauthorized: The token is missing or wrong.
        Rejected: The cloud refuses; the message says why.
        CloudUnavailable: No usable answer.
    """
    token = find_token(token_file)
    if not token:
        raise Unauthorized(f"set {TOKEN_VARIABLE}, or add --token-file: the admin token is missing")

    async def in_session() -> T:
        async with aiohttp.ClientSession() as session:
            return await work(AdminClient(session, url, token))

    return asyncio.run(in_session())


async def device_id_of(admin: AdminClient, name: str) -> str:
    """Return the id of a device that is given by name or by id.

    Raises:
        Rejected: There is no such device.
    """
    devices = await admin.devices()
    for device in devices:
        if name in {device.name, device.device_id}:
            return device.device_id
    known = ", ".join(device.name for device in devices) or "none"
    raise Rejected(f"choose one of these devices: {known}; there is no {name}")


def show(value: object, text: str, *, as_json: bool) -> None:
    """Print a result for a script or for a person."""
    click.echo(escape(msgspec.json.encode(value).decode()) if as_json else escape_lines(text))


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return columns of text, a heading first."""
    rows = [heading, *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
