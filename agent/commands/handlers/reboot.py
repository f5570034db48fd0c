"""Restarts the host, once: the command belongs to the boot in which it began, and only in that boot is the host asked.

So whatever dies in between, and however often the request is repeated, at most one boot ends because of the command;
and a boot id that has changed proves that it did end.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agent.commands.handlers import Outcome
from agent.commands.lifecycle import Event, Moment, Record
from agent.commands.payloads import reboot_delay_s
from agent.errors import RebootFailed

_log = logging.getLogger(__name__)

GRACE_S = 120.0
"""How long a host may take to go down: systemd gives stopping services 90 s (DefaultTimeoutStopSec)."""

TRIES_MAX = 5


class Reboot:
    """The command `reboot`."""

    def __init__(
        self,
        *,
        moment: Callable[[], Moment],
        flush: Callable[[], Awaitable[None]],
        ensure_can_reboot: Callable[[], Awaitable[None]],
        reboot: Callable[[str], Awaitable[None]],
    ) -> None:
        """Prepare.

        Args:
            moment: Returns the present moment.
            flush: Puts on the disk what is in memory.
            ensure_can_reboot: Raises `RebootFailed` where the host would not restart.
            reboot: Asks the host to restart, for a reason; raises `RebootFailed`.
        """
        self._moment = moment
        self._flush = flush
        self._ensure_can_reboot = ensure_can_reboot
        self._reboot = reboot

    def check(self, payload: Mapping[str, Any]) -> None:
        """See `Handler`: nothing, or `delay_seconds`."""
        reboot_delay_s(payload)

    async def prepare(self) -> None:
        """See `Handler`: there is a host that restarts. Once the cloud has the ack, nobody tells it otherwise."""
        await self._ensure_can_reboot()

    async def execute(self, record: Record) -> Outcome:
        """See `Handler`. Ends only where the host does not: a restart ends the process first."""
        await self._wait(record)
        said = ""
        for attempt in range(TRIES_MAX):
            if attempt:
                await asyncio.sleep(GRACE_S)
            await self._flush()
            try:
                await self._reboot(f"command {record.command_id}")
            except RebootFailed as error:
                said = f": {error}"
                _log.error("the host does not restart: %s", error)
        await asyncio.sleep(GRACE_S)
        return Outcome(Event.GIVEN_UP, error_message=f"the host was asked {TRIES_MAX} times and did not restart{said}")

    async def reconcile(self, record: Record) -> Outcome | None:
        """See `Handler`: in another boot than the one it began in, it has happened."""
        if record.begun_boot == self._moment().boot_id:
            return None
        return Outcome(Event.PROVEN if record.answered_boot else Event.SUCCEED)

    async def _wait(self, record: Record) -> None:
        """Wait for the delay, which counts from the ack."""
        due_ms = record.answered_ms + reboot_delay_s(record.payload or {}) * 1000
        await asyncio.sleep(max(0, due_ms - self._moment().now_ms) / 1000)
