"""The credential store of all local APIs: who may ask, as hashes, on the disk.

Owns `api-clients.json` in the state directory, readable by the service's user alone. Where it is lost, no API answers
anybody until a client is made anew; heating, the cloud and the page go on. Must never log, store or return a secret,
except once to whoever makes it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from agent.apis.client_records import (
    ClientRecord,
    NewClient,
    find_by_id,
    find_by_secret,
    new_client,
    with_client,
    without_client,
)
from agent.apis.face import ApiClient
from agent.errors import StorageFull
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.secret_hash import RandomBytes
from agent.foundation.worker import Worker

FILE_NAME = "api-clients.json"
FILE_BYTES_MAX = 64 * 1024
"""32 clients with 16 zones each take 40 KiB."""

_LOSS = "no API answers until clients are made anew (climahub api client add)"


class ClientSet(msgspec.Struct, frozen=True):
    """The content of the file."""

    clients: tuple[ClientRecord, ...] = ()


class Clients:
    """The clients of one hub. Everything but loading and changing them is answered from memory."""

    def __init__(
        self,
        state_dir: Path,
        *,
        clock: Clock,
        disk: Disk,
        worker: Worker,
        random_bytes: RandomBytes,
        zones: Sequence[str],
    ) -> None:
        """Prepare; nobody gets in before `load`.

        Args:
            state_dir: Where the file lies.
            clock: Credentials expire in UTC.
            disk: Reads and writes.
            worker: Where reading and writing block.
            random_bytes: The system's random source.
            zones: The ids of the hub's zones.
        """
        self._store = JsonStore(
            state_dir / FILE_NAME,
            ClientSet(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss=_LOSS,
            is_secret=True,
            # An old copy would make a revoked client valid again.
            drops_stale_copy=True,
        )
        self._clock = clock
        self._random_bytes = random_bytes
        self._zones = zones
        self._on_revoked: list[Callable[[], None]] = []

    @property
    def records(self) -> Sequence[ClientRecord]:
        """All clients, as hashes, the oldest first."""
        return self._store.value.clients

    @property
    def problem(self) -> str:
        """What is wrong with the file, and what to do; empty where nothing is."""
        return self._store.problem or self._store.save_problem

    @property
    def is_unread(self) -> bool:
        """Whether the disk has not given them yet."""
        return self._store.is_unread

    def has(self, client_id: str) -> bool:
        """Return whether there is a client of this id; one whose time is over is there still."""
        return any(each.client.client_id == client_id for each in self.records)

    def on_revoked(self, listener: Callable[[], None]) -> None:
        """Have a listener called when a client has been revoked."""
        self._on_revoked.append(listener)

    async def load(self) -> None:
        """Read the file, as often as the disk needs."""
        await self._store.load_patiently()

    def find(self, api: str, secret: str) -> ApiClient | None:
        """Return the client of a secret; `None` where it is unknown, revoked, expired or another API's."""
        found = find_by_secret(self.records, api, secret, self._clock.utc_ms())
        return found.client if found else None

    def find_pair(self, api: str, client_id: str, secret: str) -> ApiClient | None:
        """Return the client of an id and its secret; `None` as with `find`."""
        found = find_by_id(self.records, api, client_id, secret, self._clock.utc_ms())
        return found.client if found else None

    def find_id(self, api: str, client_id: str) -> ApiClient | None:
        """Return the client of an id that something else has proved, such as a signed token; `None` as with `find`."""
        for each in self.records:
            if (each.client.api, each.client.client_id) == (api, client_id):
                return each.client if each.is_valid_at(self._clock.utc_ms()) else None
        return None

    async def add(self, wanted: NewClient) -> tuple[str, ClientRecord]:
        """Make a client; return its secret, which is the only time, and its record.

        Raises:
            SettingInvalid: See `new_client` and `with_client`.
            StorageFull: It is not on the disk, so it does not exist.
        """
        self._ensure_loaded()
        secret, made = new_client(
            wanted, zones=self._zones, utc_ms=self._clock.utc_ms(), random_bytes=self._random_bytes
        )
        await self._store.commit(lambda stored: ClientSet(with_client(stored.clients, made)))
        return secret, made

    async def revoke(self, client_id: str) -> bool:
        """End a client and every token that it has; return false where there is none.

        Raises:
            StorageFull: It is not on the disk: the client stays.
        """
        self._ensure_loaded()
        if not self.has(client_id):
            return False
        await self._store.commit(lambda stored: ClientSet(without_client(stored.clients, client_id)))
        for listener in self._on_revoked:
            listener()
        return True

    def _ensure_loaded(self) -> None:
        """Refuse to change a file that has not been read.

        Raises:
            StorageFull: The disk has not given it yet.
        """
        if self._store.is_unread:
            raise StorageFull(f"try again in a minute, or check the disk: {FILE_NAME} has not been read yet")
