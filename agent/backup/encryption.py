"""Encrypts a backup to a passphrase or to a public key. Pure, but for the random bytes that it is given.

A file is one line that names the format, one line of JSON that says how the key is derived, and the ciphertext with
its tag: AES-256-GCM, with both lines as associated data, so that a change of any byte is noticed. Each file has a key
of its own (a random salt, or a new key pair), so a nonce is never used twice with one key. Nothing about the hub stands
outside the ciphertext.

* Passphrase: scrypt (RFC 7914).
* Public key: X25519 with a new key pair for each file (RFC 7748), then HKDF-SHA256 over the shared secret, with both
  public keys as its salt (RFC 5869).
"""

from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from agent.backup.errors import BackupRefused
from agent.foundation.secret_hash import RandomBytes

MAGIC = b"climahub backup 1\n"
HEADER_BYTES_MAX = 1024
FILE_BYTES_MAX = 100 * 1024 * 1024

SCRYPT_LOG2_N = 16
"""64 MiB of memory and 0.2 s on a desktop, a second on a Pi 3: an attacker pays as much for each guess."""
SCRYPT_R, SCRYPT_P = 8, 1

PASSPHRASE_CHARACTERS_MIN = 12

_INFO = b"climahub backup 1"
_KEY_BYTES = 32
_SALT_BYTES = 16
_NONCE_BYTES = 12
_PEM_BYTES_MAX = 16 * 1024

_Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{24,64}$")]


class _Header(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How the key is derived: from `salt` and a passphrase, or from `ephemeral` and a private key.

    The bounds of `log2_n` keep a file from taking more than 128 MiB, and from being made with a cost that protects
    nothing.
    """

    nonce: _Hex
    salt: _Hex = ""
    log2_n: Annotated[int, msgspec.Meta(ge=14, le=17)] = SCRYPT_LOG2_N
    ephemeral: _Hex = ""


def encrypt_with_passphrase(data: bytes, passphrase: str, random_bytes: RandomBytes) -> bytes:
    """Return the file of a backup for whoever knows the passphrase.

    Raises:
        BackupRefused: The passphrase is too short.
    """
    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        raise BackupRefused(f"choose a passphrase of at least {PASSPHRASE_CHARACTERS_MIN} characters")
    salt = random_bytes(_SALT_BYTES)
    header = _Header(nonce=random_bytes(_NONCE_BYTES).hex(), salt=salt.hex(), log2_n=SCRYPT_LOG2_N)
    return _encrypt(data, header, _key_of_passphrase(passphrase, salt, header.log2_n))


def encrypt_to_key(data: bytes, public_pem: bytes, random_bytes: RandomBytes) -> bytes:
    """Return the file of a backup for whoever has the private key.

    Args:
        data: The backup.
        public_pem: An X25519 public key in PEM (`openssl pkey -pubout`).
        random_bytes: Makes the nonce and the key pair.

    Raises:
        BackupRefused: It is no such key.
    """
    try:
        recipient = serialization.load_pem_public_key(public_pem[:_PEM_BYTES_MAX])
    except ValueError:
        recipient = None
    if not isinstance(recipient, X25519PublicKey):
        raise BackupRefused(
            "name an X25519 public key in PEM, made with: openssl genpkey -algorithm X25519 -out private.pem,"
            " openssl pkey -in private.pem -pubout -out public.pem"
        )
    own = X25519PrivateKey.from_private_bytes(random_bytes(_KEY_BYTES))
    ephemeral = own.public_key().public_bytes_raw()
    key = _key_of_exchange(own.exchange(recipient), ephemeral, recipient.public_bytes_raw())
    return _encrypt(data, _Header(nonce=random_bytes(_NONCE_BYTES).hex(), ephemeral=ephemeral.hex()), key)


def needs_private_key(file: bytes) -> bool:
    """Tell whether a backup was encrypted to a public key.

    Raises:
        BackupRefused: The file is no backup.
    """
    return bool(_read_header(file)[0].ephemeral)


def decrypt_with_passphrase(file: bytes, passphrase: str) -> bytes:
    """Return the backup in a file.

    Raises:
        BackupRefused: The file is no backup or was changed, or the passphrase is another.
    """
    header, _, _ = _read_header(file)
    if not header.salt:
        raise BackupRefused("name the private key with --key: this backup was encrypted to a public key")
    key = _key_of_passphrase(passphrase, bytes.fromhex(header.salt), header.log2_n)
    return _decrypt(file, key, "try another passphrase")


def decrypt_with_key(file: bytes, private_pem: bytes) -> bytes:
    """Return the backup in a file.

    Raises:
        BackupRefused: The file is no backup or was changed, or the key is another, or has a passphrase of its own.
    """
    header, _, _ = _read_header(file)
    if not header.ephemeral:
        raise BackupRefused("leave --key out and give the passphrase: this backup was encrypted to one")
    try:
        private = serialization.load_pem_private_key(private_pem[:_PEM_BYTES_MAX], password=None)
    except (ValueError, TypeError):
        private = None
    if not isinstance(private, X25519PrivateKey):
        raise BackupRefused("name an X25519 private key in PEM without a passphrase of its own")
    ephemeral = bytes.fromhex(header.ephemeral)
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    except ValueError:
        raise BackupRefused("make another backup: this file was changed or damaged") from None
    key = _key_of_exchange(shared, ephemeral, private.public_key().public_bytes_raw())
    return _decrypt(file, key, "name another private key")


def _key_of_passphrase(passphrase: str, salt: bytes, log2_n: int) -> bytes:
    kdf = Scrypt(salt=salt, length=_KEY_BYTES, n=1 << log2_n, r=SCRYPT_R, p=SCRYPT_P)
    return kdf.derive(passphrase.encode())


def _key_of_exchange(shared: bytes, ephemeral: bytes, recipient: bytes) -> bytes:
    return HKDF(hashes.SHA256(), _KEY_BYTES, salt=ephemeral + recipient, info=_INFO).derive(shared)


def _encrypt(data: bytes, header: _Header, key: bytes) -> bytes:
    head = MAGIC + msgspec.json.encode(header) + b"\n"
    return head + AESGCM(key).encrypt(bytes.fromhex(header.nonce), data, head)


def _decrypt(file: bytes, key: bytes, remedy: str) -> bytes:
    header, head, sealed = _read_header(file)
    try:
        return AESGCM(key).decrypt(bytes.fromhex(header.nonce), sealed, head)
    except (InvalidTag, ValueError):
        raise BackupRefused(f"{remedy}: this one does not open the backup, or the file was changed") from None


def _read_header(file: bytes) -> tuple[_Header, bytes, bytes]:
    """Return the header, the bytes that are not encrypted, and the ciphertext."""
    if not file.startswith(MAGIC):
        raise BackupRefused("name a file that `climahub backup` has written: this is none")
    end = file.find(b"\n", len(MAGIC), len(MAGIC) + HEADER_BYTES_MAX) + 1
    try:
        header = msgspec.json.decode(file[len(MAGIC) : end], type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        header = None
    if header is None or bool(header.salt) == bool(header.ephemeral):
        raise BackupRefused("make another backup: the head of this file was changed or damaged")
    return header, file[:end], file[end:]
