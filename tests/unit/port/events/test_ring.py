"""The ring of events: bounded, encoded once, and a replay that never leaves a gap unnoticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.local.routes import Role
from agent.port.events.ring import EventRing


def frame(name: str, data: str, number: int | None, run: str = "run") -> bytes:
    mark = "" if number is None else f"id: {run}:{number}\n"
    return f"{mark}event: {name}\ndata: {data}\n\n".encode()


def ring_of(*events: tuple[str, str], **limits: int) -> EventRing:
    ring = EventRing("run", **limits)
    for name, data in events:
        ring.append(name, data.encode(), Role.VIEWER, is_document=name != "log")
    return ring


def test_a_new_client_gets_every_document_and_then_the_mark() -> None:
    ring = ring_of(("status", "1"), ("climate", "2"), ("status", "3"), ("log", "4"))
    begin = ring.resume("", Role.VIEWER)
    assert begin.frames == [frame("climate", "2", None), frame("status", "3", None), frame("resync", "{}", 4)]
    assert begin.number == 4


def test_a_client_that_was_away_gets_what_it_has_missed_and_of_a_document_only_the_newest() -> None:
    ring = ring_of(("status", "1"), ("log", "2"), ("status", "3"), ("log", "4"), ("status", "5"))
    begin = ring.resume("run:1", Role.VIEWER)
    assert begin.frames == [frame("log", "2", 2), frame("log", "4", 4), frame("status", "5", 5)]
    assert ring.resume("run:5", Role.VIEWER).frames == []


@pytest.mark.parametrize(
    "last_event_id", ["", "run", "run:", "run:x", "run:-1", "run:9", "other:3", "run:" + "9" * 10_000, "run:³", ":3"]
)
def test_an_id_that_is_not_of_this_run_leads_to_a_resync(last_event_id: str) -> None:
    ring = ring_of(("status", "1"), ("log", "2"), ("log", "3"))
    assert ring.resume(last_event_id, Role.VIEWER).frames == [
        frame("status", "1", None),
        frame("resync", "{}", 3),
    ]


def test_an_id_that_has_left_the_ring_leads_to_a_resync() -> None:
    ring = ring_of(("status", "1"), *[("log", "x")] * 4, events_max=3)
    assert not ring.holds_all_after(1)
    assert ring.holds_all_after(2)
    assert ring.resume("run:1", Role.VIEWER).frames[0] == frame("status", "1", None)
    assert len(ring.resume("run:2", Role.VIEWER).frames) == 3


def test_the_ring_is_bounded_in_bytes_and_holds_the_newest_event_in_any_case() -> None:
    size = len(frame("log", "x" * 100, 1))
    ring = ring_of(*[("log", "x" * 100)] * 9, bytes_max=3 * size)
    assert (ring.holds_all_after(5), ring.holds_all_after(6)) == (False, True)
    ring.append("status", b"y" * 1000, Role.VIEWER, is_document=True)
    assert ring.frames_after(9, Role.VIEWER) == [frame("status", "y" * 1000, 10)]


def test_an_event_is_only_for_its_role() -> None:
    ring = ring_of(("status", "1"))
    ring.append("audit", b"2", Role.SERVICE, is_document=False)
    assert ring.frames_after(1, Role.VIEWER) == []
    assert ring.frames_after(1, Role.SERVICE) == ring.frames_after(1, Role.OWNER) == [frame("audit", "2", 2)]
    ring.append("secret", b"3", Role.OWNER, is_document=True)
    assert b"secret" not in b"".join(ring.resume("", Role.SERVICE).frames)


@given(st.lists(st.sampled_from(["status", "climate", "log"]), max_size=40), st.integers(0, 45), st.integers(1, 10))
def test_a_client_never_misses_an_entry_nor_the_newest_of_a_document(
    names: list[str], seen: int, events_max: int
) -> None:
    ring = ring_of(*[(name, str(number)) for number, name in enumerate(names, 1)], events_max=events_max)
    begin = ring.resume(f"run:{seen}", Role.VIEWER)
    sent = b"".join(begin.frames)
    is_resync = b"event: resync\n" in sent
    assert is_resync == (seen > len(names) or len(names) - seen > events_max)
    for name in {"status", "climate"} & set(names):
        newest = max(number for number, each in enumerate(names, 1) if each == name)
        if is_resync or newest > seen:
            assert f"event: {name}\ndata: {newest}\n\n".encode() in sent
    if not is_resync:
        logs = [number for number, name in enumerate(names, 1) if name == "log" and number > seen]
        assert [frame("log", str(number), number) in begin.frames for number in logs] == [True] * len(logs)
    assert begin.number == len(names)


@given(st.text() | st.from_regex(r"run:[0-9]+", fullmatch=True))
def test_any_id_is_answered(last_event_id: str) -> None:
    ring = ring_of(("status", "1"), ("log", "2"))
    assert ring.resume(last_event_id, Role.OWNER).number == 2
