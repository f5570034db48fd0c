"""The manual pages climahub(1) and climahub.toml(5), written from the commands and the configuration's keys themselves.

Troff of man(7) by hand: click's and the configuration's texts are short lines that need no more than its paragraphs.
"""

from collections.abc import Iterator

import click

from agent import __version__
from agent.cli import exit_codes
from agent.cli.root import COMMANDS, GROUPS, Root
from agent.config.report import toml_value
from agent.config.tables import KEYS, TABLES

FILES = (
    ("/etc/climahub/config.toml", "The configuration: climahub.toml(5)."),
    ("/etc/climahub/api-key", "The hub's key, which systemd passes to the service."),
    ("/etc/climahub/update-keys/", "Public keys whose releases the hub may install."),
    ("/var/lib/climahub/", "What the hub keeps: outbox, settings, schedules, pairings."),
    ("/run/climahub/status.sock", "Where the commands ask the running hub."),
)


def escaped(text: str) -> str:
    """Return text that troff takes literally: no line of it is a request, no backslash an escape."""
    safe = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in safe.splitlines())


def command_manual() -> str:
    """Return climahub(1)."""
    lines = [*_head("climahub", 1, "agent of a thermostat hub")]
    lines += [".SH SYNOPSIS", ".B climahub", "COMMAND [OPTIONS] [ARGUMENTS]"]
    lines += [".SH DESCRIPTION", "Shows and operates the thermostat hub that runs on this machine."]
    lines += ["The service", ".B climahub run", "is the hub itself; the other commands ask it over its socket."]
    root = Root("climahub")
    context = click.Context(root, info_name="climahub")
    for group in GROUPS:
        lines.append(f".SH {group.upper()} COMMANDS")
        for name, entry in COMMANDS.items():
            command = root.get_command(context, name)
            if entry.group == group and command is not None:
                lines += _command(command, click.Context(command, info_name=name, parent=context))
    lines.append(".SH EXIT STATUS")
    for code, meaning in exit_codes.MEANINGS.items():
        lines += [".TP", str(code), escaped(meaning)]
    lines.append(".SH FILES")
    for path, meaning in FILES:
        lines += [".TP", f".I {escaped(path)}", escaped(meaning)]
    lines += [".SH SEE ALSO", ".BR climahub.toml (5)"]
    return "\n".join(lines) + "\n"


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f".SS {escaped(f'{context.command_path} {pieces}')}"
    for paragraph in (command.help or "").replace("\b\n", "").split("\n\n"):
        yield escaped(" ".join(paragraph.split()))
        yield ".PP"
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and parameter.name != "help":
            yield ".TP"
            yield f".B {escaped(record[0])}"
            yield escaped(record[1] or "\\&")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _command(child, click.Context(child, info_name=name, parent=context))


def configuration_manual() -> str:
    """Return climahub.toml(5)."""
    lines = [*_head("climahub.toml", 5, "configuration of a thermostat hub")]
    lines += [".SH DESCRIPTION", ".I /etc/climahub/config.toml", "is a TOML file with the tables and keys below."]
    lines += ["Relative paths start at the directory of the file. No secret belongs in it.", "Check a file with"]
    lines.append(escaped("`climahub config check FILE`; `climahub config example` prints one to start from."))
    for table, about in TABLES.items():
        lines += [f".SH [{escaped(table)}]", escaped(about)]
        for key in KEYS:
            if key.section == table:
                unit = f" {key.type.unit}" if key.type.unit else ""
                default = "required" if key.is_required else "no default"
                if key.default is not None:
                    default = f"default {toml_value(key.default)}{unit}"
                lines += [".TP", f".B {escaped(key.name)}", escaped(f"{key.reason[0].upper()}{key.reason[1:]}.")]
                lines += [".br", escaped(f"Allowed: {key.type.allowed}; {default}.")]
    lines += [".SH SEE ALSO", ".BR climahub (1)"]
    return "\n".join(lines) + "\n"


def _head(name: str, section: int, about: str) -> Iterator[str]:
    yield f'.TH {name.upper()} {section} "" "climahub {__version__}"'
    yield ".SH NAME"
    yield f"{name} \\- {escaped(about)}"
