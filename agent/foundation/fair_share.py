"""Room in a bounded list that several owners share: whoever has the most makes room, and pushes out no other. Pure."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def without_surplus(items: Sequence[T], items_max: int, owner_of: Callable[[T], str]) -> tuple[T, ...]:
    """Return items in their order without the surplus: the oldest of whoever has the most, again and again.

    An owner with up to its share (`items_max` by the number of owners) loses nothing to others.

    Args:
        items: The oldest first.
        items_max: How many may stay.
        owner_of: Returns whose an item is.
    """
    kept = list(items)
    counts = Counter(map(owner_of, kept))
    while len(kept) > items_max:
        most = max(counts.values())
        index = next(index for index, each in enumerate(kept) if counts[owner_of(each)] == most)
        counts[owner_of(kept.pop(index))] -= 1
    return tuple(kept)
