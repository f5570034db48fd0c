"""Configuration of the radio, its file names, and the services it gets from the agent. Data only, no behaviour."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

import msgspec

Adapter = Literal["auto", "ezsp", "znp", "deconz"]

PORT_AUTO = "auto"
"""Value of `port`: find a stick with a known USB identity."""

NETWORK_FILE = "zigbee-network.json"
"""The network and its backups. Secret."""

SENSORS_FILE = "zigbee-sensors.json"
"""The devices with their rhythm and set-up progress. Not secret."""

STICK_FILE = "zigbee-stick.json"
"""Hash of the network last written to the stick. It outlives a factory reset: the hub may then form a new network."""

DATABASE_FILE = "zigbee.db"
"""zigpy's database. It contains backups: secret."""

FILE_BYTES_MAX = 8 * 1024 * 1024


class RadioOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Configuration of the radio.

    Attributes:
        port: The serial port by its path, or `PORT_AUTO`.
        adapter: Firmware of the stick; "auto" chooses by its USB identity.
        baudrate: Of the port.
        flow_control: Of the port; "auto" is what the stick's library uses: "software" for ezsp, else "none".
        channel: From 11 to 26 for a new network; 0 for the quietest.
        takes_over: Whether a hub without a network uses the one on the stick.
        quirks: Whether the Zigbee community's device table is used, if it is installed.
        report_interval_s_min: Minimum reporting interval.
    """

    port: str
    adapter: Adapter = "auto"
    baudrate: int = 115_200
    flow_control: Literal["auto", "none", "hardware", "software"] = "auto"
    channel: int = 0
    takes_over: bool = False
    quirks: bool = False
    report_interval_s_min: int = 10


class FileStore(Protocol):
    """Files by name, written atomically. All methods block; the radio calls them from its own threads."""

    def read(self, name: str) -> bytes | None:
        """Return a file's content; `None` if it is missing or unreadable (which is reported)."""
        ...

    def write(self, name: str, data: bytes, *, is_secret: bool) -> None:
        """Replace a file's content durably.

        Raises:
            OSError: The disk refuses; the old content stays.
        """
        ...

    def put_aside(self, name: str) -> None:
        """Move an unreadable file away and keep it for analysis.

        Raises:
            OSError: The disk refuses.
        """
        ...

    def path(self, name: str) -> Path:
        """Return the path of a file, for zigpy's database."""
        ...


class RadioContext(msgspec.Struct, frozen=True):
    """Services of the agent for the radio.

    Attributes:
        store: Storage of its files.
        monotonic_ms: This boot's clock; called from the radio's thread.
        boot_id: Identifier of this boot.
        volatile_dir: A directory in memory, used while the disk refuses writes; `None` without one.
    """

    store: FileStore
    monotonic_ms: Callable[[], int]
    boot_id: str
    volatile_dir: Path | None = None
