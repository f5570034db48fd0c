"""The claim file: answers on the boot partition, which any computer can write, taken once and wiped.

Never leaves its key where it was: a FAT partition has no permissions. The contract of the cloud has no call by which a
hub could exchange its key (an administrator makes one), so the hub says that somebody should.
"""

from collections.abc import Sequence
from pathlib import Path

NAME = "climahub-claim.toml"
BOOT_DIRECTORIES = (Path("/boot/firmware"), Path("/boot"))
"""Of Raspberry Pi OS since bookworm, and before."""

CLOUD_S = 180.0
"""How long a first boot waits for a network and the time before it goes on without."""

ADVICE = (
    "have the cloud issue a new key, then: climahub setup --key-file FILE; until then whoever has read the boot"
    " partition can pose as this hub"
)


def find_claim(directories: Sequence[Path] = BOOT_DIRECTORIES) -> Path | None:
    """Return the claim file; `None` where there is none."""
    return next((path for path in (directory / NAME for directory in directories) if path.is_file()), None)
