"""What HomeKit remembers of this hub: its key, who is paired, and the number of each zone. Pure.

`homekit.json` holds these types: the names of their fields are stored data. The key never leaves the hub.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from agent.foundation.secret_hash import RandomBytes

FILE_NAME = "homekit.json"
FILE_BYTES_MAX = 64 * 1024
"""Sixteen controllers and 256 zones take 30 KiB."""

CONTROLLERS_MAX = 16
"""As many as an accessory has to take (HomeKit Accessory Protocol, R2, 5.11)."""

ZONES_MAX = 64
"""Zones that are remembered, those of earlier configurations included; the ones longest gone make room."""

CONFIGURATION_MAX = 65_535
"""After it the number of the configuration begins again (HomeKit Accessory Protocol, R2, table 6-7)."""

BRIDGE_NUMBER = 1
KEY_BYTES = 32
_ID_BYTES = 6


class Controller(msgspec.Struct, frozen=True):
    """A device that is paired, such as a phone.

    Attributes:
        id: As it named itself.
        public_key: In hex.
        is_admin: It may pair and unpair others.
    """

    id: str
    public_key: str
    is_admin: bool


class ZoneRecord(msgspec.Struct, frozen=True):
    """What must stay the same of a zone, since rooms and automations of the Home app hang on it.

    Attributes:
        number: Its accessory id; never given to another zone.
        has_humidity: One of its sensors measures humidity, or did.
        is_fahrenheit: What a person has chosen for the display.
    """

    number: int
    has_humidity: bool = False
    is_fahrenheit: bool = False


class PairingRecord(msgspec.Struct, frozen=True):
    """The content of the file.

    Attributes:
        accessory_id: Names the hub, as six bytes in hex with colons; empty before it is made.
        private_key: Of Ed25519, in hex. A secret.
        controllers: Who is paired.
        configuration: Counts changes of what the hub offers, so that controllers read it again.
        configuration_hash: Of what the hub offered last.
        zones: By id.
        next_number: For the next new zone.
    """

    accessory_id: str = ""
    private_key: str = ""
    controllers: tuple[Controller, ...] = ()
    configuration: int = 1
    configuration_hash: str = ""
    zones: dict[str, ZoneRecord] = {}
    next_number: int = BRIDGE_NUMBER + 1

    def __repr__(self) -> str:
        """Return everything but the key."""
        return f"PairingRecord({self.accessory_id!r}, {len(self.controllers)} controllers)"


def with_identity(record: PairingRecord, random_bytes: RandomBytes) -> PairingRecord:
    """Return the record with an id and a key, which are made once, and without controllers that cannot be used."""
    controllers = tuple(each for each in record.controllers if _is_uuid(each.id) and _is_key(each.public_key))
    record = msgspec.structs.replace(record, controllers=controllers)
    if record.accessory_id and _is_key(record.private_key):
        return record
    # Controllers know the hub by its key: with another one they have to be paired again.
    return msgspec.structs.replace(
        record,
        accessory_id=random_bytes(_ID_BYTES).hex(":").upper(),
        private_key=random_bytes(KEY_BYTES).hex(),
        controllers=(),
    )


def _is_key(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == KEY_BYTES
    except ValueError:
        return False


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def with_zones(
    record: PairingRecord, has_humidity: Mapping[str, bool], is_fahrenheit: Mapping[str, bool]
) -> PairingRecord:
    """Return the record with every zone of the hub.

    Args:
        record: Before.
        has_humidity: Whether humidity is measured in each zone now. Once it was, it stays so.
        is_fahrenheit: What people have chosen since, by zone.
    """
    zones, next_number = dict(record.zones), record.next_number
    for zone_id, is_measured in has_humidity.items():
        # At the end: those that are gone make room first.
        found = zones.pop(zone_id, None)
        if found is None:
            found, next_number = ZoneRecord(next_number), next_number + 1
        zones[zone_id] = msgspec.structs.replace(
            found,
            has_humidity=found.has_humidity or is_measured,
            is_fahrenheit=is_fahrenheit.get(zone_id, found.is_fahrenheit),
        )
    kept = dict(list(zones.items())[-ZONES_MAX:])
    return msgspec.structs.replace(record, zones=kept, next_number=next_number)


def with_configuration(record: PairingRecord, found_hash: str) -> PairingRecord:
    """Return the record with the next number of the configuration, where what the hub offers has changed."""
    if found_hash == record.configuration_hash:
        return record
    number = record.configuration % CONFIGURATION_MAX + 1 if record.configuration_hash else record.configuration
    return msgspec.structs.replace(record, configuration=number, configuration_hash=found_hash)


def with_controllers(record: PairingRecord, controllers: Sequence[Controller]) -> PairingRecord:
    """Return the record with other controllers."""
    return msgspec.structs.replace(record, controllers=tuple(controllers))
