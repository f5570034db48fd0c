"""The keys that this hub trusts: the files in `ota.keys_dir`, plus what confirmed releases added and revoked.

A revocation is final: no later release, no reset of a slot, no factory reset and no file in `ota.keys_dir` may bring a
key back. So the keyring is a file of its own (`keyring.json`) with a copy in `update.json`. Where both are lost, the
list in the good slot is used. The version floor is kept here as well, in case `launcher.json` is lost. All methods
except those of `Keyring` block: call them through a `Worker`.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec

from agent.errors import BundleUntrusted, ConfigInvalid, Corrupt, StorageFull
from agent.foundation.disk import Disk
from agent.foundation.durable_file import DurableFile
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.worker import Worker
from agent.ota.bundle_format import key_id_of
from agent.ota.keys import KeyChanges, key_ids_of, normalize_keys, read_key_changes, read_public

_log = logging.getLogger(__name__)

FILE_NAME = "keyring.json"
FILE_BYTES_MAX = 64 * 1024
ADDED_MAX = 64
REVOKED_MAX = 512
"""With `ADDED_MAX`, the file has 16 KiB at most. A release that needs more is refused: a revocation must never make
room for another."""
KEY_FILES_MAX = 64


class Keyring(msgspec.Struct, frozen=True, omit_defaults=True):
    """The keys that confirmed releases added and revoked, in lower-case hexadecimal, and the version floor.

    Attributes:
        added: Raw public keys.
        revoked: Ids of keys that are never trusted again.
        floor: Sequence number of the newest release that was confirmed here.
    """

    added: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    floor: int = 0

    def merge(self, other: "Keyring") -> "Keyring":
        """Return the union of both: no key, revocation or floor is lost."""
        revoked = (*self.revoked, *(each for each in other.revoked if each not in self.revoked))
        added = (*self.added, *(each for each in other.added if each not in self.added))
        kept = tuple(key for key in added if key_ids_of((key,))[0] not in revoked)
        return Keyring(kept, revoked, max(self.floor, other.floor))

    def with_changes(self, changes: KeyChanges) -> "Keyring":
        """Return the keyring once a release with these changes is confirmed."""
        return self.merge(Keyring(changes.keys, changes.revoked))


def decode(data: bytes) -> Keyring:
    """Return the keyring in a file; an entry that is no key or id is left out, and costs none of the others.

    Raises:
        Corrupt: It is no keyring at all.
    """
    try:
        values = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        added, revoked = (
            msgspec.json.decode(values.get(name, b"[]"), type=list[object]) for name in ("added", "revoked")
        )
        floor = msgspec.json.decode(values.get("floor", b"0"), type=int)
    except DECODE_ERRORS as error:
        raise Corrupt(str(error)) from error
    changes = normalize_keys(added, revoked)
    left_out = len(added) + len(revoked) - len(changes.keys) - len(changes.revoked)
    if left_out:
        _log.warning("%s holds %d entries that are no keys; they are left out", FILE_NAME, left_out)
    return Keyring().merge(Keyring(changes.keys, changes.revoked, max(0, floor)))


class TrustStore:
    """The trusted keys of one hub.

    Built on `DurableFile` and not on `JsonStore`: its methods run on the worker, as part of the commit of a release,
    and a keyring counts although the disk has refused it.

    Attributes:
        keyring: In force, and durable where the disk allowed it.
        problems: What is wrong with single key files, for people; the other files count.
    """

    def __init__(self, directory: Path, keys_dir: Path, disk: Disk) -> None:
        """Prepare; nothing is read.

        Args:
            directory: The state directory.
            keys_dir: Its `*.pub` files count, less what was revoked; it need not exist.
            disk: Reads and writes.
        """
        self._file = DurableFile(
            directory / FILE_NAME,
            disk=disk,
            bytes_max=FILE_BYTES_MAX,
            decode=decode,
            loss="added and revoked keys are taken from the other files",
        )
        self._keys_dir = keys_dir
        self._disk = disk
        self.keyring = Keyring()
        self._is_durable = False
        self.problems: tuple[str, ...] = ()

    def load(self, copy: Keyring, release_dir: Path | None) -> str:
        """Load the keyring and repair its file; return what was wrong with the file, empty for nothing.

        Args:
            copy: The copy in `update.json`.
            release_dir: The confirmed release: its list is used by a hub without file and copy, which comes from an
                older release or has lost both. `None` where the list must not count.

        Raises:
            StorageFull: It cannot be written now; what was loaded counts all the same.
        """
        in_file = found = self._file.read()
        problem = self._file.problem
        if found is None and copy == Keyring():
            found, release_problem = self._of_release(release_dir)
            problem = problem or release_problem
        elif found is None:
            problem = problem or f"{FILE_NAME} was lost; it was made anew from {len(copy.revoked)} revocations known"
        known = self.keyring.merge(copy if found is None else found.merge(copy))
        self.keyring = known
        self._is_durable = known in {in_file, Keyring()}  # of nothing, nothing can be lost
        if not self._file.is_unread:
            self._advance(known)
        return problem

    async def settle(self, worker: Worker) -> None:
        """Read the file again until the disk allows it; return at once where it was read.

        Raises:
            StorageFull: It cannot be written now; what was read counts all the same.
        """
        if not self._file.is_unread:
            return
        await self._file.settle(worker, self._take_up)
        await worker.run(lambda: self._advance(self.keyring))

    def _take_up(self, found: Keyring) -> None:
        self.keyring = self.keyring.merge(found)

    def _of_release(self, release_dir: Path | None) -> tuple[Keyring | None, str]:
        if release_dir is None:
            return None, ""
        try:
            changes = read_key_changes(release_dir, self._disk)
        except (Corrupt, StorageFull) as error:
            return None, str(error)
        return (Keyring().with_changes(changes) if changes != KeyChanges() else None), ""

    def apply_changes(self, changes: KeyChanges) -> None:
        """Add and revoke the keys of a confirmed release, durably.

        Raises:
            StorageFull: It cannot be written now.
        """
        self._advance(self.keyring.with_changes(changes))

    def raise_floor(self, sequence: int) -> None:
        """Raise the version floor, durably.

        Raises:
            StorageFull: It cannot be written now.
        """
        self._advance(self.keyring.merge(Keyring(floor=sequence)))

    def _advance(self, keyring: Keyring) -> None:
        """Put a keyring in force, and make it durable where it is not."""
        if keyring == self.keyring and self._is_durable:
            return
        self.keyring, self._is_durable = keyring, False
        try:
            self._file.write(msgspec.json.encode(keyring))
        except OSError as error:
            raise StorageFull(f"{self._file.path} cannot be written ({error.strerror}); check the disk") from error
        self._is_durable = True

    def trusted_keys(self) -> Mapping[bytes, bytes]:
        """Return the trusted raw public keys by their id; a file without a key is left out."""
        problems: list[str] = []
        keys = [bytes.fromhex(each) for each in self.keyring.added]
        revoked = {bytes.fromhex(each) for each in self.keyring.revoked}
        for path in self._files(problems):
            try:
                key = read_public(path, self._disk)
            except (ConfigInvalid, Corrupt, StorageFull) as error:
                problems.append(str(error))
                continue
            if key_id_of(key) in revoked:
                problems.append(f"{path} is key {key_id_of(key).hex()}, which a release has revoked; remove the file")
            keys.append(key)
        self.problems = tuple(problems)
        return {key_id_of(key): key for key in keys if key_id_of(key) not in revoked}

    def _files(self, problems: list[str]) -> list[Path]:
        try:
            files = sorted(self._keys_dir.glob("*.pub"))
        except OSError as error:
            problems.append(f"{self._keys_dir} cannot be read ({error.strerror})")
            return []
        if len(files) > KEY_FILES_MAX:
            problems.append(f"{self._keys_dir} holds {len(files)} keys; the first {KEY_FILES_MAX} count")
        return files[:KEY_FILES_MAX]

    def check_changes(self, changes: KeyChanges, signer: str) -> None:
        """Check that this hub may install a release with these changes; return nothing.

        Args:
            changes: Of the release.
            signer: Id of the key that signed the release; empty for an unsigned bundle.

        Raises:
            BundleUntrusted: It would leave this hub without the key that signed it, or without any, or with more than
                it can remember.
        """
        if changes == KeyChanges():
            return
        if not signer:
            raise BundleUntrusted("sign the bundle: an unsigned one cannot change the trusted keys")
        check_key_changes(changes, signer)
        after = self.keyring.with_changes(changes)
        if len(after.added) > ADDED_MAX or len(after.revoked) > REVOKED_MAX:
            raise BundleUntrusted(
                f"this hub remembers {ADDED_MAX} added and {REVOKED_MAX} revoked keys at the most; with the release"
                f" they would be {len(after.added)} and {len(after.revoked)}"
            )
        left = {each.hex() for each in self.trusted_keys()} | set(key_ids_of(after.added))
        if not left - set(after.revoked):
            raise BundleUntrusted("the release would leave this hub without any key; add one with --add-key first")


def check_key_changes(changes: KeyChanges, signer: str) -> None:
    """Check that a release may have these changes, on any hub; return nothing.

    Args:
        changes: Of the release.
        signer: Id of the key that signs the release; empty while that is unknown.

    Raises:
        BundleUntrusted: It would revoke a key that it adds, or the key that signs it.
    """
    if both := sorted(set(key_ids_of(changes.keys)) & set(changes.revoked)):
        raise BundleUntrusted(f"the release adds and revokes key {', '.join(both)}; leave one of the two")
    if signer and signer in changes.revoked:
        raise BundleUntrusted(
            f"the release revokes key {signer}, which signs it. Add the new key with one release, signed with the old"
            " key, and revoke the old key with the next, signed with the new one (docs/updates.md)"
        )
