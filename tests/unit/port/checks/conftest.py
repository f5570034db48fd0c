"""Facts of a hub on which every check passes, for tests that change one of them."""

import msgspec
import pytest

from agent.local.boots import BootReport
from agent.local.climate import ClimateReport, HeatSourceReport, ZoneReport
from agent.local.maintenance import MaintenanceReport, ZoneMaintenance
from agent.local.status import (
    ClockStatus,
    EndpointReport,
    HubStatus,
    LinkReport,
    OutboxReport,
    QuotaReport,
    RelayedReport,
    SensorReport,
    SettingsReport,
)
from agent.local.updates import UpdateReport
from agent.local.zigbee import PairedSensor, RadioReport, RouterReport, ZigbeeReport
from agent.port.checks.facts import (
    Agent,
    ChannelEnergy,
    CloudPath,
    Configuration,
    DiskRoom,
    Documents,
    Facts,
    FlashWear,
    HardwareWatchdog,
    Heating,
    HeatSourceStarts,
    Interface,
    Layer,
    Load,
    LocalNetwork,
    Memory,
    Mount,
    PortState,
    PowerSupply,
    ProtectedFile,
    Radio,
    SensorHistory,
    Stores,
    Throttling,
    TimeZones,
    Unit,
)
from agent.port.checks.hub_checks import UNIT_DIRECTIVES

from .changes import USUAL

DAY_S = 86_400
MIB = 1024 * 1024

CLOCK = ClockStatus(
    synchronised=True, utc="2026-01-15T12:00:00Z", boot_id="b", uptime_s=11_520, source="ntp", error_s=0.1
)


def sensor(**changes: object) -> SensorReport:
    plain = SensorReport(
        device="", sensor="board/air", kind="temperature", value=20.5, unit="°C", quality="good", reason="", age_s=30.0,
        good=100, bad=0, failures=0, problem="",
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


def status() -> HubStatus:
    return HubStatus(
        version="1.2.3",
        board="sim",
        clock=CLOCK,
        link=LinkReport(
            "up", "", 600, 2, "proven", endpoints={"POST /v1/telemetry": EndpointReport("working", "", "", 9, 0, False)}
        ),
        quotas={"telemetry": QuotaReport(3, 60, 60)},
        outbox=OutboxReport(
            pending=12, in_memory=3, fresh=12, unregistered=0, unanchored=0, retrying=0, used_bytes=14_336,
            oldest_age_s=20, committed=13_220, accepted=13_205, unconfirmed=0, downsampled=0, dropped=0, dead_letters=0,
            problem="", last_refusal="", accepted_age_s=30, in_memory_age_s=10,
        ),
        sensors=[
            sensor(),
            sensor(device="0x01", sensor="t", value=20.1),
            sensor(device="0x01", sensor="b", kind="battery_level", unit="%", value=80.0),
        ],
        relayed_sensors=[RelayedReport("0x01", "bedroom 1", "id", "")],
        settings=SettingsReport(in_force={"reporting_interval_seconds": 60}, pending={}, problems=[]),
        faults=[],
        running_s=3600,
    )  # fmt: skip


def zone(**changes: object) -> ZoneReport:
    plain = ZoneReport(
        zone="bedroom", room_c=20.1, sensors_used=2, sensor_problem="", mode="heat", heat_setpoint_c=20.0,
        cool_setpoint_c=26.0, setpoint_reason="schedule", label="Day", until="2026-01-15T22:00:00Z",
        setpoint_text="Day", is_eco=False, action="heat", duty=0.3, reason="heats", problem="", schedule="week",
        schedules=[], holds=[], rate_k_per_h=1.0, loss_k_per_h=0.5, sensors=["bedroom 1", "board/air"],
        sensors_in_use=["bedroom 1", "board/air"],
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


def paired(**changes: object) -> PairedSensor:
    plain = PairedSensor(
        device="0x01", name="bedroom 1", stage="relaying", problem="", sensor_id="id", about="", is_online=True,
        is_sleepy=True, last_seen_age_s=30, lqi_last_hop=200, readings=[],
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


UPDATE = UpdateReport(
    version="1.0.0", slot="a", launcher=1, good="a", floor=0, state="completed", target="1.0.0", percent=100,
    signed_by="k", is_paused=False, waiting_for="", error="", warning="", trusted_keys=["k"], failed="", refused=[],
)  # fmt: skip


def documents() -> Documents:
    return Documents(
        status(),
        ClimateReport([zone()], HeatSourceReport("heat", 1, is_aux_on=False, is_pump_on=True), [], "Europe/Berlin"),
        ZigbeeReport(
            RadioReport("up", port="/dev/ttyUSB0", channel=15, pan_id=0x1A62),
            [paired()],
            [],
            "",
            routers=[RouterReport("0x02", "plug", is_online=True, lqi_last_hop=180)],
        ),
        UPDATE,
        MaintenanceReport([ZoneMaintenance("bedroom", [USUAL])]),
    )


def cloud() -> CloudPath:
    works = Layer(is_working=True, text="works", took_s=0.1)
    return CloudPath(
        host="api.example.org",
        dns=works,
        tcp=works,
        tls=works,
        http=works,
        ipv6=works,
        portal=works,
        certificate_s_left=60 * DAY_S,
        clock_difference_s=0.4,
    )


def boot(**changes: object) -> BootReport:
    plain = BootReport("b", "restart", "2026-01-15T09:00:00Z", 9_000, "restarted", 1)
    return msgspec.structs.replace(plain, **changes)


@pytest.fixture
def facts() -> Facts:
    return Facts(
        documents=documents(),
        throttling=Throttling([], []),
        supplies=(PowerSupply("ac", "Mains", is_online=True), PowerSupply("ups", "UPS", capacity_percent=90)),
        disk=DiskRoom(16_000 * MIB, 8_000 * MIB, 500 * MIB, 1_000_000, 900_000),
        wear=(FlashWear("mmcblk0", 20, 1),),
        mounts=(Mount("/var/lib/climahub", ""),),
        memory=Memory(1000 * MIB, 600 * MIB),
        temperatures={"thermal_zone0/cpu": 51.0},
        load=Load(0.4, 4),
        clock=CLOCK,
        time_zones=TimeZones("Europe/Berlin", is_home_known=True, machine="Europe/Berlin"),
        watchdogs=(HardwareWatchdog("watchdog0", "bcm2835", is_active=True, timeout_s=15),),
        boots=(boot(end="running"), boot()),
        network=LocalNetwork(
            (Interface("wlan0", "up", level_dbm=-52.0, addresses=("192.0.2.7",)),),
            gateway="192.0.2.1",
            gateway_interface="wlan0",
            gateway_answers=True,
            has_ipv6_route=True,
        ),
        cloud=cloud(),
        configuration=Configuration("/etc/climahub/config.toml", (), is_in_force=True),
        secrets=(
            ProtectedFile("/etc/climahub/api-key", 0o600),
            ProtectedFile("/var/lib/climahub", 0o750, is_directory=True),
        ),
        unit=Unit("/etc/systemd/system/climahub.service", tuple(UNIT_DIRECTIVES)),
        stores=Stores(()),
        port=PortState(("192.0.2.7",), 300.0 * DAY_S, ("owner",)),
        agent=Agent("", watchdog_s=120.0),
        heating=Heating(is_hung=False, equipment=(HeatSourceStarts("boiler", 2, 6),)),
        radio=Radio("7.4.4.0", 3600.0),
        energy=ChannelEnergy(15, {15: 50, 20: 40}),
        history=(SensorHistory("0x01", "t", "temperature", 24.0, 1.3, 200),),
    )
