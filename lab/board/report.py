"""The report of a board as text: sections of lines, without secrets. Pure.

Names of people, hosts, networks and serial numbers are never asked for; what is left goes through the walls of the
support bundle all the same.
"""

import statistics
from collections.abc import Iterator, Sequence

import msgspec

from agent.foundation.text import sanitize
from agent.port.bundle.scrub import Scrubber

LINE_CHARACTERS_MAX = 300
LINES_MAX = 400
"""Of one section: a board with more has something that nobody will read."""


class Section(msgspec.Struct, frozen=True):
    """One part of the report.

    Attributes:
        title: What it is about.
        lines: What was found, or why nothing could be.
    """

    title: str
    lines: Sequence[str]


def as_text(sections: Sequence[Section]) -> str:
    """Return the report: printable lines, bounded, without secrets."""
    scrubber = Scrubber()
    return "\n".join(scrubber.text(line) for section in sections for line in _section(section)) + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f"== {section.title}"
    lines = section.lines or ["nothing found"]
    for line in lines[:LINES_MAX]:
        yield "  " + sanitize(line, characters_max=LINE_CHARACTERS_MAX)
    if len(lines) > LINES_MAX:
        yield f"  ... and {len(lines) - LINES_MAX} more"
    yield ""


def spread(seconds: Sequence[float]) -> str:
    """Return times as words: the median and the longest, in milliseconds."""
    if not seconds:
        return "not measured"
    return f"median {statistics.median(seconds) * 1000:.1f} ms, longest {max(seconds) * 1000:.1f} ms ({len(seconds)})"
