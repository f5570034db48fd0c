"""`climahub sensors`: every sensor now with age, battery and link; the hub's own ones are read for the answer.

Its commands are in files of their own.
"""

from pathlib import Path

import click

from agent.cli import exit_codes, hub_client, watch
from agent.cli.calibrate import calibrate
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import config_option, run_on_hub, socket_option
from agent.cli.sensor_table import as_text
from agent.cli.sensors_scan import scan
from agent.local.hardware import LiveSensorsReport
from agent.local.zigbee import ZigbeeReport

ROUTE = "/v1/tests/sensors"


@click.group(
    invoke_without_command=True,
    epilog=epilog(
        "climahub sensors",
        "climahub sensors --watch",
        "climahub sensors --json | jq '.sensors[0].value'",
        "climahub sensors calibrate attic --reads 21.4",
        "climahub sensors scan",
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
    """Show everything that is measured now, where and by whom: breathe on a sensor and see which it is."""
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
sensors.add_command(scan)
