"""`climahub run`, for the help and shell completion. `agent.__main__` starts the daemon without this module."""

from pathlib import Path

import click

from agent import daemon, outputs
from agent.cli.exit_codes import epilog
from agent.default_paths import DEFAULT_CONFIG


@click.command(
    epilog=epilog(
        "climahub config check hub.toml && climahub run --config hub.toml",
        "systemctl start climahub        (as a service: see docs/install.md)",
        exits="0 stopped on request, 73 a directory cannot be used, 75 already running, 78 configuration refused",
    )
)
@click.option(
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    metavar="FILE",
    help="The configuration.",
)
@click.option("--outputs-off", is_flag=True, help="Only switch all relays off (ExecStopPost= of the unit).")
def run(path: Path, outputs_off: bool) -> int:
    """Run the hub until SIGTERM or Ctrl-C.

    Stopping loses nothing: readings are committed to the disk every few seconds and at the end.
    """
    return outputs.main(path) if outputs_off else daemon.main(path)
