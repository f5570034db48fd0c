"""Asks systemd-logind over D-Bus to restart the machine. Imported only when that is wanted.

Source: org.freedesktop.login1(5): method Reboot(b interactive) of the manager object. A service user other than root
needs a polkit rule for org.freedesktop.login1.reboot and, while somebody is logged in, .reboot-multiple-sessions.
"""

import asyncio
import logging

from agent.errors import RebootFailed

_log = logging.getLogger(__name__)

TIMEOUT_S = 25.0
"""D-Bus's own default (dbus_connection_send_with_reply): logind answers at once, or never."""

DESTINATION = "org.freedesktop.login1"
PATH = "/org/freedesktop/login1"
INTERFACE = "org.freedesktop.login1.Manager"


async def reboot(reason: str, *, bus_address: str | None = None) -> None:
    """Ask for a restart in good order; shutdown inhibitors are respected.

    Args:
        reason: For our own log: logind takes none.
        bus_address: Of the bus; `None` for the system's.

    Raises:
        RebootFailed: There is no bus or no logind, it refused, or no answer came: which may also mean that the machine
            is going down already.
    """
    from dbus_fast import (  # noqa: PLC0415 - see above
        AuthError,
        BusType,
        DBusError,
        InvalidAddressError,
        Message,
        MessageType,
    )
    from dbus_fast.aio import MessageBus  # noqa: PLC0415

    _log.warning("asking logind to restart the machine: %s", reason)
    bus = None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            bus = await MessageBus(bus_address, bus_type=BusType.SYSTEM).connect()
            answer = await bus.call(
                Message(
                    destination=DESTINATION,
                    path=PATH,
                    interface=INTERFACE,
                    member="Reboot",
                    signature="b",
                    body=[False],
                )
            )
    except TimeoutError as error:
        raise RebootFailed(f"logind did not answer within {TIMEOUT_S:.0f} s") from error
    except (OSError, EOFError, AuthError, DBusError, InvalidAddressError) as error:
        raise RebootFailed(f"the system bus cannot be used ({error}); is D-Bus running?") from error
    finally:
        if bus is not None:
            bus.disconnect()
    if answer.message_type is MessageType.ERROR:
        said = f"{answer.error_name}: {' '.join(map(str, answer.body))}"
        raise RebootFailed(
            f"logind does not restart the machine ({said}); the service's user needs a polkit rule for"
            " org.freedesktop.login1.reboot (docs/install.md)"
        )
