"""The audit trail in memory: the same again is counted, a flood of one role stays within its allowance."""

from agent.foundation.clock import Now
from agent.local.routes import Caller, Role
from agent.port.sign_in.audit_entries import (
    CALLER_ENTRIES_MAX,
    COUNT_DELAY_S,
    OPEN_ENTRIES_MAX,
    OTHERS,
    UNKNOWN_DELAY_S,
    WINDOW_ENTRIES_MAX,
    WINDOW_S,
    AuditBuffer,
    AuditEntry,
    make_entry,
)

OWNER = Caller("session 1", Role.OWNER, "192.168.1.7")
WINDOW_MS, UNKNOWN_MS, COUNT_MS = (round(seconds * 1000) for seconds in (WINDOW_S, UNKNOWN_DELAY_S, COUNT_DELAY_S))


def entry(at_ms: int = 0, caller: Caller = OWNER, target: str = "/v1/update/check", result: str = "200") -> AuditEntry:
    return make_entry(caller, "check_update", target, result, Now("boot-1", at_ms, None))


def nobody(number: int) -> Caller:
    return Caller("", Role.PUBLIC, f"192.168.1.{number}")


def write(buffer: AuditBuffer) -> list[AuditEntry]:
    """Do what the disk does with everything that it does not have yet."""
    written = buffer.unwritten()
    for number, each in enumerate(written):
        each.number, each.due_ms = number, None
    return [each.entry for each in written]


def test_texts_from_outside_are_cut_and_printable() -> None:
    made = make_entry(
        Caller("a\nb", Role.OWNER, "x" * 500), "act", "/v1/" + "\x1b[2J" * 400, "4\r04", Now("boot-1", 5, 6)
    )
    assert made.name == "a b"
    assert len(made.origin) == 64
    assert len(made.target) == 120
    assert made.target.isprintable()
    assert made.result == "4 04"
    assert (made.boot_id, made.at_ms, made.utc_ms, made.count) == ("boot-1", 5, 6, 1)


def test_an_entry_of_a_known_caller_is_due_at_once_and_one_of_nobody_later() -> None:
    buffer = AuditBuffer()
    assert buffer.due_ms() is None
    buffer.add(entry(5, nobody(1)))
    assert buffer.due_ms() == 5 + UNKNOWN_MS
    buffer.add(entry(7))
    assert buffer.due_ms() == 7
    assert len(write(buffer)) == 2
    assert buffer.due_ms() is None
    assert buffer.unwritten() == []


def test_repeated_entry_is_counted() -> None:
    buffer = AuditBuffer()
    buffer.add(entry(0))
    write(buffer)
    for at_ms in range(1000, 60_000, 1000):
        buffer.add(entry(at_ms))
    assert buffer.due_ms() == 1000 + COUNT_MS
    (counted,) = write(buffer)
    assert (counted.count, counted.at_ms, counted.last_ms) == (60, 0, 59_000)


def test_another_caller_target_or_result_is_another_entry() -> None:
    buffer = AuditBuffer()
    buffer.add(entry())
    buffer.add(entry(caller=Caller("session 2", Role.OWNER, OWNER.origin)))
    buffer.add(entry(target="/v1/update/pause"))
    buffer.add(entry(result="409 conflict"))
    assert len(write(buffer)) == 4


def test_order_of_actions_is_kept() -> None:
    buffer = AuditBuffer()
    for number, target in enumerate("aabaacb"):
        buffer.add(entry(number, target=target))
        buffer.add(entry(number, Caller("session 2", Role.SERVICE, "a")))
    written = write(buffer)
    assert [(each.target, each.count) for each in written if each.role is Role.OWNER] == [
        ("a", 2), ("b", 1), ("a", 2), ("c", 1), ("b", 1),
    ]  # fmt: skip
    assert [each.count for each in written if each.role is Role.SERVICE] == [7]


def test_alternating_requests_stay_within_the_allowance() -> None:
    buffer = AuditBuffer()
    for number in range(10_000):
        buffer.add(entry(number * 10, target=str(number % 2)))
    written = write(buffer)
    assert len(written) == WINDOW_ENTRIES_MAX[Role.OWNER] + 1
    assert sum(each.count for each in written) == 10_000


def test_the_same_in_the_next_window_is_another_entry() -> None:
    buffer = AuditBuffer()
    buffer.add(entry(WINDOW_MS - 1))
    buffer.add(entry(WINDOW_MS))
    assert [each.count for each in write(buffer)] == [1, 1]


def test_unauthenticated_flood_gets_few_entries_with_a_complete_count() -> None:
    buffer = AuditBuffer()
    for number in range(10_000):
        buffer.add(entry(number, nobody(number % 250), result="401 wrong_code"))
    written = write(buffer)
    assert len(written) == WINDOW_ENTRIES_MAX[Role.PUBLIC] + 1
    assert sum(each.count for each in written) == 10_000
    assert (written[-1].action, written[-1].origin, written[-1].role) == (OTHERS, "", Role.PUBLIC)


def test_a_flood_of_one_role_takes_nothing_from_another() -> None:
    buffer = AuditBuffer()
    for number in range(1000):
        buffer.add(entry(number, Caller("session 2", Role.VIEWER, "a"), target=f"/{number}"))
    buffer.add(entry(1000))
    assert len(write(buffer)) == WINDOW_ENTRIES_MAX[Role.VIEWER] + 2


def test_a_flood_of_one_client_takes_nothing_from_another_and_keeps_its_name() -> None:
    buffer = AuditBuffer()
    for number in range(200):
        buffer.add(entry(number, Caller("api:amps/a", Role.SERVICE, "a"), target=f"/{number}"))
    buffer.add(entry(1000, Caller("api:amps/b", Role.SERVICE, "b"), target="/zone"))
    written = write(buffer)
    assert (written[-1].name, written[-1].target) == ("api:amps/b", "/zone")
    (others,) = [each for each in written if each.action == OTHERS]
    assert (others.name, others.count) == ("api:amps/a", 200 - CALLER_ENTRIES_MAX[Role.SERVICE])


def test_the_allowance_begins_anew_with_each_window() -> None:
    buffer = AuditBuffer()
    for window in range(3):
        for number in range(100):
            buffer.add(entry(window * WINDOW_MS + number, nobody(number)))
        assert len(write(buffer)) == WINDOW_ENTRIES_MAX[Role.PUBLIC] + 1


def test_hours_of_a_flood_cost_the_disk_few_writes() -> None:
    """A write takes everything that waits; this counts how often one is due in six hours of a try a second."""
    buffer, writes = AuditBuffer(), 0
    for at_ms in range(0, 21_600_000, 1000):
        buffer.add(entry(at_ms, nobody(at_ms // 1000 % 200), result="429 too_many_tries"))
        due_ms = buffer.due_ms()
        if due_ms is not None and due_ms <= at_ms:
            write(buffer)
            writes += 1
    assert writes <= 36 * 4


def test_memory_is_bounded_where_the_disk_takes_nothing() -> None:
    buffer = AuditBuffer()
    for number in range(20_000):
        buffer.add(entry(number * 10_000, target=f"/{number}"))
    assert len(buffer.unwritten()) == OPEN_ENTRIES_MAX
    assert buffer.dropped_count == 20_000 - OPEN_ENTRIES_MAX


def test_old_entries_that_the_disk_has_are_forgotten() -> None:
    buffer = AuditBuffer()
    buffer.add(entry(0))
    write(buffer)
    buffer.add(entry(3 * WINDOW_MS))
    assert len(buffer._open) == 1
