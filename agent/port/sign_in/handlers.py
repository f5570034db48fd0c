"""The handlers of sign-in: session, codes, tokens, sessions and the audit trail.

A code or token goes out once, in the answer to the request that makes it; a cookie only to its browser. Must never give
a caller more than its role, and lets nobody make a code or token who could not read the hub's files anyway or is its
owner.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from agent.errors import SettingInvalid
from agent.foundation import rfc3339
from agent.foundation.clock import Clock
from agent.foundation.text import quote
from agent.local import query
from agent.local.access import (
    AccessReport,
    AuditTrailReport,
    NewCode,
    NewToken,
    SessionReport,
    SessionsEnded,
    TokensReport,
)
from agent.local.queries import AuditQuery
from agent.local.routes import Answer, Caller, Done, Handler, LocalRequest, RequestRefused, Role
from agent.port.sign_in.access_report import report_access, report_entry, report_tokens
from agent.port.sign_in.audit import Audit
from agent.port.sign_in.codes import SIGN_IN_ROLES
from agent.port.sign_in.credentials import Credentials

SOCKET = "socket"
"""The origin of a caller on the Unix socket."""

SESSION_DIGITS_MAX = 18
"""Of the number of a session in a path; no hub opens so many."""


def handlers(credentials: Credentials, audit: Audit, clock: Clock, *, service_user: str) -> Mapping[str, Handler]:
    """Return the handlers of sign-in.

    Args:
        credentials: Codes, sessions and tokens.
        audit: The audit trail.
        clock: The machine's clocks.
        service_user: The user that this process runs as.
    """
    return {
        **_session_handlers(credentials, clock),
        **_code_handlers(credentials, service_user),
        **_token_handlers(credentials, clock, service_user),
        **_trail_handlers(credentials, audit, clock),
    }


def may_make_secret(caller: Caller, of_session: Caller | None, service_user: str) -> bool:
    """Tell whether a caller with the role of an owner may make a code or token.

    Root and the service's user may, over the Unix socket: they could change the file as well. An owner who has signed
    in may. Others in the socket's group may not give themselves a way in from outside, and a token may not outlive
    itself.

    Args:
        caller: Who asks.
        of_session: The caller of the session cookie that came with the request, if any.
        service_user: The user that this process runs as.
    """
    if caller.origin == SOCKET:
        return caller.name in {"root", service_user}
    return of_session is not None and (of_session.name, of_session.role) == (caller.name, caller.role)


def _check_may_make(what: str, request: LocalRequest, credentials: Credentials, service_user: str) -> None:
    """Refuse a caller that may not make a code or token.

    Raises:
        RequestRefused: See `may_make_secret`.
    """
    if not may_make_secret(request.caller, credentials.session(request.session), service_user):
        text = f"use sudo, or sign in as owner on the page: this caller may not make a {what}"
        raise RequestRefused(HTTPStatus.FORBIDDEN, "forbidden", text)


def _by_name(*found: Handler) -> Mapping[str, Handler]:
    return {each.__name__: each for each in found}


def _session_handlers(credentials: Credentials, clock: Clock) -> Mapping[str, Handler]:
    async def get_session(request: LocalRequest) -> SessionReport:
        caller = request.caller
        if caller.role is Role.PUBLIC:
            raise RequestRefused(HTTPStatus.UNAUTHORIZED, "sign_in", "sign in with the hub's code")
        now_ms = clock.monotonic_ms()
        session = credentials.sessions.find(request.session, now_ms, is_use=False)
        return SessionReport(caller.role.value, caller.name, session.left_s(now_ms) if session else None)

    async def open_session(request: LocalRequest) -> Annotated[Answer, SessionReport]:
        cookie, session = credentials.sign_in(request.body.code, request.caller.origin)
        # A second sign-in of a browser takes the place of the first.
        credentials.sign_out(request.session)
        left_s = session.left_s(clock.monotonic_ms())
        return Answer(SessionReport(session.role.value, f"session {session.number}", left_s), session=cookie)

    async def close_session(request: LocalRequest) -> Annotated[Answer, Done]:
        credentials.sign_out(request.session)
        return Answer(Done(), session="")

    async def end_sessions(_: LocalRequest) -> SessionsEnded:
        return SessionsEnded(credentials.sessions.end_where())

    async def end_session(request: LocalRequest) -> SessionsEnded:
        number = request.parameters["number"]
        is_number = len(number) <= SESSION_DIGITS_MAX and number.isascii() and number.isdecimal()
        if not is_number or not credentials.sessions.end_where(number=int(number)):
            text = f"look at the numbers (climahub port sessions): there is no session {quote(number)}"
            raise RequestRefused(HTTPStatus.NOT_FOUND, "not_found", text)
        return SessionsEnded(1)

    return _by_name(get_session, open_session, close_session, end_sessions, end_session)


def _code_handlers(credentials: Credentials, service_user: str) -> Mapping[str, Handler]:
    async def make_code(request: LocalRequest) -> NewCode:
        role = _role(request.parameters["role"])
        _check_may_make("code", request, credentials, service_user)
        if not request.body.replace and any(each.role is role for each in credentials.stored.codes):
            text = (
                f"look on the provisioning sheet, or add --new for another code of the {role.value}, which ends the old"
                " one and its sessions: there is a code, and it cannot be shown again"
            )
            raise RequestRefused(HTTPStatus.CONFLICT, "exists", text)
        code, ended = await credentials.make_code(role, request.session)
        return NewCode(role.value, code, ended)

    return _by_name(make_code)


def _token_handlers(credentials: Credentials, clock: Clock, service_user: str) -> Mapping[str, Handler]:
    async def get_tokens(_: LocalRequest) -> TokensReport:
        return report_tokens(credentials, clock.utc_ms())

    async def add_token(request: LocalRequest) -> NewToken:
        _check_may_make("token", request, credentials, service_user)
        body = request.body
        token, made = await credentials.add_token(body.name, _role(body.role), body.days)
        return NewToken(made.name, made.role.value, token, rfc3339.render(made.expires_utc_ms))

    async def revoke_token(request: LocalRequest) -> Done:
        name = request.parameters["token"]
        if not await credentials.revoke_token(name):
            text = f"look at the names (climahub port tokens list): there is no token {quote(name)}"
            raise RequestRefused(HTTPStatus.NOT_FOUND, "not_found", text)
        return Done()

    return _by_name(get_tokens, add_token, revoke_token)


def _trail_handlers(credentials: Credentials, audit: Audit, clock: Clock) -> Mapping[str, Handler]:
    async def get_access(_: LocalRequest) -> AccessReport:
        return report_access(credentials, audit, clock.monotonic_ms())

    async def get_audit(request: LocalRequest) -> AuditTrailReport:
        asked = query.read(request.query, AuditQuery)
        entries = await audit.entries(before=asked.before, after=asked.after, entries_max=asked.limit)
        return AuditTrailReport([report_entry(each) for each in entries], audit.problem)

    return _by_name(get_access, get_audit)


def _role(text: str) -> Role:
    """Return the role of that name.

    Raises:
        SettingInvalid: It has no code and no token.
    """
    for role in SIGN_IN_ROLES:
        if role.value == text:
            return role
    raise SettingInvalid(f"choose {', '.join(each.value for each in SIGN_IN_ROLES)}: {quote(text)} is no such role")
