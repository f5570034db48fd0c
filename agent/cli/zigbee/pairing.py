"""`climahub zigbee pair`, `replace`, `key`, `rename` and `remove`, with live progress."""

import sys
import time
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from agent.cli import exit_codes
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import RequestRefused, ZigbeeClient, with_zigbee_client
from agent.cli.lines import is_agreed
from agent.cli.zigbee.pairing_progress import PairingProgress, PairingResult, step_text
from agent.foundation.format import duration, plural
from agent.local.zigbee import ZigbeeReport
from agent.pairing.labels import TEXT_CHARACTERS_MAX
from hal.radio import JOIN_WINDOW_S_MAX

LOOK_S = 0.4
KEY_BYTES_MAX = 4096

_EXITS = "0 done, 1 not done, 3 the hub does not answer, 77 this user may not ask, 130 stopped with Ctrl-C"

_key_option = click.option(
    "--key-file",
    type=click.File("r"),
    metavar="FILE",
    help='The sensor\'s ClimaSense key, alone in a file; "-" reads it from standard input.',
)
_window_options = (
    click.option(
        "--seconds",
        type=click.IntRange(1, JOIN_WINDOW_S_MAX),
        default=JOIN_WINDOW_S_MAX,
        show_default=True,
        help="How long sensors may join.",
    ),
    click.option("--through", default="", metavar="ROUTER", help="Join through this router only."),
    click.option(
        "--label",
        default="",
        metavar="TEXT",
        help='The label\'s address and install code, or its QR text; "-" reads it from standard input.',
    ),
    click.option("--no-wait", is_flag=True, help="Open the join window and return."),
)


def _with_window(command: Callable[..., int]) -> Callable[..., int]:
    for option in reversed(_window_options):
        command = option(command)
    return command


@click.command(
    epilog=epilog(
        "climahub zigbee pair --name attic --key-file attic.key",
        "climahub zigbee pair --label 'Z:000D6FFFFED4163B$I:52797BF4A5084DAA8E1712B61741CA024051' --name attic",
        "climahub zigbee pair --many --seconds 120",
        exits=_EXITS,
    )
)
@click.option("--many", "is_many", is_flag=True, help="Keep the join window open after the first sensor.")
@click.option("--name", default="", help="The name of the sensor.")
@_key_option
@_with_window
@with_zigbee_client
def pair(
    hub: ZigbeeClient,
    is_many: bool,
    name: str,
    key_file: Any,  # noqa: ANN401 (a file that click has opened)
    seconds: int,
    through: str,
    label: str,
    no_wait: bool,
) -> int:
    """Open the join window for a sensor; then press the sensor's button.

    Shows each step until the cloud has the first reading. In a terminal, asks for a missing name and key. Without a key
    the sensor waits, and its readings are kept.
    """
    asked = {"seconds": seconds, "is_many": is_many, "through": through, "label": _text(label), "name": name}
    return _open(hub, asked | {"key": _key(key_file)}, no_wait=no_wait)


@click.command(
    epilog=epilog(
        "climahub zigbee replace attic",
        "climahub zigbee replace attic --with 0x00158d0001a2b3c4",
        exits=_EXITS,
    )
)
@click.argument("old")
@click.option("--with", "new", default="", metavar="SENSOR", help="A sensor that has joined already and waits.")
@_with_window
@with_zigbee_client
def replace(hub: ZigbeeClient, old: str, new: str, seconds: int, through: str, label: str, no_wait: bool) -> int:
    """Replace the sensor OLD: the new one takes over its name, identity and history in the cloud.

    Opens the join window for the new sensor, which needs no key. With --with, uses a sensor that has joined already.
    """
    if new:
        hub.post_sensor(old, "replace", {"new": new})
        click.echo(f"{new} replaces {old}")
        return exit_codes.OK
    asked = {"seconds": seconds, "through": through, "label": _text(label), "replaces": old}
    return _open(hub, asked, no_wait=no_wait)


@click.command(epilog=epilog("climahub zigbee key attic --key-file attic.key", exits=_EXITS))
@click.argument("sensor")
@_key_option
@with_zigbee_client
def key(hub: ZigbeeClient, sensor: str, key_file: Any) -> int:  # noqa: ANN401 (a file that click has opened)
    """Give SENSOR its ClimaSense key."""
    given = _key(key_file) or _prompt_key()
    if not given:
        raise click.UsageError("add --key-file FILE: a key is needed")
    hub.post_sensor(sensor, "key", {"key": given})
    click.echo(f"{sensor} has its key; climahub zigbee list shows when its readings are relayed")
    return exit_codes.OK


@click.command(epilog=epilog("climahub zigbee rename 0x00158d0001a2b3c4 attic", exits=_EXITS))
@click.argument("sensor")
@click.argument("name")
@with_zigbee_client
def rename(hub: ZigbeeClient, sensor: str, name: str) -> int:
    """Rename SENSOR to NAME."""
    hub.post_sensor(sensor, "name", {"name": name})
    click.echo(f"{sensor} is now {name}")
    return exit_codes.OK


@click.command(epilog=epilog("climahub zigbee remove attic", exits=_EXITS))
@click.argument("sensor")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@with_zigbee_client
def remove(hub: ZigbeeClient, sensor: str, yes: bool) -> int:
    """Stop relaying SENSOR and remove it from the network. Its identity is kept in case it returns.

    Removes any member of the network that `climahub zigbee list` shows by its address, routers too.
    """
    # A hub that does not answer is reported before a person is asked.
    hub.get()
    if not yes and not is_agreed(f"Remove {sensor}?"):
        raise click.Abort
    hub.post_sensor(sensor, "remove")
    click.echo(f"{sensor} is no longer relayed and leaves the network")
    return exit_codes.OK


def _open(hub: ZigbeeClient, asked: dict[str, Any], *, no_wait: bool) -> int:
    before = hub.report()
    hub.post("join-window", asked)
    if no_wait:
        click.echo(f"the join window is open for {asked['seconds']} s; climahub zigbee status shows the progress")
        return exit_codes.OK
    progress = PairingProgress(before, is_many=asked.get("is_many", False), now_s=_now_s())
    try:
        return _follow(hub, progress, asked)
    except KeyboardInterrupt:
        hub.post("join-window/close")
        click.echo("stopped; the join window is closed", err=True)
        return exit_codes.INTERRUPTED


def _follow(hub: ZigbeeClient, progress: PairingProgress, asked: dict[str, Any]) -> int:
    while True:
        end, report = _show_steps(hub, progress)
        if end in {PairingResult.NEEDS_KEY, PairingResult.REFUSED} and _ask_for_key(hub, progress.device, asked):
            continue
        return _conclude(end, progress, report)


def _show_steps(hub: ZigbeeClient, progress: PairingProgress) -> tuple[PairingResult, ZigbeeReport]:
    """Show each step as it comes, until there is an end."""
    console = Console(highlight=False, soft_wrap=True)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            report = hub.report()
            names = {sensor.device: sensor.name for sensor in report.sensors}
            for step in progress.advance(report, _now_s()):
                console.print(Text(step_text(step, names)))
            end = progress.end(report, _now_s())
            if end is not None:
                return end, report
            if console.is_terminal:
                live.update(Text(_waiting_for(progress, report)), refresh=True)
            time.sleep(LOOK_S)


def _waiting_for(progress: PairingProgress, report: ZigbeeReport) -> str:
    left_s = report.radio.join_window_left_s
    if left_s is None:
        return "the join window is closed; waiting for the rest ... (Ctrl-C stops watching)"
    what = "press the sensor's button" if not progress.device else "waiting for the sensor"
    return f"{what} ... {duration(left_s)} left (Ctrl-C closes the join window)"


def _ask_for_key(hub: ZigbeeClient, device: str, asked: dict[str, Any]) -> bool:
    """Ask the person for a missing name and key; return whether a key was given."""
    if not sys.stdin.isatty():
        return False
    if not asked.get("name"):
        asked["name"] = click.prompt("Name", default="", show_default=False).strip()
        if asked["name"]:
            hub.post_sensor(device, "name", {"name": asked["name"]})
    while given := _prompt_key():
        try:
            hub.post_sensor(device, "key", {"key": given})
        except RequestRefused as error:
            click.echo(str(error), err=True)
        else:
            return True
    return False


def _prompt_key() -> str:
    if not sys.stdin.isatty():
        return ""
    given: str = click.prompt("Key (hidden; empty: later)", default="", hide_input=True, show_default=False)
    return given.strip()


def _conclude(end: PairingResult, progress: PairingProgress, report: ZigbeeReport) -> int:
    names = {sensor.device: sensor.name for sensor in report.sensors}
    problems = {sensor.device: sensor.problem for sensor in report.sensors}
    name = names.get(progress.device, progress.device)
    problem = problems.get(progress.device, "")
    if end is PairingResult.DONE and len(progress.devices) > 1:
        click.echo(f"{plural(len(progress.devices), 'sensor')} joined; climahub zigbee list shows their progress")
    match end:
        case PairingResult.DONE:
            return exit_codes.OK
        case PairingResult.RELAYING:
            click.echo(f"{name} is relayed; its first reading has not arrived yet")
            return exit_codes.OK
        case PairingResult.ROUTER:
            click.echo(
                f"a router has joined: climahub zigbee pair --through {progress.routers[0]} lets sensors in there"
            )
            return exit_codes.OK
        case PairingResult.GUEST:
            click.echo(
                f"{progress.guests[0]} has joined and measures nothing that the hub relays; to have it leave:"
                f" climahub zigbee remove {progress.guests[0]}",
                err=True,
            )
        case PairingResult.NEEDS_KEY:
            click.echo(f"{name} has joined and waits for its key: climahub zigbee key {progress.device}", err=True)
        case PairingResult.REFUSED:
            click.echo(f"{name} has joined; {problem}\nanother key: climahub zigbee key {progress.device}", err=True)
        case PairingResult.NOBODY:
            click.echo(
                f"no sensor joined{_by_label(progress)}.\nwhat to do next:\n"
                "  is it reset?   most sensors: hold the button until the light blinks\n"
                "  is it near?    join within 2 m of the stick or of a router, then carry it to its place\n"
                "  needs a code?  look for a QR code on it: climahub zigbee pair --label TEXT",
                err=True,
            )
        case _:
            reason = problem or "the hub continues; climahub zigbee list shows the progress"
            click.echo(f"{name} is not paired yet: {reason}", err=True)
    return exit_codes.FAILED


def _by_label(progress: PairingProgress) -> str:
    """Name the label of the join window: a sensor with another code is refused silently."""
    if not progress.expected:
        return ""
    return (
        f" with the label of {progress.expected}.\n  is it this one? compare address and code with the print on the"
        " sensor; with a label, no other sensor can join"
    )


def _text(given: str) -> str:
    if given != "-":
        return given
    # A label may have several lines; a person types one line.
    text = sys.stdin.readline() if sys.stdin.isatty() else sys.stdin.read(TEXT_CHARACTERS_MAX + 1)
    return text.strip()


def _key(file: Any) -> str:  # noqa: ANN401 (a file that click has opened)
    try:
        return "" if file is None else str(file.read(KEY_BYTES_MAX)).strip()
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"name another file: {file.name} holds no text", param_hint="--key-file") from error


def _now_s() -> float:
    return time.perf_counter()
