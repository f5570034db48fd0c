"""Who is signed in at a console: by the hub, or by the file of codes where the agent does not run."""

import http.cookies
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.cli import hub_client
from agent.cli.hub_client import NoAnswer, NotAllowed, RequestRefused
from agent.errors import ClimahubError
from agent.local.access import SESSION_COOKIE, SessionReport
from agent.local.routes import Role


class SignInRefused(ClimahubError):
    """The code is not accepted. The message says what to do."""


class ConsoleSession(msgspec.Struct, frozen=True):
    """A person at a console.

    Attributes:
        role: What the person may do.
        cookie: The session at the hub; empty where the agent does not run.
    """

    role: Role
    cookie: str = ""


def sign_in(code: str, socket_path: Path, role_offline: Callable[[str], Role | None]) -> ConsoleSession:
    """Sign in with a code.

    Args:
        code: As it was typed.
        socket_path: The hub's socket.
        role_offline: Returns the role of a code from the file; `None` for a wrong one. Asked where the agent does not
            answer: a dead agent is the very reason to come with a cable.

    Raises:
        SignInRefused: The code is wrong, or there is none.
    """
    try:
        answer = hub_client.exchange(
            socket_path, "/v1/session", method="POST", content=msgspec.json.encode({"code": code})
        )
    except RequestRefused as error:
        raise SignInRefused(str(error)) from error
    except (NoAnswer, NotAllowed):
        role = role_offline(code)
        if role is None:
            raise SignInRefused("type the code once more: it is wrong, or this hub has none") from None
        return ConsoleSession(role)
    cookies = http.cookies.SimpleCookie(answer.headers.get("Set-Cookie", ""))
    role = Role(hub_client.decode(answer.body, SessionReport).role)
    return ConsoleSession(role, cookies[SESSION_COOKIE].value if SESSION_COOKIE in cookies else "")


def sign_out(session: ConsoleSession, socket_path: Path) -> None:
    """End a session at the hub, where the agent still answers."""
    if not session.cookie:
        return
    try:
        hub_client.exchange(socket_path, "/v1/session", method="DELETE", session=session.cookie)
    except (NoAnswer, NotAllowed, RequestRefused):
        # It ends by itself after 30 minutes.
        return
