"""Only who has the passphrase or the private key opens a backup; a change of any byte is noticed."""

import os
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from agent.backup import encryption
from agent.backup.errors import BackupRefused

SECRET = b"cs_dev_secret"
PASSPHRASE = "correct horse battery"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "SCRYPT_LOG2_N", 14)


def pair(kind: type[X25519PrivateKey | Ed25519PrivateKey] = X25519PrivateKey) -> tuple[bytes, bytes]:
    private = kind.generate()
    return (
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


def by_passphrase() -> tuple[bytes, Callable[[bytes], bytes]]:
    file = encryption.encrypt_with_passphrase(SECRET, PASSPHRASE, os.urandom)
    return file, lambda data: encryption.decrypt_with_passphrase(data, PASSPHRASE)


def by_key() -> tuple[bytes, Callable[[bytes], bytes]]:
    private, public = pair()
    return encryption.encrypt_to_key(SECRET, public, os.urandom), lambda data: encryption.decrypt_with_key(
        data, private
    )


@pytest.mark.parametrize("made", [by_passphrase, by_key])
def test_the_content_comes_back_and_stands_nowhere_in_the_file(
    made: Callable[[], tuple[bytes, Callable[[bytes], bytes]]],
) -> None:
    file, decrypt = made()
    assert decrypt(file) == SECRET
    assert SECRET not in file
    assert file != made()[0]


def test_a_change_of_any_byte_is_noticed() -> None:
    file, decrypt = by_key()
    for place in range(len(file)):
        changed = bytearray(file)
        changed[place] ^= 1
        with pytest.raises(BackupRefused) as refused:
            decrypt(bytes(changed))
        assert "secret" not in str(refused.value)
    for end in range(0, len(file), 7):
        with pytest.raises(BackupRefused):
            decrypt(file[:end])


def test_another_passphrase_or_key_opens_nothing() -> None:
    file, _ = by_passphrase()
    with pytest.raises(BackupRefused, match="try another passphrase"):
        encryption.decrypt_with_passphrase(file, PASSPHRASE + "!")
    with pytest.raises(BackupRefused, match="leave --key out"):
        encryption.decrypt_with_key(file, pair()[0])
    assert not encryption.needs_private_key(file)
    file, _ = by_key()
    assert encryption.needs_private_key(file)
    with pytest.raises(BackupRefused, match="name another private key"):
        encryption.decrypt_with_key(file, pair()[0])
    with pytest.raises(BackupRefused, match="with --key"):
        encryption.decrypt_with_passphrase(file, PASSPHRASE)
    for private in (b"", pair(Ed25519PrivateKey)[0]):
        with pytest.raises(BackupRefused, match="X25519 private key"):
            encryption.decrypt_with_key(file, private)


def test_weak_passphrases_and_other_keys_are_refused() -> None:
    with pytest.raises(BackupRefused, match="at least 12 characters"):
        encryption.encrypt_with_passphrase(SECRET, "short", os.urandom)
    for public in (b"", pair(Ed25519PrivateKey)[1]):
        with pytest.raises(BackupRefused, match="openssl genpkey"):
            encryption.encrypt_to_key(SECRET, public, os.urandom)


@pytest.mark.parametrize(
    "head",
    [
        b'{"nonce":"' + b"0" * 24 + b'","salt":"' + b"0" * 32 + b'","log2_n":40}',
        b'{"nonce":"' + b"0" * 24 + b'"}',
        b'{"nonce":"' + b"0" * 24 + b'","salt":"' + b"0" * 32 + b'","ephemeral":"' + b"0" * 64 + b'"}',
        b"[]",
        b"x" * 2000,
    ],
)
def test_a_foreign_head_costs_nothing(head: bytes) -> None:
    with pytest.raises(BackupRefused, match="the head of this file"):
        encryption.decrypt_with_passphrase(encryption.MAGIC + head + b"\n" + b"x" * 40, PASSPHRASE)
    with pytest.raises(BackupRefused, match="this is none"):
        encryption.needs_private_key(b"PK\x03\x04")
