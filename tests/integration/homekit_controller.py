"""A foreign controller of HomeKit, aiohomekit, against a hub on 127.0.0.1: no discovery, everything else as it is."""

import types
from typing import Any, cast

from aiohomekit.characteristic_cache import CharacteristicCacheMemory
from aiohomekit.controller.ip.controller import IpController
from aiohomekit.controller.ip.discovery import IpDiscovery
from aiohomekit.controller.ip.pairing import IpPairing
from aiohomekit.model import Categories
from aiohomekit.model.feature_flags import FeatureFlags
from aiohomekit.model.status_flags import StatusFlags
from aiohomekit.uuid import normalize_uuid
from aiohomekit.zeroconf import HomeKitService
from zeroconf.asyncio import AsyncZeroconf

TYPES = {
    "current_state": "0F",
    "target_state": "33",
    "temperature": "11",
    "target": "35",
    "units": "36",
    "heating": "12",
    "cooling": "0D",
    "humidity": "10",
    "serial": "30",
}
"""Of characteristics (HomeKit Accessory Protocol, R2, chapter 9)."""


def controller() -> IpController:
    """Return a controller that discovers nothing."""
    return IpController(CharacteristicCacheMemory(), cast("AsyncZeroconf", types.SimpleNamespace(zeroconf=None)))


def discovery(found: IpController, details: dict[str, str], port: int) -> IpDiscovery:
    """Return a hub as the announcement tells of it."""
    description = HomeKitService(
        name="climahub",
        id=details["id"].lower(),
        model=details["md"],
        feature_flags=FeatureFlags(int(details["ff"])),
        status_flags=StatusFlags(int(details["sf"])),
        config_num=int(details["c#"]),
        state_num=int(details["s#"]),
        category=Categories(int(details["ci"])),
        protocol_version=details["pv"],
        type="_hap._tcp.local.",
        address="127.0.0.1",
        addresses=["127.0.0.1"],
        port=port,
    )
    return IpDiscovery(found, description)


async def places(pairing: IpPairing) -> dict[str, dict[str, tuple[int, int]]]:
    """Return where each characteristic is, by zone and the names above."""
    names = {normalize_uuid(short): name for name, short in TYPES.items()}
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for accessory in await pairing.list_accessories_and_characteristics():
        here: dict[str, Any] = {}
        serial = ""
        for service in accessory["services"]:
            for each in service["characteristics"]:
                if name := names.get(each["type"]):
                    here[name] = accessory["aid"], each["iid"]
                    if name == "serial":
                        serial = each["value"]
        found[serial] = here
    return found


async def read(pairing: IpPairing, place: tuple[int, int]) -> Any:  # noqa: ANN401 - whatever the hub answers
    """Return a value."""
    return (await pairing.get_characteristics([place]))[place]["value"]
