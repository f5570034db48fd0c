"""`climahub console`: a person on a serial line."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import click

from agent.cli import exit_codes
from agent.cli.console import link
from agent.cli.console.session import ConsoleSession, sign_in, sign_out
from agent.cli.console.shell import Shell, SignedOut
from agent.cli.console.terminal import TtyTerminal
from agent.cli.console.transfer import Sender, TransferFailed
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import SESSION_VARIABLE, SOCKET_VARIABLE, config_option, socket_of, socket_option
from agent.default_paths import DEFAULT_CONFIG
from agent.errors import ConfigInvalid
from agent.foundation.clock import monotonic_s
from agent.foundation.text import escape_lines
from agent.local.routes import Role

COMMAND_S_MAX = 3600.0
"""How long one command may hold the terminal. A commissioning walk takes half an hour. A command that only shows must
not keep a terminal signed in whose person has left."""

LINGER_S = 1.0
"""How long acknowledgements are read after the last one that was needed."""

_MAKERS: Mapping[str, Sequence[str]] = MappingProxyType(
    {"bundle": ("support-bundle",), "backup": ("zigbee", "backup", "climahub-zigbee-backup.json")}
)
"""The command that makes what is sent, in an empty directory of its own."""

_HOW_TO_RECEIVE = """\
Close this terminal program, then run on your computer, within a minute:
  climahub receive DEVICE --rate RATE        such as /dev/ttyUSB0 and 115200
Afterwards connect the terminal program again. Waiting ..."""


@click.command(
    epilog=epilog(
        "systemctl enable --now climahub-console@ttyGS0   a console on the USB cable",
        "climahub console                                 the same on this terminal",
        exits="0 the person has left",
    )
)
@config_option
@socket_option
def console(config_file: Path | None, socket_path: Path | None) -> int:
    """Serve a technician on this terminal: sign-in, commands, files. climahub-console@.service runs it on a line."""
    socket = socket_path or socket_of(config_file)
    shell = Shell(
        TtyTerminal(),
        root=_root(),
        sign_in=lambda code: sign_in(code, socket, lambda typed: _role_offline(typed, config_file)),
        sign_out=lambda session: sign_out(session, socket),
        run=lambda words, session: _run(words, session, socket),
        send=lambda session, what, way: _send(session, what, way, socket),
    )
    with contextlib.suppress(SignedOut):
        shell.serve()
    return exit_codes.OK


def _root() -> click.Group:
    from agent.cli.root import cli  # noqa: PLC0415 - it imports this module when the command runs

    return cli


def _role_offline(typed: str, config_file: Path | None) -> Role | None:
    """Return the role of a code by the hub's file, for a hub whose agent does not run; `None` for a wrong code."""
    from agent.config import StorageConfig, resolve  # noqa: PLC0415 - seldom needed
    from agent.foundation.disk import Disk  # noqa: PLC0415
    from agent.port.sign_in.codes import read_code, role_of  # noqa: PLC0415
    from agent.port.sign_in.credentials import read_codes  # noqa: PLC0415

    try:
        state_dir = resolve(config_file or DEFAULT_CONFIG, environ=os.environ).config.storage.state_dir
    except ConfigInvalid:
        # What keeps the agent from starting must not keep the technician out.
        state_dir = StorageConfig().state_dir
    return role_of(read_codes(state_dir, Disk()), read_code(typed) or "")


def _run(words: Sequence[str], session: ConsoleSession, socket: Path, directory: Path | None = None) -> int:
    environment = {**os.environ, SESSION_VARIABLE: session.cookie, SOCKET_VARIABLE: str(socket)}
    # -P: the directory of whoever started the console must not be searched for code.
    command = [sys.executable, "-P", "-m", "agent", *words]
    process = subprocess.Popen(command, env=environment, cwd=directory)  # noqa: S603 - checked before
    ends_s = monotonic_s() + COMMAND_S_MAX
    while True:
        try:
            return process.wait(max(ends_s - monotonic_s(), 0))
        except KeyboardInterrupt:
            # The command has received it as well, and ends.
            continue
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise SignedOut("the command took too long") from None


def _send(session: ConsoleSession, what: str, way: str, socket: Path) -> None:
    sz = shutil.which("sz")
    if way == "zmodem" and sz is None:
        click.echo("install lrzsz on the hub, or type send: there is no sz here")
        return
    with tempfile.TemporaryDirectory(prefix="climahub-") as directory:
        click.echo("collecting ...")
        if _run(_MAKERS[what], session, socket, Path(directory)) != exit_codes.OK:
            return
        file = next(Path(directory).iterdir(), None)
        if file is None:
            click.echo("report this: what is to be sent is not where it should be")
        elif way == "zmodem" and sz is not None:
            subprocess.run([sz, "--quiet", str(file)], check=False)  # noqa: S603 - a program of the system
        else:
            _send_binary(file)


def _send_binary(file: Path) -> None:
    click.echo(_HOW_TO_RECEIVE)
    sys.stdout.flush()
    sender = Sender(file.name, file.read_bytes(), now_s=monotonic_s())
    reader, writer = sys.stdin.fileno(), sys.stdout.fileno()
    try:
        with link.raw_mode(reader):
            link.run(sender, reader, writer, now_s=monotonic_s, progress=lambda: None, linger_s=LINGER_S)
    except (TransferFailed, OSError) as error:
        click.echo(escape_lines(str(error)))
    else:
        click.echo(f"sent: {file.name}")
