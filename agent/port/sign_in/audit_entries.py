"""The entries of the audit trail before they are on the disk: merged, and bounded in number. Pure.

An audit trail that anybody can fill is none: wrong sign-ins could wear the card, and push out what has to be seen.

* The same request of the same caller again is counted in its entry: of a known caller only directly after it, so that
  the order of what people did stays.
* Each role gets so many entries in a window, and each caller of some roles; what goes beyond is counted in one more of
  each caller. Each role has entries of its own on the disk, so that nobody pushes out what callers of another role did.
* New entries of callers who are known are due at once. Those of unknown callers, and counts, may wait.
"""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from agent.foundation.clock import Now
from agent.foundation.log import redact
from agent.foundation.text import sanitize
from agent.local.routes import Caller, Role

WINDOW_S = 600.0
"""How long an entry is open for merging, and for how long an allowance holds."""
WINDOW_ENTRIES_MAX: Mapping[Role, int] = MappingProxyType(
    {Role.PUBLIC: 8, Role.VIEWER: 20, Role.SERVICE: 60, Role.OWNER: 60}
)
"""Entries of all callers of a role in a window. `PUBLIC` is a caller without a sign-in."""
CALLER_ENTRIES_MAX: Mapping[Role, int] = MappingProxyType({Role.SERVICE: 20})
"""Of one caller of such a role in a window: clients of the local APIs and tokens do not use up each other's share."""
STORED_ENTRIES_MAX: Mapping[Role, int] = MappingProxyType(
    {Role.PUBLIC: 200, Role.VIEWER: 200, Role.SERVICE: 1000, Role.OWNER: 1000}
)
"""Entries of all callers of a role on the disk: the oldest makes room. 2,400 entries take half a megabyte."""
OPEN_ENTRIES_MAX = 256
"""Entries in memory. Where the disk refuses them for long, the oldest is dropped and counted."""

UNKNOWN_DELAY_S = 60.0
"""How long an entry of an unknown caller may wait for the disk."""
COUNT_DELAY_S = 300.0
"""How long a count may wait for the disk."""

_NAME_CHARACTERS_MAX = 64
_TARGET_CHARACTERS_MAX = 120
OTHERS = "others"
"""The action of an entry for what goes beyond an allowance."""


class AuditEntry(msgspec.Struct, frozen=True):
    """One request that may have changed something, or several of the same.

    Attributes:
        name: Who: the user of the Unix socket, the session or the token; empty for nobody known.
        role: The role of the caller.
        origin: From where.
        action: What: the name of the route's handler, or "sign_in".
        target: To what: the path.
        result: The HTTP status and, of a refusal, its code.
        boot_id: The boot of the machine.
        at_ms: When it came first, in milliseconds since that boot.
        utc_ms: The same in UTC; `None` where the time was not known.
        count: How often it came.
        last_ms: When it came last, in milliseconds since that boot.
    """

    name: str
    role: Role
    origin: str
    action: str
    target: str
    result: str
    boot_id: str
    at_ms: int
    utc_ms: int | None
    count: int
    last_ms: int

    @property
    def is_known(self) -> bool:
        """Whether the caller had signed in."""
        return self.role is not Role.PUBLIC


def make_entry(caller: Caller, action: str, target: str, result: str, now: Now) -> AuditEntry:
    """Return the entry of one request; texts from outside are redacted, cut and made printable."""
    return AuditEntry(
        sanitize(caller.name, characters_max=_NAME_CHARACTERS_MAX),
        caller.role,
        sanitize(caller.origin, characters_max=_NAME_CHARACTERS_MAX),
        sanitize(action, characters_max=_NAME_CHARACTERS_MAX),
        # A secret may stand in a path by mistake.
        sanitize(redact(target), characters_max=_TARGET_CHARACTERS_MAX),
        sanitize(result, characters_max=_NAME_CHARACTERS_MAX),
        now.boot_id,
        now.now_ms,
        now.utc_ms,
        1,
        now.now_ms,
    )


_Key = tuple[object, ...]


class OpenEntry:
    """An entry that may still change.

    Attributes:
        entry: As it is now.
        number: Its number on the disk; `None` where it is not there yet.
        due_ms: When the disk shall have it; `None` where it has.
    """

    def __init__(self, entry: AuditEntry, due_ms: int) -> None:
        self.entry = entry
        self.number: int | None = None
        self.due_ms: int | None = due_ms


class AuditBuffer:
    """The entries that are in memory."""

    def __init__(self) -> None:
        self._open: OrderedDict[_Key, OpenEntry] = OrderedDict()
        """The oldest first."""
        self._used: dict[Role, int] = {}
        """Entries of each role in the present window."""
        self._used_by: Counter[tuple[Role, str]] = Counter()
        """Those of each caller."""
        self._latest: dict[Role, tuple[_Key, int]] = {}
        """The latest request of each role, and how many others there were before it."""
        self._window = -1
        self.dropped_count = 0

    def add(self, entry: AuditEntry) -> AuditEntry | None:
        """Add an entry and return it, or count it in an open one and return `None`."""
        self._start_window(entry.last_ms)
        key = self._turn_of(entry)
        if key not in self._open:
            caller = entry.role, entry.name
            caller_max = CALLER_ENTRIES_MAX.get(entry.role, WINDOW_ENTRIES_MAX[entry.role])
            is_role_full = self._used.get(entry.role, 0) >= WINDOW_ENTRIES_MAX[entry.role]
            if is_role_full or self._used_by[caller] >= caller_max:
                entry = msgspec.structs.replace(entry, origin="", action=OTHERS, target="", result="")
                key = self._key_of(entry)
            else:
                self._used_by[caller] += 1
                self._used[entry.role] = self._used.get(entry.role, 0) + 1
        if found := self._open.get(key):
            before = found.entry
            found.entry = msgspec.structs.replace(before, count=before.count + entry.count, last_ms=entry.last_ms)
            if found.due_ms is None:
                found.due_ms = entry.last_ms + round(COUNT_DELAY_S * 1000)
            return None
        while len(self._open) >= OPEN_ENTRIES_MAX:
            _, oldest = self._open.popitem(last=False)
            self.dropped_count += oldest.number is None
        delay_ms = 0 if entry.is_known else round(UNKNOWN_DELAY_S * 1000)
        self._open[key] = OpenEntry(entry, entry.at_ms + delay_ms)
        return entry

    def due_ms(self) -> int | None:
        """Return when the next entry is due for the disk; `None` where none is."""
        return min((each.due_ms for each in self._open.values() if each.due_ms is not None), default=None)

    def unwritten(self) -> list[OpenEntry]:
        """Return the entries that the disk does not have as they are now, the oldest first."""
        return [each for each in self._open.values() if each.due_ms is not None]

    def close_old(self, now_ms: int) -> None:
        """Forget the entries that the disk has and that are too old for merging."""
        old_ms = now_ms - round(WINDOW_S * 1000)
        for key in [key for key, each in self._open.items() if each.due_ms is None and each.entry.at_ms < old_ms]:
            del self._open[key]

    def _start_window(self, now_ms: int) -> None:
        window = now_ms // round(WINDOW_S * 1000)
        if window != self._window:
            self._window = window
            self._used.clear()
            self._used_by.clear()
            self.close_old(now_ms)

    def _turn_of(self, entry: AuditEntry) -> _Key:
        """Return the key of an entry; that of a known caller changes with each other request of its role."""
        key = self._key_of(entry)
        if not entry.is_known:
            return key
        latest, turn = self._latest.get(entry.role, (key, 0))
        turn += latest != key
        self._latest[entry.role] = key, turn
        return (*key, turn)

    def _key_of(self, entry: AuditEntry) -> _Key:
        return (self._window, entry.name, entry.role, entry.origin, entry.action, entry.target, entry.result)
