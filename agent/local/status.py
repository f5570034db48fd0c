"""The status document of the local API: sensors, cloud, outbox, clock and faults of a hub. Values only.

The JSON form is an interface: fields may be added, never renamed. Ages are in seconds.
"""

from collections.abc import Mapping
from typing import Any

import msgspec


class ClockStatus(msgspec.Struct, frozen=True):
    """The clock, and the source of the time.

    Attributes:
        synchronised: This boot has learnt the time.
        utc: The time; `None` while it is not known.
        boot_id: The identifier of the boot.
        uptime_s: The time since the boot.
        source: The source of the time: "ntp", "cloud", "rtc" (a clock with a battery), "system" (as configured).
        error_s: The bound of its error now; `None` where no source gives one.
        known_for_s: How long it has been known in this boot.
        confirmed_s_ago: The time since the source last confirmed it.
    """

    synchronised: bool
    utc: str | None
    boot_id: str
    uptime_s: int
    source: str = ""
    error_s: float | None = None
    known_for_s: int | None = None
    confirmed_s_ago: int | None = None


class EndpointReport(msgspec.Struct, frozen=True):
    """One endpoint of the cloud.

    Attributes:
        state: By its last answer: "untried", "working", "throttled", "failing".
        reason: Why it does not work.
        cause: The kind of the failure (`agent.errors.Cause`).
        since_s: The time since the last change of state.
        failures: The number of failures in a row.
        is_failing: The failure is current: no later success, of this endpoint or of another, has explained it.
    """

    state: str
    reason: str
    cause: str
    since_s: int
    failures: int
    is_failing: bool


class UsageDayReport(msgspec.Struct, frozen=True):
    """Traffic with the cloud on one day of UTC: answered requests and downloads, with what HTTP, TLS and TCP add."""

    day: str
    requests: int
    sent_bytes: int
    received_bytes: int


class UsageReport(msgspec.Struct, frozen=True):
    """What the link costs.

    Attributes:
        days: The last eight days, the latest first; empty while the date is not known.
        bytes_per_day: Both ways, at the rate of the last week; `None` before an hour is counted.
        bytes_per_month: The same for 30 days.
    """

    days: list[UsageDayReport] = []
    bytes_per_day: int | None = None
    bytes_per_month: int | None = None


class LinkReport(msgspec.Struct, frozen=True):
    """The connection to the cloud. "degraded": some endpoints work, others fail.

    Attributes:
        last_error: Why a request failed last, also where the link works again; empty for never since the start.
        last_error_age_s: The time since then.
        usage: What the link costs.
        shared_key: What tells that another hub may use this hub's key; empty where nothing does.
    """

    state: str
    reason: str
    since_s: int
    outages: int
    compression: str
    cause: str = ""
    endpoints: Mapping[str, EndpointReport] = {}
    last_error: str = ""
    last_error_age_s: int | None = None
    usage: UsageReport = UsageReport()
    shared_key: str = ""


class QuotaReport(msgspec.Struct, frozen=True):
    """The use of one quota of the cloud.

    Attributes:
        is_history_unknown: The quota is full only because the requests before this boot are not known: it is free
            one window after the boot at the latest.
    """

    used: int
    limit: int
    window_s: int
    is_history_unknown: bool = False


class UpsReport(msgspec.Struct, frozen=True):
    """The hub's battery.

    Attributes:
        is_mains_on: By a signal of the mains; `None` where there is none, or it cannot be read now.
        charge_percent: `None` where it cannot be read now.
        minutes_left: On battery, to the power-off or until it is empty, in steps of five; `None` where not known.
        power_off_percent: At this charge the machine is powered off in order; 0 for never.
        problem: Why the battery is not believed, or the machine could not be powered off.
    """

    is_mains_on: bool | None = None
    charge_percent: int | None = None
    minutes_left: int | None = None
    power_off_percent: float = 0
    problem: str = ""


class MachineReport(msgspec.Struct, frozen=True):
    """The machine below the agent.

    Attributes:
        power_now: What it reports of its supply now: "under_voltage", "throttled" and so on.
        power_since_boot: The same words for what has happened since the boot.
        is_mains_off: A battery feeds it.
        disk_free_bytes: The room on the disk of the state directory, rounded down; `None` where it is not known.
        disk_free_bytes_min: Where the outbox stops growing.
        written_bytes_per_day: To the partition of the state directory, by all programs, at the rate of the last week;
            by the agent alone where the kernel counts no more; `None` before an hour is counted.
        ups: Its battery; `None` without one.
        button_problem: Why its button does nothing, remedy first; empty where nothing is known against it.
        reset_left_s: How long a reset that its button asks for waits for a confirmation; `None` where none does.
        is_card_moved: The card was copied or moved to another board: the key is not used until a person decides.
        holds_back: What this card has recorded on another board and not sent yet waits until a person decides, which is
            possible once the hub has a key.
    """

    power_now: list[str] = []
    power_since_boot: list[str] = []
    is_mains_off: bool = False
    disk_free_bytes: int | None = None
    disk_free_bytes_min: int = 0
    written_bytes_per_day: int | None = None
    ups: UpsReport | None = None
    button_problem: str = ""
    reset_left_s: int | None = None
    is_card_moved: bool = False
    holds_back: bool = False


class OutboxReport(msgspec.Struct, frozen=True):
    """Readings that wait for the cloud, and readings that will never reach it.

    Attributes:
        unregistered: Readings of sensors that the cloud has not registered yet.
        unanchored: Readings of boots that never learnt the time.
        sendable: Pending readings that wait for no registration, time or decision.
        stalled_s: How long readings have been due while none was accepted; 0 where none is due.
        accepted_age_s: The time since the last acceptance; `None` before the first.
        in_memory_age_s: How long the oldest reading has been waiting to be written to the disk.
        accepted_from_memory: Readings that were accepted from memory, because the disk could not be written.
        held: Pending readings that were recorded on another board: they wait until a person decides.
    """

    pending: int
    in_memory: int
    fresh: int
    unregistered: int
    unanchored: int
    retrying: int
    used_bytes: int
    oldest_age_s: int | None
    committed: int
    accepted: int
    unconfirmed: int
    downsampled: int
    dropped: int
    dead_letters: int
    problem: str
    last_refusal: str
    sendable: int = 0
    stalled_s: int = 0
    accepted_age_s: int | None = None
    in_memory_age_s: int | None = None
    accepted_from_memory: int = 0
    held: int = 0


class SensorReport(msgspec.Struct, frozen=True):
    """One sensor.

    Attributes:
        device: Empty for the hub's own sensors.
        value: As it is used: corrected by the calibration, and for the hub's warmth.
        measured: Before any correction; `None` where nothing is corrected.
        uncertainty: Of a corrected value, 95 %; `None` where it is not known.
        doubt: Why the sensor is doubted, or what is wrong with its place, with the remedy; empty where nothing is.
    """

    device: str
    sensor: str
    kind: str
    value: float | None
    unit: str
    quality: str
    reason: str
    age_s: float | None
    good: int
    bad: int
    failures: int
    problem: str
    measured: float | None = None
    uncertainty: float | None = None
    doubt: str = ""


class RelayedReport(msgspec.Struct, frozen=True):
    """The identity of one relayed sensor."""

    device: str
    name: str
    sensor_id: str | None
    problem: str


class SettingsReport(msgspec.Struct, frozen=True):
    """The device settings in force, changes that the cloud does not have yet, and problems."""

    in_force: Mapping[str, Any]
    pending: Mapping[str, Any]
    problems: list[str]


class FaultReport(msgspec.Struct, frozen=True):
    """A fault that the hub has recovered from."""

    component: str
    text: str
    count: int
    age_s: int


class StartReport(msgspec.Struct, frozen=True):
    """One process of the agent, or several in a row with the same end.

    Attributes:
        began: Its start in UTC, where the time was known; the last start of several.
        version: The agent's version; empty where the agent did not get as far as starting.
        boot_id: The identifier of the boot.
        boot_reason: The cause of the boot: "power_on", "watchdog", "restart" or "unknown".
        end: How it ended: "running", "stopped", "crashed", "watchdog", "out_of_memory", "killed", "power_lost" or
            "machine_watchdog".
        detail: The service manager's detail of that end.
        count: The number of processes in a row.
    """

    began: str | None
    version: str
    boot_id: str
    boot_reason: str
    end: str
    detail: str = ""
    count: int = 1


class ConfigTrialReport(msgspec.Struct, frozen=True):
    """A change on trial.

    Attributes:
        keys: The keys whose values are on trial.
        left_s: The time until it is undone.
        is_started: It is in force; before that the hub is about to restart.
        caller: Who made the change.
    """

    keys: list[str]
    left_s: int
    is_started: bool
    caller: str


class HubStatus(msgspec.Struct, frozen=True):
    """The status of a hub.

    Attributes:
        unread_sensors: One sentence for each sensor of the board that the hub cannot read.
        starts: This process and earlier ones, the newest first.
        update: The progress of the current update in words; empty where there is none.
        config_trial: The change of the configuration that is on trial.
        relay_problem: Why a network without a radio of its own brings no reports; a radio's problem is in its document.
    """

    version: str
    board: str
    clock: ClockStatus
    link: LinkReport
    quotas: Mapping[str, QuotaReport]
    outbox: OutboxReport
    sensors: list[SensorReport]
    relayed_sensors: list[RelayedReport]
    settings: SettingsReport
    faults: list[FaultReport]
    unread_sensors: list[str] = []
    running_s: int | None = None
    climate_problems: list[str] = []
    commands_problem: str = ""
    starts: list[StartReport] = []
    update: str = ""
    unmatched_keys: list[str] = []
    config_trial: ConfigTrialReport | None = None
    machine: MachineReport = MachineReport()
    relay_problem: str = ""
