"""Sensors of the machine itself: mains and batteries, and the strength of its wireless signal. Read only.

Power: the kernel's Documentation/ABI/testing/sysfs-class-power: `type` is Mains, USB, Wireless, Battery or UPS; `scope`
is Device for the supply of a peripheral (a mouse); `online` is 0 without power, 1 or 2 (programmable) with it;
`capacity` is in percent; `present` is 0 for an empty battery slot.

Wireless: the kernel's net/wireless/wext-proc.c and include/uapi/linux/wireless.h: a line of /proc/net/wireless is the
interface, its status, and quality, level and noise, each with a dot if it was updated. A level in dBm is printed as the
byte minus 256, so it is below zero; 0 and -256 mean no level; a positive level is on a scale of the driver.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hal.channels import Channel, Quantity
from hal.errors import HalError, ReadingImplausible, SensorUnavailable
from hal.linux.device_address import address_of, driver_of
from hal.linux.sysfs import FOUND_CHARS_MAX, directories, optional_text, read_integer, read_text

_EXTERNAL = ("Mains", "USB", "Wireless")
"""External supplies in order of trust: a USB socket may also supply other devices."""

_BATTERIES = ("Battery", "UPS")


def find_power(sysfs_root: Path) -> list[Channel]:
    """Return a channel for the mains, if the machine has an external supply, and one for each of its batteries.

    The hub has one mains channel (`power_supply/mains`): it is 1 if any supply is online. Supplies over USB count only
    without a mains adapter. A battery is named by its gauge's address, or
    `power_supply/<name>` after its driver's name.
    """
    supplies = [
        (directory, optional_text(directory / "type"))
        for directory in directories(sysfs_root / "class" / "power_supply")
        if optional_text(directory / "scope") != "Device"
    ]
    channels = []
    for external in _EXTERNAL:
        online = [directory / "online" for directory, kind in supplies if kind == external]
        if online:
            channels.append(_mains(online))
            break
    for directory, kind in supplies:
        if kind in _BATTERIES:
            channels += _battery(directory)
    return channels


def _mains(online: Sequence[Path]) -> Channel:
    def read() -> float:
        failure: HalError | None = None
        for path in online:
            try:
                if read_integer(path):
                    return 1.0
            except HalError as error:
                failure = error
        if failure:
            # The supply that cannot be read may be the one with power.
            raise failure
        return 0.0

    return Channel("power_supply/mains", Quantity.MAINS, read, driver="power_supply")


_BATTERY_FILES = (
    ("capacity", Quantity.BATTERY, 1.0),
    ("voltage_now", Quantity.VOLTAGE, 1e-6),
    ("current_now", Quantity.CURRENT, 1e-6),
)
"""What a battery measures: the file, the quantity, and the factor to the unit of that."""


def _battery(directory: Path) -> list[Channel]:
    address = address_of(directory / "device")
    chip = optional_text(directory / "device" / "name").replace("/", "_") if address else directory.name
    old = f"power_supply/{directory.name}"
    channels = []
    for file, quantity, factor in _BATTERY_FILES:
        if (directory / file).exists():
            old_name = old if quantity is Quantity.BATTERY else f"{old}/{quantity}"
            channels.append(
                Channel(
                    f"{address.prefix}/{chip or directory.name}/{quantity}" if address else old_name,
                    quantity,
                    partial(_battery_value, directory, file, factor),
                    bus=address.bus if address else "",
                    address=address.address if address else "",
                    chip=chip or directory.name,
                    driver=driver_of(directory / "device") or "power_supply",
                    aliases=(old_name,) if address else (),
                )
            )
    return channels


def _battery_value(directory: Path, file: str, factor: float) -> float:
    if optional_text(directory / "present") == "0":
        raise SensorUnavailable(f"{directory}: the battery slot is empty; insert a battery")
    return read_integer(directory / file) * factor


def find_clock_batteries(sysfs_root: Path) -> list[Channel]:
    """Return the voltage of each clock's battery that the kernel measures: on a Raspberry Pi 5 in microvolts."""
    return [
        Channel(
            f"rtc/{optional_text(clock / 'name').split()[0].replace('/', '_')}/{Quantity.VOLTAGE}",
            Quantity.VOLTAGE,
            lambda path=clock / "battery_voltage": read_integer(path) * 1e-6,  # type: ignore[misc]
            chip="clock battery",
            driver="rtc",
        )
        for clock in directories(sysfs_root / "class" / "rtc")
        if (clock / "battery_voltage").exists() and optional_text(clock / "name")
    ]


_LEVEL_NONE_DBM = -256
_LEVEL_FIELD = 2
"""After the interface: status, quality, level."""


def find_signals(sysfs_root: Path, proc_root: Path) -> list[Channel]:
    """Return a channel named `wireless/<interface>` for each wireless interface, connected or not."""
    table = proc_root / "net" / "wireless"
    interfaces = set(_lines(optional_text(table)))
    for directory in directories(sysfs_root / "class" / "net"):
        if (directory / "wireless").is_dir() or (directory / "phy80211").is_dir():
            interfaces.add(directory.name)
    return [_signal(table, interface) for interface in sorted(interfaces)]


def _lines(text: str) -> dict[str, list[str]]:
    """Return the fields of each interface; the two lines of headings have no colon."""
    lines = {}
    for line in text.splitlines():
        interface, colon, fields = line.partition(":")
        if colon:
            lines[interface.strip()] = fields.split()
    return lines


def _signal(table: Path, interface: str) -> Channel:
    def read() -> float:
        fields = _lines(read_text(table)).get(interface)
        if fields is None:
            raise SensorUnavailable(
                f"{table}: no line for {interface}; switch it on (kernels without wireless extensions list none)"
            )
        text = fields[_LEVEL_FIELD].rstrip(".") if len(fields) > _LEVEL_FIELD else ""
        try:
            level_dbm = int(text)
        except ValueError as error:
            found = text[:FOUND_CHARS_MAX]
            raise ReadingImplausible(f'{table}: found "{found}" as the level of {interface}; needed is dBm') from error
        if level_dbm in {0, _LEVEL_NONE_DBM}:
            raise SensorUnavailable(f"{table}: {interface} has no signal; connect it to a network")
        if level_dbm > 0:
            raise ReadingImplausible(f"{table}: the driver of {interface} gives {level_dbm}, which is not in dBm")
        return float(level_dbm)

    return Channel(f"wireless/{interface}", Quantity.SIGNAL, read, chip=interface, driver="wireless")
