"""Which files of the state directory belong to a backup, and why the others do not. Pure tables.

Every file that the agent stores stands in exactly one of them (a test compares with the support bundle's list).
"""

from collections.abc import Mapping
from types import MappingProxyType

FILES = frozenset(
    {
        "actions-history.log",
        "actions.json",
        "air_baseline.json",
        "api-clients.json",
        "aqara-sensors.json",
        "aurra-facts-settings.json",
        "aurra-home-keys.json",
        "aurra-home-readings.json",
        "aurra-home.json",
        "certificate.json",
        "climate.json",
        "commissioning.json",
        "config-changes.json",
        "credentials.json",
        "homekit.json",
        "keyring.json",
        "machines.json",
        "maintenance-alerts.json",
        "maintenance.json",
        "primary_sensors.json",
        "relayed.json",
        "sensors.json",
        "settings.json",
        "spaces.json",
        "webhooks.json",
        "zigbee-network.json",
        "zigbee-sensors.json",
    }
)
"""Files that are written whole."""

DATABASES = frozenset({"audit.db", "facts.db", "zigbee.db"})
"""SQLite databases."""

LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {
        "outbox.db": "two hubs would send the same readings",
        "outbox.tally": "belongs to outbox.db",
        "commands.db": "a command would be carried out twice",
        "webhooks.db": "events would be delivered twice",
        "api-limits.json": "limits begin again",
        "amps-sandbox.json": "a playground of clients",
        "amps-sandbox-history.log": "a playground of clients",
        "update.json": "the release of the machine",
        "launcher.json": "the release of the machine",
        "starts.json": "the history of the machine",
        "boots.json": "the history of the machine",
        "simulated-boots.json": "the history of the machine",
        "reboots.json": "the history of the machine",
        "data-usage.json": "the history of the machine",
        "storage-writes.json": "the history of the machine",
        "key-machine.json": "the machine that the key was used on: who restores a backup has decided",
        "unprovisioned": "the keys that were given up on the machine",
        "zigbee-stick.json": "what the stick of the machine holds",
        "climahub.lock": "empty",
    }
)
"""By name, with the reason."""

STAYS = frozenset(
    {"update.json", "launcher.json", "starts.json", "boots.json", "unprovisioned", "zigbee-stick.json", "climahub.lock"}
)
"""Files of the machine that a restoration leaves where they are; everything else of another hub goes."""

ONLY_WHERE_MISSING = frozenset({"keyring.json"})
"""A machine that has one may know of more revoked keys than the backup."""

NETWORK_FILE = "zigbee-network.json"

COMMANDS_MARKER = "commands.made"
"""Written by a restoration: the journal of commands then refuses what the old hub may have carried out."""
