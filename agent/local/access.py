"""The documents of sign-in in the local API: who asks, who can get in, tokens and the audit trail.

The JSON form is an interface: fields may be added, never renamed. No secret is in any of them but `NewCode` and
`NewToken`.
"""

import msgspec

SESSION_COOKIE = "climahub_session"
"""The cookie with a session, of a browser or of the serial console."""


class SessionReport(msgspec.Struct, frozen=True):
    """Who asks.

    Attributes:
        role: What the caller may do.
        name: The user, session or token.
        expires_s: When the session ends without another request; nothing where it is none.
    """

    role: str
    name: str
    expires_s: int | None


class NewCode(msgspec.Struct, frozen=True):
    """A code that has just been made: the only answer that shows it."""

    role: str
    code: str
    sessions_ended: int


class NewToken(msgspec.Struct, frozen=True):
    """A token that has just been made: the only answer that shows it. `expires` in RFC 3339."""

    name: str
    role: str
    token: str
    expires: str


class SessionsEnded(msgspec.Struct, frozen=True):
    """How many sessions were ended."""

    sessions_ended: int


class CodeReport(msgspec.Struct, frozen=True):
    """The code of a role, and when it was made; nothing where the time was not known."""

    role: str
    made: str | None


class OpenSessionReport(msgspec.Struct, frozen=True):
    """A session of a person."""

    id: int
    role: str
    origin: str
    age_s: int
    idle_s: int
    expires_s: int


class RefusedSource(msgspec.Struct, frozen=True):
    """A source with wrong tries."""

    origin: str
    tries: int
    age_s: int
    wait_s: int


class AccessReport(msgspec.Struct, frozen=True):
    """Who can get in.

    Attributes:
        problem: What is wrong with the credentials or the audit trail, and what to do; empty where nothing is.
        codes: The codes that exist.
        sessions: The sessions that last, the latest use first.
        refused: The sources with wrong tries, the latest first.
    """

    problem: str
    codes: list[CodeReport]
    sessions: list[OpenSessionReport]
    refused: list[RefusedSource]


class TokenReport(msgspec.Struct, frozen=True):
    """A token for scripts. Times in RFC 3339; `used` is nothing for never."""

    name: str
    role: str
    made: str
    expires: str
    is_expired: bool
    used: str | None


class TokensReport(msgspec.Struct, frozen=True):
    """All tokens."""

    tokens: list[TokenReport]


class AuditReport(msgspec.Struct, frozen=True):
    """One entry of the audit trail.

    Attributes:
        id: Increases with time; nothing where the disk does not have the entry yet.
        utc: When it came first, in RFC 3339; nothing where the time of that boot is not known.
        boot_id: The boot of the machine.
        boot_age_s: The seconds from that boot to the entry.
        lasted_s: The seconds from the first to the last of the same requests.
    """

    id: int | None
    utc: str | None
    boot_id: str
    boot_age_s: int
    name: str
    role: str
    origin: str
    action: str
    target: str
    result: str
    count: int
    lasted_s: int


class AuditTrailReport(msgspec.Struct, frozen=True):
    """A page of the audit trail, the newest entry first.

    Attributes:
        entries: What was found. An entry whose count or time may still change is among them.
        problem: Why the disk does not have the newest entries; empty where it has.
    """

    entries: list[AuditReport]
    problem: str
