"""Finds out the facts of the machine: reads the kernel's files, and the files that the hub lives on. Reads only.

Every function blocks and takes the roots of the trees that it reads, so that tests can make each fact. Sources:
proc(5); the kernel's Documentation/ABI/testing/sysfs-class-power and sysfs-class-watchdog;
net/ipv4/arp.c for /proc/net/arp (address, type, flags, ...; flag 2 is ATF_COM, completed) and
net/ipv6/route.c for /proc/net/ipv6_route (destination, prefix length, ..., device).
"""

import fcntl
import os
import socket
import stat
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from agent.config.loading import resolve
from agent.config.report import check
from agent.config.tables import Config
from agent.errors import ConfigInvalid
from agent.foundation import system_info
from agent.foundation.disk import Disk
from agent.port.checks.facts import (
    Configuration,
    DiskRoom,
    FlashWear,
    HardwareWatchdog,
    Interface,
    Load,
    LocalNetwork,
    Memory,
    Missing,
    Mount,
    PowerSupply,
    ProtectedFile,
    Stores,
    Throttling,
    TimeZones,
    Unit,
)

UNIT_FILE = "climahub.service"
UNIT_PLACES = (Path("etc/systemd/system"), Path("run/systemd/system"), Path("usr/lib/systemd/system"))
"""Where systemd looks for units, the first one counts (systemd.unit(5))."""
TEXT_BYTES_MAX = 64 * 1024
LEFTOVER_S = 86_400
"""A temporary file of a write is renamed within seconds."""
FILES_MAX = 2000
"""Of one directory, as far as it is looked at."""

_SIOCGIFADDR = 0x8915
_ARP_COMPLETE = 0x2
_GATEWAY_FLAG = 0x2
"""RTF_GATEWAY (linux/route.h)."""
_ROUTE_FIELDS_MIN = 8
_NO_NETWORK = "0" * 32


class Roots(msgspec.Struct, frozen=True):
    """The trees to read: `/` of the machine, or of a test."""

    root: Path = Path("/")

    @property
    def proc(self) -> Path:
        """The tree of the kernel's processes and network."""
        return self.root / "proc"

    @property
    def sys(self) -> Path:
        """The tree of sysfs."""
        return self.root / "sys"


def throttling(roots: Roots) -> Throttling | Missing:
    """Return what the firmware or the kernel's voltage driver reports."""
    if (found := system_info.throttling(roots.sys)) is None:
        return Missing("this kernel reports neither under-voltage nor throttling")
    return Throttling(*found)


def supplies(roots: Roots) -> tuple[PowerSupply, ...]:
    """Return the power supplies that report to the kernel."""
    found = []
    for entry in sorted(roots.sys.glob("class/power_supply/*")):
        online, capacity = _text(entry / "online"), _text(entry / "capacity")
        found.append(
            PowerSupply(
                entry.name,
                _text(entry / "type"),
                {"0": False, "1": True}.get(online),
                int(capacity) if capacity.isdigit() else None,
                _text(entry / "status"),
            )
        )
    return tuple(found)


def disk(state_dir: Path, free_bytes_min: int) -> DiskRoom:
    """Return the room on the disk of the state directory.

    Raises:
        OSError: The directory is not there, or the disk fails.
    """
    room = os.statvfs(state_dir)
    return DiskRoom(
        room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize, free_bytes_min, room.f_files, room.f_favail
    )


def wear(roots: Roots, state_dir: Path) -> tuple[FlashWear, ...]:
    """Return the wear of the machine's eMMC."""
    found = []
    for device, told in system_info.disk(state_dir, roots.sys)["wear"].items():
        reserve = str(told["pre_eol_info"])
        state = int(reserve, 16) if reserve.removeprefix("0x").isalnum() else None
        found.append(FlashWear(device, told["life_used_percent_max"], state))
    return tuple(found)


def mounts(directories: Sequence[Path], *, is_service: bool) -> tuple[Mount, ...]:
    """Return whether the hub can write these directories.

    Args:
        directories: Those that it writes.
        is_service: This process is the hub; the permissions of any other user say nothing.

    Raises:
        OSError: A directory is not there.
    """
    if is_service:
        return tuple(Mount(str(directory), Disk().problem_of(directory)) for directory in directories)
    return tuple(Mount(str(directory), _read_only(directory)) for directory in directories)


def _read_only(directory: Path) -> str:
    is_read_only = os.statvfs(directory).f_flag & os.ST_RDONLY
    return f"the file system of {directory} is read-only" if is_read_only else ""


def memory(roots: Roots) -> Memory | Missing:
    """Return the machine's memory."""
    found = system_info.memory(roots.proc)
    if "total_bytes" not in found or "available_bytes" not in found:
        return Missing("this kernel does not report its memory")
    return Memory(found["total_bytes"], found["available_bytes"])


def temperatures(roots: Roots) -> Mapping[str, float]:
    """Return the temperatures of the processor in °C."""
    celsius: Mapping[str, float] = system_info.temperatures(roots.sys)["celsius"]
    return celsius


def load(roots: Roots) -> Load | Missing:
    """Return the load average over five minutes."""
    words = _text(roots.proc / "loadavg").split()
    if len(words) < 2:  # noqa: PLR2004 - one, five and fifteen minutes
        return Missing("this kernel reports no load")
    return Load(float(words[1]), os.cpu_count() or 1)


def time_zones(roots: Roots, home: str) -> TimeZones | Missing:
    """Return the time zone of the home and that of the operating system.

    Args:
        roots: The trees.
        home: The IANA name in the settings; empty where they are not known.
    """
    if not home:
        return Missing("only the agent knows the settings in force")
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - 0.3 MiB that most hubs do without

    try:
        ZoneInfo(home)
        is_known = True
    except (ZoneInfoNotFoundError, ValueError, OSError):
        is_known = False
    try:
        _, _, machine = str((roots.root / "etc/localtime").readlink()).partition("zoneinfo/")
    except OSError:
        machine = ""
    return TimeZones(home, is_known, machine)


def watchdogs(roots: Roots) -> tuple[HardwareWatchdog, ...]:
    """Return the hardware watchdogs."""
    found = []
    for entry in sorted(roots.sys.glob("class/watchdog/watchdog*")):
        timeout = _text(entry / "timeout")
        found.append(
            HardwareWatchdog(
                entry.name,
                _text(entry / "identity"),
                is_active=_text(entry / "state") == "active",
                timeout_s=int(timeout) if timeout.isdigit() else None,
            )
        )
    return tuple(found)


def ipv4_address(interface: str) -> str:
    """Return the first IPv4 address of an interface; empty where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            answer = fcntl.ioctl(asked.fileno(), _SIOCGIFADDR, struct.pack("256s", interface.encode()[:15]))
        except OSError:
            return ""
    return socket.inet_ntoa(answer[20:24])


def local_network(roots: Roots, ipv4_of: Callable[[str], str] = ipv4_address) -> LocalNetwork:
    """Return interfaces, addresses and routes."""
    ipv6: dict[str, list[str]] = {}
    for line in _text(roots.proc / "net/if_inet6").splitlines():
        address, _, _, _, _, name = line.split()
        ipv6.setdefault(name, []).append(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address)))
    interfaces = tuple(
        Interface(
            name,
            told["state"],
            told.get("level_dbm"),
            tuple(filter(None, [ipv4_of(name), *ipv6.get(name, [])])),
        )
        for name, told in system_info.interfaces(roots.proc, roots.sys).items()
    )
    gateway, via = _gateway(_text(roots.proc / "net/route"))
    routes = [line.split() for line in _text(roots.proc / "net/ipv6_route").splitlines()]
    has_ipv6_route = any(
        route[0] == _NO_NETWORK and route[1] == "00" and route[-1] != "lo" and int(route[8], 16) & _GATEWAY_FLAG
        for route in routes
    )
    answers = _answers(_text(roots.proc / "net/arp"), gateway) if gateway else None
    return LocalNetwork(interfaces, gateway, via, answers, has_ipv6_route)


def _gateway(table: str) -> tuple[str, str]:
    """Return the router of the default route with the least metric, and the interface; empty without one."""
    interface = system_info.default_route_interface(table)
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) >= _ROUTE_FIELDS_MIN and fields[0] == interface and not int(fields[1], 16):
            return socket.inet_ntoa(struct.pack("<L", int(fields[2], 16))), fields[0]
    return "", ""


def _answers(arp: str, gateway: str) -> bool | None:
    for line in arp.splitlines()[1:]:
        fields = line.split()
        if fields and fields[0] == gateway:
            return bool(int(fields[2], 16) & _ARP_COMPLETE)
    return None


def configuration(file: Path, environ: Mapping[str, str], at_start: Config | None) -> Configuration | Missing:
    """Return the mistakes of the configuration file, and whether the running hub works by it.

    Args:
        file: Of the configuration.
        environ: Of the process.
        at_start: What the file held when the hub started, without the changes that were made at the hub; `None` where
            that is not known.
    """
    try:
        file.stat()
    except FileNotFoundError:
        return Configuration(str(file), (f"{file} is missing",))
    except OSError as error:
        return Missing(f"{file}: {error.strerror}")
    if not os.access(file, os.R_OK):
        return Missing(f"this user may not read {file}")
    problems = check(file, environ=environ).errors
    is_in_force = None
    if at_start is not None and not problems:
        try:
            is_in_force = resolve(file, environ=environ).config == at_start
        except ConfigInvalid as error:
            problems = (str(error),)
    return Configuration(str(file), problems, is_in_force)


def secrets(files: Sequence[Path], directories: Sequence[Path]) -> tuple[ProtectedFile, ...]:
    """Return the permissions of those that this user can see."""
    return tuple(
        ProtectedFile(str(path), stat.S_IMODE(mode), is_directory)
        for path, is_directory in (*((path, False) for path in files), *((path, True) for path in directories))
        if (mode := _mode(path)) is not None
    )


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except OSError:
        return None


def unit(roots: Roots) -> Unit | Missing:
    """Return the installed service unit, with the drop-ins that change it."""
    for place in UNIT_PLACES:
        path = roots.root / place / UNIT_FILE
        if text := _text(path):
            drop_ins = sorted(
                each for where in UNIT_PLACES for each in (roots.root / where).glob(f"{UNIT_FILE}.d/*.conf")
            )
            lines = [text, *(_text(each) for each in drop_ins)]
            return Unit(str(path), tuple("\n".join(lines).splitlines()), tuple(each.name for each in drop_ins))
    return Missing("no unit climahub.service is installed, or it cannot be seen from here")


def stores(state_dir: Path, utc_ms: int | None) -> Stores | Missing:
    """Return the files of the state directory that were put aside or left over."""
    quarantined, size_bytes, leftovers = [], 0, []
    for number, entry in enumerate(_entries(state_dir)):
        if number >= FILES_MAX:
            break
        if ".corrupt-" in entry.name:
            quarantined.append(entry.name)
            size_bytes += entry.stat(follow_symlinks=False).st_size
        elif entry.name.endswith(".new") and utc_ms is not None:
            age_s = utc_ms / 1000 - entry.stat(follow_symlinks=False).st_mtime
            leftovers += [entry.name] if age_s > LEFTOVER_S else []
    return Stores(tuple(sorted(quarantined)), size_bytes, tuple(sorted(leftovers)))


def _entries(directory: Path) -> Iterator["os.DirEntry[str]"]:
    with os.scandir(directory) as entries:
        yield from entries


def file_age_s(path: Path, utc_ms: int | None) -> float | None:
    """Return how long ago a file was written; `None` where it is not there, or the time is not known."""
    try:
        written_s = path.stat().st_mtime
    except OSError:
        return None
    return None if utc_ms is None else max(0.0, utc_ms / 1000 - written_s)


def _text(path: Path) -> str:
    """Return a file as text; empty where it cannot be read: machines differ."""
    try:
        with path.open("rb") as file:
            return file.read(TEXT_BYTES_MAX).decode(errors="replace").strip()
    except OSError:
        return ""
