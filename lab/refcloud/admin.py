"""The operations of the cloud's operator: keys, settings, commands, firmware, listings.

Called in the same process (demo, simulation, tests) and by `http_api`. Must never return a key a second time: a lost
key is replaced, not looked up.
"""

import hashlib
import random
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from lab.refcloud import contract
from lab.refcloud.api import check_update
from lab.refcloud.contract import Refusal
from lab.refcloud.models import DeviceSettings, Name, SettingsUpdate, Version
from lab.refcloud.records import (
    AcceptedReading,
    CloudCommand,
    CloudCredential,
    CloudDevice,
    CloudFirmware,
    CloudSettings,
    CommandState,
    DeviceKind,
    OtaHistory,
    ReadingTally,
    command_shelf,
    key_sha256,
    with_update,
)
from lab.refcloud.store import ReadingKey, Store

READINGS_PAGE_MAX = 10_000
_ALPHANUMERIC = string.ascii_letters + string.digits


class NewDevice(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be provisioned.

    Attributes:
        name: Unique; what observers and statistics call it.
        serial_number: Empty: the name.
        api_key: Empty: the cloud makes one.
    """

    name: Annotated[str, Meta(min_length=1, max_length=contract.NAME_CHARS_MAX)]
    kind: DeviceKind = DeviceKind.HUB
    serial_number: Name = ""
    batch: Name = "stable"
    api_key: Annotated[str, Meta(max_length=contract.SENSOR_KEY_CHARS_MAX)] = ""


class ProvisionedDevice(Struct, frozen=True):
    """A device and its key, which is shown this once."""

    device: CloudDevice
    api_key: str


class NewCommand(Struct, frozen=True, forbid_unknown_fields=True):
    """A command to queue. Type and payload are free, so that what a device must refuse can be tried."""

    type: Annotated[str, Meta(min_length=1, max_length=contract.NAME_CHARS_MAX)]
    payload: dict[str, Any] | UnsetType = UNSET
    command_id: Annotated[str, Meta(max_length=contract.COMMAND_ID_CHARS_MAX)] = ""
    lifetime_ms: Annotated[int, Meta(ge=0, le=365 * 86_400_000)] = contract.COMMAND_LIFETIME_MS


class ReadingsPage(Struct, frozen=True):
    """Some readings in the order of their keys, and where the next page begins; `None` at the end."""

    readings: list[AcceptedReading]
    after: tuple[str, str, int] | None


def random_key(rng: random.Random) -> str:
    """Return a new key in the published form."""
    tail = "".join(rng.choice(_ALPHANUMERIC) for _ in range(contract.DEVICE_KEY_RANDOM_CHARS))
    return contract.DEVICE_KEY_PREFIX + tail


class Admin:
    """The operator's operations, one method each; each raises `Refusal` (404, 409, 422) where it is impossible."""

    def __init__(
        self, store: Store, *, utc_ms: Callable[[], int], new_id: Callable[[], str], new_key: Callable[[], str]
    ) -> None:
        self._store = store
        self._utc_ms = utc_ms
        self._new_id = new_id
        self._new_key = new_key

    def provision(self, new: NewDevice) -> ProvisionedDevice:
        """Make a device and its key.

        Raises:
            Refusal: 409, the name or the key is taken.
        """
        if any(device.name == new.name for device in self.devices()):
            raise Refusal(409, f"choose another name: there is a device named {new.name!r}")
        device = CloudDevice(
            device_id=self._new_id(),
            kind=new.kind,
            name=new.name,
            serial_number=new.serial_number or new.name,
            batch=new.batch,
        )
        with self._store.transaction():
            api_key = self._issue(device.device_id, new.api_key or self._new_key())
            self._store.put(device)
        return ProvisionedDevice(device=device, api_key=api_key)

    def replace_key(self, device_id: str) -> ProvisionedDevice:
        """Revoke a device's key and make a new one."""
        device = self._device(device_id)
        with self._store.transaction():
            old = [key for key in self._store.shelf(CloudCredential, device_id) if not key.is_revoked]
            api_key = self._issue(device_id, self._new_key())
            for credential in old:
                self._store.put(msgspec.structs.replace(credential, is_revoked=True))
        return ProvisionedDevice(device=device, api_key=api_key)

    def _issue(self, device_id: str, api_key: str) -> str:
        digest = key_sha256(api_key)
        if self._store.get(CloudCredential, digest) is not None:
            raise Refusal(409, "choose another key: this one is in use")
        self._store.put(CloudCredential(key_sha256=digest, device_id=device_id))
        return api_key

    def devices(self) -> Sequence[CloudDevice]:
        """Return all devices, oldest first."""
        return self._store.shelf(CloudDevice, "")

    def _device(self, device_id: str) -> CloudDevice:
        device = self._store.get(CloudDevice, device_id)
        if device is None:
            raise Refusal(404, "no such device")
        return device

    def settings(self, device_id: str) -> DeviceSettings:
        """Return a device's settings."""
        kept = self._store.get(CloudSettings, self._device(device_id).device_id)
        return DeviceSettings() if kept is None else kept.settings

    def change_settings(self, device_id: str, update: SettingsUpdate) -> DeviceSettings:
        """Change a device's settings by the rules of PUT /v1/settings and return all of them."""
        check_update(update)
        settings = with_update(self.settings(device_id), update)
        self._store.put(CloudSettings(device_id, settings))
        return settings

    def queue_command(self, device_id: str, new: NewCommand) -> CloudCommand:
        """Queue a command.

        Raises:
            Refusal: 404 no such device, 409 the id is taken or the device has too many waiting.
        """
        self._device(device_id)
        command_id = new.command_id or self._new_id()
        if self._store.get(CloudCommand, command_id) is not None:
            raise Refusal(409, "choose another id: a command has this one")
        waiting = self._store.shelf(CloudCommand, command_shelf(device_id, is_pending=True))
        now_ms = self._utc_ms()
        if sum(command.expires_ms > now_ms for command in waiting) >= contract.COMMANDS_PENDING_MAX:
            raise Refusal(
                409, f"wait until some are acknowledged or expire: {contract.COMMANDS_PENDING_MAX} commands are pending"
            )
        command = CloudCommand(
            command_id=command_id,
            device_id=device_id,
            type=new.type,
            created_ms=now_ms,
            expires_ms=now_ms + new.lifetime_ms,
            payload=new.payload,
        )
        self._store.put(command)
        return command

    def commands(self, device_id: str) -> Sequence[CloudCommand]:
        """Return a device's commands: the closed ones, then those that wait."""
        self._device(device_id)
        closed, pending = (
            self._store.shelf(CloudCommand, command_shelf(device_id, is_pending=is_pending))
            for is_pending in (False, True)
        )
        return [*closed, *pending]

    def problems(self, device_id: str) -> Iterator[str]:
        """Yield what is wrong with a device, by the cloud's knowledge: of its last command and its last update."""
        closed = self._store.shelf(CloudCommand, command_shelf(device_id, is_pending=False))
        last = max(closed, key=lambda command: command.closed_ms or 0, default=None)
        if last is not None and last.state in {CommandState.FAILED, CommandState.EXPIRED}:
            yield f"{last.type} {last.state}{f': {last.error_message}' if last.error_message else ''}"
        posts = self.ota_history(device_id).posts
        if posts and posts[-1].status == "failed":
            why = posts[-1].error_message
            yield f"update to {posts[-1].version} failed{f': {why}' if why else ''}"

    def publish(
        self, version: Version, image: bytes, *, batches: Sequence[str] = (), release_notes: str = ""
    ) -> CloudFirmware:
        """Publish a firmware and offer it to the batches.

        Raises:
            Refusal: 409 the version exists, 413 the image is too large, 422 it is empty, or a text is too long.
        """
        if not 1 <= len(version) <= contract.VERSION_CHARS_MAX or "/" in version:
            raise Refusal(422, f"a version has 1 to {contract.VERSION_CHARS_MAX} characters, none of them a slash")
        if len(release_notes) > contract.RELEASE_NOTES_CHARS_MAX:
            raise Refusal(422, f"release notes have at most {contract.RELEASE_NOTES_CHARS_MAX} characters")
        if not image:
            raise Refusal(422, "the image is empty")
        if len(image) > contract.FIRMWARE_BYTES_MAX:
            raise Refusal(413, f"an image has at most {contract.FIRMWARE_BYTES_MAX} bytes")
        if self._store.get(CloudFirmware, version) is not None:
            raise Refusal(409, f"choose another version: {version} is published, and a published version never changes")
        release = CloudFirmware(
            version=version,
            sha256=hashlib.sha256(image).hexdigest(),
            size_bytes=len(image),
            release_notes=release_notes,
            batches=tuple(batches),
            offered_ms=self._utc_ms(),
        )
        with self._store.transaction():
            self._store.put_image(version, image)
            self._store.put(release)
        return release

    def offer(self, version: str, batches: Sequence[str], *, release_notes: str | None = None) -> CloudFirmware:
        """Offer a published firmware to these batches and no others; it becomes the latest offer of each.

        Args:
            version: As published.
            batches: None: it is withdrawn.
            release_notes: `None`: those from before stay.
        """
        release = self._store.get(CloudFirmware, version)
        if release is None:
            raise Refusal(404, "no such version")
        release = msgspec.structs.replace(
            release,
            batches=tuple(batches),
            offered_ms=self._utc_ms(),
            release_notes=release.release_notes if release_notes is None else release_notes,
        )
        self._store.put(release)
        return release

    def releases(self) -> Sequence[CloudFirmware]:
        """Return all published firmware, oldest first."""
        return self._store.shelf(CloudFirmware, "")

    def ota_history(self, device_id: str) -> OtaHistory:
        """Return a device's status posts."""
        self._device(device_id)
        return self._store.get(OtaHistory, device_id) or OtaHistory(device_id)

    def readings(self, *, after: tuple[str, str, int] | None = None, limit: int = READINGS_PAGE_MAX) -> ReadingsPage:
        """Return one page of what is stored, over all devices, by device, sensor type and instant.

        Args:
            after: The `after` of the page before.
            limit: At most `READINGS_PAGE_MAX`.
        """
        limit = min(limit, READINGS_PAGE_MAX)
        readings = self._store.readings(None if after is None else ReadingKey(*after), limit)
        if limit == 0 or len(readings) < limit:
            return ReadingsPage(readings=readings, after=None)
        last = readings[-1]
        return ReadingsPage(readings=readings, after=(last.device_id, last.sensor_type, last.at_ms))

    def tallies(self) -> Mapping[str, ReadingTally]:
        """Return what became of the readings, by the device that sent them."""
        return {tally.device_id: tally for tally in self._store.shelf(ReadingTally, "")}
