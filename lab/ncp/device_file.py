"""Device files: the sensors around an emulated stick, in TOML. Reads only the text that it is given.

    seed = 7

    [[device]]
    name = "bedroom"
    model = "climate"
    values = { temperature_c = 20.5, humidity_percent = 48 }

A device may also have: `eui64` (default: derived from seed and name), `parent` (the name of a router), `latency_s`,
`lqi`, `rssi_dbm` and `install_code` (hex, with its CRC; the join key is derived from it).
"""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from zigpy.util import convert_install_code

from hal.errors import HalError
from lab.ncp.memory import NodeMemory, StickMemory
from lab.ncp.models import MODELS, QUANTITIES, DeviceRole
from lab.ncp.node import Node
from lab.ncp.radio_medium import EmulatedDevice

DEVICES_MAX = 1000
STICK_OUI = "04:cd:15"
LATENCY_SLEEPY_S = 0.05
LATENCY_MAINS_S = 0.01
LATENCY_S_MAX = 86_400.0


class DevicesInvalid(HalError):
    """A device file that cannot be used. The message names the device and what is wrong with it."""


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: Annotated[str, msgspec.Meta(min_length=1)]
    model: str
    eui64: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2}:){7}[0-9a-f]{2}$")] | None = None
    parent: str = ""
    latency_s: Annotated[float, msgspec.Meta(ge=0, le=LATENCY_S_MAX)] | None = None
    lqi: Annotated[int, msgspec.Meta(ge=0, le=255)] = 200
    rssi_dbm: Annotated[int, msgspec.Meta(ge=-128, le=127)] = -55
    install_code: str | None = None
    values: Mapping[str, float] = {}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seed: int = 1
    device: Sequence[_Entry] = ()


class DeviceFile(msgspec.Struct, frozen=True):
    """The content of a device file."""

    seed: int
    devices: Sequence[EmulatedDevice]


def parse_device_file(text: str, source: str) -> DeviceFile:
    """Read a device file.

    Args:
        text: The TOML.
        source: Its name, for messages.

    Raises:
        DevicesInvalid: It cannot be used.
    """
    try:
        file = msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise DevicesInvalid(f"{source}: {error}") from error
    if len(file.device) > DEVICES_MAX:
        raise DevicesInvalid(
            f"{source}: remove devices: at most {DEVICES_MAX} are possible, and it has {len(file.device)}"
        )
    devices = [_device(entry, file.seed, source) for entry in file.device]
    _check_together(devices, source)
    return DeviceFile(file.seed, devices)


def new_stick(seed: int) -> StickMemory:
    """Return the flash of a stick that comes from the factory; another seed is another stick."""
    return StickMemory(factory_eui64=_made_eui64(STICK_OUI, seed, "stick"))


def _device(entry: _Entry, seed: int, source: str) -> EmulatedDevice:
    where = f"{source}: device {entry.name!r}"
    model = MODELS.get(entry.model)
    if model is None:
        raise DevicesInvalid(f"{where}: choose one of these models: {', '.join(MODELS)}; there is no {entry.model!r}")
    for quantity in entry.values:
        if quantity not in QUANTITIES:
            raise DevicesInvalid(f"{where}: choose from {', '.join(QUANTITIES)}: there is no {quantity!r}")
    link_key = None
    if entry.install_code is not None:
        try:
            link_key = bytes(convert_install_code(bytes.fromhex(entry.install_code)).serialize())
        except ValueError as error:
            raise DevicesInvalid(f"{where}: {error}") from error
    try:
        Node(eui64=_made_eui64(model.oui, seed, entry.name), model=model, memory=NodeMemory(), now_s=0.0).set_values(
            entry.values, 0.0
        )
    except KeyError as error:
        raise DevicesInvalid(f"{where}: this model has no {error.args[0]!r}") from error
    except ValueError as error:
        raise DevicesInvalid(f"{where}: {error}") from error
    default_s = LATENCY_SLEEPY_S if model.role is DeviceRole.SLEEPY else LATENCY_MAINS_S
    return EmulatedDevice(
        name=entry.name,
        eui64=entry.eui64 or _made_eui64(model.oui, seed, entry.name),
        model=model,
        parent=entry.parent,
        latency_s=default_s if entry.latency_s is None else entry.latency_s,
        lqi=entry.lqi,
        rssi_dbm=entry.rssi_dbm,
        link_key=link_key,
        values=entry.values,
    )


def _check_together(devices: Sequence[EmulatedDevice], source: str) -> None:
    by_name = {device.name: device for device in devices}
    if len(by_name) < len(devices) or len({device.eui64 for device in devices}) < len(devices):
        raise DevicesInvalid(f"{source}: two devices have the same name or the same eui64")
    for device in devices:
        router = by_name.get(device.parent)
        if device.parent and (router is None or router.model.role is not DeviceRole.ROUTER or router.parent):
            raise DevicesInvalid(
                f"{source}: device {device.name!r}: the parent {device.parent!r} must be a router beside the stick"
            )


def _made_eui64(oui: str, seed: int, name: str) -> str:
    return f"{oui}:{hashlib.blake2b(f'{seed}/{name}'.encode(), digest_size=5).digest().hex(':')}"
