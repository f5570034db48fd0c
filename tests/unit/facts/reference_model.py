"""The facts once more, in a hundred lines that share nothing with the store: after each change, a copy of all that is
known. A view of the past is then the copy of that instant."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Known:
    """What is known of one fact."""

    name: str
    tenant: str
    text: str
    subject: str
    since: int
    known: int
    until: int | None = None
    by: str = ""


@dataclass
class ReferenceModel:
    """Facts by name, and every state that they were ever in."""

    copies: list[tuple[int, dict[str, Known]]] = field(default_factory=list)
    instant: int = 0

    def facts_at(self, known_at: int) -> dict[str, Known]:
        found: dict[str, Known] = {}
        for instant, copy in self.copies:
            if instant <= known_at:
                found = copy
        return found

    @property
    def facts(self) -> dict[str, Known]:
        return self.copies[-1][1] if self.copies else {}

    def tick(self, clock: int) -> int:
        self.instant = max(clock, self.instant + 1)
        return self.instant

    def put(self, *changed: Known) -> None:
        self.copies.append((self.instant, self.facts | {fact.name: fact for fact in changed}))

    def add(self, name: str, tenant: str, text: str, since: int | None, clock: int, subject: str = "") -> bool:
        instant = self.tick(clock)
        if since is not None and since > instant:
            self.instant = instant
            return False
        self.put(Known(name, tenant, text, subject, instant if since is None else since, instant))
        return True

    def chain(self, name: str) -> set[str]:
        members = {name}
        while True:
            more = {fact.name for fact in self.facts.values() if fact.by in members}
            more |= {self.facts[member].by for member in members} - {""}
            if more <= members:
                return members
            members |= more

    def supersede(self, old: str, new: str, clock: int) -> bool:
        first, second = self.facts.get(old), self.facts.get(new)
        if first is None or second is None or first.by or old == new or first.tenant != second.tenant:
            return False
        if new in self.chain(old):  # old has no successor, so whoever is in its chain leads to it
            return False
        instant = self.tick(clock)
        until = instant if first.until is None else min(first.until, instant)
        self.put(replace(first, by=new, until=until))
        return True

    def expire(self, name: str, until: int, clock: int) -> bool:
        fact = self.facts.get(name)
        if fact is None or fact.by or until <= fact.since:
            return False
        self.tick(clock)
        self.put(replace(fact, until=until))
        return True

    def newest_of(self, tenant: str, subject: str) -> Known | None:
        found = [fact for fact in self.facts.values() if (fact.tenant, fact.subject) == (tenant, subject)]
        return max(found, key=lambda fact: fact.known, default=None)

    def record(self, name: str, tenant: str, subject: str, text: str, since: int, clock: int) -> bool:
        old = self.newest_of(tenant, subject)
        if old and old.until is None and old.text == text:
            return False
        earliest = max(old.since + 1, old.until or 0) if old else since
        begins = min(max(since, earliest), max(clock, self.instant + 1))
        self.add(name, tenant, text, begins, clock, subject)
        if old and old.until is None:
            self.tick(clock)
            self.put(replace(old, until=begins, by=name))
        return True

    def end_subject(self, tenant: str, subject: str, until: int, clock: int) -> None:
        old = self.newest_of(tenant, subject)
        if old and old.until is None:
            instant = self.tick(clock)
            self.put(replace(old, until=min(max(until, old.since + 1), instant)))

    def view(self, tenant: str, now: int, as_of: int | None, known_as_of: int | None, *, all_of: bool) -> list[Known]:
        facts = self.facts_at(now if known_as_of is None else known_as_of)
        at = now if as_of is None and known_as_of is None and not all_of else as_of
        shown = [
            fact
            for fact in facts.values()
            if (
                fact.since <= at and (fact.until is None or at < fact.until)
                if at is not None
                else all_of or not fact.by
            )
        ]
        return sorted((fact for fact in shown if fact.tenant == tenant), key=lambda fact: -fact.known)
