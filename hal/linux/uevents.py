"""The kernel's messages about devices that come and go, where this process may receive them.

Facts: netlink(7), NETLINK_KOBJECT_UEVENT; the kernel's lib/kobject_uevent.c: a message of group 1 is a line
`ACTION@PATH`, then lines `KEY=VALUE`, each ends with a zero byte. Listening needs no privilege. The service may
only with `RestrictAddressFamilies=AF_NETLINK` (systemd/climahub-hotplug.conf), else boards search by the clock.

A message only says that something is different: what is there is always read from sysfs. Must never raise because of
a message, nor let a storm of them search without a pause.
"""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable

_log = logging.getLogger(__name__)

NETLINK_KOBJECT_UEVENT = 15
"""include/uapi/linux/netlink.h; Python's socket module does not name it."""

KERNEL_GROUP = 1
MESSAGE_BYTES_MAX = 8192
"""UEVENT_BUFFER_SIZE is 2048 (include/linux/kobject.h)."""

SETTLE_S = 2.0
"""From the first message to the search: drivers bind and make their files one after the other, a bus that glitches
removes and adds all its devices. It also limits a storm of messages to one search in that time."""

DRAIN_MAX = 4096
"""Messages that are thrown away before a search; more of them cause the next one."""

SUBSYSTEMS = frozenset({b"hwmon", b"iio", b"w1", b"i2c", b"i2c-dev", b"power_supply", b"usb", b"spi", b"net", b"rtc"})
ACTIONS = frozenset({b"add", b"remove", b"bind", b"unbind"})


def is_about_sensors(message: bytes) -> bool:
    """Return whether a message says that a device came or went that may be a sensor. Pure; any bytes are allowed."""
    fields = dict(line.split(b"=", 1) for line in message.split(b"\0") if b"=" in line)
    return fields.get(b"ACTION") in ACTIONS and fields.get(b"SUBSYSTEM") in SUBSYSTEMS


def open_uevents() -> socket.socket | None:
    """Return a socket that receives the kernel's messages; `None` where that is not allowed."""
    try:
        listener = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT)
    except OSError as error:
        _log.debug("new sensors are looked for by the clock: %s", error)
        return None
    try:
        listener.bind((0, KERNEL_GROUP))
    except OSError as error:
        _log.debug("new sensors are looked for by the clock: %s", error)
        listener.close()
        return None
    return listener


class Uevents:
    """Waits for devices that come and go."""

    def __init__(self, open_listener: Callable[[], socket.socket | None] = open_uevents) -> None:
        """Open nothing yet.

        Args:
            open_listener: Returns a datagram socket that does not block, or `None`.
        """
        self._open_listener = open_listener
        self._listener: socket.socket | None = None
        self._is_opened = False

    async def wait(self, timeout_s: float) -> None:
        """Wait until a device came or went and all is quiet again, at most for a time.

        Args:
            timeout_s: How long nothing may be heard; the search is due then as well.
        """
        if not self._is_opened:
            self._is_opened = True
            self._listener = self._open_listener()
        if self._listener is None:
            await asyncio.sleep(timeout_s)
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._receive(self._listener)
        except TimeoutError:
            return
        await asyncio.sleep(SETTLE_S)
        self._drain()

    async def _receive(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                message = await loop.sock_recv(listener, MESSAGE_BYTES_MAX)
            except OSError as error:
                if error.errno == errno.ENOBUFS:  # more messages than the socket holds: something is different for sure
                    return
                _log.warning("new sensors are looked for by the clock from now on: %s", error)
                self.close()
                await asyncio.Event().wait()
            if is_about_sensors(message):
                return

    def _drain(self) -> None:
        """Throw away what was sent meanwhile: the search that follows sees it."""
        with contextlib.suppress(OSError):
            for _ in range(DRAIN_MAX):
                if self._listener is None:
                    return
                self._listener.recv(MESSAGE_BYTES_MAX)

    def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
