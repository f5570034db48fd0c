"""The documents of facts in the local API: what the hub knows about itself, and since when.

The JSON form is an interface: fields may be added, never renamed.
"""

import msgspec

VISIT_CHARACTERS_MAX = 300
"""Of what was done at a service visit: a sentence or two."""


class VisitRequest(msgspec.Struct):
    """A service visit.

    Attributes:
        text: What was done.
        zone: The id of a zone; empty for the hub.
        at: When, in ISO 8601 with `Z` or an offset; nothing for now.
    """

    text: str
    zone: str = ""
    at: str | None = None


class FactReport(msgspec.Struct, frozen=True):
    """A fact. Times in RFC 3339.

    Attributes:
        id: Of the fact; ids increase with time.
        subject: What can have one such fact at a time: "living/mode".
        zone: The zone that it is about; empty for none.
        topic: For people and filters.
        text: What is true, in one sentence.
        author: Who caused it.
        valid_from: Since when it is true.
        valid_to: Since when it is not true any more; nothing where it still is.
        replaced_by: The id of the fact that took its place; empty for none.
        known_from: Since when the hub knows it.
    """

    id: str
    subject: str
    zone: str
    topic: str
    text: str
    author: str
    valid_from: str
    valid_to: str | None
    replaced_by: str
    known_from: str


class FactsReport(msgspec.Struct, frozen=True):
    """A page of facts, those that were stored last first.

    Attributes:
        facts: What was found.
        next_before: `before` of the next, older page; nothing on the last one.
    """

    facts: list[FactReport]
    next_before: str | None
