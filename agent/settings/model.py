"""What the device settings are and which values are allowed (ClimaSense contract, section 4). Pure."""

import contextlib
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent.errors import SettingInvalid
from agent.foundation.lenient_json import Undecodable
from agent.foundation.text import quote, sanitize, sanitize_value
from hal.interface import SensorKind

INTERVAL_S_MIN = 60
INTERVAL_S_MAX = 3600

LOCATION_NAME_CHARACTERS_MAX = 200

NAME_CHARACTERS_MAX = 100
"""Of a setting that this agent does not know; a longer name is no name."""

UNKNOWN_TEXT_CHARACTERS_MAX = 4096
UNKNOWN_MAX = 100
"""Settings that this agent does not know; above that, they cannot be meant for a hub."""

_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,40}(/[A-Za-z0-9_+-]{1,40}){0,3}", re.ASCII)
"""What names in the IANA time zone database look like; so much is asked before a file of that name is looked for."""

KINDS = frozenset(kind.value for kind in SensorKind)


class Location(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the hub stands; each part may be unknown. Degrees, WGS 84."""

    latitude: float | None = None
    longitude: float | None = None
    name: str | None = None


class DeviceSettings(msgspec.Struct, frozen=True):
    """The settings in force. The defaults are those before the first answer of the cloud (contract section 4.1).

    Attributes:
        reporting_interval_seconds: Between two samples.
        enabled_sensors: Kinds that go to the cloud; `None` for all.
        location: As the cloud has it.
        timezone: IANA name.
        unknown: Keys that this agent does not know, kept as they came.
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


def merge(current: DeviceSettings, changes: Mapping[str, Any]) -> tuple[DeviceSettings, list[str]]:
    """Return ``current`` with the valid ones of ``changes``, and what was wrong with the others.

    `null` and missing keys leave the present value (contract section 4.1); unknown keys are kept, their texts harmless.

    Args:
        current: The settings in force.
        changes: Any subset of the settings, as JSON gave it; `Undecodable` where it could not be decoded.
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
    """Keep a setting of a newer cloud: harmless, since people are shown it, and not without bounds."""
    name = sanitize(key)
    if len(key) > NAME_CHARACTERS_MAX:
        raise SettingInvalid(f"{name} is no setting: its name is longer than {NAME_CHARACTERS_MAX} characters")
    if name not in unknown and len(unknown) >= UNKNOWN_MAX:
        raise SettingInvalid(
            f"{name} is not kept: there are {UNKNOWN_MAX} settings already that this agent does not know"
        )
    unknown[name] = sanitize_value(value, characters_max=UNKNOWN_TEXT_CHARACTERS_MAX)


def check_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes that a person or a command asks for, valid as a whole, as JSON values.

    Raises:
        SettingInvalid: Nothing to change, an unknown key, or a value that is not allowed; all are named.
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

        # Asking for the one zone reads one file; listing them all reads 600 (22 ms). "Europe" is a directory: OSError;
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
