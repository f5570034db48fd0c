"""The words in which the agent speaks with what installs images of the whole system: RAUC, or a simulated one.

Such a machine has two systems beside each other, each in a slot of its own; the boot loader starts one, counts its
tries, and goes back to the other where nobody marks the started one as good. Values and a Protocol, no behaviour.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec

OnPercent = Callable[[int], None]
"""Told how far an installation is, from 0 to 100; the same number may come more than once."""


class SlotMark(StrEnum):
    """What the boot loader is told of a slot."""

    GOOD = "good"
    """It works: do not count its tries."""
    BAD = "bad"
    """Do not start it."""
    ACTIVE = "active"
    """Start it next."""


class SlotSelector(StrEnum):
    """A slot, seen from the system that runs."""

    BOOTED = "booted"
    OTHER = "other"


class SystemSlot(msgspec.Struct, frozen=True):
    """One slot of the machine.

    Attributes:
        is_booted: The system that runs came from it.
        bundle_version: Of the image in it, as the image says; empty where that is not known.
        is_whole: Its last installation came to its end.
    """

    is_booted: bool
    bundle_version: str
    is_whole: bool


class SystemState(msgspec.Struct, frozen=True):
    """What the installer says of the machine.

    Attributes:
        boot_slot: The slot of the running system, as the boot loader names it; the same in every boot of it.
        is_installing: An installation is under way, whoever asked for it.
        last_error: Why the last one failed; empty where it did not, or where there was none yet.
    """

    boot_slot: str
    is_installing: bool
    last_error: str


class SystemUpdater(Protocol):
    """Installs images of the whole system into the slot that is not in use."""

    @property
    def is_set_up(self) -> bool:
        """Whether this machine can do that at all."""
        ...

    async def state(self) -> SystemState:
        """Return what is known of the machine.

        Raises:
            InstallerLost: No answer.
        """
        ...

    async def slots(self) -> Sequence[SystemSlot]:
        """Return the slots.

        Raises:
            InstallerLost: No answer.
        """
        ...

    async def read_version(self, image: Path) -> str:
        """Return the version that an image says it has.

        Raises:
            ImageRefused: It cannot be read, or its signature does not hold.
            InstallerLost: No answer.
        """
        ...

    async def install(self, image: Path, on_percent: OnPercent) -> None:
        """Install an image into the slot that is not in use; it is whole there on return.

        Cancelling does not end it: see `finish`.

        Raises:
            ImageRefused: It was not installed, and why, in the installer's words.
            InstallerLost: No answer, or the installer died; what became of it is not known. Or it is busy.
        """
        ...

    async def wait_until_finished(self, on_percent: OnPercent) -> None:
        """Wait for the end of an installation that is under way; return at once where none is.

        Raises:
            ImageRefused: It failed, and why.
            InstallerLost: As above.
        """
        ...

    async def mark(self, mark: SlotMark, which: SlotSelector) -> None:
        """Tell the boot loader something of a slot.

        Raises:
            InstallerLost: It was not told.
        """
        ...
