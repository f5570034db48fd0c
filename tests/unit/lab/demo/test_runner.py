from agent.telemetry.outbox.protocol import OutboxStats, PendingReading
from hal.interface import HUB, Reading, SensorKind
from lab.demo.runner import Audit, AuditResult
from lab.refcloud.records import AcceptedReading

ZERO_MS = 1_000_000
DEVICE_OF = {"id-hub": HUB, "id-k": "kitchen"}
TEMPERATURE = SensorKind.TEMPERATURE


def reading(at_ms: int, value: float = 20.5, device: str = HUB) -> Reading:
    return Reading(device, "s", TEMPERATURE, value, at_ms)


def stored(at_ms: int, value: float = 20.5, device_id: str = "id-hub") -> AcceptedReading:
    return AcceptedReading(device_id, "temperature", ZERO_MS + at_ms, value)


def waiting(at_ms: int) -> PendingReading:
    return PendingReading(HUB, TEMPERATURE, ZERO_MS + at_ms, 20.5, 1)


def stats(pending: int = 0, thinned: int = 0, dropped: int = 0, dead_letters: int = 0) -> OutboxStats:
    return OutboxStats(pending, 0, 0, 0, 0, None, 0, thinned, dropped, dead_letters)


def close(
    taken: list[Reading],
    accepted: list[AcceptedReading],
    items: list[PendingReading] | None = None,
    kept: OutboxStats | None = None,
) -> AuditResult:
    books = Audit(ZERO_MS)
    books.committed(taken)
    assert books.taken == len(taken)
    items = items or []
    return books.close(accepted, DEVICE_OF, items, kept or stats(pending=len(items)))


def test_audit_passes_where_everything_was_accepted() -> None:
    account = close([reading(1), reading(1, device="kitchen")], [stored(1), stored(1, device_id="id-k")])
    assert account == AuditResult(taken=2, accepted=2, pending=0, given_up=0, altered=0, lost=0)
    assert account.is_clean


def test_waiting_readings_are_not_lost() -> None:
    account = close([reading(1), reading(2)], [stored(1)], [waiting(2)])
    assert (account.accepted, account.pending, account.lost) == (1, 1, 0)


def test_accepted_reading_that_still_waits_counts_once() -> None:
    account = close([reading(1)], [stored(1)], [waiting(1)])
    assert (account.accepted, account.pending, account.lost) == (1, 0, 0)


def test_missing_reading_is_lost() -> None:
    account = close([reading(1), reading(2)], [stored(1)])
    assert account.lost == 1
    assert not account.is_clean


def test_statistics_do_not_hide_a_lost_reading() -> None:
    account = close([reading(1), reading(2), reading(3)], [stored(1)], [waiting(2)])
    assert account.lost == 1


def test_unregistered_readings_are_pending() -> None:
    account = close([reading(1), reading(2)], [], [waiting(1)], stats(pending=2))
    assert (account.pending, account.lost) == (2, 0)


def test_recorded_drops_are_not_lost() -> None:
    account = close([reading(1), reading(2), reading(3)], [], [], stats(thinned=1, dropped=1, dead_letters=1))
    assert (account.given_up, account.lost) == (3, 0)


def test_different_value_is_altered() -> None:
    account = close([reading(1)], [stored(1, value=20.4)])
    assert (account.accepted, account.altered) == (0, 1)
    assert not account.is_clean


def test_unmeasured_reading_is_altered() -> None:
    assert close([], [stored(1)]).altered == 1
    assert close([], [stored(1, device_id="id-of-nobody")]).altered == 1
