"""What the tests of sign-in share: a hub's state directory over restarts, a clock that is set by hand, power cuts."""

import os
from pathlib import Path

from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.local.routes import Caller
from agent.port.http.access import AuditTrail
from agent.port.sign_in.audit import Audit
from agent.port.sign_in.credentials import Credentials
from agent.port.sign_in.sessions import Sessions

UTC_MS = 1_795_000_000_000
"""At boot time 0."""


class HandClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.boot_id = "boot-1"
        self.now_ms = 0
        self.is_time_known = True

    def monotonic_ms(self) -> int:
        return self.now_ms

    def utc_ms(self) -> int | None:
        return UTC_MS + self.now_ms if self.is_time_known else None


class Trail:
    """An audit trail that only remembers."""

    def __init__(self) -> None:
        self.entries: list[tuple[Caller, str, str, str]] = []

    def record(self, caller: Caller, action: str, target: str, result: str) -> None:
        self.entries.append((caller, action, target, result))


class Bench:
    """One hub's state directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = HandClock()
        self.trail = Trail()
        self.faults: list[str] = []
        self.disk = Disk()
        self.worker = InlineWorker()
        self.random_bytes = os.urandom

    def unread_credentials(self, audit: AuditTrail | None = None) -> Credentials:
        """Return the credentials of a hub that is about to read its file."""
        return Credentials(
            self.directory,
            clock=self.clock,
            disk=self.disk,
            worker=self.worker,
            random_bytes=self.random_bytes,
            audit=audit or self.trail,
            add_fault=self.faults.append,
        )

    async def credentials(self, audit: AuditTrail | None = None, sessions: Sessions | None = None) -> Credentials:
        """Return the credentials of a hub that has just started.

        Args:
            audit: Its audit trail.
            sessions: Of the hub before a restart within the process.
        """
        made = self.unread_credentials(audit)
        made.sessions = sessions or made.sessions
        await made.load()
        return made

    def audit(self) -> Audit:
        """Return the audit trail of a hub that has just started."""
        return Audit(self.directory, clock=self.clock, disk=self.disk, worker=self.worker)
