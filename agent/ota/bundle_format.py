r"""The file format of a bundle: a signed header, then the payload in chunks that are verified one by one. No I/O.

    magic, 8 bytes | length of what follows, u32 big-endian, at most 256 KiB | COSE_Sign1 | payload

COSE_Sign1 (RFC 9052, section 4.2) with tag 18, Ed25519 (EdDSA, RFC 9053, section 2.2), the key id in the protected
header, and our own external AAD, so that a signature made for another purpose is not valid here. The header has one
encoding only, which is compared byte by byte: no general decoder sees bytes before their signature was verified.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator, Mapping

import msgspec

from agent.errors import BundleDamaged, BundleUntrusted
from agent.ota.manifest import CHUNK_BYTES, Manifest, Offer, decode_values, encode_values

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
_LENGTH_U8, _LENGTH_U16, _LENGTH_U32 = 24, 25, 26
"""Additional information: how many bytes of length follow (RFC 8949, section 3)."""


class SignedHeader(msgspec.Struct, frozen=True):
    """The parts of a header whose signature was not verified.

    Attributes:
        key_id: Key that claims to have signed it; empty without a signature.
        payload: The signed manifest, in CBOR.
        signature: 64 bytes, or none.
    """

    key_id: bytes
    payload: bytes
    signature: bytes


class BundleHeader(msgspec.Struct, frozen=True):
    """A verified header.

    Attributes:
        manifest: Its content.
        header_bytes: Offset of the payload.
        key_id: Id of the trusted key that signed it, in hexadecimal; empty for an unsigned bundle.
    """

    manifest: Manifest
    header_bytes: int
    key_id: str


def key_id_of(public_key: bytes) -> bytes:
    """Return the id of a raw public key: the first `KEY_ID_BYTES` of its SHA-256."""
    return hashlib.sha256(public_key).digest()[:KEY_ID_BYTES]


def read_header_size(prelude: bytes) -> int:
    """Return how many bytes of signed header follow the first `PRELUDE_BYTES` of a file.

    Raises:
        BundleDamaged: It is no bundle, or its header is too large.
    """
    if len(prelude) != PRELUDE_BYTES or not prelude.startswith(MAGIC):
        raise BundleDamaged("choose the file of a release: this is no climahub bundle")
    (size,) = struct.unpack(">I", prelude[len(MAGIC) :])
    if not 0 < size <= SIGNED_BYTES_MAX:
        raise BundleDamaged(f"the bundle's header claims {size} bytes; at most {SIGNED_BYTES_MAX} are read")
    return int(size)


def parse(signed: bytes) -> SignedHeader:
    """Return the parts of a signed header; verifies no signature.

    Raises:
        BundleDamaged: It does not have the one encoding.
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
    """Verify the signature of a header; return it.

    Args:
        signed: The bytes behind the prelude.
        trusted: Raw public keys by their id.
        allow_unsigned: Accept a bundle without a signature; a wrong signature is always refused.

    Raises:
        BundleUntrusted: It is not signed by a trusted key.
        BundleDamaged: It was changed after it was signed.
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
    if not _is_signature_valid(public_key, parts):
        raise BundleDamaged(
            f"the bundle's signature by key {parts.key_id.hex()} is wrong: it was changed after signing"
        )
    return BundleHeader(decode_manifest(parts.payload), PRELUDE_BYTES + len(signed), parts.key_id.hex())


def decode_manifest(payload: bytes) -> Manifest:
    """Return the manifest in CBOR bytes.

    Accepts the deterministic encoding only (RFC 8949, section 4.2): trailing bytes and duplicate keys are refused, so
    that no two readers find different content.

    Raises:
        BundleUntrusted: It is not a manifest in that encoding.
    """
    import cbor2  # noqa: PLC0415 - costs memory, and a hub rarely updates

    try:
        values = cbor2.loads(payload)
        manifest = decode_values(values)
        is_strict = cbor2.dumps(values, canonical=True) == payload
    except (cbor2.CBORError, RecursionError, MemoryError, OverflowError, ValueError, TypeError) as error:
        raise BundleUntrusted(f"the bundle's manifest cannot be read ({error}); build the bundle again") from error
    if not is_strict:
        raise BundleUntrusted("the bundle's manifest is not in the deterministic CBOR encoding; build the bundle again")
    return manifest


def encode_unsigned(manifest: Manifest) -> bytes:
    """Return prelude and header of an unsigned bundle."""
    return _framed(b"", _encoded(encode_values(manifest)), b"")


def encode_signed(private_key: bytes, payload: bytes) -> bytes:
    """Return prelude and header of a signed bundle.

    Args:
        private_key: 32 raw bytes.
        payload: The manifest in CBOR, from the unsigned header.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - see above

    key = Ed25519PrivateKey.from_private_bytes(private_key)
    protected = _PROTECTED_HEAD + key_id_of(key.public_key().public_bytes_raw())
    return _framed(protected, payload, key.sign(_signature_input(protected, payload)))


def _is_signature_valid(public_key: bytes, parts: SignedHeader) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        message = _signature_input(_PROTECTED_HEAD + parts.key_id, parts.payload)
        Ed25519PublicKey.from_public_bytes(public_key).verify(parts.signature, message)
    except InvalidSignature:
        return False
    return True


def _signature_input(protected: bytes, payload: bytes) -> bytes:
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
    """Return a byte string in CBOR with the shortest length (RFC 8949, section 4.2.1)."""
    size = len(data)
    if size < _LENGTH_U8:
        return bytes((_BYTES | size,)) + data
    for code, width in ((_LENGTH_U8, 1), (_LENGTH_U16, 2), (_LENGTH_U32, 4)):
        if size < 1 << (8 * width):
            return bytes((_BYTES | code,)) + size.to_bytes(width, "big") + data
    raise BundleUntrusted(f"{size} bytes do not fit a header")


class BundleStream:
    """Reads one bundle: takes bytes in any portions, yields verified pieces.

    Buffers the header or one chunk of `CHUNK_BYTES` at most. Yields the header once its signature is verified and it
    fits this hub, then each chunk once its digest is verified.

    Attributes:
        header: `None` until it is verified.
        verified_bytes: How much of the file, header included, was yielded.
    """

    def __init__(self, check: Callable[[bytes], BundleHeader], *, offer: Offer | None, is_summed: bool = True) -> None:
        """Begin before the first byte.

        Args:
            check: Verifies the signed header; raises `BundleUntrusted` where this hub must not install the bundle.
            offer: The cloud's offer; `None` for a bundle that a technician brought.
            is_summed: Compute the checksum of the whole file as well; a download leaves that to the later verification.
        """
        self._check = check
        self._offer = offer
        self._buffer = bytearray()
        self._digest = hashlib.sha256() if is_summed else None
        self._chunk = 0
        self.header: BundleHeader | None = None
        self.verified_bytes = 0

    @property
    def size_bytes(self) -> int:
        """Size of the whole file; 0 before the header is verified."""
        return self.header.header_bytes + self.header.manifest.payload_bytes if self.header else 0

    def feed(self, data: bytes | memoryview) -> Iterator[bytes | bytearray]:
        """Add bytes; yield what is verified now, header first.

        Raises:
            BundleUntrusted: This hub must not install the bundle.
            BundleDamaged: From here on the bundle is damaged.
        """
        view = memoryview(data)
        while view:
            wanted = self._wanted() - len(self._buffer)
            if wanted <= 0:
                raise BundleDamaged("the bundle is longer than its header states; download it again")
            self._buffer += view[:wanted]
            view = view[wanted:]
            if len(self._buffer) == self._wanted():
                yield self._piece()

    @property
    def unverified(self) -> bytes:
        """The bytes of the next piece so far, not verified yet."""
        return bytes(self._buffer)

    def discard_unverified(self) -> None:
        """Drop the unverified bytes: the next byte to feed is the one at `verified_bytes`."""
        self._buffer.clear()

    def finish(self) -> BundleHeader:
        """End the bundle; return its header.

        Raises:
            BundleDamaged: Something is missing.
            BundleUntrusted: The checksum is not the offered one.
        """
        if self.header is None or self.verified_bytes != self.size_bytes:
            raise BundleDamaged("the bundle ends too early; download it again")
        wanted = self._offer.sha256 if self._offer else ""
        if self._digest is not None and wanted and (digest := self._digest.hexdigest()) != wanted:
            raise BundleUntrusted(f"the bundle's checksum is {digest}, not the offered {wanted}")
        return self.header

    def _wanted(self) -> int:
        """Return how many bytes the next piece has."""
        if self.header is None:
            if len(self._buffer) < PRELUDE_BYTES:
                return PRELUDE_BYTES
            return PRELUDE_BYTES + read_header_size(bytes(self._buffer[:PRELUDE_BYTES]))
        return min(CHUNK_BYTES, self.size_bytes - self.verified_bytes)

    def _piece(self) -> bytearray:
        """Return the buffered piece, verified."""
        piece = self._buffer
        if self.header is None:
            self.header = self._check(bytes(piece[PRELUDE_BYTES:]))
        elif hashlib.sha256(piece).digest() != self.header.manifest.chunk_digest(self._chunk):
            raise BundleDamaged(f"part {self._chunk + 1} of the bundle is damaged or was changed; download it again")
        else:
            self._chunk += 1
        self._buffer = bytearray()
        if self._digest is not None:
            self._digest.update(piece)
        self.verified_bytes += len(piece)
        return piece


class _Cursor:
    """Reads a signed header in its one encoding."""

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
        if code >= _LENGTH_U8:
            width = {_LENGTH_U8: 1, _LENGTH_U16: 2, _LENGTH_U32: 4}.get(code)
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
