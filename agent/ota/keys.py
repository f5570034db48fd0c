"""Keys that sign bundles: made, read from PEM files, and gathered into what this hub trusts.

A hub trusts the public keys in a directory of its own (`ota.keys_dir`) and those that the release it runs brings along,
less those which that release revokes: so keys are changed by a release, without a visit. Must never log a private key.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from agent.errors import ConfigInvalid, Corrupt
from agent.foundation.decoding import UNREADABLE
from agent.foundation.disk import Disk
from agent.ota.header import key_id_of

TRUST_FILE = "trust.json"
"""In the tree of a release."""
TRUST_BYTES_MAX = 16 * 1024
KEY_FILE_BYTES_MAX = 4096
KEYS_MAX = 16
KEY_BYTES = 32

_PEM_BEGINS, _PEM_ENDS = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
_DER_HEAD = bytes.fromhex("302a300506032b6570032100")
"""SubjectPublicKeyInfo of Ed25519 up to the key (RFC 8410, section 4). Read by hand: `climahub update status` asks for
the keys, and the cryptography library would cost the daemon 9 MiB for it."""


class Trust(msgspec.Struct, frozen=True):
    """What a release says of keys, in hexadecimal: raw public keys that it adds, ids that it revokes."""

    keys: Annotated[tuple[str, ...], msgspec.Meta(max_length=KEYS_MAX)] = ()
    revoked: Annotated[tuple[str, ...], msgspec.Meta(max_length=KEYS_MAX)] = ()


def new_pair() -> tuple[bytes, bytes]:
    """Make a key; return it and its public half, each in PEM (PKCS #8 and SubjectPublicKeyInfo, RFC 8410)."""
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415 - costs memory, needed rarely
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    return private, public


def read_private(path: Path, disk: Disk) -> bytes:
    """Return the raw private key in a PEM file.

    Raises:
        ConfigInvalid: There is none that can be used.
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


def read_public(path: Path, disk: Disk) -> bytes:
    """Return the raw public key in a PEM file.

    Raises:
        ConfigInvalid: There is none that can be used.
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


def trusted(keys_dir: Path, release_dir: Path | None, disk: Disk) -> Mapping[bytes, bytes]:
    """Return what this hub trusts: raw public keys by their id.

    Args:
        keys_dir: Its `*.pub` files count; it need not exist.
        release_dir: The tree that runs; `None` where the package itself runs.
        disk: Reads.

    Raises:
        ConfigInvalid: A file there is no key.
        Corrupt: The release's own list cannot be read.
    """
    files = sorted(keys_dir.glob("*.pub"))[:KEYS_MAX]
    keys = [read_public(path, disk) for path in files]
    trust = read_trust(release_dir, disk) if release_dir else Trust()
    keys += [bytes.fromhex(each) for each in trust.keys]
    revoked = {bytes.fromhex(each) for each in trust.revoked}
    return {key_id_of(key): key for key in keys if key_id_of(key) not in revoked}


def read_trust(release_dir: Path, disk: Disk) -> Trust:
    """Return what a release says of keys.

    Raises:
        Corrupt: Its file cannot be read.
    """
    path = release_dir / TRUST_FILE
    data = disk.read(path, bytes_max=TRUST_BYTES_MAX)
    if data is None:
        return Trust()
    try:
        trust = msgspec.json.decode(data, type=Trust)
        if any(len(bytes.fromhex(each)) != KEY_BYTES for each in trust.keys):
            raise ValueError("a key of the wrong size")
        _ = [bytes.fromhex(each) for each in trust.revoked]
    except (*UNREADABLE, ValueError) as error:
        raise Corrupt(f"{path} cannot be read ({error}); install a release anew") from error
    return trust


def _bytes_of(path: Path, disk: Disk) -> bytes:
    data = disk.read(path, bytes_max=KEY_FILE_BYTES_MAX)
    if data is None:
        raise ConfigInvalid(f"{path}: there is no such file")
    return data
