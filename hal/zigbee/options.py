"""What a radio is given: its configuration, and a place for its files. Data only, no behaviour."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

import msgspec

Adapter = Literal["auto", "ezsp", "znp", "deconz"]

PORT_AUTO = "auto"
"""As the port: look for a stick whose USB identity is known."""

NETWORK_FILE = "zigbee-network.json"
"""The network and its backups: a secret."""

SENSORS_FILE = "zigbee-sensors.json"
"""The sensors, their rhythm, how far they are set up. No secret."""

STICK_FILE = "zigbee-stick.json"
"""Which network the stick was told to have, as a hash. It outlives a factory reset, so that the hub may form anew."""

DATABASE_FILE = "zigbee.db"
"""zigpy's own database. It holds backups too: a secret."""

FILE_BYTES_MAX = 8 * 1024 * 1024


class RadioOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the radio is set up.

    Attributes:
        port: The serial port by its path, or `PORT_AUTO`.
        adapter: Which firmware the stick speaks; "auto" goes by its USB identity.
        baudrate: Of the port.
        flow_control: Of the port; "none" for most sticks.
        channel: From 11 to 26 for a network that is formed anew; 0 for the quietest.
        takes_over: Whether a hub without a network takes the one that it finds on a stick.
        quirks: Whether the device table of the Zigbee community is used, where it is installed.
        report_interval_s_min: The least time between two reports of one value.
    """

    port: str
    adapter: Adapter = "auto"
    baudrate: int = 115_200
    flow_control: Literal["none", "hardware", "software"] = "none"
    channel: int = 0
    takes_over: bool = False
    quirks: bool = False
    report_interval_s_min: int = 10


class FileStore(Protocol):
    """Files that are whole or absent, by name. All methods block; the radio calls them from threads of its own."""

    def read(self, name: str) -> bytes | None:
        """Return a file's content; `None` where there is none, or none that can be read (which is reported)."""
        ...

    def write(self, name: str, data: bytes, *, is_secret: bool) -> None:
        """Replace a file's content durably.

        Raises:
            OSError: The disk refuses; the old content stays.
        """
        ...

    def put_aside(self, name: str) -> None:
        """Move a file away that cannot be used, and keep it for a look.

        Raises:
            OSError: The disk refuses.
        """
        ...

    def path(self, name: str) -> Path:
        """Return where a file lies, for zigpy's database."""
        ...


class RadioContext(msgspec.Struct, frozen=True):
    """What the radio is given of the world.

    Attributes:
        store: For its files.
        monotonic_ms: This boot's clock; called from the radio's thread.
        boot_id: The name of this boot.
        volatile_dir: A directory in memory, for what the disk does not take; `None` where there is none.
    """

    store: FileStore
    monotonic_ms: Callable[[], int]
    boot_id: str
    volatile_dir: Path | None = None
