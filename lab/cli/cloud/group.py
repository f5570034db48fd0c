"""The table of `climahub cloud` and its default: without a sub-command it serves."""

import click

from agent.cli.exit_codes import epilog
from lab.cli.cloud import devices, faults, firmware, statistics
from lab.cli.cloud.serve import serve

_OWN_OPTIONS = {"-h", "--help"}


class ServesByDefault(click.Group):
    """`climahub cloud` and `climahub cloud --port 8080` mean `climahub cloud serve ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default in front of options that are not the group's own."""
        if not args or (args[0].startswith("-") and args[0] not in _OWN_OPTIONS):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=ServesByDefault,
    epilog=epilog(
        "export CLIMAHUB_ADMIN_TOKEN=$(head -c 18 /dev/urandom | base64)",
        "climahub cloud --port 8080 &",
        "climahub cloud provision hub-1 --key-file hub.key",
        "climahub cloud readings | tail",
        "climahub cloud faults on busy --probability 0.5",
    ),
)
def cloud() -> None:
    """Run a reference ClimaSense cloud on this machine, or operate a running one.

    Without a command it serves (see: climahub cloud serve --help). The other commands talk to the admin API of a
    cloud that runs already. A real ClimaSense cloud has no such API.
    """


for _command in (
    serve,
    devices.provision,
    devices.new_key,
    devices.list_devices,
    devices.settings,
    devices.queue_command,
    devices.list_commands,
    firmware.publish,
    firmware.offer,
    firmware.list_firmware,
    firmware.updates,
    statistics.readings,
    statistics.statistics,
    faults.faults,
    faults.listening,
):
    cloud.add_command(_command)
