"""Client of the reference cloud's admin API, for the operator's commands.

Must never talk to a real cloud: ClimaSense has no such API.
"""

import io
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from aiohttp import hdrs
from msgspec import Struct

from agent.cloud.error_mapping import no_answer_text
from agent.errors import ClimahubError, CloudUnavailable, Rejected, Unauthorized
from lab.refcloud import contract
from lab.refcloud.admin import READINGS_PAGE_MAX, NewCommand, NewDevice, ProvisionedDevice
from lab.refcloud.cloud import CloudStatistics
from lab.refcloud.faults import FaultRule
from lab.refcloud.http_api import FaultSwitch, FirmwareOffer, ListeningSwitch
from lab.refcloud.models import DeviceSettings, ErrorBody, SettingsUpdate, encode
from lab.refcloud.records import AcceptedReading, CloudCommand, CloudDevice, CloudFirmware, DeviceHealth, OtaHistory

ANSWER_BYTES_MAX = 16 * 1024 * 1024
TIMEOUT_S = 30.0
_UNAUTHORIZED = 401
_SERVER_ERROR = 500
_ERROR = 400

T = TypeVar("T")


class _Devices(Struct):
    devices: list[CloudDevice]


class _Commands(Struct):
    commands: list[CloudCommand]


class _Health(Struct):
    health: dict[str, DeviceHealth]


class _Firmware(Struct):
    firmware: list[CloudFirmware]


class _Readings(Struct):
    readings: list[AcceptedReading]
    after: str | None


class _Rules(Struct):
    rules: list[FaultRule]


class AdminClient:
    """The admin API of one reference cloud: one method for each of its operations.

    Each method raises `Unauthorized` (the token is wrong), `Rejected` (it cannot be; the message says why) or
    `CloudUnavailable` (no usable answer).
    """

    def __init__(self, session: aiohttp.ClientSession, base_url: str, token: str) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/") + "/admin"
        self._authorization = {hdrs.AUTHORIZATION: f"Bearer {token}"}

    async def provision(self, new: NewDevice) -> ProvisionedDevice:
        """Make a device; its key is in the answer and nowhere else."""
        return await self._send("POST", "/devices", ProvisionedDevice, body=new)

    async def replace_key(self, device_id: str) -> ProvisionedDevice:
        """Revoke a device's key and make a new one."""
        return await self._send("POST", f"/devices/{_part(device_id)}/key", ProvisionedDevice)

    async def devices(self) -> Sequence[CloudDevice]:
        """Return all devices."""
        return (await self._send("GET", "/devices", _Devices)).devices

    async def health(self) -> Mapping[str, DeviceHealth]:
        """Return when each device was last seen and what is wrong with it, by its id."""
        return (await self._send("GET", "/health", _Health)).health

    async def settings(self, device_id: str) -> DeviceSettings:
        """Return a device's settings."""
        return await self._send("GET", f"/devices/{_part(device_id)}/settings", DeviceSettings)

    async def change_settings(self, device_id: str, update: SettingsUpdate) -> DeviceSettings:
        """Change a device's settings and return all of them."""
        return await self._send("PUT", f"/devices/{_part(device_id)}/settings", DeviceSettings, body=update)

    async def queue_command(self, device_id: str, command: NewCommand) -> CloudCommand:
        """Queue a command."""
        return await self._send("POST", f"/devices/{_part(device_id)}/commands", CloudCommand, body=command)

    async def commands(self, device_id: str) -> Sequence[CloudCommand]:
        """Return a device's commands: the closed ones, then those that wait."""
        return (await self._send("GET", f"/devices/{_part(device_id)}/commands", _Commands)).commands

    async def publish(
        self, version: str, image: bytes, *, batches: Sequence[str] = (), release_notes: str = ""
    ) -> CloudFirmware:
        """Publish a firmware, then offer it to the batches."""
        await self._send("PUT", f"/firmware/{_part(version)}", CloudFirmware, body=image)
        return await self.offer(version, batches, release_notes=release_notes)

    async def offer(self, version: str, batches: Sequence[str], *, release_notes: str | None = None) -> CloudFirmware:
        """Offer a published firmware to these batches and no others."""
        offer = FirmwareOffer(batches=tuple(batches), release_notes=release_notes)
        return await self._send("PUT", f"/firmware/{_part(version)}/offer", CloudFirmware, body=offer)

    async def releases(self) -> Sequence[CloudFirmware]:
        """Return all published firmware."""
        return (await self._send("GET", "/firmware", _Firmware)).firmware

    async def ota_history(self, device_id: str) -> OtaHistory:
        """Return a device's status posts."""
        return await self._send("GET", f"/devices/{_part(device_id)}/ota", OtaHistory)

    async def readings(self) -> AsyncIterator[AcceptedReading]:
        """Yield everything that is stored, by device, sensor type and instant, page by page."""
        query = [("limit", str(READINGS_PAGE_MAX))]
        while True:
            page = await self._send("GET", "/readings", _Readings, query=query)
            for reading in page.readings:
                yield reading
            if page.after is None:
                return
            query = [("limit", str(READINGS_PAGE_MAX)), ("after", page.after)]

    async def statistics(self) -> CloudStatistics:
        """Return what was counted."""
        return await self._send("GET", "/statistics", CloudStatistics)

    async def fault_rules(self) -> Sequence[FaultRule]:
        """Return the rules in force."""
        return (await self._send("GET", "/faults", _Rules)).rules

    async def set_faults(self, rules: Sequence[FaultRule], *, seed: int | None = None) -> None:
        """Put these rules in place of all others; none: no faults."""
        await self._send("PUT", "/faults", _Rules, body=FaultSwitch(rules=tuple(rules), seed=seed))

    async def set_listening(self, *, is_listening: bool) -> None:
        """Serve device requests, or abort each at once."""
        await self._send("PUT", "/listening", ListeningSwitch, body=ListeningSwitch(listening=is_listening))

    async def _send(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        body: object = None,
        query: Sequence[tuple[str, str]] = (),
    ) -> T:
        headers = dict(self._authorization)
        data: Any = body
        if isinstance(body, bytes):
            headers[hdrs.CONTENT_TYPE] = contract.FIRMWARE_CONTENT_TYPE
            data = io.BytesIO(body)  # so that aiohttp sends a large image in pieces
        elif body is not None:
            headers[hdrs.CONTENT_TYPE] = "application/json"
            data = encode(body)
        try:
            async with self._session.request(
                method,
                self._base_url + path,
                params=query,
                data=data,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            ) as response:
                text = await _bounded(response)
                if response.status >= _ERROR:
                    raise _error(response.status, text)
        except aiohttp.InvalidURL as error:
            raise Rejected(f"give an address such as http://127.0.0.1:8080: not {self._base_url}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            problem = f"check that the cloud runs at {self._base_url}: {no_answer_text(error)}"
            raise CloudUnavailable(problem) from error
        try:
            return msgspec.json.decode(text, type=kind)
        except msgspec.DecodeError as error:
            raise CloudUnavailable(
                f"check the address: {self._base_url}{path} is no admin API of a reference cloud ({error})"
            ) from error


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise CloudUnavailable(f"the answer has more than {ANSWER_BYTES_MAX} bytes")
    return bytes(body)


def _error(status: int, text: bytes) -> ClimahubError:
    try:
        message = msgspec.json.decode(text, type=ErrorBody).message
    except msgspec.DecodeError:
        message = f"status {status}"
    if status == _UNAUTHORIZED:
        return Unauthorized(message)
    return CloudUnavailable(message) if status >= _SERVER_ERROR else Rejected(message)


def _part(text: str) -> str:
    """Return text as one segment of a path."""
    return quote(text, safe="")
