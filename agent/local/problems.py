"""The problems of a hub with their remedies, from its status document. Pure.

The only place for these texts: the verdict, the page and the command line show them. Must change nothing.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType

from agent.foundation.format import DAY_S, duration, plural
from agent.foundation.start_history import ExitCause
from agent.local.machine_problems import clock_level, machine_problems
from agent.local.problem import Level, Problem
from agent.local.status import ClockStatus, HubStatus, LinkReport, OutboxReport, SensorReport, StartReport
from hal.radio import NOT_REPORTED_YET

STALE_INTERVALS = 3
"""A sensor that has missed this many reports counts as silent."""

STALLED_S = 180
"""Readings that are due longer are a problem: a pause after an outage, and a new quota, have passed by then."""


_KEPT = "readings are kept until then"

_BY_STATE = {
    "unprovisioned": ("not asked", f"give the hub its key (docs/install.md, step 3); {_KEPT}"),
    "key_refused": ("refuses the hub's key", f"give the hub a valid key (docs/install.md); {_KEPT}"),
}
"""Problem and remedy by the state of the connection to the cloud."""

REMEDIES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "no_connection": (
            "cannot be reached",
            "check the cable or Wi-Fi, then the router; readings are kept until it is back",
        ),
        "no_answer": ("does not answer", "check the line and the router; readings are kept until it does"),
        "certificate": ("is not trusted", f"check cloud.ca_file, the clock, and proxies on the way; {_KEPT}"),
        "server_error": (
            "reports an error of its own",
            "ask the cloud's operator; this hub works and keeps its readings",
        ),
        "wrong_address": ("is not at this address", f"check cloud.base_url, then proxies on the way; {_KEPT}"),
        "unusable_answer": (
            "gives unusable answers",
            f"check proxies and portals on the way, then the cloud; {_KEPT}",
        ),
        "key_refused": ("refuses the hub's key", f"give the hub a valid key (docs/install.md); {_KEPT}"),
    }
)
"""Problem and remedy by the cause of the failure (`agent.errors.Cause`)."""

_NEEDS_A_PERSON = frozenset({"certificate", "wrong_address", "key_refused"})
"""Causes that do not pass by themselves."""

_TELEMETRY = "POST /v1/telemetry"

_ENDPOINTS = {
    _TELEMETRY: "readings",
    "GET /v1/settings": "settings",
    "PUT /v1/settings": "changes of settings",
    "GET /v1/commands/pending": "commands",
    "POST /v1/commands/ack": "acknowledgements",
    "GET /v1/ota/check": "checks for updates",
    "GET /v1/ota/download": "downloads of updates",
    "POST /v1/ota/status": "reports on updates",
    "POST /v1/zigbee/register": "registrations of sensors",
}
"""The endpoints in words."""

END_TEXTS: Mapping[str, str] = MappingProxyType(
    {
        ExitCause.STOPPED: "stopped in good order",
        ExitCause.CRASHED: "crashed",
        ExitCause.WATCHDOG: "hung and was ended by its watchdog",
        ExitCause.OUT_OF_MEMORY: "was ended for want of memory",
        ExitCause.KILLED: "was killed, or crashed",
        ExitCause.POWER_LOST: "lost its power, or the machine restarted without warning",
        ExitCause.MACHINE_WATCHDOG: "hung with the whole machine, whose watchdog restarted it",
    }
)
"""How a process ended, in words that complete "it ..."."""
_DEFECTS = frozenset(
    {ExitCause.CRASHED, ExitCause.WATCHDOG, ExitCause.OUT_OF_MEMORY, ExitCause.KILLED, ExitCause.MACHINE_WATCHDOG}
)
_END_ADVICE = "journalctl -u climahub shows why"


def problems(status: HubStatus, *, mild: Collection[str] = ()) -> list[Problem]:
    """Return the problems, the most urgent first.

    Args:
        status: The status document.
        mild: Those of `status.climate_problems` that leave every room under control.
    """
    return [
        *_climate(status, mild),
        *_starts(status),
        *_configuration(status),
        *_storage(status.outbox),
        *_cloud(status),
        *_clock(status),
        *machine_problems(status.machine),
        *_other(status),
        *_sensors(status),
    ]


def _climate(status: HubStatus, mild: Collection[str]) -> Iterator[Problem]:
    for text in status.climate_problems:
        level = Level.ATTENTION if text in mild else Level.FAULT
        yield Problem(f"climate: {text}", "see climahub climate for the zones", level)


def _starts(status: HubStatus) -> Iterator[Problem]:
    if problem := starts_problem(status.starts, status.running_s):
        yield Problem(f"hub: it {problem}", _END_ADVICE)


def _configuration(status: HubStatus) -> Iterator[Problem]:
    if (trial := status.config_trial) is not None:
        what = f"configuration: a change is on trial and undoes itself unless it is confirmed: {', '.join(trial.keys)}"
        yield Problem(what, "check that all is well, then climahub config confirm, or climahub config rollback")


def _storage(outbox: OutboxReport) -> Iterator[Problem]:
    if outbox.problem:
        advice = "after a minute, readings go to the cloud from memory until then"
        yield Problem(f"outbox: {outbox.problem}", advice, Level.FAULT)
    if outbox.dropped or outbox.downsampled:
        gone = f"{outbox.dropped:,} dropped, {outbox.downsampled:,} downsampled"
        yield Problem(f"outbox: it was full: {gone}", "raise storage.outbox_bytes_max, or free space on the disk")
    if outbox.dead_letters:
        what = f"cloud: {plural(outbox.dead_letters, 'reading')} refused for good: {outbox.last_refusal}".rstrip(": ")
        yield Problem(what, "report the reason to the cloud's operator")
    if outbox.unconfirmed:
        yield Problem(f"cloud: it acknowledged {plural(outbox.unconfirmed, 'reading')} fewer than were sent")


def _cloud(status: HubStatus) -> Iterator[Problem]:
    found = [*_link(status.link)]
    yield from found
    outbox, telemetry = status.outbox, status.link.endpoints.get(_TELEMETRY)
    if outbox.sendable and outbox.stalled_s > STALLED_S and not found:
        # The readings decide, whatever the polls show.
        reason = (telemetry.reason if telemetry else "") or outbox.last_refusal or "the reason is not known"
        waiting = plural(outbox.sendable, "reading")
        yield Problem(f"cloud: {waiting} due, none accepted for {duration(outbox.stalled_s)}: {reason}", _KEPT)
    if status.commands_problem and not found:
        yield Problem(f"commands: {status.commands_problem}")


def _link(link: LinkReport) -> Iterator[Problem]:
    if link.state in {"down", *_BY_STATE}:
        problem, advice = _BY_STATE.get(link.state) or REMEDIES.get(link.cause, REMEDIES["no_connection"])
        needs_a_person = link.state in _BY_STATE or link.cause in _NEEDS_A_PERSON
        what = f"cloud: {problem} for {duration(link.since_s)}: {link.reason}"
        yield Problem(what, advice, Level.FAULT if needs_a_person else Level.ATTENTION)
        return
    for name, endpoint in link.endpoints.items():
        if endpoint.is_failing:
            problem, advice = REMEDIES.get(endpoint.cause, REMEDIES["no_answer"])
            lasts = f"{duration(endpoint.since_s)}, {plural(endpoint.failures, 'try', 'tries')}"
            yield Problem(f"cloud: {problem} for {_ENDPOINTS.get(name, name)} ({lasts}): {endpoint.reason}", advice)


def _clock(status: HubStatus) -> Iterator[Problem]:
    if not status.clock.synchronised:
        what = f"clock: not set by NTP since the start {duration(status.clock.uptime_s)} ago"
        advice = "check the network (timedatectl); schedules and readings wait for the time"
        yield Problem(what, advice, clock_level(status.clock))
    elif clock_level(status.clock) is not Level.OK and status.clock.source == "ntp":
        what = f"clock: NTP silent for {duration(status.clock.confirmed_s_ago or 0)}, {exactness(status.clock)}"
        yield Problem(what, "check the network (timedatectl); schedules and readings continue")
    elif status.outbox.unanchored:
        kept = plural(status.outbox.unanchored, "reading")
        yield Problem(f"clock: {kept} of an earlier boot never learnt the time and are kept apart")


def _other(status: HubStatus) -> Iterator[Problem]:
    for sensor in status.relayed_sensors:
        if sensor.problem:
            yield Problem(f"sensor {sensor.name}: {sensor.problem}")
    for label in status.unmatched_keys:
        what = f"relayed_sensors.sensor_keys_file: the key for {label} fits no sensor"
        yield Problem(what, "correct its name or IEEE address (climahub zigbee list), or pair the sensor")
    for text in status.settings.problems:
        yield Problem(f"settings: {text}")
    for fault in status.faults:
        times = f", {fault.count} times" if fault.count > 1 else ""
        yield Problem(f"{fault.component}: {fault.text} (last {duration(fault.age_s)} ago{times})")


def _sensors(status: HubStatus) -> Iterator[Problem]:
    interval_s = int(status.settings.in_force.get("reporting_interval_seconds", 0))
    is_late = interval_s and (status.running_s or 0) > STALE_INTERVALS * interval_s
    if is_late and not any(sensor.good for sensor in status.sensors):
        what = f"sensors: none gave a value since the start {duration(status.running_s or 0)} ago"
        yield Problem(what, "pair one (climahub zigbee pair), or check the sensors of the board", Level.FAULT)
    for sensor in status.sensors:
        if problem := trouble(sensor, interval_s=interval_s):
            yield Problem(f"sensor {name_of(sensor, status)}: {problem}")


def trouble(sensor: SensorReport, *, interval_s: int) -> str:
    """Return the problem of a sensor; empty where there is none.

    Args:
        sensor: As the hub reports it.
        interval_s: How often its values are reported; 0 where that is not known.
    """
    if sensor.problem:
        return sensor.problem
    if sensor.quality in {"suspect", "bad"} and sensor.reason != NOT_REPORTED_YET:
        return f"{sensor.quality}: {sensor.reason}".rstrip(": ")
    # Relayed sensors have intervals of their own.
    if not sensor.device and interval_s and sensor.age_s is not None and sensor.age_s > STALE_INTERVALS * interval_s:
        return f"silent for {duration(sensor.age_s)}"
    return ""


def name_of(sensor: SensorReport, status: HubStatus) -> str:
    """Return the name of a sensor: name and kind of a relayed one, the board's name of the hub's own."""
    names = {relayed.device: relayed.name for relayed in status.relayed_sensors}
    return f"{names.get(sensor.device, sensor.device)} {sensor.kind}" if sensor.device else sensor.sensor


def exactness(clock: ClockStatus) -> str:
    """Return how exact the time is; the bound is rounded up."""
    if clock.error_s is None:
        return "right"
    if clock.error_s < 10:  # noqa: PLR2004
        return f"right within {math.ceil(clock.error_s * 10) / 10:g} s"
    return f"right within {duration(math.ceil(clock.error_s))}"


def starts_problem(starts: Sequence[StartReport], running_s: int | None) -> str:
    """Return what is wrong with the last end for a day after it; empty where nothing is.

    Args:
        starts: The newest first; the first one is the present process.
        running_s: How long the present process runs.
    """
    if len(starts) < 2 or starts[1].end not in _DEFECTS or (running_s or 0) >= DAY_S:  # noqa: PLR2004 - one before
        return ""
    more = sum(start.count for start in starts[2:] if start.end in _DEFECTS)
    before = f"; {plural(more, 'such end')} before" if more else ""
    return f"{end_text(starts[1])} {duration(running_s or 0)} ago{before}"


def end_text(start: StartReport) -> str:
    """Return how one process, or several in a row, ended."""
    detail = f" ({start.detail})" if start.detail else ""
    times = f", {start.count:,} times in a row" if start.count > 1 else ""
    return f"{END_TEXTS.get(start.end, start.end)}{detail}{times}"
