"""A bundle as it comes in: bytes of any size in, verified pieces out. No I/O.

Holds at most the header and one chunk of `CHUNK_BYTES`. Nothing leaves it before it is known to be good: the header
once it is signed and fits this hub, then each chunk once its digest is right.
"""

import hashlib
from collections.abc import Callable, Iterator

from agent.errors import BundleDamaged, BundleUntrusted
from agent.ota.header import PRELUDE_BYTES, BundleHeader, read_header_size
from agent.ota.manifest import CHUNK_BYTES, Offer


class BundleStream:
    """The reader of one bundle.

    Attributes:
        header: Once it is checked.
        verified_bytes: How much of the file, header included, has left this reader.
    """

    def __init__(self, check: Callable[[bytes], BundleHeader], *, offer: Offer | None, is_summed: bool = True) -> None:
        """Begin before the first byte.

        Args:
            check: Takes the signed header; raises `BundleUntrusted` where the hub must not have this bundle.
            offer: What the cloud promised, where it did.
            is_summed: Work out the checksum of the whole as well; a download leaves that to who reads it next.
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
        """How large the whole file is; 0 before the header is known."""
        return self.header.header_bytes + self.header.manifest.payload_bytes if self.header else 0

    def feed(self, data: bytes | memoryview) -> Iterator[bytes | bytearray]:
        """Take in bytes; yield what is verified now, header first.

        Raises:
            BundleUntrusted: From here on the bundle is not what it must be.
        """
        view = memoryview(data)
        while view:
            wanted = self._wanted() - len(self._buffer)
            if wanted <= 0:
                raise BundleDamaged("the bundle is longer than it says; it was not what was built")
            self._buffer += view[:wanted]
            view = view[wanted:]
            if len(self._buffer) == self._wanted():
                yield self._piece()

    @property
    def unverified(self) -> bytes:
        """What has come of the next piece, and is not verified yet."""
        return bytes(self._buffer)

    def discard_unverified(self) -> None:
        """Forget what is not verified: what follows is the byte after `verified_bytes`."""
        self._buffer.clear()

    def finish(self) -> BundleHeader:
        """Say that there is no more; return the header.

        Raises:
            BundleUntrusted: Something is missing, or the whole is not what the cloud promised.
        """
        if self.header is None or self.verified_bytes != self.size_bytes:
            raise BundleDamaged("the bundle ends too early; get it once more")
        wanted = self._offer.sha256 if self._offer else ""
        if self._digest is not None and wanted and (digest := self._digest.hexdigest()) != wanted:
            raise BundleUntrusted(f"the bundle's checksum is {digest}, not the {wanted} that was promised")
        return self.header

    def _wanted(self) -> int:
        """Return how much must be in the buffer before the next step."""
        if self.header is None:
            if len(self._buffer) < PRELUDE_BYTES:
                return PRELUDE_BYTES
            return PRELUDE_BYTES + read_header_size(bytes(self._buffer[:PRELUDE_BYTES]))
        return min(CHUNK_BYTES, self.size_bytes - self.verified_bytes)

    def _piece(self) -> bytearray:
        """Verify what is in the buffer, and hand it out."""
        piece = self._buffer
        if self.header is None:
            self.header = self._check(bytes(piece[PRELUDE_BYTES:]))
        elif hashlib.sha256(piece).digest() != self.header.manifest.chunk_digest(self._chunk):
            raise BundleDamaged(f"part {self._chunk + 1} of the bundle is damaged or was changed; get it once more")
        else:
            self._chunk += 1
        self._buffer = bytearray()
        if self._digest is not None:
            self._digest.update(piece)
        self.verified_bytes += len(piece)
        return piece
