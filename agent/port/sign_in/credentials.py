"""Who may sign in, and who has: codes, sessions and API tokens of one hub.

Owns `credentials.json` in the state directory: hashes only, readable by the service's user alone. Where it is lost,
nobody gets in until a code is made at the hub; heating and the cloud go on. Must never log, store or return a code,
token or cookie, except once to whoever it is made for.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path

import msgspec

from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.durable_file import strip_checksum
from agent.foundation.json_store import JsonStore
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.secret_hash import RandomBytes, hash_secret
from agent.foundation.text import plural, sanitize
from agent.foundation.worker import Worker
from agent.local.routes import Caller, RequestRefused, Role
from agent.port.http.access import AuditTrail
from agent.port.sign_in.codes import CodeRecord, find_code, make_code, read_code, with_code
from agent.port.sign_in.sessions import Session, Sessions
from agent.port.sign_in.throttle import Throttle
from agent.port.sign_in.tokens import TokenRecord, find_token, new_token, with_token, with_uses, without_token

_log = logging.getLogger(__name__)

FILE_NAME = "credentials.json"
FILE_BYTES_MAX = 16 * 1024
"""Three codes and sixteen tokens take 5 KiB."""

LOAD_S_MAX = 4.0
"""How long a change waits for the file to be read after a start; shorter than the command line waits."""

USES_SAVE_S = 3600.0
"""How often the days on which tokens were used are written, where one has changed."""

LOG_INTERVAL_S = 60.0
"""Between two lines about wrong sign-ins: a flood of them must not push everything else out of the log."""

_LOSS = "nobody can sign in until a code is made at the hub (sudo climahub port code --new)"
_WHERE = "It stands on the provisioning sheet; sudo climahub port code --new at the hub makes another"
_NOT_LOADED = f"try again in a minute, or check the disk: {FILE_NAME} has not been read yet"
_ORIGIN_CHARACTERS_MAX = 64


class CredentialSet(msgspec.Struct, frozen=True):
    """The content of the file: one code of each role at most, and the tokens."""

    codes: tuple[CodeRecord, ...] = ()
    tokens: tuple[TokenRecord, ...] = ()


class Credentials:
    """The credentials of one hub. Everything but loading and changing them is answered from memory.

    Attributes:
        sessions: Of the people who have signed in.
        throttle: The limits of wrong sign-ins.
        on_use: Called when a person who has signed in asks for something.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        clock: Clock,
        disk: Disk,
        worker: Worker,
        random_bytes: RandomBytes,
        audit: AuditTrail,
        add_fault: Callable[[str], None],
    ) -> None:
        """Prepare; nobody gets in before `load`.

        Args:
            state_dir: Where the file lies.
            clock: Sessions count on boot time, tokens expire in UTC.
            disk: Reads and writes.
            worker: Where reading and writing block.
            random_bytes: The system's random source.
            audit: Keeps sign-ins.
            add_fault: Reports a damaged file for the status.
        """
        self._store = _store(state_dir, disk, worker)
        self._clock = clock
        self._random_bytes = random_bytes
        self._audit = audit
        self._add_fault = add_fault
        self.sessions = Sessions(random_bytes)
        self.throttle = Throttle()
        self.on_use: Callable[[], None] = lambda: None
        self._loaded = asyncio.Event()
        self._uses: dict[str, int] = {}
        """When each token was used last, in UTC, since the start."""
        self._unlogged = 0
        self._logged_ms: int | None = None

    @property
    def stored(self) -> CredentialSet:
        """The codes and tokens in force, as hashes."""
        return self._store.value

    @property
    def problem(self) -> str:
        """What is wrong with the file, and what to do; empty where nothing is."""
        return self._store.problem or self._store.save_problem

    async def run(self) -> None:
        """Read the file, as often as the disk needs, and write from time to time when tokens were used."""
        await self.load()
        while True:
            await asyncio.sleep(USES_SAVE_S)
            await self._save_uses()

    async def load(self) -> None:
        """Read the file, as often as the disk needs."""
        await self._store.load_patiently()
        # Sessions of before a restart within the process: a factory reset may have ended their codes.
        self.sessions.end_without([each.secret.digest for each in self.stored.codes])
        self._loaded.set()
        if self._store.problem:
            self._add_fault(self._store.problem)

    async def wait_until_loaded(self) -> bool:
        """Wait for the file right after a start; return false where the disk does not give it soon."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOAD_S_MAX):
                await self._loaded.wait()
        return self._loaded.is_set()

    async def _ensure_loaded(self) -> None:
        """Wait for the file right after a start.

        Raises:
            StorageFull: The disk does not give it.
        """
        if not await self.wait_until_loaded():
            raise StorageFull(_NOT_LOADED)

    async def _save_uses(self) -> None:
        uses = dict(self._uses)
        await self._store.apply(lambda stored: msgspec.structs.replace(stored, tokens=with_uses(stored.tokens, uses)))

    def last_use_utc_ms(self, token: TokenRecord) -> int | None:
        """Return when a token was used last, before the last start to the day; `None` for never."""
        return self._uses.get(token.name, token.used_utc_ms)

    def sign_in(self, typed: str, source: str) -> tuple[str, Session]:
        """Open a session for who knows a code; return its cookie and the session.

        Args:
            typed: The code as the person typed it.
            source: The address of the other end.

        Raises:
            RequestRefused: The code is wrong (401), or the source has to wait (429); the message says how long.
            StorageFull: The file has not been read yet, so nobody can tell.
        """
        if not self._loaded.is_set():
            raise StorageFull(_NOT_LOADED)
        source = sanitize(source, characters_max=_ORIGIN_CHARACTERS_MAX)
        now_ms = self._clock.monotonic_ms()
        if wait_s := self.throttle.admit(source, now_ms):
            raise self._refuse(source, "too_many_tries", wait_s)
        code = read_code(typed)
        found = find_code(self.stored.codes, code or "")
        if found is None:
            wait_s = self.throttle.add_wrong(source, now_ms)
            if not self.stored.codes:
                raise self._refuse(source, "no_code", wait_s)
            raise self._refuse(source, "wrong_code", wait_s)
        self.throttle.add_right(source)
        cookie, session = self.sessions.open(found.role, found.secret.digest, source, now_ms)
        self._audit.record(_caller_of(session), "sign_in", "", "200")
        return cookie, session

    def _refuse(self, source: str, code: str, wait_s: int) -> RequestRefused:
        self._audit.record(Caller("", Role.PUBLIC, source), "sign_in", "", code)
        self._log_wrong(source, wait_s)
        then = f"wait {wait_s} s, then " if wait_s else ""
        match code:
            case "too_many_tries":
                text = f"wait {wait_s} s before the next try: there were too many wrong ones"
                return RequestRefused(HTTPStatus.TOO_MANY_REQUESTS, code, text, retry_after_s=wait_s)
            case "no_code":
                text = f"{then}make a code at the hub: sudo climahub port code"
                return RequestRefused(HTTPStatus.UNAUTHORIZED, code, text, retry_after_s=wait_s or None)
            case _:
                left = self.throttle.tries_left(source)
                more = f" ({plural(left, 'more try', 'more tries')} without a wait)" if left else ""
                text = f"{then}check the code: it is wrong{more}. {_WHERE}"
                return RequestRefused(
                    HTTPStatus.UNAUTHORIZED, code, text, retry_after_s=wait_s or None, tries_left=left
                )

    def _log_wrong(self, source: str, wait_s: int) -> None:
        now_ms = self._clock.monotonic_ms()
        if self._logged_ms is not None and now_ms - self._logged_ms < LOG_INTERVAL_S * 1000:
            self._unlogged += 1
            return
        more = f", and {plural(self._unlogged, 'more refusal')} since the last line" if self._unlogged else ""
        wait = f"; the next try there in {wait_s} s" if wait_s else ""
        _log.warning("a sign-in from %s was refused%s%s", source, wait, more)
        self._logged_ms, self._unlogged = now_ms, 0

    def session(self, cookie: str, *, is_use: bool = True) -> Caller | None:
        """Return the caller of a session cookie; `None` where the session is unknown or has ended.

        Args:
            cookie: As the browser sent it.
            is_use: Keep the session from becoming idle: a person has asked for something.
        """
        if not self._loaded.is_set():
            return None
        found = self.sessions.find(cookie, self._clock.monotonic_ms(), is_use=is_use)
        if found and is_use:
            self.on_use()
        return _caller_of(found) if found else None

    @property
    def used_s_ago(self) -> float | None:
        """The time since a person who has signed in asked for something; `None` where nobody is signed in."""
        at_ms = self.sessions.last_used_ms
        return None if at_ms is None else (self._clock.monotonic_ms() - at_ms) / 1000

    def token(self, bearer: str) -> Caller | None:
        """Return the caller of an API token; `None` where it is unknown or expired, or the time is not known."""
        found = find_token(self.stored.tokens, bearer, utc_ms := self._clock.utc_ms())
        if found is None or utc_ms is None:
            return None
        self._uses[found.name] = utc_ms
        return Caller(f"token {found.name}", found.role, "")

    def sign_out(self, cookie: str) -> None:
        """End the session of a cookie, if there is one."""
        self.sessions.end(cookie)

    async def make_code(self, role: Role, maker: str = "") -> tuple[str, int]:
        """Make a new code for a role; return it, which is the only time, and how many sessions have ended.

        The old code and the sessions of the role end.

        Args:
            role: Whose code.
            maker: The cookie of who makes it, whose session goes on; empty without one.

        Raises:
            StorageFull: It is not on the disk: the old one stays in force.
        """
        await self._ensure_loaded()
        code = make_code(self._random_bytes)
        made = CodeRecord(role, hash_secret(read_code(code) or "", self._random_bytes), self._clock.utc_ms())
        await self._store.commit(lambda stored: msgspec.structs.replace(stored, codes=with_code(stored.codes, made)))
        return code, self.sessions.take_code(role, made.secret.digest, maker)

    async def add_token(self, name: str, role: Role, days: int) -> tuple[str, TokenRecord]:
        """Make a token; return it, which is the only time, and its record.

        Raises:
            SettingInvalid: See `new_token` and `with_token`.
            StorageFull: It is not on the disk, and does not exist.
        """
        await self._ensure_loaded()
        utc_ms = self._clock.utc_ms()
        token, made = new_token(name, role, days=days, utc_ms=utc_ms, random_bytes=self._random_bytes)
        await self._store.commit(lambda stored: msgspec.structs.replace(stored, tokens=with_token(stored.tokens, made)))
        return token, made

    async def revoke_token(self, name: str) -> bool:
        """Revoke a token; return whether there was one. It is not valid from now on, whatever the disk does.

        Raises:
            StorageFull: It is not off the disk: a restart would bring it back.
        """
        await self._ensure_loaded()
        self._uses.pop(name, None)
        if all(each.name != name for each in self.stored.tokens) and not self._store.save_problem:
            return False
        await self._store.apply(
            lambda stored: msgspec.structs.replace(stored, tokens=without_token(stored.tokens, name))
        )
        if self._store.save_problem:
            text = f"free some space, then revoke {name} again: it is revoked until the next start only"
            raise StorageFull(f"{text} ({self._store.save_problem})")
        return True


def read_codes(state_dir: Path, disk: Disk) -> Sequence[CodeRecord]:
    """Return the codes of a hub whose agent does not run, and change nothing. Blocks."""
    try:
        data = disk.read(state_dir / FILE_NAME, bytes_max=FILE_BYTES_MAX)
        return () if data is None else msgspec.json.decode(strip_checksum(data), type=CredentialSet).codes
    except (ReadFailed, Corrupt, *DECODE_ERRORS):
        return ()


def _store(state_dir: Path, disk: Disk, worker: Worker) -> JsonStore[CredentialSet]:
    return JsonStore(
        state_dir / FILE_NAME,
        CredentialSet(),
        disk=disk,
        worker=worker,
        bytes_max=FILE_BYTES_MAX,
        loss=_LOSS,
        is_secret=True,
        drops_stale_copy=True,
    )


def _caller_of(session: Session) -> Caller:
    return Caller(f"session {session.number}", session.role, session.origin)
