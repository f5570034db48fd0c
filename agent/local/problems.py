"""The problems of a hub with their remedies, from its status document. Pure.

The only place for these texts: the verdict, the page and the command line show them. Must change nothing.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType

from agent.foundation.exit_cause import ExitCause
from agent.foundation.format import DAY_S, duration
from agent.foundation.phrase import counted, phrase
from agent.local.machine_problems import clock_level, machine_problems
from agent.local.problem import Level, Problem
from agent.local.status import ClockStatus, HubStatus, LinkReport, OutboxReport, SensorReport, StartReport
from hal.radio import NOT_REPORTED_YET

NO_PHRASES: Mapping[str, str] = MappingProxyType({})

STALE_INTERVALS = 3
"""A sensor that has missed this many reports counts as silent."""

STALLED_S = 180
"""Readings that are due longer are a problem: a pause after an outage, and a new quota, have passed by then."""


_KEPT = "readings are kept until then"

GIVE_KEY = f"give the hub its key: on the page under Cloud link, or sudo climahub setup --key-file FILE; {_KEPT}"

_BY_STATE = {
    "unprovisioned": ("not asked", GIVE_KEY),
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


def problems(
    status: HubStatus, *, mild: Collection[str] = (), of_zones: Mapping[str, str] = NO_PHRASES
) -> list[Problem]:
    """Return the problems, the most urgent first.

    Args:
        status: The status document.
        mild: Those of `status.climate_problems` that leave every room under control.
        of_zones: Those that name a zone, as phrases.
    """
    return [
        *_climate(status, mild, of_zones),
        *_starts(status),
        *_configuration(status),
        *_storage(status.outbox),
        *_cloud(status),
        *_clock(status),
        *machine_problems(status.machine),
        *_other(status, of_zones),
        *_sensors(status),
    ]


def _climate(status: HubStatus, mild: Collection[str], of_zones: Mapping[str, str]) -> Iterator[Problem]:
    for text in status.climate_problems:
        level = Level.ATTENTION if text in mild else Level.FAULT
        yield Problem(
            phrase("climate: {text}", text=of_zones.get(text, text)), "see climahub climate for the zones", level
        )


def _starts(status: HubStatus) -> Iterator[Problem]:
    if problem := starts_problem(status.starts, status.running_s):
        yield Problem(phrase("hub: it {problem}", problem=problem), _END_ADVICE)


def _configuration(status: HubStatus) -> Iterator[Problem]:
    if (trial := status.config_trial) is not None:
        what = "configuration: a change is on trial and undoes itself unless it is confirmed: {keys}"
        yield Problem(
            phrase(what, keys=", ".join(trial.keys)),
            "check that all is well, then climahub config confirm, or climahub config rollback",
        )


def _storage(outbox: OutboxReport) -> Iterator[Problem]:
    if outbox.problem:
        advice = "after a minute, readings go to the cloud from memory until then"
        yield Problem(phrase("outbox: {problem}", problem=outbox.problem), advice, Level.FAULT)
    if outbox.dropped or outbox.downsampled:
        gone = "outbox: it was full: {dropped} dropped, {downsampled} downsampled"
        what = phrase(gone, dropped=outbox.dropped, downsampled=outbox.downsampled)
        yield Problem(what, "raise storage.outbox_bytes_max, or free space on the disk")
    if outbox.dead_letters:
        refused = counted(outbox.dead_letters, "reading")
        what = phrase("cloud: {readings} refused for good", readings=refused)
        if outbox.last_refusal:
            what = phrase("{what}: {why}", what=what, why=outbox.last_refusal)
        yield Problem(what, "report the reason to the cloud's operator")
    if outbox.unconfirmed:
        missing = counted(outbox.unconfirmed, "reading")
        yield Problem(phrase("cloud: it acknowledged {readings} fewer than were sent", readings=missing))


def _cloud(status: HubStatus) -> Iterator[Problem]:
    # A moved card is a problem of its own, with its own remedy: the cloud is not asked because of it.
    found = [] if status.machine.is_card_moved else [*_link(status.link)]
    yield from found
    if status.link.shared_key:
        yield shared_key(status.link.shared_key)
    outbox, telemetry = status.outbox, status.link.endpoints.get(_TELEMETRY)
    if outbox.sendable and outbox.stalled_s > STALLED_S and not found:
        # The readings decide, whatever the polls show.
        reason = (telemetry.reason if telemetry else "") or outbox.last_refusal or "the reason is not known"
        what = phrase(
            "cloud: {readings} due, none accepted for {time}: {why}",
            readings=counted(outbox.sendable, "reading"),
            time=duration(outbox.stalled_s),
            why=reason,
        )
        yield Problem(what, _KEPT)
    if status.commands_problem and not found:
        yield Problem(phrase("commands: {problem}", problem=status.commands_problem))


def shared_key(evidence: str) -> Problem:
    """Return that another hub may use the key of this one."""
    what = phrase("cloud: another hub may use this hub's key: {why}", why=evidence)
    return Problem(what, "look for a hub with a copy of this card (docs/fleet.md), or ask the cloud's operator")


def _link(link: LinkReport) -> Iterator[Problem]:
    if link.state in {"down", *_BY_STATE}:
        problem, advice = _BY_STATE.get(link.state) or REMEDIES.get(link.cause, REMEDIES["no_connection"])
        needs_a_person = link.state in _BY_STATE or link.cause in _NEEDS_A_PERSON
        lasts = duration(link.since_s)
        what = phrase("cloud: {problem} for {time}: {why}", problem=problem, time=lasts, why=link.reason)
        yield Problem(what, advice, Level.FAULT if needs_a_person else Level.ATTENTION)
        return
    for name, endpoint in link.endpoints.items():
        if endpoint.is_failing:
            problem, advice = REMEDIES.get(endpoint.cause, REMEDIES["no_answer"])
            what = phrase(
                "cloud: {problem} for {what} ({time}, {tries}): {why}",
                problem=problem,
                what=_ENDPOINTS.get(name, name),
                time=duration(endpoint.since_s),
                tries=counted(endpoint.failures, "try", "tries"),
                why=endpoint.reason,
            )
            yield Problem(what, advice)


def _clock(status: HubStatus) -> Iterator[Problem]:
    if not status.clock.synchronised:
        what = phrase("clock: not set by NTP since the start {time} ago", time=duration(status.clock.uptime_s))
        advice = "check the network (timedatectl); schedules and readings wait for the time"
        yield Problem(what, advice, clock_level(status.clock))
    elif clock_level(status.clock) is not Level.OK and status.clock.source == "ntp":
        silent = duration(status.clock.confirmed_s_ago or 0)
        what = phrase("clock: NTP silent for {time}, {exactness}", time=silent, exactness=exactness(status.clock))
        yield Problem(what, "check the network (timedatectl); schedules and readings continue")
    elif status.outbox.unanchored:
        kept = counted(status.outbox.unanchored, "reading")
        yield Problem(phrase("clock: {readings} of an earlier boot without a time, kept apart", readings=kept))


def _other(status: HubStatus, of_zones: Mapping[str, str]) -> Iterator[Problem]:
    for sensor in status.relayed_sensors:
        if sensor.problem:
            yield Problem(phrase("sensor {name}: {problem}", name=sensor.name, problem=sensor.problem))
    if status.relay_problem and not status.relayed_sensors:
        yield Problem(phrase("relayed sensors: {problem}", problem=status.relay_problem))
    for label in status.unmatched_keys:
        what = phrase("relayed_sensors.sensor_keys_file: the key for {label} fits no sensor", label=label)
        yield Problem(what, "correct its name or IEEE address (climahub zigbee list), or pair the sensor")
    for text in status.settings.problems:
        yield Problem(phrase("settings: {problem}", problem=text))
    for fault in status.faults:
        when = phrase("last {time} ago", time=duration(fault.age_s))
        if fault.count > 1:
            when = phrase("{when}, {count} times", when=when, count=fault.count)
        text = of_zones.get(fault.text, fault.text)
        yield Problem(phrase("{component}: {text} ({when})", component=fault.component, text=text, when=when))


def _sensors(status: HubStatus) -> Iterator[Problem]:
    interval_s = int(status.settings.in_force.get("reporting_interval_seconds", 0))
    is_late = interval_s and (status.running_s or 0) > STALE_INTERVALS * interval_s
    if is_late and not any(sensor.good for sensor in status.sensors):
        what = phrase("sensors: none gave a value since the start {time} ago", time=duration(status.running_s or 0))
        yield Problem(what, "pair one (climahub zigbee pair), or check the sensors of the board", Level.FAULT)
    for sensor in status.sensors:
        if problem := trouble(sensor, interval_s=interval_s):
            yield Problem(phrase("sensor {name}: {problem}", name=name_of(sensor, status), problem=problem))


def trouble(sensor: SensorReport, *, interval_s: int) -> str:
    """Return the problem of a sensor; empty where there is none.

    Args:
        sensor: As the hub reports it.
        interval_s: How often its values are reported; 0 where that is not known.
    """
    if sensor.problem:
        return sensor.problem
    if sensor.quality in {"suspect", "bad"} and sensor.reason != NOT_REPORTED_YET:
        return phrase("{what}: {why}", what=sensor.quality, why=sensor.reason) if sensor.reason else sensor.quality
    # Relayed sensors have intervals of their own.
    if not sensor.device and interval_s and sensor.age_s is not None and sensor.age_s > STALE_INTERVALS * interval_s:
        return phrase("silent for {time}", time=duration(sensor.age_s))
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
        return phrase("right within {time}", time=f"{math.ceil(clock.error_s * 10) / 10:g} s")
    return phrase("right within {time}", time=duration(math.ceil(clock.error_s)))


def starts_problem(starts: Sequence[StartReport], running_s: int | None) -> str:
    """Return what is wrong with the last end for a day after it; empty where nothing is.

    Args:
        starts: The newest first; the first one is the present process.
        running_s: How long the present process runs.
    """
    if len(starts) < 2 or starts[1].end not in _DEFECTS or (running_s or 0) >= DAY_S:  # noqa: PLR2004 - one before
        return ""
    more = sum(start.count for start in starts[2:] if start.end in _DEFECTS)
    end = phrase("{end} {time} ago", end=end_text(starts[1]), time=duration(running_s or 0))
    return phrase("{end}; {ends} before", end=end, ends=counted(more, "such end")) if more else end


def end_text(start: StartReport) -> str:
    """Return how one process, or several in a row, ended."""
    text = END_TEXTS.get(start.end, start.end)
    if start.detail:
        text = phrase("{what} ({detail})", what=text, detail=start.detail)
    return phrase("{what}, {times} times in a row", what=text, times=start.count) if start.count > 1 else text
