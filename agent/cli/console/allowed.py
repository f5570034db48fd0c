"""Which commands a console runs for which role. Pure.

Denies by default: a command that is not listed here is refused, and so is every option or argument that names a file or
another hub, since the console runs as the service's user. The hub checks the role of each request once more.
"""

import shlex
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import click
import msgspec

from agent.errors import ClimahubError
from agent.local.routes import Role

LINE_CHARACTERS_MAX = 512
"""Of one typed line; a longer one is noise."""


class CommandRefused(ClimahubError):
    """A line that the console does not run. The message says what to type."""


class Allowed(msgspec.Struct, frozen=True):
    """A command of the console: its line in the help, and who may run it at all."""

    summary: str
    role: Role = Role.VIEWER


ALLOWED: Mapping[str, Allowed] = MappingProxyType(
    {
        "status": Allowed("the state of the hub, problems first"),
        "doctor": Allowed("check everything from power to heating"),
        "sensors": Allowed("the sensors with value, age, battery and link"),
        "climate": Allowed("show or control the zones"),
        "zigbee": Allowed("pair, list and remove sensors"),
        "relay": Allowed("test one relay", Role.SERVICE),
        "commission": Allowed("heat each zone until its own sensor answers", Role.SERVICE),
        "identify": Allowed("let the LED blink, to find this hub among others", Role.SERVICE),
        "update": Allowed("show or steer updates"),
        "commands": Allowed("the cloud's commands"),
        "logs": Allowed("the last log records"),
        "boots": Allowed("how each boot ended"),
        "port": Allowed("addresses, codes, tokens, sessions, audit"),
        "api": Allowed("clients of the hub's other APIs", Role.OWNER),
        "version": Allowed("the version"),
    }
)


def split(line: str) -> list[str]:
    """Return the words of a typed line, without a leading `climahub`.

    Raises:
        CommandRefused: The line is too long, or a quotation mark is missing.
    """
    if len(line) > LINE_CHARACTERS_MAX:
        raise CommandRefused(f"type at most {LINE_CHARACTERS_MAX} characters")
    printable = "".join(each for each in line if each.isprintable() or each == "\t")
    try:
        words = shlex.split(printable)
    except ValueError:
        raise CommandRefused("close the quotation mark") from None
    return words[1:] if words[:1] == ["climahub"] else words


def check(words: Sequence[str], role: Role, root: click.Group) -> None:
    """Refuse a command that this console does not run for this role.

    Args:
        words: A command and its arguments.
        role: Of the person who has signed in.
        root: The command line, which has the parameters of each command.

    Raises:
        CommandRefused: The message says what to type.
    """
    name = words[0]
    allowed = ALLOWED.get(name)
    if allowed is None:
        raise CommandRefused(f"type help for the commands: {name} is none of this console")
    if role < allowed.role:
        raise CommandRefused(f"sign in as {allowed.role.value} (type bye): {role.value} may not use {name}")
    command: click.Command = root
    context = click.Context(root)
    for word in words:
        if not isinstance(command, click.Group):
            break
        if (found := command.get_command(context, word)) is not None:
            command = found
        _check_files(command, words)


def _check_files(command: click.Command, words: Sequence[str]) -> None:
    for parameter in command.params:
        if not isinstance(parameter.type, click.Path | click.File):
            continue
        if isinstance(parameter, click.Argument):
            text = "run it in a shell on the hub: the console reads and writes no files"
            raise CommandRefused(f"{text}, as `{' '.join(words[:2])}` does")
        for option in parameter.opts:
            if any(_is_option(word, option) for word in words):
                raise CommandRefused(f"leave out {option}: the console reads and writes no files, and has one hub")


def _is_option(word: str, option: str) -> bool:
    """Tell whether a word gives an option: `--output`, `--output=FILE`, `-o`, `-oFILE`, `-xoFILE`."""
    if option.startswith("--"):
        return word == option or word.startswith(f"{option}=")
    return word.startswith("-") and not word.startswith("--") and option[1] in word[1:]


def help_text(role: Role) -> str:
    """Return the list of commands for a role, for 80 columns and 24 lines."""
    lines = [f"  {name:<11} {each.summary}" for name, each in ALLOWED.items() if role >= each.role]
    own = {
        "menu": "choose from a list",
        "send": "send the support bundle, or `send backup` (add zmodem if wanted)",
        "bye": "sign out",
    }
    lines += [f"  {name:<11} {summary}" for name, summary in own.items() if name != "send" or role >= Role.SERVICE]
    return "\n".join([*lines, "COMMAND --help shows more; the same commands work after `climahub` in a shell."])
