"""What the port needs to know of its callers. Pure: no clock, no I/O, no asyncio."""

from typing import Protocol

from agent.local.routes import Caller


class CallerLookup(Protocol):
    """Knows who has signed in. Answers from memory: it is asked at each request."""

    def session(self, cookie: str) -> Caller | None:
        """Return the caller of a session cookie; `None` where the session is unknown or has ended."""
        ...

    def token(self, bearer: str) -> Caller | None:
        """Return the caller of an API token (`Authorization: Bearer TOKEN`); `None` where it is unknown or ended."""
        ...


class AuditTrail(Protocol):
    """Keeps what callers have changed."""

    def record(self, caller: Caller, action: str, target: str, result: str) -> None:
        """Keep one request that may have changed something.

        Args:
            caller: Who, and from where.
            action: The name of the route's handler.
            target: The path.
            result: The HTTP status and, of a refusal, its code: "200", "409 conflict".
        """
        ...
