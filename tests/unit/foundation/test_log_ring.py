import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.foundation.log_ring import LEVELS, LogRecord, LogRing, select


def ring_of(**limits: int) -> tuple[LogRing, logging.Logger]:
    ring = LogRing(lambda: 5000, **limits)
    log = logging.Logger("agent.test")  # noqa: LOG001 - of its own, so that no other handler is called
    log.addHandler(ring)
    return ring, log


def test_keeps_level_component_text_and_boot_time() -> None:
    ring, log = ring_of()
    log.warning("the stick %s is gone", "ttyUSB0")
    assert ring.records() == [LogRecord(1, 5000, "warning", "agent.test", "the stick ttyUSB0 is gone")]
    assert ring.newest_id == 1


def test_what_is_kept_is_redacted_and_printable() -> None:
    ring, log = ring_of()
    try:
        raise ValueError("Bearer abcdef\x1b[2J")
    except ValueError:
        log.exception("key cs_dev_123secret\nsecond")
    (record,) = ring.records()
    assert record.text == "key cs_dev_[redacted] second"
    assert "abcdef" not in record.traceback
    assert "\x1b" not in record.traceback
    assert "[redacted]" in record.traceback


def test_oldest_records_are_dropped_by_number() -> None:
    ring, log = ring_of(records_max=3)
    for number in range(5):
        log.info("line %d", number)
    assert [record.text for record in ring.records()] == ["line 2", "line 3", "line 4"]
    assert [record.id for record in ring.records()] == [3, 4, 5]


def test_oldest_records_are_dropped_by_size_and_the_newest_stays() -> None:
    ring, log = ring_of(characters_max=40)
    log.info("short")
    log.info("x" * 20)
    assert len(ring.records()) == 1
    log.info("y" * 100)
    assert [record.text[0] for record in ring.records()] == ["y"]
    log.info("z")
    assert [record.text for record in ring.records()] == ["z"]


def test_every_thread_may_write() -> None:
    ring, log = ring_of(records_max=10_000)

    def write() -> None:
        for _ in range(200):
            log.info("line")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record.id for record in ring.records()] == list(range(1, 801))


def record_of(number: int, level: str = "info", text: str = "text", component: str = "agent.ota") -> LogRecord:
    return LogRecord(number, number * 10, level, component, text)


RECORDS = [
    record_of(1, "debug", "read"),
    record_of(2, "info", "Started"),
    record_of(3, "warning", "slow", "agent.cloud"),
    record_of(4, "error", "failed"),
    LogRecord(5, 50, "error", "agent.app", "defect", "  ValueError: Boom"),
]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"level": "warning"}, [5, 4, 3]),
        ({"level": "critical"}, []),
        ({"text": "START"}, [2]),
        ({"text": "agent.cloud: slow"}, [3]),
        ({"text": "boom"}, [5]),
        ({"before": 3}, [2, 1]),
        ({"after": 3}, [5, 4]),
        ({"limit": 2}, [5, 4]),
        ({"limit": 1, "before": 4, "level": "info"}, [3]),
    ],
)
def test_records_are_selected_by_level_and_text(wanted: dict[str, object], ids: list[int]) -> None:
    assert [each.id for each in select(RECORDS, **({"limit": 100} | wanted))] == ids  # type: ignore[arg-type]


def test_a_level_of_a_library_counts_as_information() -> None:
    odd = [record_of(1, "level 25")]
    assert select(odd, level="info", limit=1) == odd
    assert select(odd, level="warning", limit=1) == []


@given(st.lists(st.sampled_from(LEVELS), max_size=30), st.sampled_from(LEVELS), st.integers(1, 7))
def test_pages_give_every_record_once_in_order(levels: list[str], lowest: str, limit: int) -> None:
    records = [record_of(number, level) for number, level in enumerate(levels, 1)]
    pages: list[LogRecord] = []
    before: int | None = None
    while page := select(records, level=lowest, before=before, limit=limit):
        pages += page
        before = page[-1].id
    assert pages == select(records, level=lowest, limit=100)
