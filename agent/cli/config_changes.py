"""`climahub config set`, `unset`, `confirm` and `rollback`: change the configuration of the running hub."""

import tomllib
from pathlib import Path
from typing import Any

import click
import msgspec

from agent.cli import hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import config_option, run_on_hub, socket_option
from agent.foundation.format import duration
from agent.local.config import ConfigReport
from agent.local.routes import TRIAL_S, TRIAL_S_MAX, TRIAL_S_MIN

ROUTE = "/v1/config"

_EXITS = "0 done, 1 the hub refuses, 3 it does not answer, 77 this user may not ask"

trial_option = click.option(
    "--trial",
    "trial_s",
    type=click.IntRange(TRIAL_S_MIN, TRIAL_S_MAX),
    default=TRIAL_S,
    show_default=True,
    metavar="SECONDS",
    help="Undo the change unless it is confirmed within this time.",
)


def parse_value(text: str) -> Any:  # noqa: ANN401 - any value of TOML
    """Return a value as TOML has it; what is no TOML is a text, so that no quotes are needed within the shell's."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def as_text(report: ConfigReport) -> str:
    """Return what has happened and what to do next."""
    if report.trial is None:
        return "in force now"
    keys, left = ", ".join(report.trial.keys), duration(report.trial.left_s)
    restart = "" if report.trial.is_started else "; the hub restarts in a moment, which takes a second or two"
    return (
        f"{keys}: on trial{restart}.\n"
        f"Within {left}: check that all is well, then `climahub config confirm`. Otherwise the change undoes itself."
    )


def _send(method: str, route: str, content: object, config_file: Path | None, socket_path: Path | None) -> int:
    def act(path: Path) -> None:
        body = None if content is None else msgspec.json.encode(content)
        report = hub_client.decode(hub_client.fetch(path, route, method=method, content=body), ConfigReport)
        click.echo(as_text(report) if method == "PATCH" else report.last_trial)

    return run_on_hub(act, config_file, socket_path)


@click.command(
    "set",
    epilog=epilog(
        "climahub config set log.level debug",
        "climahub config set cloud.proxy http://proxy.example:3128",
        'climahub config set port.listen \'["127.0.0.1", "usb0"]\' --trial 600',
        exits=_EXITS,
    ),
)
@click.argument("key")
@click.argument("value")
@trial_option
@config_option
@socket_option
def set_value(key: str, value: str, trial_s: int, config_file: Path | None, socket_path: Path | None) -> int:
    """Change KEY to VALUE at the running hub. The configuration file stays as it is."""
    content = {"changes": {key: parse_value(value)}, "trial_s": trial_s}
    return _send("PATCH", ROUTE, content, config_file, socket_path)


@click.command("unset", epilog=epilog("climahub config unset cloud.proxy", exits=_EXITS))
@click.argument("key")
@trial_option
@config_option
@socket_option
def unset(key: str, trial_s: int, config_file: Path | None, socket_path: Path | None) -> int:
    """Take back the change of KEY, so that the configuration file's value counts again."""
    return _send("PATCH", ROUTE, {"changes": {key: None}, "trial_s": trial_s}, config_file, socket_path)


@click.command("confirm", epilog=epilog("climahub config confirm", exits=_EXITS))
@config_option
@socket_option
def confirm(config_file: Path | None, socket_path: Path | None) -> int:
    """Keep the change that is on trial."""
    return _send("POST", f"{ROUTE}/confirm", None, config_file, socket_path)


@click.command("rollback", epilog=epilog("climahub config rollback", exits=_EXITS))
@config_option
@socket_option
def roll_back(config_file: Path | None, socket_path: Path | None) -> int:
    """Undo the change that is on trial."""
    return _send("POST", f"{ROUTE}/rollback", None, config_file, socket_path)
