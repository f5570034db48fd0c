"""Registers relayed sensors with the cloud and remembers the identities that it gives them (contract section 7).

Owns the file `relayed.json`. A sensor without a key, or one that the cloud refuses, waits; its readings are kept. Must
never log a key, nor keep one after it was used.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

import msgspec

from agent.cloud.client import CloudClient
from agent.cloud.endpoints import Endpoint
from agent.errors import CloudUnavailable, Corrupt, Refused, StorageFull, Throttled, Unauthorized
from agent.foundation.decoding import UNREADABLE
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker
from hal.interface import RelayedSensor

_log = logging.getLogger(__name__)

FILE_NAME = "relayed.json"
FILE_BYTES_MAX = 1024 * 1024

REFUSED_RETRY_S = 3600.0
"""A refused sensor is tried again this often: the operator may have provisioned its key in the meantime."""

_ADVICE = {
    HTTPStatus.FORBIDDEN: "the cloud does not take this device for a hub; ask ClimaSense support",
    HTTPStatus.NOT_FOUND: "the cloud does not know the sensor's key; check it against the label",
    HTTPStatus.CONFLICT: "the sensor belongs to another hub; have it released there first",
}


class Identity(msgspec.Struct, frozen=True):
    """What the cloud calls a sensor."""

    sensor_id: str
    serial_number: str = ""


class Identities:
    """Which relayed device is who, and the loop that finds out."""

    def __init__(
        self, directory: Path, *, keys: Mapping[str, str], disk: Disk, worker: Worker, client: CloudClient
    ) -> None:
        """Read what is known already.

        Args:
            directory: Where `relayed.json` lies.
            keys: The sensor key of each device that has one.
            disk: Writes the file.
            worker: Where writing blocks.
            client: The way to the cloud.
        """
        self._path = directory / FILE_NAME
        self._keys = keys
        self._disk = disk
        self._worker = worker
        self._client = client
        self.problems: dict[str, str] = {}
        self.file_problem = ""
        self._known = self._read()

    @property
    def devices(self) -> Sequence[str]:
        """The devices that have their identity."""
        return tuple(self._known)

    def is_known(self, device: str) -> bool:
        """Tell whether a device has its identity."""
        return device in self._known

    def sensor_id(self, device: str) -> str | None:
        """Return what the cloud calls a device; `None` before it is registered."""
        identity = self._known.get(device)
        return identity.sensor_id if identity else None

    async def run(
        self, sensors: Callable[[], list[RelayedSensor]], on_registered: Callable[[str], Awaitable[None]]
    ) -> None:
        """Register what is not known yet, then look again now and then, until cancelled.

        Args:
            sensors: Gives the sensors that the network knows now.
            on_registered: Told of each device that got its identity.
        """
        while True:
            for sensor in sensors():
                if sensor.device in self._known:
                    continue
                key = self._keys.get(sensor.device)
                if key is None:
                    self.problems[sensor.device] = "waits for its key; add it to relay.sensor_keys_file"
                elif await self._register(sensor, key):
                    await on_registered(sensor.device)
            await asyncio.sleep(REFUSED_RETRY_S)

    async def _register(self, sensor: RelayedSensor, key: str) -> bool:
        while True:
            await self._client.ready(Endpoint.ZIGBEE_REGISTER)
            try:
                answer = await self._client.register_sensor(key, sensor.ieee_address)
            except (CloudUnavailable, Throttled, Unauthorized) as error:
                _log.info("registering %s waits: %s", sensor.name, error)
            except Refused as error:
                advice = _ADVICE.get(HTTPStatus(error.status), "check its key")
                self.problems[sensor.device] = f"{error}; {advice}"
                _log.warning("%s is not registered: %s", sensor.name, self.problems[sensor.device])
                return False
            else:
                self.problems.pop(sensor.device, None)
                self._known[sensor.device] = Identity(answer.sensor_id, answer.serial_number or "")
                await self._keep()
                return True

    async def _keep(self) -> None:
        data = msgspec.json.format(msgspec.json.encode(self._known))
        try:
            await self._worker.run(lambda: self._disk.write(self._path, data))
        except (StorageFull, OSError) as error:
            # Registering again after a restart gives the same identity.
            _log.warning("identities of relayed sensors are not kept over a restart: %s", error)

    def _read(self) -> dict[str, Identity]:
        try:
            data = self._disk.read(self._path, bytes_max=FILE_BYTES_MAX)
            return {} if data is None else msgspec.json.decode(data, type=dict[str, Identity])
        except (Corrupt, *UNREADABLE) as error:
            aside = self._disk.quarantine(self._path)
            self.file_problem = f"{self._path.name} could not be read ({error}); it is kept as {aside.name}"
            _log.warning("%s; sensors register again", self.file_problem)
            return {}
