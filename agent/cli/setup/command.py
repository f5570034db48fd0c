"""`climahub setup`: sets this machine's hub up, from answers in a file or of a person."""

import os
import sys
from pathlib import Path

import click
import msgspec

from agent.cli import exit_codes
from agent.cli.exit_codes import epilog
from agent.cli.setup.answers import Answers, not_a_key, read_answers
from agent.cli.setup.key_store import KeyStore
from agent.cli.setup.procedure import WAIT_S, Options, Places, Procedure, Steps
from agent.config.reading import read_text
from agent.config.secrets import is_api_key
from agent.foundation.clock import monotonic_s
from agent.foundation.disk import Disk
from agent.foundation.text import escape_lines

_FILE = click.Path(dir_okay=False, path_type=Path)
_EXITS = (
    "0 the cloud has accepted a reading, 1 systemd or the disk refuses, 4 the hub runs and no reading is accepted yet,"
    " 69 the cloud does not answer, 77 the cloud refuses the key or this is not root, 78 an answer is wrong"
)


@click.command(
    epilog=epilog(
        "sudo climahub setup --answers answers.toml",
        "sudo climahub setup --answers answers.toml --key-file /media/stick/hub.key",
        exits=_EXITS,
    )
)
@click.option("--answers", "answers_file", type=_FILE, required=True, help="Take the answers from this file.")
@click.option("--key-file", type=_FILE, help="Take the hub's key of the cloud from this file.")
@click.option("--replace", is_flag=True, help="Replace a configuration that a person has written; a copy stays.")
@click.option("--offline", is_flag=True, help="Go on where the cloud does not answer; the key is not checked then.")
@click.option("--no-start", is_flag=True, help="Write everything, and start nothing.")
@click.option("--wait", "wait_s", type=click.FloatRange(0, 3600), default=WAIT_S, show_default=True,
              help="Seconds to wait for the first reading.")  # fmt: skip
def setup(
    answers_file: Path, key_file: Path | None, replace: bool, offline: bool, no_start: bool, wait_s: float
) -> int:
    """Set this hub up: find board and sensors, check the cloud's key, configure, start, wait for the first reading.

    Everything is checked before anything is written. docs/install.md says what an answers file holds.
    """
    if os.geteuid() != 0:
        click.echo("use sudo: setup writes to /etc and starts the service", err=True)
        return exit_codes.NO_PERMISSION
    # The service reads its configuration as a user of its own, whatever the shell's mask is.
    os.umask(0o022)
    steps = Steps(lambda line: click.echo(escape_lines(line)), monotonic_s)
    text = read_text(answers_file)
    answers = read_answers(text, file=str(answers_file))
    if key_file is not None:
        answers = msgspec.structs.replace(answers, key="", key_file=str(key_file.absolute()))
    disk, places = Disk(), Places()
    procedure = Procedure(
        places=places,
        keys=KeyStore(places.etc, disk=disk),
        disk=disk,
        steps=steps,
        options=Options(replace=replace, starts=not no_start, wait_s=wait_s, is_offline=offline),
        environ=os.environ,
        ask_for_key=_ask_for_key if sys.stdin.isatty() else None,
    )
    code = procedure.run(answers, text=text, file=str(answers_file))
    click.echo(_end(steps.total_s, answers, answers_file))
    return code


def _ask_for_key() -> str:
    """Ask until the answer has the form of a key; it is not echoed."""
    while True:
        key: str = click.prompt("Key of the cloud for this hub", hide_input=True).strip()
        if is_api_key(key):
            return key
        click.echo(not_a_key(key))


def _end(total_s: float, answers: Answers, file: Path) -> str:
    lines = [f"{total_s:6.1f} s  in all. Next: climahub status; the page: climahub port code, then climahub port"]
    if answers.key:
        lines.append(f"{'':10}remove the key from {file}: shred --remove {file}")
    return "\n".join(lines)
