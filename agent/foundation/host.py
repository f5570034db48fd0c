"""The machine around the agent: the service manager's notifications and results, requests to reboot and to power off.

Sources: sd_notify(3), systemd.exec(5). Without systemd nothing is notified, and a reboot is refused. Owns
`last-end.json` in the run directory: systemd's result of the last process, for the next start (`start_history`). Must
stay light to import: what switches the outputs off uses it.
"""

import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from agent.errors import RebootFailed
from agent.foundation.text import sanitize


class Host(Protocol):
    """The service manager and the machine, as far as the agent needs them."""

    @property
    def watchdog_s(self) -> float | None:
        """The longest allowed time between two calls of `alive`; `None` without a watchdog."""
        ...

    def ready(self) -> None:
        """Notify that the agent is ready."""
        ...

    def alive(self, status: str) -> None:
        """Notify that the agent is alive, with a one-line status."""
        ...

    def stopping(self) -> None:
        """Notify that the agent is stopping."""
        ...

    async def ensure_can_reboot(self) -> None:
        """Check that `reboot` would be carried out.

        Raises:
            RebootFailed: It would not; the message gives the reason and a remedy.
        """
        ...

    async def reboot(self, reason: str) -> None:
        """Ask the machine to restart in good order. It goes down some time after this returned.

        Args:
            reason: For the machine's log.

        Raises:
            RebootFailed: It does not, as far as is known; try again.
        """
        ...

    async def ensure_can_power_off(self) -> None:
        """Check that `power_off` would be carried out.

        Raises:
            RebootFailed: It would not; the message gives the reason and a remedy.
        """
        ...

    async def power_off(self, reason: str) -> None:
        """Ask the machine to power off in good order. It goes down some time after this returned.

        Args:
            reason: For the machine's log.

        Raises:
            RebootFailed: It does not, as far as is known; try again.
        """
        ...


class Systemd:
    """Notifies systemd through the socket of a service with Type=notify; without a socket, does nothing."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Take the socket's address and the watchdog's period from the environment."""
        address = environ.get("NOTIFY_SOCKET", "")
        # A leading @ means the abstract name space (sd_notify(3), "Notes").
        self._address = "\0" + address[1:] if address.startswith("@") else address
        usec = environ.get("WATCHDOG_USEC", "")
        is_for_us = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._watchdog_s = int(usec) / 1e6 if usec.isdigit() and is_for_us else None

    @property
    def watchdog_s(self) -> float | None:
        """WatchdogSec= of the unit."""
        return self._watchdog_s

    def ready(self) -> None:
        """READY=1."""
        self._say("READY=1")

    def alive(self, status: str) -> None:
        """WATCHDOG=1, with the status line that `systemctl status` shows."""
        self._say(f"WATCHDOG=1\nSTATUS={status}")

    def stopping(self) -> None:
        """STOPPING=1."""
        self._say("STOPPING=1")

    async def ensure_can_reboot(self) -> None:
        """Ask logind over the system bus."""
        from agent.foundation import logind  # noqa: PLC0415 - as below

        await logind.ensure_can_reboot()

    async def reboot(self, reason: str) -> None:
        """Ask logind over the system bus."""
        from agent.foundation import logind  # noqa: PLC0415 - D-Bus costs memory, and a hub rarely restarts

        await logind.reboot(reason)

    async def ensure_can_power_off(self) -> None:
        """Ask logind over the system bus."""
        from agent.foundation import logind  # noqa: PLC0415 - as above

        await logind.ensure_can_power_off()

    async def power_off(self, reason: str) -> None:
        """Ask logind over the system bus."""
        from agent.foundation import logind  # noqa: PLC0415 - as above

        await logind.power_off(reason)

    def _say(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.setblocking(False)
                channel.sendto(text.encode(), self._address)
        except OSError:
            # The manager's buffer is full or it is restarting; the next notification will arrive.
            return


class Unmanaged:
    """A process without a service manager, on a machine that is not the hub's: a demo."""

    watchdog_s: float | None = None

    def ready(self) -> None:
        """Do nothing: there is no service manager."""

    def alive(self, status: str) -> None:
        """Do nothing: there is no service manager."""

    def stopping(self) -> None:
        """Do nothing: there is no service manager."""

    async def ensure_can_reboot(self) -> None:
        """Raise `RebootFailed`: the machine is not the hub's."""
        raise RebootFailed("this machine is not the hub's own; it is not restarted")

    async def reboot(self, reason: str) -> None:
        """Raise `RebootFailed`: the machine is not the hub's."""
        raise RebootFailed(f"this machine is not the hub's own; it is not restarted for {reason}")

    async def ensure_can_power_off(self) -> None:
        """Raise `RebootFailed`: the machine is not the hub's."""
        raise RebootFailed("this machine is not the hub's own; it is not powered off")

    async def power_off(self, reason: str) -> None:
        """Raise `RebootFailed`: the machine is not the hub's."""
        raise RebootFailed(f"this machine is not the hub's own; it is not powered off for {reason}")


SERVICE_RESULT_FILE = "last-end.json"


class ServiceResult(msgspec.Struct, frozen=True):
    """How systemd reports the end of a service: $SERVICE_RESULT, $EXIT_CODE, $EXIT_STATUS (systemd.exec(5))."""

    result: str
    code: str = ""
    status: str = ""


def record_service_result(environ: Mapping[str, str]) -> None:
    """Save systemd's result of the service for its next start. For ExecStopPost=; raises nothing.

    Not durable, and need not be: the run directory is as old as the boot.
    """
    directory, result = environ.get("RUNTIME_DIRECTORY", ""), environ.get("SERVICE_RESULT", "")
    if not directory or not result:
        return
    path = Path(directory) / SERVICE_RESULT_FILE
    said = ServiceResult(*(sanitize(environ.get(name, "")) for name in ("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS")))
    with contextlib.suppress(OSError):
        path.write_bytes(msgspec.json.encode(said))
