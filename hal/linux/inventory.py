"""The channels that a board knows: which are new, which are found again, which are gone. Does no I/O.

A channel is known by its name, which holds the chip's address. One that is gone stays known: its sensor then says so at
each read, and is the same sensor when the chip is back. Must never give one chip's channel to another chip's name.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from hal.channels import Channel

CHANNELS_MAX = 256
"""Far more than a house has; the limit is for a bus that shows another device with each glitch. Channels that are gone
make room, the one that is gone longest first; without any, what is new is left out."""


class ChannelInventory:
    """Channels by name, each with the searches that found it.

    Attributes:
        channels: What is known, those that are gone included, in the order of the first finding.
        gone: Names of the channels that no search has found last time, gone longest first.
        left_out: Names of those for which there is no room.
    """

    def __init__(self) -> None:
        """Know nothing."""
        self.channels: dict[str, Channel] = {}
        self.gone: dict[str, None] = {}
        self.left_out: AbstractSet[str] = frozenset()
        self._found: dict[tuple[int, str], dict[str, Channel]] = {}

    def merge(self, search: tuple[int, str], channels: Sequence[Channel]) -> bool:
        """Take what one search has found now; return whether anything is different.

        Where two searches find one name, the search with the lower number is right: the kernel's driver before a reader
        of the hub's own.

        Args:
            search: Number of the source, and the bus.
            channels: All that the search has found.
        """
        before = self._described()
        self._found[search] = {channel.name: channel for channel in channels}
        self._settle()
        return before != self._described()

    def forget_buses(self, present: Mapping[int, Sequence[str]]) -> bool:
        """Take it that nothing is found on buses that are gone; return whether anything is different."""
        lost = [search for search in self._found if search[1] not in present.get(search[0], ())]
        changes = [self.merge(search, ()) for search in lost]
        for search in lost:
            del self._found[search]
        return any(changes)

    def _described(self) -> tuple[object, ...]:
        # Without the functions that read: they are new with each search.
        described = tuple(
            (name, each.quantity, each.bus, each.address, each.chip, each.driver, each.aliases)
            for name, each in self.channels.items()
        )
        return described, tuple(self.gone)

    def _settle(self) -> None:
        found: dict[str, Channel] = {}
        for search in sorted(self._found):
            for name, channel in self._found[search].items():
                found.setdefault(name, channel)
        for name in self.channels:
            if name not in found:
                self.gone.setdefault(name)
        for name, channel in found.items():
            self.gone.pop(name, None)
            if name in self.channels or self._has_room():
                self.channels[name] = channel
        self.left_out = found.keys() - self.channels.keys()

    def _has_room(self) -> bool:
        if len(self.channels) >= CHANNELS_MAX and self.gone:
            oldest = next(iter(self.gone))
            del self.gone[oldest], self.channels[oldest]
        return len(self.channels) < CHANNELS_MAX
