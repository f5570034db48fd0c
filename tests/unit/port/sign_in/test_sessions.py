import os

from agent.local.routes import Role
from agent.port.sign_in.sessions import AGE_S_MAX, COOKIE_CHARACTERS_MAX, IDLE_S_MAX, SESSIONS_MAX, Sessions

PLACE = "192.168.1.7"


def test_a_cookie_opens_its_session_and_no_other_text_does() -> None:
    sessions = Sessions(os.urandom)
    cookie, session = sessions.open(Role.SERVICE, "digest", PLACE, 0)
    found = sessions.find(cookie, 0)
    assert found == session
    assert (session.number, session.role, session.origin) == (1, Role.SERVICE, PLACE)
    for other in ("", cookie[:-1], cookie + "A", cookie.lower(), "\ud800", cookie + " " * COOKIE_CHARACTERS_MAX):
        assert sessions.find(other, 0) is None


def test_a_cookie_has_256_random_bits_and_needs_no_quoting() -> None:
    asked: list[int] = []

    def random_bytes(count: int) -> bytes:
        asked.append(count)
        return os.urandom(count)

    cookie, _ = Sessions(random_bytes).open(Role.VIEWER, "digest", PLACE, 0)
    assert asked == [32]
    assert len(cookie) == 43
    assert cookie.replace("-", "").replace("_", "").isalnum()


def test_a_session_ends_when_nobody_uses_it() -> None:
    sessions = Sessions(os.urandom)
    cookie, _ = sessions.open(Role.VIEWER, "digest", PLACE, 0)
    at_ms = IDLE_S_MAX * 1000 - 1
    assert sessions.find(cookie, at_ms) is not None
    assert sessions.find(cookie, at_ms + IDLE_S_MAX * 1000 - 1) is not None
    assert sessions.find(cookie, at_ms + 3 * IDLE_S_MAX * 1000) is None
    assert sessions.find(cookie, at_ms) is None


def test_looking_whether_a_session_lasts_does_not_keep_it() -> None:
    sessions = Sessions(os.urandom)
    cookie, _ = sessions.open(Role.VIEWER, "digest", PLACE, 0)
    assert sessions.find(cookie, IDLE_S_MAX * 1000 - 1, is_use=False) is not None
    assert sessions.find(cookie, IDLE_S_MAX * 1000) is None


def test_a_session_ends_after_twelve_hours_whatever_happens() -> None:
    sessions = Sessions(os.urandom)
    cookie, _ = sessions.open(Role.VIEWER, "digest", PLACE, 5)
    for minute in range(0, 12 * 60, 10):
        found = sessions.find(cookie, 5 + minute * 60_000)
        assert found is not None
        assert found.left_s(5 + minute * 60_000) == min(1800, (720 - minute) * 60)
    assert AGE_S_MAX == 12 * 3600
    assert sessions.find(cookie, 5 + AGE_S_MAX * 1000) is None


def test_number_of_sessions_is_bounded_and_the_least_recent_ends() -> None:
    sessions = Sessions(os.urandom)
    cookies = [sessions.open(Role.VIEWER, "digest", PLACE, at_ms)[0] for at_ms in range(SESSIONS_MAX)]
    assert sessions.find(cookies[0], 1000) is not None
    sessions.open(Role.VIEWER, "digest", PLACE, 1001)
    assert len(sessions.current(1001)) == SESSIONS_MAX
    assert sessions.find(cookies[0], 1001) is not None
    assert sessions.find(cookies[1], 1001) is None


def test_ended_sessions_make_room_first() -> None:
    sessions = Sessions(os.urandom)
    for _ in range(SESSIONS_MAX):
        sessions.open(Role.VIEWER, "digest", PLACE, 0)
    sessions.open(Role.VIEWER, "digest", PLACE, IDLE_S_MAX * 1000)
    assert [each.number for each in sessions.current(IDLE_S_MAX * 1000)] == [SESSIONS_MAX + 1]


def test_sessions_end_by_cookie_role_number_or_all() -> None:
    sessions = Sessions(os.urandom)
    cookies = [
        sessions.open(role, "digest", PLACE, 0)[0] for role in (Role.OWNER, Role.VIEWER, Role.VIEWER, Role.SERVICE)
    ]
    sessions.end(cookies[1])
    sessions.end("unknown")
    assert [each.number for each in sessions.current(0)] == [4, 3, 1]
    assert sessions.end_where(role=Role.VIEWER) == 1
    assert sessions.end_where(number=4) == 1
    assert sessions.end_where(number=4) == 0
    assert [each.number for each in sessions.current(0)] == [1]
    assert sessions.end_where() == 1
    assert sessions.current(0) == []


def test_a_new_code_ends_the_sessions_of_its_role_but_that_of_its_maker() -> None:
    sessions = Sessions(os.urandom)
    owner, _, viewer = (sessions.open(role, "old", PLACE, 0)[0] for role in (Role.OWNER, Role.OWNER, Role.VIEWER))
    assert sessions.take_code(Role.OWNER, "new", owner) == 1
    assert {(each.number, each.code) for each in sessions.current(0)} == {(1, "new"), (3, "old")}
    # The maker's session has another role than the code, or there is none.
    assert sessions.take_code(Role.VIEWER, "newer", owner) == 1
    assert [(each.number, each.code) for each in sessions.current(0)] == [(1, "new")]
    assert sessions.take_code(Role.OWNER, "newest", viewer) == 1
    assert sessions.current(0) == []


def test_sessions_end_without_their_code() -> None:
    sessions = Sessions(os.urandom)
    for code in ("a", "b", "a"):
        sessions.open(Role.OWNER, code, PLACE, 0)
    sessions.end_without(["b", "c"])
    assert [each.number for each in sessions.current(0)] == [2]


def test_no_cookie_is_in_the_memory_of_the_table() -> None:
    sessions = Sessions(os.urandom)
    cookie, _ = sessions.open(Role.OWNER, "digest", PLACE, 0)
    assert cookie not in repr(sessions._sessions)
