"""A reboot over D-Bus: the real client on a real private bus, with a logind of our own that notes the call."""

import asyncio
import gc
import shutil
from pathlib import Path
from typing import Any

import pytest

from agent.errors import RebootFailed
from agent.foundation import logind

pytest.importorskip("dbus_fast", reason="the D-Bus client is not installed")
if shutil.which("dbus-daemon") is None:
    pytest.skip("dbus-daemon is not installed", allow_module_level=True)

from dbus_fast import BusType, Message, MessageType, RequestNameReply
from dbus_fast.aio import MessageBus


class Logind:
    """Answers the one method, as it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str | None, str | None, str, list[Any]]] = []
        self.members: list[str | None] = []
        self.error = ""
        self.is_silent = False
        self.can_reboot = "yes"

    async def serve(self, address: str) -> MessageBus:
        bus = await MessageBus(address, bus_type=BusType.SYSTEM).connect()
        bus.add_message_handler(self._handle)
        assert await bus.request_name(logind.DESTINATION) is RequestNameReply.PRIMARY_OWNER
        return bus

    def _handle(self, message: Message) -> Message | bool | None:
        if message.message_type is not MessageType.METHOD_CALL or message.interface != logind.INTERFACE:
            return None
        if message.member in {"CanReboot", "CanPowerOff"} and not self.error and not self.is_silent:
            return Message.new_method_return(message, "s", [self.can_reboot])
        self.members.append(message.member)
        self.calls.append((message.path, message.interface, message.signature, message.body))
        if self.is_silent:
            return True
        if self.error:
            return Message.new_error(message, self.error, "Interactive authentication required.")
        return Message.new_method_return(message)


async def test_reboot_is_requested_without_interactive_authorisation(bus: str) -> None:
    manager = Logind()
    served = await manager.serve(bus)
    await logind.reboot("command c1", bus_address=bus)
    assert manager.calls == [(logind.PATH, "org.freedesktop.login1.Manager", "b", [False])]
    served.disconnect()


async def test_power_off_is_asked_for_by_its_own_name_and_needs_its_own_rule(bus: str) -> None:
    manager = Logind()
    served = await manager.serve(bus)
    await logind.ensure_can_power_off(bus_address=bus)
    await logind.power_off("the battery is empty", bus_address=bus)
    assert (manager.members, manager.calls[-1][2:]) == (["PowerOff"], ("b", [False]))
    manager.can_reboot = "challenge"
    with pytest.raises(RebootFailed, match=r"would not power off: .* polkit rule for .*login1\.power-off "):
        await logind.ensure_can_power_off(bus_address=bus)
    manager.error = "org.freedesktop.DBus.Error.AccessDenied"
    with pytest.raises(RebootFailed, match=r"does not let the machine power off .*login1\.power-off "):
        await logind.power_off("the battery is empty", bus_address=bus)
    served.disconnect()


async def test_refused_reboot_names_what_is_missing(bus: str) -> None:
    manager = Logind()
    manager.error = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
    served = await manager.serve(bus)
    with pytest.raises(RebootFailed, match=r"InteractiveAuthorizationRequired.*polkit rule"):
        await logind.reboot("command c1", bus_address=bus)
    served.disconnect()


async def test_no_logind_on_the_bus(bus: str) -> None:
    with pytest.raises(RebootFailed, match="ServiceUnknown"):
        await logind.reboot("command c1", bus_address=bus)


async def test_missing_bus(tmp_path: Path) -> None:
    with pytest.raises(RebootFailed, match="is D-Bus running"):
        await logind.reboot("command c1", bus_address=f"unix:path={tmp_path}/nowhere")


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # dbus-fast leaves it to the collector to close the socket
async def test_bus_without_access(closed_bus: str) -> None:
    with pytest.raises(RebootFailed, match="is D-Bus running"):
        await logind.reboot("command c1", bus_address=closed_bus)
    with pytest.raises(RebootFailed, match="is D-Bus running"):
        await logind.reboot("command c1", bus_address="nonsense")
    await asyncio.sleep(0)
    gc.collect()


async def test_logind_without_an_answer(bus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logind, "TIMEOUT_S", 0.2)
    manager = Logind()
    manager.is_silent = True
    served = await manager.serve(bus)
    with pytest.raises(RebootFailed, match="did not answer"):
        await logind.reboot("command c1", bus_address=bus)
    served.disconnect()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("no", "polkit rule"),
        ("challenge", "polkit rule"),
        ("na", "this machine cannot"),
        ("inhibited", "systemd-inhibit --list"),
        ("inhibitor-blocked", "systemd-inhibit --list"),
        ("perhaps", 'logind says "perhaps"'),
    ],
)
async def test_impossible_reboot_is_known_beforehand(bus: str, answer: str, told: str) -> None:
    manager = Logind()
    manager.can_reboot = answer
    served = await manager.serve(bus)
    with pytest.raises(RebootFailed, match=told):
        await logind.ensure_can_reboot(bus_address=bus)
    manager.can_reboot = "yes"
    await logind.ensure_can_reboot(bus_address=bus)
    assert manager.calls == []
    served.disconnect()


async def test_missing_logind_is_known_beforehand(bus: str, tmp_path: Path) -> None:
    with pytest.raises(RebootFailed, match="no logind answers on the system bus"):
        await logind.ensure_can_reboot(bus_address=bus)
    with pytest.raises(RebootFailed, match="is D-Bus running"):
        await logind.ensure_can_reboot(bus_address=f"unix:path={tmp_path}/nowhere")
