"""The command `reboot`: restarts the host exactly once.

The command belongs to the boot in which it began, and the host is asked in that boot only. So at most one boot ends
because of it, whatever fails in between; a changed boot id confirms that it did.

Owns `reboots.json`, the times of reboots by command: a cloud that queues reboots must not keep the home cold.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from agent.commands.handlers import CommandOutcome
from agent.commands.lifecycle import CommandEvent, CommandRecord
from agent.commands.payloads import reboot_delay_s
from agent.errors import CommandInvalid, RebootFailed
from agent.foundation.clock import Now
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.worker import Worker

_log = logging.getLogger(__name__)

SHUTDOWN_GRACE_S = 120.0
"""How long a host may take to go down: systemd gives stopping services 90 s (DefaultTimeoutStopSec)."""

ATTEMPTS_MAX = 5

FILE_NAME = "reboots.json"
FILE_BYTES_MAX = 4096

INTERVAL_MS = 10 * 60 * 1000
"""Between two reboots by command: long enough for the home to be heated in between, whatever queues them."""

DAY_MS = 24 * 3600 * 1000
PER_DAY_MAX = 5
"""Reboots by command in any day."""


class RebootRequest(msgspec.Struct, frozen=True):
    """A reboot that the host was asked for. `utc_ms` is always known: a destructive command waits for the time."""

    command_id: str
    utc_ms: int


class _Content(msgspec.Struct, frozen=True):
    """Content of the file: the last requests, oldest first."""

    requests: tuple[RebootRequest, ...] = ()


def limit_reason(requests: tuple[RebootRequest, ...], utc_ms: int) -> str:
    """Return why another reboot is not allowed now; empty if it is.

    Args:
        requests: Earlier ones, oldest first. One in the future was noted while the clock was wrong.
        utc_ms: Now.
    """
    known_ms = [each.utc_ms for each in requests if utc_ms - DAY_MS < each.utc_ms <= utc_ms]
    if known_ms and utc_ms - known_ms[-1] < INTERVAL_MS:
        limit, next_ms = "at most one in 10 minutes", known_ms[-1] + INTERVAL_MS
    elif len(known_ms) >= PER_DAY_MAX:
        limit, next_ms = f"at most {PER_DAY_MAX} in 24 hours", known_ms[-PER_DAY_MAX] + DAY_MS
    else:
        return ""
    last, after = (datetime.fromtimestamp(ms // 1000, UTC).strftime("%H:%M") for ms in (known_ms[-1], next_ms + 59_999))
    return f"the hub was rebooted by command at {last} UTC; {limit}, so send it again after {after} UTC"


class RebootHandler:
    """The handler of the command."""

    def __init__(
        self,
        *,
        now: Callable[[], Now],
        flush: Callable[[], Awaitable[None]],
        ensure_can_reboot: Callable[[], Awaitable[None]],
        reboot: Callable[[str], Awaitable[None]],
        directory: Path,
        disk: Disk,
        worker: Worker,
    ) -> None:
        """Read the earlier requests. Blocks.

        Args:
            now: Reads the clocks.
            flush: Writes everything in memory to the disk.
            ensure_can_reboot: Raises `RebootFailed` if the host would not restart.
            reboot: Asks the host to restart, with a reason; raises `RebootFailed`.
            directory: Where `reboots.json` is.
            disk: Reads and writes it.
            worker: Runs what blocks.
        """
        self._now = now
        self._flush = flush
        self._ensure_can_reboot = ensure_can_reboot
        self._reboot = reboot
        self._store = JsonStore(
            directory / FILE_NAME,
            _Content(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="the count of reboots by command starts from zero",
            decode=_decode,
        )
        self._store.load()

    def check(self, payload: Mapping[str, Any]) -> None:
        """See `CommandHandler`: nothing, or `delay_seconds`; and not too soon after earlier reboots."""
        reboot_delay_s(payload)
        utc_ms = self._now().utc_ms
        # Without the time the command waits and is checked again later.
        if utc_ms is not None and (reason := limit_reason(self._store.value.requests, utc_ms)):
            raise CommandInvalid(reason)

    async def prepare(self) -> None:
        """See `CommandHandler`: the host can restart. The ack goes out before the effect and cannot be taken back."""
        await self._ensure_can_reboot()

    async def execute(self, record: CommandRecord) -> CommandOutcome:
        """See `CommandHandler`. Returns only if the host does not restart: otherwise the process ends first."""
        await self._wait_until_due(record)
        detail = ""
        for attempt in range(ATTEMPTS_MAX):
            if attempt:
                await asyncio.sleep(SHUTDOWN_GRACE_S)
            await self._flush()
            await self._save_request(record.command_id)
            try:
                await self._reboot(f"command {record.command_id}")
            except RebootFailed as error:
                detail = f": {error}"
                _log.error("the host does not restart: %s", error)
        await asyncio.sleep(SHUTDOWN_GRACE_S)
        return CommandOutcome(
            CommandEvent.GIVEN_UP, error_message=f"the host was asked {ATTEMPTS_MAX} times and did not restart{detail}"
        )

    async def reconcile(self, record: CommandRecord) -> CommandOutcome | None:
        """See `CommandHandler`: in another boot than the one it began in, the reboot has happened."""
        if record.started_boot_id == self._now().boot_id:
            return None
        return CommandOutcome(CommandEvent.CONFIRMED if record.acked_boot_id else CommandEvent.SUCCEED)

    async def _wait_until_due(self, record: CommandRecord) -> None:
        """Wait for the delay, counted from the ack."""
        due_ms = record.acked_ms + reboot_delay_s(record.payload or {}) * 1000
        await asyncio.sleep(max(0, due_ms - self._now().now_ms) / 1000)

    async def _save_request(self, command_id: str) -> None:
        """Save the request before it is made; a command that is tried again counts once."""
        utc_ms = self._now().utc_ms
        if utc_ms is None or any(each.command_id == command_id for each in self._store.value.requests):
            return
        request = RebootRequest(command_id, utc_ms)
        await self._store.apply(lambda before: _Content((*before.requests, request)[-PER_DAY_MAX:]))


def _decode(data: bytes, left_out: list[str]) -> _Content:
    """Return the content of the file; releases up to 0.1 wrote the requests as an array."""
    del left_out
    if data.startswith(b"["):
        return _Content(msgspec.json.decode(data, type=tuple[RebootRequest, ...])[-PER_DAY_MAX:])
    return msgspec.json.decode(data, type=_Content)
