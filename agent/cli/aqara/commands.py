"""`climahub aqara devices`, `spaces`, `set` and `refresh`."""

import functools
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec

from agent.cli import exit_codes
from agent.cli.aqara import control
from agent.cli.aqara.control import Wanted
from agent.cli.aqara.device_cache import DeviceCache, default_directory
from agent.cli.exit_codes import epilog
from agent.foundation.clock import SystemClock
from agent.foundation.disk import Disk
from agent.foundation.format import duration
from agent.foundation.text import escape_lines, plural, sanitize, sanitize_value
from hal.aqara.device_list import KnownDevice
from hal.aqara.endpoint import AqaraEndpoint, EndpointLost, TokenRefused
from hal.aqara.selection import DeviceFilter, NotInList, select

URL_VARIABLE = "AQARA_ENDPOINT_URL"
TOKEN_VARIABLE = "AQARA_OPEN_API_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_BYTES_MAX = 8 * 1024
SPACE_DEPTH_MAX = 64
"""Levels of a tree that are shown."""

EXITS = "0 done, 1 refused or not set, 69 the endpoint does not answer, 77 it does not take the token"

_FILE = click.Path(dir_okay=False, path_type=Path)


class Access(msgspec.Struct, frozen=True):
    """The endpoint of a command, and its cache."""

    endpoint: AqaraEndpoint
    cache: DeviceCache
    clock: SystemClock


def _with_access(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the endpoint that options or variables name, and explain where it does not answer."""

    @click.option("--url", envvar=URL_VARIABLE, metavar="URL", help=f"The endpoint [{URL_VARIABLE}].")
    @click.option("--token-file", type=_FILE, help=f"The file with the token [{TOKEN_VARIABLE} with the token itself].")
    @click.option("--ca-file", type=_FILE, help="Trust this certificate in place of the system's: that of a hub.")
    @click.option("--cache", "directory", type=click.Path(file_okay=False, path_type=Path), help="Keep the list here.")
    @functools.wraps(command)
    def wrapped(
        *,
        url: str | None,
        token_file: Path | None,
        ca_file: Path | None,
        directory: Path | None,
        **given: Any,  # noqa: ANN401 (the options of the command)
    ) -> int:
        try:
            return command(_access(url, token_file, ca_file, directory), **given)
        except TokenRefused as error:
            return _fail(error, exit_codes.NO_PERMISSION)
        except EndpointLost as error:
            return _fail(error, exit_codes.UNAVAILABLE)
        except NotInList as error:
            return _fail(f"climahub aqara refresh, then try again: {error}", exit_codes.FAILED)

    return wrapped


def _fail(error: object, code: int) -> int:
    click.echo(escape_lines(f"climahub: {error}"), err=True)
    return code


def _access(url: str | None, token_file: Path | None, ca_file: Path | None, directory: Path | None) -> Access:
    if not url:
        raise click.UsageError(f"give --url, or set {URL_VARIABLE}")
    token, clock = _token(token_file), SystemClock(trust_wall_clock=True)
    try:
        endpoint = AqaraEndpoint(
            url,
            token,
            new_id=lambda: secrets.token_hex(8),
            monotonic_ms=clock.monotonic_ms,
            ca_file=str(ca_file) if ca_file else None,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if is_in_the_clear(url):
        click.echo("climahub: use https where the endpoint has it: everybody on the way can read the token", err=True)
    return Access(endpoint, DeviceCache(endpoint, directory or default_directory(endpoint.host), Disk()), clock)


def is_in_the_clear(url: str) -> bool:
    """Tell whether a token would leave this machine readable for everybody on the way."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}


def _token(token_file: Path | None) -> str:
    """Return the token. It is no option: every user of the machine can read command lines."""
    if token_file is not None:
        data = Disk().read(token_file, bytes_max=TOKEN_BYTES_MAX)
        if data is None:
            raise click.UsageError(f"there is no file {token_file}")
        return data.decode(errors="replace").strip()
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise click.UsageError(f"give --token-file, or set {TOKEN_VARIABLE}")
    return token


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command(
    epilog=epilog(
        "climahub aqara devices",
        "climahub aqara devices --room Bedroom --type TemperatureSensor",
        "climahub aqara devices --trait HeatingTemperature --online --json",
        exits=EXITS,
    )
)
@click.option("--room", default="", help="Only those in this space; the whole name, in any case.")
@click.option("--type", "kind", default="", help="Only those of this type code.")
@click.option("--trait", default="", help="Only those with this trait code.")
@click.option("--name", default="", help="Only those with this in their name or id.")
@click.option("--online/--offline", "is_online", default=None, help="Only those that are online, or offline.")
@_json_option
@_with_access
def devices(access: Access, room: str, kind: str, trait: str, name: str, is_online: bool | None, as_json: bool) -> int:
    """List the devices of the cached list with their values; fetch the list where there is none."""
    found = select(access.cache.devices(), DeviceFilter(room, kind, trait, name, is_online))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(sanitize_value(msgspec.to_builtins(found)))).decode())
    else:
        click.echo(as_text(found, trait))
        click.echo(age_as_text(access.cache.age_s(access.clock.utc_ms())), err=True)
    return exit_codes.OK


def age_as_text(age_s: float | None) -> str:
    """Return how old the values of the list are."""
    if age_s is None:
        return "how old the list is is not known: climahub aqara refresh fetches it anew"
    return f"the list is {duration(age_s)} old: climahub aqara refresh fetches it anew"


def as_text(found: Sequence[KnownDevice], trait: str = "") -> str:
    """Return a block of lines for each device: its name, types, place and state, then its traits.

    Args:
        found: The devices.
        trait: Show only the traits of this code; empty for all.
    """
    if not found:
        return "no device of the list fits; climahub aqara refresh fetches it anew"
    lines: list[str] = []
    for device in found:
        state = {True: "online", False: "offline", None: "state unknown"}[device.is_online]
        lines.append(f"{device.name}  [{', '.join(device.types)}]  {device.room or 'no space'}  {state}")
        lines.append(f"  {device.device_id}")
        lines += [
            f"  {each.endpoint_id:>3}  {each.function_code}.{each.trait_code} = "
            f"{sanitize(str(device.shown(each)))} {each.unit}".rstrip()
            for each in device.traits
            if trait.casefold() in {"", each.trait_code.casefold()}
        ]
    return escape_lines("\n".join(lines))


@click.command(epilog=epilog("climahub aqara spaces", "climahub aqara spaces --json", exits=EXITS))
@_json_option
@_with_access
def spaces(access: Access, as_json: bool) -> int:
    """Show the rooms, floors and houses of the endpoint as a tree, as they are now."""
    found = access.endpoint.list_spaces()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(sanitize_value(found))).decode())
    else:
        click.echo(escape_lines("\n".join(_space_lines(found)) or "the endpoint has no space"))
    return exit_codes.OK


def _space_lines(nodes: object, level: int = 0) -> list[str]:
    lines: list[str] = []
    for node in nodes if isinstance(nodes, list) and level < SPACE_DEPTH_MAX else []:
        if isinstance(node, dict):
            texts = [sanitize(str(node[key])) for key in ("name", "spatialMarking", "spaceId") if node.get(key)]
            lines.append("  " * level + "  ".join(texts))
            lines += _space_lines(node.get("children"), level + 1)
    return lines


@click.command(
    "set",
    epilog=epilog(
        "climahub aqara set 'Bedroom climate' HeatingTemperature 21",
        "climahub aqara set lumi.device.abc123 HeaterCoolerMode heat",
        "climahub aqara set Lamp OnOff off --endpoint 2",
        exits=EXITS,
    ),
)
@click.argument("device")
@click.argument("trait")
@click.argument("value")
@click.option("--endpoint", "endpoint_id", type=int, help="Where several endpoints of the device have the trait.")
@_with_access
def set_trait(access: Access, device: str, trait: str, value: str, endpoint_id: int | None) -> int:
    """Set one trait of a device of the cached list, and read it back."""
    found, shown = control.set_trait(access.endpoint, access.cache, Wanted(device, trait, value, endpoint_id))
    click.echo(escape_lines(f"{found.name}: {shown.trait_code} is {shown.value} {shown.unit}".rstrip()))
    return exit_codes.OK


@click.command(epilog=epilog("climahub aqara refresh", exits=EXITS))
@_with_access
def refresh(access: Access) -> int:
    """Fetch the device list anew."""
    click.echo(f"{plural(len(access.cache.refresh()), 'device')} in the list")
    return exit_codes.OK
