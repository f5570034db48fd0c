"""The avahi of this machine, over D-Bus. Imported only where something is announced.

Source: avahi's D-Bus interfaces `org.freedesktop.Avahi.Server` and `.EntryGroup` (avahi 0.8, installed in
/usr/share/dbus-1/interfaces). Its bus policy admits every user. An announcement lasts as long as the connection of
whoever made it, so a hub that ends takes its own back. Must never hold the hub up: each request has a limit.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

from dbus_fast import AuthError, BusType, DBusError, InvalidAddressError, Message, MessageType
from dbus_fast.aio import MessageBus

from agent.errors import ClimahubError
from agent.foundation.text import sanitize
from agent.port.announcement.records import ServiceRecord

TIMEOUT_S = 10.0
"""Of one request: avahi answers at once or not at all."""

NAME = "org.freedesktop.Avahi"
SERVER = "org.freedesktop.Avahi.Server"
GROUP = "org.freedesktop.Avahi.EntryGroup"

_ALL = -1
"""AVAHI_IF_UNSPEC and AVAHI_PROTO_UNSPEC (avahi-common/address.h)."""
_COLLISION, _FAILURE = 3, 4
"""AvahiEntryGroupState (avahi-common/defs.h)."""
_COLLISION_ERROR = "org.freedesktop.Avahi.CollisionError"


class AnnouncementFailed(ClimahubError):
    """Nothing is announced. The message names the reason."""


class NameTaken(AnnouncementFailed):
    """Another hub in the network has the name."""


class AvahiClient:
    """One connection, and the announcement that lasts as long as it. `connect` first, `close` last."""

    def __init__(self, *, bus_address: str | None = None) -> None:
        """Prepare; nothing is requested.

        Args:
            bus_address: Of the bus; `None` for the system bus.
        """
        self._bus = MessageBus(bus_address, bus_type=BusType.SYSTEM)
        self._group = ""

    async def connect(self) -> None:
        """Connect to the bus.

        Raises:
            AnnouncementFailed: There is no bus.
        """
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._bus.connect()
        except (OSError, EOFError, AuthError, DBusError, InvalidAddressError, TimeoutError) as error:
            text = sanitize(str(error)) or type(error).__name__
            raise AnnouncementFailed(f"the system bus cannot be used ({text})") from error

    def close(self) -> None:
        """Take the announcement back."""
        self._bus.disconnect()

    async def announce(self, name: str, records: Sequence[ServiceRecord]) -> None:
        """Announce services in the place of the earlier ones.

        Raises:
            NameTaken: Another hub has this name.
            AnnouncementFailed: avahi is not there, or refuses.
        """
        if self._group:
            await self._call(GROUP, "Reset")
        else:
            (self._group,) = await self._call(SERVER, "EntryGroupNew")
        for record in records:
            try:
                device = socket.if_nametoindex(record.device) if record.device else _ALL
            except OSError:
                # It is gone since; the next look finds that.
                continue
            details = [text.encode() for text in record.txt]
            body = [device, _ALL, 0, name, record.type, "", "", record.port, details]
            await self._call(GROUP, "AddService", "iiussssqaay", body)
        await self._call(GROUP, "Commit")

    async def check(self) -> None:
        """Check that the announcement is still there.

        Raises:
            NameTaken: Another hub in the network has the name.
            AnnouncementFailed: avahi has ended, or has failed.
        """
        (state,) = await self._call(GROUP, "GetState")
        if state == _COLLISION:
            raise NameTaken("another hub has the name")
        if state == _FAILURE:
            raise AnnouncementFailed("avahi has failed")

    async def other_name(self, name: str) -> str:
        """Return the name to take where one is taken, as avahi counts them: "climahub hub #2".

        Raises:
            AnnouncementFailed: avahi is not there.
        """
        (other,) = await self._call(SERVER, "GetAlternativeServiceName", "s", [name])
        return str(other)

    async def _call(self, interface: str, member: str, signature: str = "", body: Sequence[Any] = ()) -> Sequence[Any]:
        path = self._group if interface == GROUP else "/"
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._bus.call(
                    Message(
                        destination=NAME,
                        path=path,
                        interface=interface,
                        member=member,
                        signature=signature,
                        body=list(body),
                    )
                )
        except TimeoutError as error:
            raise AnnouncementFailed(f"avahi did not answer within {TIMEOUT_S:.0f} s") from error
        except (OSError, EOFError, DBusError) as error:
            raise AnnouncementFailed(f"the system bus has gone ({type(error).__name__})") from error
        if answer.message_type is MessageType.ERROR:
            text = sanitize(f"{answer.error_name}: {' '.join(map(str, answer.body))}")
            kind = NameTaken if answer.error_name == _COLLISION_ERROR else AnnouncementFailed
            raise kind(f"avahi refuses ({text})")
        return answer.body
