"""`climahub`: the table of commands, and the exit code for an error that no command has handled.

Must stay quick to import: a command's module is imported when the command runs, so that `climahub version` and shell
completion do not wait for an HTTP library. For the same reason installed packages are searched for more commands only
when a name is not in the table here, and for the list of all commands.
"""

import contextlib
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

from agent import __version__
from agent.cli import exit_codes
from agent.errors import ClimahubError, CloudUnavailable, ConfigInvalid, Unauthorized
from agent.foundation.text import escape_lines
from hal.errors import HalError, RecordingInvalid

PROGRAM = "climahub"


class Entry(msgspec.Struct, frozen=True):
    """A command that is imported when it runs.

    Attributes:
        place: Its module and object, as `MODULE:NAME`.
        summary: Its line in `climahub --help`.
        group: Its users, one of `GROUPS`.
    """

    place: str
    summary: str
    group: str


HOME, TECHNICIAN, FLEET, DEVELOPER = "Home", "Technician", "Fleet", "Developer"
GROUPS = (HOME, TECHNICIAN, FLEET, DEVELOPER)

ENTRY_POINTS = "climahub.commands"
"""The entry point group of other packages' commands. Each entry point is a mapping from names to `Entry`. A name of two
words, such as "api check", is a command of an `OpenGroup`."""

LAB_PACKAGE = "climahub-lab"
LAB_COMMANDS = ("demo", "cloud", "simulate", "ncp", "api check", "maintenance analyse")
"""The commands of `LAB_PACKAGE`; a hub without it has none of them, and names the package."""


COMMANDS: Mapping[str, Entry] = MappingProxyType(
    {
        "status": Entry("agent.cli.status:status", "Show the state of the hub on this machine.", HOME),
        "climate": Entry(
            "agent.cli.climate:climate",
            "Show or control the zones: set, hold, resume, eco, schedules.",
            HOME,
        ),
        "setup": Entry(
            "agent.cli.setup.command:setup", "Set this hub up, until its first reading is accepted.", TECHNICIAN
        ),
        "doctor": Entry(
            "agent.cli.doctor:doctor",
            "Check everything around the hub, and say what to do.",
            TECHNICIAN,
        ),
        "maintenance": Entry(
            "agent.cli.maintenance:maintenance",
            "Show how the heating drifts from its own past, and what to do.",
            TECHNICIAN,
        ),
        "zigbee": Entry(
            "agent.cli.zigbee:zigbee",
            "Pair, list, replace and remove the Zigbee sensors of this hub.",
            TECHNICIAN,
        ),
        "commands": Entry(
            "agent.cli.commands:commands",
            "List the cloud's commands to this hub, or confirm a factory reset.",
            TECHNICIAN,
        ),
        "boots": Entry("agent.cli.boots:boots", "List the boots of this machine and how each ended.", TECHNICIAN),
        "logs": Entry("agent.cli.logs:logs", "Show the hub's last log records, or follow them.", TECHNICIAN),
        "sensors": Entry("agent.cli.sensors:sensors", "Show every sensor now; --watch follows them.", TECHNICIAN),
        "relay": Entry("agent.cli.relay:relay", "List the outputs, or test one while somebody watches.", TECHNICIAN),
        "commission": Entry(
            "agent.cli.commission:commission",
            "Heat each zone in turn, and find swapped wires and sensors.",
            TECHNICIAN,
        ),
        "identify": Entry("agent.cli.identify:identify", "Let the LED of this hub blink, to find it.", TECHNICIAN),
        "support-bundle": Entry(
            "agent.cli.support_bundle:support_bundle", "Write one file for whoever helps, without secrets.", TECHNICIAN
        ),
        "update": Entry(
            "agent.cli.update:update",
            "Show or steer the hub's updates, or install one from a file.",
            TECHNICIAN,
        ),
        "port": Entry(
            "agent.cli.port:port",
            "Show how to reach the hub's page and API, and who may: codes, tokens, sessions, audit.",
            TECHNICIAN,
        ),
        "api": Entry("agent.cli.api:api", "Show which other APIs the hub answers, and to whom.", TECHNICIAN),
        "homekit": Entry("agent.cli.homekit:homekit", "Pair the zones with Apple's Home app.", TECHNICIAN),
        "facts": Entry(
            "agent.cli.facts:facts",
            "Show what the hub knows about itself and since when; record a service visit.",
            TECHNICIAN,
        ),
        "console": Entry(
            "agent.cli.console.command:console", "Serve a technician on this terminal or serial line.", TECHNICIAN
        ),
        "aqara": Entry(
            "agent.cli.aqara:aqara",
            "Read and set the devices of an Aqara Open API endpoint: Aqara's cloud, or another hub.",
            TECHNICIAN,
        ),
        "receive": Entry(
            "agent.cli.console.receive:receive", "Take a hub's support bundle over a serial cable.", TECHNICIAN
        ),
        "config": Entry("agent.cli.config:config", "Check, show or change a configuration.", TECHNICIAN),
        "run": Entry("agent.cli.run:run", "Run the hub (what the systemd service does).", TECHNICIAN),
        "backup": Entry("agent.cli.backup:backup", "Write this hub to one encrypted file.", FLEET),
        "restore": Entry("agent.cli.restore:restore", "Make this machine the hub in such a file.", FLEET),
        "bundle": Entry("agent.cli.bundle:bundle", "Make keys, and build, sign and verify releases for hubs.", FLEET),
        "version": Entry("agent.cli.program:version", "Print the version.", DEVELOPER),
        "completion": Entry("agent.cli.program:completion", "Print the completion script of a shell.", DEVELOPER),
    }
)
"""By group, each in the order in which a newcomer needs them."""

EPILOG = f"""\b
First steps:
  climahub demo               a hub and its cloud, without any setup (package climahub-lab)
  climahub config example     a configuration to start from
  climahub COMMAND --help     options and examples of a command

\b
Exit codes:
{exit_codes.as_text()}
"""


class NotInstalled(click.ClickException):
    """A command whose package is not installed."""

    exit_code = exit_codes.UNAVAILABLE


def all_commands() -> Mapping[str, Entry]:
    """Return the commands of all installed packages: those of other packages first, commands of a group last.

    Reads the metadata of every installed package, which takes some 10 ms.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415 - 15 ms that most commands do without

    found: dict[str, Entry] = {}
    for point in entry_points(group=ENTRY_POINTS):
        # A package that is half removed brings no commands.
        with contextlib.suppress(ImportError):
            found |= point.load()
    # A command of a group, such as "maintenance analyse", comes after those that stand alone.
    return dict(sorted({**found, **COMMANDS}.items(), key=lambda item: " " in item[0]))


class Root(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the tables."""
        del ctx
        return list(all_commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        entry = COMMANDS.get(cmd_name) or all_commands().get(cmd_name)
        return None if entry is None else _command_of(entry)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; name the package that brings it, or suggest the nearest name.

        Raises:
            NotInstalled: It is a command of a package that is not installed.
            UsageError: There is no such command.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            name = args[0]
            if name in LAB_COMMANDS:
                raise _not_installed(name) from error
            near = get_close_matches(name, all_commands(), n=1)
            raise click.UsageError(f"there is no command {name}{_hint(near)}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the tables without importing any command."""
        del ctx
        commands = all_commands()
        for group in GROUPS:
            with formatter.section(group):
                formatter.write_dl([(name, entry.summary) for name, entry in commands.items() if entry.group == group])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command without importing any command."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=entry.summary)
            for name, entry in all_commands().items()
            if name.startswith(incomplete) and " " not in name
        ]


class OpenGroup(click.Group):
    """A group to which other packages add commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, those of other packages last."""
        added = [name.removeprefix(f"{self.name} ") for name in all_commands() if name.startswith(f"{self.name} ")]
        return [*super().list_commands(ctx), *added]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; one of another package is imported.

        Raises:
            NotInstalled: It is a command of a package that is not installed.
        """
        name = f"{self.name} {cmd_name}"
        if found := super().get_command(ctx, cmd_name):
            return found
        if entry := all_commands().get(name):
            return _command_of(entry)
        if name in LAB_COMMANDS:
            raise _not_installed(name)
        return None


def _command_of(entry: Entry) -> click.Command:
    module, _, name = entry.place.partition(":")
    command: click.Command = getattr(importlib.import_module(module), name)
    return command


def _not_installed(name: str) -> NotInstalled:
    return NotInstalled(
        f"install {LAB_PACKAGE}, which brings climahub {name}: pip install {LAB_PACKAGE}=={__version__}"
    )


def _hint(near: Sequence[str]) -> str:
    return f"; did you mean climahub {near[0]}?" if near else "; climahub --help lists them all"


@click.group(
    cls=Root, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@click.version_option(package_name="climahub", prog_name=PROGRAM, message="%(prog)s %(version)s")
def cli() -> None:
    """The agent of a thermostat hub: keeps every reading until the cloud has it, and keeps the home comfortable."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. An expected error is reported in a line or two, never as a traceback.

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
        click.echo(escape_lines(f"{PROGRAM}: {_told(error)}"), err=True)
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
