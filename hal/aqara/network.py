"""An Aqara endpoint as a network of relayed sensors: polls its device list on a thread of its own.

Owns the file of the sensors that were found, so that they are known at the next start before the endpoint answers.
Must never hold up the agent: a request that hangs hangs on its thread, which ends with the process.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from hal.aqara.device_list import KnownDevice, read_devices
from hal.aqara.endpoint import EndpointLost
from hal.aqara.sensors import KINDS, AqaraSensors
from hal.errors import HalError, NetworkLost
from hal.interface import Reading, RelayedSensor
from hal.radio import SensorLink

_log = logging.getLogger(__name__)

FILE_NAME = "aqara-sensors.json"
FILE_BYTES_MAX = 512 * 1024
"""256 sensors with the longest names and ids take 290 KiB."""

BACKOFF_S_MAX = 900.0
"""An endpoint that does not answer is asked again after the interval, then after twice as long, up to this."""

T = TypeVar("T")


class ListsDevices(Protocol):
    """An endpoint, as far as it is polled."""

    def list_devices(self) -> bytes:
        """Return the device list as it came, JSON; blocks, and raises `HalError`."""
        ...


class FileStore(Protocol):
    """Files by name, written atomically; they block."""

    def read(self, name: str) -> bytes | None:
        """Return a file's content; `None` if it is missing or unreadable. Raises `OSError` while the disk fails."""
        ...

    def write(self, name: str, data: bytes, *, is_secret: bool) -> None:
        """Replace a file's content durably. Raises `OSError` where the disk refuses."""
        ...


class _SensorsFile(msgspec.Struct, frozen=True):
    sensors: tuple[RelayedSensor, ...] = ()


class AqaraNetwork:
    """One endpoint and its sensors."""

    def __init__(
        self,
        connect: Callable[[], ListsDevices],
        files: FileStore,
        *,
        monotonic_ms: Callable[[], int],
        utc_ms: Callable[[], int | None],
        poll_interval_s: float,
    ) -> None:
        """Read the sensors that were found before. Blocks.

        Args:
            connect: Returns the endpoint with the token of now; blocks, and raises `HalError`.
            files: Where the sensors are stored.
            monotonic_ms: The boot's clock.
            utc_ms: The time; `None` while it is unknown.
            poll_interval_s: How often the list is fetched.
        """
        self._connect = connect
        self._files = files
        self._monotonic_ms = monotonic_ms
        self._utc_ms = utc_ms
        self._poll_interval_s = poll_interval_s
        self._sensors = AqaraSensors(_read_sensors(files))
        self._stored = self._sensors.sensors
        self._changed = asyncio.Event()
        self._wait_s = 0.0
        self._failures = 0

    @property
    def sensors(self) -> Sequence[RelayedSensor]:
        """The sensors that were found."""
        return self._sensors.sensors

    @property
    def links(self) -> Sequence[SensorLink]:
        """Whether each sensor is online."""
        return self._sensors.links(self._monotonic_ms())

    async def sensors_changed(self) -> None:
        """Wait until the sensors have changed since the last call."""
        await self._changed.wait()
        self._changed.clear()

    async def receive(self) -> Sequence[Reading]:
        """Wait for readings and return them, the oldest first; none where the endpoint answers again.

        Raises:
            NetworkLost: The endpoint gives no list; the message says what to do.
        """
        while True:
            await asyncio.sleep(self._wait_s)
            failures = self._failures
            # Counted before it is asked: whatever an answer breaks, the next call waits.
            self._wait_s = min(BACKOFF_S_MAX, self._poll_interval_s * 2**failures)
            self._failures = min(failures + 1, 10)
            try:
                devices = await _on_thread(self._fetch)
            except HalError as error:
                self._sensors.interrupted()
                raise NetworkLost(str(error)) from error
            was_lost = failures > 0
            self._wait_s, self._failures = self._poll_interval_s, 0
            readings = self._sensors.take(devices, now_ms=self._monotonic_ms(), utc_ms=self._utc_ms())
            if self._sensors.sensors != self._stored:
                await self._store()
            if readings or was_lost:
                return readings

    def drain(self) -> Sequence[Reading]:
        """Return nothing: a list is taken whole, or not at all."""
        return ()

    def confirm(self) -> None:
        """Nothing to confirm: the next list has the last values again."""

    async def close(self) -> None:
        """Nothing to release: the thread ends by itself."""

    def _fetch(self) -> tuple[KnownDevice, ...]:
        endpoint = self._connect()
        try:
            return read_devices(endpoint.list_devices(), trait_codes=KINDS)[0]
        except ValueError as error:
            raise EndpointLost(f"check the address of the Aqara endpoint: {error}") from error

    async def _store(self) -> None:
        self._stored = self._sensors.sensors
        self._changed.set()
        if self._sensors.left_out:
            _log.warning(
                "%d sensors of the Aqara endpoint are left out: the hub relays no more", self._sensors.left_out
            )
        data = msgspec.json.encode(_SensorsFile(self._stored))
        try:
            await _on_thread(lambda: self._files.write(FILE_NAME, data, is_secret=False))
        except OSError as error:
            _log.warning("the sensors of the Aqara endpoint are not kept over a restart: %s", error)


def _read_sensors(files: FileStore) -> tuple[RelayedSensor, ...]:
    try:
        data = files.read(FILE_NAME)
        return msgspec.json.decode(data, type=_SensorsFile).sensors if data else ()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        _log.warning("the sensors of the Aqara endpoint are looked for anew: %s", error)
        return ()


async def _on_thread(work: Callable[[], T]) -> T:
    """Return what a function returns that may block for long, without anybody waiting for it at the end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(settle_future: Callable[[Any], None], outcome: object) -> None:
        if not done.done():
            settle_future(outcome)

    def run() -> None:
        try:
            outcome: tuple[Callable[[Any], None], object] = done.set_result, work()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the function is awaited
            outcome = done.set_exception, error
        # The loop may have ended by now.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="aqara", daemon=True).start()
    return await done
