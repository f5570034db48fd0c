"""Keeps the announcement as the listeners are: announces them, renews it where they change, or avahi starts again.

The D-Bus library is imported once there is something to announce and avahi runs. Must never be a fault: a network
without an announcement still has the hub, by its address.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.port.announcement.records import ServiceRecord, instance_name

if TYPE_CHECKING:
    from agent.port.announcement.avahi import AvahiClient

_log = logging.getLogger(__name__)

LOOK_S = 10.0
"""How often the listeners are compared with what is announced, as often as they themselves look for interfaces."""

CHECK_LOOKS = 6
"""avahi is asked once in so many looks whether the announcement is still there."""

RETRY_S = 60.0
"""After avahi was not there, or has refused."""

NAMES_MAX = 20
"""So many names are tried: more hubs in one network have names of their own."""

AVAHI_SOCKET = Path("/run/avahi-daemon/socket")
"""It exists while avahi runs."""


class Announcement:
    """The announcement of one hub. Its loop is `run`."""

    def __init__(
        self,
        host: str,
        *,
        services: Callable[[], Sequence[ServiceRecord]],
        bus_address: str | None = None,
        avahi_socket: Path = AVAHI_SOCKET,
    ) -> None:
        """Prepare; nothing is announced.

        Args:
            host: The name of the machine.
            services: Returns what there is to announce now.
            bus_address: Of D-Bus; `None` for the system bus.
            avahi_socket: Without it nobody is asked.
        """
        self._name = instance_name(host)
        self._services = services
        self._bus_address = bus_address
        self._avahi_socket = avahi_socket
        self._problem = ""

    async def run(self) -> None:
        """Announce until cancelled, then take the announcement back."""
        while True:
            if self._services() and self._avahi_socket.exists():
                await self._keep()
                await asyncio.sleep(RETRY_S)
            else:
                await asyncio.sleep(LOOK_S)

    async def _keep(self) -> None:
        """Announce, and keep it so until avahi fails."""
        from agent.port.announcement.avahi import AnnouncementFailed, AvahiClient  # noqa: PLC0415 - see above

        client = AvahiClient(bus_address=self._bus_address)
        try:
            await client.connect()
            await self._follow(client)
        except AnnouncementFailed as error:
            if str(error) != self._problem:
                _log.info("the port is not announced in the network: %s", error)
            self._problem = str(error)
        finally:
            client.close()

    async def _follow(self, client: "AvahiClient") -> None:
        from agent.port.announcement.avahi import NameTaken  # noqa: PLC0415 - as above

        name, names_count, announced = self._name, 1, None
        looks = 0
        while True:
            try:
                if (wanted := self._services()) != announced:
                    await client.announce(name, wanted)
                    announced = wanted
                    self._problem = ""
                    _log.info("announced in the network as %s", name)
                elif looks % CHECK_LOOKS == 0:
                    await client.check()
            except NameTaken:
                if names_count == NAMES_MAX:
                    raise
                name, names_count, announced = await client.other_name(name), names_count + 1, None
                continue
            looks += 1
            await asyncio.sleep(LOOK_S)
