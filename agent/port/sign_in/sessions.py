"""The sessions of people who have signed in. In memory only; time comes in.

Sessions end with the agent's process: no secret of theirs is ever on the disk, nothing is written while people look at
the page, and their limits count on the monotonic clock, which starts anew at a boot. People sign in again. A restart
of the hub within the process, as for a change of the configuration, does not end them; a lost or new code does.
A cookie is known by its hash, so that neither the memory of this table nor a look-up's time gives one away.
"""

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Collection

import msgspec

from agent.foundation.secret_hash import RandomBytes
from agent.local.routes import Role

IDLE_S_MAX = 1800
"""A session without a request for so long ends."""
AGE_S_MAX = 43_200
"""A session ends after so long, whatever happens in it."""
SESSIONS_MAX = 32
"""Of all roles; the one that was used longest ago makes room. Only who has a code can open one."""

_COOKIE_BYTES = 32
COOKIE_CHARACTERS_MAX = 100
"""Longer text is no cookie of this hub."""


class Session(msgspec.Struct, frozen=True):
    """One session.

    Attributes:
        number: Names it for people; counts from 1 since the start.
        role: What it may do.
        code: The digest of the code with which it was opened (`agent.port.sign_in.codes.SecretHash`).
        origin: The address from which it was opened.
        opened_ms: When it was opened, in milliseconds since boot.
        used_ms: When it was used last.
    """

    number: int
    role: Role
    code: str
    origin: str
    opened_ms: int
    used_ms: int

    def left_s(self, now_ms: int) -> int:
        """Return the seconds until it ends without another request; 0 or less where it has ended."""
        return min(IDLE_S_MAX - (now_ms - self.used_ms) // 1000, AGE_S_MAX - (now_ms - self.opened_ms) // 1000)


class Sessions:
    """All sessions."""

    def __init__(self, random_bytes: RandomBytes) -> None:
        self._random_bytes = random_bytes
        self._last_number = 0
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        """By the hash of the cookie; the one that was used longest ago is the first."""

    def open(self, role: Role, code: str, origin: str, now_ms: int) -> tuple[str, Session]:
        """Open a session; return its cookie, which is known to nobody else, and the session.

        Args:
            role: What it may do.
            code: The digest of the code.
            origin: The address of the other end.
            now_ms: Milliseconds since boot.
        """
        self._drop_ended(now_ms)
        while len(self._sessions) >= SESSIONS_MAX:
            self._sessions.popitem(last=False)
        cookie = base64.urlsafe_b64encode(self._random_bytes(_COOKIE_BYTES)).decode().rstrip("=")
        self._last_number += 1
        session = Session(self._last_number, role, code, origin, now_ms, now_ms)
        self._sessions[_key(cookie)] = session
        return cookie, session

    def find(self, cookie: str, now_ms: int, *, is_use: bool = True) -> Session | None:
        """Return the session of a cookie; `None` where there is none or it has ended.

        Args:
            cookie: As the browser sent it.
            now_ms: Milliseconds since boot.
            is_use: Count this as a use, which keeps the session from becoming idle. A stream that looks whether its
                session still lasts is none.
        """
        if len(cookie) > COOKIE_CHARACTERS_MAX:
            return None
        key = _key(cookie)
        session = self._sessions.get(key)
        if session is None:
            return None
        if session.left_s(now_ms) <= 0:
            del self._sessions[key]
            return None
        if is_use:
            session = msgspec.structs.replace(session, used_ms=now_ms)
            self._sessions[key] = session
            self._sessions.move_to_end(key)
        return session

    @property
    def last_used_ms(self) -> int | None:
        """When a session was used last, in boot time; `None` where there is none."""
        newest = next(reversed(self._sessions.values()), None)
        return None if newest is None else newest.used_ms

    def end(self, cookie: str) -> None:
        """End the session of a cookie, if there is one."""
        self._sessions.pop(_key(cookie), None)

    def end_where(self, *, role: Role | None = None, number: int | None = None) -> int:
        """End the sessions of a role, the one of a number, or all; return how many have ended."""
        ended = [
            key
            for key, session in self._sessions.items()
            if (role is None or session.role is role) and (number is None or session.number == number)
        ]
        for key in ended:
            del self._sessions[key]
        return len(ended)

    def take_code(self, role: Role, code: str, maker: str) -> int:
        """End the sessions of a role that has a new code; return how many have ended.

        Args:
            role: Of the code.
            code: Its digest.
            maker: The cookie of who has made it. That session goes on, with the new code: the page must show it.
        """
        own = self._sessions.pop(_key(maker), None)
        ended = self.end_where(role=role)
        if own is not None:
            self._sessions[_key(maker)] = msgspec.structs.replace(own, code=code) if own.role is role else own
        return ended

    def end_without(self, codes: Collection[str]) -> None:
        """End the sessions whose codes are not among these digests: there is another code now, or none."""
        for key in [key for key, session in self._sessions.items() if session.code not in codes]:
            del self._sessions[key]

    def current(self, now_ms: int) -> list[Session]:
        """Return the sessions that last, the latest use first."""
        self._drop_ended(now_ms)
        return list(reversed(self._sessions.values()))

    def _drop_ended(self, now_ms: int) -> None:
        for key in [key for key, session in self._sessions.items() if session.left_s(now_ms) <= 0]:
            del self._sessions[key]


def _key(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode(errors="replace")).digest()
