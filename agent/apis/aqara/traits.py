"""The traits that this hub offers, from the published tables: form, range, flags, and how values are read. Pure.

Codes, types and units are those of the Studio trait table; `CurrentTemperature` is missing there and comes from the
data model. Must know nothing of zones and sensors.
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from agent.apis.aqara.assumptions import SETPOINT_STEP_K
from agent.apis.aqara.wire import Parameter, SupportedValue
from agent.climate.model import SETPOINT_C_MAX, SETPOINT_C_MIN
from agent.foundation.text import quote


class TraitType(StrEnum):
    """The form of a value."""

    BOOL = "Bool"
    FLOAT = "Float"
    INTEGER = "Integer"
    STRING = "String"
    ENUM = "Enum"


class ValueInvalid(Exception):
    """A value that a trait cannot have; the message says what it can."""


class TraitForm(msgspec.Struct, frozen=True):
    """One trait.

    Attributes:
        function: The code of the function that it belongs to.
        code: Its own.
        type: The form of its value.
        unit: Of a number.
        min: The least number.
        max: The greatest number.
        step: Between two numbers; others are accepted.
        choices: The values of an enum, each with its name.
        is_writable: It can be set.
    """

    function: str
    code: str
    type: TraitType
    unit: str = ""
    min: float | None = None
    max: float | None = None
    step: float | None = None
    choices: Mapping[str, str] = MappingProxyType({})
    is_writable: bool = False

    @property
    def parameter(self) -> Parameter:
        """The same on the wire."""
        values = tuple(SupportedValue(name, value) for value, name in self.choices.items())
        return Parameter(
            self.type.value, True, self.is_writable, True, self.min, self.max, self.step, self.unit, values
        )


TEMPERATURE = TraitForm("Temperature", "CurrentTemperature", TraitType.FLOAT, "℃", -50, 100, 0.01)
HUMIDITY = TraitForm("RelativeHumidity", "CurrentHumidity", TraitType.FLOAT, "%", 0, 100, 1)
PRESSURE = TraitForm("Pressure", "CurrentPressure", TraitType.FLOAT, "kPa", 30, 120, 0.01)
AIR_QUALITY = TraitForm(
    "AirQuality",
    "AirQuality",
    TraitType.ENUM,
    choices=MappingProxyType(
        {"0": "Unknown", "1": "Excellent", "2": "Good", "3": "Fair", "4": "Inferior", "5": "Poor"}
    ),
)
BATTERY = TraitForm("PowerSource", "BatPercentRemaining", TraitType.FLOAT, "%", 0, 100, 1)
REACHABLE = TraitForm("BasicInformation", "Reachable", TraitType.BOOL)
FIRMWARE = TraitForm("BasicInformation", "FirmwareRevision", TraitType.STRING)
ON_OFF = TraitForm("Output", "OnOff", TraitType.BOOL, is_writable=True)
ZONE_TEMPERATURE = msgspec.structs.replace(TEMPERATURE, function="HeaterCooler")
ZONE_HUMIDITY = msgspec.structs.replace(HUMIDITY, function="HeaterCooler")
MODE = TraitForm(
    "HeaterCooler",
    "HeaterCoolerMode",
    TraitType.ENUM,
    choices=MappingProxyType({"0": "Cool", "1": "Heat", "2": "Auto", "12": "Off"}),
    is_writable=True,
)
HEATING = TraitForm(
    "HeaterCooler",
    "HeatingTemperature",
    TraitType.FLOAT,
    "℃",
    SETPOINT_C_MIN,
    SETPOINT_C_MAX,
    SETPOINT_STEP_K,
    is_writable=True,
)
COOLING = msgspec.structs.replace(HEATING, code="CoolingTemperature")
DEADBAND = TraitForm("HeaterCooler", "MinHeatCoolDeadBand", TraitType.FLOAT, "℃", 0, 2.5, 0.1)
FROST = TraitForm("HeaterCooler", "AntiFreezeTemperature", TraitType.FLOAT, "℃", 4, 15, 0.5)

_TRUE = ("true", "1")
_FALSE = ("false", "0")


def read_value(form: TraitForm, value: object) -> bool | float | str:
    """Return a value that somebody sent, in the documented form of its trait.

    Numbers are accepted for the texts of an enum, and texts and 0 or 1 for a boolean: clients in the field send both.

    Raises:
        ValueInvalid: The trait cannot have this value.
    """
    match form.type:
        case TraitType.BOOL:
            return _read_bool(form, value)
        case TraitType.ENUM:
            return _read_enum(form, value)
        case TraitType.FLOAT | TraitType.INTEGER:
            return _read_number(form, value)
        case _:
            if isinstance(value, str):
                return value
            raise ValueInvalid(f"send a text for {form.code}, not {quote(value)}")


def _as_text(value: object) -> str:
    """Return the text of a boolean, a number or a text; a number without a fraction has none in its text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() if isinstance(value, int | float | str) else ""


def _read_bool(form: TraitForm, value: object) -> bool:
    text = _as_text(value).lower()
    if text not in _TRUE + _FALSE:
        raise ValueInvalid(f"send true or false for {form.code}, not {quote(value)}")
    return text in _TRUE


def _read_enum(form: TraitForm, value: object) -> str:
    text = "" if isinstance(value, bool) else _as_text(value)
    if text not in form.choices:
        known = ", ".join(f'"{choice}" ({name})' for choice, name in form.choices.items())
        raise ValueInvalid(f"send one of {known} for {form.code}, not {quote(value)}")
    return text


def _read_number(form: TraitForm, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueInvalid(f"send a number for {form.code}, not {quote(value)}")
    least, most = (-math.inf if form.min is None else form.min), (math.inf if form.max is None else form.max)
    if not least <= value <= most:
        raise ValueInvalid(f"send {least:g} to {most:g} {form.unit} for {form.code}, not {quote(value)}")
    return float(value)
