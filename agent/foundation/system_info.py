"""What the kernel reports of the machine: memory, disk and wear, temperatures, throttling, radio, route. Reads only.

Every function takes the root of the tree it reads, and leaves out what this machine does not have. Sources: proc(5);
the kernel's Documentation/ABI/testing/sysfs-class-thermal and Documentation/driver-api/mmc/mmc-dev-attrs.rst; the Pi
firmware's property GET_THROTTLED; drivers/watchdog/bcm2835_wdt.c for the register PM_RSTS; net/ipv4/fib_trie.c for
/proc/net/route (interface, destination, gateway, flags, ..., metric, mask, in tabs; addresses in hexadecimal).
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from sys import version as python_version
from typing import Any

import msgspec

PROC = Path("/proc")
SYS = Path("/sys")
ETC = Path("/etc")
RUN = Path("/run")

TEXT_BYTES_MAX = 64 * 1024

_KIB = 1024
_MACHINE_ID = re.compile(r"[0-9a-f]{32}")

_MEMORY = {"MemTotal": "total_bytes", "MemAvailable": "available_bytes", "SwapFree": "swap_free_bytes"}

_THROTTLED = {0: "under_voltage", 1: "frequency_capped", 2: "throttled", 3: "soft_temperature_limit"}
_OCCURRED_SHIFT = 16
"""The same four bits again: whether it has happened since the boot."""

_HAD_POWER_ON_RESET = 0x1000
_HAD_WATCHDOG_RESET = 0x0070
_CARD_RESET = 0x0020
"""WDIOF_CARDRESET (linux/watchdog.h): the last restart was the watchdog's."""

_EMMC_STEP_PERCENT = 10
_EMMC_STEPS_MAX = 11
"""JEDEC eMMC 5.0, DEVICE_LIFE_TIME_EST: 1 is 0 to 10 % of the life used, 11 is more than all of it."""


def uptime_s(proc: Path = PROC) -> int | None:
    """Return the seconds since the boot."""
    words = _text(proc / "uptime").split()
    return int(float(words[0])) if words else None


def boot_reason(proc: Path = PROC, sys: Path = SYS) -> str:
    """Return why the machine booted: "power_on", "watchdog", "restart", or "unknown"."""
    register = _bytes(proc / "device-tree" / "chosen" / "bootloader" / "rsts")
    if register:
        value = int.from_bytes(register, "big")
        if value & _HAD_POWER_ON_RESET:
            return "power_on"
        # A Pi restarts through its watchdog on request as well, so the register cannot tell the two apart.
        return "restart" if value & _HAD_WATCHDOG_RESET else "unknown"
    status = _number(sys / "class" / "watchdog" / "watchdog0" / "bootstatus")
    return "watchdog" if status is not None and status & _CARD_RESET else "unknown"


class MachineIds(msgspec.Struct, frozen=True):
    """What tells this machine from any other; empty for what it does not have or does not show to this user.

    Attributes:
        board_serial: Of the board, from its device tree. Without one (a PC), its serial numbers are for root alone.
        machine_id: Of the installed system.
    """

    board_serial: str = ""
    machine_id: str = ""


def machine_ids(etc: Path = ETC, sys: Path = SYS, run: Path = RUN) -> MachineIds:
    """Return what tells this machine from any other.

    Sources: the Devicetree Specification, section 3.2, for `serial-number` of the root node; machine-id(5);
    systemd-machine-id-commit.service(8) for /run/machine-id, which is there while the machine-id is of this boot only.
    """
    serial = _text(sys / "firmware" / "devicetree" / "base" / "serial-number").strip("\0").strip()
    is_of_this_boot = (run / "machine-id").exists()
    machine_id = "" if is_of_this_boot else _text(etc / "machine-id")
    return MachineIds(serial if serial.strip("0") else "", machine_id if _MACHINE_ID.fullmatch(machine_id) else "")


def versions(etc: Path = ETC) -> Mapping[str, str]:
    """Return the versions of the software below the agent."""
    lines = dict(line.split("=", 1) for line in _text(etc / "os-release").splitlines() if "=" in line)
    return {
        "python": python_version.split()[0],
        "kernel": os.uname().release,
        "system": lines.get("PRETTY_NAME", "").strip('"'),
    }


def memory(proc: Path = PROC) -> Mapping[str, int]:
    """Return the machine's memory and the share of this process."""
    found = {name: _kib(line) for name, line in _fields(_text(proc / "meminfo")).items()}
    told = {told: found[name] for name, told in _MEMORY.items() if name in found}
    own = _fields(_text(proc / "self" / "status")).get("VmRSS")
    return told | ({"agent_bytes": _kib(own)} if own else {})


def disk(directory: Path, sys: Path = SYS) -> Mapping[str, Any]:
    """Return the free space of a directory's file system, and the wear of the machine's eMMC.

    Raises:
        OSError: The directory is not there.
    """
    stat = os.statvfs(directory)
    wear = {}
    for device in sorted(sys.glob("block/mmcblk*/device")):
        estimates = [int(word, 16) for word in _text(device / "life_time").split()]
        if estimates:
            wear[device.parent.name] = {
                "life_used_percent_max": min(max(estimates), _EMMC_STEPS_MAX) * _EMMC_STEP_PERCENT,
                "pre_eol_info": _text(device / "pre_eol_info"),
            }
    return {"total_bytes": stat.f_blocks * stat.f_frsize, "free_bytes": stat.f_bavail * stat.f_frsize, "wear": wear}


def temperatures(sys: Path = SYS) -> Mapping[str, Any]:
    """Return the chip's temperatures in °C, and whether it was throttled or under-voltage."""
    zones = {}
    for zone in sorted(sys.glob("class/thermal/thermal_zone*")):
        millidegrees = _number(zone / "temp")
        if millidegrees is not None:
            zones[f"{zone.name}/{_text(zone / 'type')}"] = millidegrees / 1000
    word = _text(sys / "devices" / "platform" / "soc" / "soc:firmware" / "get_throttled")
    if not word:
        return {"celsius": zones}
    bits = int(word, 16)
    return {
        "celsius": zones,
        "now": [name for bit, name in _THROTTLED.items() if bits >> bit & 1],
        "since_boot": [name for bit, name in _THROTTLED.items() if bits >> (bit + _OCCURRED_SHIFT) & 1],
    }


class Power(msgspec.Struct, frozen=True):
    """What the machine reports of its supply.

    Attributes:
        now: What holds now: "under_voltage", "frequency_capped", "throttled", "soft_temperature_limit".
        since_boot: The same words for what has happened since the boot.
        is_mains_off: Supplies from the mains report, and none of them is on: a battery feeds the machine.
    """

    now: tuple[str, ...] = ()
    since_boot: tuple[str, ...] = ()
    is_mains_off: bool = False


MAINS_KINDS = frozenset({"Mains", "USB"})
"""The types of /sys/class/power_supply that feed from the mains."""


def throttling(sys: Path = SYS) -> tuple[list[str], list[str]] | None:
    """Return what holds now and what has happened since the boot, by firmware or voltage driver; `None` without."""
    found = temperatures(sys)
    if "now" in found:
        return found["now"], found["since_boot"]
    for chip in sorted(sys.glob("class/hwmon/hwmon*")):
        if _text(chip / "name") == "rpi_volt" and (alarm := _text(chip / "in0_lcrit_alarm")):
            return (["under_voltage"] if alarm == "1" else []), []
    return None


def power(sys: Path = SYS) -> Power:
    """Return what the machine reports of its supply; nothing where it does not report."""
    now, since_boot = throttling(sys) or ((), ())
    supplies = sys.glob("class/power_supply/*")
    online = {_text(supply / "online") for supply in supplies if _text(supply / "type") in MAINS_KINDS}
    return Power(tuple(now), tuple(since_boot), is_mains_off="0" in online and "1" not in online)


def power_problems(sys: Path = SYS) -> list[str]:
    """Return what a Pi's firmware has reported since the boot: "under_voltage", "throttled", ..."""
    return list(temperatures(sys).get("since_boot", ()))


def interfaces(proc: Path = PROC, sys: Path = SYS) -> Mapping[str, Any]:
    """Return each network interface but the loopback: its state, and its radio quality, if any."""
    radio = _fields(_text(proc / "net" / "wireless"))
    found = {}
    for interface in sorted(sys.glob("class/net/*")):
        if interface.name == "lo":
            continue
        told: dict[str, Any] = {"state": _text(interface / "operstate")}
        words = radio.get(interface.name, "").split()
        if len(words) > 2:  # noqa: PLR2004 - status, link quality, level
            told |= {"quality": float(words[1]), "level_dbm": float(words[2])}
        found[interface.name] = told
    return found


def _fields(text: str) -> dict[str, str]:
    """Return lines of the form `name: rest` by their names."""
    parts = (line.partition(":") for line in text.splitlines())
    return {name.strip(): rest.strip() for name, colon, rest in parts if colon}


def _kib(text: str) -> int:
    return int(text.split(maxsplit=1)[0]) * _KIB


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text, 0) if text else None


def _text(path: Path) -> str:
    return _bytes(path).decode(errors="replace").strip()


def _bytes(path: Path) -> bytes:
    """Return the content of a file; empty where it cannot be read: machines differ."""
    try:
        with path.open("rb") as file:
            return file.read(TEXT_BYTES_MAX)
    except OSError:
        return b""


MODEM_PREFIXES = ("ppp", "ww", "rmnet", "usb")
"""Prefixes of modem names: dial-up, WWAN (systemd.net-naming-scheme(7): `ww`), tethered telephones."""

_DESTINATION, _METRIC, _MASK = 1, 6, 7
_FIELDS_MIN = 8


def default_route_interface(table: str) -> str | None:
    """Return the interface of the default route; `None` where there is none.

    Args:
        table: Content of /proc/net/route.
    """
    routes = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        is_default = len(fields) >= _FIELDS_MIN and not int(fields[_DESTINATION], 16) and not int(fields[_MASK], 16)
        if is_default:
            routes.append((int(fields[_METRIC]), fields[0]))
    return min(routes)[1] if routes else None


def is_metered(path: Path = Path("/proc/net/route")) -> bool:
    """Tell whether the default route goes over a modem; unknown counts as not metered."""
    try:
        interface = default_route_interface(path.read_text())
    except (OSError, ValueError):
        return False
    return interface is not None and interface.startswith(MODEM_PREFIXES)
