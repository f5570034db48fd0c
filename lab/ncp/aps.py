"""What travels between a sensor and the coordinator, and addresses in the form in which they travel. Data only."""

import msgspec

COORDINATOR_ADDRESS = 0x0000
UNKNOWN_ADDRESS = 0xFFFE


class ApsMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the application support layer."""

    profile: int
    cluster: int
    source_endpoint: int
    destination_endpoint: int
    payload: bytes
    sequence: int = 0
    is_broadcast: bool = False


def eui64_bytes(text: str) -> bytes:
    """Return an EUI-64 as it travels, lowest byte first, from text with colons, highest first."""
    return bytes.fromhex(text.replace(":", ""))[::-1]


def eui64_text(data: bytes) -> str:
    """Return an EUI-64 as people write it."""
    return data[::-1].hex(":")
