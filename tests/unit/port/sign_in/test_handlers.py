"""Who may make a code or token: the way into a hub from outside."""

import pytest

from agent.local.routes import Caller, Role
from agent.port.sign_in.handlers import may_make_secret

OWNER = Caller("session 1", Role.OWNER, "192.168.1.7")


def on_socket(name: str) -> Caller:
    return Caller(name, Role.OWNER, "socket")


@pytest.mark.parametrize(
    ("caller", "of_session", "may"),
    [
        (on_socket("root"), None, True),
        (on_socket("climahub"), None, True),
        (on_socket("pi"), None, False),
        (on_socket("another user of this machine"), None, False),
        (on_socket(""), None, False),
        (on_socket("pi"), OWNER, False),
        (OWNER, OWNER, True),
        (OWNER, Caller("session 1", Role.OWNER, "192.168.1.8"), True),
        (OWNER, Caller("session 2", Role.OWNER, "192.168.1.7"), False),
        (OWNER, None, False),
        (Caller("token backup", Role.OWNER, "192.168.1.7"), None, False),
        (Caller("token backup", Role.OWNER, "192.168.1.7"), OWNER, False),
        (Caller("root", Role.OWNER, "192.168.1.7"), None, False),
    ],
)
def test_root_the_service_s_user_and_an_owner_who_has_signed_in_may(
    caller: Caller, of_session: Caller | None, may: bool
) -> None:
    assert may_make_secret(caller, of_session, "climahub") is may
