"""The queries of the local API: which names a route reads from the address, of which form, and their limits. Data only.

A list is paged with two cursors: `before` an entry for the next, older page, `after` an entry for what has come since.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.foundation.rfc3339 import UTC_MS_MAX

LIMIT = 200
LIMIT_MAX = 1000
"""Entries of one page."""

ENTRY_ID_MAX = 2**53 - 1
"""The largest whole number that every reader of JSON keeps (RFC 8259, section 6)."""

TEXT_CHARACTERS_MAX = 200

Limit = Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="How many entries at most")]
Before = Annotated[int, Meta(ge=1, le=ENTRY_ID_MAX, description="Only entries older than this one: the next page")]
After = Annotated[int, Meta(ge=0, le=ENTRY_ID_MAX, description="Only entries newer than this one")]
CommandCursor = Annotated[str, Meta(min_length=1, max_length=TEXT_CHARACTERS_MAX, description="The id of a command")]
Level = Annotated[Literal["debug", "info", "warning", "error", "critical"], Meta(description="The lowest level")]
Text = Annotated[str, Meta(max_length=TEXT_CHARACTERS_MAX, description="Part of the entry, in any case")]


class LogQuery(msgspec.Struct, frozen=True):
    """Which records of the log."""

    level: Level = "debug"
    text: Text = ""
    before: Before | None = None
    after: After = 0
    limit: Limit = LIMIT


class AuditQuery(msgspec.Struct, frozen=True):
    """Which entries of the audit trail: those older than `before`, newer than `after`."""

    before: Before | None = None
    after: After = 0
    limit: Limit = LIMIT


class CommandsQuery(msgspec.Struct, frozen=True):
    """Which commands: those older than `before`, newer than `after`."""

    before: CommandCursor | None = None
    after: CommandCursor | None = None
    limit: Limit = LIMIT


RepairTarget = Annotated[
    str, Meta(max_length=TEXT_CHARACTERS_MAX, description="What it is done to: the device of a sensor")
]


class RepairQuery(msgspec.Struct, frozen=True):
    """What a repair is done to."""

    target: RepairTarget = ""


HISTORY_DAYS = 7
POINTS_MAX = 2000
"""Twice the width of a large screen."""
CHANNELS_CHARACTERS_MAX = 6000
_PERIOD_S = HISTORY_DAYS * 86_400
_Instant = Annotated[
    int,
    Meta(ge=-_PERIOD_S, le=UTC_MS_MAX // 1000, description="Seconds since 1970; 0 and below: relative to now"),
]
_Channels = Annotated[
    str, Meta(max_length=CHANNELS_CHARACTERS_MAX, description="Ids of channels, separated by commas; at most 128")
]
_Points = Annotated[int, Meta(ge=1, le=POINTS_MAX, description="How many stretches of time at most")]


class HistoryQuery(msgspec.Struct, frozen=True, rename={"from_s": "from", "to_s": "to"}):
    """Which channels over which time; by default the channels that there are, and no values."""

    channels: _Channels = ""
    from_s: _Instant = -86_400
    to_s: _Instant = 0
    points: _Points = 500


FactCursor = Annotated[str, Meta(min_length=1, max_length=TEXT_CHARACTERS_MAX, description="The id of a fact")]
_When = Annotated[
    str, Meta(max_length=40, description="An instant in ISO 8601 with Z or an offset: 2026-11-01T12:00:00Z")
]
_Subject = Annotated[
    str, Meta(max_length=TEXT_CHARACTERS_MAX, description="A subject, with those below it: living, living/mode")
]
_Ended = Annotated[bool, Meta(description="Also facts that do not hold any more")]


class FactsQuery(msgspec.Struct, frozen=True):
    """Which facts of the hub: what was true at `as_of`, as it was known at `known_at`; by default what is true now."""

    subject: _Subject = ""
    as_of: _When = ""
    known_at: _When = ""
    with_ended: _Ended = False
    before: FactCursor | None = None
    after: FactCursor | None = None
    limit: Limit = LIMIT
