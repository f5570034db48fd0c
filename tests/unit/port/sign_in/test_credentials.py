"""Codes, tokens and sessions on a disk that refuses, is cut off or is damaged: nobody gets in who was not let in."""

import errno
import logging
import stat
import tempfile
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from agent.errors import SettingInvalid, StorageFull
from agent.foundation.disk import Disk, Operation
from agent.local.routes import Caller, RequestRefused, Role
from agent.port.sign_in.credentials import FILE_NAME, LOG_INTERVAL_S, Credentials
from agent.port.sign_in.sessions import IDLE_S_MAX
from agent.port.sign_in.throttle import FREE_TRIES
from agent.port.sign_in.tokens import DAY_MS
from tests.unit.port.sign_in.access_bench import UTC_MS, Bench
from tests.unit.power_cut import Cutter, PowerCut

PERSON, ATTACKER = "192.168.1.7", "192.168.1.66"
WRONG = "0000-0000-0000-0000"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def role_by_code(credentials: Credentials, code: str) -> Role | None:
    try:
        return credentials.sign_in(code, PERSON)[1].role
    except RequestRefused:
        return None
    finally:
        credentials.throttle.add_right(PERSON)


def role_by_token(credentials: Credentials, token: str) -> Role | None:
    caller = credentials.token(token)
    return caller.role if caller else None


def refusal(credentials: Credentials, code: str, source: str) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        credentials.sign_in(code, source)
    return caught.value


async def test_a_new_hub_lets_nobody_in_and_names_the_remedy(bench: Bench) -> None:
    credentials = await bench.credentials()
    refused = refusal(credentials, WRONG, PERSON)
    assert (refused.status, refused.code) == (HTTPStatus.UNAUTHORIZED, "no_code")
    assert str(refused) == "make a code at the hub: sudo climahub port code"
    assert credentials.problem == ""
    assert list(bench.directory.iterdir()) == []


async def test_valid_code_opens_a_session(bench: Bench) -> None:
    credentials = await bench.credentials()
    code, _ = await credentials.make_code(Role.SERVICE)
    cookie, session = credentials.sign_in(code.lower().replace("-", " "), PERSON)
    assert session.role is Role.SERVICE
    assert credentials.session(cookie) == Caller("session 1", Role.SERVICE, PERSON)
    credentials.sign_out(cookie)
    assert credentials.session(cookie) is None
    assert bench.trail.entries == [(Caller("session 1", Role.SERVICE, PERSON), "sign_in", "", "200")]


async def test_a_code_outlives_a_restart_and_a_session_does_not(bench: Bench) -> None:
    before = await bench.credentials()
    code, _ = await before.make_code(Role.OWNER)
    cookie, _ = before.sign_in(code, PERSON)
    credentials = await bench.credentials()
    assert credentials.session(cookie) is None
    assert role_by_code(credentials, code) is Role.OWNER


async def test_a_session_outlives_a_restart_within_the_process_but_not_its_code(bench: Bench) -> None:
    before = await bench.credentials()
    owners, viewers = (await before.make_code(Role.OWNER))[0], (await before.make_code(Role.VIEWER))[0]
    owner, viewer = before.sign_in(owners, PERSON)[0], before.sign_in(viewers, PERSON)[0]
    path = bench.directory / FILE_NAME
    path.write_bytes(path.read_bytes().partition(b",")[2].join([b"{", b""]).replace(b'"role":"viewer"', b'"role":"x"'))
    restarted = bench.unread_credentials()
    restarted.sessions = before.sessions
    assert restarted.session(owner) is None
    await restarted.load()
    assert restarted.session(owner) == Caller("session 1", Role.OWNER, PERSON)
    assert restarted.session(viewer) is None


async def test_a_factory_reset_ends_all_sessions(bench: Bench) -> None:
    before = await bench.credentials()
    code, _ = await before.make_code(Role.OWNER)
    cookie, _ = before.sign_in(code, PERSON)
    for path in bench.directory.iterdir():
        path.unlink()
    after = await bench.credentials(sessions=before.sessions)
    assert after.session(cookie) is None
    assert after.problem == ""


async def test_a_new_code_ends_the_old_one_and_the_sessions_of_its_role(bench: Bench) -> None:
    credentials = await bench.credentials()
    old, _ = await credentials.make_code(Role.OWNER)
    other, _ = await credentials.make_code(Role.VIEWER)
    owners, viewers = credentials.sign_in(old, PERSON)[0], credentials.sign_in(other, PERSON)[0]
    new, ended = await credentials.make_code(Role.OWNER)
    assert ended == 1
    assert credentials.session(owners) is None
    assert credentials.session(viewers) is not None
    assert role_by_code(credentials, old) is None
    assert role_by_code(credentials, new) is Role.OWNER


async def test_a_stream_does_not_keep_its_session(bench: Bench) -> None:
    credentials = await bench.credentials()
    code, _ = await credentials.make_code(Role.OWNER)
    cookie, _ = credentials.sign_in(code, PERSON)
    bench.clock.now_ms = IDLE_S_MAX * 1000 - 1
    assert credentials.session(cookie, is_use=False) is not None
    bench.clock.now_ms += 1
    assert credentials.session(cookie) is None


async def test_a_person_who_asks_is_reported_and_a_stream_or_a_stranger_is_not(bench: Bench) -> None:
    credentials = await bench.credentials()
    code, _ = await credentials.make_code(Role.OWNER)
    cookie, _ = credentials.sign_in(code, PERSON)
    uses: list[str] = []
    credentials.on_use = lambda: uses.append("used")
    assert credentials.session(cookie, is_use=False) is not None
    assert credentials.session("unknown") is None
    assert uses == []
    assert credentials.session(cookie) is not None
    assert uses == ["used"]


async def test_wrong_tries_are_told_in_the_answer_with_the_seconds_to_wait(bench: Bench) -> None:
    credentials = await bench.credentials()
    code, _ = await credentials.make_code(Role.OWNER)
    first = refusal(credentials, WRONG, ATTACKER)
    assert (first.status, first.code) == (HTTPStatus.UNAUTHORIZED, "wrong_code")
    assert str(first).startswith("check the code: it is wrong (4 more tries without a wait). It stands on the prov")
    assert str(first).endswith("sudo climahub port code --new at the hub makes another")
    left = [first.tries_left, *(refusal(credentials, WRONG, ATTACKER).tries_left for _ in range(FREE_TRIES - 2))]
    assert left == [4, 3, 2, 1]
    last = refusal(credentials, WRONG, ATTACKER)
    assert (str(last).partition(".")[0], last.tries_left) == ("wait 2 s, then check the code: it is wrong", 0)
    # This machine never waits: there is nothing to count.
    assert refusal(credentials, WRONG, "127.0.0.1").tries_left is None
    blocked = refusal(credentials, code, ATTACKER)
    assert (blocked.status, blocked.code) == (HTTPStatus.TOO_MANY_REQUESTS, "too_many_tries")
    assert str(blocked) == "wait 2 s before the next try: there were too many wrong ones"
    credentials.sign_in(code, PERSON)
    bench.clock.now_ms = 2000
    credentials.sign_in(code, ATTACKER)


async def test_wrong_tries_are_in_the_audit_trail_and_in_the_log_at_a_bounded_rate(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    credentials = await bench.credentials()
    await credentials.make_code(Role.OWNER)
    with caplog.at_level(logging.WARNING):
        for number in range(1000):
            refusal(credentials, WRONG, f"192.168.1.{number % 200}")
        bench.clock.now_ms = round(LOG_INTERVAL_S * 1000)
        refusal(credentials, WRONG, ATTACKER)
    assert caplog.messages == [
        "a sign-in from 192.168.1.0 was refused",
        "a sign-in from 192.168.1.66 was refused, and 999 more refusals since the last line",
    ]
    assert len(bench.trail.entries) == 1001
    assert bench.trail.entries[0] == (Caller("", Role.PUBLIC, "192.168.1.0"), "sign_in", "", "wrong_code")
    assert {result for *_, result in bench.trail.entries} == {"wrong_code", "too_many_tries"}


async def test_a_token_opens_what_its_role_may_and_is_told_apart_by_name(bench: Bench) -> None:
    credentials = await bench.credentials()
    token, record = await credentials.add_token("metrics", Role.VIEWER, 30)
    assert credentials.token(token) == Caller("token metrics", Role.VIEWER, "")
    assert record.expires_utc_ms == UTC_MS + 30 * DAY_MS
    assert role_by_token(await bench.credentials(), token) is Role.VIEWER
    with pytest.raises(SettingInvalid, match="choose another name"):
        await credentials.add_token("metrics", Role.OWNER, 1)


async def test_a_token_ends_by_its_date_by_revocation_and_waits_for_the_time(bench: Bench) -> None:
    credentials = await bench.credentials()
    token, _ = await credentials.add_token("metrics", Role.VIEWER, 1)
    other, _ = await credentials.add_token("backup", Role.OWNER, 2)
    bench.clock.is_time_known = False
    assert role_by_token(credentials, token) is None
    bench.clock.is_time_known = True
    bench.clock.now_ms = DAY_MS
    assert role_by_token(credentials, token) is None
    assert role_by_token(credentials, other) is Role.OWNER
    assert await credentials.revoke_token("backup") is True
    assert await credentials.revoke_token("backup") is False
    assert role_by_token(credentials, other) is None
    assert role_by_token(await bench.credentials(), other) is None


async def test_the_last_use_of_a_token_is_known_and_written_at_most_once_a_day(bench: Bench) -> None:
    writes: list[str] = []
    bench.disk = Disk(lambda operation, name: writes.append(name) if operation is Operation.WRITE else None)
    credentials = await bench.credentials()
    token, _ = await credentials.add_token("metrics", Role.VIEWER, 30)
    assert credentials.last_use_utc_ms(credentials.stored.tokens[0]) is None
    writes.clear()
    for hour in range(72):
        bench.clock.now_ms = hour * 3_600_000
        for _ in range(10):
            credentials.token(token)
        await credentials._save_uses()
    assert writes.count(FILE_NAME) <= 4
    assert credentials.last_use_utc_ms(credentials.stored.tokens[0]) == UTC_MS + 71 * 3_600_000
    restarted = await bench.credentials()
    used_ms = restarted.last_use_utc_ms(restarted.stored.tokens[0])
    assert used_ms is not None
    assert 0 <= UTC_MS + 71 * 3_600_000 - used_ms < DAY_MS


async def test_a_new_token_of_an_old_name_has_not_been_used(bench: Bench) -> None:
    credentials = await bench.credentials()
    token, _ = await credentials.add_token("metrics", Role.VIEWER, 30)
    credentials.token(token)
    await credentials.revoke_token("metrics")
    await credentials.add_token("metrics", Role.VIEWER, 30)
    assert credentials.last_use_utc_ms(credentials.stored.tokens[0]) is None


async def test_the_file_is_readable_by_the_service_s_user_alone(bench: Bench) -> None:
    credentials = await bench.credentials()
    await credentials.make_code(Role.OWNER)
    for path in bench.directory.glob(f"{FILE_NAME}*"):
        assert path.name.endswith(".made") or stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_damaged_file_is_replaced_by_its_copy(bench: Bench) -> None:
    code, _ = await (await bench.credentials()).make_code(Role.OWNER)
    (bench.directory / FILE_NAME).write_bytes(b"{" + b"\x00" * 100)
    credentials = await bench.credentials()
    assert role_by_code(credentials, code) is Role.OWNER
    assert "its last good copy is in force" in credentials.problem
    assert bench.faults == [credentials.problem]


@pytest.mark.parametrize("damage", ["lost", "garbage", "other json"])
async def test_lost_credentials_admit_nobody_and_name_the_remedy(bench: Bench, damage: str) -> None:
    before = await bench.credentials()
    code, _ = await before.make_code(Role.OWNER)
    token, _ = await before.add_token("metrics", Role.VIEWER, 30)
    for path in (bench.directory / FILE_NAME, bench.directory / f"{FILE_NAME}.copy"):
        match damage:
            case "lost":
                path.unlink()
            case "garbage":
                path.write_bytes(b"\xff" * 50)
            case _:
                path.write_bytes(b'{"codes": [{"role": "owner"}], "tokens": 5}')
    credentials = await bench.credentials()
    assert role_by_code(credentials, code) is None
    assert role_by_code(credentials, "") is None
    assert role_by_token(credentials, token) is None
    assert "nobody can sign in until a code is made at the hub (sudo climahub port code --new)" in credentials.problem
    assert bench.faults == [credentials.problem]
    new, _ = await credentials.make_code(Role.OWNER)
    assert role_by_code(await bench.credentials(), new) is Role.OWNER


async def test_a_damaged_record_costs_no_other_and_admits_nobody(bench: Bench) -> None:
    before = await bench.credentials()
    code, _ = await before.make_code(Role.OWNER)
    viewers, _ = await before.make_code(Role.VIEWER)
    path = bench.directory / FILE_NAME
    text = path.read_text()
    # As somebody without the checksum's maker would edit it.
    body = "{" + text[text.index(",") + 1 :]
    path.write_text(body.replace('"role":"owner"', '"role":"root"'))
    credentials = await bench.credentials()
    assert role_by_code(credentials, code) is None
    assert role_by_code(credentials, viewers) is Role.VIEWER
    assert "left out" in credentials.problem


async def test_a_disk_that_refuses_keeps_the_old_code_and_makes_no_token(bench: Bench) -> None:
    credentials = await bench.credentials()
    code, _ = await credentials.make_code(Role.OWNER)
    cookie, _ = credentials.sign_in(code, PERSON)

    def refuse(operation: Operation, name: str) -> None:
        raise OSError(errno.EIO, "no")

    bench.disk.on_operation = refuse
    with pytest.raises(StorageFull):
        await credentials.make_code(Role.OWNER)
    with pytest.raises(StorageFull):
        await credentials.add_token("metrics", Role.VIEWER, 1)
    assert role_by_code(credentials, code) is Role.OWNER
    assert credentials.session(cookie) is not None
    assert credentials.stored.tokens == ()


async def test_a_revoked_token_ends_at_once_even_where_the_disk_refuses(bench: Bench) -> None:
    credentials = await bench.credentials()
    token, _ = await credentials.add_token("metrics", Role.VIEWER, 30)

    def refuse(operation: Operation, name: str) -> None:
        raise OSError(errno.EIO, "no")

    bench.disk.on_operation = refuse
    with pytest.raises(StorageFull, match="free some space, then revoke metrics again"):
        await credentials.revoke_token("metrics")
    assert role_by_token(credentials, token) is None
    assert credentials.problem
    bench.disk.on_operation = Disk().on_operation
    assert await credentials.revoke_token("metrics") is True
    assert role_by_token(await bench.credentials(), token) is None


async def test_nothing_is_written_before_the_file_has_been_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.port.sign_in.credentials.LOAD_S_MAX", 0.01)
    code, _ = await (await bench.credentials()).make_code(Role.OWNER)
    unread = bench.unread_credentials()
    with pytest.raises(StorageFull, match="try again in a minute"):
        await unread.make_code(Role.OWNER)
    with pytest.raises(StorageFull, match="try again in a minute"):
        await unread.revoke_token("metrics")
    assert role_by_code(await bench.credentials(), code) is Role.OWNER


async def test_a_right_code_that_comes_before_the_file_has_been_read_is_no_wrong_try(bench: Bench) -> None:
    code, _ = await (await bench.credentials()).make_code(Role.OWNER)
    unread = bench.unread_credentials()
    with pytest.raises(StorageFull, match="try again in a minute"):
        unread.sign_in(code, PERSON)
    assert unread.throttle.report(0) == []
    assert bench.trail.entries == []
    await unread.load()
    assert role_by_code(unread, code) is Role.OWNER


async def test_no_old_copy_revives_a_revoked_token(bench: Bench) -> None:
    credentials = await bench.credentials()
    token, _ = await credentials.add_token("metrics", Role.VIEWER, 30)

    def refuse_copies(operation: Operation, name: str) -> None:
        if name.endswith(".copy") and operation is not Operation.REMOVE:
            raise OSError(errno.ENOSPC, "full")

    bench.disk.on_operation = refuse_copies
    await credentials.revoke_token("metrics")
    bench.disk.on_operation = Disk().on_operation
    (bench.directory / FILE_NAME).write_bytes(b"\x00")
    assert role_by_token(await bench.credentials(), token) is None


class Promises:
    """What the hub had confirmed to a person before the power was cut."""

    def __init__(self) -> None:
        self.valid: dict[str, Role] = {}
        self.ended: set[str] = set()
        self.changing: set[str] = set()
        """What the operation in progress may or may not have ended."""


async def change_everything(credentials: Credentials, promises: Promises) -> None:
    """Make codes and tokens, replace and revoke some: as far as the power lasts."""
    owners, _ = await credentials.make_code(Role.OWNER)
    promises.valid[owners] = Role.OWNER
    viewers, _ = await credentials.make_code(Role.VIEWER)
    promises.valid[viewers] = Role.VIEWER
    metrics, _ = await credentials.add_token("metrics", Role.VIEWER, 30)
    promises.valid[metrics] = Role.VIEWER
    backup, _ = await credentials.add_token("backup", Role.OWNER, 30)
    promises.valid[backup] = Role.OWNER
    promises.changing = {metrics}
    await credentials.revoke_token("metrics")
    promises.ended.add(metrics)
    promises.changing = {owners}
    new, _ = await credentials.make_code(Role.OWNER)
    promises.ended.add(owners)
    promises.valid[new] = Role.OWNER
    promises.changing = {backup}
    await credentials.revoke_token("backup")
    promises.ended.add(backup)
    promises.changing = set()


def role_by(credentials: Credentials, secret: str) -> Role | None:
    return role_by_token(credentials, secret) if secret.startswith("climahub_") else role_by_code(credentials, secret)


OPERATIONS = 61
"""One more than the scenario has: the last one cuts nothing, which is checked."""


@pytest.fixture
def memory() -> Iterator[Path]:
    """Return a directory in which thousands of syncs cost nothing."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as directory:
        yield Path(directory)


@pytest.mark.parametrize("damages_file", [False, True], ids=["whole", "then damaged"])
@pytest.mark.parametrize("at", range(1, OPERATIONS + 1))
async def test_power_cut_at_any_operation_revives_no_credential(memory: Path, at: int, damages_file: bool) -> None:
    bench, promises = Bench(memory), Promises()
    cutter = Cutter(at)
    bench.disk = Disk(cutter)
    try:
        await change_everything(await bench.credentials(), promises)
    except PowerCut:
        pass
    else:
        assert at == OPERATIONS
    bench.disk = Disk()
    if damages_file and (bench.directory / FILE_NAME).exists():
        (bench.directory / FILE_NAME).write_bytes(b"\x00" * 10)
    credentials = await bench.credentials()
    if not damages_file:
        assert credentials.problem == ""
    for secret in promises.ended:
        assert role_by(credentials, secret) is None
    for secret, role in promises.valid.items():
        if secret not in promises.ended:
            allowed = {role, None} if secret in promises.changing else {role}
            assert role_by(credentials, secret) in allowed
    assert len(credentials.stored.codes) == len({each.role for each in credentials.stored.codes})
    await change_everything_again(credentials)


async def change_everything_again(credentials: Credentials) -> None:
    for record in credentials.stored.tokens:
        await credentials.revoke_token(record.name)
    await change_everything(credentials, Promises())
