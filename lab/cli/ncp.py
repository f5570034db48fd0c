"""`climahub ncp`: the emulated Zigbee coordinator on a pseudo terminal. `lab.ncp` does the emulation."""

import asyncio
import contextlib
import socket
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli import exit_codes
from agent.cli.exit_codes import epilog
from agent.foundation.disk import Disk
from hal.errors import HalError
from lab.cli.options import on_signals

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.ncp.server import EmulatorServer

FILE_BYTES_MAX = 4 * 1024 * 1024
ANSWER_BYTES_MAX = 1024 * 1024
ANSWER_WAIT_S = 5.0
DEFAULT_VERSION = "13"

_file = click.Path(dir_okay=False, path_type=Path)


@click.group(
    invoke_without_command=True,
    subcommand_metavar="[say SOCKET WORDS...]",
    epilog=epilog(
        "climahub ncp --pty ncp --devices house.toml",
        "climahub ncp --pty ncp --devices house.toml --state stick.json --sensors sensors.json --version 14",
        "climahub ncp --pty ncp --devices house.toml --faults corrupt=0.05,silence=20@60",
        "climahub ncp --pty ncp --devices house.toml --control orders",
        "climahub ncp say orders press bedroom",
        "climahub ncp say orders set bedroom temperature_c=21.5",
        exits="0 stopped with Ctrl-C, 69 climahub-lab[zigbee] is not installed, 73 a file or the port cannot be used",
    ),
)
@click.option("--pty", "link", type=_file, metavar="LINK", help="The name of the serial port, for the host.")
@click.option("--devices", type=_file, metavar="FILE", help="The sensors around the stick, in TOML.")
@click.option("--state", type=_file, metavar="FILE", help="The stick's flash; another file is another stick.")
@click.option("--sensors", type=_file, metavar="FILE", help="The sensors' flash: which network they belong to.")
@click.option(
    "--version", type=click.Choice(["13", "14", "18"]), default=DEFAULT_VERSION, show_default=True, help="Of EZSP."
)
@click.option("--seed", type=click.IntRange(min=0), help="Overrides the seed of the device file.")
@click.option(
    "--faults",
    "fault_words",
    default="",
    metavar="NAME=AMOUNT@S,...",
    help="Faults of the serial line, and when they begin.",
)
@click.option("--control", type=_file, metavar="SOCKET", help="Socket for orders: press, set, report, unplug, fault.")
@click.pass_context
def ncp(
    context: click.Context,
    link: Path | None,
    devices: Path | None,
    state: Path | None,
    sensors: Path | None,
    version: str,
    seed: int | None,
    fault_words: str,
    control: Path | None,
) -> int:
    """Emulate a Zigbee stick and its sensors, for any host that speaks EZSP, until Ctrl-C.

    Faults: corrupt (part of the chunks), silence, slow_host, full and gone (seconds), reset.
    """
    if context.invoked_subcommand is not None:
        given = {"--pty": link, "--devices": devices, "--state": state, "--sensors": sensors, "--control": control}
        if ignored := [option for option, value in given.items() if value is not None]:
            raise click.UsageError(f"leave out {', '.join(ignored)}: unused before {context.invoked_subcommand}")
        return exit_codes.OK
    if link is None or devices is None:
        raise click.UsageError("--pty and --devices are needed")
    try:
        from lab.ncp import serial_port  # noqa: PLC0415 - needs an optional package
        from lab.ncp.server import EmulatorFiles, build_server  # noqa: PLC0415 - needs an optional package
    except ModuleNotFoundError as error:
        if error.name not in {"bellows", "zigpy"}:
            raise
        click.echo("climahub: the emulated stick needs more packages: pip install 'climahub-lab[zigbee]'", err=True)
        return exit_codes.UNAVAILABLE
    found = serial_port.parse_all(fault_words)
    disk = Disk()
    setup = EmulatorFiles(
        device_file=_text(disk, devices),
        device_file_name=str(devices),
        stick=None if state is None else disk.read(state, bytes_max=FILE_BYTES_MAX),
        devices_memory=None if sensors is None else disk.read(sensors, bytes_max=FILE_BYTES_MAX),
        version=int(version),
        seed=seed,
    )

    def keep_in(path: Path | None, content: bytes) -> None:
        if path is not None:
            disk.write(path, content)

    build = partial(
        build_server, setup, link=link, faults=found,
        keep_stick=partial(keep_in, state), keep_devices=partial(keep_in, sensors),
    )  # fmt: skip
    asyncio.run(_serve(build, control, f"serial port {link}, EZSP v{version}"))
    click.echo("stopped", err=True)
    return exit_codes.OK


async def _serve(build: "Callable[[], EmulatorServer]", control: Path | None, started: str) -> None:
    """Serve until a signal; ``started`` is printed when the port is open."""
    from lab.ncp.control import serve_control  # noqa: PLC0415 - needs an optional package

    stop = asyncio.Event()
    on_signals(stop.set)
    server = build()
    server.open()
    try:
        click.echo(started)
        async with contextlib.AsyncExitStack() as stack:
            if control is not None:
                await stack.enter_async_context(serve_control(server, control))
                click.echo(f'orders: climahub ncp say {control} "press NAME"')
            await stop.wait()
    finally:
        server.close()


def _text(disk: Disk, path: Path) -> str:
    content = disk.read(path, bytes_max=FILE_BYTES_MAX)
    if content is None:
        raise click.UsageError(f"check the path: {path} does not exist")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"name another file: {path} holds no text") from error


@ncp.command(epilog=epilog("climahub ncp say orders list", "climahub ncp say orders press bedroom"))
@click.argument("control", type=_file, metavar="SOCKET")
@click.argument("words", nargs=-1, required=True)
def say(control: Path, words: tuple[str, ...]) -> int:
    """Send a command to a running stick: list, press, set, report, unplug, plug or fault."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_WAIT_S)
        try:
            connection.connect(str(control))
            connection.sendall(" ".join(words).encode() + b"\n")
            answer = connection.makefile("rb").readline(ANSWER_BYTES_MAX).decode()
        except OSError as error:
            raise HalError(f"start a stick with --control {control}: none takes orders there") from error
    click.echo(answer.rstrip())
    return exit_codes.OK if '"ok":true' in answer else exit_codes.FAILED
