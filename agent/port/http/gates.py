"""The gates of the port: who sends a request, and whether the request may pass. One gate for each kind of listener.

Reads what `agent.port.http.access` decides from. Must decide nothing itself, and never log a cookie or a token.
"""

import asyncio
import pwd
import socket
import struct
from collections.abc import Callable
from typing import Protocol

from aiohttp import hdrs, web

from agent.local.access import SESSION_COOKIE
from agent.local.routes import Caller, Role, Route
from agent.port.http.access import CallerLookup, RequestHead, check_content_type, check_role, check_source

CONSOLE = "console"
"""The origin of a caller on the Unix socket who sends a session or token along."""

_BEARER = "bearer "

_CREDENTIALS = struct.Struct("=iII")
"""`struct ucred`: process, user and group (unix(7), SO_PEERCRED)."""

_OVERFLOW_UID = 65_534
"""What the kernel shows for a user outside the service's user namespace (PrivateUsers= of the unit)."""


class Gate(Protocol):
    """Admits or refuses the requests of one kind of listener."""

    def admit(self, request: web.Request, route: Route | None) -> Caller:
        """Return who sends a request that may pass.

        Args:
            request: The request; its body is unread.
            route: What it asks for; `None` where the table has no such route, which is answered with 404 or 405.

        Raises:
            RequestRefused: It may not.
        """
        ...

    def check_source(self, request: web.Request) -> str:
        """Return where a request to one of the local APIs comes from; its API checks the credential itself.

        Raises:
            RequestRefused: Another site's page has sent it, or it names another host.
        """
        ...

    def know(self, request: web.Request) -> None:
        """Take notice that the caller of such a request has shown a valid credential."""
        ...

    def lasts(self, request: web.Request, caller: Caller) -> bool:
        """Tell whether the caller of a request that was admitted would still be: its session may have ended.

        Args:
            request: The request, which is still being answered.
            caller: What `admit` has returned for it.
        """
        ...


class SocketGate:
    """The gate of the Unix socket: its permissions have admitted the caller to every role. No browser reaches it.

    A program that asks on behalf of a person sends that person's session along, and gets no more than its role: the
    serial console does. So does one that sends a token.
    """

    def __init__(self, callers: CallerLookup | None = None) -> None:
        """Prepare; `callers` knows who has signed in."""
        self._callers = callers

    def admit(self, request: web.Request, route: Route | None) -> Caller:
        """Return the user of the other process, or the session or token that it sends along, checked for the route."""
        if not _names_caller(request):
            return Caller(_user_name(request), Role.OWNER, "socket")
        caller = _caller(self._callers, request, CONSOLE, is_use=_is_use(route))
        if route is not None:
            check_role(route, caller)
        return caller

    def check_source(self, request: web.Request) -> str:
        """Return the origin of all callers here: no browser reaches the socket."""
        del request
        return "socket"

    def know(self, request: web.Request) -> None:
        """Do nothing: connections of the socket are not counted."""

    def lasts(self, request: web.Request, caller: Caller) -> bool:
        """Tell whether what was sent along is still valid; who may open the socket may go on."""
        return not _names_caller(request) or _caller(self._callers, request, CONSOLE, is_use=False) == caller


class NetworkGate:
    """The gate of every TCP listener: loopback too asks for a code, since ssh and proxies make it remote."""

    def __init__(
        self,
        callers: CallerLookup | None,
        names: frozenset[str],
        on_known: Callable[[asyncio.BaseProtocol | None], None] = lambda _: None,
    ) -> None:
        """Prepare.

        Args:
            callers: Knows who has signed in; without it nobody has.
            names: The hub's own names, see `agent.port.http.access.own_names`.
            on_known: Called with the connection of a request whose caller has signed in.
        """
        self._callers = callers
        self._names = names
        self._on_known = on_known

    def admit(self, request: web.Request, route: Route | None) -> Caller:
        """Return the caller of a session or token, checked against the route."""
        head = _head_of(request)
        check_source(route, head, self._names)
        caller = _caller(self._callers, request, request.remote or "", is_use=_is_use(route))
        if caller.role is not Role.PUBLIC:
            self._on_known(request.protocol)
        if route is not None:
            check_role(route, caller)
            check_content_type(route, head)
        return caller

    def check_source(self, request: web.Request) -> str:
        """Return the address of the other end of a request that no foreign page has sent."""
        check_source(None, _head_of(request), self._names)
        return request.remote or ""

    def know(self, request: web.Request) -> None:
        """Keep the connection of a caller with a valid credential when there are too many."""
        self._on_known(request.protocol)

    def lasts(self, request: web.Request, caller: Caller) -> bool:
        """Tell whether the session or token of a request is still valid."""
        return _caller(self._callers, request, request.remote or "", is_use=False) == caller


def _head_of(request: web.Request) -> RequestHead:
    headers = request.headers
    return RequestHead(
        request.method,
        host=headers.get(hdrs.HOST, ""),
        origin=headers.get(hdrs.ORIGIN, ""),
        fetch_site=headers.get("Sec-Fetch-Site", ""),
        content_type=headers.get(hdrs.CONTENT_TYPE, ""),
    )


def _is_use(route: Route | None) -> bool:
    """Tell whether a request keeps its session from becoming idle."""
    return route is None or not route.is_automatic


def _names_caller(request: web.Request) -> bool:
    """Tell whether a request brings a session or token, right or wrong."""
    return SESSION_COOKIE in request.cookies or bool(request.headers.get(hdrs.AUTHORIZATION))


def _caller(callers: CallerLookup | None, request: web.Request, origin: str, *, is_use: bool) -> Caller:
    """Return who has signed in, by the session or token of a request; nobody's role where that is wrong or missing.

    Args:
        callers: Knows who has signed in; without it nobody has.
        request: The request.
        origin: Where it comes from.
        is_use: Keep the session from becoming idle.
    """
    found = None
    if callers is not None:
        # A request with a token is that of a program: a cookie beside it does not make up for a wrong one.
        authorization = request.headers.get(hdrs.AUTHORIZATION, "")
        if authorization[: len(_BEARER)].lower() == _BEARER:
            found = callers.token(authorization[len(_BEARER) :].strip())
        elif cookie := request.cookies.get(SESSION_COOKIE, ""):
            found = callers.session(cookie, is_use=is_use)
    return Caller("", Role.PUBLIC, origin) if found is None else Caller(found.name, found.role, origin)


def _user_name(request: web.Request) -> str:
    """Return the name of the user at the other end of a Unix socket; empty where the kernel does not tell it."""
    end = request.transport.get_extra_info("socket") if request.transport else None
    if end is None or end.family != socket.AF_UNIX:
        return ""
    _, uid, _ = _CREDENTIALS.unpack(end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return "another user of this machine" if uid == _OVERFLOW_UID else user_name(uid)


def user_name(uid: int) -> str:
    """Return the name of a user of this machine."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
