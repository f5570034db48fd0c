"""Which keys a hub trusts, and that a revoked one never comes back."""

import json
from pathlib import Path

import msgspec
import pytest

from agent.errors import BundleUntrusted, Corrupt, StorageFull
from agent.foundation.disk import Disk, Operation
from agent.foundation.durable_file import COPY_SUFFIX
from agent.ota import keys
from agent.ota.bundle_format import key_id_of
from agent.ota.keyring import ADDED_MAX, FILE_NAME, REVOKED_MAX, Keyring, TrustStore, check_key_changes, decode
from agent.ota.keys import KeyChanges

from .conftest import PRIVATE, PUBLIC, STRANGER, public_of

NEW = public_of(STRANGER)
OLD_ID, NEW_ID = key_id_of(PUBLIC).hex(), key_id_of(NEW).hex()


def write_public(path: Path, private: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    key = Ed25519PrivateKey.from_private_bytes(private).public_key()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


@pytest.fixture
def keys_dir(tmp_path: Path) -> Path:
    write_public(tmp_path / "keys" / "old.pub", PRIVATE)
    return tmp_path / "keys"


def loaded(tmp_path: Path, copy: Keyring = Keyring(), release_dir: Path | None = None) -> TrustStore:  # noqa: B008
    trust = TrustStore(tmp_path, tmp_path / "keys", Disk())
    trust.load(copy, release_dir)
    return trust


def ids(trust: TrustStore) -> set[str]:
    return {each.hex() for each in trust.trusted_keys()}


def test_key_changes_survive_the_release_that_made_them(tmp_path: Path, keys_dir: Path) -> None:
    trust = loaded(tmp_path)
    assert ids(trust) == {OLD_ID}
    trust.apply_changes(KeyChanges((NEW.hex(),)))
    assert ids(loaded(tmp_path)) == {OLD_ID, NEW_ID}
    trust.apply_changes(KeyChanges((), (OLD_ID,)))
    trust.apply_changes(KeyChanges())
    assert ids(loaded(tmp_path)) == {NEW_ID}


def test_a_revoked_key_never_comes_back(tmp_path: Path, keys_dir: Path) -> None:
    trust = loaded(tmp_path)
    trust.apply_changes(KeyChanges((NEW.hex(),), (OLD_ID,)))
    trust.apply_changes(KeyChanges((PUBLIC.hex(),)))  # a later release that adds it again
    write_public(keys_dir / "again.pub", PRIVATE)  # a file of the owner
    assert ids(trust) == ids(loaded(tmp_path)) == {NEW_ID}
    assert [each for each in trust.problems if OLD_ID in each and "again.pub" in each]


def test_lost_keyring_is_restored_from_the_update_record(tmp_path: Path, keys_dir: Path) -> None:
    trust = loaded(tmp_path)
    trust.apply_changes(KeyChanges((NEW.hex(),), (OLD_ID,)))
    trust.raise_floor(7)
    copy = trust.keyring
    for damage in (None, b"", b"\0" * 50, b"[]", b'{"revoked": 5}', b"x" * 100_000):
        for name in (FILE_NAME, FILE_NAME + COPY_SUFFIX):
            if damage is None:
                (tmp_path / name).unlink()
            else:
                (tmp_path / name).write_bytes(damage)
        trust = TrustStore(tmp_path, keys_dir, Disk())
        assert FILE_NAME in trust.load(copy, None)
        assert (trust.keyring, ids(trust)) == (copy, {NEW_ID})
        assert loaded(tmp_path).keyring == copy


def test_older_or_lost_update_record_removes_no_key_change(tmp_path: Path, keys_dir: Path) -> None:
    loaded(tmp_path).apply_changes(KeyChanges((NEW.hex(),), (OLD_ID,)))
    assert ids(loaded(tmp_path, Keyring())) == {NEW_ID}
    assert ids(loaded(tmp_path, Keyring(added=(PUBLIC.hex(),), floor=3))) == {NEW_ID}
    assert loaded(tmp_path).keyring.floor == 3


def test_key_list_of_an_older_releases_slot_is_adopted_once(tmp_path: Path, keys_dir: Path) -> None:
    slot = tmp_path / "slot"
    slot.mkdir()
    (slot / keys.TRUST_FILE).write_text(json.dumps({"keys": [NEW.hex().upper()], "revoked": [OLD_ID.upper()]}))
    assert ids(loaded(tmp_path, release_dir=slot)) == {NEW_ID}
    (slot / keys.TRUST_FILE).write_text(json.dumps({"keys": ["00" * 32]}))
    assert ids(loaded(tmp_path, release_dir=slot)) == {NEW_ID}
    for path in tmp_path.glob(f"{FILE_NAME}*"):
        path.unlink()
    (slot / keys.TRUST_FILE).write_bytes(b"{")
    trust = TrustStore(tmp_path, keys_dir, Disk())
    assert "cannot be read" in trust.load(Keyring(), slot)
    assert ids(trust) == {OLD_ID}


def test_invalid_key_file_is_ignored_alone(tmp_path: Path, keys_dir: Path) -> None:
    (keys_dir / "a.pub").write_text("no key")
    (keys_dir / "b.pub").mkdir()
    trust = loaded(tmp_path)
    assert ids(trust) == {OLD_ID}
    assert len(trust.problems) == 2
    assert ids(TrustStore(tmp_path, tmp_path / "none", Disk())) == set()


def test_invalid_keyring_entry_is_ignored_alone() -> None:
    data = msgspec.json.encode({"added": [NEW.hex(), "zz", 5], "revoked": [OLD_ID, "", OLD_ID + "00"], "floor": 4})
    assert decode(data) == Keyring((NEW.hex(),), (OLD_ID,), 4)
    for broken in (b"", b"[]", b'{"added": {}}', b'{"floor": "x"}'):
        with pytest.raises(Corrupt):
            decode(broken)


def test_key_changes_apply_on_a_full_disk_and_are_saved_later(tmp_path: Path, keys_dir: Path) -> None:
    is_full = True

    def full(operation: Operation, name: str) -> None:
        if is_full and operation is Operation.WRITE:
            raise OSError(28, "No space left on device", name)

    trust = TrustStore(tmp_path, keys_dir, Disk(full))
    with pytest.raises(StorageFull):
        trust.load(Keyring(revoked=(OLD_ID,)), None)
    assert ids(trust) == set()
    with pytest.raises(StorageFull):
        trust.apply_changes(KeyChanges((NEW.hex(),)))
    is_full = False
    trust.apply_changes(KeyChanges((NEW.hex(),)))
    assert ids(loaded(tmp_path)) == {NEW_ID}


def test_release_that_would_revoke_its_signer_or_every_key_is_refused(tmp_path: Path, keys_dir: Path) -> None:
    trust = loaded(tmp_path)
    trust.check_changes(KeyChanges(), OLD_ID)
    trust.check_changes(KeyChanges((NEW.hex(),)), OLD_ID)
    with pytest.raises(BundleUntrusted, match="revokes key"):
        trust.check_changes(KeyChanges((NEW.hex(),), (OLD_ID,)), OLD_ID)
    with pytest.raises(BundleUntrusted, match="adds and revokes"):
        trust.check_changes(KeyChanges((NEW.hex(),), (NEW_ID,)), OLD_ID)
    with pytest.raises(BundleUntrusted, match="an unsigned one"):
        trust.check_changes(KeyChanges((NEW.hex(),)), "")
    with pytest.raises(BundleUntrusted, match="without any key"):
        trust.check_changes(KeyChanges((), (OLD_ID,)), "11" * 8)
    with pytest.raises(BundleUntrusted, match="at the most"):
        trust.check_changes(KeyChanges(tuple(f"{n:064x}" for n in range(ADDED_MAX + 1))), OLD_ID)
    trust.apply_changes(KeyChanges((NEW.hex(),)))
    trust.check_changes(KeyChanges((), (OLD_ID,)), NEW_ID)
    with pytest.raises(BundleUntrusted, match="revokes key"):
        check_key_changes(KeyChanges((), (NEW_ID,)), NEW_ID)


def test_written_keyring_is_read_again(tmp_path: Path) -> None:
    full = Keyring(tuple(f"{n:064x}" for n in range(ADDED_MAX)), tuple(f"{n:016x}" for n in range(REVOKED_MAX)), 2**53)
    trust = TrustStore(tmp_path, tmp_path / "keys", Disk())
    trust.load(full, None)
    assert loaded(tmp_path).keyring == full


def test_key_list_of_a_release_is_decoded_strictly() -> None:
    assert keys.decode_key_changes(b'{"keys": [], "more": 1}') == KeyChanges()
    for wrong in ({"keys": ["00"]}, {"revoked": ["nonsense"]}, {"revoked": [OLD_ID, OLD_ID.upper()]}, {"keys": 5}):
        with pytest.raises(Corrupt, match=r"trust\.json"):
            keys.decode_key_changes(json.dumps(wrong).encode())
