"""`climahub status`: the state of the hub on one screen, problems and remedies first."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from agent.cli import hub_client, watch
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import config_option, run_on_hub, socket_option
from agent.foundation.format import duration, measured, plural, size, traffic
from agent.local.problems import end_text, exactness, name_of, problems, trouble
from agent.local.status import ClockStatus, HubStatus, LinkReport, MachineReport, QuotaReport, StartReport

_CLOCK_SOURCES = {"ntp": "NTP", "cloud": "the cloud", "rtc": "the clock battery", "system": "configuration"}


@click.command(
    epilog=epilog(
        "climahub status",
        "climahub status --watch",
        "climahub status --json | jq .outbox.pending",
        exits="0 the hub answered, also with problems, 3 it does not answer, 77 this user may not ask",
    )
)
@click.option("--json", "as_json", is_flag=True, help="Print the status document as the hub gives it.")
@watch.watch_option
@config_option
@socket_option
def status(as_json: bool, is_watched: bool, config_file: Path | None, socket_path: Path | None) -> int:
    """Show the state of the hub on this machine, problems and their remedies first."""

    def ask(path: Path) -> None:
        def render() -> str:
            body = hub_client.fetch(path)
            return hub_client.as_json(body) if as_json else as_text(hub_client.decode(body, HubStatus))

        watch.show(render, is_watched=is_watched)

    return run_on_hub(ask, config_file, socket_path)


def as_text(status: HubStatus) -> str:
    """Return the whole screen: at most 80 columns where names allow it."""
    found = problems(status)
    head = f"climahub {status.version} on board {status.board}, {status.clock.utc or 'time unknown'}"
    lines = [head, ""]
    if found:
        lines.append(f"{plural(len(found), 'problem').upper()}")
        for problem in found:
            lines.append(f"  ! {problem.what}")
            if problem.advice:
                lines.append(f"    -> {problem.advice}")
    else:
        lines.append("NO PROBLEMS")
    lines += ["", *_facts(status), "", *sensor_table(status)]
    lines += [f"unread    {text}" for text in status.unread_sensors]
    return "\n".join(lines)


def _facts(status: HubStatus) -> Iterator[str]:
    link, outbox, clock = status.link, status.outbox, status.clock
    accepted = "" if outbox.accepted_age_s is None else f"; a reading accepted {duration(outbox.accepted_age_s)} ago"
    yield f"cloud     {link.state} for {duration(link.since_s)}, {plural(link.outages, 'outage')} so far{accepted}"
    if link.last_error and link.state == "up":
        yield f"          last error {duration(link.last_error_age_s or 0)} ago: {link.last_error}"
    age = f", the oldest {duration(outbox.oldest_age_s)} old" if outbox.pending and outbox.oldest_age_s else ""
    yield f"outbox    {plural(outbox.pending, 'reading')} waiting{age}; {size(outbox.used_bytes)}"
    yield f"          {outbox.committed:,} taken, {outbox.accepted:,} accepted, {outbox.in_memory} still in memory"
    yield f"clock     {_clock_text(clock)}; up {duration(clock.uptime_s)}"
    if previous := starts_line(status.starts):
        yield f"started   {duration(status.running_s or 0)} ago; {previous}"
    if status.update:
        yield f"update    {status.update}"
    yield f"quotas    {_quotas(list(status.quotas.items()))}"
    if data := data_line(status.link):
        yield f"data      {data}"
    if machine := machine_line(status.machine):
        yield f"machine   {machine}"
    pending = f", {len(status.settings.pending)} on their way to the cloud" if status.settings.pending else ""
    in_force = status.settings.in_force
    interval_s = in_force.get("reporting_interval_seconds")
    yield f"settings  a report every {interval_s} s{pending}"


def data_line(link: LinkReport) -> str:
    """Return what the link costs; empty while nothing is known."""
    usage, parts = link.usage, []
    if usage.days:
        today = usage.days[0]
        parts.append(f"today {traffic(today.sent_bytes)} sent, {traffic(today.received_bytes)} received")
    if usage.bytes_per_day is not None and usage.bytes_per_month is not None:
        parts.append(f"at this rate {traffic(usage.bytes_per_day)} a day, {traffic(usage.bytes_per_month)} a month")
    return "; ".join(parts)


def machine_line(machine: MachineReport) -> str:
    """Return what is known of battery and storage; empty where nothing is."""
    ups, parts = machine.ups, []
    if ups is not None:
        mains = {True: "on mains", False: "on battery", None: "no signal of the mains"}[ups.is_mains_on]
        charge = "battery not read" if ups.charge_percent is None else f"battery {ups.charge_percent} %"
        left = "" if ups.minutes_left is None else f", about {ups.minutes_left} min left"
        parts.append(f"{mains}, {charge}{left}")
    if machine.written_bytes_per_day is not None:
        parts.append(f"{size(machine.written_bytes_per_day)} written to the storage a day")
    return "; ".join(parts)


def _clock_text(clock: ClockStatus) -> str:
    if not clock.synchronised:
        return "unknown"
    if not clock.source:
        return "right"
    since = f", known for {duration(clock.known_for_s or 0)}" if clock.source != "system" else ""
    return f"{exactness(clock)} by {_CLOCK_SOURCES[clock.source]}{since}"


def _quotas(quotas: Sequence[tuple[str, QuotaReport]]) -> str:
    used = [f"{name} {quota.used}/{quota.limit} in {duration(quota.window_s)}" for name, quota in quotas if quota.used]
    return ", ".join(used) or "none used"


def sensor_table(status: HubStatus) -> list[str]:
    """Return the sensors as lines of columns, a heading first."""
    interval_s = int(status.settings.in_force.get("reporting_interval_seconds", 0))
    rows = [
        (
            name_of(sensor, status),
            sensor.kind,
            measured(sensor.value, sensor.unit),
            "-" if sensor.age_s is None else duration(sensor.age_s),
            trouble(sensor, interval_s=interval_s) or sensor.quality or "no value yet",
        )
        for sensor in status.sensors
    ]
    if not rows:
        return ["no sensor has reported yet"]
    rows.insert(0, ("SENSOR", "KIND", "VALUE", "AGE", "STATE"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        f"{name:{widths[0]}}  {kind:{widths[1]}}  {value:>{widths[2]}}  {age:>{widths[3]}}  {state}"
        for name, kind, value, age, state in rows
    ]


def starts_line(starts: Sequence[StartReport]) -> str:
    """Return how the process before the present one ended; empty where there was none."""
    return f"before, the agent {end_text(starts[1])}" if len(starts) > 1 else ""
