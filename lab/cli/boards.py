"""The options `--board` and `--map`, which `demo` and `simulate` share."""

from pathlib import Path

import click
import msgspec
from click.shell_completion import CompletionItem

_REPLAY = "replay:"
SENSORS_MIN = 7
"""The simulated hub has one sensor of each kind."""


class BoardChoice(msgspec.Struct, frozen=True):
    """A board as the command line names it; `recording` is that of a replay."""

    name: str
    recording: Path | None = None


def _parse(context: click.Context, parameter: click.Parameter, value: str) -> BoardChoice:
    """Return the choice; a missing file is told here, before anything is begun."""
    if value == "sim":
        return BoardChoice("sim")
    path = Path(value.removeprefix(_REPLAY))
    if not value.startswith(_REPLAY) or value == _REPLAY:
        problem = f'found "{value}"; allowed are sim and replay:FILE'
    elif not path.is_file():
        problem = f"{path} is not there"
    else:
        return BoardChoice("replay", path)
    raise click.BadParameter(problem, context, parameter)


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the two names, but not the file: a shell has no words for that."""
    del context, parameter
    return [CompletionItem(name) for name in ("sim", _REPLAY) if name.startswith(incomplete)]


board_option = click.option(
    "--board",
    default="sim",
    show_default=True,
    metavar="sim|replay:FILE",
    callback=_parse,
    shell_complete=_complete,
    help="A simulated house, or a recording of one.",
)
map_option = click.option(
    "--map",
    "map_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Which column of the recording is which sensor (TOML).",
)


def check_map(board: BoardChoice, map_file: Path | None) -> None:
    """Refuse a replay without a map, and a map without a replay.

    Raises:
        UsageError: One is there without the other.
    """
    if board.name == "replay" and map_file is None:
        raise click.UsageError("a recording needs its map: add --map FILE (docs/recordings.md says how to write one)")
    if board.name != "replay" and map_file is not None:
        raise click.UsageError("--map belongs to a recording: add --board replay:FILE")


def check_house(board: BoardChoice, sensors: int | None) -> None:
    """Refuse a size of the simulated house beside a recording, which brings its own sensors.

    Raises:
        UsageError: Both are there.
    """
    if board.name == "replay" and sensors is not None:
        raise click.UsageError("--sensors belongs to the simulated house: a recording brings its own, as its map says")
