"""The device settings, their valid values, and their file (ClimaSense contract, section 4). Pure."""

import contextlib
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent.errors import SettingInvalid
from agent.foundation.lenient_json import Undecodable, decode_object, decode_value, split_object
from agent.foundation.text import quote, sanitize, sanitize_value
from hal.interface import SensorKind

INTERVAL_S_MIN = 60
INTERVAL_S_MAX = 3600

LOCATION_NAME_CHARACTERS_MAX = 200

NAME_CHARACTERS_MAX = 100
"""Of an unknown setting. A longer name is rejected."""

UNKNOWN_TEXT_CHARACTERS_MAX = 4096
UNKNOWN_MAX = 100
"""The number of unknown settings that are kept, and the length of their texts."""

_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,40}(/[A-Za-z0-9_+-]{1,40}){0,3}", re.ASCII)
"""The form of names in the IANA time zone database, checked before a file of that name is opened."""

KINDS = frozenset(kind.value for kind in SensorKind)


class Location(msgspec.Struct, frozen=True, omit_defaults=True):
    """The place of the hub, in degrees (WGS 84). Each part may be unknown."""

    latitude: float | None = None
    longitude: float | None = None
    name: str | None = None


class DeviceSettings(msgspec.Struct, frozen=True):
    """The settings in force. The defaults hold until the first answer of the cloud (contract section 4.1).

    Attributes:
        reporting_interval_seconds: Between two samples.
        enabled_sensors: The kinds that are sent to the cloud; `None` for all.
        location: Of the hub.
        timezone: IANA name.
        unknown: Settings that this agent does not know, kept as they came.
    """

    reporting_interval_seconds: int = INTERVAL_S_MIN
    enabled_sensors: tuple[str, ...] | None = None
    location: Location | None = None
    timezone: str = "UTC"
    unknown: Mapping[str, Any] = {}

    @property
    def kinds(self) -> frozenset[SensorKind] | None:
        """The enabled kinds; `None` for all."""
        if self.enabled_sensors is None:
            return None
        return frozenset(SensorKind(name) for name in self.enabled_sensors)


class SettingsDocument(msgspec.Struct, frozen=True):
    """The content of `settings.json`.

    Attributes:
        settings: The last valid settings.
        pending: Local changes that the cloud has not taken yet, as the body of PUT /v1/settings.
        applied: The last command that changed settings. It is in the same file, so that one write saves both.
        made_on: For each of `pending`, the machine on which it was made, as hashes; absent where that is not known.
    """

    settings: DeviceSettings = DeviceSettings()
    pending: Mapping[str, Any] = {}
    applied: str = ""
    made_on: Mapping[str, str] = {}

    def with_pending(self, pending: Mapping[str, Any]) -> "SettingsDocument":
        """Return the document with fewer local changes."""
        made_on = {name: machine for name, machine in self.made_on.items() if name in pending}
        return msgspec.structs.replace(self, pending=pending, made_on=made_on)


def merge(current: DeviceSettings, changes: Mapping[str, Any]) -> tuple[DeviceSettings, list[str]]:
    """Return ``current`` with the valid ones of ``changes``, and the problems of the others.

    `null` and missing keys leave the present value (contract section 4.1). Unknown keys are kept, with sanitised texts.

    Args:
        current: The settings in force.
        changes: Any subset of the settings, as decoded JSON; `Undecodable` for a value that could not be decoded.
    """
    good: dict[str, Any] = {}
    unknown = dict(current.unknown)
    problems = []
    for key, value in changes.items():
        check = _CHECKS.get(key)
        try:
            if isinstance(value, Undecodable):
                raise SettingInvalid(f"{sanitize(key)} cannot be read ({sanitize(value.reason)})")
            if check is None:
                _keep(unknown, key, value)
            elif value is not None:
                good[key] = check(value)
        except SettingInvalid as error:
            problems.append(str(error))
    return msgspec.structs.replace(current, **good, unknown=unknown), problems


def _keep(unknown: dict[str, Any], key: str, value: object) -> None:
    """Keep a setting of a newer cloud: sanitised, because people see it, and within bounds."""
    name = sanitize(key)
    if len(key) > NAME_CHARACTERS_MAX:
        raise SettingInvalid(f"{name} is no setting: its name is longer than {NAME_CHARACTERS_MAX} characters")
    if name not in unknown and len(unknown) >= UNKNOWN_MAX:
        raise SettingInvalid(
            f"{name} is not kept: there are {UNKNOWN_MAX} settings already that this agent does not know"
        )
    unknown[name] = sanitize_value(value, characters_max=UNKNOWN_TEXT_CHARACTERS_MAX)


def check_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes that a person or a command requests, valid as a whole, as JSON values.

    Raises:
        SettingInvalid: Nothing to change, an unknown key, or an invalid value; the message lists all of them.
    """
    problems = [
        f"{sanitize(key)} is not a setting; there are {', '.join(_CHECKS)}" for key in changes if key not in _CHECKS
    ]
    problems += [f"{key} must have a value" for key, value in changes.items() if key in _CHECKS and value is None]
    settings, wrong = merge(DeviceSettings(), changes)
    problems += wrong
    if not changes:
        problems.append(f"nothing to change; give one or more of {', '.join(_CHECKS)}")
    if problems:
        raise SettingInvalid("; ".join(problems))
    body: dict[str, Any] = msgspec.to_builtins(settings)
    return {key: body[key] for key in changes}


def _interval(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not INTERVAL_S_MIN <= value <= INTERVAL_S_MAX:
        raise SettingInvalid(
            f"reporting_interval_seconds is {quote(value)}; allowed are whole seconds,"
            f" {INTERVAL_S_MIN} to {INTERVAL_S_MAX}"
        )
    return value


def _sensors(value: object) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise SettingInvalid(f"enabled_sensors is {quote(value)}; a list of sensor names is needed")
    wrong = [quote(name) for name in value if not isinstance(name, str) or name not in KINDS]
    if wrong:
        raise SettingInvalid(f"enabled_sensors names {', '.join(wrong)}; there are {', '.join(sorted(KINDS))}")
    return tuple(dict.fromkeys(value))


def _location(value: object) -> Location:
    if not isinstance(value, Mapping):
        raise SettingInvalid(f"location is {quote(value)}; an object with latitude, longitude and name is needed")
    try:
        location = msgspec.convert(value, Location)
    except msgspec.ValidationError as error:
        raise SettingInvalid(f"location is {quote(value)}: {error}") from error
    for name, degrees, bound in (("latitude", location.latitude, 90), ("longitude", location.longitude, 180)):
        if degrees is not None and not -bound <= degrees <= bound:
            raise SettingInvalid(f"location.{name} is {degrees}; allowed is -{bound} to {bound}")
    if location.name is not None and len(location.name) > LOCATION_NAME_CHARACTERS_MAX:
        raise SettingInvalid(f"location.name is longer than {LOCATION_NAME_CHARACTERS_MAX} characters")
    if location.name is None:
        return location
    # A name is shown on pages and terminals: what cannot be printed in one line is spelt out.
    name = sanitize(location.name, characters_max=LOCATION_NAME_CHARACTERS_MAX)
    return msgspec.structs.replace(location, name=name)


def _timezone(value: object) -> str:
    if value == "UTC":
        return "UTC"
    if isinstance(value, str) and _ZONE.fullmatch(value):
        import zoneinfo  # noqa: PLC0415 - 0.3 MiB that a hub on UTC need not spend

        # Opening one zone reads one file; listing them all reads 600 (22 ms). "Europe" is a directory: OSError;
        # a file that is cut short: struct.error.
        with contextlib.suppress(zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, EOFError, struct.error):
            zoneinfo.ZoneInfo(value)
            return value
    raise SettingInvalid(f"timezone is {quote(value)}; an IANA name such as Europe/Brussels is needed")


_CHECKS = {
    "reporting_interval_seconds": _interval,
    "enabled_sensors": _sensors,
    "location": _location,
    "timezone": _timezone,
}


def encode_document(document: SettingsDocument) -> bytes:
    """Return the content of the file."""
    return msgspec.json.format(msgspec.json.encode(document))


def without_unknown(document: SettingsDocument) -> SettingsDocument:
    """Return a document without its unknown settings."""
    return msgspec.structs.replace(document, settings=msgspec.structs.replace(document.settings, unknown={}))


def decode_document(data: bytes) -> tuple[SettingsDocument, list[str]]:
    """Return the content of the file, and the problems of its invalid settings, which cost no other setting.

    Raises:
        msgspec.DecodeError: This agent has not written it.
    """
    parts = split_object(data)
    known = split_object(parts.get("settings", b"{}"))
    unknown = decode_object(known.pop("unknown", b"{}"))
    # A field that a newer release has added to the document is no setting of the cloud: it is dropped.
    fields = {name: decode_value(part) for name, part in known.items() if name in DeviceSettings.__struct_fields__}
    settings, problems = merge(DeviceSettings(), unknown | fields)
    pending = {}
    for name, change in decode_object(parts.get("pending", b"{}")).items():
        wrong = merge(DeviceSettings(), {name: change})[1]
        problems += wrong
        if not wrong:
            pending[name] = change
    applied = msgspec.json.decode(parts.get("applied", b'""'), type=str)
    made_on = msgspec.json.decode(parts.get("made_on", b"{}"), type=dict[str, str])
    return SettingsDocument(settings, pending, applied, made_on).with_pending(pending), problems
