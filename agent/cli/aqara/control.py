"""Sets one trait through the cache: find it, send it, refresh once where the device is unknown by now, read it back."""

from collections.abc import Sequence
from typing import Any

import msgspec

from agent.cli.aqara.device_cache import DeviceCache
from agent.errors import Rejected
from hal.aqara import selection
from hal.aqara.device_list import KnownDevice, KnownTrait
from hal.aqara.endpoint import DEVICE_NOT_FOUND, AqaraEndpoint, EndpointRefused


class NotSet(Rejected):
    """The endpoint did not set the trait, or it has another value when it is read back."""


class Wanted(msgspec.Struct, frozen=True):
    """What somebody asks for, in words.

    Attributes:
        device: An id, or a name.
        trait: A trait code.
        value: As typed.
        endpoint_id: Where several endpoints have the trait.
    """

    device: str
    trait: str
    value: str
    endpoint_id: int | None = None


class _Command(msgspec.Struct, frozen=True):
    device: KnownDevice
    trait: KnownTrait
    value: Any

    @property
    def item(self) -> dict[str, Any]:
        return {
            "deviceId": self.device.device_id,
            "endpointId": self.trait.endpoint_id,
            "functionCode": self.trait.function_code,
            "traitCode": self.trait.trait_code,
            "value": self.value,
        }


def set_trait(endpoint: AqaraEndpoint, cache: DeviceCache, wanted: Wanted) -> tuple[KnownDevice, KnownTrait]:
    """Set a trait, and return it with its device as read back.

    Raises:
        NotInList, Ambiguous, ValueUnusable: What is asked for is not in the cache, or cannot be; nothing was sent.
        NotSet: The endpoint refused the item, or took it and shows another value.
        EndpointLost, TokenRefused, EndpointRefused, StorageFull: See `DeviceCache.refresh`.
    """
    command = _resolve(cache.devices(), wanted)
    failure = _send(endpoint, command)
    if failure is not None and failure[0] == DEVICE_NOT_FOUND:
        command = _resolve(cache.refresh(), wanted)
        failure = _send(endpoint, command)
    if failure is not None:
        raise NotSet(f"{command.device.name}: {command.trait.trait_code} was not set: {failure[1]} (code {failure[0]})")
    found = _resolve(cache.refresh(), wanted)
    if not selection.is_same_value(found.trait, command.value):
        name, code, shown = found.device.name, command.trait.trait_code, found.trait.value
        raise NotSet(f"look at the device: {name} took {code} = {command.value}, and shows {shown}")
    return found.device, found.trait


def _resolve(devices: Sequence[KnownDevice], wanted: Wanted) -> _Command:
    device = selection.find_device(devices, wanted.device)
    trait = selection.find_trait(device, wanted.trait, wanted.endpoint_id)
    return _Command(device, trait, selection.read_value(trait, wanted.value))


def _send(endpoint: AqaraEndpoint, command: _Command) -> tuple[int, str] | None:
    """Send a command; return the code and message of its failure, or `None` where it worked."""
    try:
        failures = endpoint.execute([command.item])
    except EndpointRefused as error:
        return error.code, str(error)
    if not failures:
        return None
    code = failures[0].get("code")
    return code if isinstance(code, int) else -1, str(failures[0].get("message") or "no reason given")
