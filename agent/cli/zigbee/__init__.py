"""`climahub zigbee`: the table of its commands."""

import click

from agent.cli.exit_codes import epilog
from agent.cli.zigbee import network, pairing


@click.group(
    epilog=epilog(
        "climahub zigbee status",
        "climahub zigbee pair --name attic --key-file attic.key",
        "climahub zigbee list",
    )
)
def zigbee() -> None:
    """Pair, name, replace and remove the sensors of the hub on this machine; back up and restore its network.

    Name a sensor by its name or by its address.
    """


for _command in (
    network.status,
    network.scan,
    pairing.pair,
    network.list_sensors,
    pairing.key,
    pairing.rename,
    pairing.replace,
    pairing.remove,
    network.backup,
    network.restore,
):
    zigbee.add_command(_command)
