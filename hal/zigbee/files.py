"""The radio's files, read and written off its loop, one write at a time."""

import asyncio
import contextlib
import logging

from hal.zigbee import radio_state
from hal.zigbee.options import NETWORK_FILE, SENSORS_FILE, STICK_FILE, FileStore
from hal.zigbee.radio_state import DeviceTable, FileUnreadable, NetworkSnapshot, StickSnapshot

_log = logging.getLogger(__name__)


class RadioFiles:
    """Typed files in a store."""

    def __init__(self, store: FileStore) -> None:
        self.store = store
        self._lock = asyncio.Lock()

    async def network(self) -> NetworkSnapshot | None:
        """Return which network is ours; `None` where there is none, or its file had to be put aside."""
        data = await asyncio.to_thread(self.store.read, NETWORK_FILE)
        try:
            return radio_state.decode_network(data)
        except FileUnreadable as error:
            await self.put_aside(NETWORK_FILE, str(error))
            return None

    async def stick(self) -> StickSnapshot:
        """Return what is remembered of the stick over a factory reset."""
        data = await asyncio.to_thread(self.store.read, STICK_FILE)
        try:
            return radio_state.decode_stick(data)
        except FileUnreadable as error:
            await self.put_aside(STICK_FILE, str(error))
            return StickSnapshot()

    async def keep(self, content: NetworkSnapshot | DeviceTable | StickSnapshot) -> None:
        """Write a file.

        Raises:
            OSError: The disk refuses; the old content stays.
        """
        names = {NetworkSnapshot: NETWORK_FILE, DeviceTable: SENSORS_FILE, StickSnapshot: STICK_FILE}
        data = radio_state.encode(content)
        async with self._lock:
            await asyncio.to_thread(
                self.store.write, names[type(content)], data, is_secret=isinstance(content, NetworkSnapshot)
            )

    async def put_aside(self, name: str, why: str) -> None:
        """Move a file away that cannot be used.

        Raises:
            OSError: The disk refuses.
        """
        _log.error("%s cannot be used (%s); it is put aside", name, why)
        async with self._lock:
            await asyncio.to_thread(self.store.put_aside, name)


def load_devices(store: FileStore, boot_id: str) -> DeviceTable:
    """Return the sensors that are known before the radio runs; none where the disk fails. Blocks."""
    try:
        return radio_state.decode_sensors(store.read(SENSORS_FILE), boot_id)
    except OSError as error:
        _log.error("%s cannot be read (%s); the sensors are asked anew", SENSORS_FILE, error)
        return DeviceTable(boot_id)
    except FileUnreadable as error:
        _log.error("%s cannot be used (%s); it is put aside, and the sensors are asked anew", SENSORS_FILE, error)
        with contextlib.suppress(OSError):
            store.put_aside(SENSORS_FILE)
        return DeviceTable(boot_id)
