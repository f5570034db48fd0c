"""Lines for a terminal: what is wider continues below, indented. Elsewhere each line stays one, for programs.

Also questions to the person at the terminal.
"""

import shutil
import sys
import textwrap

import click

COLUMNS_MIN = 40
"""A narrower terminal breaks lines by itself."""


def fold(text: str, columns: int) -> str:
    """Return a text whose lines have at most so many columns; words that are longer stay whole, to be copied."""
    return "\n".join(_fold_line(line, columns) for line in text.splitlines())


def _fold_line(line: str, columns: int) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    folded = textwrap.wrap(
        line, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )
    return "\n".join(folded)


def echo(text: str, *, err: bool = False) -> None:
    """Print a text, folded on a terminal."""
    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        text = fold(text, max(COLUMNS_MIN, shutil.get_terminal_size().columns))
    click.echo(text, err=err)


def is_agreed(question: str) -> bool:
    """Ask a person a question with yes or no.

    Raises:
        UsageError: The input ends without an answer: in a script, --yes has to say it.
        Abort: The person has stopped the command.
    """
    try:
        return click.confirm(question)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)
        raise click.UsageError("add --yes: there is nobody to answer the question") from None
