"""A simulated machine with two systems, a boot loader that counts boot attempts, and an installer like RAUC.

It outlives the agent: an installation continues while no agent runs, and is interrupted by a power cut. Each effect is
announced before it happens, so that a test can stop the simulation there.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from hal.errors import ImageRefused, InstallerLost
from hal.images import OnPercent, SlotMark, SlotSelector, SystemSlot, SystemState

INSTALL_S = 20.0
STEP_S = 1.0
TRIES_MAX = 3
"""As U-Boot's script for RAUC has it: so often is a system started before the other one is."""
COMPATIBLE = "simulated"
BEGINNING = b"simulated image\n"
ENDING = b"end of the simulated image\n"


class SimImage(msgspec.Struct, frozen=True):
    """An image for the simulated machine.

    Attributes:
        version: Of the system in it.
        compatible: The hardware it is for.
        is_trusted: Whether the installer trusts its signer.
    """

    version: str
    compatible: str = COMPATIBLE
    is_trusted: bool = True


def encode(image: SimImage, *, size_bytes: int = 0) -> bytes:
    """Return the image as a file holds it, with as many bytes at the least."""
    data = BEGINNING + msgspec.json.encode(image) + b"\n"
    return data + bytes(max(0, size_bytes - len(data) - len(ENDING))) + ENDING


class _Slot(msgspec.Struct):
    version: str
    tries_left: int = TRIES_MAX
    is_whole: bool = True


class SimMachine:
    """The machine and its `ImageInstaller`; eleven public methods: those of the protocol, and the events of a machine.

    Attributes:
        booted: The slot of the system that runs: "A" or "B".
        primary: The slot that is started next.
        is_slot_known: The installer can tell which that is.
        installs: How many installations have begun.
        is_set_up: Whether it takes images; a test may take that away.
        is_lost: The installer gives no answer.
    """

    def __init__(
        self,
        version: str,
        *,
        now_s: Callable[[], float],
        announce: Callable[[str], None] = lambda _: None,
        is_dead: Callable[[str], bool] = lambda _: False,
        activates: bool = False,
    ) -> None:
        """Switch it on.

        Args:
            version: Of the system in both slots.
            now_s: Seconds of one clock over all boots.
            announce: Told of each effect before it happens.
            is_dead: Whether a system of this version does not come up.
            activates: What is installed is started next, whatever is marked.
        """
        self._slots = {"A": _Slot(version), "B": _Slot(version)}
        self._now_s = now_s
        self._announce = announce
        self._is_dead = is_dead
        self._activates = activates
        self.primary = "A"
        self._installing: tuple[float, SimImage] | None = None
        self._has_died = False
        self.booted = "A"
        self.is_slot_known = True
        self.is_set_up = True
        self.is_lost = False
        self.installs = 0

    @property
    def version(self) -> str:
        """Of the system that runs."""
        return self._slots[self.booted].version

    def slot(self, name: str) -> tuple[str, int]:
        """Return the version in a slot, and how often it may still be started."""
        return self._slots[name].version, self._slots[name].tries_left

    def boot(self) -> str:
        """Start the machine: in good order or after a power cut. Return the version of the system that comes up."""
        self._settle()
        if self._installing is not None:
            self._installing = None  # what it has written so far is no system
        for name in (self.primary, _other(self.primary)):
            slot = self._slots[name]
            while slot.is_whole and slot.tries_left > 0:
                slot.tries_left -= 1
                if not self._is_dead(slot.version):
                    self.booted = name
                    return slot.version
        # As U-Boot's script: with no try left anywhere, all tries are given back.
        for slot in self._slots.values():
            slot.tries_left = TRIES_MAX
        self.booted = next(name for name, slot in self._slots.items() if slot.is_whole)
        return self.version

    def damage(self, name: str) -> None:
        """Make a system one that never comes up again."""
        self._slots[name].is_whole = False

    def die(self) -> None:
        """Let the installer end in the middle of its work, and be started again."""
        self._installing = None
        self._has_died = True

    async def state(self) -> SystemState:
        """See `ImageInstaller`."""
        self._ask()
        slot = self.booted if self.is_slot_known else ""
        return SystemState(slot, self._installing is not None, "")

    async def slots(self) -> Sequence[SystemSlot]:
        """See `ImageInstaller`."""
        self._ask()
        return [SystemSlot(name == self.booted, slot.version, slot.is_whole) for name, slot in self._slots.items()]

    async def read_version(self, image: Path) -> str:
        """See `ImageInstaller`."""
        self._ask()
        return _trusted(image).version

    async def install(self, image: Path, on_percent: OnPercent) -> None:
        """See `ImageInstaller`."""
        self._ask()
        if self._installing is not None:
            raise InstallerLost("it is installing something already")
        found = _trusted(image)
        if found.compatible != COMPATIBLE:
            raise ImageRefused(
                f"Installation error: Compatible mismatch: Expected '{COMPATIBLE}' but bundle manifest has"
                f" '{found.compatible}'"
            )
        self._announce("install")
        self.installs += 1
        idle = self._slots[_other(self.booted)]
        idle.is_whole, idle.version, idle.tries_left = False, "pieces", 0
        self._installing = (self._now_s() + INSTALL_S, found)
        await self.wait_until_finished(on_percent)

    async def wait_until_finished(self, on_percent: OnPercent) -> None:
        """See `ImageInstaller`."""
        self._ask()
        self._has_died = False
        while self._installing is not None:
            left_s = self._installing[0] - self._now_s()
            on_percent(100 - int(100 * max(0.0, left_s) / INSTALL_S))
            await asyncio.sleep(STEP_S)
            self._ask()
        if self._has_died:
            raise InstallerLost("it ended during an installation")

    async def mark(self, mark: SlotMark, which: SlotSelector) -> None:
        """See `ImageInstaller`."""
        self._ask()
        self._announce(f"mark {which} {mark}")
        name = self.booted if which is SlotSelector.BOOTED else _other(self.booted)
        slot = self._slots[name]
        match mark:
            case SlotMark.GOOD:
                slot.tries_left = TRIES_MAX
            case SlotMark.BAD:
                slot.tries_left = 0
            case SlotMark.ACTIVE:
                self.primary, slot.tries_left = name, TRIES_MAX

    def _ask(self) -> None:
        if self.is_lost:
            raise InstallerLost("the simulated installer does not answer")
        self._settle()

    def _settle(self) -> None:
        """Let an installation end that has ended meanwhile."""
        if self._installing is None or self._now_s() < self._installing[0]:
            return
        name = _other(self.booted)
        self._slots[name] = _Slot(self._installing[1].version, tries_left=TRIES_MAX if self._activates else 0)
        if self._activates:
            self.primary = name
        self._installing = None


def _other(name: str) -> str:
    return {"A": "B", "B": "A"}[name]


def _trusted(path: Path) -> SimImage:
    data = path.read_bytes()
    if not data.startswith(BEGINNING) or not data.endswith(ENDING):
        raise ImageRefused("Failed to read bundle: invalid size")
    image = msgspec.convert(json.loads(data[len(BEGINNING) :].split(b"\n", 1)[0]), SimImage)
    if not image.is_trusted:
        raise ImageRefused("signature verification failed: Verify error: self-signed certificate")
    return image
