"""`climahub zigbee`: the client that its commands share. `group` has the table of commands."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from agent.cli import hub_client
from agent.local.zigbee import ZigbeeReport

RADIO_TIMEOUT_S = 60.0
"""Restoring a network restarts the stick."""


class ZigbeeClient:
    """The Zigbee part of the local API of the hub on this machine."""

    def __init__(self, socket_path: Path) -> None:
        """Prepare; `socket_path` is the hub's socket."""
        self._path = socket_path

    def get(self, route: str = "/v1/zigbee") -> bytes:
        """Return a document.

        Raises:
            NoAnswer, NotAllowed, RequestRefused: See `hub_client.fetch`.
        """
        return hub_client.fetch(self._path, route, timeout_s=RADIO_TIMEOUT_S if route.endswith("backup") else None)

    def report(self) -> ZigbeeReport:
        """Return the radio and its sensors.

        Raises:
            NoAnswer: Also where hub and command are of different versions.
        """
        return hub_client.decode(self.get(), ZigbeeReport)

    def post(self, route: str, content: Any = None) -> None:  # noqa: ANN401 (any JSON)
        """Send a request below `/v1/zigbee`.

        Raises:
            NoAnswer, NotAllowed, RequestRefused: See `hub_client.fetch`.
        """
        body = content if isinstance(content, bytes) else msgspec.json.encode(content)
        hub_client.fetch(self._path, f"/v1/zigbee/{route}", method="POST", content=body, timeout_s=RADIO_TIMEOUT_S)

    def post_sensor(self, sensor: str, action: str, content: Any = None) -> None:  # noqa: ANN401 (any JSON)
        """Send a request about one sensor, given by name or address; raises as `post`."""
        self.post(f"sensors/{quote(sensor, safe='')}/{action}", content)


def with_zigbee_client(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command its client and the options that find the socket; explain where there is no answer."""

    @hub_client.config_option
    @hub_client.socket_option
    @functools.wraps(command)
    def wrapped(*, config_file: Path | None, socket_path: Path | None, **given: Any) -> int:  # noqa: ANN401
        return hub_client.run_on_hub(lambda path: command(ZigbeeClient(path), **given), config_file, socket_path)

    return wrapped
