"""The interface of what installs system images: RAUC, or a simulated machine. Values and a Protocol, no behaviour.

Such a machine has two systems in two slots. The boot loader starts one and counts its starts; it goes back to the other
where the started one is not marked good.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec

OnPercent = Callable[[int], None]
"""Called with the progress of an installation, from 0 to 100; a number may be repeated."""


class SlotMark(StrEnum):
    """A mark of a slot in the boot loader."""

    GOOD = "good"
    """It works: its starts are not counted."""
    BAD = "bad"
    """It must not be started."""
    ACTIVE = "active"
    """It is started next."""


class SlotSelector(StrEnum):
    """A slot, relative to the system that runs."""

    BOOTED = "booted"
    OTHER = "other"


class SystemSlot(msgspec.Struct, frozen=True):
    """One slot of the machine.

    Attributes:
        is_booted: The system that runs was started from it.
        bundle_version: Of the image in it, from its own manifest; empty where it is unknown.
        is_whole: Its last installation was completed.
    """

    is_booted: bool
    bundle_version: str
    is_whole: bool


class SystemState(msgspec.Struct, frozen=True):
    """The state of the machine.

    Attributes:
        boot_slot: The slot of the running system, as the boot loader names it; the same in every boot of it.
        is_installing: An installation is under way, by any client.
        last_error: Why the last installation failed; empty where it did not.
    """

    boot_slot: str
    is_installing: bool
    last_error: str


class SystemUpdater(Protocol):
    """Installs system images into the slot that is not in use."""

    @property
    def is_set_up(self) -> bool:
        """Whether this machine can install system images."""
        ...

    async def state(self) -> SystemState:
        """Return the state of the machine.

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
        """Return the version in the manifest of an image.

        Raises:
            ImageRefused: It cannot be read, or its signature is wrong.
            InstallerLost: No answer.
        """
        ...

    async def install(self, image: Path, on_percent: OnPercent) -> None:
        """Install an image into the slot that is not in use; complete on return.

        Cancelling does not stop the installation: see `wait_until_finished`.

        Raises:
            ImageRefused: It was not installed; with the installer's reason.
            InstallerLost: No answer, or the installer died, so that the result is unknown. Or it is busy.
        """
        ...

    async def wait_until_finished(self, on_percent: OnPercent) -> None:
        """Wait for the end of an installation that is under way; return at once where none is.

        Raises:
            ImageRefused: It failed; with the reason.
            InstallerLost: As above.
        """
        ...

    async def mark(self, mark: SlotMark, which: SlotSelector) -> None:
        """Mark a slot in the boot loader.

        Raises:
            InstallerLost: It was not marked.
        """
        ...
