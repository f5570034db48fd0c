"""`climahub sensors`: every sensor now, the hub's own ones read for the answer."""

from pathlib import Path

import click

from agent.cli import hub_client, watch
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import config_option, run_on_hub, socket_option
from agent.foundation.format import duration, measured
from agent.local.hardware import LiveSensorReport, LiveSensorsReport

ROUTE = "/v1/tests/sensors"


@click.command(
    epilog=epilog(
        "climahub sensors",
        "climahub sensors --watch",
        "climahub sensors --json | jq '.sensors[0].value'",
        exits="0 the hub answered, 3 it does not answer, 77 this user may not ask",
    )
)
@click.option("--json", "as_json", is_flag=True, help="Print the document as the hub gives it.")
@watch.watch_option
@config_option
@socket_option
def sensors(as_json: bool, is_watched: bool, config_file: Path | None, socket_path: Path | None) -> int:
    """Show every sensor now: breathe on one and see which it is."""

    def ask(path: Path) -> None:
        def render() -> str:
            body = hub_client.fetch(path, ROUTE)
            return hub_client.as_json(body) if as_json else as_text(hub_client.decode(body, LiveSensorsReport))

        watch.show(render, is_watched=is_watched)

    return run_on_hub(ask, config_file, socket_path)


def as_text(report: LiveSensorsReport) -> str:
    """Return the sensors as lines of columns, a heading first."""
    if not report.sensors:
        return "this hub has no sensor"
    rows = [("SENSOR", "KIND", "VALUE", "AGE", ""), *map(_row, report.sensors)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"{name:{widths[0]}}  {kind:{widths[1]}}  {value:>{widths[2]}}  {age:>{widths[3]}}  {problem}".rstrip()
        for name, kind, value, age, problem in rows
    )


def _row(sensor: LiveSensorReport) -> tuple[str, str, str, str, str]:
    age = "-" if sensor.age_s is None else "now" if not sensor.device else duration(sensor.age_s)
    return sensor.sensor, sensor.kind, measured(sensor.value, sensor.unit), age, sensor.problem
