"""A table whose keys come from outside, such as names of sensors: it has an upper limit. Does no I/O.

Where it is full, the entry that was used longest ago makes room. Must never refuse a new key: a sensor that makes up
names must not keep out one that is fitted later.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class BoundedTable(Generic[_K, _V]):
    """Values by key.

    Attributes:
        entries: What is in it, in the order in which it was added, always the same object; for readers only.
    """

    def __init__(self, entries_max: int) -> None:
        """Start empty.

        Args:
            entries_max: How many entries it holds at most.
        """
        self._entries_max = entries_max
        self._by_use: dict[_K, None] = {}
        self.entries: dict[_K, _V] = {}

    def get(self, key: _K) -> _V | None:
        """Return the value of a key, which is used now; `None` where there is none."""
        if key not in self.entries:
            return None
        self._use(key)
        return self.entries[key]

    def put(self, key: _K, value: _V) -> None:
        """Set the value of a key, which is used now."""
        if key not in self.entries and len(self.entries) >= self._entries_max:
            oldest = next(iter(self._by_use))
            del self._by_use[oldest], self.entries[oldest]
        self._use(key)
        self.entries[key] = value

    def remove(self, key: _K) -> None:
        """Remove the entry of a key, if there is one."""
        self._by_use.pop(key, None)
        self.entries.pop(key, None)

    def _use(self, key: _K) -> None:
        self._by_use.pop(key, None)
        self._by_use[key] = None
