"""Facts on a terminal: columns that wrap at its width, ended ones dimmed. Plain characters, for any console."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from agent.foundation.text import escape_lines
from agent.local.facts import FactReport


def render(found: Sequence[FactReport]) -> Table:
    """Return the facts for `rich`."""
    table = Table("from", "to", "subject", "fact", "by", box=None, pad_edge=False, header_style="bold")
    for column in table.columns[:2]:
        column.no_wrap = True
    for column in table.columns[2:]:
        column.overflow = "fold"
    for fact in found:
        cells = (fact.valid_from, fact.valid_to or "holds", fact.subject, fact.text, fact.author)
        table.add_row(*(Text(escape_lines(cell)) for cell in cells), style="dim" if fact.valid_to else "")
    return table
