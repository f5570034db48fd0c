"""Which keys this hub trusts: files of its owner, and what proven releases have added and revoked, which is state.

A revocation stands for good: no other release that runs later, no reset of a slot, no factory reset and no file in
`ota.keys_dir` brings a key back. So it lies in a file of its own, with a copy in the record of updates; where the file
is lost, the copy serves, and where that is lost too, the list in the slot that is good. The floor lies there as well,
for an account of the slots that is lost. All methods but those of `Keyring` block: call them through a `Worker`.
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
"""With `ADDED_MAX`, a file of 16 KiB at the most. A release that would need more is refused: a revocation never makes
room for another."""
KEY_FILES_MAX = 64


class Keyring(msgspec.Struct, frozen=True, omit_defaults=True):
    """What proven releases have said of keys, in lower-case hexadecimal, and how far they have come.

    Attributes:
        added: Raw public keys.
        revoked: Ids of keys that are never trusted again.
        floor: Sequence number of the newest release that proved itself here.
    """

    added: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    floor: int = 0

    def merge(self, other: "Keyring") -> "Keyring":
        """Return what both know together: nothing that was added, revoked or proven is lost by it."""
        revoked = (*self.revoked, *(each for each in other.revoked if each not in self.revoked))
        added = (*self.added, *(each for each in other.added if each not in self.added))
        kept = tuple(key for key in added if key_ids_of((key,))[0] not in revoked)
        return Keyring(kept, revoked, max(self.floor, other.floor))

    def with_changes(self, trust: KeyChanges) -> "Keyring":
        """Return what is known once a release with this list has proved itself."""
        return self.merge(Keyring(trust.keys, trust.revoked))


def decode(data: bytes) -> Keyring:
    """Return what a file holds; an entry that is no key or id is left out, so that it costs none of the others.

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
    trust = normalize_keys(added, revoked)
    left_out = len(added) + len(revoked) - len(trust.keys) - len(trust.revoked)
    if left_out:
        _log.warning("%s holds %d entries that are no keys; they are left out", FILE_NAME, left_out)
    return Keyring().merge(Keyring(trust.keys, trust.revoked, max(0, floor)))


class TrustStore:
    """The trust of one hub.

    Attributes:
        keyring: What is durable, as far as it is known.
        problems: What is wrong with single files, for people; the other files count.
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
            loss="which keys were added and revoked is known from other records only",
        )
        self._keys_dir = keys_dir
        self._disk = disk
        self.keyring = Keyring()
        self._is_durable = False
        self.problems: tuple[str, ...] = ()

    def load(self, copy: Keyring, release_dir: Path | None) -> str:
        """Learn what is durable; return what was wrong with that, empty for nothing.

        Args:
            copy: What the record of updates knows.
            release_dir: The release that has proved itself, for a hub that has neither file nor copy (it ran an older
                release until now, or has lost both); `None` where its list must not count.

        Raises:
            StorageFull: It cannot be written now; what is known counts all the same.
        """
        in_file = found = self._file.read()
        problem = self._file.problem
        if found is None and copy == Keyring():
            found, said = self._of_release(release_dir)
            problem = problem or said
        elif found is None:
            problem = problem or f"{FILE_NAME} was lost; it was made anew from {len(copy.revoked)} revocations known"
        known = self.keyring.merge(copy if found is None else found.merge(copy))
        self.keyring = known
        self._is_durable = known in {in_file, Keyring()}  # of nothing, nothing can be lost
        if not self._file.is_unread:
            self._advance(known)
        return problem

    async def settle(self, worker: Worker) -> None:
        """Go on asking for what the disk did not give; return at once where nothing is open.

        Raises:
            StorageFull: It cannot be written now; what is known counts all the same.
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
            trust = read_key_changes(release_dir, self._disk)
        except (Corrupt, StorageFull) as error:
            return None, str(error)
        return (Keyring().with_changes(trust) if trust != KeyChanges() else None), ""

    def apply_changes(self, trust: KeyChanges) -> None:
        """Take over what a release that has proved itself says of keys, durably.

        Raises:
            StorageFull: It cannot be written now.
        """
        self._advance(self.keyring.with_changes(trust))

    def raise_floor(self, sequence: int) -> None:
        """Remember how far the releases have come, durably.

        Raises:
            StorageFull: It cannot be written now.
        """
        self._advance(self.keyring.merge(Keyring(floor=sequence)))

    def _advance(self, keyring: Keyring) -> None:
        """Make it count from now on, and make it durable where it is not."""
        if keyring == self.keyring and self._is_durable:
            return
        self.keyring, self._is_durable = keyring, False
        try:
            self._file.write(msgspec.json.encode(keyring))
        except OSError as error:
            raise StorageFull(f"{self._file.path} cannot be written ({error.strerror}); check the disk") from error
        self._is_durable = True

    def trusted_keys(self) -> Mapping[bytes, bytes]:
        """Return what this hub trusts: raw public keys by their id. A file that is no key costs only itself."""
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

    def check_changes(self, trust: KeyChanges, signer: str) -> None:
        """Return where a release with this list may be installed.

        Args:
            trust: What it says of keys.
            signer: Id of the key that signed it; empty where nobody did.

        Raises:
            BundleUntrusted: It would leave this hub without the key that signed it, or without any, or with more than
                it can remember.
        """
        if trust == KeyChanges():
            return
        if not signer:
            raise BundleUntrusted("a bundle that nobody signed cannot change which keys a hub trusts; sign it")
        check_key_changes(trust, signer)
        after = self.keyring.with_changes(trust)
        if len(after.added) > ADDED_MAX or len(after.revoked) > REVOKED_MAX:
            raise BundleUntrusted(
                f"this hub remembers {ADDED_MAX} added and {REVOKED_MAX} revoked keys at the most; with the release"
                f" they would be {len(after.added)} and {len(after.revoked)}"
            )
        left = {each.hex() for each in self.trusted_keys()} | set(key_ids_of(after.added))
        if not left - set(after.revoked):
            raise BundleUntrusted("the release would leave this hub without any key; add one with --add-key first")


def check_key_changes(trust: KeyChanges, signer: str) -> None:
    """Return where a release may say this of keys, whichever hub it goes to.

    Args:
        trust: What it says.
        signer: Id of the key that signs it; empty where that is not known yet.

    Raises:
        BundleUntrusted: It would revoke a key that it adds, or the key that signs it.
    """
    if both := sorted(set(key_ids_of(trust.keys)) & set(trust.revoked)):
        raise BundleUntrusted(f"the release adds and revokes key {', '.join(both)}; leave one of the two")
    if signer and signer in trust.revoked:
        raise BundleUntrusted(
            f"the release revokes key {signer}, which signs it. Add the new key with one release, signed with the old"
            " key, and revoke the old key with the next, signed with the new one (docs/updates.md)"
        )
