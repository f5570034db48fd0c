"""The tables of the configuration by which people and programs reach the hub: local API, port, other APIs.

As `agent.config.tables`, which has the rules.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from agent.config.schema import key
from agent.config.types import file_path, host_name_list, integer, listen_list, socket_name


class LocalApiConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[local_api]`; `socket` is a full path."""

    socket: Annotated[
        Path, key("the Unix socket of the local API; a name is relative to storage.run_dir", socket_name())
    ] = Path("status.sock")


class PortConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[port]`; `listen` is empty where there is the Unix socket only."""

    listen: Annotated[
        tuple[str, ...],
        key(
            "addresses, and interfaces such as usb0; TLS on all but loopback and usb0, signing in on all",
            listen_list(),
        ),
    ] = ("127.0.0.1",)
    port: Annotated[int, key("the TCP port; 0 takes a free one", integer(0, 65_535))] = 8480
    host_names: Annotated[
        tuple[str, ...],
        key(
            "further names of this hub, such as that of a reverse proxy; requests to other names are refused",
            host_name_list(),
        ),
    ] = ()
    certificate_file: Annotated[
        Path | None,
        key(
            "PEM file with your own certificate and those above it; by default the hub makes one",
            file_path(),
            example="/etc/climahub/port.pem",
        ),
    ] = None
    key_file: Annotated[
        Path | None,
        key(
            "PEM file with its private key, readable by the agent only",
            file_path(),
            example="/etc/climahub/port.key",
        ),
    ] = None
    history: Annotated[
        Literal["7 days", "off"],
        key('what the charts show, a value a minute; wears the card by about 1 MB a day; "off" removes it'),
    ] = "7 days"


class ApisConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[apis]`: which other APIs the port answers too (docs/apis.md)."""

    aurra_home: Annotated[bool, key("answer the AURRA Home API under /aurra-home/v1 (docs/apis.md)")] = False
    amps: Annotated[bool, key("answer the Amps HVAC API under /amps (docs/apis.md)")] = False
    amps_fahrenheit: Annotated[
        bool, key("take setpoints of the Amps HVAC API in degrees Fahrenheit too, which its makers do not")
    ] = False
    aqara: Annotated[bool, key("answer the Aqara Open API under /aqara/open/api (docs/apis.md)")] = False
    aurra_facts: Annotated[bool, key("answer the Aurra facts API under /aurra (docs/apis.md)")] = False
    aqara_names_follow_spaces: Annotated[
        bool, key("show a zone under the name of the space that it is in, in the Aqara Open API")
    ] = False

    names_follow_spaces: Annotated[
        bool, key("show a zone under the name of the space that it is in, in every API and in the Home app")
    ] = False
    homekit: Annotated[
        bool, key("show the zones in Apple's Home app; needs the extra: pip install 'climahub[homekit]'")
    ] = False
    homekit_listen: Annotated[
        tuple[str, ...],
        key("addresses, and interfaces such as eth0, on which HomeKit listens and is announced", listen_list()),
    ] = ()
    homekit_port: Annotated[int, key("the TCP port of HomeKit; 0 takes a free one", integer(0, 65_535))] = 51_827

    @property
    def has_webhooks(self) -> bool:
        """Whether one of them sends webhooks."""
        return self.aurra_home or self.amps

    @property
    def any_on(self) -> bool:
        """Whether one of them is switched on."""
        return self.aurra_home or self.amps or self.aqara or self.aurra_facts or self.homekit
