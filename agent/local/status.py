"""The status of a hub as one document: what is sampled, how the link is, what waits. Values only; made by `app`.

The JSON form is an interface: fields may be added, never renamed. Ages are in seconds.
"""

from collections.abc import Mapping
from typing import Any

import msgspec


class ClockStatus(msgspec.Struct, frozen=True):
    """Whether the hub knows what time it is, and how.

    Attributes:
        synchronised: The time has been learnt in this boot.
        utc: The time; `None` while it is not known.
        boot_id: The name of the boot.
        uptime_s: Since the boot.
        source: Who told the time: "ntp", "cloud", "rtc" (a clock with a battery), "system" (as configured).
        error_s: How wrong it may be by now; `None` where nobody gives a bound.
        known_for_s: Since when it is known in this boot.
        confirmed_s_ago: When the source last vouched for it.
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
        cause: What kind of failure that is (`agent.errors.Cause`).
        since_s: Since the last change of state.
        failures: How many in a row.
        is_failing: It counts now: not one whose failure another endpoint's success has explained, or that is history.
    """

    state: str
    reason: str
    cause: str
    since_s: int
    failures: int
    is_failing: bool


class LinkReport(msgspec.Struct, frozen=True):
    """The way to the cloud. "degraded": a part of the endpoints works."""

    state: str
    reason: str
    since_s: int
    outages: int
    compression: str
    cause: str = ""
    endpoints: Mapping[str, EndpointReport] = {}


class QuotaReport(msgspec.Struct, frozen=True):
    """How much of a quota is used now."""

    used: int
    limit: int
    window_s: int


class OutboxReport(msgspec.Struct, frozen=True):
    """What waits for the cloud, and what will never reach it.

    Attributes:
        sendable: Of the pending, those that neither wait for a registration nor for the time.
        stalled_s: How long readings have been due while none was accepted; 0 where none is due.
        accepted_age_s: Since the last reading was accepted; `None` while none was.
        in_memory_age_s: How long the oldest reading that is not on the disk has been waiting for it.
        accepted_from_memory: Readings that were accepted from memory, because the disk took none.
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


class SensorReport(msgspec.Struct, frozen=True):
    """One sensor. `device` is empty for the hub's own; `reported` tells whether it speaks to the cloud."""

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


class RelayedReport(msgspec.Struct, frozen=True):
    """One relayed sensor's identity."""

    device: str
    name: str
    sensor_id: str | None
    problem: str


class SettingsReport(msgspec.Struct, frozen=True):
    """The device settings in force, what is on its way to the cloud, and what was wrong."""

    in_force: Mapping[str, Any]
    pending: Mapping[str, Any]
    problems: list[str]


class FaultReport(msgspec.Struct, frozen=True):
    """Something that went wrong and was survived."""

    component: str
    text: str
    count: int
    age_s: int


class StartReport(msgspec.Struct, frozen=True):
    """One process of the agent, or several in a row that ended alike.

    Attributes:
        began: UTC, where it was known; of several, the last.
        version: Of the agent; empty where it did not come so far as to start.
        boot_id: The boot of the machine.
        boot_reason: Why the machine had booted: "power_on", "watchdog", "restart" or "unknown".
        end: How it ended: "running", "stopped", "crashed", "watchdog", "out_of_memory", "killed", "power_lost" or
            "machine_watchdog".
        detail: What the service manager said of that.
        count: How many in a row.
    """

    began: str | None
    version: str
    boot_id: str
    boot_reason: str
    end: str
    detail: str = ""
    count: int = 1


class HubStatus(msgspec.Struct, frozen=True):
    """All of it.

    Attributes:
        unread_sensors: A sentence for each sensor that the board has and the hub cannot read.
        starts: This process and earlier ones, the newest first.
        update: What the present update does, in words; empty where there is none.
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
