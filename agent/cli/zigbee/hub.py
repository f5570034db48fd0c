"""What all commands of `climahub zigbee` share: finding the hub, asking it, telling why it does not answer."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from agent.cli import hub_client
from agent.cli.asking import asked, config_option, socket_option
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
        return hub_client.fetch(self._path, what, timeout_s=RADIO_TIMEOUT_S if what.endswith("backup") else None)

    def report(self) -> ZigbeeReport:
        """Return the radio and its sensors.

        Raises:
            NoAnswer: Also where hub and command are of different versions.
        """
        return hub_client.decode(self.get(), ZigbeeReport)

    def post(self, what: str, content: Any = None) -> None:  # noqa: ANN401 (any JSON)
        """Ask the hub to do something.

        Raises:
            Refused: It does not; the message says why.
            NoAnswer, NotAllowed: See `local_client.fetch`.
        """
        body = content if isinstance(content, bytes) else msgspec.json.encode(content)
        hub_client.fetch(self._path, f"/v1/zigbee/{what}", method="POST", content=body, timeout_s=RADIO_TIMEOUT_S)

    def sensor(self, called: str, what: str, content: Any = None) -> None:  # noqa: ANN401 (any JSON)
        """Ask for something about one sensor, which may be called by name or address; raises as `post`."""
        self.post(f"sensors/{quote(called, safe='')}/{what}", content)


def asks_hub(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the hub and the options that find it; tell why where there is no answer."""

    @config_option
    @socket_option
    @functools.wraps(command)
    def wrapped(*, config_file: Path | None, socket_path: Path | None, **given: Any) -> int:  # noqa: ANN401
        return asked(lambda path: command(LocalHub(path), **given), config_file, socket_path)

    return wrapped
