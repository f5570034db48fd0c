"""Asks systemd-logind over D-Bus to restart the machine, or to power it off. Imported only for that.

Source: org.freedesktop.login1(5): methods CanReboot(), Reboot(b interactive), CanPowerOff() and PowerOff(b interactive)
of the manager object. A service user other than root needs a polkit rule for org.freedesktop.login1.reboot or
.power-off and, while somebody is logged in, .reboot-multiple-sessions or .power-off-multiple-sessions.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from agent.errors import RebootFailed
from agent.foundation.text import sanitize

_log = logging.getLogger(__name__)

TIMEOUT_S = 25.0
"""D-Bus's own default (dbus_connection_send_with_reply): logind answers at once or not at all."""

DESTINATION = "org.freedesktop.login1"
PATH = "/org/freedesktop/login1"
INTERFACE = "org.freedesktop.login1.Manager"

CAN = "yes"
_RULE = "the service's user needs a polkit rule for org.freedesktop.login1.{action} (docs/install.md, polkitd)"
_IS_INHIBITED = "a program holds the machine up (systemd-inhibit --list names it)"
_REFUSALS: Mapping[str, str] = MappingProxyType(
    {
        "no": f"it is not allowed; {_RULE}",
        "challenge": f"it would ask for a password; {_RULE}",
        "na": "the service manager of this machine cannot do it",
        "inhibited": _IS_INHIBITED,
        "inhibitor-blocked": _IS_INHIBITED,
        "challenge-inhibitor-blocked": _IS_INHIBITED,
    }
)
"""The answers of CanReboot and CanPowerOff other than "yes" (the last three since systemd 257)."""


class _Way(msgspec.Struct, frozen=True):
    """One way for a machine to go down: logind's method, polkit's action, and the words for people."""

    method: str
    action: str
    verb: str


_REBOOT = _Way("Reboot", "reboot", "restart")
_POWER_OFF = _Way("PowerOff", "power-off", "power off")


async def ensure_can_reboot(*, bus_address: str | None = None) -> None:
    """Check that logind would restart the machine for this user, without an interactive question.

    Args:
        bus_address: Of the bus; `None` for the system's.

    Raises:
        RebootFailed: There is no bus or no logind, or it would refuse; the message gives a remedy.
    """
    await _ensure(_REBOOT, bus_address)


async def ensure_can_power_off(*, bus_address: str | None = None) -> None:
    """Check that logind would power the machine off for this user; otherwise as `ensure_can_reboot`.

    Raises:
        RebootFailed: It would not.
    """
    await _ensure(_POWER_OFF, bus_address)


async def _ensure(way: _Way, bus_address: str | None) -> None:
    (answer,) = await _call(way, f"Can{way.method}", "", [], bus_address) or ("nothing",)
    if answer != CAN:
        refusal = _REFUSALS.get(str(answer), f'logind says "{sanitize(str(answer))}"').format(action=way.action)
        raise RebootFailed(f"the machine would not {way.verb}: {refusal}")


async def reboot(reason: str, *, bus_address: str | None = None) -> None:
    """Request an orderly restart; shutdown inhibitors are respected.

    Args:
        reason: For the agent's log: logind takes none.
        bus_address: Of the bus; `None` for the system's.

    Raises:
        RebootFailed: There is no bus or no logind, it refused, or it did not answer, which may also mean that
            the machine is already going down.
    """
    _log.warning("asking logind to restart the machine: %s", reason)
    await _call(_REBOOT, _REBOOT.method, "b", [False], bus_address)


async def power_off(reason: str, *, bus_address: str | None = None) -> None:
    """Request an orderly power-off; otherwise as `reboot`.

    Raises:
        RebootFailed: As for `reboot`.
    """
    _log.warning("asking logind to power the machine off: %s", reason)
    await _call(_POWER_OFF, _POWER_OFF.method, "b", [False], bus_address)


async def _call(way: _Way, member: str, signature: str, body: list[Any], bus_address: str | None) -> Sequence[Any]:
    from dbus_fast import (  # noqa: PLC0415 - see above
        AuthError,
        BusType,
        DBusError,
        InvalidAddressError,
        Message,
        MessageType,
    )
    from dbus_fast.aio import MessageBus  # noqa: PLC0415

    bus = None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            bus = await MessageBus(bus_address, bus_type=BusType.SYSTEM).connect()
            answer = await bus.call(
                Message(
                    destination=DESTINATION,
                    path=PATH,
                    interface=INTERFACE,
                    member=member,
                    signature=signature,
                    body=body,
                )
            )
    except TimeoutError as error:
        raise RebootFailed(f"logind did not answer within {TIMEOUT_S:.0f} s") from error
    except (OSError, EOFError, AuthError, DBusError, InvalidAddressError) as error:
        text = sanitize(str(error)) or type(error).__name__
        raise RebootFailed(
            f"the machine does not {way.verb}: the system bus cannot be used ({text}); is D-Bus running?"
            " apt-get install dbus; systemctl start dbus.socket"
        ) from error
    finally:
        if bus is not None:
            bus.disconnect()
    if answer.message_type is not MessageType.ERROR:
        return answer.body
    answer_text = sanitize(f"{answer.error_name}: {' '.join(map(str, answer.body))}")
    if str(answer.error_name).rpartition(".")[2] in _ABSENT:
        raise RebootFailed(f"the machine does not {way.verb}: no logind answers on the system bus ({answer_text})")
    rule = _RULE.format(action=way.action)
    raise RebootFailed(f"logind does not let the machine {way.verb} ({answer_text}); {rule}")


_ABSENT = frozenset({"ServiceUnknown", "NameHasNoOwner"})
