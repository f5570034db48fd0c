"""`climahub zigbee status`, `list`, `backup` and `restore`: the radio, its network, and every member with its problem.

A backup holds the network's key: its file is readable by its owner only.
"""

import os
from pathlib import Path

import click

from agent.cli import exit_codes, hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import ZigbeeClient, with_zigbee_client
from agent.cli.lines import is_agreed
from agent.foundation.format import duration, measured, plural
from agent.local.hardware import RadioScanReport
from agent.local.routes import BACKUP_BYTES_MAX
from agent.local.zigbee import MemberReport, PairedSensor, RouterReport, ZigbeeReport

SECRET_MODE = 0o600

BAR_CHARACTERS = 40

_EXITS = "0 the hub answered, also with problems, 3 it does not answer, 77 this user may not ask"
_BACKUP_EXITS = (
    "0 done, 1 the hub refuses, 3 the hub does not answer, 73 the file cannot be used, 77 this user may not ask"
)

_file = click.Path(dir_okay=False, path_type=Path)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print the document as the hub gives it.")

_STATES = {
    "joined": "is being interviewed",
    "interviewed": "waits for its key",
    "keyed": "is being registered with the cloud",
    "registered": "registered",
    "relaying": "relaying",
    "leaving": "leaving",
}


@click.command(epilog=epilog("climahub zigbee status", "climahub zigbee status --json | jq .radio", exits=_EXITS))
@_json_option
@with_zigbee_client
def status(hub: ZigbeeClient, as_json: bool) -> int:
    """Show the radio, and the sensors with a problem."""
    click.echo(hub_client.as_json(hub.get()) if as_json else status_text(hub.report()))
    return exit_codes.OK


@click.command(epilog=epilog("climahub zigbee scan", exits=_EXITS))
@_json_option
@with_zigbee_client
def scan(hub: ZigbeeClient, as_json: bool) -> int:
    """Measure how busy each radio channel is, in some 5 s. The network stays up."""
    body = hub.scan()
    click.echo(hub_client.as_json(body) if as_json else scan_text(hub_client.decode(body, RadioScanReport)))
    return exit_codes.OK


def scan_text(report: RadioScanReport) -> str:
    """Return the channels as bars, and what they mean."""
    lines = [
        f"{each.channel:>3}{'*' if each.is_own else ' '} {each.energy:>4} {'#' * (each.energy * BAR_CHARACTERS // 255)}"
        for each in report.channels
    ]
    return "\n".join([*lines, "", "* the channel of this network", report.sentence])


@click.command("list", epilog=epilog("climahub zigbee list", exits=_EXITS))
@_json_option
@with_zigbee_client
def list_sensors(hub: ZigbeeClient, as_json: bool) -> int:
    """List every member of the network: state, last values, link quality of the last hop (LQI)."""
    click.echo(hub_client.as_json(hub.get()) if as_json else "\n".join(table(hub.report())))
    return exit_codes.OK


@click.command(epilog=epilog("climahub zigbee backup network.json", exits=_BACKUP_EXITS))
@click.argument("file", type=_file)
@click.option("--overwrite", is_flag=True, help="Replace an existing FILE.")
@with_zigbee_client
def backup(hub: ZigbeeClient, file: Path, overwrite: bool) -> int:
    """Write the network's settings to FILE, in the format of the Open Coordinator Backup.

    Keep FILE secret: it holds the network's key, with which anybody can listen in. Only you can read it.
    """
    if file.exists() and not overwrite:
        click.echo(f"name another file, or add --overwrite: {file} exists", err=True)
        return exit_codes.CANNOT_CREATE
    data = hub.get("/v1/zigbee/backup")
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, SECRET_MODE), "wb") as opened:
        os.fchmod(opened.fileno(), SECRET_MODE)
        opened.write(data)
    click.echo(f"keep it secret: {file}, {len(data)} bytes")
    return exit_codes.OK


@click.command(epilog=epilog("climahub zigbee restore network.json", exits=_BACKUP_EXITS))
@click.argument("file", type=_file)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@with_zigbee_client
def restore(hub: ZigbeeClient, file: Path, yes: bool) -> int:
    """Write the network in FILE to the stick. The network that the stick holds is lost."""
    with file.open("rb") as opened:
        data = opened.read(BACKUP_BYTES_MAX + 1)
    if len(data) > BACKUP_BYTES_MAX:
        click.echo(
            f"name another file: {file} is larger than {BACKUP_BYTES_MAX} bytes, so it is not a backup", err=True
        )
        return exit_codes.FAILED
    # A hub that does not answer is reported before a person is asked.
    hub.get()
    if not yes and not is_agreed("Restore, and lose the network on the stick?"):
        raise click.Abort
    hub.post("restore", data)
    click.echo("restored; the sensors of that network report again on their own")
    return exit_codes.OK


def status_text(report: ZigbeeReport) -> str:
    """Return the radio and the problems of sensors as lines."""
    radio = report.radio
    lines = [f"radio     {radio.state}" + (f" on {radio.port}" if radio.port else "")]
    if radio.channel:
        lines.append(f"network   channel {radio.channel}, PAN 0x{radio.pan_id:04x}")
    if radio.state != "none":
        left_s = radio.join_window_left_s
        lines.append(f"joining   {'closed' if left_s is None else f'open for {duration(left_s)} more'}")
    relaying = sum(sensor.stage == "relaying" for sensor in report.sensors)
    lines.append(f"sensors   {len(report.sensors)}, {relaying} of them relaying")
    lines += [f"          {step}" for step in radio.steps]
    problems = [text for text in (radio.problem, report.problem) if text]
    problems += [f"{sensor.name}: {sensor.problem}" for sensor in report.sensors if sensor.problem]
    problems += [
        f"{sensor.name}: silent for longer than its reporting interval"
        for sensor in report.sensors
        if _is_silent(sensor)
    ]
    if problems and radio.state != "none":
        lines += ["", plural(len(problems), "problem").upper(), *(f"  ! {problem}" for problem in problems)]
    return "\n".join(lines)


def table(report: ZigbeeReport) -> list[str]:
    """Return the sensors, the routers, then all other members of the network, as lines of columns, a heading first."""
    if not report.sensors and not report.routers and not report.others:
        return ["no sensor yet; to add one: climahub zigbee pair"]
    rows = [("NAME", "ADDRESS", "STATE", "LQI", "LAST VALUES"), *map(_row, report.sensors)]
    rows += [
        (router.about, router.device, "router" if router.is_online is not False else "offline", _lqi(router), "")
        for router in report.routers
    ]
    rows += [(other.about or "-", other.device, _state_of(other), _lqi(other), "") for other in report.others]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join((*(f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)), row[4])).rstrip()
        for row in rows
    ]
    notes = [f"{sensor.name}: {note}" for sensor in report.sensors for note in sensor.notes]
    notes += [f"{other.about or other.device}: {note}" for other in report.others for note in other.notes]
    return lines + (["", *notes] if notes else [])


def _is_silent(sensor: PairedSensor) -> bool:
    return sensor.is_online is False and sensor.stage == "relaying" and not sensor.problem


def _row(sensor: PairedSensor) -> tuple[str, str, str, str, str]:
    state = "offline" if _is_silent(sensor) else _STATES.get(sensor.stage, sensor.stage)
    if sensor.problem and sensor.stage != "interviewed":
        state += " (!)"
    values = [
        f"{reading.kind} {measured(reading.value, reading.unit)}"
        for reading in sensor.readings
        if reading.value is not None
    ]
    ages_s = [reading.age_s for reading in sensor.readings if reading.age_s is not None]
    last = ", ".join(values) + (f", {duration(min(ages_s))} ago" if ages_s else "")
    return (sensor.name, sensor.device, state, _lqi(sensor), last)


def _state_of(other: MemberReport) -> str:
    if not other.is_interviewed:
        return "not interviewed"
    return "offline" if other.is_online is False else "measures nothing for the hub"


def _lqi(device: PairedSensor | RouterReport | MemberReport) -> str:
    return "-" if device.lqi_last_hop is None else str(device.lqi_last_hop)
