"""`climahub setup`: sets this machine's hub up, from answers in a file or of a person."""

import os
import sys
from pathlib import Path

import click
import msgspec

from agent.cli import exit_codes
from agent.cli.exit_codes import epilog
from agent.cli.setup import claim as claims
from agent.cli.setup.answers import not_a_key, read_answers
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
@click.option("--answers", "answers_file", type=_FILE, help="Take the answers from this file.")
@click.option(
    "--claim", is_flag=True, help=f"Take them from {claims.NAME} on the boot partition, if it is there; wipe it."
)
@click.option(
    "--key-file", type=_FILE, help="Take the key of the cloud from this file; without answers: a new key for this hub."
)
@click.option("--replace", is_flag=True, help="Replace a configuration that a person has written; a copy stays.")
@click.option("--offline", is_flag=True, help="Go on where the cloud does not answer; the key is not checked then.")
@click.option("--wipe", is_flag=True, help="Overwrite and remove the answers once they are taken.")
@click.option("--no-start", is_flag=True, help="Write everything, and start nothing.")
@click.option("--wait", "wait_s", type=click.FloatRange(0, 3600), default=WAIT_S, show_default=True,
              help="Seconds to wait for the first reading.")  # fmt: skip
def setup(
    answers_file: Path | None,
    claim: bool,
    key_file: Path | None,
    replace: bool,
    offline: bool,
    wipe: bool,
    no_start: bool,
    wait_s: float,
) -> int:
    """Set this hub up: find board and sensors, check the cloud's key, configure, start, wait for the first reading.

    Everything is checked before anything is written. docs/install.md says what an answers file holds.
    """
    if answers_file is not None and claim:
        raise click.UsageError("give --answers or --claim")
    if os.geteuid() != 0:
        click.echo("use sudo: setup writes to /etc and starts the service", err=True)
        return exit_codes.NO_PERMISSION
    # The service reads its configuration as a user of its own, whatever the shell's mask is.
    os.umask(0o022)
    options = Options(replace=replace, starts=not no_start, wait_s=wait_s, is_offline=offline, wipes=wipe)
    if claim:
        answers_file = claims.find_claim()
        if answers_file is None:
            click.echo(f"there is no {claims.NAME} on the boot partition")
            return exit_codes.OK
        options = msgspec.structs.replace(options, is_offline=True, wipes=True, cloud_s=claims.CLOUD_S)
    steps, disk, places = Steps(lambda line: click.echo(escape_lines(line)), monotonic_s), Disk(), Places()
    procedure = Procedure(
        places=places,
        keys=KeyStore(places.etc, disk=disk),
        disk=disk,
        steps=steps,
        options=options,
        environ=os.environ,
        ask_for_key=_ask_for_key if sys.stdin.isatty() else None,
    )
    if answers_file is None and key_file is not None:
        return procedure.renew_key(key_file)
    if answers_file is None:
        raise click.UsageError("name the answers: --answers FILE; or a new key: --key-file FILE")
    text = read_text(answers_file)
    answers = read_answers(text, file=str(answers_file))
    if key_file is not None:
        answers = msgspec.structs.replace(answers, key="", key_file=str(key_file.absolute()))
    code = procedure.run(answers, text=text, file=str(answers_file))
    click.echo(
        f"{steps.total_s:6.1f} s  in all. Next: climahub status; the page: climahub port code, then climahub port"
    )
    if claim and answers.key:
        steps.note(f"! {claims.ADVICE}")
    elif answers.key and not wipe:
        steps.note(f"remove the key from {answers_file}: shred --remove {answers_file}")
    return code


def _ask_for_key() -> str:
    """Ask until the answer has the form of a key; it is not echoed."""
    while True:
        key: str = click.prompt("Key of the cloud for this hub", hide_input=True).strip()
        if is_api_key(key):
            return key
        click.echo(not_a_key(key))
