"""The hub's half of the key exchange of a pairing, with every number in its full length. Pure.

HAP-python 5.2 writes numbers without leading zeros, which other controllers do not: one pairing in eighty would fail as
if the code were wrong. Must never tell how much of a proof is right.
"""

import hashlib
import hmac

from pyhap.hsrp import Server
from pyhap.params import get_srp_context

GROUP_BITS = 3072
DIGEST_BITS = 512
"""The group and hash of the protocol (HomeKit Accessory Protocol, R2, 5.5)."""

SALT_BYTES = 16
USER = b"Pair-Setup"


class FullLength(int):
    """A number that is written with leading zeros: the library takes as many bytes as its `bit_length` says."""

    def bit_length(self) -> int:
        """Return the length in which it is written."""
        return DIGEST_BITS if self < 1 << DIGEST_BITS else GROUP_BITS


class KeyExchange(Server):
    """One exchange."""

    def __init__(self, code: bytes, *, salt: bytes | None = None, secret: int | None = None) -> None:
        """Begin an exchange. Blocks for some milliseconds, on a small board for 100.

        Args:
            code: Such as `b"123-45-678"`.
            salt: By default random.
            secret: The hub's number of this exchange; by default random.
        """
        super().__init__(get_srp_context(GROUP_BITS, hashlib.sha512, SALT_BYTES), USER, code, s=salt, b=secret)
        self.Bb = self.B.to_bytes(GROUP_BITS // 8)

    def _derive_B(self) -> int:  # noqa: N802 - the library's name
        return FullLength(super()._derive_B())

    def _derive_premaster_secret(self) -> int:
        return FullLength(super()._derive_premaster_secret())

    def _get_K(self) -> int:  # noqa: N802 - as above
        return FullLength(super()._get_K())

    def verify(self, M: bytes) -> bytes | None:  # noqa: N803 - as above
        """Return the hub's own proof where the controller's is right."""
        return self.HAMK if self.M is not None and hmac.compare_digest(self.M, M) else None
