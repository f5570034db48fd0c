"""Signing keys: generated, read from PEM files, and listed in the file of a release that adds and revokes keys.

`keyring` decides which of them a hub trusts. Must never log a private key.
"""

import base64
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec

from agent.errors import ConfigInvalid, Corrupt
from agent.foundation.disk import Disk
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.ota.bundle_format import KEY_ID_BYTES, key_id_of

TRUST_FILE = "trust.json"
"""In the tree of a release."""
TRUST_BYTES_MAX = 16 * 1024
KEY_FILE_BYTES_MAX = 4096
KEYS_MAX = 16
KEY_BYTES = 32

_PEM_BEGINS, _PEM_ENDS = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
_DER_HEAD = bytes.fromhex("302a300506032b6570032100")
"""SubjectPublicKeyInfo of Ed25519 up to the key (RFC 8410, section 4). Parsed here, since `climahub update
status` needs the keys and the cryptography library costs the daemon 9 MiB."""


class KeyChanges(msgspec.Struct, frozen=True):
    """The key changes of a release, in hexadecimal: raw public keys to add, ids to revoke."""

    keys: Annotated[tuple[str, ...], msgspec.Meta(max_length=KEYS_MAX)] = ()
    revoked: Annotated[tuple[str, ...], msgspec.Meta(max_length=KEYS_MAX)] = ()


def generate_key_pair() -> tuple[bytes, bytes]:
    """Generate a key; return its private and public half in PEM (PKCS #8 and SubjectPublicKeyInfo, RFC 8410)."""
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415 - costs memory, needed rarely
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    return private, public


def read_private(path: Path, disk: Disk) -> bytes:
    """Return the raw private key in a PEM file.

    Raises:
        ConfigInvalid: It holds no usable key.
    """
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    try:
        key = form.load_pem_private_key(_bytes_of(path, disk), password=None)
    except (ValueError, TypeError) as error:
        raise ConfigInvalid(f"{path} holds no private key in PEM form; make one with climahub bundle keygen") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigInvalid(f"{path} holds a key of another kind than Ed25519; make one with climahub bundle keygen")
    return key.private_bytes_raw()


def derive_public_key(private_key: bytes) -> bytes:
    """Return the raw public half of a raw private key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - see above

    return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def read_public(path: Path, disk: Disk) -> bytes:
    """Return the raw public key in a PEM file.

    Raises:
        ConfigInvalid: It holds no usable key.
    """
    lines = _bytes_of(path, disk).decode("ascii", "replace").strip().splitlines()
    try:
        if (lines[0], lines[-1]) != (_PEM_BEGINS, _PEM_ENDS):
            raise ValueError
        der = base64.b64decode("".join(lines[1:-1]), validate=True)
    except (ValueError, IndexError) as error:
        raise ConfigInvalid(f"{path} holds no public key in PEM form; take the .pub file of the pair") from error
    if len(der) != len(_DER_HEAD) + KEY_BYTES or not der.startswith(_DER_HEAD):
        raise ConfigInvalid(f"{path} holds a key of another kind than Ed25519")
    return der[len(_DER_HEAD) :]


def key_ids_of(keys: Iterable[str]) -> tuple[str, ...]:
    """Return the ids of raw public keys, all in lower-case hexadecimal."""
    return tuple(key_id_of(bytes.fromhex(key)).hex() for key in keys)


def normalize_keys(keys: Iterable[object], revoked: Iterable[object]) -> KeyChanges:
    """Return key changes in lower-case hexadecimal; entries that are no key or id are left out."""
    return KeyChanges(
        tuple(dict.fromkeys(each for text in keys if (each := _hexadecimal(text, KEY_BYTES)))),
        tuple(dict.fromkeys(each for text in revoked if (each := _hexadecimal(text, KEY_ID_BYTES)))),
    )


def _hexadecimal(text: object, size: int) -> str:
    """Return ``size`` bytes in lower-case hexadecimal; empty where the text is something else."""
    plain = text.strip().lower() if isinstance(text, str) else ""
    return plain if re.fullmatch(f"[0-9a-f]{{{2 * size}}}", plain) else ""


def read_key_changes(release_dir: Path, disk: Disk) -> KeyChanges:
    """Return the key changes of a release.

    Raises:
        Corrupt: The file cannot be read.
    """
    path = release_dir / TRUST_FILE
    data = disk.read(path, bytes_max=TRUST_BYTES_MAX)
    return KeyChanges() if data is None else decode_key_changes(data)


def decode_key_changes(data: bytes) -> KeyChanges:
    """Return the key changes in the bytes of `TRUST_FILE`.

    Raises:
        Corrupt: It cannot be read, or holds an entry that is no key.
    """
    try:
        decoded = msgspec.json.decode(data, type=KeyChanges)
    except DECODE_ERRORS as error:
        raise Corrupt(f"{TRUST_FILE} of the release cannot be read ({error}); build the release again") from error
    trust = normalize_keys(decoded.keys, decoded.revoked)
    if len(trust.keys) != len(set(decoded.keys)) or len(trust.revoked) != len(set(decoded.revoked)):
        raise Corrupt(f"{TRUST_FILE} of the release holds an entry twice, or one that is no key; build it again")
    return trust


def _bytes_of(path: Path, disk: Disk) -> bytes:
    data = disk.read(path, bytes_max=KEY_FILE_BYTES_MAX)
    if data is None:
        raise ConfigInvalid(f"{path}: there is no such file")
    return data
