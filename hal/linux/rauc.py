"""RAUC over D-Bus. The D-Bus library is imported with the first request only.

Source: the interface `de.pengutronix.rauc.Installer`, as RAUC installs it in /usr/share/dbus-1/interfaces, and RAUC's
manual, "D-Bus API". Tried with RAUC 1.8 (Debian 12). RAUC's bus policy admits every user, so the service needs no rule
of its own. RAUC runs as root and reads the image by its path; it may make root the owner of the file.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hal.errors import ImageRefused, InstallerLost
from hal.images import OnPercent, SlotMark, SlotSelector, SystemSlot, SystemState

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

CONFIG_FILES = (Path("/etc/rauc/system.conf"), Path("/run/rauc/system.conf"), Path("/usr/lib/rauc/system.conf"))
"""RAUC's configuration files (its manual, "System Configuration File"); without one it does not start."""
TIMEOUT_S = 25.0
"""D-Bus's own default (dbus_connection_send_with_reply)."""
INSTALL_S_MAX = 2 * 3600.0
"""A gigabyte takes minutes on the slowest card; a longer installation hangs."""

NAME = "de.pengutronix.rauc"
PATH = "/"
INTERFACE = "de.pengutronix.rauc.Installer"
PROPERTIES = "org.freedesktop.DBus.Properties"
BUS = "org.freedesktop.DBus"
_BUS_ERRORS = "org.freedesktop.DBus.Error."
"""Prefix of errors of the bus (no such service, no answer). RAUC's own errors have GLib's names."""
_MATCHES = (
    f"type='signal',sender='{NAME}',path='{PATH}'",
    f"type='signal',sender='{BUS}',member='NameOwnerChanged',arg0='{NAME}'",
)
_DIED, _GONE = -1, -2
"""Instead of RAUC's result: RAUC has ended, or the bus has."""


class Rauc:
    """The `ImageInstaller` of a machine with RAUC."""

    def __init__(self, *, bus_address: str | None = None, config_files: Sequence[Path] = CONFIG_FILES) -> None:
        """Prepare; nothing is requested.

        Args:
            bus_address: Of the bus; `None` for the system bus.
            config_files: One of them must exist.
        """
        self._bus_address = bus_address
        self._config_files = config_files

    @property
    def is_set_up(self) -> bool:
        """See `ImageInstaller`: it is configured; whether it answers shows when it is asked."""
        return any(path.exists() for path in self._config_files)

    async def state(self) -> SystemState:
        """See `ImageInstaller`."""
        async with self._bus() as bus:
            return await _state(bus)

    async def slots(self) -> Sequence[SystemSlot]:
        """See `ImageInstaller`."""
        async with self._bus() as bus:
            (rows,) = await _request(bus, "GetSlotStatus")
        return [_slot({key: each.value for key, each in values.items()}) for _, values in rows]

    async def read_version(self, image: Path) -> str:
        """See `ImageInstaller`."""
        async with self._bus() as bus:
            answer = await _call(bus, "Info", "s", [str(image)])
        if _is_error(answer) and str(answer.error_name).startswith(_BUS_ERRORS):
            raise InstallerLost(f"RAUC does not read an image ({_error_text(answer)}); see systemctl status rauc")
        if _is_error(answer):
            raise ImageRefused(_error_text(answer))
        return str(answer.body[1])

    async def install(self, image: Path, on_percent: OnPercent) -> None:
        """See `ImageInstaller`."""
        async with self._bus() as bus:
            ending = await _listen(bus, on_percent)
            if (await _state(bus)).is_installing:
                # Checked here: RAUC 1.8 reports itself idle once it has refused a second installation during the first.
                raise InstallerLost("RAUC is installing something already; let it end")
            await _request(bus, "InstallBundle", "sa{sv}", [str(image), {}])
            await _await_end(bus, ending)

    async def wait_until_finished(self, on_percent: OnPercent) -> None:
        """See `ImageInstaller`."""
        async with self._bus() as bus:
            ending = await _listen(bus, on_percent)
            # Requested after listening, so that no end in between is missed.
            if (await _state(bus)).is_installing:
                await _await_end(bus, ending)

    async def mark(self, mark: SlotMark, which: SlotSelector) -> None:
        """See `ImageInstaller`."""
        async with self._bus() as bus:
            await _request(bus, "Mark", "ss", [mark.value, which.value])

    @asynccontextmanager
    async def _bus(self) -> AsyncIterator["MessageBus"]:
        """Yield a connection; closed afterwards, since weeks lie between two updates."""
        from dbus_fast import AuthError, BusType, DBusError, InvalidAddressError  # noqa: PLC0415 - costs memory, needed rarely
        from dbus_fast.aio import MessageBus  # noqa: PLC0415

        bus = None
        try:
            bus = MessageBus(self._bus_address, bus_type=BusType.SYSTEM)
            async with asyncio.timeout(TIMEOUT_S):
                await bus.connect()
            yield bus
        except TimeoutError as error:
            raise InstallerLost(f"RAUC did not answer within {TIMEOUT_S:.0f} s") from error
        except (OSError, EOFError, AuthError, DBusError, InvalidAddressError) as error:
            raise InstallerLost(f"the system bus cannot be used ({error}); is D-Bus running?") from error
        finally:
            is_connected = bus is not None and bus.connected
            if bus is not None:
                bus.disconnect()
            if bus is not None and is_connected:
                with suppress(OSError, EOFError):  # the bus went away first
                    await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]


async def _listen(bus: "MessageBus", on_percent: OnPercent) -> "asyncio.Future[int]":
    """Forward progress from now on; return a future with RAUC's result at the end of the installation."""
    from dbus_fast import DBusError  # noqa: PLC0415 - see above

    ending: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def on_message(message: "Message") -> None:
        if message.member == "Completed" and message.interface == INTERFACE and not ending.done():
            ending.set_result(int(message.body[0]))
        elif message.member == "NameOwnerChanged" and message.body[0] == NAME and message.body[1] and not ending.done():
            ending.set_result(_DIED)
        elif message.member == "PropertiesChanged" and message.body[0] == INTERFACE:
            progress = message.body[1].get("Progress")
            if progress is not None:
                on_percent(int(progress.value[0]))

    async def watch_connection() -> None:
        # Ends with the connection at the latest.
        with suppress(OSError, EOFError, DBusError):
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        if not ending.done():
            ending.set_result(_GONE)

    watch = asyncio.get_running_loop().create_task(watch_connection())
    ending.add_done_callback(lambda _: watch)  # keeps the task as long as the future
    bus.add_message_handler(on_message)
    for rule in _MATCHES:
        await _request(bus, "AddMatch", "s", [rule], to=BUS)
    return ending


async def _await_end(bus: "MessageBus", ending: "asyncio.Future[int]") -> None:
    try:
        async with asyncio.timeout(INSTALL_S_MAX):
            result = await ending
    except TimeoutError as error:
        raise InstallerLost(f"RAUC has not ended an installation within {INSTALL_S_MAX:.0f} s") from error
    if result == _GONE:
        raise InstallerLost("the system bus went away during an installation")
    if result == _DIED:
        raise InstallerLost("RAUC ended during an installation")
    if result:
        raise ImageRefused((await _state(bus)).last_error or f"result {result}")


async def _state(bus: "MessageBus") -> SystemState:
    (values,) = await _request(bus, "GetAll", "s", [INTERFACE], interface=PROPERTIES)
    found = {name: each.value for name, each in values.items()}
    return SystemState(
        boot_slot=str(found.get("BootSlot", "")),
        is_installing=found.get("Operation") == "installing",
        last_error=str(found.get("LastError", "")),
    )


async def _request(
    bus: "MessageBus",
    member: str,
    signature: str = "",
    body: Sequence[object] = (),
    *,
    to: str = NAME,
    interface: str = "",
) -> list[Any]:
    answer = await _call(bus, member, signature, body, to=to, interface=interface)
    if _is_error(answer):
        raise InstallerLost(f"RAUC does not do {member} ({_error_text(answer)}); see systemctl status rauc")
    return list(answer.body)


async def _call(
    bus: "MessageBus", member: str, signature: str, body: Sequence[object], *, to: str = NAME, interface: str = ""
) -> "Message":
    from dbus_fast import Message  # noqa: PLC0415 - see above

    is_bus = to == BUS
    message = Message(
        destination=to,
        path="/org/freedesktop/DBus" if is_bus else PATH,
        interface=interface or (BUS if is_bus else INTERFACE),
        member=member,
        signature=signature,
        body=list(body),
    )
    async with asyncio.timeout(TIMEOUT_S):
        answer = await bus.call(message)
    if answer is None:
        raise InstallerLost(f"RAUC does not answer {member}")
    return answer


def _is_error(answer: "Message") -> bool:
    from dbus_fast import MessageType  # noqa: PLC0415 - see above

    return answer.message_type is MessageType.ERROR


def _error_text(answer: "Message") -> str:
    return " ".join(map(str, answer.body)) or str(answer.error_name)


def _slot(values: dict[str, Any]) -> SystemSlot:
    """Return a slot from `GetSlotStatus`; a machine without a status file leaves values out."""
    return SystemSlot(
        is_booted=values.get("state") == "booted",
        bundle_version=str(values.get("bundle.version", "")),
        is_whole=values.get("status") == "ok",
    )
