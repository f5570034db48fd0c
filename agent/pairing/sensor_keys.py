"""Matches the keys of `relayed_sensors.sensor_keys_file` with sensors. Pure. Must never show a key."""

import re
from collections.abc import Iterable, Mapping

from agent.pairing.lifecycle import PairingRecord

_IEEE = re.compile(r"(?:0x)?([0-9a-f]{16})")
_SEPARATORS = str.maketrans("", "", ":-. ")


def canonical(label: str) -> str:
    """Return a device, IEEE address or name in the one spelling by which two of them are compared.

    An address may be written in capitals, with or without `0x`, with colons or dashes; a name in any case.
    """
    text = " ".join(label.split()).casefold()
    address = _IEEE.fullmatch(text.translate(_SEPARATORS))
    return f"0x{address[1]}" if address else text


class SensorKeys:
    """Finds the key of a sensor by its device, its IEEE address, or what people call it."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        """Take the keys by what the file calls their sensors."""
        self._keys = keys

    def key_of(self, record: PairingRecord, *, network_name: str = "") -> str:
        """Return the key that the file has for a sensor; empty where it has none.

        Args:
            record: The sensor.
            network_name: What the network calls it: counts while no person has named it.
        """
        for label in (record.device, record.ieee_address):
            if label and label in self._keys:
                return self._keys[label]
        by_label = {canonical(label): key for label, key in self._keys.items()}
        return next((by_label[label] for label in _labels(record, network_name) if label in by_label), "")

    def unmatched(self, records: Iterable[PairingRecord], network_names: Mapping[str, str]) -> list[str]:
        """Return what the file calls sensors of which none is known, removed ones included.

        Args:
            records: All sensors that are or were paired.
            network_names: What the network calls its sensors, by device.
        """
        known = {canonical(label) for pair in network_names.items() for label in pair}
        for record in records:
            known.update(_labels(record, network_names.get(record.device, "")))
        return [label for label in self._keys if canonical(label) not in known]


def _labels(record: PairingRecord, network_name: str) -> list[str]:
    return [canonical(label) for label in (record.device, record.ieee_address, record.name or network_name) if label]
