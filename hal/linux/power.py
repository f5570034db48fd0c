"""Mains and batteries, as the kernel's power supply class knows them. Finds and reads them; never sets a charge limit.

Facts: the kernel's Documentation/ABI/testing/sysfs-class-power: `type` is Mains, USB, Wireless, Battery or UPS; `scope`
is Device for what powers a peripheral (a mouse); `online` is 0 without power, 1 or 2 (programmable) with it; `capacity`
is in percent; `present` is 0 for an empty battery slot.
"""

from collections.abc import Sequence
from pathlib import Path

from hal.errors import HalError, SensorUnavailable
from hal.interface import SensorKind
from hal.linux.sysfs import Probe, directories, optional_text, read_integer

_EXTERNAL = ("Mains", "USB", "Wireless")
"""What brings power from outside, in the order of trust: a socket for USB power may also give it away."""

_BATTERIES = ("Battery", "UPS")


def find_power(sysfs_root: Path) -> list[Probe]:
    """Return a probe for the mains, where the machine knows of any, and one for each battery of its own.

    The hub has one mains (`power_supply/mains`): power is there if any of its supplies is online. Supplies over USB
    count only where there is no mains adapter. A battery is called `power_supply/<name>`, as its driver names it.
    """
    supplies = [
        (directory, optional_text(directory / "type"))
        for directory in directories(sysfs_root / "class" / "power_supply")
        if optional_text(directory / "scope") != "Device"
    ]
    probes = []
    for external in _EXTERNAL:
        online = [directory / "online" for directory, kind in supplies if kind == external]
        if online:
            probes.append(_mains(online))
            break
    return probes + [
        _battery(directory) for directory, kind in supplies if kind in _BATTERIES and (directory / "capacity").exists()
    ]


def _mains(online: Sequence[Path]) -> Probe:
    def read() -> float:
        failure: HalError | None = None
        for path in online:
            try:
                if read_integer(path):
                    return 1.0
            except HalError as error:
                failure = error
        if failure:
            # What cannot be read might be the one with power.
            raise failure
        return 0.0

    return Probe("power_supply/mains", SensorKind.POWER_AVAILABILITY, read)


def _battery(directory: Path) -> Probe:
    def read() -> float:
        if optional_text(directory / "present") == "0":
            raise SensorUnavailable(f"{directory}: no battery is in its slot; put one in")
        return float(read_integer(directory / "capacity"))

    return Probe(f"power_supply/{directory.name}", SensorKind.BATTERY_LEVEL, read)
