"""How the operator's commands reach a running reference cloud: its address, the token, and one piece of work."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import click
import msgspec

from agent.errors import Rejected, Unauthorized
from agent.foundation.text import escape, escape_lines
from lab.refcloud.admin_client import AdminClient

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
    """Return the admin token: from the file, else from the environment, else the empty text."""
    return token_file.read_text().strip() if token_file else os.environ.get(TOKEN_VARIABLE, "")


def ask(url: str, token_file: Path | None, work: Callable[[AdminClient], Awaitable[T]]) -> T:
    """Do one piece of work with a running cloud.

    Raises:
        Unauthorized: The token is missing or wrong.
        Rejected: The cloud refuses; the message says why.
        CloudUnavailable: No usable answer.
    """
    token = find_token(token_file)
    if not token:
        raise Unauthorized(f"the admin token is missing: set {TOKEN_VARIABLE}, or give --token-file")

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
    raise Rejected(f"there is no device {name}; known: {known}")


def show(value: object, text: str, *, as_json: bool) -> None:
    """Print a result for a script or for a person."""
    click.echo(escape(msgspec.json.encode(value).decode()) if as_json else escape_lines(text))


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return columns of text, a heading first."""
    rows = [heading, *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
