"""Advances the frame counters of a Zigbee network that is restored from an old backup. Pure.

A sensor drops a frame whose counter it has seen, as a replay, and a key must never be used twice with one counter
(Zigbee specification, 4.3.1.2: security nonce). The hub went on sending after the backup was made, so its counters are
advanced by more than it can have sent since. The radio adds its own step when it writes the network to a stick.
"""

import json
from collections.abc import Mapping
from typing import Any

from agent.backup.errors import BackupRefused
from agent.foundation.durable_file import add_checksum, strip_checksum

FRAMES_A_DAY_MAX = 10 * 86_400
"""Ten frames a second, all day: a coordinator of 100 sensors sends less than one."""

COUNTER_MAX = 0xFF00_0000
"""Of 32 bits. The rest is for the hub's own use, and for the radio's step of 5,000,000 at each change of the stick."""

SPARE_DAYS = 2
"""The network's own backup inside is up to a day old; and a second restoration on the same day must not begin again
where the first one began."""


def advance(content: bytes, age_days: int) -> bytes:
    """Return the network's file with the counters of its last backup advanced.

    Args:
        content: `zigbee-network.json`, with or without its checksum.
        age_days: Time since it was stored, rounded up.

    Raises:
        BackupRefused: The counters would come to their end.
    """
    network: dict[str, Any] = json.loads(strip_checksum(content))
    if not network.get("backups"):
        return content
    frames = (age_days + SPARE_DAYS) * FRAMES_A_DAY_MAX
    last = network["backups"][-1]
    _add(last["network_key"], "frame_counter", frames)
    internal = last.get("metadata", {}).get("internal", {})
    _add(internal.get("network", {}).get("tc_link_key", {}), "frame_counter", frames)
    for device in last.get("devices", ()):
        _add(device.get("link_key", {}), "tx_counter", frames)
    # Older backups inside have older counters: nobody may fall back on them.
    network["backups"] = [last]
    return add_checksum(json.dumps(network).encode())


def _add(key: Mapping[str, Any], name: str, frames: int) -> None:
    if name not in key or not isinstance(key, dict):
        return
    advanced = (key[name] or 0) + frames
    if advanced > COUNTER_MAX:
        raise BackupRefused(
            "restore a newer backup, or form a new network: this one is so old that the frame counter of its Zigbee"
            " network would come to its end"
        )
    key[name] = advanced
