"""`climahub`: the table of commands, and what becomes of an error that nobody has handled.

Must stay quick to import: a command's module is imported when the command runs, so that `climahub version` and shell
completion do not wait for an HTTP library.
"""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import click
import msgspec
from click.shell_completion import CompletionItem

from agent.cli import exit_codes
from agent.errors import ClimahubError, CloudUnavailable, ConfigInvalid, Unauthorized
from agent.foundation.foreign_text import printable
from hal.errors import HalError, RecordingInvalid

PROGRAM = "climahub"


class Entry(msgspec.Struct, frozen=True):
    """Where a command lives (`MODULE:NAME` below `agent.cli`, or in `lab`), its summary, and for whom it is."""

    place: str
    summary: str
    group: str


HOME, TECHNICIAN, FLEET, DEVELOPER = "Home", "Technician", "Fleet", "Developer"
GROUPS = (HOME, TECHNICIAN, FLEET, DEVELOPER)


COMMANDS: Mapping[str, Entry] = MappingProxyType(
    {
        "demo": Entry(
            "lab.demo.command:demo", "Watch a hub and its cloud live through outages, in this terminal.", HOME
        ),
        "status": Entry("status:status", "Ask the hub on this machine how it is doing.", HOME),
        "climate": Entry(
            "climate:climate", "See what every zone does and why; set, hold, resume, eco, schedules.", HOME
        ),
        "zigbee": Entry(
            "zigbee.group:zigbee", "Pair, list, replace and remove the Zigbee sensors of this hub.", TECHNICIAN
        ),
        "commands": Entry(
            "commands:commands", "List what the cloud told the hub to do, or confirm a factory reset.", TECHNICIAN
        ),
        "update": Entry("update:update", "Show or steer the hub's updates, or install one from a file.", TECHNICIAN),
        "config": Entry("config:config", "Check, show or begin a configuration.", TECHNICIAN),
        "run": Entry("run:run", "Run the hub (what the systemd service does).", TECHNICIAN),
        "bundle": Entry("bundle:bundle", "Make keys, and make, sign and examine releases for hubs.", FLEET),
        "cloud": Entry(
            "lab.cli.cloud.group:cloud", "Run a reference ClimaSense cloud, or operate a running one.", FLEET
        ),
        "simulate": Entry(
            "lab.cli.simulate:simulate", "Run days of a hub's life in seconds, with faults, and judge them.", DEVELOPER
        ),
        "ncp": Entry("lab.cli.ncp:ncp", "Emulate a Zigbee stick and its sensors on a pseudo terminal.", DEVELOPER),
        "version": Entry("version:version", "Print the version.", DEVELOPER),
        "completion": Entry("completion:completion", "Print the completion script of a shell.", DEVELOPER),
    }
)
"""By group, each in the order in which a newcomer wants them."""

EPILOG = f"""\b
First steps:
  climahub demo               a hub and its cloud, nothing to set up
  climahub config example     a configuration to begin with
  climahub COMMAND --help     options and examples of a command

\b
Exit codes:
{exit_codes.as_text()}
"""


class Root(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.place.partition(":")
        place = module if module.startswith("lab.") else f"agent.cli.{module}"
        command: click.Command = getattr(importlib.import_module(place), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; suggest the nearest for a name that there is not."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], COMMANDS, n=1)
            raise click.UsageError(f"there is no command {args[0]}{_hint(near)}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table without importing anything."""
        del ctx
        for group in GROUPS:
            with formatter.section(group):
                formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items() if entry.group == group])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command without importing anything."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=entry.summary) for name, entry in COMMANDS.items() if name.startswith(incomplete)
        ]


def _hint(near: Sequence[str]) -> str:
    return f"; did you mean climahub {near[0]}?" if near else "; climahub --help lists them all"


@click.group(
    cls=Root, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@click.version_option(package_name="climahub", prog_name=PROGRAM, message="%(prog)s %(version)s")
def cli() -> None:
    """The agent of a thermostat hub: keeps every reading until the cloud has it, and keeps the home comfortable."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. What goes wrong on purpose is told in a line or two, never a traceback.

    Args:
        arguments: Without the program's name; `None`: those of the process.
    """
    try:
        outcome: Any = cli.main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        # Who reads has gone (`| head`). The interpreter would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.BROKEN_PIPE
    except (ClimahubError, HalError, OSError) as error:
        click.echo(printable(f"{PROGRAM}: {_told(error)}"), err=True)
        return _code_of(error)
    return outcome if isinstance(outcome, int) else exit_codes.OK


def main() -> None:
    """Run the command line of this process and exit with its code."""
    raise SystemExit(run())


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _code_of(error: Exception) -> int:
    match error:
        case ConfigInvalid() | RecordingInvalid():
            return exit_codes.CONFIG
        case Unauthorized() | PermissionError():
            return exit_codes.NO_PERMISSION
        case CloudUnavailable():
            return exit_codes.UNAVAILABLE
        case OSError():
            return exit_codes.CANNOT_CREATE
        case _:
            return exit_codes.FAILED
