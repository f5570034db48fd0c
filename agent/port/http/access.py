"""Who may do what over which way in. Pure: no clock, no I/O, no asyncio.

Decides every request from the table of routes, the way in, the caller and the headers, and denies what is not allowed
by name. Must come before every handler. What depends on more than the route is refused by its owner, who may only
narrow what this admits: a repair by its role (`repairs`), an event by its document's role (`event_ring`), codes and
tokens by the way in (`handlers`). A page or console that checks roles spares a person the refusal; it replaces none.
"""

import re
from http import HTTPStatus
from ipaddress import ip_address
from typing import Protocol

import msgspec

from agent.local.routes import Caller, RequestRefused, Role, Route

SAFE_METHODS = frozenset({"GET", "HEAD"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""

_HOST = re.compile(r"(\[[0-9a-f:.]+(?:%[a-z0-9_.-]+)?\]|[a-z0-9_.-]+)(:[0-9]{1,5})?", re.IGNORECASE | re.ASCII)
"""A host with an optional port, as in a Host header or an origin (RFC 9110, section 7.2)."""

_OWN_FETCHES = frozenset({"", "same-origin", "none"})
"""Values of Sec-Fetch-Site of the hub's own page, of a person who typed the address, and of a program."""

_SIMPLE_TYPES = frozenset({"text/plain", "application/x-www-form-urlencoded", "multipart/form-data"})
"""Content types that a foreign page may send without asking first (fetch.spec.whatwg.org, "CORS-safelisted")."""


class RequestHead(msgspec.Struct, frozen=True):
    """The part of a request that access depends on; a missing header is an empty text."""

    method: str
    host: str = ""
    origin: str = ""
    fetch_site: str = ""
    content_type: str = ""


class CallerLookup(Protocol):
    """Knows who has signed in. Answers from memory: it is asked at each request."""

    def session(self, cookie: str, *, is_use: bool = True) -> Caller | None:
        """Return the caller of a session cookie; `None` where the session is unknown or has ended.

        Args:
            cookie: As the browser sent it.
            is_use: Keep the session from becoming idle: a person has asked for something.
        """
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


def is_audited(route: Route) -> bool:
    """Tell whether the audit trail gets the requests of a route: what may change something, and secrets of owners.

    A public route's handler reports what matters: strangers must not fill the trail.
    """
    if route.role is Role.PUBLIC or not route.is_audited:
        return False
    return route.method not in SAFE_METHODS or route.role is Role.OWNER


def is_own_host(host: str, names: frozenset[str]) -> bool:
    """Tell whether a Host header names this hub.

    Any address counts, since only a name can be made to point here from outside (DNS rebinding).

    Args:
        host: The header, with or without a port.
        names: The hub's own names, in small letters.
    """
    found = _HOST.fullmatch(host)
    if not found:
        return False
    name = found[1].lower().rstrip(".")
    if name in names:
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def own_names(host_name: str, further: tuple[str, ...]) -> frozenset[str]:
    """Return the names to which a hub answers, in small letters.

    Args:
        host_name: Of the machine.
        further: `port.host_names`.
    """
    machine = host_name.lower().rstrip(".")
    label = machine.partition(".")[0]
    names = {"localhost", machine, label, f"{label}.local", *further} - {"", ".local"}
    return frozenset(names | {asked for name in names if (asked := as_asked(name))})


def as_asked(name: str) -> str:
    """Return a name as browsers ask for it (IDNA, RFC 3490): "xn--hb-xka" for "hüb"; empty where they cannot."""
    try:
        return name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        return ""


def check_source(route: Route | None, head: RequestHead, names: frozenset[str]) -> None:
    """Refuse a request to another host, or one that a foreign page has made a browser send.

    Public documents are answered in any case: another page may link to them, and a browser does not let it read them.

    Args:
        route: The route; `None` where the table has none.
        head: The headers.
        names: The hub's own names.

    Raises:
        RequestRefused: The host is not this hub, or the origin is another.
    """
    if not is_own_host(head.host, names):
        text = "use the hub's address, or add this name to port.host_names: this hub does not go by it"
        raise RequestRefused(HTTPStatus.MISDIRECTED_REQUEST, "unknown_host", text)
    if route is not None and route.role is Role.PUBLIC and head.method in SAFE_METHODS:
        return
    origin_host = head.origin.partition("://")[2]
    if (head.origin and origin_host.lower() != head.host.lower()) or head.fetch_site not in _OWN_FETCHES:
        text = "open the hub's own page: requests of other sites are refused"
        raise RequestRefused(HTTPStatus.FORBIDDEN, "foreign_origin", text)


def check_role(route: Route, caller: Caller) -> None:
    """Refuse a caller whose role does not suffice.

    Raises:
        RequestRefused: Nobody has signed in, or the role is too low.
    """
    if caller.role >= route.role:
        return
    if caller.role is Role.PUBLIC:
        text = "sign in first, with the code that `sudo climahub port code` shows on the hub"
        raise RequestRefused(HTTPStatus.UNAUTHORIZED, "sign_in", text)
    text = f"sign in as {route.role.value}: the role {caller.role.value} may not do this"
    raise RequestRefused(HTTPStatus.FORBIDDEN, "forbidden", text)


def check_content_type(route: Route, head: RequestHead) -> None:
    """Refuse a change in a form that a foreign page could send without asking (CSRF).

    Raises:
        RequestRefused: The content type is not that of the route.
    """
    if head.method in SAFE_METHODS:
        return
    found = head.content_type.partition(";")[0].strip().lower()
    expected = "application/octet-stream" if route.is_stream else "application/json"
    is_refused = found in _SIMPLE_TYPES if route.body is None else found != expected
    if is_refused:
        raise RequestRefused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type", f"send the body as {expected}")
