"""What can be known about a hub, its machine and its network: the input of the checks. Values only.

A fact that cannot be had is `Missing`, with the reason in words: a check never guesses.
"""

from collections.abc import Mapping

import msgspec

from agent.local.boots import BootReport
from agent.local.climate import ClimateReport
from agent.local.maintenance import MaintenanceReport
from agent.local.status import ClockStatus, HubStatus
from agent.local.updates import UpdateReport
from agent.local.zigbee import ZigbeeReport


class Missing(msgspec.Struct, frozen=True):
    """Why a fact is not known, in words that end a sentence."""

    reason: str


class Documents(msgspec.Struct, frozen=True):
    """The documents of the local API."""

    status: HubStatus
    climate: ClimateReport
    zigbee: ZigbeeReport
    update: UpdateReport | None = None
    maintenance: MaintenanceReport = MaintenanceReport([])


class Throttling(msgspec.Struct, frozen=True):
    """What the firmware of a Raspberry Pi reports: names of `agent.foundation.system_info`."""

    now: list[str]
    since_boot: list[str]


class PowerSupply(msgspec.Struct, frozen=True):
    """One entry of /sys/class/power_supply.

    Attributes:
        name: Its name in the kernel.
        kind: "Mains", "USB", "Battery", "UPS" or another word of the kernel.
        is_online: Whether it supplies the machine; `None` where it does not say.
        capacity_percent: The charge; `None` where it has none.
        status: "Charging", "Discharging", "Full" and so on; empty where it does not say.
    """

    name: str
    kind: str
    is_online: bool | None = None
    capacity_percent: int | None = None
    status: str = ""


class DiskRoom(msgspec.Struct, frozen=True):
    """The room on the disk of the state directory. ``inodes`` is 0 where the file system does not count them."""

    total_bytes: int
    free_bytes: int
    free_bytes_min: int
    inodes: int = 0
    inodes_free: int = 0


class FlashWear(msgspec.Struct, frozen=True):
    """The wear of one eMMC: the larger of its two estimates, and the state of its reserve (1, 2 or 3)."""

    device: str
    life_used_percent: int
    reserve_state: int | None = None


class CardWrites(msgspec.Struct, frozen=True):
    """What is written to storage that does not report its wear, and the size of its file system."""

    bytes_per_day: int
    card_bytes: int


class Mount(msgspec.Struct, frozen=True):
    """One directory that the hub writes, and why it cannot; the problem is empty where it can."""

    directory: str
    problem: str


class Memory(msgspec.Struct, frozen=True):
    """The machine's memory."""

    total_bytes: int
    available_bytes: int


class Load(msgspec.Struct, frozen=True):
    """How many processes wanted to run, on average of five minutes, and for how many processors."""

    average: float
    processors: int


class TimeZones(msgspec.Struct, frozen=True):
    """Time zones by their IANA names; empty where unknown.

    Attributes:
        home: Of the settings in force, by which schedules run.
        is_home_known: The machine's time zone data has it.
        machine: Of the operating system.
    """

    home: str
    is_home_known: bool
    machine: str


class HardwareWatchdog(msgspec.Struct, frozen=True):
    """One entry of /sys/class/watchdog."""

    name: str
    identity: str
    is_active: bool
    timeout_s: int | None


class Interface(msgspec.Struct, frozen=True):
    """One network interface but the loopback. ``level_dbm`` is that of a radio."""

    name: str
    state: str
    level_dbm: float | None = None
    addresses: tuple[str, ...] = ()


class LocalNetwork(msgspec.Struct, frozen=True):
    """The machine's own part of the network.

    Attributes:
        interfaces: All of them but the loopback.
        gateway: The router's IPv4 address; empty without a default route.
        gateway_interface: The interface to it.
        gateway_answers: Whether the router has answered ARP; `None` where nothing was asked of it lately.
        has_ipv6_route: There is a default route for IPv6.
    """

    interfaces: tuple[Interface, ...]
    gateway: str = ""
    gateway_interface: str = ""
    gateway_answers: bool | None = None
    has_ipv6_route: bool = False


class Layer(msgspec.Struct, frozen=True):
    """One layer of the way to the cloud.

    Attributes:
        is_working: `None` where it was not tried, because the layer below failed or it is not used.
        text: What was seen.
        took_s: How long it took.
    """

    is_working: bool | None
    text: str
    took_s: float = 0.0


class CloudPath(msgspec.Struct, frozen=True):
    """The way to the cloud, layer by layer.

    Attributes:
        host: The cloud's host.
        proxy: The proxy's address, without credentials; empty without one.
        proxy_problem: What is wrong with the environment's proxy; empty where nothing is.
        certificate_s_left: How long the server's certificate is valid; `None` without TLS.
        clock_difference_s: The server's time minus this machine's; `None` where the server gave none.
        ipv6: The connection over IPv6.
        portal: An unencrypted request; `is_working` is False where something else than the cloud answered.
    """

    host: str
    dns: Layer
    tcp: Layer
    tls: Layer
    http: Layer
    ipv6: Layer
    portal: Layer
    proxy: str = ""
    proxy_problem: str = ""
    certificate_s_left: float | None = None
    clock_difference_s: float | None = None


class Configuration(msgspec.Struct, frozen=True):
    """The configuration file.

    Attributes:
        file: Its path.
        problems: What is wrong with it, one text each.
        is_in_force: The running hub works by this file; `None` where that is not known.
    """

    file: str
    problems: tuple[str, ...]
    is_in_force: bool | None = None


class ProtectedFile(msgspec.Struct, frozen=True):
    """A file or directory that others must not read; the mode holds the permission bits only."""

    path: str
    mode: int
    is_directory: bool = False


class Unit(msgspec.Struct, frozen=True):
    """The installed service unit: its path, its lines, and the names of drop-ins that change it."""

    path: str
    lines: tuple[str, ...]
    drop_ins: tuple[str, ...] = ()


class Stores(msgspec.Struct, frozen=True):
    """The files of the state directory that are not as they should be.

    Attributes:
        quarantined: The names of files that were put aside because they could not be read.
        quarantined_bytes: Their size together.
        leftovers: The names of temporary files older than a day.
    """

    quarantined: tuple[str, ...]
    quarantined_bytes: int = 0
    leftovers: tuple[str, ...] = ()


class PortState(msgspec.Struct, frozen=True):
    """The technician's port.

    Attributes:
        listens: The addresses of its network listeners.
        certificate_s_left: How long its certificate is valid; `None` without one.
        code_roles: The roles for which there is a code to sign in.
        loopback: The addresses of its listeners on this machine only; they ask for a code as well.
    """

    listens: tuple[str, ...]
    certificate_s_left: float | None = None
    code_roles: tuple[str, ...] = ()
    loopback: tuple[str, ...] = ()


class Agent(msgspec.Struct, frozen=True):
    """Whether the agent answers on its socket; the problem is empty where it does."""

    problem: str
    watchdog_s: float | None = None


class HeatSourceStarts(msgspec.Struct, frozen=True):
    """How often one piece of equipment was started in the last hour, and how often it may be."""

    name: str
    starts: int
    starts_max: int


class Heating(msgspec.Struct, frozen=True):
    """The climate control, beyond its document.

    Attributes:
        is_hung: No decision for a minute.
        output_problem: Why the outputs do not follow; empty where the last read-back was right.
        file_problem: Why the programs of the zones would not survive a restart.
        sensor_problem: Names the configured sensors that have never reported.
        equipment: Starts of relays and heat source.
    """

    is_hung: bool
    output_problem: str = ""
    file_problem: str = ""
    sensor_problem: str = ""
    equipment: tuple[HeatSourceStarts, ...] = ()


class Radio(msgspec.Struct, frozen=True):
    """The Zigbee stick, beyond its document.

    Attributes:
        firmware: Its version; empty where unknown.
        backup_age_s: The age of the newest backup of the network; `None` where there is none.
    """

    firmware: str = ""
    backup_age_s: float | None = None


class ChannelEnergy(msgspec.Struct, frozen=True):
    """How busy the Zigbee channels are: 0 (quiet) to 255, by channel, and the channel of the network."""

    channel: int
    energy: Mapping[int, int]


class SensorHistory(msgspec.Struct, frozen=True):
    """How one sensor has behaved: the span of its last values, for telling a stuck one."""

    device: str
    sensor: str
    kind: str
    hours: float
    spread: float
    count: int


_NOT_ASKED = Missing("this was not asked")


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All facts of one run."""

    documents: Documents | Missing = _NOT_ASKED
    throttling: Throttling | Missing = _NOT_ASKED
    supplies: tuple[PowerSupply, ...] | Missing = _NOT_ASKED
    disk: DiskRoom | Missing = _NOT_ASKED
    wear: tuple[FlashWear, ...] | Missing = _NOT_ASKED
    mounts: tuple[Mount, ...] | Missing = _NOT_ASKED
    memory: Memory | Missing = _NOT_ASKED
    temperatures: Mapping[str, float] | Missing = _NOT_ASKED
    load: Load | Missing = _NOT_ASKED
    clock: ClockStatus | Missing = _NOT_ASKED
    time_zones: TimeZones | Missing = _NOT_ASKED
    watchdogs: tuple[HardwareWatchdog, ...] | Missing = _NOT_ASKED
    boots: tuple[BootReport, ...] | Missing = _NOT_ASKED
    network: LocalNetwork | Missing = _NOT_ASKED
    cloud: CloudPath | Missing = _NOT_ASKED
    configuration: Configuration | Missing = _NOT_ASKED
    secrets: tuple[ProtectedFile, ...] | Missing = _NOT_ASKED
    unit: Unit | Missing = _NOT_ASKED
    stores: Stores | Missing = _NOT_ASKED
    port: PortState | Missing = _NOT_ASKED
    agent: Agent | Missing = _NOT_ASKED
    heating: Heating | Missing = _NOT_ASKED
    radio: Radio | Missing = _NOT_ASKED
    energy: ChannelEnergy | Missing = _NOT_ASKED
    history: tuple[SensorHistory, ...] | Missing = _NOT_ASKED
