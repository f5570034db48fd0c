"""The strength of the radio signal that connects the hub, in dBm, as the kernel's wireless extensions tell it.

Facts: the kernel's net/wireless/wext-proc.c and include/uapi/linux/wireless.h: a line of /proc/net/wireless is the
interface, its status, and quality, level and noise, each with a dot if it was updated. A level in dBm is printed as the
byte minus 256, so it is below zero; 0 and -256 mean that there is none; above zero it is on a scale of the driver's.
"""

from pathlib import Path

from hal.errors import ReadingImplausible, SensorUnavailable
from hal.interface import SensorKind
from hal.linux.sysfs import FOUND_CHARS_MAX, Probe, directories, optional_text, read_text

_LEVEL_NONE_DBM = -256
_LEVEL_FIELD = 2
"""After the interface: status, quality, level."""


def find_signals(sysfs_root: Path, proc_root: Path) -> list[Probe]:
    """Return a probe for each wireless interface, called `wireless/<interface>`; connected or not."""
    table = proc_root / "net" / "wireless"
    interfaces = set(_lines(optional_text(table)))
    for directory in directories(sysfs_root / "class" / "net"):
        if (directory / "wireless").is_dir() or (directory / "phy80211").is_dir():
            interfaces.add(directory.name)
    return [_probe(table, interface) for interface in sorted(interfaces)]


def _lines(text: str) -> dict[str, list[str]]:
    """Return the fields of each interface; the two lines of headings have no colon."""
    lines = {}
    for line in text.splitlines():
        interface, colon, fields = line.partition(":")
        if colon:
            lines[interface.strip()] = fields.split()
    return lines


def _probe(table: Path, interface: str) -> Probe:
    def read() -> float:
        fields = _lines(read_text(table)).get(interface)
        if fields is None:
            raise SensorUnavailable(
                f"{table}: no line for {interface}; switch it on (a kernel without wireless extensions never has one)"
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

    return Probe(f"wireless/{interface}", SensorKind.SIGNAL_STRENGTH, read)
