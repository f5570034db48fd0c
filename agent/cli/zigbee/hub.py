"""What all commands of `climahub zigbee` share: finding the hub, asking it, telling why it does not answer."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import msgspec

from agent.cli import exits, local_client
from agent.cli.asking import ADVICE, config_option, socket_of, socket_option
from agent.local.zigbee import ZigbeeReport

RADIO_TIMEOUT_S = 60.0
"""A stick that is given another network starts anew with it."""


class LocalHub:
    """The hub on this machine."""

    def __init__(self, socket_path: Path) -> None:
        """Prepare.

        Args:
            socket_path: The hub's door.
        """
        self._path = socket_path

    def get(self, what: str = "/v1/zigbee") -> bytes:
        """Return a document.

        Raises:
            NoAnswer, NotAllowed, Refused: See `local_client.fetch`.
        """
        return local_client.fetch(self._path, what, timeout_s=RADIO_TIMEOUT_S if what.endswith("backup") else None)

    def report(self) -> ZigbeeReport:
        """Return the radio and its sensors.

        Raises:
            NoAnswer: Also where hub and command are of different versions.
        """
        return local_client.decode(self.get(), ZigbeeReport)

    def post(self, what: str, asked: Any = None) -> None:  # noqa: ANN401 (any JSON)
        """Ask the hub to do something.

        Raises:
            Refused: It does not; the message says why.
            NoAnswer, NotAllowed: See `local_client.fetch`.
        """
        content = asked if isinstance(asked, bytes) else msgspec.json.encode(asked)
        local_client.fetch(self._path, f"/v1/zigbee/{what}", method="POST", content=content, timeout_s=RADIO_TIMEOUT_S)

    def sensor(self, called: str, what: str, asked: Any = None) -> None:  # noqa: ANN401 (any JSON)
        """Ask for something about one sensor, which may be called by name or address; raises as `post`."""
        self.post(f"sensors/{quote(called, safe='')}/{what}", asked)


def asks_hub(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the hub and the options that find it; tell why where there is no answer."""

    @config_option
    @socket_option
    @functools.wraps(command)
    def wrapped(*, config_file: Path | None, socket_path: Path | None, **given: Any) -> int:  # noqa: ANN401
        try:
            return command(LocalHub(socket_path or socket_of(config_file)), **given)
        except local_client.NoAnswer as error:
            click.echo(f"{error}\n{ADVICE}", err=True)
            return exits.NO_DAEMON
        except local_client.NotAllowed as error:
            click.echo(str(error), err=True)
            return exits.NO_PERMISSION
        except local_client.Refused as error:
            click.echo(str(error), err=True)
            return exits.FAILED

    return wrapped
