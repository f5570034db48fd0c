"""Facts on two time axes: when something was true (valid time), and when the hub knew it (transaction time). Pure.

A fact never changes. What changes is what is known about its end, and each such change is an `Ending` of its own with
the instant since which it is known. So every earlier view can be shown again, and nothing that was once believed is
overwritten. Intervals are half-open: a fact is valid from its beginning up to, not including, its end.

Facts that replaced one another form a chain. Several facts may be replaced by one, none by several, and no chain is a
circle: so each chain has exactly one head, the fact that nothing has replaced.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from agent.errors import Rejected

TEXT_BYTES_MAX = 4096
"""A fact is one sentence. A page costs a card with a store of 8 MiB a two-thousandth of it."""

LABEL_CHARACTERS_MAX = 64
"""Of a topic, a source, a tenant's name and an author."""

SUBJECT_CHARACTERS_MAX = 160
"""Of a device, a quality and the name of a schedule."""

IMPORTANCE_MIN, IMPORTANCE_MAX, IMPORTANCE_DEFAULT = 1, 10, 5

ENDINGS_MAX = 16
"""How often the end of one fact may be corrected."""


class FactRefused(Rejected):
    """A fact or a change that cannot be stored as it stands; the message says what to do."""


class UnknownFact(Rejected):
    """There is no such fact for this owner. A fact of somebody else looks the same."""


class Tenant(msgspec.Struct, frozen=True):
    """Whose facts they are.

    Attributes:
        owner: The account: the hub itself, or the client of an API.
        name: A part of the account; empty for the default tenant.
    """

    owner: str
    name: str = ""


class FactDraft(msgspec.Struct, frozen=True):
    """A fact before it has an id.

    Attributes:
        text: What is true, in one sentence.
        topic: What it is about, for people and filters.
        source: Which part of the home or program it comes from, for filters.
        author: Who caused it, as the audit trail names people and clients.
        importance: 1 to 10.
        subject: What the hub itself keeps one chain of: "living/heat_setpoint"; empty for a client's facts.
        zone: The zone that it is about; empty for none.
        valid_from_ms: Since when it is true, in UTC; `None` for the present instant.
    """

    text: str
    topic: str = "General"
    source: str = "agent"
    author: str = ""
    importance: int = IMPORTANCE_DEFAULT
    subject: str = ""
    zone: str = ""
    valid_from_ms: int | None = None


class Fact(msgspec.Struct, frozen=True):
    """A fact as it is stored, unchanged for good. Instants are milliseconds since 1970 in UTC.

    Attributes:
        id: A UUID.
        tenant: Whose it is.
        valid_from_ms: Since when it is true.
        known_from_ms: Since when the hub knows it; no two changes of a store have the same.
    """

    id: str
    tenant: Tenant
    text: str
    topic: str
    source: str
    author: str
    importance: int
    subject: str
    zone: str
    valid_from_ms: int
    known_from_ms: int


class Ending(msgspec.Struct, frozen=True):
    """What became known about the end of a fact.

    Attributes:
        valid_to_ms: The first instant at which it is not true any more.
        superseded_by: The fact that replaced it; empty where it just ended.
        author: Who said so.
        known_from_ms: Since when the hub knows it.
    """

    valid_to_ms: int
    superseded_by: str
    author: str
    known_from_ms: int


class FactVersion(msgspec.Struct, frozen=True):
    """A fact with what was known about its end during one stretch of transaction time.

    Attributes:
        fact: The fact.
        valid_to_ms: Its end; `None` where none was known.
        superseded_by: The fact that replaced it; empty for none.
        known_from_ms: The beginning of the stretch.
        known_to_ms: Its end: something else became known; `None` where this is what is known now.
    """

    fact: Fact
    valid_to_ms: int | None
    superseded_by: str
    known_from_ms: int
    known_to_ms: int | None

    def is_valid_at(self, at_ms: int) -> bool:
        """Tell whether the fact was true at an instant."""
        return self.fact.valid_from_ms <= at_ms and (self.valid_to_ms is None or at_ms < self.valid_to_ms)

    def is_expired_at(self, at_ms: int) -> bool:
        """Tell whether it had ended by an instant, with nothing in its place."""
        return not self.superseded_by and self.valid_to_ms is not None and self.valid_to_ms <= at_ms

    def is_current_at(self, at_ms: int) -> bool:
        """Tell whether it is the head of its chain and has not ended by an instant."""
        return not self.superseded_by and not self.is_expired_at(at_ms)


class FactView(msgspec.Struct, frozen=True):
    """Which facts are shown: one point of transaction time, and one of valid time or all of it.

    Attributes:
        known_at_ms: What was known at this instant.
        valid_at_ms: What was true at this instant; `None` for all times.
        has_superseded: Also facts that another has replaced. Without effect where `valid_at_ms` decides.
    """

    known_at_ms: int
    valid_at_ms: int | None
    has_superseded: bool = False

    def shows(self, version: FactVersion) -> bool:
        """Tell whether a version belongs to the view."""
        if version.fact.known_from_ms > self.known_at_ms:
            return False
        if self.valid_at_ms is not None:
            return version.is_valid_at(self.valid_at_ms)
        return self.has_superseded or not version.superseded_by


def choose_view(
    now_ms: int, *, as_of_ms: int | None = None, known_as_of_ms: int | None = None, has_superseded: bool = False
) -> FactView:
    """Return one of the four views.

    Args:
        now_ms: The present instant.
        as_of_ms: What was true then; `None` for now.
        known_as_of_ms: What was known then; `None` for what is known now.
        has_superseded: Where neither is given: all facts there ever were. Where only `known_as_of_ms` is: also facts
            that had been replaced by then.
    """
    if known_as_of_ms is not None:
        return FactView(known_as_of_ms, as_of_ms, has_superseded)
    if as_of_ms is not None:
        return FactView(now_ms, as_of_ms, has_superseded)
    return FactView(now_ms, None if has_superseded else now_ms, has_superseded)


def versions(fact: Fact, endings: Sequence[Ending]) -> list[FactVersion]:
    """Return every version of a fact, oldest first.

    Args:
        fact: The fact.
        endings: All that became known about its end, in the order in which it did.
    """
    starts = [fact.known_from_ms, *(ending.known_from_ms for ending in endings)]
    stops = [*starts[1:], None]
    ends: list[Ending | None] = [None, *endings]
    return [
        FactVersion(fact, end.valid_to_ms if end else None, end.superseded_by if end else "", start, stop)
        for end, start, stop in zip(ends, starts, stops, strict=True)
    ]


def render_instant(utc_ms: int) -> str:
    """Return an instant in ISO 8601 with microseconds and the offset `+00:00`."""
    return (
        datetime.fromtimestamp(utc_ms // 1000, UTC)
        .replace(microsecond=utc_ms % 1000 * 1000)
        .isoformat(timespec="microseconds")
    )


def check_draft(draft: FactDraft, known_from_ms: int) -> FactDraft:
    """Return a draft that can be stored.

    Args:
        draft: The fact.
        known_from_ms: The instant that it would be known from.

    Raises:
        FactRefused: A part of it is missing, too long or out of range.
    """
    if not draft.text.strip():
        raise FactRefused("give the fact a text: it is empty")
    if "\x00" in draft.text:
        raise FactRefused("leave NUL out of the fact: searching and counting end there")
    if len(draft.text.encode(errors="replace")) > TEXT_BYTES_MAX:
        raise FactRefused(f"shorten the fact: it may have {TEXT_BYTES_MAX} bytes")
    for name, label in {"topic": draft.topic, "source": draft.source, "author": draft.author}.items():
        check_label(name, label)
    check_label("subject", draft.subject, characters_max=SUBJECT_CHARACTERS_MAX)
    if not IMPORTANCE_MIN <= draft.importance <= IMPORTANCE_MAX:
        raise FactRefused(f"give an importance from {IMPORTANCE_MIN} to {IMPORTANCE_MAX}, not {draft.importance}")
    if draft.valid_from_ms is not None and draft.valid_from_ms > known_from_ms:
        raise FactRefused("give a beginning in the past: a fact is recorded once it is true")
    return draft


def check_label(name: str, label: str, *, characters_max: int = LABEL_CHARACTERS_MAX) -> str:
    """Return a label that can be stored.

    Raises:
        FactRefused: It is too long, or cannot be printed.
    """
    if len(label) > characters_max:
        raise FactRefused(f"shorten the {name}: it may have {characters_max} characters")
    if label and not label.isprintable():
        raise FactRefused(f"leave characters that cannot be printed out of the {name}")
    return label


def check_supersession(old: FactVersion, new: FactVersion, successors: Callable[[str], Sequence[str]]) -> None:
    """Refuse a replacement that would break the chain.

    Args:
        old: What is known of the fact that is replaced.
        new: What is known of the fact that replaces it.
        successors: Returns the ids of the facts that replaced a fact, one after the other, itself first.

    Raises:
        FactRefused: It is replaced already, by itself, by an older fact of its own chain, or by one of another tenant.
    """
    if old.fact.id == new.fact.id:
        raise FactRefused("name another fact: none replaces itself")
    if old.superseded_by:
        raise FactRefused(f"replace {old.superseded_by} instead: it has replaced this fact already")
    if old.fact.tenant != new.fact.tenant:
        raise FactRefused("name a fact of the same tenant: facts of two tenants form no chain")
    if old.fact.id in successors(new.fact.id):
        raise FactRefused("name a newer fact: this one was itself replaced by the fact that it should replace")


def check_ending(old: FactVersion, valid_to_ms: int, ending_count: int) -> None:
    """Refuse an end that contradicts what is known.

    Args:
        old: What is known of the fact.
        valid_to_ms: The end.
        ending_count: How often its end has become known already.

    Raises:
        FactRefused: It ends before it begins, is replaced already, or was corrected too often.
    """
    if old.superseded_by:
        raise FactRefused(f"end {old.superseded_by} instead: it has replaced this fact already")
    if valid_to_ms <= old.fact.valid_from_ms:
        raise FactRefused("give an end after the beginning of the fact")
    if ending_count >= ENDINGS_MAX:
        raise FactRefused(f"record a new fact: the end of this one was corrected {ENDINGS_MAX} times")
