"""`climahub aqara`: the table of its commands."""

import click

from agent.cli.aqara import commands
from agent.cli.exit_codes import epilog


@click.group(
    epilog=epilog(
        "export AQARA_ENDPOINT_URL=https://aiot-open-3rd.aqara.cn/open/api AQARA_OPEN_API_TOKEN=...",
        "climahub aqara devices --room Bedroom --type TemperatureSensor",
        "climahub aqara set 'Bedroom climate' HeatingTemperature 21",
        "climahub aqara spaces",
        "climahub aqara refresh",
    )
)
def aqara() -> None:
    """Read and set the devices of an endpoint that speaks the Aqara Open API: Aqara's cloud, or another hub.

    Device and trait names come from the list in the cache, which the first command fetches and `refresh` renews.
    """


for _command in (commands.devices, commands.spaces, commands.set_trait, commands.refresh):
    aqara.add_command(_command)
