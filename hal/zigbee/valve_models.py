"""Radiator valves that take the temperature of the room from outside, and plugs whose timer is no timer: tables. Pure.

Manufacturer attributes stand in this file only, each with its origin. None was tried on hardware.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from hal.zigbee.zcl import THERMOSTAT

CENTIDEGREES = 100


class ExternalTemperature(msgspec.Struct, frozen=True):
    """Where a valve takes the temperature of its room: a signed 16-bit number of hundredths of a degree.

    Attributes:
        cluster: The cluster.
        attribute: The attribute.
        manufacturer: Manufacturer code of the write; `None` for none.
        interval_s: It is written this often. The valve returns to its own thermometer some time after the last write.
        switch: An 8-bit attribute that has to be 1 for the valve to use it; `None` without one.
    """

    cluster: int
    attribute: int
    manufacturer: int | None
    interval_s: float
    switch: int | None = None


_DANFOSS = ExternalTemperature(THERMOSTAT, 0x4015, 0x1246, 1800.0)
"""zha-device-handlers, danfoss/thermostat.py. At most each 30 min, at least each 3 h, or each 30 min where the radiator
is covered; the valve ends it by itself after 3 h or 35 min (zigbee2mqtt.io, pull request 1774, after Danfoss)."""

_SONOFF = ExternalTemperature(0xFC11, 0x600D, None, 1800.0, switch=0x600E)
"""zha-device-handlers, sonoff/trvzb.py; firmware 1.2.1 or newer. The valve returns to its own thermometer after an hour
or two (better_thermostat, issues 1962 and 2267)."""

_BOSCH = ExternalTemperature(THERMOSTAT, 0x4040, 0x1209, 900.0)
"""zigbee-herdsman-converters, bosch: `remoteTemperature`. When the valve ends it is not known."""

_BY_MODEL: Mapping[tuple[str, str], ExternalTemperature] = MappingProxyType(
    {
        ("danfoss", "etrv0100"): _DANFOSS,
        ("danfoss", "etrv0101"): _DANFOSS,
        ("danfoss", "etrv0103"): _DANFOSS,
        ("danfoss", "etrv0120"): _DANFOSS,
        ("danfoss", "trv001"): _DANFOSS,
        ("danfoss", "trv003"): _DANFOSS,
        ("d5x84yu", "et093wro"): _DANFOSS,
        ("d5x84yu", "et093wrg"): _DANFOSS,
        ("sonoff", "trvzb"): _SONOFF,
        ("bosch", "rbsh-trv0-zb-eu"): _BOSCH,
    }
)
"""By manufacturer and model as the valve reports them, in lower case."""


def external_temperature(manufacturer: str, model: str) -> ExternalTemperature | None:
    """Return where a valve takes the temperature of its room; `None` if it does not, or is not known."""
    return _BY_MODEL.get((manufacturer.strip().lower(), model.strip().lower()))


_TOGGLES_LATER = ("_tz", "_ty")
"""Tuya's plugs and relays take "On with timed off" for a countdown in seconds after which they toggle: it would switch
them on when the hub is gone (zigbee2mqtt, issue 22182; zigbee-herdsman-converters, pull request 2041)."""


def may_have_timer(manufacturer: str) -> bool:
    """Return whether "On with timed off" may be sent to a plug: only where it can do nothing else than switch off."""
    return not manufacturer.strip().lower().startswith(_TOGGLES_LATER)
