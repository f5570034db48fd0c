"""The sensor models that can be emulated: endpoints, clusters, attributes, quantities, and vendor dialects.

Cluster and attribute numbers: Zigbee Cluster Library, chapters 3 to 8. The dialects: `lab.ncp.dialects`. Pure.
"""

import math
from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType

import msgspec

from lab.ncp.zcl import DataType, Value

HOME_AUTOMATION = 0x0104

BASIC = 0x0000
POWER = 0x0001
IDENTIFY = 0x0003
GROUPS = 0x0004
SCENES = 0x0005
ON_OFF = 0x0006
TIME = 0x000A
OTA = 0x0019
THERMOSTAT = 0x0201
ILLUMINANCE = 0x0400
TEMPERATURE = 0x0402
PRESSURE = 0x0403
HUMIDITY = 0x0405
OCCUPANCY = 0x0406
ELECTRICAL_MEASUREMENT = 0x0B04
CARBON_DIOXIDE = 0x040D
FINE_DUST = 0x042A
IAS_ZONE = 0x0500
TUYA = 0xEF00
IKEA_VOC = 0xFC7E


class DeviceRole(Enum):
    """The role of a device in the network."""

    ROUTER = "router"
    SLEEPY = "sleepy"


class VendorDialect(Enum):
    """The vendor protocol of a device that leaves the standard."""

    NONE = "none"
    AQARA = "aqara"
    TUYA = "tuya"


class AttributeModel(msgspec.Struct, frozen=True):
    """One attribute and the value it leaves the factory with."""

    id: int
    kind: DataType
    value: Value
    is_reportable: bool = False
    is_writable: bool = False
    manufacturer: int | None = None


class ClusterModel(msgspec.Struct, frozen=True):
    """A server cluster."""

    id: int
    attributes: tuple[AttributeModel, ...] = ()


class EndpointModel(msgspec.Struct, frozen=True):
    """An application on a device."""

    id: int
    device_id: int
    servers: tuple[ClusterModel, ...]
    clients: tuple[int, ...] = ()


class DeviceModel(msgspec.Struct, frozen=True, kw_only=True):
    """A product.

    Attributes:
        oui: The first three bytes of its EUI-64s, as text.
        is_regulator: Its valves follow their setpoints.
        ignores_commands: It accepts commands and does nothing.
    """

    manufacturer: str
    name: str
    manufacturer_code: int
    oui: str
    role: DeviceRole
    endpoints: tuple[EndpointModel, ...]
    dialect: VendorDialect = VendorDialect.NONE
    is_regulator: bool = False
    ignores_commands: bool = False


def _same(value: float) -> float:
    return value


def _hundredths(value: float) -> float:
    return round(value * 100)


def _halves(value: float) -> float:
    return round(value * 2)


def tenths(value: float) -> float:
    """Return a value in tenths."""
    return round(value * 10)


def _illuminance(lux: float) -> float:
    """Return 10,000 log10(lux) + 1, and 0 for a light too low to be measured (section 4.2.2.2.1)."""
    return round(10_000 * math.log10(lux)) + 1 if lux >= 1 else 0


def _fraction(parts_per_million: float) -> float:
    return parts_per_million * 1e-6


class Quantity(msgspec.Struct, frozen=True):
    """Where a quantity lives, and how it is written there."""

    cluster: int
    attribute: int
    to_wire: Callable[[float], float]


QUANTITIES: Mapping[str, Quantity] = MappingProxyType(
    {
        "temperature_c": Quantity(TEMPERATURE, 0x0000, _hundredths),
        "humidity_percent": Quantity(HUMIDITY, 0x0000, _hundredths),
        "pressure_hpa": Quantity(PRESSURE, 0x0000, round),
        "illuminance_lux": Quantity(ILLUMINANCE, 0x0000, _illuminance),
        "occupancy": Quantity(OCCUPANCY, 0x0000, _same),
        "contact": Quantity(IAS_ZONE, 0x0002, _same),
        "battery_percent": Quantity(POWER, 0x0021, _halves),
        "battery_volt": Quantity(POWER, 0x0020, tenths),
        "carbon_dioxide_ppm": Quantity(CARBON_DIOXIDE, 0x0000, _fraction),
        "fine_dust_ug_m3": Quantity(FINE_DUST, 0x0000, _same),
        "voc_index": Quantity(IKEA_VOC, 0x0000, _same),
        "power_w": Quantity(ELECTRICAL_MEASUREMENT, 0x050B, tenths),
        "on_off": Quantity(ON_OFF, 0x0000, _same),
        "room_temperature_c": Quantity(THERMOSTAT, 0x0000, _hundredths),
        "heat_setpoint_c": Quantity(THERMOSTAT, 0x0012, _hundredths),
        "valve_percent": Quantity(THERMOSTAT, 0x0008, round),
    }
)
"""What a device file and the control socket can set. Contact and occupancy: 1 is open or occupied."""

_TEMPERATURE = ClusterModel(
    TEMPERATURE,
    (
        AttributeModel(0x0000, DataType.INT16, 2100, is_reportable=True),
        AttributeModel(0x0001, DataType.INT16, -4000),
        AttributeModel(0x0002, DataType.INT16, 8500),
    ),
)
_HUMIDITY = ClusterModel(HUMIDITY, (AttributeModel(0x0000, DataType.UINT16, 4500, is_reportable=True),))
_PRESSURE = ClusterModel(PRESSURE, (AttributeModel(0x0000, DataType.INT16, 1013, is_reportable=True),))
_ILLUMINANCE = ClusterModel(ILLUMINANCE, (AttributeModel(0x0000, DataType.UINT16, 20001, is_reportable=True),))
_OCCUPANCY = ClusterModel(OCCUPANCY, (AttributeModel(0x0000, DataType.MAP8, 0, is_reportable=True),))
_IDENTIFY = ClusterModel(IDENTIFY, (AttributeModel(0x0000, DataType.UINT16, 0, is_writable=True),))
_BATTERY = ClusterModel(
    POWER,
    (
        AttributeModel(0x0020, DataType.UINT8, 30, is_reportable=True),
        AttributeModel(0x0021, DataType.UINT8, 200, is_reportable=True),
    ),
)


def _contact(zone_type: int) -> ClusterModel:
    return ClusterModel(
        IAS_ZONE,
        (
            AttributeModel(0x0000, DataType.ENUM8, 0),
            AttributeModel(0x0001, DataType.ENUM16, zone_type),
            AttributeModel(0x0002, DataType.MAP16, 0),
            AttributeModel(0x0010, DataType.EUI64, 0, is_writable=True),
            AttributeModel(0x0011, DataType.UINT8, 0xFF),
        ),
    )


def _basic(manufacturer: str, name: str, power_source: int) -> ClusterModel:
    return ClusterModel(
        BASIC,
        (
            AttributeModel(0x0000, DataType.UINT8, 8),
            AttributeModel(0x0001, DataType.UINT8, 1),
            AttributeModel(0x0004, DataType.TEXT, manufacturer),
            AttributeModel(0x0005, DataType.TEXT, name),
            AttributeModel(0x0007, DataType.ENUM8, power_source),
            AttributeModel(0x4000, DataType.TEXT, "1.0.0"),
        ),
    )


_MAINS = 0x01
_BATTERY_POWERED = 0x03
_HOUSE_MANUFACTURER = "climahub"
_HOUSE_CODE = 0x1234
_HOUSE_OUI = "00:0d:6f"


def _sensor(name: str, device_id: int, *clusters: ClusterModel) -> DeviceModel:
    basic = _basic(_HOUSE_MANUFACTURER, name, _BATTERY_POWERED)
    return DeviceModel(
        manufacturer=_HOUSE_MANUFACTURER,
        name=name,
        manufacturer_code=_HOUSE_CODE,
        oui=_HOUSE_OUI,
        role=DeviceRole.SLEEPY,
        endpoints=(EndpointModel(1, device_id, (basic, _BATTERY, _IDENTIFY, *clusters), (OTA,)),),
    )


_ZONE_CONTACT = 0x0015
_SENSOR = 0x0302
_ZONE = 0x0402

_AIR_MANUFACTURER = "IKEA of Sweden"
_AIR = DeviceModel(
    manufacturer=_AIR_MANUFACTURER,
    name="VINDSTYRKA",
    manufacturer_code=0x117C,
    oui="68:0a:e2",
    role=DeviceRole.ROUTER,
    endpoints=(
        EndpointModel(
            1,
            _SENSOR,
            (
                _basic(_AIR_MANUFACTURER, "VINDSTYRKA", _MAINS),
                _IDENTIFY,
                _TEMPERATURE,
                _HUMIDITY,
                ClusterModel(CARBON_DIOXIDE, (AttributeModel(0x0000, DataType.SINGLE, 0.0006, is_reportable=True),)),
                ClusterModel(FINE_DUST, (AttributeModel(0x0000, DataType.SINGLE, 4.0, is_reportable=True),)),
                ClusterModel(
                    IKEA_VOC, (AttributeModel(0x0000, DataType.SINGLE, 100.0, is_reportable=True, manufacturer=0x117C),)
                ),
            ),
            (OTA,),
        ),
    ),
)
_ON_OFF_STATE = AttributeModel(0x0000, DataType.BOOL, 0, is_reportable=True)
_OFF_TIMER = (
    AttributeModel(0x4001, DataType.UINT16, 0, is_writable=True),
    AttributeModel(0x4002, DataType.UINT16, 0, is_writable=True),
)


_METER = ClusterModel(
    ELECTRICAL_MEASUREMENT,
    (
        AttributeModel(0x050B, DataType.INT16, 0, is_reportable=True),
        AttributeModel(0x0604, DataType.UINT16, 1),
        AttributeModel(0x0605, DataType.UINT16, 10),
    ),
)


def _plug(*timer: AttributeModel, meters: tuple[ClusterModel, ...] = ()) -> DeviceModel:
    return DeviceModel(
        manufacturer=_HOUSE_MANUFACTURER,
        name="plug",
        manufacturer_code=_HOUSE_CODE,
        oui=_HOUSE_OUI,
        role=DeviceRole.ROUTER,
        endpoints=(
            EndpointModel(
                1,
                0x0051,
                (
                    _basic(_HOUSE_MANUFACTURER, "plug", _MAINS),
                    _IDENTIFY,
                    ClusterModel(GROUPS),
                    ClusterModel(ON_OFF, (_ON_OFF_STATE, *timer)),
                    *meters,
                ),
                (OTA,),
            ),
        ),
    )


_TRV = _sensor(
    "trv",
    0x0301,
    ClusterModel(
        THERMOSTAT,
        (
            AttributeModel(0x0000, DataType.INT16, 2000, is_reportable=True),
            AttributeModel(0x0008, DataType.UINT8, 0, is_reportable=True),
            AttributeModel(0x0012, DataType.INT16, 2000, is_reportable=True, is_writable=True),
            AttributeModel(0x001B, DataType.ENUM8, 0x02),
            AttributeModel(0x001C, DataType.ENUM8, 0x04, is_reportable=True, is_writable=True),
        ),
    ),
)
_VALVE_MANUFACTURER, _VALVE_CODE = "Danfoss", 0x1246
_VALVE = DeviceModel(
    manufacturer=_VALVE_MANUFACTURER,
    name="eTRV0103",
    manufacturer_code=_VALVE_CODE,
    oui="cc:cc:cc",
    role=DeviceRole.SLEEPY,
    endpoints=(
        EndpointModel(
            1,
            0x0301,
            (
                _basic(_VALVE_MANUFACTURER, "eTRV0103", _BATTERY_POWERED),
                _BATTERY,
                _IDENTIFY,
                ClusterModel(
                    THERMOSTAT,
                    (
                        AttributeModel(0x0000, DataType.INT16, 2000, is_reportable=True),
                        AttributeModel(0x0008, DataType.UINT8, 0, is_reportable=True),
                        AttributeModel(0x0012, DataType.INT16, 2000, is_reportable=True, is_writable=True),
                        AttributeModel(0x0015, DataType.INT16, 500),
                        AttributeModel(0x0016, DataType.INT16, 2800),
                        AttributeModel(0x4015, DataType.INT16, -8000, is_writable=True, manufacturer=_VALVE_CODE),
                    ),
                ),
            ),
            (OTA,),
        ),
    ),
    is_regulator=True,
)
_AQARA = DeviceModel(
    manufacturer="LUMI",
    name="lumi.weather",
    manufacturer_code=0x1037,
    oui="00:15:8d",
    role=DeviceRole.SLEEPY,
    endpoints=(
        EndpointModel(
            1, 0x5F01, (_basic("LUMI", "lumi.weather", _BATTERY_POWERED), _TEMPERATURE, _PRESSURE, _HUMIDITY)
        ),
    ),
    dialect=VendorDialect.AQARA,
)
_TUYA = DeviceModel(
    manufacturer="_TZE200_bjawzodf",
    name="TS0601",
    manufacturer_code=0x1002,
    oui="a4:c1:38",
    role=DeviceRole.SLEEPY,
    endpoints=(
        EndpointModel(
            1,
            0x0051,
            (
                _basic("_TZE200_bjawzodf", "TS0601", _BATTERY_POWERED),
                ClusterModel(GROUPS),
                ClusterModel(SCENES),
                ClusterModel(TUYA),
            ),
            (TIME, OTA),
        ),
    ),
    dialect=VendorDialect.TUYA,
)

MODELS: Mapping[str, DeviceModel] = MappingProxyType(
    {
        "temperature": _sensor("temperature", _SENSOR, _TEMPERATURE),
        "climate": _sensor("climate", _SENSOR, _TEMPERATURE, _HUMIDITY),
        "weather": _sensor("weather", _SENSOR, _TEMPERATURE, _HUMIDITY, _PRESSURE),
        "illuminance": _sensor("illuminance", 0x0106, _ILLUMINANCE),
        "contact": _sensor("contact", _ZONE, _contact(_ZONE_CONTACT)),
        "occupancy": _sensor("occupancy", 0x0107, _OCCUPANCY, _ILLUMINANCE),
        "air": _AIR,
        "router": _plug(),
        "plug": _plug(*_OFF_TIMER),
        "metering_plug": _plug(*_OFF_TIMER, meters=(_METER,)),
        "trv": _TRV,
        "valve": _VALVE,
        "aqara_weather": _AQARA,
        "tuya_climate": _TUYA,
    }
)
"""By the names that a device file uses."""
