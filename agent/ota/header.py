r"""The signed header in front of a bundle's payload: one form only, and nothing of it believed before its signature.

    magic, 8 bytes | length of what follows, u32 big-endian, at most 256 KiB | COSE_Sign1 | payload

COSE_Sign1 (RFC 9052, section 4.2) with tag 18, Ed25519 (EdDSA, RFC 9053, section 2.2), the key's id in the protected
header and an external AAD of our own, so that a signature made for something else says nothing here. A general decoder
never sees bytes of a stranger: around the manifest, the encoding has one form, which is compared byte by byte.
"""

import hashlib
import struct
from collections.abc import Mapping

import msgspec

from agent.errors import BundleDamaged, BundleUntrusted
from agent.ota.manifest import Manifest, decode_values, encode_values

MAGIC = b"climahub"
EXTERNAL_AAD = b"climahub bundle 1"
PRELUDE_BYTES = len(MAGIC) + 4
SIGNED_BYTES_MAX = 256 * 1024
KEY_ID_BYTES = 8
SIGNATURE_BYTES = 64

_TAG_AND_ARRAY = b"\xd2\x84"
"""Tag 18 and an array of four (RFC 8949, section 3)."""
_NO_UNPROTECTED = b"\xa0"
_PROTECTED_HEAD = b"\xa2\x01\x27\x04\x48"
"""A map of two: 1 (alg): -8 (EdDSA); 4 (kid): eight bytes, which follow."""
_BYTES = 0x40
_ONE, _TWO, _FOUR = 24, 25, 26
"""How many bytes of length follow (RFC 8949, section 3)."""


class SignedHeader(msgspec.Struct, frozen=True):
    """A header, taken apart but not believed.

    Attributes:
        key_id: Whose signature it claims to be; empty where it is not signed.
        payload: The manifest as it was signed.
        signature: 64 bytes, or none.
    """

    key_id: bytes
    payload: bytes
    signature: bytes


class BundleHeader(msgspec.Struct, frozen=True):
    """A header that was checked.

    Attributes:
        manifest: What it says.
        header_bytes: Where the payload begins.
        key_id: Who signed it, in hexadecimal; empty where nobody whom this hub trusts did.
    """

    manifest: Manifest
    header_bytes: int
    key_id: str


def key_id_of(public_key: bytes) -> bytes:
    """Return the id of a raw public key: the head of its SHA-256."""
    return hashlib.sha256(public_key).digest()[:KEY_ID_BYTES]


def read_header_size(prelude: bytes) -> int:
    """Return how many bytes of signed header follow the first `PRELUDE_BYTES` of a file.

    Raises:
        BundleUntrusted: It is no bundle, or its header is larger than any may be.
    """
    if len(prelude) != PRELUDE_BYTES or not prelude.startswith(MAGIC):
        raise BundleDamaged("this is no climahub bundle: it does not begin like one")
    (size,) = struct.unpack(">I", prelude[len(MAGIC) :])
    if not 0 < size <= SIGNED_BYTES_MAX:
        raise BundleDamaged(f"the bundle's header claims {size} bytes; at most {SIGNED_BYTES_MAX} are read")
    return int(size)


def parse(signed: bytes) -> SignedHeader:
    """Take a signed header apart.

    Raises:
        BundleUntrusted: It has not the one form.
    """
    cursor = _Cursor(signed)
    cursor.expect(_TAG_AND_ARRAY)
    protected = cursor.byte_string()
    cursor.expect(_NO_UNPROTECTED)
    payload = cursor.byte_string()
    signature = cursor.byte_string()
    cursor.expect_end()
    if not protected and not signature:
        return SignedHeader(b"", payload, b"")
    is_whole = len(protected) == len(_PROTECTED_HEAD) + KEY_ID_BYTES and len(signature) == SIGNATURE_BYTES
    if not is_whole or not protected.startswith(_PROTECTED_HEAD):
        raise BundleDamaged("the bundle is not signed the way this hub knows (Ed25519 with a key id)")
    return SignedHeader(protected[len(_PROTECTED_HEAD) :], payload, signature)


def check(signed: bytes, trusted: Mapping[bytes, bytes], *, allow_unsigned: bool) -> BundleHeader:
    """Return the header of a bundle, once its signature holds.

    Args:
        signed: What follows the prelude.
        trusted: Raw public keys by their id.
        allow_unsigned: Take a bundle without a signature as well; one with a wrong signature is never taken.

    Raises:
        BundleUntrusted: Nobody whom this hub trusts has signed it, or it was changed since.
    """
    parts = parse(signed)
    if not parts.signature:
        if not allow_unsigned:
            raise BundleUntrusted("the bundle is not signed; sign it with climahub bundle sign")
        return BundleHeader(decode_manifest(parts.payload), PRELUDE_BYTES + len(signed), "")
    public_key = trusted.get(parts.key_id)
    if public_key is None:
        raise BundleUntrusted(
            f"the bundle is signed with key {parts.key_id.hex()}, which this hub does not trust;"
            f" it trusts {', '.join(sorted(each.hex() for each in trusted)) or 'none'}"
        )
    if not _verifies(public_key, parts):
        raise BundleDamaged(
            f"the bundle's signature by key {parts.key_id.hex()} is wrong: it was changed after signing"
        )
    return BundleHeader(decode_manifest(parts.payload), PRELUDE_BYTES + len(signed), parts.key_id.hex())


def decode_manifest(payload: bytes) -> Manifest:
    """Return the manifest in CBOR bytes.

    Only the deterministic encoding is read (RFC 8949, section 4.2): one manifest has one form, so that nothing can
    stand behind it, no key twice in it, and no other reader can find something else there.

    Raises:
        BundleUntrusted: It cannot be read.
    """
    import cbor2  # noqa: PLC0415 - costs memory, and a hub rarely updates

    try:
        values = cbor2.loads(payload)
        manifest = decode_values(values)
        is_strict = cbor2.dumps(values, canonical=True) == payload
    except (cbor2.CBORError, RecursionError, MemoryError, OverflowError, ValueError, TypeError) as error:
        raise BundleUntrusted(f"the bundle's manifest cannot be read ({error}); build it anew") from error
    if not is_strict:
        raise BundleUntrusted("the bundle's manifest is not in the one form that CBOR has for it; build it anew")
    return manifest


def encode_unsigned(manifest: Manifest) -> bytes:
    """Return prelude and header of a bundle that nobody has signed yet."""
    return _framed(b"", _encoded(encode_values(manifest)), b"")


def encode_signed(private_key: bytes, payload: bytes) -> bytes:
    """Return prelude and header with a signature.

    Args:
        private_key: The raw 32 bytes.
        payload: The manifest in CBOR, as another header holds it.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - see above

    key = Ed25519PrivateKey.from_private_bytes(private_key)
    protected = _PROTECTED_HEAD + key_id_of(key.public_key().public_bytes_raw())
    return _framed(protected, payload, key.sign(_to_be_signed(protected, payload)))


def _verifies(public_key: bytes, parts: SignedHeader) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        message = _to_be_signed(_PROTECTED_HEAD + parts.key_id, parts.payload)
        Ed25519PublicKey.from_public_bytes(public_key).verify(parts.signature, message)
    except InvalidSignature:
        return False
    return True


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Return the Sig_structure (RFC 9052, section 4.4)."""
    return _encoded(["Signature1", protected, EXTERNAL_AAD, payload])


def _framed(protected: bytes, payload: bytes, signature: bytes) -> bytes:
    body = _TAG_AND_ARRAY + _byte_string(protected) + _NO_UNPROTECTED + _byte_string(payload) + _byte_string(signature)
    if len(body) > SIGNED_BYTES_MAX:
        raise BundleUntrusted(f"the manifest takes {len(body)} bytes; a header has at most {SIGNED_BYTES_MAX}")
    return MAGIC + struct.pack(">I", len(body)) + body


def _encoded(values: object) -> bytes:
    import cbor2  # noqa: PLC0415 - see above

    return cbor2.dumps(values, canonical=True)


def _byte_string(data: bytes) -> bytes:
    """Encode a byte string with the shortest length (RFC 8949, section 4.2.1)."""
    size = len(data)
    if size < _ONE:
        return bytes((_BYTES | size,)) + data
    for code, width in ((_ONE, 1), (_TWO, 2), (_FOUR, 4)):
        if size < 1 << (8 * width):
            return bytes((_BYTES | code,)) + size.to_bytes(width, "big") + data
    raise BundleUntrusted("a header has no place for so much")


class _Cursor:
    """Reads the one form that a signed header may have."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def expect(self, wanted: bytes) -> None:
        if self._take(len(wanted)) != wanted:
            raise BundleDamaged("the bundle's header is not the COSE_Sign1 that this hub knows")

    def expect_end(self) -> None:
        if self._at != len(self._data):
            raise BundleDamaged("something stands in the bundle's header behind its signature")

    def byte_string(self) -> bytes:
        code = self._take(1)[0] ^ _BYTES
        if code >= _ONE:
            width = {_ONE: 1, _TWO: 2, _FOUR: 4}.get(code)
            if width is None:
                raise BundleDamaged("the bundle's header is not the COSE_Sign1 that this hub knows")
            code = int.from_bytes(self._take(width), "big")
        return self._take(code)

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) != size:
            raise BundleDamaged("the bundle's header ends too early")
        self._at += size
        return taken
