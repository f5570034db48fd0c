"""A problem of a hub with its remedy, and how urgent it is."""

from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How urgent something is."""

    OK = "ok"
    ATTENTION = "attention"
    """The home is heated and nothing is lost, but somebody should look."""
    FAULT = "fault"
    """A room is not controlled, readings are lost, or nothing moves without a person."""


class Problem(msgspec.Struct, frozen=True):
    """A problem and its remedy; the remedy is empty where only waiting helps."""

    what: str
    advice: str = ""
    level: Level = Level.ATTENTION
