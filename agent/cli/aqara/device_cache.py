"""The cached device list of an Aqara endpoint: `devices.json`, a JSON array, replaced whole or not at all.

Holds the `data` of the answer and never its envelope, as other programs for this API expect. Each endpoint has a
directory of its own, so that the identifiers of one are never sent to another.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation.disk import Disk
from hal.aqara.device_list import KnownDevice, read_devices
from hal.aqara.endpoint import LIST_BYTES_MAX, AqaraEndpoint, EndpointLost

FILE_NAME = "devices.json"


def default_directory(host: str) -> Path:
    """Return the directory of the cache for an endpoint, by the convention for caches of a user."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "climahub" / "aqara" / hashlib.sha256(host.encode()).hexdigest()[:16]


class DeviceCache:
    """The device list of one endpoint, from the file where it can be read, else from the endpoint."""

    def __init__(self, endpoint: AqaraEndpoint, directory: Path, disk: Disk) -> None:
        """Prepare; nothing is read.

        Args:
            endpoint: Gives a new list.
            directory: Where `devices.json` lies.
            disk: Reads and writes.
        """
        self._endpoint = endpoint
        self._path = directory / FILE_NAME
        self._disk = disk

    def devices(self) -> Sequence[KnownDevice]:
        """Return the devices of the cache; fetch them where the file is missing or cannot be read.

        Raises:
            EndpointLost, TokenRefused, EndpointRefused: As `refresh`.
            StorageFull: As `refresh`.
        """
        try:
            data = self._disk.read(self._path, bytes_max=LIST_BYTES_MAX)
            if data is not None:
                return read_devices(data)[0]
        except (Corrupt, ReadFailed, ValueError):
            pass  # renewed below
        return self.refresh()

    def age_s(self, utc_ms: int | None) -> float | None:
        """Return how old the list is; `None` where that is not known.

        Args:
            utc_ms: The present time by this machine's clock, which dates files.
        """
        try:
            written_s = self._path.stat().st_mtime
        except OSError:
            return None
        return None if utc_ms is None else max(0.0, utc_ms / 1000 - written_s)

    def refresh(self) -> Sequence[KnownDevice]:
        """Fetch the list, replace the file, and return the devices.

        Raises:
            EndpointLost: The endpoint gives no list; the file stays as it is.
            TokenRefused, EndpointRefused: The endpoint refuses; the file stays as it is.
            StorageFull: The file cannot be written.
        """
        document = self._endpoint.list_devices()
        try:
            document.decode()  # text that is no UTF-8 would stop other readers of the file
            devices, _ = read_devices(document)
        except ValueError as error:
            raise EndpointLost(f"check the address: {self._endpoint.host} gives no device list ({error})") from error
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._disk.write(self._path, document, is_secret=True)
        except OSError as error:
            raise StorageFull(f"{self._path} cannot be written ({error.strerror}); choose another --cache") from error
        return devices
