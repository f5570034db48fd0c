"""The two slots of apps: installs a release into the idle one, puts it on trial, then commits or ends the trial.

Owns the order of the durable steps, which keeps a hub bootable at every power cut: the idle slot is written and synced
completely, read back, and only then written into the launcher's state (`launcher.json`). Must never touch the good slot
or the one that runs. All methods block: call them through a `Worker`.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from agent.errors import BundleUntrusted, Corrupt, InstallFailed, ReadFailed, StorageFull
from agent.foundation.disk import Disk, is_file_or_absent
from agent.foundation.staging_files import StagingFiles, announcer
from agent.ota import launcher
from agent.ota.bundle_format import BundleHeader, BundleStream
from agent.ota.keys import KeyChanges
from agent.ota.launcher import BASE, SLOTS, SLOTS_DIR, FailedRelease, LauncherState
from agent.ota.manifest import CHUNK_BYTES

READS_MAX = 6
"""How often `launcher.json` is read from a failing disk before a new one is written."""


def crash_file_name(slot: str) -> str:
    """Return the name, in the state directory, of the crash report of the release in a slot."""
    return f"crash-{slot}.txt"


class InstalledRelease(msgspec.Struct, frozen=True):
    """A release in a slot, complete and verified.

    Attributes:
        slot: Of the release.
        digest: Of the content of the slot.
        version: Of the release.
        sequence: Of the release.
    """

    slot: str
    digest: str
    version: str
    sequence: int


class Slots:
    """The slots of one hub, seen from the release that runs.

    More than ten methods: one for each change of the launcher's state, which only this class writes.

    Attributes:
        running: The slot that this process was started from; `BASE` for the package.
    """

    def __init__(self, trees: StagingFiles, disk: Disk, *, running: str) -> None:
        self._trees = trees
        self._disk = disk
        self._announce = announcer(disk)
        self._failed_reads = 0
        self.running = running

    @property
    def directory(self) -> Path:
        """The state directory."""
        return self._trees.root

    def slot_path(self, slot: str) -> Path:
        """Return the directory of a slot."""
        return self._trees.path(f"{SLOTS_DIR}/{slot}")

    def read_state(self) -> LauncherState:
        """Return the launcher's state.

        Raises:
            Corrupt: It cannot be read: see `rebuild`.
            ReadFailed: The disk fails to read it now.
        """
        return self._read_with_problem()[0]

    def _read_with_problem(self) -> tuple[LauncherState, str]:
        try:
            found = launcher.load_with_problem(self._trees.root)
        except ValueError as error:
            raise Corrupt(f"{launcher.STATE_FILE} cannot be read ({error})") from error
        except OSError as error:
            if self._is_no_file():
                raise Corrupt(f"{launcher.STATE_FILE} is no regular file") from error
            raise ReadFailed(f"{launcher.STATE_FILE} cannot be read ({error.strerror}); check the disk") from error
        return found

    def read_or_rebuild(self, *, floor: int) -> tuple[LauncherState, str]:
        """Return the launcher's state, and what was wrong where it had to be repaired or rebuilt.

        Raises:
            StorageFull: It cannot be written now, or the disk fails to read it.
        """
        try:
            state, problem = self._read_with_problem()
        except ReadFailed:
            self._failed_reads += 1
            if self._failed_reads < READS_MAX:
                raise
            return self.rebuild(
                floor=floor
            ), f"the disk failed to read {launcher.STATE_FILE} {READS_MAX} times in a row"
        except Corrupt as error:
            return self.rebuild(floor=floor), str(error)
        self._failed_reads = 0
        if problem:
            self._make_room()
            with contextlib.suppress(StorageFull):
                self._store(state)
        return state, problem

    def _make_room(self) -> None:
        """Put aside something with the name of `launcher.json` that is no file."""
        if self._is_no_file():
            self._disk.try_quarantine(self._trees.path(launcher.STATE_FILE))

    def _is_no_file(self) -> bool:
        try:
            return not is_file_or_absent(self._trees.path(launcher.STATE_FILE))
        except OSError:
            return False

    def rebuild(self, *, floor: int) -> LauncherState:
        """Write a new launcher's state for one that cannot be read: the slot that runs becomes the good one.

        Raises:
            StorageFull: It cannot be written now.
        """
        state = LauncherState(good=self.running, floor=floor)
        if self.running != BASE:
            digest = launcher.digest(self._trees.path(f"{SLOTS_DIR}/{self.running}"))
            state = state.with_digest(self.running, digest)
        self._make_room()
        self._store(state)
        return state

    def idle_slot(self) -> str:
        """Return the slot that is neither good nor running."""
        busy = {self.read_state().good, self.running}
        return next(slot for slot in SLOTS if slot not in busy)

    def install(
        self, bundle: str, check: Callable[[bytes], BundleHeader], check_trust: Callable[[KeyChanges, str], None]
    ) -> InstalledRelease:
        """Unpack a bundle into the idle slot, durably; verify every byte on the way and again from the disk.

        Args:
            bundle: Name of the file.
            check: Checks the header.
            check_trust: Checks its key changes, given the id of its signer.

        Raises:
            BundleUntrusted: This hub must not install it. Only the idle slot may have changed: it is empty then.
            BundleDamaged: The file is damaged. The idle slot is empty then.
            StorageFull: No room.
            InstallFailed: The disk has other content than was written.
            OSError: The disk failed in another way.
        """
        import shutil  # noqa: PLC0415 - as the next one

        from agent.ota.payload import unpack  # noqa: PLC0415 - tarfile and lzma cost memory, and a hub rarely updates

        state = self.read_state()
        if state.trial and state.trial != self.running:
            # A release that was never started is removed; first from the launcher's state, then from the disk.
            self._store(dataclasses.replace(state, trial="", trial_version="", trial_sequence=0, tries_left=0))
        slot = self.idle_slot()
        name, fresh = f"{SLOTS_DIR}/{slot}", f"{SLOTS_DIR}/{slot}.new"
        stream = BundleStream(check, offer=None)
        pieces = self._pieces(bundle, stream)
        next(pieces)  # the header is checked before the slot is touched
        manifest = stream.header.manifest if stream.header else None
        if manifest is None:
            raise BundleUntrusted("the bundle has no header")
        self._trees.remove(fresh)
        self._trees.remove(name)
        self._trees.remove(crash_file_name(slot))
        self._trees.path(SLOTS_DIR).mkdir(exist_ok=True)
        try:
            digest, trust = unpack(pieces, manifest, self._trees, fresh)
            signer = stream.finish().key_id
            check_trust(trust, signer)
            self._trees.sync(fresh)
        except (BundleUntrusted, StorageFull, OSError):
            shutil.rmtree(self._trees.path(fresh), ignore_errors=True)
            raise
        self._trees.rename(fresh, name)
        self._trees.forget_cached(name)
        if launcher.digest(self._trees.path(name)) != digest:
            self._trees.remove(name)
            raise InstallFailed(
                "check the card, which may be worn out: the slot reads back with other content than was written"
            )
        return InstalledRelease(slot, digest, manifest.version, manifest.sequence)

    def begin_trial(self, placed: InstalledRelease, *, tries: int) -> None:
        """Have the launcher start the release next, ``tries`` times at most.

        Raises:
            StorageFull: It cannot be written now.
        """
        state = self.read_state()
        if placed.slot in {state.good, self.running}:
            raise ValueError(f"slot {placed.slot} is in use")
        self._store(
            dataclasses.replace(
                state.with_digest(placed.slot, placed.digest),
                trial=placed.slot,
                trial_version=placed.version,
                trial_sequence=placed.sequence,
                tries_left=tries,
            )
        )

    def return_try(self, tries_max: int) -> LauncherState:
        """Give the release on trial one more start, up to ``tries_max``.

        Raises:
            StorageFull: It cannot be written now.
        """
        state = self.read_state()
        if state.trial and state.trial == self.running:
            state = dataclasses.replace(state, tries_left=min(state.tries_left + 1, tries_max))
            self._store(state)
        return state

    def commit(self) -> LauncherState:
        """Make the release on trial the good one, and raise the floor.

        Raises:
            ValueError: What runs is not on trial.
            StorageFull: It cannot be written now.
        """
        state = self.read_state()
        if not state.trial or state.trial != self.running:
            raise ValueError(f"slot {self.running} is not on trial")
        floor = max(state.floor, state.trial_sequence)
        committed = dataclasses.replace(
            state, good=state.trial, trial="", trial_version="", trial_sequence=0, tries_left=0, floor=floor
        )
        self._store(committed)
        return committed

    def end_trial(self, reason: str) -> LauncherState:
        """End the trial: the good release is the next to start.

        Raises:
            StorageFull: It cannot be written now; the trial ends with its last start in any case.
        """
        state = self.read_state()
        if state.trial:
            state = state.with_failed_trial(reason)
            self._store(state)
        return state

    # System images, which the boot loader starts.

    def set_good_slot(self, slot: str) -> LauncherState:
        """Make ``slot`` the good one, for the system that runs or starts next; ends the trial of an app.

        Raises:
            StorageFull: It cannot be written now.
        """
        state = dataclasses.replace(
            self.read_state(), good=slot, trial="", trial_version="", trial_sequence=0, tries_left=0
        )
        self._store(state)
        return state

    def raise_floor(self, sequence: int) -> LauncherState:
        """Raise the floor: no release up to ``sequence`` is installed any more.

        Raises:
            StorageFull: It cannot be written now.
        """
        state = self.read_state()
        state = dataclasses.replace(state, floor=max(state.floor, sequence))
        self._store(state)
        return state

    def record_failure(self, version: str, sequence: int, reason: str, *, good: str = "") -> LauncherState:
        """Record a failed system image; make ``good`` the good slot where it is given.

        Raises:
            StorageFull: It cannot be written now.
        """
        state = self.read_state()
        state = dataclasses.replace(
            state,
            failed=FailedRelease(version, sequence, reason[: launcher.REASON_CHARACTERS_MAX]),
            good=good or state.good,
        )
        self._store(state)
        return state

    def _store(self, state: LauncherState) -> None:
        try:
            launcher.store(self._trees.root, state, self._announce)
        except OSError as error:
            raise StorageFull(f"{launcher.STATE_FILE} cannot be written ({error.strerror}); free some space") from error

    def _pieces(self, bundle: str, stream: BundleStream) -> Iterator[bytes | bytearray]:
        with self._trees.path(bundle).open("rb") as file:
            while data := file.read(CHUNK_BYTES):
                yield from stream.feed(data)
