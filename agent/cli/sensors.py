"""`climahub sensors`: every sensor now with age, battery and link; the hub's own ones are read for the answer.

Its commands are in files of their own.
"""

from collections.abc import Sequence
from pathlib import Path

import click

from agent.cli import exit_codes, hub_client, watch
from agent.cli.calibrate import calibrate
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import config_option, run_on_hub, socket_option
from agent.foundation.format import duration, measured
from agent.local.hardware import LiveSensorReport, LiveSensorsReport
from agent.local.zigbee import PairedSensor, ZigbeeReport
from hal.interface import SensorKind

ROUTE = "/v1/tests/sensors"


@click.group(
    invoke_without_command=True,
    epilog=epilog(
        "climahub sensors",
        "climahub sensors --watch",
        "climahub sensors --json | jq '.sensors[0].value'",
        "climahub sensors calibrate attic --reads 21.4",
        exits="0 the hub answered, 3 it does not answer, 77 this user may not ask",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print the document as the hub gives it.")
@watch.watch_option
@config_option
@socket_option
@click.pass_context
def sensors(
    context: click.Context, as_json: bool, is_watched: bool, config_file: Path | None, socket_path: Path | None
) -> int:
    """Show every sensor now, with battery and radio link: breathe on one and see which it is."""
    if context.invoked_subcommand is not None:
        if config_file or socket_path or as_json or is_watched:
            raise click.UsageError(f"put the options after {context.invoked_subcommand}")
        return exit_codes.OK

    def ask(path: Path) -> None:
        def render() -> str:
            body = hub_client.fetch(path, ROUTE)
            if as_json:
                return hub_client.as_json(body)
            radio = hub_client.decode(hub_client.fetch(path, "/v1/zigbee"), ZigbeeReport)
            return as_text(hub_client.decode(body, LiveSensorsReport), radio)

        watch.show(render, is_watched=is_watched)

    return run_on_hub(ask, config_file, socket_path)


sensors.add_command(calibrate)

HEADINGS = ("SENSOR", "VALUES", "AGE", "BATTERY", "LINK", "")
_ASIDE = {SensorKind.BATTERY_LEVEL, SensorKind.SIGNAL_STRENGTH}
"""Kinds that have a column of their own."""


def as_text(report: LiveSensorsReport, radio: ZigbeeReport) -> str:
    """Return a line for each sensor of the hub's own and for each relayed device, a heading first."""
    paired = {sensor.device: sensor for sensor in radio.sensors}
    own = [_own_row(sensor) for sensor in report.sensors if not sensor.device]
    devices = dict.fromkeys([*(sensor.device for sensor in report.sensors if sensor.device), *paired])
    relayed = [
        _relayed_row(device, [each for each in report.sensors if each.device == device], paired.get(device))
        for device in devices
    ]
    if not own and not relayed:
        return "this hub has no sensor"
    rows = [HEADINGS, *own, *relayed]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        f"{name:{widths[0]}}  {values:{widths[1]}}  {age:>{widths[2]}}  {battery:>{widths[3]}}  {link:>{widths[4]}}"
        f"  {problem}".rstrip()
        for name, values, age, battery, link, problem in rows
    )


def _own_row(sensor: LiveSensorReport) -> tuple[str, ...]:
    age = "now" if sensor.value is not None else "-"
    told = "; ".join(filter(None, (sensor.problem, sensor.doubt)))
    return sensor.sensor, f"{sensor.kind} {_value(sensor)}", age, "", "", told


def _value(sensor: LiveSensorReport) -> str:
    """Return a value with its uncertainty, where it has one."""
    text = measured(sensor.value, sensor.unit)
    return text if sensor.uncertainty is None or sensor.value is None else f"{text} ±{sensor.uncertainty:.1f}"


def _relayed_row(device: str, values: Sequence[LiveSensorReport], paired: PairedSensor | None) -> tuple[str, ...]:
    by_kind = {each.kind: each for each in values}
    battery, signal = (by_kind.get(kind) for kind in (SensorKind.BATTERY_LEVEL, SensorKind.SIGNAL_STRENGTH))
    shown = ", ".join(measured(each.value, each.unit) for each in values if each.kind not in _ASIDE)
    ages = [each.age_s for each in values if each.age_s is not None]
    lqi = paired.lqi_last_hop if paired else None
    problems = [text for each in values for text in (each.problem, each.doubt)] + ([paired.problem] if paired else [])
    if paired is not None and paired.is_online is False:
        problems.append("silent: check its battery, then its distance from the hub")
    return (
        paired.name if paired else device,
        shown or "-",
        duration(min(ages)) if ages else "-",
        measured(battery.value, battery.unit) if battery else "",
        f"LQI {lqi}" if lqi is not None else measured(signal.value, signal.unit) if signal else "",
        "; ".join(dict.fromkeys(filter(None, problems))),
    )
