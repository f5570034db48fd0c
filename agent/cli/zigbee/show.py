"""`climahub zigbee status` and `list`: the radio, and every member of its network with its problem."""

import click

from agent.cli import exit_codes, hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import ZigbeeClient, with_zigbee_client
from agent.foundation.format import duration, measured, plural
from agent.local.zigbee import MemberReport, PairedSensor, RouterReport, ZigbeeReport

_EXITS = "0 the hub answered, also with problems, 3 it does not answer, 77 this user may not ask"

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


@click.command("list", epilog=epilog("climahub zigbee list", exits=_EXITS))
@_json_option
@with_zigbee_client
def list_sensors(hub: ZigbeeClient, as_json: bool) -> int:
    """List every member of the network: state, last values, link quality of the last hop (LQI)."""
    click.echo(hub_client.as_json(hub.get()) if as_json else "\n".join(table(hub.report())))
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
