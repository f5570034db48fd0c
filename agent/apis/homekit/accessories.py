"""The accessories of HomeKit: a bridge, and a thermostat for each zone. Shapes of HAP-python; decide nothing.

The ids of services and characteristics are fixed, so that another one more or less moves none: automations of the Home
app hang on them.
"""

from collections.abc import Callable, Mapping

from pyhap.accessory import Accessory, Bridge
from pyhap.accessory_driver import AccessoryDriver
from pyhap.characteristic import Characteristic
from pyhap.const import CATEGORY_THERMOSTAT
from pyhap.iid_manager import IIDManager
from pyhap.service import Service

from agent import __version__
from agent.apis.homekit import translation
from agent.apis.homekit.pairing_record import ZoneRecord
from agent.climate.model import SETPOINT_C_MAX, SETPOINT_C_MIN
from agent.home.thermostat import Thermostat

MANUFACTURER = "climahub"

_IIDS = (
    "AccessoryInformation",
    "Identify",
    "Manufacturer",
    "Model",
    "Name",
    "SerialNumber",
    "FirmwareRevision",
    "HAPProtocolInformation",
    "Version",
    "Thermostat",
    translation.CURRENT_STATE,
    translation.TARGET_STATE,
    translation.CURRENT_TEMPERATURE,
    translation.TARGET_TEMPERATURE,
    translation.UNITS,
    translation.HEATING_THRESHOLD,
    translation.COOLING_THRESHOLD,
    translation.HUMIDITY,
)
"""The instance id of each is its place here, from 1. Never move one: add at the end."""

_SETPOINT_RANGE = {"minValue": SETPOINT_C_MIN, "maxValue": SETPOINT_C_MAX}

Writer = Callable[[str, Mapping[str, float]], None]
"""Carries out what a controller has written: the zone, and values by the name of the characteristic."""


class FixedIds(IIDManager):
    """Gives every service and characteristic of an accessory its fixed id."""

    def get_iid_for_obj(self, obj: Service | Characteristic) -> int:
        """Return the id of a service or characteristic."""
        return _IIDS.index(obj.display_name) + 1


class ZoneAccessory(Accessory):
    """A zone.

    Attributes:
        zone_id: Which.
    """

    category = CATEGORY_THERMOSTAT

    def __init__(self, driver: AccessoryDriver, found: Thermostat, record: ZoneRecord, write: Writer) -> None:
        """Build the accessory of a zone.

        Args:
            driver: Of HAP-python.
            found: The zone.
            record: What must stay the same of it.
            write: Is given what controllers write; raises `ClimahubError` where it cannot be.
        """
        super().__init__(driver, found.name, aid=record.number, iid_manager=FixedIds())
        self.zone_id = found.zone_id
        self._is_online = True
        self.set_info_service(__version__, MANUFACTURER, "zone", found.zone_id)
        further = []
        if found.can_heat and found.can_cool:
            further += [translation.HEATING_THRESHOLD, translation.COOLING_THRESHOLD]
        if record.has_humidity:
            further.append(translation.HUMIDITY)
        service = self.add_preload_service("Thermostat", further)
        states = {mode.value: translation.TARGET_STATES[mode] for mode in translation.offered_modes(found)}
        # Siri asks for `auto` whatever is listed here; `translation` finds what is meant.
        service.configure_char(translation.TARGET_STATE, valid_values=states).allow_invalid_client_values = True
        for name in (translation.TARGET_TEMPERATURE, *further):
            if name != translation.HUMIDITY:
                service.configure_char(name, properties=dict(_SETPOINT_RANGE))
        service.setter_callback = lambda written: write(self.zone_id, written)
        self._service = service
        self.show(found, is_fahrenheit=record.is_fahrenheit)

    @property
    def available(self) -> bool:
        """Whether the zone can be reached; the app says so of one that cannot."""
        return self._is_online

    def show(self, found: Thermostat, *, is_fahrenheit: bool) -> None:
        """Show the state of the zone; controllers receive what has changed."""
        self._is_online = found.is_online
        values = {**translation.values_of(found), translation.UNITS: int(is_fahrenheit)}
        for char in self._service.characteristics:
            if char.display_name in values:
                char.set_value(values[char.display_name])


def build_bridge(driver: AccessoryDriver, name: str, serial: str) -> Bridge:
    """Return the bridge without zones."""
    bridge = Bridge(driver, name, iid_manager=FixedIds())
    bridge.set_info_service(__version__, MANUFACTURER, "hub", serial)
    return bridge
