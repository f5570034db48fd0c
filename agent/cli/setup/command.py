"""`climahub setup`: sets this machine's hub up, from answers in a file or of a person."""

import os
import sys
import time
from pathlib import Path

import click
import msgspec

from agent.cli import exit_codes
from agent.cli.exit_codes import epilog
from agent.cli.numbers import FiniteRange
from agent.cli.setup import claim as claims
from agent.cli.setup import service
from agent.cli.setup.answers import Answers, read_answers
from agent.cli.setup.key_request import KeyTaker, restart_soon
from agent.cli.setup.key_store import KeyStore
from agent.cli.setup.machine import find_present, read_temperatures
from agent.cli.setup.procedure import WAIT_S, Options, Places, Procedure, Steps
from agent.config import load
from agent.config.reading import read_text
from agent.config.secrets import is_api_key, not_a_key
from agent.foundation.clock import monotonic_s
from agent.foundation.disk import Disk
from agent.foundation.text import escape_lines
from agent.local.cloud_key import answer_file, request_file

_FILE = click.Path(dir_okay=False, path_type=Path)
_EXITS = (
    "0 the cloud has accepted a reading, 1 systemd or the disk refuses, 4 the hub runs and no reading is accepted yet,"
    " 69 the cloud does not answer, 77 the cloud refuses the key or this is not root, 78 an answer is wrong"
)
_NEXT = "Next: climahub status; the page: climahub port code, then climahub port"


@click.command(
    epilog=epilog(
        "sudo climahub setup                                       ask, on a terminal",
        "sudo climahub setup --answers answers.toml",
        "sudo climahub setup --key-file /media/stick/hub.key       give this hub another key",
        exits=_EXITS,
    )
)
@click.option("--answers", "answers_file", type=_FILE, help="Take the answers from this file.")
@click.option(
    "--claim", is_flag=True, help=f"Take them from {claims.NAME} on the boot partition, if it is there; wipe it."
)
@click.option("--key-file", type=_FILE, help="Take the key of the cloud from this file; alone: a new key for this hub.")
@click.option(
    "--key-request", is_flag=True, help="Store the key that the page was given (climahub-key-request.service)."
)
@click.option("--replace", is_flag=True, help="Replace a configuration that a person has written; a copy stays.")
@click.option("--offline", is_flag=True, help="Go on where the cloud does not answer; the key is not checked then.")
@click.option("--wipe", is_flag=True, help="Overwrite and remove the answers once they are taken.")
@click.option("--sheet", "sheet_file", type=_FILE, help="Write a sheet for the house: addresses, sign-in code, zones.")
@click.option("--no-start", is_flag=True, help="Write everything, and start nothing.")
@click.option("--wait", "wait_s", type=FiniteRange(0, 3600), default=WAIT_S, show_default=True,
              help="Seconds to wait for the first reading.")  # fmt: skip
def setup(
    answers_file: Path | None,
    claim: bool,
    key_file: Path | None,
    key_request: bool,
    replace: bool,
    offline: bool,
    wipe: bool,
    sheet_file: Path | None,
    no_start: bool,
    wait_s: float,
) -> int:
    """Set this hub up: find board and sensors, check the cloud's key, configure, start, wait for the first reading.

    Without --answers it asks. Everything is checked before anything is written. docs/install.md says what an answers
    file holds.
    """
    if answers_file is not None and claim:
        raise click.UsageError("give --answers or --claim")
    if os.geteuid() != 0:
        click.echo("use sudo: setup writes to /etc and starts the service", err=True)
        return exit_codes.NO_PERMISSION
    # The service reads its configuration as a user of its own, whatever the shell's mask is.
    os.umask(0o022)
    if key_request:
        return _store_requested_key()
    options = Options(
        replace=replace, starts=not no_start, wait_s=wait_s, is_offline=offline, wipes=wipe, sheet_file=sheet_file
    )
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
        ask_for_key=_ask_for_key if _is_terminal() else None,
    )
    if answers_file is None and key_file is not None:
        return procedure.renew_key(key_file)
    if answers_file is None:
        answers, text = _ask_person(places, has_key=procedure.has_key), ""
    else:
        text = read_text(answers_file)
        answers = read_answers(text, file=str(answers_file))
    if key_file is not None:
        answers = msgspec.structs.replace(answers, key="", key_file=str(key_file.absolute()))
    code = procedure.run(answers, text=text, file=str(answers_file or "your answers"))
    click.echo(f"{steps.total_s:6.1f} s  in all. {_NEXT}")
    if answers.key and answers_file is not None:
        _note_key_left(steps, answers_file, claim=claim, wipe=wipe)
    return code


def _note_key_left(steps: Steps, answers_file: Path, *, claim: bool, wipe: bool) -> None:
    """Tell who may know a key that stood in a file of answers."""
    if claim:
        steps.note(f"! {claims.ADVICE}")
    elif not wipe:
        steps.note(f"remove the key from {answers_file}: shred --remove {answers_file}")


def _store_requested_key() -> int:
    """Store the key that the page was given, and restart the hub with it."""
    places, disk = Places(), Disk()
    run_dir = service.RUN_DIR
    taker = KeyTaker(
        answer=answer_file(run_dir),
        drop_in=places.drop_in.with_name("setup-key.conf"),
        keys=KeyStore(places.etc, disk=disk),
        disk=disk,
        load=lambda: load(places.config, environ={}),
    )
    answer = taker.run(request_file(run_dir))
    if answer is None:
        click.echo("no key is to be stored")
        return exit_codes.OK
    click.echo(escape_lines(f"{'the key is' if answer.is_stored else 'not stored:'} {answer.text}"))
    if not answer.is_stored:
        return exit_codes.FAILED
    restart_soon(service.restart)
    return exit_codes.OK


def _is_terminal() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty()


def _ask_person(places: Places, *, has_key: bool) -> Answers:
    """Walk a person through the questions; return the answers."""
    if not _is_terminal():
        raise click.UsageError("name the answers: --answers FILE; or a new key: --key-file FILE")
    # Imported late: a hub that is set up by a script does without.
    from agent.cli.setup import terminal, wizard  # noqa: PLC0415

    board, socket, base_url = find_present(places.config)
    facts = wizard.Facts(
        base_url=base_url,
        has_key=has_key,
        key_files=terminal.find_key_files(),
        time_zone=terminal.machine_time_zone(),
        thermometers=list(read_temperatures(board, socket)),
    )
    person = terminal.Terminal(
        ask=lambda prompt, is_secret: str(
            click.prompt(prompt, prompt_suffix="", default="", show_default=False, hide_input=is_secret)
        ),
        say=lambda line: click.echo(escape_lines(line)),
        read=lambda: read_temperatures(board, socket),
        sleep=time.sleep,
    )
    return wizard.answers_of(person.run(facts))


def _ask_for_key() -> str:
    """Ask until the answer has the form of a key; it is not echoed."""
    while True:
        key: str = click.prompt("Key of the cloud for this hub", hide_input=True).strip()
        if is_api_key(key):
            return key
        click.echo(not_a_key(key))
